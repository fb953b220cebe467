/**
 * After a theft: what a stolen key did since a state that its owner trusts, and the records that undo it.
 *
 * Nothing of the newer state is believed because it is signed: the thief could sign. What differs from the trusted state is a
 * suspect, and the owner says of each whether it stays. What was taken away (a package that was dropped, a record that was
 * replayed, a release that was replaced) comes back by itself.
 */
import { ImprintError, isImprintError } from "../../errors.ts";
import { parseShard } from "../../format/checkpoint.ts";
import { fileHashOf, type FileHash, type IndexId } from "../../format/digest.ts";
import type { Signed } from "../../format/envelope.ts";
import { type PublicKey, shortKey } from "../../format/keys.ts";
import { LIMITS } from "../../format/limits.ts";
import type { PackageName } from "../../format/names.ts";
import { recordPath, releasePath, type ShardName, shardPath } from "../../format/paths.ts";
import { emptyRecord, type PackageRecord } from "../../format/record.ts";
import { publishersFor } from "../../format/root.ts";
import { compareVersions, type DistTag, isPrerelease, type Version } from "../../format/versions.ts";
import type { FileChange } from "../../git/port.ts";
import { requireNoRegress } from "../memory.ts";
import { recordNews } from "../news.ts";
import { judgeRelease, readListed, verifyRecord } from "../package-reader.ts";
import type { Snapshot } from "../source.ts";
import { inFile, type TrustedState } from "../trust.ts";
import { LATEST } from "../writer.ts";

type Base = { readonly state: TrustedState; readonly snapshot: Snapshot };

export type Suspect = {
  /** What the owner answers by: `<name>@<version>` of a release, `<name>` of other changes of the record. */
  readonly spec: string;
  readonly kind: "release" | "record";
  readonly name: PackageName;
  /** Of a release. */
  readonly version: Version | null;
  /** What was done, for people: what the thief wrote is in it. */
  readonly words: string;
};

export type Surveyed = {
  readonly name: PackageName;
  /** As the index has it and readers take it; null: not so. */
  readonly now: Signed<PackageRecord> | null;
  readonly trusted: Signed<PackageRecord> | null;
  readonly suspects: readonly Suspect[];
  /** What comes back whatever the owner says, for people. */
  readonly restored: readonly string[];
};

export type Survey = {
  readonly packages: readonly Surveyed[];
  /** Shards that readers cannot read any more: they are made anew from the trusted state. */
  readonly broken: ReadonlySet<ShardName>;
};

/** Whether a suspect stays. */
export type Decide = (suspect: Suspect) => boolean;

/**
 * @param then the state that the owner trusts; null: none
 * @throws ImprintError where the trusted state itself cannot be read
 */
export async function survey(now: Base, then: Base | null, stolen: ReadonlySet<PublicKey>): Promise<Survey> {
  const broken = new Set<ShardName>();
  const before = then === null ? new Map<PackageName, FileHash>() : await recordHashes(then, null);
  const after = await recordHashes(now, broken);
  const packages: Surveyed[] = [];
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const [old, current] = [before.get(name), after.get(name)];
    if (old === current) continue;
    const trusted = then === null || old === undefined ? null : await readRecord(then, name, old);
    const record = current === undefined ? null : await readRecord(now, name, current).catch(orNull);
    packages.push(await compare(now, { name, now: record, trusted }, stolen));
  }
  return { packages: packages.filter(({ suspects, restored }) => suspects.length + restored.length > 0), broken };
}

/** Every record of a state; where `broken` is given, shards that cannot be read are put there. */
async function recordHashes({ state, snapshot }: Base, broken: Set<ShardName> | null): Promise<Map<PackageName, FileHash>> {
  const found = new Map<PackageName, FileHash>();
  for (const [shard, hash] of state.checkpoint.doc.shards) {
    try {
      const [bytes] = await readListed(snapshot, [{ path: shardPath(shard), maxBytes: LIMITS.shardBytes, hash }]);
      for (const [name, record] of inFile(shardPath(shard), "reading 6", () => parseShard(bytes as Uint8Array, shard)))
        found.set(name, record);
    } catch (error) {
      if (broken === null || !isImprintError(error)) throw error;
      broken.add(shard);
    }
  }
  return found;
}

async function readRecord({ state, snapshot }: Base, name: PackageName, hash: FileHash): Promise<Signed<PackageRecord>> {
  const [bytes] = await readListed(snapshot, [{ path: recordPath(name), maxBytes: LIMITS.recordBytes, hash }]);
  return verifyRecord(state, name, bytes as Uint8Array);
}

