/**
 * Second thoughts about what is released: yank, deprecate, withdraw, tags. Pure: a record in, the next record out.
 *
 * Releases themselves never change. `latest` is what a plain install gets, so it is never left on something that its
 * author has taken back, and nothing here moves it but `tag`.
 */
import Range from "semver/classes/range.js";
import { ImprintError } from "../errors.ts";
import { type PackageName, parsePackageName } from "../format/names.ts";
import type { PackageRecord } from "../format/record.ts";
import { compareVersions, type DistTag, parseVersion, type Version } from "../format/versions.ts";

/** `<name>@<version or range>`; without one, all versions. */
export type PackageSpec = { readonly name: PackageName; readonly range: string | null };

export type Amendment =
  | { readonly kind: "yank" | "withdraw"; readonly reason: string }
  | { readonly kind: "unyank" }
  /** An empty message takes it back. */
  | { readonly kind: "deprecate"; readonly message: string };

export type Amended = {
  readonly record: PackageRecord;
  /** Versions that it changes, lowest first; empty: all was so already. */
  readonly versions: readonly Version[];
  /** Tags that pointed at a withdrawn version, and are gone with it. */
  readonly droppedTags: readonly DistTag[];
};

const LATEST = "latest" as DistTag;
const MAX_RANGE_CHARS = 256;

/** @throws ImprintError INVALID_NAME, USAGE */
export function parsePackageSpec(text: string): PackageSpec {
  const at = text.indexOf("@", 1);
  const name = parsePackageName(at < 0 ? text : text.slice(0, at));
  const range = at < 0 ? null : text.slice(at + 1);
  if (range !== null) rangeOf(range);
  return { name, range };
}

function rangeOf(text: string): Range {
  try {
    if (text.trim() === "" || text.length > MAX_RANGE_CHARS) throw new Error("empty or too long");
    // As npm deprecate reads it: what is below 1.2 includes its prereleases.
    return new Range(text, { includePrerelease: true });
  } catch (error) {
    throw new ImprintError("USAGE", `Cannot use ${JSON.stringify(text.slice(0, 80))}: neither a version nor a range such as '<1.2'`, {
      cause: error,
    });
  }
}

/**
 * The listed versions that a spec means, lowest first.
 *
 * @throws ImprintError NOT_FOUND where it means none
 */
export function matchVersions(record: PackageRecord, { name, range }: PackageSpec): readonly Version[] {
  const wanted = range === null ? null : rangeOf(range);
  const found = [...record.releases.keys()].filter((version) => wanted === null || wanted.test(version)).toSorted(compareVersions);
  if (found.length > 0) return found;
  const withdrawn = [...record.withdrawn.keys()].filter((version) => wanted === null || wanted.test(version));
  throw new ImprintError(
    "NOT_FOUND",
    `Cannot change ${name}${range === null ? "" : `@${range}`}: ${withdrawn.length > 0 ? `${withdrawn.join(", ")} ${withdrawn.length === 1 ? "is" : "are"} withdrawn` : "no release matches"}`,
  );
}

/** @throws ImprintError TAG_REFUSED where `latest` would be left on it; NOT_FOUND */
export function amendRecord(record: PackageRecord, spec: PackageSpec, amendment: Amendment): Amended {
  const matched = matchVersions(record, spec);
  switch (amendment.kind) {
    case "yank": {
      const versions = matched.filter((version) => record.yanked.get(version) !== amendment.reason);
      requireNotLatest(record, versions, "yank");
      return unchangedTags({ ...record, yanked: withAll(record.yanked, versions, amendment.reason) }, versions);
    }
    case "unyank": {
      const versions = matched.filter((version) => record.yanked.has(version));
      return unchangedTags({ ...record, yanked: without(record.yanked, versions) }, versions);
    }
    case "deprecate": {
      const { message } = amendment;
      const versions = matched.filter((version) => (record.deprecated.get(version) ?? "") !== message);
      const deprecated = message === "" ? without(record.deprecated, versions) : withAll(record.deprecated, versions, message);
      return unchangedTags({ ...record, deprecated }, versions);
    }
    case "withdraw":
      return withdraw(record, matched, amendment.reason);
  }
}

function withdraw(record: PackageRecord, versions: readonly Version[], reason: string): Amended {
  const releases = without(record.releases, versions);
  // With nothing left there is nothing to point at.
  if (releases.size > 0) requireNotLatest(record, versions, "withdraw");
  const droppedTags = [...record.tags].filter(([, version]) => versions.includes(version)).map(([tag]) => tag);
  return {
    record: {
      ...record,
      releases,
      withdrawn: withAll(record.withdrawn, versions, reason),
      yanked: without(record.yanked, versions),
      deprecated: without(record.deprecated, versions),
      tags: without(record.tags, droppedTags),
    },
    versions,
    droppedTags,
  };
}

export type Tagged = { readonly record: PackageRecord; readonly from: Version | null };

/** Moves or makes a tag; by name and on purpose, so down or to a prerelease too. @throws ImprintError NOT_FOUND, TAG_REFUSED */
export function addTag(record: PackageRecord, version: Version, tag: DistTag): Tagged {
  matchVersions(record, { name: record.name, range: parseVersion(version) });
  if (record.yanked.has(version))
    throw new ImprintError("TAG_REFUSED", `Cannot tag ${record.name}@${version} as ${tag}: it is yanked, and no install would find it`);
  return { record: { ...record, tags: new Map([...record.tags, [tag, version]]) }, from: record.tags.get(tag) ?? null };
}

/** @throws ImprintError NOT_FOUND, TAG_REFUSED */
export function removeTag(record: PackageRecord, tag: DistTag): Tagged {
  const from = record.tags.get(tag);
  if (from === undefined) throw new ImprintError("NOT_FOUND", `Cannot remove tag ${tag} of ${record.name}: there is none`);
  if (tag === LATEST)
    throw new ImprintError("TAG_REFUSED", `Cannot remove latest of ${record.name}: a plain install needs it; move it with imprint tag add`);
  return { record: { ...record, tags: without(record.tags, [tag]) }, from };
}

function requireNotLatest(record: PackageRecord, versions: readonly Version[], verb: string): void {
  const latest = record.tags.get(LATEST);
  if (latest === undefined || !versions.includes(latest)) return;
  const other = [...record.releases.keys()]
    .filter((version) => !versions.includes(version) && !record.yanked.has(version))
    .toSorted(compareVersions)
    .at(-1);
  const next = other === undefined ? "publish another release first" : `move it first: imprint tag add '${record.name}@${other}' latest`;
  throw new ImprintError("TAG_REFUSED", `Cannot ${verb} ${record.name}@${latest}: latest points at it; ${next}`);
}

function unchangedTags(record: PackageRecord, versions: readonly Version[]): Amended {
  return { record, versions, droppedTags: [] };
}

function withAll<K, V>(map: ReadonlyMap<K, V>, keys: readonly K[], value: V): ReadonlyMap<K, V> {
  return new Map([...map, ...keys.map((key) => [key, value] as const)]);
}

function without<K, V>(map: ReadonlyMap<K, V>, keys: readonly K[]): ReadonlyMap<K, V> {
  return new Map([...map].filter(([key]) => !keys.includes(key)));
}
