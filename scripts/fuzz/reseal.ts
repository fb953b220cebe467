/**
 * After a file was changed: the hashes above it made right again, as a host would that has no key, or only wrong ones.
 *
 * `rehash` leaves every signature as it was; `wrong keys` signs whatever changed with keys of other roles; `stolen` does
 * so, too, and then signs the checkpoint with the index's own checkpoint key (THREATS T1b). `careless` is an author's own
 * doing: the record that lists the changed release has all the signatures that it needs, and so has the checkpoint.
 */
import { fileHashOf } from "../../src/format/digest.ts";
import type { Kind } from "../../src/format/envelope.ts";
import { formatPretty, isJsonObject, type JsonObject, jsonObject, type JsonValue } from "../../src/format/json.ts";
import { isPackageName } from "../../src/format/names.ts";
import { CHECKPOINT_PATH, recordPath, shardPath } from "../../src/format/paths.ts";
import { data, digest, edit, file } from "../vectors/kit.ts";
import type { FileMap } from "./honest.ts";
import { parsed } from "./mutate-json.ts";
import type { Random } from "./random.ts";

export type Seal = "rehash" | "wrong keys" | "stolen" | "careless";

/** Labels of keys that have no say in a document of that kind. */
const WRONG: Readonly<Record<Kind, readonly (readonly string[])[]>> = {
  root: [["checkpoint"], ["publisher new"], ["stranger"], ["checkpoint", "publisher", "stranger"], []],
  checkpoint: [["root"], ["publisher new"], ["stranger"], ["root", "publisher", "stranger"], []],
  // One of the two that `@alice/core` needs; for all others it is another entry's.
  package: [["checkpoint"], ["root"], ["stranger"], ["publisher b"], ["checkpoint", "root", "stranger"], []],
  release: [["checkpoint"], ["root"], ["stranger"], ["checkpoint", "root", "stranger"], []],
};
/** By name, where a release may be signed by one key and a record needs two: the one alone. */
const HALF: Readonly<Record<string, readonly string[]>> = { "@alice/core": ["publisher b"] };
/** By name, under root 2; of all others under root 1. */
const PUBLISHERS: Readonly<Record<string, readonly string[]>> = { "@alice/core": ["publisher b", "publisher c"], "Legacy.js": ["legacy"] };

function kindOf(path: string): Kind | null {
  if (path.startsWith("trust/")) return "root";
  if (path === CHECKPOINT_PATH) return "checkpoint";
  if (path.endsWith("/shard.json")) return null;
  return path.endsWith("/record.json") ? "package" : "release";
}

/**
 * @param changed the file that was changed
 * @param options `keep`: its own signatures stay
 */
export function reseal(files: FileMap, changed: string, seal: Seal, random: Random, { keep = false } = {}): FileMap {
  const next = new Map(files);
  const put = (path: string, change: (signed: JsonObject) => JsonValue): void => {
    const bytes = next.get(path);
    if (bytes === undefined) return;
    const made = rewritten(path, parsed(bytes), change, seal, random);
    if (made !== null) next.set(path, made);
  };
  const hash = (path: string): string => fileHashOf(next.get(path) ?? new Uint8Array());
  const shardAbove = (path: string): string => `${path.split("/").slice(0, 2).join("/")}/shard.json`;

  // Only what hangs below a changed file is signed anew: the others keep what their authors wrote.
  if (!keep && kindOf(changed) !== null && seal !== "rehash" && changed !== CHECKPOINT_PATH) put(changed, (signed) => signed);
  if (kindOf(changed) === "release") {
    const record = changed.replace(/[^/]+$/u, "record.json");
    const version = changed.replace(/^.*\//u, "").replace(/\.json$/u, "");
    put(record, (signed) => edit(signed, [["releases", version], hash(changed)]));
    return reseal(next, record, seal, random, { keep: true });
  }
  if (kindOf(changed) === "package") {
    const shard = shardAbove(changed);
    const names = parsed(next.get(shard) ?? new Uint8Array());
    if (!isJsonObject(names)) return next;
    const entries = Object.entries(names).map(([name, old]): [string, JsonValue] => [
      name,
      isPackageName(name) && recordPath(name) === changed ? hash(changed) : old,
    ]);
    next.set(shard, formatPretty(jsonObject(entries)));
    return reseal(next, shard, seal, random);
  }
  if (kindOf(changed) === "root") {
    const root = parsed(next.get(changed) ?? new Uint8Array());
    const signed = isJsonObject(root) ? root["signed"] : undefined;
    if (signed !== undefined) put(CHECKPOINT_PATH, (checkpoint) => edit(checkpoint, ["root/digest", digest(signed)]));
    return next;
  }
  if (changed === CHECKPOINT_PATH) {
    if (!keep) put(CHECKPOINT_PATH, (signed) => signed);
  } else {
    const shard = Object.keys(shardsOf(next)).find((digits) => shardPath(digits as never) === changed);
    if (shard !== undefined) put(CHECKPOINT_PATH, (signed) => edit(signed, [["shards", shard], hash(changed)]));
  }
  return next;
}

function shardsOf(files: FileMap): JsonObject {
  const checkpoint = parsed(files.get(CHECKPOINT_PATH) ?? new Uint8Array());
  const signed = isJsonObject(checkpoint) ? checkpoint["signed"] : undefined;
  const shards = isJsonObject(signed) ? signed["shards"] : undefined;
  return isJsonObject(shards) ? shards : jsonObject([]);
}

function rewritten(
  path: string,
  envelope: JsonValue,
  change: (signed: JsonObject) => JsonValue,
  seal: Seal,
  random: Random,
): Uint8Array | null {
  const kind = kindOf(path);
  const signed = isJsonObject(envelope) ? envelope["signed"] : undefined;
  if (kind === null || !isJsonObject(envelope) || !isJsonObject(signed)) return null;
  try {
    const made = change(signed);
    if (seal === "rehash") return formatPretty(data({ signatures: envelope["signatures"] ?? [], signed: made }));
    const name = typeof signed["name"] === "string" ? signed["name"] : "";
    if (seal !== "wrong keys" && kind === "checkpoint") return new Uint8Array(Buffer.from(file(kind, made, "checkpoint")));
    if (seal === "careless" && kind === "package")
      return new Uint8Array(Buffer.from(file(kind, made, ...(PUBLISHERS[name] ?? ["publisher", "publisher new"]))));
    const half = kind === "release" && seal !== "careless" ? HALF[name] : undefined;
    const forged = file(kind, made, ...(half ?? random.pick(WRONG[kind])));
    return new Uint8Array(Buffer.from(random.once(3) ? mislabelled(forged, envelope, random) : forged));
  } catch {
    return null; // a mutation made something of it that no envelope can hold
  }
}

/** The signatures of strangers under the names of the keys that should have made them. */
function mislabelled(forged: string, before: JsonObject, random: Random): string {
  const old = before["signatures"];
  const made = JSON.parse(forged) as { signatures: { key: string; signature: string }[]; signed: JsonValue };
  if (!Array.isArray(old) || made.signatures.length === 0) return forged;
  const signatures = (old as readonly JsonValue[]).flatMap((entry): JsonValue[] =>
    isJsonObject(entry) ? [data({ key: entry["key"] ?? "", signature: random.pick(made.signatures).signature })] : [],
  );
  return Buffer.from(formatPretty(data({ signatures, signed: made.signed }))).toString();
}
