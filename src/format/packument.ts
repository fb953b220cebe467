/**
 * Packuments: what npm clients read. Pure functions from verified releases to the two documents.
 *
 * Manifests are carried verbatim in releases, so all normalising is done here: what an author wrote oddly must neither
 * crash a client nor vanish. `dist.tarball` follows npm's convention exactly, on the origin that the client asked,
 * because npm 12 refuses any other and lockfiles of pnpm and yarn then hold no address at all.
 */
import { isJsonObject, type JsonObject, jsonObject, type JsonValue } from "./json.ts";
import { baseNameOf, type PackageName, type PublicName } from "./names.ts";
import { MANIFEST_FIELDS, type Release } from "./release.ts";
import type { Timestamp } from "./time.ts";
import { compareVersions, type DistTag, type Version } from "./versions.ts";

export type PackumentVersion = {
  readonly release: Release;
  /** When clients may take it to have appeared. */
  readonly time: Timestamp;
  readonly deprecated: string | undefined;
  /** `dist.signatures`: of whoever serves it, not of the author. */
  readonly signatures?: readonly { readonly keyid: string; readonly sig: string }[];
};

export type PackumentSource = {
  readonly name: PackageName;
  /** In any order. */
  readonly versions: readonly PackumentVersion[];
  readonly tags: ReadonlyMap<DistTag, Version>;
  /** Display name of the index: npm shows it as the maintainer. */
  readonly maintainer: string;
};

const TOP_LEVEL = ["description", "keywords", "license", "author", "homepage", "repository", "bugs"] as const;
/** What installing needs. The top-level fields are for people, and left out of the abbreviated packument. */
const ABBREVIATED: readonly string[] = MANIFEST_FIELDS.filter((field) => !TOP_LEVEL.some((name) => name === field));
const STRING_MAPS: ReadonlySet<string> = new Set(["dependencies", "optionalDependencies", "peerDependencies", "acceptDependencies"]);

/** @param base origin and prefix without a final slash, e.g. `http://127.0.0.1:4870` */
export function tarballUrl(base: string, name: PublicName, version: Version): string {
  return `${base}/${name}/-/${tarballFileName(name, version)}`;
}

export function tarballFileName(name: PublicName, version: Version): string {
  return `${baseNameOf(name)}-${version}.tgz`;
}

/** A packument whose versions are made one at a time: of a package with thousands of them, a caller may rest in between. */
export type PackumentParts = {
  readonly before: readonly (readonly [string, JsonValue])[];
  readonly versions: readonly PackumentVersion[];
  readonly versionOf: (entry: PackumentVersion) => JsonObject;
  readonly after: readonly (readonly [string, JsonValue])[];
};

/** The text piece by piece: together what `JSON.stringify` makes of the whole. */
export function* packumentText({ before, versions, versionOf, after }: PackumentParts): Generator<string> {
  yield `{${before.map(memberText).join("")}"versions":{`;
  for (const [i, entry] of versions.entries())
    yield `${i === 0 ? "" : ","}${JSON.stringify(entry.release.version)}:${JSON.stringify(versionOf(entry))}`;
  yield `}${after.map((member) => `,${memberText(member).slice(0, -1)}`).join("")}}`;
}

/** With a comma behind it. */
function memberText([name, value]: readonly [string, JsonValue]): string {
  return `${JSON.stringify(name)}:${JSON.stringify(value)},`;
}

/** @param dress what is added to a version when its turn comes, such as signatures */
export function fullPackument(
  source: PackumentSource,
  base: string,
  dress: (entry: PackumentVersion) => PackumentVersion = (entry) => entry,
): PackumentParts {
  const sorted = source.versions.toSorted((a, b) => compareVersions(a.release.version, b.release.version));
  const latest = source.tags.get("latest" as DistTag);
  const shown = sorted.find(({ release }) => release.version === latest)?.release ?? sorted.at(-1)?.release;
  const maintainers = [jsonObject([["name", source.maintainer]])];
  return {
    before: [
      ["_id", source.name],
      ["name", source.name],
      ["dist-tags", jsonObject(source.tags)],
    ],
    versions: sorted,
    versionOf: (entry) => fullVersion(dress(entry), base, maintainers),
    after: [
      ["time", times(sorted)],
      ["maintainers", maintainers],
      ...(shown === undefined ? [] : pick(shown.manifest, TOP_LEVEL)),
      ["readme", ""],
    ],
  };
}

