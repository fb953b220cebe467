/**
 * Writing: from a believed state to the files of the next one. SPEC.md, "Writing". Pure but for signing: whoever calls
 * this has read the index first, with its own trusted state, and pushes the result with an expected old head.
 */
import { signDocument } from "../crypto/documents.ts";
import { ImprintError } from "../errors.ts";
import { type Checkpoint, encodeCheckpoint, formatShard, parseShard, type Shard } from "../format/checkpoint.ts";
import { type FileHash, fileHashOf } from "../format/digest.ts";
import type { Signed } from "../format/envelope.ts";
import type { JsonObject } from "../format/json.ts";
import { LIMITS } from "../format/limits.ts";
import type { PackageName } from "../format/names.ts";
import { CHECKPOINT_PATH, recordPath, releasePath, shardOf, type ShardName, shardPath } from "../format/paths.ts";
import { emptyRecord, encodeRecord, type PackageRecord } from "../format/record.ts";
import { type Dist, encodeRelease, type Origin, type Release } from "../format/release.ts";
import type { Root } from "../format/root.ts";
import { formatTimestamp } from "../format/time.ts";
import { compareVersions, type DistTag, isPrerelease, type Version } from "../format/versions.ts";
import type { FileChange } from "../git/port.ts";
import { type PackageView, readListed, requireFewReleases, tooManyBytes } from "./package-reader.ts";
import { publishersOf, requireGrant, signCheckpoint, type WriterKeys } from "./signers.ts";
import type { Snapshot } from "./source.ts";
import type { TrustedState } from "./trust.ts";

export type ReleaseRequest = {
  readonly name: PackageName;
  readonly version: Version;
  readonly dist: Dist;
  readonly manifest: JsonObject;
  /** Asked for by the author; null: `latest`, unless that would move it down or to a prerelease. */
  readonly tag: DistTag | null;
  /** No tag is asked for at all: `latest` moves only where there is none. */
  readonly keepsTags?: true;
  /** Of a re-issued package: where it came from. */
  readonly source?: Origin;
  /** What its upstream says to whoever installs it; never empty. */
  readonly deprecated?: string;
};

/** What decides whether a release may be made, before its tarball is at hand. */
type Asked = Pick<ReleaseRequest, "name" | "version" | "tag" | "keepsTags">;

export const LATEST = "latest" as DistTag;

/** The next record of a package, and the files of releases that come or go with it. */
export type Draft = {
  record: PackageRecord;
  kept: JsonObject;
  readonly releases: FileChange[];
  /** Of the files of all its releases: readers take no more than a package may hold. */
  readonly releasesBytes: number;
};

/**
 * The files of a commit that adds `requests`, in the order in which they may be written to a static host.
 *
 * @param packages what is there of each name now; null for a new one
 * @param nowMs Unix time in milliseconds
 * @throws ImprintError VERSION_EXISTS, NOT_GRANTED, PACKAGE_REFUSED, PACKAGE_TOO_LARGE, KEY_INVALID
 */
export async function writeReleases(options: {
  readonly state: TrustedState;
  readonly snapshot: Snapshot;
  readonly packages: ReadonlyMap<PackageName, PackageView | null>;
  readonly requests: readonly ReleaseRequest[];
  readonly keys: WriterKeys;
  readonly nowMs: number;
}): Promise<readonly FileChange[]> {
  const { state, snapshot, packages, requests, keys, nowMs } = options;
  const drafts = new Map<PackageName, Draft>();
  for (const request of requests) {
    const draft = drafts.get(request.name) ?? startDraft(state, request.name, packages.get(request.name) ?? null, nowMs);
    drafts.set(request.name, addRelease(draft, state, request, keys, nowMs));
  }
  return writeDrafts({ state, snapshot, drafts, keys, nowMs });
}

/**
 * The files of a commit that changes records and releases nothing. A release that its record now withdraws loses its file.
 *
 * @throws ImprintError NOT_GRANTED, KEY_INVALID
 */
export async function writeRecords(options: {
  readonly state: TrustedState;
  readonly snapshot: Snapshot;
  /** What stands there now, and what shall stand there but for its `revision`. */
  readonly records: readonly { readonly before: PackageView; readonly after: PackageRecord }[];
  readonly keys: WriterKeys;
  readonly nowMs: number;
}): Promise<readonly FileChange[]> {
  const { state, snapshot, records, keys, nowMs } = options;
  const drafts = records.map(({ before, after }): [PackageName, Draft] => {
    const gone = [...before.record.doc.releases.keys()].filter((version) => !after.releases.has(version));
    const { kept, record, releasesBytes } = startDraft(state, before.name, before, nowMs);
    return [
      before.name,
      {
        record: { ...after, revision: record.revision },
        kept,
        releases: gone.map((version) => ({ path: releasePath(before.name, version), content: null })),
        releasesBytes,
      },
    ];
  });
  return writeDrafts({ state, snapshot, drafts: new Map(drafts), keys, nowMs });
}

