/** Upstream's packuments: hostile until parsed. Tarball addresses become ours; all else stays as it came. */
import { ImprintError } from "../../errors.ts";
import { isJsonObject, type JsonObject, type JsonValue, requireDepth } from "../../format/json.ts";
import type { PackageName } from "../../format/names.ts";
import { tarballFileName, tarballUrl } from "../../format/packument.ts";
import type { Version } from "../../format/versions.ts";

export type UpstreamTarball = { readonly url: string; /** sha512 where there is one, else sha1; as SRI. */ readonly integrity: string };

/** @throws ImprintError UPSTREAM_FAILED where it is no packument of that name */
export function parseUpstreamPackument(text: string, name: PackageName): JsonObject {
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

/** The same document with every tarball on `base`. Mutates nothing. */
export function rewriteTarballs(packument: JsonObject, name: PackageName, base: string): JsonObject {
  const versions = packument["versions"] as JsonObject;
  const rewritten = Object.entries(versions).map(
    ([version, manifest]) => [version, rewriteVersion(manifest, name, version, base)] as const,
  );
  return { ...packument, versions: Object.fromEntries(rewritten) };
}

export function rewriteVersion(manifest: JsonValue, name: PackageName, version: string, base: string): JsonValue {
  const dist = isJsonObject(manifest) ? manifest["dist"] : undefined;
  if (!isJsonObject(manifest) || !isJsonObject(dist)) return manifest;
  return { ...manifest, dist: { ...dist, tarball: tarballUrl(base, name, version as Version) } };
}

/** Where upstream has a tarball and what it must hash to; null for a file that is no release of the package. */
export async function findTarball(packument: JsonObject, name: PackageName, file: string): Promise<UpstreamTarball | null> {
  for (const [version, manifest] of Object.entries(packument["versions"] as JsonObject)) {
    // Old registries hold versions that SemVer refuses (1.0.0+build is one): only their file name counts here.
    if (tarballFileName(name, version as Version) !== file) continue;
    const dist = isJsonObject(manifest) ? manifest["dist"] : undefined;
    if (!isJsonObject(dist) || typeof dist["tarball"] !== "string" || !/^https?:\/\//.test(dist["tarball"])) return null;
    const integrity = await strongest(dist);
    return integrity === null ? null : { url: dist["tarball"], integrity };
  }
  return null;
}

async function strongest(dist: JsonObject): Promise<string | null> {
  const { default: ssri } = await import("ssri");
  if (typeof dist["integrity"] === "string") {
    const parsed = ssri.parse(dist["integrity"], { strict: true, single: true });
    if (parsed !== null) return parsed.toString();
  }
  return typeof dist["shasum"] === "string" && /^[0-9a-f]{40}$/.test(dist["shasum"])
    ? ssri.fromHex(dist["shasum"], "sha1").toString()
    : null;
}

/** The version that a tag or exact version names. */
export function resolveVersion(packument: JsonObject, versionOrTag: string): JsonValue | null {
  const versions = packument["versions"] as JsonObject;
  const tags = packument["dist-tags"];
  const tagged = isJsonObject(tags) && Object.hasOwn(tags, versionOrTag) ? tags[versionOrTag] : undefined;
  const version = typeof tagged === "string" ? tagged : versionOrTag;
  return Object.hasOwn(versions, version) ? (versions[version] ?? null) : null;
}