async function compare(base: Base, pair: Pick<Surveyed, "name" | "now" | "trusted">, stolen: ReadonlySet<PublicKey>): Promise<Surveyed> {
  const { name, now, trusted } = pair;
  if (now === null)
    return { ...pair, suspects: [], restored: [`${name}, which was ${trusted === null ? "made unreadable" : "taken away"}`] };
  if (trusted !== null && isRegress(trusted, now)) {
    // Replayed, or releases taken away. What is new in it is still to be judged.
    const restored = [
      `${name}, as revision ${trusted.doc.revision} had it: an older record, or one without some of its releases, was put there`,
    ];
    return { ...pair, suspects: now.doc.revision < trusted.doc.revision ? [] : await suspectsOf(base, pair, stolen), restored };
  }
  // Not only where they signed the record as it is now: others may have signed since, on top of what the thief did.
  const isWithinReach = base.state.roots.some(({ doc }) => publishersFor(doc, name)?.keys.some((key) => stolen.has(key)) === true);
  return { ...pair, suspects: isWithinReach ? await suspectsOf(base, pair, stolen) : [], restored: [] };
}

function isRegress(trusted: Signed<PackageRecord>, now: Signed<PackageRecord>): boolean {
  try {
    requireNoRegress(trusted, now);
    return false;
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return true;
  }
}

async function suspectsOf(
  base: Base,
  { name, now, trusted }: Pick<Surveyed, "name" | "now" | "trusted">,
  stolen: ReadonlySet<PublicKey>,
): Promise<readonly Suspect[]> {
  const { doc: record, signatures } = now as Signed<PackageRecord>;
  const before = trusted?.doc ?? emptyRecord(record.index, name);
  const suspects: Suspect[] = [];
  for (const version of addedTo(before, record).toSorted(compareVersions)) {
    const words = await releaseWords(base, name, version, record.releases.get(version) as FileHash, stolen);
    if (words !== null) suspects.push({ spec: `${name}@${version}`, kind: "release", name, version, words });
  }
  const words = changeWords(before, record);
  if (words.length > 0) {
    const others = signatures.some(({ key }) => stolen.has(key)) ? [] : signatures.map(({ key }) => key);
    const by = others.length === 0 ? "" : `, by one of them or by ${others.map(shortKey).join(", ")}, who signed last`;
    suspects.push({ spec: name, kind: "record", name, version: null, words: `${words.join(", ")}${by}` });
  }
  return suspects;
}

/** Null: others signed it, whatever the thief's record says of it. */
async function releaseWords(base: Base, name: PackageName, version: Version, hash: FileHash, stolen: ReadonlySet<PublicKey>) {
  const path = releasePath(name, version);
  const bytes = await readListed(base.snapshot, [{ path, maxBytes: LIMITS.releaseBytes, hash }]).catch(orNull);
  if (bytes === null) return "its file is not there";
  const verdict = judgeRelease(base.state, name, version, bytes[0] as Uint8Array, false);
  if (!("release" in verdict)) return `no reader takes it: ${verdict.reason}`;
  if (!verdict.signers.some((key) => stolen.has(key))) return null;
  const { published, dist } = verdict.release.doc;
  return `released, it says on ${published}, ${dist.integrity}`;
}

function changeWords(before: PackageRecord, after: PackageRecord): readonly string[] {
  const news = recordNews(before, after);
  if (news === null) return [];
  const added = new Set<Version | null>(addedTo(before, after));
  const parts = (["withdrawn", "yanked", "unyanked", "deprecated", "undeprecated"] as const).flatMap((what) => {
    // What became of a new release goes with it.
    const versions = news[what].filter((version) => !added.has(version));
    return versions.length === 0 ? [] : [`${what} ${versions.join(", ")}`];
  });
  const tags = Object.entries(news.tags)
    .filter(([, version]) => !added.has(version))
    .map(([tag, version]) => (version === null ? `removed tag ${tag}` : `moved tag ${tag} to ${version}`));
  return [...parts, ...tags];
}

function addedTo(before: PackageRecord, after: PackageRecord): readonly Version[] {
  return [...after.releases.keys()].filter((version) => !before.releases.has(version));
}

/**
 * The record that a package shall have: the trusted one, and of what came since what the owner keeps. What is not kept is
 * withdrawn, so that its number is never used again.
 *
 * @param reason why, for whoever asks
 */