/** Releases first, then records, shards and the checkpoint: on a static host nothing is listed before it is there. */
async function writeDrafts(options: {
  readonly state: TrustedState;
  readonly snapshot: Snapshot;
  readonly drafts: ReadonlyMap<PackageName, Draft>;
  readonly keys: WriterKeys;
  readonly nowMs: number;
}): Promise<readonly FileChange[]> {
  const { state, snapshot, drafts, keys, nowMs } = options;
  const records = [...drafts].map(([name, { record, kept }]) => ({
    name,
    path: recordPath(name),
    content: signDocument("package", encodeRecord(record, kept), publishersOf(state, name, keys)),
  }));
  const hashes = new Map(records.map(({ name, content }) => [name, fileHashOf(content)]));
  const tree = await writeTree(state, snapshot, hashes, keys, nowMs);
  const files = [...drafts.values()].flatMap(({ releases }) => releases);
  return [...files, ...records.map(({ path, content }) => ({ path, content })), ...tree];
}

/**
 * Whether `requests` could be released on `state`, without a key.
 *
 * @throws ImprintError VERSION_EXISTS, NOT_GRANTED, PACKAGE_REFUSED
 */
export function requireReleasable(
  state: TrustedState,
  packages: ReadonlyMap<PackageName, PackageView | null>,
  requests: readonly Asked[],
): void {
  for (const request of requests) {
    requireGrant(state, request.name);
    const record = packages.get(request.name)?.record.doc;
    if (record === undefined) continue;
    requireNewVersion(record, request.version);
    requireFewReleases({ name: record.name, releases: new Map([...record.releases, [request.version, "" as FileHash]]) });
    nextTags(record, request);
  }
  const labels = requests.map(({ name, version }) => `${name}@${version}`);
  const twice = labels.find((label, i) => labels.indexOf(label) !== i);
  if (twice !== undefined) throw new ImprintError("VERSION_EXISTS", `Cannot publish ${twice}: it is given twice`);
}

/**
 * Shards and checkpoint over changed records; with none, the same content signed anew.
 *
 * @throws ImprintError KEY_INVALID
 */
export async function writeTree(
  state: TrustedState,
  snapshot: Snapshot,
  records: ReadonlyMap<PackageName, FileHash>,
  keys: WriterKeys,
  nowMs: number,
): Promise<readonly FileChange[]> {
  const { shards, checkpoint } = await nextTree(state, snapshot, records, { root: null, nowMs });
  return [...shards, { path: CHECKPOINT_PATH, content: signCheckpoint(state, checkpoint, keys) }];
}

/**
 * The same, with the checkpoint still to be signed.
 *
 * @param options `root`: the next one, where the change brings one; `as`: a checkpoint whose number and time are kept;
 *   `broken`: shards that are made of `records` alone
 * @throws ImprintError REQUEST_REFUSED where that checkpoint is over another tree
 */
export async function nextTree(
  state: TrustedState,
  snapshot: Snapshot,
  records: ReadonlyMap<PackageName, FileHash>,
  options: {
    readonly root: Signed<Root> | null;
    readonly nowMs: number;
    readonly as?: Checkpoint | null;
    readonly broken?: ReadonlySet<ShardName>;
  },
): Promise<{ readonly shards: readonly FileChange[]; readonly checkpoint: JsonObject }> {
  const { root, nowMs, as = null, broken = new Set<ShardName>() } = options;
  const { checkpoint } = state;
  const shards = new Map<ShardName, FileHash>(checkpoint.doc.shards);
  const byShard = new Map<ShardName, Map<PackageName, FileHash>>();
  for (const [name, hash] of records) byShard.set(shardOf(name), (byShard.get(shardOf(name)) ?? new Map()).set(name, hash));
  for (const shard of broken) if (!byShard.has(shard)) shards.delete(shard);
  const changes: FileChange[] = [];
  for (const [shard, changed] of byShard) {
    const before = broken.has(shard) ? [] : await readShard(snapshot, state, shard);
    const content = formatShard(new Map([...before, ...changed]));
    shards.set(shard, fileHashOf(content));
    changes.push({ path: shardPath(shard), content });
  }
  const next: Checkpoint = {
    ...checkpoint.doc,
    root: root === null ? checkpoint.doc.root : { version: root.doc.version, digest: root.digest },
    // Under a new root it may start anywhere, which undoes a thief's jump to 2^53−1.
    seq: as?.seq ?? (root === null ? nextNumber(checkpoint.doc.seq, nowMs) : nowMs),
    time: as?.time ?? formatTimestamp(nowMs),
    shards,
  };
  const isOther = as !== null && ([...shards].some(([shard, hash]) => as.shards.get(shard) !== hash) || as.shards.size !== shards.size);
  if (isOther) throw new ImprintError("REQUEST_REFUSED", "Cannot apply: its checkpoint is over other records than those that it brings");
  return { shards: changes, checkpoint: encodeCheckpoint(next, checkpoint.signed) };
}

