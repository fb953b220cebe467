/** What an index holds, for a person who is about to trust it. Reads the shards, not the packages. */
import { parseShard } from "../format/checkpoint.ts";
import { LIMITS } from "../format/limits.ts";
import { type PackageName, type PackagePattern, scopeOf } from "../format/names.ts";
import { shardPath } from "../format/paths.ts";
import { publishersFor } from "../format/root.ts";
import { readListed } from "./package-reader.ts";
import type { Snapshot } from "./source.ts";
import { inFile, newestRoot, type TrustedState } from "./trust.ts";

/** Every package name of the index that its root grants, sorted. */
export async function listPackages(snapshot: Snapshot, state: TrustedState): Promise<readonly PackageName[]> {
  const shards = [...state.checkpoint.doc.shards];
  const files = await readListed(
    snapshot,
    shards.map(([shard, hash]) => ({ path: shardPath(shard), maxBytes: LIMITS.shardBytes, hash })),
  );
  const root = newestRoot(state.roots).doc;
  return shards
    .flatMap(([shard], i) => [...inFile(shardPath(shard), "reading 6", () => parseShard(files[i] as Uint8Array, shard)).keys()])
    .filter((name) => publishersFor(root, name) !== null)
    .toSorted();
}

/**
 * What `add` claims unless told otherwise: the scopes that the index publishes in; of an empty index, those it may
 * publish in. Unscoped names are never claimed unasked: they belong to everybody.
 */
export function scopesOf(names: readonly PackageName[], state: TrustedState): readonly PackagePattern[] {
  const granted = newestRoot(state.roots).doc.publishers.flatMap(({ packages }) => packages);
  const published = names.map(scopeOf).filter((scope) => scope !== null);
  const scopes =
    published.length > 0
      ? published
      : granted.filter((pattern) => pattern.startsWith("@")).map((pattern) => pattern.slice(0, pattern.indexOf("/")));
  return [...new Set(scopes)].toSorted().map((scope) => `${scope}/*` as PackagePattern);
}
