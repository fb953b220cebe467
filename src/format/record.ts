/** Package records: `packages/<hh>/<scope>+<name>/record.json`. What counts of one package. */
import { type Decoder, distTag, fail, fileHash, indexId, integer, map, member, packageName, text, version } from "./decode.ts";
import type { FileHash, IndexId } from "./digest.ts";
import { FORMAT_VERSION, parseEnvelope, type Signed } from "./envelope.ts";
import { type JsonObject, jsonObject } from "./json.ts";
import type { PackageName } from "./names.ts";
import type { DistTag, Version } from "./versions.ts";

export type PackageRecord = {
  readonly index: IndexId;
  readonly name: PackageName;
  /** Grows with every record of this package; max(previous + 1, Unix time in ms). */
  readonly revision: number;
  readonly releases: ReadonlyMap<Version, FileHash>;
  /** Never served, number never used again. Version → reason. */
  readonly withdrawn: ReadonlyMap<Version, string>;
  /** Not in packuments, tarball still served. Version → reason. */
  readonly yanked: ReadonlyMap<Version, string>;
  /** Version → message. */
  readonly deprecated: ReadonlyMap<Version, string>;
  readonly tags: ReadonlyMap<DistTag, Version>;
};

/** Where there is no record yet: nothing was ever released, and revisions begin. */
export function emptyRecord(index: IndexId, name: PackageName): PackageRecord {
  return {
    index,
    name,
    revision: 0,
    releases: new Map(),
    withdrawn: new Map(),
    yanked: new Map(),
    deprecated: new Map(),
    tags: new Map(),
  };
}

/** @throws ImprintError TOO_LARGE, INVALID_DOCUMENT, UNSUPPORTED_FORMAT */
export function parseRecord(bytes: Uint8Array): Signed<PackageRecord> {
  return parseEnvelope("package", bytes, decodeRecord);
}

export function encodeRecord(record: PackageRecord, kept: JsonObject = {}): JsonObject {
  return jsonObject([
    ...Object.entries(kept),
    ["format", FORMAT_VERSION],
    ["type", "imprint.package"],
    ["index", record.index],
    ["name", record.name],
    ["revision", record.revision],
    ["releases", jsonObject(record.releases)],
    ["withdrawn", jsonObject(record.withdrawn)],
    ["yanked", jsonObject(record.yanked)],
    ["deprecated", jsonObject(record.deprecated)],
    ["tags", jsonObject(record.tags)],
  ]);
}

function decodeRecord(signed: JsonObject): PackageRecord {
  const messages: Decoder<ReadonlyMap<Version, string>> = map(version, text);
  const record: PackageRecord = {
    index: member(signed, "index", "", indexId),
    name: member(signed, "name", "", packageName),
    revision: member(signed, "revision", "", integer(0)),
    releases: member(signed, "releases", "", map(version, fileHash)),
    withdrawn: member(signed, "withdrawn", "", messages),
    yanked: member(signed, "yanked", "", messages),
    deprecated: member(signed, "deprecated", "", messages),
    tags: member(signed, "tags", "", map(distTag, version)),
  };
  requireConsistent(record);
  return record;
}

function requireConsistent({ releases, withdrawn, yanked, deprecated, tags }: PackageRecord): void {
  for (const known of withdrawn.keys()) if (releases.has(known)) fail(`withdrawn.${known}`, "absent from releases");
  for (const known of [...yanked.keys(), ...deprecated.keys(), ...tags.values()]) {
    if (!releases.has(known)) fail(known, "in releases, though yanked, deprecated or tagged");
  }
  if (releases.size > 0 && !tags.has("latest" as DistTag)) fail("tags.latest", "there, though there are releases");
  // Their files would be one on a file system that ignores case.
  const folded = [...releases.keys(), ...withdrawn.keys()].map((known) => known.toLowerCase());
  if (new Set(folded).size !== folded.length) fail("releases", "free of versions that differ only by case");
}
