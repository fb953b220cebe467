/**
 * What is new in an index since an older state of it that this machine has believed. Sync itself walks nothing; this is for
 * who wants to read of it, and costs no more than the shards that changed and a bounded number of packages.
 */
import { redactUrl } from "../git/url.ts";
import { isImprintError } from "../errors.ts";
import { parseShard } from "../format/checkpoint.ts";
import type { FileHash } from "../format/digest.ts";
import type { PublicKey } from "../format/keys.ts";
import { LIMITS } from "../format/limits.ts";
import type { PackageName } from "../format/names.ts";
import { type ShardName, shardPath } from "../format/paths.ts";
import { emptyRecord, type PackageRecord } from "../format/record.ts";
import type { Root } from "../format/root.ts";
import type { Version } from "../format/versions.ts";
import { type Catalogue, changedShards } from "./catalogue.ts";
import { readListed } from "./package-reader.ts";
import type { IndexReader } from "./reader.ts";
import type { Snapshot } from "./source.ts";
import type { SyncResult } from "./sync.ts";
import { inFile, newestRoot, type TrustedState } from "./trust.ts";

export type PackageNews = {
  readonly name: PackageName;
  readonly released: readonly Version[];
  readonly withdrawn: readonly Version[];
  readonly yanked: readonly Version[];
  readonly unyanked: readonly Version[];
  readonly deprecated: readonly Version[];
  readonly undeprecated: readonly Version[];
  /** Tag → version; null: the tag is gone. */
  readonly tags: Readonly<Record<string, Version | null>>;
};

export type IndexNews = {
  /** For each new root, what it changed, in words. */
  readonly roots: readonly { readonly version: number; readonly changes: readonly string[] }[];
  /** Packages that this machine had read before. */
  readonly packages: readonly PackageNews[];
  /** Names that were not there; null where the older state is no longer here to be compared with. */
  readonly added: readonly PackageName[] | null;
  /** Of the others that changed: how many; null as above. */
  readonly more: number | null;
};

/** Packages that are read; shards whose older files may have to be fetched again. */
const MAX_PACKAGES = 50;
const MAX_SHARDS = 64;

/**
 * @param claims whether the index answers for a name: of others nothing is said
 */
export async function readNews(
  reader: Pick<IndexReader, "look" | "lookBack" | "readPackage" | "remembered">,
  { before, beforeAt, stored }: Pick<SyncResult, "before" | "beforeAt" | "stored">,
  claims: (name: PackageName) => boolean,
): Promise<IndexNews | null> {
  if (before === null) return null;
  const after = stored.state;
  const shards = changedShards(before, after);
  const now = await reader.look((snapshot, state) => readShards(snapshot, state, shards));
  const then = await readThen(reader, before, beforeAt, shards);
  const changed = [...now].filter(([name, hash]) => claims(name) && then?.get(name) !== hash).map(([name]) => name);
  const packages: PackageNews[] = [];
  let read = 0;
  for (const name of changed) {
    if (read >= MAX_PACKAGES) break;
    const old = await reader.remembered(name); // before it is read anew
    if (old === null) continue;
    read++;
    try {
      const { view } = await reader.readPackage(name);
      const news = view === null ? null : recordNews(old, view.record.doc);
      if (news !== null) packages.push(news);
    } catch (error) {
      if (!isImprintError(error)) throw error; // who asks for it will hear of it
    }
  }
  const told = new Set<PackageName>(packages.map(({ name }) => name));
  const added = then === null ? null : changed.filter((name) => !then.has(name) && !told.has(name));
  return {
    roots: rootNews(before, after),
    packages,
    added,
    more: added === null ? null : changed.length - told.size - added.length,
  };
}

async function readShards(snapshot: Snapshot, state: TrustedState, wanted: readonly ShardName[]): Promise<Catalogue> {
  const listed = wanted.flatMap((shard) => {
    const hash = state.checkpoint.doc.shards.get(shard);
    return hash === undefined ? [] : [{ shard, path: shardPath(shard), maxBytes: LIMITS.shardBytes, hash }];
  });
  const files = await readListed(snapshot, listed);
  const found = new Map<PackageName, FileHash>();
  for (const [i, { shard }] of listed.entries())
    for (const [name, hash] of inFile(shardPath(shard), "reading 6", () => parseShard(files[i] as Uint8Array, shard)))
      found.set(name, hash);
  return found;
}

async function readThen(
  reader: Pick<IndexReader, "lookBack">,
  before: TrustedState,
  at: string | null,
  shards: readonly ShardName[],
): Promise<Catalogue | null> {
  if (at === null || shards.length > MAX_SHARDS) return null;
  try {
    return await reader.lookBack({ state: before, at }, (snapshot, state) => readShards(snapshot, state, shards));
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return null; // squashed away, or pruned here
  }
}

/**
 * Null where nothing changed that anybody would notice.
 *
 * @param known null: there was no such package
 */