export function abbreviatedPackument(source: PackumentSource, base: string): PackumentParts {
  const sorted = source.versions.toSorted((a, b) => compareVersions(a.release.version, b.release.version));
  const time = times(sorted);
  return {
    before: [
      ["name", source.name],
      ["dist-tags", jsonObject(source.tags)],
    ],
    versions: sorted,
    versionOf: (entry) => abbreviatedVersion(entry, base),
    after: [
      ["modified", time["modified"] ?? null],
      // Clients with a minimum-age gate then need no second, full document.
      ["time", time],
    ],
  };
}

/** One version as `GET /<name>/<version>` answers. */
export function versionManifest(
  source: PackumentSource,
  version: Version,
  base: string,
  dress: (entry: PackumentVersion) => PackumentVersion = (entry) => entry,
): JsonObject | null {
  const entry = source.versions.find(({ release }) => release.version === version);
  return entry === undefined ? null : fullVersion(dress(entry), base, [jsonObject([["name", source.maintainer]])]);
}

function fullVersion(entry: PackumentVersion, base: string, maintainers: JsonValue[]): JsonObject {
  const { name, version, manifest } = entry.release;
  return jsonObject([
    ...normalised(manifest, name, MANIFEST_FIELDS),
    ["name", name],
    ["version", version],
    ["_id", `${name}@${version}`],
    ["maintainers", maintainers],
    ...common(entry, base),
  ]);
}

function abbreviatedVersion(entry: PackumentVersion, base: string): JsonObject {
  const { name, version, manifest } = entry.release;
  return jsonObject([...normalised(manifest, name, ABBREVIATED), ["name", name], ["version", version], ...common(entry, base)]);
}

function common({ release, deprecated, signatures }: PackumentVersion, base: string): [string, JsonValue][] {
  const { name, version, dist, manifest } = release;
  const entries: [string, JsonValue][] = [
    [
      "dist",
      jsonObject([
        ["integrity", dist.integrity],
        ["shasum", dist.shasum],
        ["tarball", tarballUrl(base, name, version)],
        ["fileCount", dist.fileCount],
        ["unpackedSize", dist.unpackedSize],
        ...(signatures === undefined ? [] : [["signatures", signatures] as [string, JsonValue]]),
      ]),
    ],
  ];
  if (manifest["hasInstallScript"] === true) entries.push(["hasInstallScript", true]);
  if (manifest["hasShrinkwrap"] === true) entries.push(["_hasShrinkwrap", true]);
  if (deprecated !== undefined) entries.push(["deprecated", deprecated]);
  return entries;
}

function normalised(manifest: JsonObject, name: PackageName, fields: readonly string[]): [string, JsonValue][] {
  const entries: [string, JsonValue][] = [];
  for (const field of fields) {
    const value = Object.hasOwn(manifest, field) ? manifest[field] : undefined;
    if (value === undefined) continue;
    if (field === "bin") entries.push([field, typeof value === "string" ? jsonObject([[baseNameOf(name), value]]) : value]);
    else if (field === "bundledDependencies") entries.push(["bundleDependencies", value]);
    // A range map with anything but strings in it stops some clients: the rest of the package still installs.
    else if (STRING_MAPS.has(field)) entries.push([field, onlyStrings(value)]);
    else entries.push([field, value]);
  }
  return entries;
}

function onlyStrings(value: JsonValue): JsonObject {
  if (!isJsonObject(value)) return jsonObject([]);
  return jsonObject(Object.entries(value).filter(([, range]) => typeof range === "string"));
}

function times(versions: readonly PackumentVersion[]): JsonObject {
  const all = versions.map(({ time }) => time).toSorted();
  const first = all[0];
  const last = all.at(-1);
  if (first === undefined || last === undefined) return jsonObject([]);
  return jsonObject([["created", first], ["modified", last], ...versions.map(({ release, time }) => [release.version, time] as const)]);
}

function pick(from: JsonObject, fields: readonly string[]): [string, JsonValue][] {
  return fields.flatMap((field): [string, JsonValue][] => {
    const value = Object.hasOwn(from, field) ? from[field] : undefined;
    return value === undefined ? [] : [[field, value]];
  });
}
