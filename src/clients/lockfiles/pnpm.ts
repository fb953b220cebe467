/** pnpm-lock.yaml of lockfile version 9, which pnpm 9 to 12 write; newer ones put a second YAML document before it. */
import { isRegistryTarball } from "../../format/tarball-address.ts";
import { isPublicName } from "../../format/names.ts";
import {
  described,
  type Fields,
  fieldsOf,
  mapOf,
  membersOf,
  oneOf,
  path as plainPath,
  type Shape,
  text,
  textIn,
  type Tree,
  word,
} from "./grammar.ts";
import {
  ELSEWHERE,
  isExactVersion,
  isPlainPath,
  type LockedPackage,
  type Origin,
  packageNameOf,
  REGISTRY,
  type Refuse,
  shown,
  splitSpec,
} from "./locked.ts";
import { parseYamlDocuments } from "./yaml-tree.ts";

const KINDS = ["dependencies", "devDependencies", "optionalDependencies", "configDependencies", "packageManagerDependencies"];
const FLAG = oneOf("true", "false");
const ASKED = mapOf(membersOf({ specifier: text, version: word }), isPublicName);
const REFERENCES = mapOf(word, isPublicName);

const DOCUMENT = membersOf({
  lockfileVersion: described,
  settings: mapOf(text),
  catalogs: mapOf(mapOf(membersOf({ specifier: text, version: text }))),
  overrides: mapOf(text),
  packageExtensionsChecksum: text,
  pnpmfileChecksum: text,
  ignoredOptionalDependencies: described,
  patchedDependencies: mapOf(either2(text, membersOf({ hash: text, path: text }))),
  time: mapOf(text),
  importers: mapOf(
    membersOf({
      ...Object.fromEntries(KINDS.map((kind) => [kind, ASKED])),
      dependenciesMeta: mapOf(mapOf(text)),
      publishDirectory: plainPath,
    }),
    isPlainPath,
  ),
  packages: mapOf(
    membersOf({
      resolution: described,
      version: word,
      engines: mapOf(text),
      cpu: described,
      os: described,
      libc: described,
      deprecated: described,
      hasBin: FLAG,
      bundledDependencies: described,
      peerDependencies: mapOf(text),
      peerDependenciesMeta: mapOf(mapOf(text)),
    }),
  ),
  snapshots: mapOf(
    membersOf({
      dependencies: REFERENCES,
      optionalDependencies: REFERENCES,
      transitivePeerDependencies: described,
      optional: FLAG,
      patched: FLAG,
    }),
  ),
});
const FROM_REGISTRY = membersOf({ integrity: word, tarball: word });

export function readPnpmLock(source: string, refuse: Refuse): readonly LockedPackage[] {
  const documents = parseYamlDocuments(source, refuse);
  if (documents.length === 0) return refuse("it is empty");
  return documents.flatMap((document) => {
    if (!(document instanceof Map)) return refuse("it is not a YAML map");
    return readDocument(withoutEmpty(document as Fields), refuse);
  });
}

/** `packages:` with nothing behind it is an empty map to pnpm. */
function withoutEmpty(document: Fields): Fields {
  return new Map([...document].filter(([, value]) => value !== ""));
}

function readDocument(document: Fields, refuse: Refuse): readonly LockedPackage[] {
  const version = document.get("lockfileVersion");
  if (typeof version !== "string" || !/^9\.\d+$/.test(version))
    return refuse(`lockfileVersion ${typeof version === "string" ? shown(version) : "null"} is not known; pnpm 9 to 12 write 9.0`);
  DOCUMENT(document, "", refuse);
  const packages = new Map<string, LockedPackage>();
  for (const [key, entry] of fieldsOf(document.get("packages"), "packages", refuse)) {
    const at = `packages > ${shown(key)}`;
    packages.set(key, lockedPackage(key, fieldsOf(entry, at, refuse), at, refuse));
  }
  const snapshots = fieldsOf(document.get("snapshots"), "snapshots", refuse);
  for (const key of snapshots.keys()) if (!packages.has(packageKeyOf(key))) return refuse(`snapshots > ${shown(key)} is not in packages`);
  return [...packages.values(), ...references(document, packages, snapshots, refuse), ...patches(document, packages, refuse)];
}

function lockedPackage(key: string, entry: Fields, at: string, refuse: Refuse): LockedPackage {
  const [head, tail] = splitSpec(key) ?? refuse(`${at} has no version`);
  const name = packageNameOf(head, at, refuse);
  const resolution = fieldsOf(entry.get("resolution"), `${at} > "resolution"`, refuse);
  const exact = isExactVersion(tail);
  const version = textIn(entry, "version");
  if (exact && version !== null && version !== tail) return refuse(`${at} > "version" is another than in its key`);
  const integrity = textIn(resolution, "integrity");
  return {
    path: key,
    name,
    installedAs: name,
    version: version ?? tail,
    integrity,
    shasum: null,
    hashes: "tarball",
    origin: originOf(resolution, name, exact, `${at} > "resolution"`, refuse),
  };
}

