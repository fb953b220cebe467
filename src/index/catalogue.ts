/**
 * An index as a whole, for who asks "what is there": all names from its shards, and of each package what its newest release
 * says of itself. The same checks as reading a package (steps 6 and 7 of SPEC.md, "Reading"), in batches, because each
 * question to a host that filters costs a round trip.
 */
import { isImprintError } from "../errors.ts";
import { parseShard } from "../format/checkpoint.ts";
import type { FileHash } from "../format/digest.ts";
import { LIMITS } from "../format/limits.ts";
import type { PackageName } from "../format/names.ts";
import { recordPath, releasePath, type ShardName, shardPath } from "../format/paths.ts";
import type { PackageRecord } from "../format/record.ts";
import type { Release } from "../format/release.ts";
import { compareVersions, type DistTag, isPrerelease, type Version } from "../format/versions.ts";
import { judgeRelease, readListed, verifyRecord } from "./package-reader.ts";
import type { Snapshot } from "./source.ts";
import { inFile, type TrustedState } from "./trust.ts";

/** Every package of an index, with the file hash of its record. */
export type Catalogue = ReadonlyMap<PackageName, FileHash>;

const STEP = "reading 6";
/** Files of one question: what a host answers at once, and what lies in memory meanwhile. */
const BATCH = 200;

/**
 * @param but shards that are left out
 * @throws ImprintError MISSING_FILE, HASH_MISMATCH, INVALID_DOCUMENT, …
 */
export async function readCatalogue(snapshot: Snapshot, state: TrustedState, but: ReadonlySet<ShardName> = new Set()): Promise<Catalogue> {
  const shards = [...state.checkpoint.doc.shards].filter(([shard]) => !but.has(shard));
  const files = await readListed(
    snapshot,
    shards.map(([shard, hash]) => ({ path: shardPath(shard), maxBytes: LIMITS.shardBytes, hash })),
  );
  return new Map(shards.flatMap(([shard], i) => [...inFile(shardPath(shard), STEP, () => parseShard(files[i] as Uint8Array, shard))]));
}

/**
 * The newest release that counts of each package; packages without one, or that fail, are left out: a bad one must not
 * hide the others from a search.
 *
 * @param hashes of the records, from the catalogue
 */
export async function readNewest(
  snapshot: Snapshot,
  state: TrustedState,
  hashes: readonly (readonly [PackageName, FileHash])[],
  onProgress: (count: number) => void = () => {},
): Promise<ReadonlyMap<PackageName, Release>> {
  const found = new Map<PackageName, Release>();
  for (let at = 0; at < hashes.length; at += BATCH) {
    for (const [name, release] of await readBatch(snapshot, state, hashes.slice(at, at + BATCH))) found.set(name, release);
    onProgress(Math.min(hashes.length, at + BATCH));
  }
  return found;
}

async function readBatch(
  snapshot: Snapshot,
  state: TrustedState,
  hashes: readonly (readonly [PackageName, FileHash])[],
): Promise<readonly (readonly [PackageName, Release])[]> {
  // One that is gone or wrong fails the whole question: then each is asked for alone.
  const orAlone = async <T, R>(
    items: readonly T[],
    read: (items: readonly T[]) => Promise<readonly R[]>,
  ): Promise<readonly (R | null)[]> => {
    try {
      return await read(items);
    } catch (error) {
      if (!isImprintError(error)) throw error;
      return Promise.all(items.map((item) => read([item]).then(([one]) => one ?? null, orNull)));
    }
  };
  const records = await orAlone(hashes, async (some) => {
    const files = await readListed(
      snapshot,
      some.map(([name, hash]) => ({ path: recordPath(name), maxBytes: LIMITS.recordBytes, hash })),
    );
    return files.map((bytes, i) => verifyRecord(state, (some[i] as (typeof some)[number])[0], bytes).doc);
  });
  const wanted = records.flatMap((record) => {
    const version = record === null ? null : newestOf(record);
    const hash = record === null || version === null ? undefined : record.releases.get(version);
    return record === null || version === null || hash === undefined ? [] : [{ name: record.name, version, hash }];
  });
  const releases = await orAlone(wanted, async (some) => {
    const files = await readListed(
      snapshot,
      some.map(({ name, version, hash }) => ({ path: releasePath(name, version), maxBytes: LIMITS.releaseBytes, hash })),
    );
    return files.map((bytes, i) => {
      const { name, version } = some[i] as (typeof some)[number];
      return judgeRelease(state, name, version, bytes, false);
    });
  });
  return releases.flatMap((verdict, i) => {
    const one = wanted[i];
    return one !== undefined && verdict !== null && "release" in verdict ? [[one.name, verdict.release.doc] as const] : [];
  });
}

function orNull(error: unknown): null {
  if (!isImprintError(error)) throw error;
  return null;
}

/** What `latest` points at; where that is yanked, the highest that is not. */
function newestOf({ releases, yanked, tags }: PackageRecord): Version | null {
  const latest = tags.get("latest" as DistTag);
  if (latest !== undefined && !yanked.has(latest)) return latest;
  const left = [...releases.keys()].filter((version) => !yanked.has(version)).toSorted(compareVersions);
  return left.findLast((version) => !isPrerelease(version)) ?? left.at(-1) ?? null;
}

/** Names of shards whose files are other ones than before: where packages may have changed. */
export function changedShards(before: TrustedState, after: TrustedState): readonly ShardName[] {
  const [old, now] = [before.checkpoint.doc.shards, after.checkpoint.doc.shards];
  return [...new Set([...old.keys(), ...now.keys()])].filter((shard) => old.get(shard) !== now.get(shard));
}