/** The next `seq` or `revision`: grows without anyone remembering, and never stands on two documents. */
export function nextNumber(previous: number, nowMs: number): number {
  const next = Math.max(previous + 1, nowMs);
  if (!Number.isSafeInteger(next))
    throw new ImprintError(
      "KEY_INVALID",
      "Cannot sign: the numbers of this index are used up (a stolen key did that); its owner must run imprint root revoke",
    );
  return next;
}

/** The shard that a believed state lists; empty where it lists none. */
export async function readShard(snapshot: Snapshot, state: TrustedState, shard: ShardName): Promise<Shard> {
  const hash = state.checkpoint.doc.shards.get(shard);
  if (hash === undefined) return new Map();
  const [bytes] = await readListed(snapshot, [{ path: shardPath(shard), maxBytes: LIMITS.shardBytes, hash }]);
  return parseShard(bytes as Uint8Array, shard);
}

export function startDraft(state: TrustedState, name: PackageName, view: PackageView | null, nowMs: number): Draft {
  const before = view?.record.doc ?? emptyRecord(state.id, name);
  return {
    record: { ...before, revision: nextNumber(before.revision, nowMs) },
    kept: view?.record.signed ?? {},
    releases: [],
    releasesBytes: view?.releasesBytes ?? 0,
  };
}

/** @throws ImprintError VERSION_EXISTS, NOT_GRANTED, PACKAGE_REFUSED */
export function addRelease(
  draft: Draft,
  state: TrustedState,
  request: ReleaseRequest,
  keys: Pick<WriterKeys, "publishers">,
  nowMs: number,
): Draft {
  const { name, version, dist, manifest, source, deprecated } = request;
  const { record } = draft;
  requireNewVersion(record, version);
  const published = formatTimestamp(nowMs);
  const release: Release = { index: state.id, name, version, published, dist, manifest, ...(source === undefined ? {} : { source }) };
  // A release takes one signature; thresholds are the record's.
  const content = signDocument("release", encodeRelease(release), publishersOf(state, name, keys, 1));
  const releases = new Map([...record.releases, [version, fileHashOf(content)]]);
  const releasesBytes = draft.releasesBytes + content.byteLength;
  requireFewReleases({ name, releases });
  if (releasesBytes > LIMITS.packageReleasesBytes) throw tooManyBytes(name);
  return {
    ...draft,
    releasesBytes,
    record: {
      ...record,
      releases,
      deprecated: deprecated === undefined ? record.deprecated : new Map([...record.deprecated, [version, deprecated]]),
      tags: nextTags(record, request),
    },
    releases: [...draft.releases, { path: releasePath(name, version), content }],
  };
}

/** Numbers are never used twice: not for what was withdrawn, and not in another case. */
export function requireNewVersion(record: PackageRecord, version: Version): void {
  for (const known of [...record.releases.keys(), ...record.withdrawn.keys()]) {
    if (known === version)
      throw new ImprintError(
        "VERSION_EXISTS",
        `Cannot publish ${record.name}@${version}: it is ${record.withdrawn.has(version) ? "withdrawn, and its number is never used again" : "published already"}`,
      );
    if (known.toLowerCase() === version.toLowerCase())
      throw new ImprintError("VERSION_EXISTS", `Cannot publish ${record.name}@${version}: ${known} differs only by case`);
  }
}

function nextTags(record: PackageRecord, { name, version, tag, keepsTags }: Asked): ReadonlyMap<DistTag, Version> {
  const latest = record.tags.get(LATEST);
  const tags = new Map(record.tags);
  if (keepsTags === true && latest !== undefined) return tags;
  if (tag === null && latest !== undefined) {
    const why =
      isPrerelease(version) && !isPrerelease(latest)
        ? "it is a prerelease"
        : compareVersions(version, latest) < 0
          ? `it is lower than ${latest}`
          : null;
    if (why !== null)
      throw new ImprintError("PACKAGE_REFUSED", `Cannot publish ${name}@${version} as latest: ${why}; name a tag with --tag`);
  }
  tags.set(tag ?? LATEST, version);
  // npm clients need a latest: the first release is it, whatever its tag.
  if (latest === undefined) tags.set(LATEST, version);
  return tags;
}
