/** Upstream's packuments: hostile until parsed. Tarball addresses become ours; all else stays as it came. */
import compare from "semver/functions/compare.js";
import lt from "semver/functions/lt.js";
import prerelease from "semver/functions/prerelease.js";
import valid from "semver/functions/valid.js";
import { oddDependencies, type OddDependency } from "../../format/dependencies.ts";
import { ImprintError } from "../../errors.ts";
import { isJsonObject, type JsonObject, type JsonValue, requireDepth } from "../../format/json.ts";
import type { PublicName } from "../../format/names.ts";
import { tarballFileName, tarballUrl } from "../../format/packument.ts";
import type { Version } from "../../format/versions.ts";
import type { Published } from "../port.ts";

export type UpstreamTarball = {
  readonly url: string;
  /** sha512 where there is one, else the strongest that there is. */
  readonly algorithm: "sha512" | "sha384" | "sha256" | "sha1";
  readonly hex: string;
  /** Of its version's manifest, where there are any. */
  readonly odd?: readonly OddDependency[];
};

/** Why a version is not offered, by its dependencies; null: it is. */
export type RefuseVersion = (name: PublicName, odd: readonly OddDependency[]) => string | null;

/** @throws ImprintError UPSTREAM_FAILED where it is no packument of that name */
export function parseUpstreamPackument(text: string, name: PublicName): JsonObject {
  let value: JsonValue;
  try {
    requireDepth(text, 1000);
    value = JSON.parse(text) as JsonValue;
  } catch (error) {
    throw new ImprintError("UPSTREAM_FAILED", `Cannot read ${name}: the registry did not answer with JSON`, { cause: error });
  }
  // Another name here would let one package's answer stand for another's in every cache on the way.
  if (!isJsonObject(value) || value["name"] !== name || !isJsonObject(value["versions"])) {
    throw new ImprintError("UPSTREAM_FAILED", `Cannot read ${name}: the registry answered with something else`);
  }
  return value;
}

/** The same document without versions that are refused; a `latest` that is one falls to the highest release below. */
export function withoutRefused(packument: JsonObject, name: PublicName, refuse: RefuseVersion): JsonObject {
  const versions = Object.entries(packument["versions"] as JsonObject);
  const offered = versions.filter(([, manifest]) => refuse(name, oddDependencies(manifest)) === null);
  if (offered.length === versions.length) return packument;
  const kept = new Set(offered.map(([version]) => version));
  const tags = isJsonObject(packument["dist-tags"]) ? packument["dist-tags"] : {};
  const standing = Object.entries(tags).filter(([, version]) => typeof version === "string" && kept.has(version));
  const { latest } = tags;
  const below =
    typeof latest !== "string" || kept.has(latest) || valid(latest) === null
      ? undefined
      : [...kept]
          .filter((version) => valid(version) !== null && lt(version, latest, true) && prerelease(version) === null)
          .toSorted((a, b) => compare(b, a, true))[0];
  return {
    ...packument,
    versions: Object.fromEntries(offered),
    "dist-tags": Object.fromEntries(below === undefined ? standing : [["latest", below], ...standing]),
  };
}

/** The same document with every tarball on `base`. Mutates nothing. */
export function rewriteTarballs(packument: JsonObject, name: PublicName, base: string): JsonObject {
  const versions = packument["versions"] as JsonObject;
  const rewritten = Object.entries(versions).map(
    ([version, manifest]) => [version, rewriteVersion(manifest, name, version, base)] as const,
  );
  return { ...packument, versions: Object.fromEntries(rewritten) };
}

export function rewriteVersion(manifest: JsonValue, name: PublicName, version: string, base: string): JsonValue {
  const dist = isJsonObject(manifest) ? manifest["dist"] : undefined;
  if (!isJsonObject(manifest) || !isJsonObject(dist)) return manifest;
  return { ...manifest, dist: { ...dist, tarball: tarballUrl(base, name, version as Version) } };
}