export function recoveredRecord(
  { name, now, trusted, suspects }: Surveyed,
  index: IndexId,
  decide: Decide,
  { nowMs, reason }: { readonly nowMs: number; readonly reason: string },
): PackageRecord {
  const empty = emptyRecord(index, name);
  const [before, after] = [trusted?.doc ?? empty, now?.doc ?? trusted?.doc ?? empty];
  const refused = new Set(suspects.filter((one) => one.kind === "release" && !decide(one)).map(({ version }) => version as Version));
  const changes = suspects.find(({ kind }) => kind === "record");
  // An older record that was put back is no change that anybody could want.
  const isReplay = now !== null && trusted !== null && now.doc.revision < trusted.doc.revision;
  const start = changes !== undefined && decide(changes) ? after : before;
  const added = isReplay ? [] : addedTo(before, after).filter((version) => !refused.has(version));
  const withdrawn = new Map([...start.withdrawn, ...[...refused].map((version) => [version, reason] as const)]);
  const releases = new Map(
    [...before.releases, ...added.map((version) => [version, after.releases.get(version) as FileHash] as const)].filter(
      ([version]) => !withdrawn.has(version),
    ),
  );
  const isNew = new Set<Version>(added);
  const listOf = (what: "yanked" | "deprecated"): ReadonlyMap<Version, string> =>
    new Map([...start[what], ...[...after[what]].filter(([version]) => isNew.has(version))].filter(([version]) => releases.has(version)));
  const yanked = listOf("yanked");
  const tags = new Map(
    [...start.tags, ...[...after.tags].filter(([, version]) => isNew.has(version))].filter(([, version]) => releases.has(version)),
  );
  // The thief's release stood on it: it goes to what a plain publish of the kept ones would have moved it to.
  const moved = refused.has(after.tags.get(LATEST) as Version)
    ? added
        .filter((version) => !yanked.has(version) && !isPrerelease(version))
        .toSorted(compareVersions)
        .at(-1)
    : undefined;
  const old = tags.get(LATEST);
  if (moved !== undefined && (old === undefined || compareVersions(moved, old) > 0)) tags.set(LATEST, moved);
  const latest = tags.has(LATEST) ? null : highestOf(releases, yanked);
  return {
    index,
    name,
    revision: Math.max(nowMs, before.revision + 1),
    releases,
    withdrawn,
    yanked,
    deprecated: listOf("deprecated"),
    tags: latest === null ? tags : new Map<DistTag, Version>([...tags, [LATEST, latest]]),
  };
}

function highestOf(releases: ReadonlyMap<Version, unknown>, yanked: ReadonlyMap<Version, unknown>): Version | null {
  const all = [...releases.keys()].toSorted(compareVersions);
  const good = all.filter((version) => !yanked.has(version));
  return good.findLast((version) => !isPrerelease(version)) ?? good.at(-1) ?? all.at(-1) ?? null;
}

/**
 * The files of releases that the index does not have as the record lists them any more, from the trusted state; and those of
 * withdrawn ones, to be removed.
 *
 * @throws ImprintError MISSING_FILE where neither state has the bytes
 */
export async function recoveredFiles(
  now: Base,
  then: Base | null,
  record: PackageRecord,
  before: PackageRecord | null,
): Promise<readonly FileChange[]> {
  const { name, releases, withdrawn } = record;
  const changes: FileChange[] = [];
  const listed = [...releases].map(([version, hash]) => ({ path: releasePath(name, version), maxBytes: LIMITS.releaseBytes, hash }));
  const reads = await now.snapshot.readFiles(listed);
  const missing = listed.filter(({ hash }, i) => {
    const read = reads[i];
    return read?.state !== "found" || fileHashOf(read.bytes) !== hash;
  });
  const found = missing.length === 0 || then === null ? [] : await readListed(then.snapshot, missing);
  for (const [i, { path }] of missing.entries()) {
    const content = found[i];
    if (content === undefined)
      throw new ImprintError("MISSING_FILE", `Cannot keep ${path}: its bytes are gone; withdraw it`, { file: path });
    changes.push({ path, content });
  }
  const gone = [...withdrawn.keys()].filter((version) => before?.releases.has(version) === true);
  return [...changes, ...gone.map((version) => ({ path: releasePath(name, version), content: null }))];
}

function orNull(error: unknown): null {
  if (!isImprintError(error)) throw error;
  return null;
}