export function recordNews(known: PackageRecord | null, after: PackageRecord): PackageNews | null {
  const before = known ?? emptyRecord(after.index, after.name);
  const newIn = (old: ReadonlyMap<Version, unknown>, now: ReadonlyMap<Version, unknown>): Version[] =>
    [...now.keys()].filter((version) => !old.has(version));
  const left = (versions: readonly Version[]): Version[] => versions.filter((version) => after.releases.has(version));
  const names = new Set([...before.tags.keys(), ...after.tags.keys()]);
  const tags = [...names]
    .filter((tag) => before.tags.get(tag) !== after.tags.get(tag))
    .map((tag) => [tag, after.tags.get(tag) ?? null] as const);
  const news: PackageNews = {
    name: after.name,
    released: newIn(before.releases, after.releases),
    withdrawn: newIn(before.withdrawn, after.withdrawn),
    yanked: newIn(before.yanked, after.yanked),
    unyanked: left(newIn(after.yanked, before.yanked)),
    deprecated: [...after.deprecated]
      .filter(([version, message]) => before.deprecated.get(version) !== message)
      .map(([version]) => version),
    undeprecated: left(newIn(after.deprecated, before.deprecated)),
    tags: Object.fromEntries(tags),
  };
  const { released, withdrawn, yanked, unyanked, deprecated, undeprecated } = news;
  const some = [released, withdrawn, yanked, unyanked, deprecated, undeprecated].some((list) => list.length > 0);
  return some || tags.length > 0 ? news : null;
}

/** Each root after the older state's, against the one before it. */
export function rootNews(before: TrustedState, after: TrustedState): IndexNews["roots"] {
  const known = newestRoot(before.roots).doc.version;
  return after.roots.flatMap(({ doc }, i) => {
    const previous = after.roots[i - 1]?.doc;
    return doc.version <= known || previous === undefined ? [] : [{ version: doc.version, changes: rootChanges(previous, doc) }];
  });
}

export function rootChanges(before: Root, after: Root): readonly string[] {
  const changes: string[] = [];
  const compare = <T>(old: readonly T[], now: readonly T[], say: (item: T, what: "added" | "removed") => string): void => {
    for (const item of now) if (!old.includes(item)) changes.push(say(item, "added"));
    for (const item of old) if (!now.includes(item)) changes.push(say(item, "removed"));
  };
  const keys = (
    role: string,
    old: { keys: readonly PublicKey[]; threshold: number },
    now: { keys: readonly PublicKey[]; threshold: number },
  ): void => {
    compare(old.keys, now.keys, (key, what) => `${role} key ${key} ${what}`);
    if (old.threshold !== now.threshold) changes.push(`${role} now takes ${now.threshold} of ${now.keys.length} keys`);
  };
  keys("root", before.roles.root, after.roles.root);
  keys("checkpoint", before.roles.checkpoint, after.roles.checkpoint);
  const byPattern = (root: Root): Map<string, Root["publishers"][number]> =>
    new Map(root.publishers.flatMap((entry) => entry.packages.map((pattern) => [pattern, entry] as const)));
  const [old, now] = [byPattern(before), byPattern(after)];
  compare([...old.keys()], [...now.keys()], (pattern, what) =>
    what === "added" ? `it may publish ${pattern}` : `it may no longer publish ${pattern}`,
  );
  // A key of many names is one change, not one for each name.
  const of = (root: Root): PublicKey[] => [...new Set(root.publishers.flatMap((entry) => entry.keys))];
  compare(of(before), of(after), (key, what) => `publisher key ${key} ${what}`);
  for (const [pattern, entry] of now) {
    const threshold = old.get(pattern)?.threshold;
    if (threshold !== undefined && threshold !== entry.threshold)
      changes.push(`releases of ${pattern} now take ${entry.threshold} of ${entry.keys.length} keys`);
  }
  if (before.refreshDays !== after.refreshDays)
    changes.push(
      after.refreshDays === 0
        ? "it no longer promises to sign again"
        : `it promises to sign again at least every ${after.refreshDays} days`,
    );
  if (before.name !== after.name) changes.push(`it calls itself ${after.name}, before ${before.name}`);
  compare(before.mirrors, after.mirrors, (url, what) => `mirror ${redactUrl(url)} ${what}`);
  compare(before.tarballs, after.tarballs, (source, what) => `tarball source ${source} ${what}`);
  const introduced = (root: Root): string[] =>
    root.introductions.map(({ id, url, packages }) => `${packages.join(" ")} at ${redactUrl(url)}#${id}`);
  compare(introduced(before), introduced(after), (text, what) =>
    what === "added" ? `it introduces ${text}; imprint add takes it, or deny it upstream` : `it no longer introduces ${text}`,
  );
  return changes.length === 0 ? ["nothing that matters to readers"] : changes;
}
