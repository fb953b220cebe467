/** pnpm-lock.yaml of lockfile version 9, which pnpm 9 to 12 write; newer ones put a second YAML document before it. */
import { LIMITS } from "../../format/limits.ts";
import { isAlias, isMap, isScalar, isSeq, parseAllDocuments } from "yaml";
import { isExactVersion, isRegistryTarball, type LockedPackage, packageNameOf, type Refuse, shown, splitSpec } from "./locked.ts";

type Tree = string | readonly Tree[] | ReadonlyMap<string, Tree>;
type Fields = ReadonlyMap<string, Tree>;

const MAX_DEPTH = LIMITS.lockfileDepth;
const KINDS = ["dependencies", "devDependencies", "optionalDependencies", "configDependencies", "packageManagerDependencies"];

export function readPnpmLock(text: string, refuse: Refuse): readonly LockedPackage[] {
  const documents = parseYaml(text, refuse);
  if (documents.length === 0) return refuse("it is empty");
  return documents.flatMap((document) => {
    if (!(document instanceof Map)) return refuse("it is not a YAML map");
    return readDocument(document, refuse);
  });
}

function readDocument(document: Fields, refuse: Refuse): readonly LockedPackage[] {
  const version = document.get("lockfileVersion");
  if (typeof version !== "string" || !/^9\.\d+$/.test(version))
    return refuse(`lockfileVersion ${typeof version === "string" ? shown(version) : "null"} is not known; pnpm 9 to 12 write 9.0`);
  const packages = new Map(
    [...fieldsOf(document.get("packages"), "packages", refuse)].map(([key, entry]) => [
      key,
      lockedPackage(key, fieldsOf(entry, key, refuse), refuse),
    ]),
  );
  return [...packages.values(), ...aliases(document, packages, refuse)];
}

function lockedPackage(key: string, entry: Fields, refuse: Refuse): LockedPackage {
  const [head, tail] = splitSpec(key) ?? refuse(`${shown(key)} has no version`);
  const name = packageNameOf(head, key, refuse);
  const resolution = fieldsOf(entry.get("resolution"), `resolution of ${key}`, refuse);
  const [integrity, tarball, type] = [resolution.get("integrity"), resolution.get("tarball"), resolution.get("type")];
  const version = entry.get("version") ?? tail;
  return {
    path: key,
    name,
    installedAs: name,
    version: typeof version === "string" ? version : tail,
    integrity: typeof integrity === "string" ? integrity : null,
    shasum: null,
    hashes: "tarball",
    fromRegistry: isExactVersion(tail) && type === undefined && (tarball === undefined || isRegistryTarball(tarball, name)),
  };
}

/** Where somebody asks for a name and gets another: an importer's `version`, or a value in a snapshot, with a name in it. */
function aliases(document: Fields, packages: ReadonlyMap<string, LockedPackage>, refuse: Refuse): readonly LockedPackage[] {
  const found: LockedPackage[] = [];
  const look = (asked: string, got: Tree, where: string): void => {
    const target = got instanceof Map ? got.get("version") : got;
    if (typeof target !== "string") return refuse(`${shown(asked)} of ${shown(where)} has no version`);
    // Peers stand in brackets behind it.
    const key = target.replace(/\(.*$/s, "");
    const locked = packages.get(key);
    // A link to a folder of the project is no package, and none of the lockfile.
    if (locked === undefined || locked.name === asked) return;
    found.push({ ...locked, path: `${where} > ${asked}`, installedAs: asked });
  };
  for (const [section, kinds] of [
    ["importers", KINDS],
    ["snapshots", ["dependencies", "optionalDependencies"]],
  ] as const) {
    for (const [where, entry] of fieldsOf(document.get(section), section, refuse)) {
      const fields = fieldsOf(entry, where, refuse);
      for (const kind of kinds)
        for (const [asked, got] of fieldsOf(fields.get(kind), `${kind} of ${where}`, refuse)) look(asked, got, where);
    }
  }
  return found;
}

function fieldsOf(value: Tree | undefined, at: string, refuse: Refuse): Fields {
  if (value === undefined || value === "") return new Map();
  return value instanceof Map ? (value as Fields) : refuse(`${shown(at)} is not a map`);
}

/** Every scalar as it stands in the text: `1.10` is a version, not a number. Aliases and duplicate keys are refused. */
function parseYaml(text: string, refuse: Refuse): readonly Tree[] {
  let documents: ReturnType<typeof parseAllDocuments>;
  try {
    // Its own look for duplicates compares each key with each other one: minutes for a large lockfile.
    documents = parseAllDocuments(text, { schema: "failsafe", uniqueKeys: false, logLevel: "silent", prettyErrors: false });
  } catch (error) {
    return refuse("it is not YAML", error);
  }
  if (!Array.isArray(documents)) return [];
  const treeOf = (node: unknown, depth: number): Tree => {
    if (depth > MAX_DEPTH) return refuse(`it is nested deeper than ${MAX_DEPTH} levels`);
    if (node === null || node === undefined) return "";
    if (isAlias(node)) return refuse("it has YAML aliases, which pnpm never writes");
    if (isScalar(node)) return typeof node.value === "string" ? node.value : "";
    if (isSeq(node)) return node.items.map((item) => treeOf(item, depth + 1));
    if (!isMap(node)) return refuse("it has something that pnpm never writes");
    const fields = new Map<string, Tree>();
    for (const { key, value } of node.items) {
      const name = treeOf(key, depth + 1);
      if (typeof name !== "string") return refuse("a key is no text");
      if (fields.has(name)) return refuse(`${shown(name)} stands twice in one map`);
      fields.set(name, treeOf(value, depth + 1));
    }
    return fields;
  };
  return documents.map((document) => {
    const [error] = document.errors;
    if (error !== undefined) return refuse("it is not YAML", error);
    return treeOf(document.contents, 0);
  });
}
