/**
 * package-lock.json, npm-shrinkwrap.json and node_modules/.package-lock.json, versions 2 and 3. npm 7 and newer install
 * what `packages` says; the `dependencies` of version 2 are for npm 6 and must say the same.
 */
import { isRegistryTarball } from "../../format/tarball-address.ts";
import { isPublicName } from "../../format/names.ts";
import { described, type Fields, fieldsOf, flag, mapOf, membersOf, type Shape, text, textIn, word } from "./grammar.ts";
import { parseJsonTree } from "./json-tree.ts";
import { ELSEWHERE, isExactVersion, isPlainPath, type LockedPackage, REGISTRY, type Refuse, shown } from "./locked.ts";
import { requireSameLegacy } from "./npm-legacy.ts";

const RANGES = mapOf(text);

/** What npm repeats of a package.json. None of it says where files come from. */
const DESCRIBED: Readonly<Record<string, Shape>> = {
  version: text,
  license: described,
  bin: described,
  engines: described,
  funding: described,
  deprecated: described,
  os: described,
  cpu: described,
  libc: described,
  peerDependenciesMeta: described,
  dependencies: RANGES,
  optionalDependencies: RANGES,
  peerDependencies: RANGES,
  devDependencies: RANGES,
  acceptDependencies: RANGES,
  bundleDependencies: described,
  hasInstallScript: flag,
  dev: flag,
  optional: flag,
  devOptional: flag,
  peer: flag,
  extraneous: flag,
};
/** The project and its workspaces: npm reads their package.json files, and fetches nothing. */
const FOLDER = membersOf({ ...DESCRIBED, name: text, workspaces: described, ideallyInert: flag });
const LINK = membersOf({ resolved: text, link: flag, ...pick("dev", "optional", "devOptional", "peer", "extraneous") });
const PACKAGE = membersOf({
  ...DESCRIBED,
  name: word,
  resolved: word,
  integrity: word,
  inBundle: flag,
  hasShrinkwrap: flag,
  ideallyInert: flag,
  workspaces: described,
});
const HEAD: Readonly<Record<string, Shape>> = {
  name: text,
  version: text,
  lockfileVersion: described,
  requires: flag,
  packages: described,
};

const MODULES = "node_modules/";

export function readNpmLock(source: string, refuse: Refuse): readonly LockedPackage[] {
  const value = parseJsonTree(source, refuse, { comments: false });
  const version = value.get("lockfileVersion");
  if (version !== 3 && version !== 2)
    return refuse(`lockfileVersion ${JSON.stringify(version ?? null)} is not known; npm 7 or newer writes 2 or 3`);
  membersOf(version === 2 ? { ...HEAD, dependencies: described } : HEAD)(value, "", refuse);
  if (!value.has("packages")) return refuse("it has no packages");
  const packages = fieldsOf(value.get("packages"), "packages", refuse);
  const found = [...packages].flatMap(([path, entry]) => {
    const at = `packages > ${shown(path)}`;
    return lockedPackage(path, fieldsOf(entry, at, refuse), at, packages, refuse);
  });
  requireSameLegacy(value.get("dependencies"), packages, refuse);
  return found;
}

function lockedPackage(path: string, entry: Fields, at: string, packages: Fields, refuse: Refuse): LockedPackage[] {
  const place = placeOf(path, at, refuse);
  if (place === null) {
    FOLDER(entry, at, refuse);
    return [];
  }
  const { installedAs, parent } = place;
  const base = { path, installedAs, integrity: null, shasum: null, hashes: "tarball" } as const;
  if (entry.has("link")) {
    LINK(entry, at, refuse);
    const folder = textIn(entry, "resolved");
    if (entry.get("link") !== true || folder === null || !isPlainPath(folder) || isModule(folder))
      return refuse(`${at} is a link, but not to a folder of the project`);
    if (!packages.has(folder)) return refuse(`${at} is a link to ${shown(folder)}, which the lockfile does not have`);
    return [{ ...base, name: installedAs, version: "", origin: { kind: "folder", folder } }];
  }
  PACKAGE(entry, at, refuse);
  const name = textIn(entry, "name") ?? installedAs;
  if (!isPublicName(name)) return refuse(`${at} > "name": ${shown(name)} is no package name`);
  const version = textIn(entry, "version") ?? refuse(`${at} has no version`);
  const resolved = textIn(entry, "resolved");
  const integrity = textIn(entry, "integrity");
  // npm fetches an entry that has an address, whatever else it says of itself; and so this is judged as one that it fetches.
  // What the project itself bundles stands at the top, and npm fetches it like everything there.
  const bundle: LockedPackage = { ...base, name, version, origin: { kind: "bundle", of: parent ?? "" } };
  const isBundled = entry.get("inBundle") === true;
  if (isBundled && resolved === null && integrity === null) return [bundle];
  const exact = isExactVersion(version);
  const origin = exact && (resolved === null || isRegistryTarball(resolved, name)) ? REGISTRY : ELSEWHERE;
  const brings = entry.get("hasShrinkwrap") === true ? ({ hasShrinkwrap: true } as const) : {};
  const locked: LockedPackage = { ...base, ...brings, name, version, integrity, origin };
  return isBundled && parent !== null ? [locked, bundle] : [locked];
}

/** Of `a/node_modules/b`: the name at its end, and the key of the package that it stands in. Null: a folder of the project. */
function placeOf(
  path: string,
  at: string,
  refuse: Refuse,
): { readonly installedAs: PackageNameText; readonly parent: string | null } | null {
  if (path === "") return null;
  if (!isPlainPath(path)) return refuse(`${at} is not a path as npm writes it`);
  const begin = path.startsWith(MODULES) ? 0 : path.indexOf(`/${MODULES}`) + 1;
  if (begin === 0 && !path.startsWith(MODULES)) {
    if (path.split("/").some((segment) => segment.toLowerCase() === "node_modules")) return refuse(`${at} is not a path as npm writes it`);
    return null;
  }
  const names = path.slice(begin + MODULES.length).split(`/${MODULES}`);
  for (const name of names) if (!isPublicName(name)) return refuse(`${at}: ${shown(name)} is no package name`);
  const installedAs = names.at(-1) as PackageNameText;
  const parent = names.length > 1 ? path.slice(0, -`/${MODULES}${installedAs}`.length) : null;
  return { installedAs, parent };
}

type PackageNameText = LockedPackage["name"];

function isModule(folder: string): boolean {
  return `/${folder}/`.includes(`/${MODULES}`);
}

function pick(...names: readonly string[]): Readonly<Record<string, Shape>> {
  return Object.fromEntries(names.map((name) => [name, flag]));
}
