/** Records that a next root would no longer count: those that must be signed again before it. */
import { meetsThreshold } from "../../crypto/documents.ts";
import type { FileHash } from "../../format/digest.ts";
import type { Signed } from "../../format/envelope.ts";
import { LIMITS } from "../../format/limits.ts";
import type { PackageName } from "../../format/names.ts";
import { recordPath, type ShardName } from "../../format/paths.ts";
import type { PackageRecord } from "../../format/record.ts";
import { publishersFor, type Role, type Root } from "../../format/root.ts";
import { readCatalogue } from "../catalogue.ts";
import { readListed, verifyRecord } from "../package-reader.ts";
import type { Snapshot } from "../source.ts";
import { newestRoot, type TrustedState } from "../trust.ts";
import { sameRole } from "./edits.ts";

/** Records of one question to git. */
const BATCH = 500;

/**
 * Each is verified first as a reader would: nothing is signed again that does not count today.
 *
 * @param options `skip`: packages that are looked after otherwise, good or not; `all`: packages that are wanted whatever the
 *   next root says of them
 * @throws ImprintError HASH_MISMATCH, BAD_SIGNATURE, … where the index is broken
 */
export async function recordsShortOf(
  { state, snapshot }: { readonly state: TrustedState; readonly snapshot: Snapshot },
  next: Root,
  options: {
    readonly skip?: ReadonlyMap<PackageName, unknown>;
    readonly all?: ReadonlySet<PackageName>;
    /** Shards that are looked after otherwise. */
    readonly broken?: ReadonlySet<ShardName> | undefined;
    readonly onProgress?: ((done: number, of: number) => void) | undefined;
  } = {},
): Promise<ReadonlyMap<PackageName, Signed<PackageRecord>>> {
  const { skip = new Map(), all = new Set(), broken, onProgress = () => {} } = options;
  const now = newestRoot(state.roots).doc;
  // Where keys and threshold stay, so does what they made of a record.
  const wanted = [...(await readCatalogue(snapshot, state, broken))].filter(
    ([name]) => all.has(name) || (!skip.has(name) && !isSame(publishersFor(now, name), publishersFor(next, name))),
  );
  const found = new Map<PackageName, Signed<PackageRecord>>();
  for (let at = 0; at < wanted.length; at += BATCH) {
    for (const record of await readRecords(snapshot, state, wanted.slice(at, at + BATCH))) {
      const entry = publishersFor(next, record.doc.name);
      if (all.has(record.doc.name) || entry === null || !meetsThreshold(record, entry)) found.set(record.doc.name, record);
    }
    onProgress(Math.min(wanted.length, at + BATCH), wanted.length);
  }
  return found;
}

async function readRecords(
  snapshot: Snapshot,
  state: TrustedState,
  wanted: readonly (readonly [PackageName, FileHash])[],
): Promise<readonly Signed<PackageRecord>[]> {
  const files = await readListed(
    snapshot,
    wanted.map(([name, hash]) => ({ path: recordPath(name), maxBytes: LIMITS.recordBytes, hash })),
  );
  return wanted.map(([name], i) => verifyRecord(state, name, files[i] as Uint8Array));
}

function isSame(a: Role | null, b: Role | null): boolean {
  return a === null || b === null ? a === b : sameRole(a, b);
}
