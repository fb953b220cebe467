/**
 * The trusted state of an index on disk: roots, checkpoint, and where their files were last seen.
 *
 * It is compare-and-swap, because two resolvers may sync at once and neither may undo what the other has proven. What is
 * read back is verified again, under the newest stored root: a damaged or edited file is never believed.
 */
import { LIMITS } from "../format/limits.ts";
import { ImprintError, isImprintError } from "../errors.ts";
import { textOf, utf8 } from "../format/bytes.ts";
import type { IndexId } from "../format/digest.ts";
import type { Signed } from "../format/envelope.ts";
import { isJsonObject, type JsonValue } from "../format/json.ts";
import type { Root } from "../format/root.ts";
import type { Cell } from "../storage/cell.ts";
import { type TrustedState, verifyCheckpoint, verifyFirstRoot, verifyNextRoot } from "./trust.ts";

export type StoredState = {
  readonly state: TrustedState;
  /** `at` of the snapshot that the files were read from. */
  readonly at: string;
};

export type StateStore = {
  /** Null where nothing was ever verified. `generation` is what `swap` expects. */
  read(): Promise<{ readonly stored: StoredState; readonly generation: number } | null>;
  /** @throws ImprintError STATE_CHANGED */
  swap(expected: number | null, next: StoredState): Promise<void>;
};

/** Cap on the file: more than all roots that an index may have. */
export const STATE_MAX_BYTES = LIMITS.stateBytes;

export function openStateStore(cell: Cell, id: IndexId): StateStore {
  return {
    async read() {
      const found = await cell.read();
      if (found === null) return null;
      try {
        return { stored: decode(found.bytes, id), generation: found.generation };
      } catch (error) {
        if (!isImprintError(error)) throw error;
        // Local damage. Refusing is the safe answer: forgetting it would open the door to a rollback.
        throw new ImprintError("STORAGE_FAILED", `Cannot read the trusted state of index ${id}: ${error.message}`, { cause: error });
      }
    },
    async swap(expected, next) {
      await cell.swap(expected, encode(next));
    },
  };
}

function encode({ state, at }: StoredState): Uint8Array {
  const text = (bytes: Uint8Array): string => textOf(bytes) ?? "";
  return utf8(
    JSON.stringify({ format: 1, at, checkpoint: text(state.checkpoint.bytes), roots: state.roots.map(({ bytes }) => text(bytes)) }),
  );
}

function decode(bytes: Uint8Array, id: IndexId): StoredState {
  const file = parse(bytes);
  const roots = isJsonObject(file) ? file["roots"] : null;
  if (!isJsonObject(file) || !Array.isArray(roots) || typeof file["checkpoint"] !== "string" || typeof file["at"] !== "string") {
    throw new ImprintError("INVALID_DOCUMENT", "it is damaged");
  }
  const [first, ...rest] = (roots as readonly JsonValue[]).map((root) => utf8(typeof root === "string" ? root : ""));
  if (first === undefined) throw new ImprintError("INVALID_DOCUMENT", "it is damaged");
  const chain: [Signed<Root>, ...Signed<Root>[]] = [verifyFirstRoot(first, id)];
  for (const root of rest) chain.push(verifyNextRoot(chain, root));
  return { state: { id, roots: chain, checkpoint: verifyCheckpoint(utf8(file["checkpoint"]), chain) }, at: file["at"] };
}

function parse(bytes: Uint8Array): JsonValue {
  try {
    return JSON.parse(textOf(bytes) ?? "") as JsonValue;
  } catch (error) {
    throw new ImprintError("INVALID_DOCUMENT", "it is damaged", { cause: error });
  }
}