function originOf(resolution: Fields, name: LockedPackage["name"], exact: boolean, at: string, refuse: Refuse): Origin {
  const directory = textIn(resolution, "directory");
  if (resolution.get("type") === "directory") {
    membersOf({ type: word, directory: word })(resolution, at, refuse);
    return directory !== null && isPlainPath(directory) ? { kind: "folder", folder: directory } : ELSEWHERE;
  }
  // Git, runtimes, binaries: pnpm has its own members for each, and nothing of it is a release.
  if (!exact || resolution.has("type") || resolution.has("gitHosted")) return ELSEWHERE;
  FROM_REGISTRY(resolution, at, refuse);
  const tarball = resolution.get("tarball");
  return tarball === undefined || isRegistryTarball(tarball, name) ? REGISTRY : ELSEWHERE;
}

/**
 * Where somebody asks for a name: an importer's `version`, or a value in a snapshot. Both are read as pnpm reads them, and
 * must lead to a snapshot of this lockfile or to a folder.
 */
function references(
  document: Fields,
  packages: ReadonlyMap<string, LockedPackage>,
  snapshots: Fields,
  refuse: Refuse,
): readonly LockedPackage[] {
  const found: LockedPackage[] = [];
  const look = (asked: string, got: Tree, at: string, where: string, base: string): void => {
    const target = got instanceof Map ? got.get("version") : got;
    if (typeof target !== "string") return refuse(`${at} has no version`);
    if (target.startsWith("link:")) {
      const folder = joined(base, target.slice("link:".length));
      const name = packageNameOf(asked, at, refuse);
      const origin: Origin = folder === null ? ELSEWHERE : { kind: "folder", folder };
      found.push({
        path: `${where} > ${asked}`,
        name,
        installedAs: asked,
        version: target,
        integrity: null,
        shasum: null,
        hashes: "tarball",
        origin,
      });
      return;
    }
    const snapshot = snapshotKeyOf(target, asked);
    const locked = packages.get(packageKeyOf(snapshot));
    // Config dependencies and package managers have no snapshots.
    if (locked === undefined || (!snapshots.has(snapshot) && snapshots.size > 0 && !packages.has(snapshot)))
      return refuse(`${at}: ${shown(target)} is not in the lockfile`);
    if (locked.name !== asked) found.push({ ...locked, path: `${where} > ${asked}`, installedAs: asked });
  };
  for (const [where, entry] of fieldsOf(document.get("importers"), "importers", refuse))
    for (const kind of KINDS)
      for (const [asked, got] of fieldsOf(fieldsOf(entry, where, refuse).get(kind), kind, refuse))
        look(asked, got, `importers > ${shown(where)} > ${kind} > ${shown(asked)}`, where, where);
  for (const [where, entry] of snapshots)
    for (const kind of ["dependencies", "optionalDependencies"])
      for (const [asked, got] of fieldsOf(fieldsOf(entry, where, refuse).get(kind), kind, refuse))
        look(asked, got, `snapshots > ${shown(where)} > ${kind} > ${shown(asked)}`, where, ".");
  return found;
}

/** As pnpm's `refToRelative`. */
function snapshotKeyOf(reference: string, asked: string): string {
  if (reference.startsWith("@")) return reference;
  const at = reference.indexOf("@");
  if (at < 0) return `${asked}@${reference}`;
  const [colon, bracket] = [reference.indexOf(":"), reference.indexOf("(")];
  if ((colon < 0 || at < colon) && (bracket < 0 || at < bracket)) return reference;
  return `${asked}@${reference}`;
}

/** As pnpm's `removeSuffix`: without the peers and the patch that stand in brackets behind it. */
function packageKeyOf(key: string): string {
  if (!key.endsWith(")")) return key;
  let open = 0;
  let begin = key.length;
  for (let i = key.length - 1; i >= 0; i--) {
    if (key[i] === ")") open++;
    else if (key[i] === "(") open--;
    else if (open === 0) break;
    if (open === 0) begin = i;
  }
  return key.slice(0, begin);
}

/** `a@1.0.0`, `a`, or `a@^1`: which entries it changes is said broadly. */
function patches(document: Fields, packages: ReadonlyMap<string, LockedPackage>, refuse: Refuse): readonly LockedPackage[] {
  return [...fieldsOf(document.get("patchedDependencies"), "patchedDependencies", refuse)].flatMap(([key, value]) => {
    const at = `patchedDependencies > ${shown(key)}`;
    const [head, version] = splitSpec(key) ?? [key, "*"];
    const name = packageNameOf(head, at, refuse);
    const patch = value instanceof Map ? (textIn(value as Fields, "path") ?? key) : key;
    const base = packages.get(key);
    const origin: Origin = { kind: "patched", patch };
    return [
      { path: key, name, installedAs: name, version: base?.version ?? version, integrity: null, shasum: null, hashes: "tarball", origin },
    ];
  });
}

/** A relative path from an importer's folder, from the lockfile's; null where it has no plain spelling. */
function joined(base: string, relative: string): string | null {
  if (!isPlainPath(relative)) return null;
  const parts = base === "." ? [] : base.split("/");
  for (const part of relative.split("/")) {
    if (part === ".") continue;
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else parts.push(part);
  }
  return parts.length === 0 ? "." : parts.join("/");
}

function either2(one: Shape, other: Shape): Shape {
  return (value, at, refuse) => (typeof value === "string" ? one : other)(value, at, refuse);
}
