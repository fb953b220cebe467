/** package-lock.json: which packages a project has locked, from where, with which integrity. Hostile until parsed. */
import { ImprintError } from "../errors.ts";
import { textOf } from "../format/bytes.ts";
import { isJsonObject, type JsonObject, type JsonValue, requireDepth } from "../format/json.ts";
import { isPackageName, type PackageName } from "../format/names.ts";

export type LockedPackage = {
  /** Where it is installed, as `node_modules/@alice/foo`. */
  readonly path: string;
  readonly name: PackageName;
  /** Last folder of `path`: another name than `name` where package.json has an npm: alias. */
  readonly installedAs: string;
  readonly version: string;
  /** SRI as npm wrote it; null where there is none. */
  readonly integrity: string | null;
  /** False for git, file and remote-tarball dependencies. */
  readonly fromRegistry: boolean;
};

const MAX_DEPTH = 64;

/** @throws ImprintError CONFIG_INVALID */
export function parsePackageLock(bytes: Uint8Array, file: string): readonly LockedPackage[] {
  const refuse = (what: string, cause?: unknown): never => {
    throw new ImprintError("CONFIG_INVALID", `Cannot read ${file}: ${what}`, { cause });
  };
  let value: JsonValue;
  try {
    const text = textOf(bytes) ?? "";
    requireDepth(text, MAX_DEPTH);
    value = JSON.parse(text) as JsonValue;
  } catch (error) {
    return refuse("it is not JSON", error);
  }
  if (!isJsonObject(value)) return refuse("it is not a JSON object");
  const version = value["lockfileVersion"];
  if (version !== 3 && version !== 2)
    return refuse(`lockfileVersion ${JSON.stringify(version ?? null)} is not known; npm 7 or newer writes 2 or 3`);
  const packages = value["packages"];
  if (!isJsonObject(packages)) return refuse("it has no packages");
  return Object.entries(packages).flatMap(([path, entry]) => {
    if (!isJsonObject(entry)) return refuse(`${path} is not an object`);
    return lockedPackage(path, entry, refuse);
  });
}

function lockedPackage(path: string, entry: JsonObject, refuse: (what: string) => never): LockedPackage[] {
  // The project itself, its workspaces and their links are nobody's releases; what is bundled came inside another tarball.
  const at = path.lastIndexOf("node_modules/");
  if (at < 0 || entry["link"] === true || entry["inBundle"] === true) return [];
  const installedAs = path.slice(at + "node_modules/".length);
  const name = typeof entry["name"] === "string" ? entry["name"] : installedAs;
  if (!isPackageName(name)) return refuse(`${path} is no package name`);
  const version = entry["version"];
  if (typeof version !== "string") return refuse(`${path} has no version`);
  const integrity = typeof entry["integrity"] === "string" ? entry["integrity"] : null;
  const resolved = entry["resolved"];
  return [{ path, name, installedAs, version, integrity, fromRegistry: resolved === undefined || isRegistryTarball(resolved, name) }];
}

/** `…/<name>/-/<file>.tgz`: how every npm registry names its tarballs; anything else came past the resolver. */
function isRegistryTarball(resolved: JsonValue, name: PackageName): boolean {
  if (typeof resolved !== "string" || !/^https?:\/\//.test(resolved)) return false;
  try {
    return decodeURIComponent(new URL(resolved).pathname).includes(`/${name}/-/`);
  } catch {
    return false;
  }
}