/** Where upstream has each tarball and what it must hash to, by file name. Files without either are left out. */
export function tarballsOf(packument: JsonObject, name: PublicName): ReadonlyMap<string, UpstreamTarball> {
  const found = new Map<string, UpstreamTarball>();
  for (const [version, manifest] of Object.entries(packument["versions"] as JsonObject)) {
    const dist = isJsonObject(manifest) ? manifest["dist"] : undefined;
    if (!isJsonObject(dist) || typeof dist["tarball"] !== "string" || !/^https?:\/\//.test(dist["tarball"])) continue;
    const integrity = strongest(dist);
    // Old registries hold versions that SemVer refuses (1.0.0+build is one): only their file name counts here.
    if (integrity === null) continue;
    const odd = oddDependencies(manifest);
    found.set(tarballFileName(name, version as Version), { url: dist["tarball"], ...integrity, ...(odd.length === 0 ? {} : { odd }) });
  }
  return found;
}

type Integrity = Omit<UpstreamTarball, "url">;
const ALGORITHMS = [
  ["sha512", 64],
  ["sha384", 48],
  ["sha256", 32],
  ["sha1", 20],
] as const;

/** The strongest of what a registry says about a file; sha1 is all that old releases have. */
function strongest(dist: JsonObject): Integrity | null {
  const words = typeof dist["integrity"] === "string" ? dist["integrity"].split(/\s+/) : [];
  for (const [algorithm, length] of ALGORITHMS) {
    for (const word of words) {
      const [, named, base64 = ""] = /^([a-z0-9]+)-([A-Za-z0-9+/]+={0,2})(?:\?.*)?$/.exec(word) ?? [];
      const bytes = Buffer.from(base64, "base64");
      if (named === algorithm && bytes.byteLength === length) return { algorithm, hex: bytes.toString("hex") };
    }
  }
  const { shasum } = dist;
  return typeof shasum === "string" && /^[0-9a-f]{40}$/.test(shasum) ? { algorithm: "sha1", hex: shasum } : null;
}

/** The version that a tag or exact version names. */
export function resolveVersion(packument: JsonObject, versionOrTag: string): JsonValue | null {
  const versions = packument["versions"] as JsonObject;
  const tags = packument["dist-tags"];
  const tagged = isJsonObject(tags) && Object.hasOwn(tags, versionOrTag) ? tags[versionOrTag] : undefined;
  const version = typeof tagged === "string" ? tagged : versionOrTag;
  return Object.hasOwn(versions, version) ? (versions[version] ?? null) : null;
}

/** What is said of one exact version; null where there is no such version. */
export function publishedIn(packument: JsonObject, version: string): Published | null {
  const versions = packument["versions"] as JsonObject;
  const manifest = Object.hasOwn(versions, version) ? versions[version] : undefined;
  // Under its own number and name, or one version's signature could stand for another's.
  if (!isJsonObject(manifest) || manifest["version"] !== version || manifest["name"] !== packument["name"]) return null;
  const dist = isJsonObject(manifest["dist"]) ? manifest["dist"] : {};
  const times = packument["time"];
  const time = isJsonObject(times) && Object.hasOwn(times, version) ? times[version] : undefined;
  const timeMs = typeof time === "string" ? Date.parse(time) : Number.NaN;
  const signatures = Array.isArray(dist["signatures"]) ? (dist["signatures"] as readonly JsonValue[]) : [];
  return {
    integrity: typeof dist["integrity"] === "string" ? dist["integrity"] : null,
    // One that is no signature counts as a bad one, not as none.
    signatures: signatures.map((entry) => ({
      keyid: isJsonObject(entry) && typeof entry["keyid"] === "string" ? entry["keyid"] : "",
      sig: isJsonObject(entry) && typeof entry["sig"] === "string" ? entry["sig"] : "",
    })),
    timeMs: Number.isNaN(timeMs) ? null : timeMs,
  };
}
