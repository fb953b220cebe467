/**
 * The part of package.json that a release document repeats under signature, so that clients can plan an install without
 * the tarball. If the two could differ, an author could show harmless dependencies and ship others ("manifest
 * confusion", T10): both publishing and verifying derive it here, from the tarball, and compare.
 */
import { canonicalize, formatPretty, isJsonObject, jsonObject, requireDepth, requireSafeNumbers } from "../format/json.ts";
import type { JsonObject, JsonValue } from "../format/json.ts";
import { LIMITS } from "../format/limits.ts";
import { MANIFEST_FIELDS } from "../format/release.ts";
import { tarballRefused } from "./refuse.ts";

/** Scripts that run on the machine of whoever installs the package. */
export const INSTALL_SCRIPTS: readonly string[] = ["preinstall", "install", "postinstall"];

/** Levels that a release document puts around a field: the envelope, `signed`, `manifest`. */
const LEVELS_AROUND = 3;
/** Bytes left in a release document for everything but the manifest. */
const OTHER_MEMBERS_BYTES = 65_536;

export type TopLevelFiles = {
  readonly hasShrinkwrap: boolean;
  readonly hasBindingGyp: boolean;
  /** Whether a package in its node_modules runs something when npm installs it. */
  readonly bundlesScripts: boolean;
};

function hasInstallScript(packageJson: JsonObject): boolean {
  const scripts = packageJson["scripts"];
  if (!isJsonObject(scripts)) return false;
  // Any value but an empty string counts: better one warning too many than a client that runs what we did not see.
  return INSTALL_SCRIPTS.some((name) => Object.hasOwn(scripts, name) && scripts[name] !== "");
}

/** Refuses what a release document can't carry; the reader would refuse it later, without knowing the field. */
function requireCarriable(field: string, value: JsonValue): void {
  try {
    requireSafeNumbers(value);
    requireDepth(new TextDecoder().decode(canonicalize(value)), LIMITS.depth - LEVELS_AROUND);
  } catch (cause) {
    const limit = LIMITS.depth - LEVELS_AROUND;
    throw tarballRefused(
      `package.json's ${field} has a number that is no integer from 0 to 2^53-1, a lone surrogate, or more than ${limit} levels`,
      cause,
    );
  }
}

/**
 * The manifest of a release, from the package.json in its tarball. Both booleans are always there, so that their absence
 * can't be read as either.
 *
 * @throws ImprintError TARBALL_REFUSED naming the field that a release document can't carry
 */
export function manifestOf(packageJson: JsonObject, files: TopLevelFiles): JsonObject {
  const members: [string, JsonValue][] = [];
  for (const field of MANIFEST_FIELDS) {
    const value = Object.hasOwn(packageJson, field) ? packageJson[field] : undefined;
    if (value === undefined) continue;
    requireCarriable(field, value);
    members.push([field, value]);
  }
  members.push(["hasShrinkwrap", files.hasShrinkwrap]);
  members.push(["hasInstallScript", files.hasBindingGyp || files.bundlesScripts || hasInstallScript(packageJson)]);
  const manifest = jsonObject(members);
  const bytes = formatPretty(manifest).byteLength;
  if (bytes > LIMITS.releaseBytes - OTHER_MEMBERS_BYTES) {
    throw tarballRefused(`package.json's dependencies, description and the like take ${bytes} bytes, too many for a release`);
  }
  return manifest;
}

/** Whether two manifests say the same: RFC 8785 has one spelling a value, so key order plays no part. */
export function equalManifests(a: JsonObject, b: JsonObject): boolean {
  return Buffer.compare(canonicalize(a), canonicalize(b)) === 0;
}

/** Members in which two manifests differ, sorted: what `verify` names. */
export function differingFields(a: JsonObject, b: JsonObject): readonly string[] {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  const text = (from: JsonObject, name: string): string | undefined => {
    const value = Object.hasOwn(from, name) ? from[name] : undefined;
    return value === undefined ? undefined : new TextDecoder().decode(canonicalize(value));
  };
  return [...names].filter((name) => text(a, name) !== text(b, name)).sort();
}
