/** bun.lock: JSON with comments and trailing commas. The binary bun.lockb is refused with the command that replaces it. */
import { isRegistryTarball } from "../../format/tarball-address.ts";
import { isPublicName } from "../../format/names.ts";
import { described, type Fields, fieldsOf, flag, isFields, listOf, mapOf, membersOf, text, type Tree } from "./grammar.ts";
import { parseJsonTree } from "./json-tree.ts";
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

const KNOWN_VERSIONS: ReadonlySet<unknown> = new Set([0, 1, 2]);
const RANGES = mapOf(text, isPublicName);
const DEPENDENCIES = {
  dependencies: RANGES,
  devDependencies: RANGES,
  optionalDependencies: RANGES,
  peerDependencies: RANGES,
  optionalPeers: listOf(text),
};
const DOCUMENT = membersOf({
  lockfileVersion: described,
  configVersion: described,
  workspaces: mapOf(
    membersOf({ ...DEPENDENCIES, name: text, version: text, bin: described, binDir: text }),
    (key) => key === "" || isPlainPath(key),
  ),
  trustedDependencies: listOf(text),
  patchedDependencies: mapOf(text),
  overrides: described,
  catalog: mapOf(text),
  catalogs: mapOf(mapOf(text)),
  packages: described,
});
const INFO = membersOf({
  ...DEPENDENCIES,
  os: described,
  cpu: described,
  libc: described,
  bin: described,
  binDir: text,
  bundled: flag,
  hasInstallScript: flag,
});

export function readBunLock(source: string, refuse: Refuse): readonly LockedPackage[] {
  const value = parseJsonTree(source, refuse, { comments: true });
  const version = value.get("lockfileVersion");
  if (!KNOWN_VERSIONS.has(version))
    return refuse(`lockfileVersion ${typeof version === "number" ? version : "null"} is not known; bun 1.2 to 1.4 write 0, 1 or 2`);
  DOCUMENT(value, "", refuse);
  const packages = fieldsOf(value.get("packages"), "packages", refuse);
  return [
    ...[...packages].map(([key, entry]) => lockedPackage(key, entry, packages, refuse)),
    ...[...fieldsOf(value.get("patchedDependencies"), "patchedDependencies", refuse)].map(([key, patch]) => patched(key, patch, refuse)),
  ];
}

/** `["name@version", "<registry or tarball>", { … }, "sha512-…"]`; other kinds of packages have other lengths. */
function lockedPackage(key: string, entry: Tree, packages: Fields, refuse: Refuse): LockedPackage {
  const at = `packages > ${shown(key)}`;
  const [spec, ...rest] = Array.isArray(entry) ? (entry as readonly Tree[]) : [];
  if (typeof spec !== "string") return refuse(`${at} is no list with a package`);
  const [head, version] = splitSpec(spec) ?? refuse(`${at} has no version`);
  const name = packageNameOf(head, at, refuse);
  const names = namesIn(key) ?? refuse(`${at} is not a path of package names`);
  const base = { path: key, name, installedAs: names.at(-1) ?? name, version, integrity: null, shasum: null, hashes: "tarball" } as const;
  const protocol = /^(workspace|link|root|file|portal):/.exec(version)?.[1];
  const info = requireShape(rest, protocol, isExactVersion(version), at, refuse);
  if (protocol !== undefined && protocol !== "file") {
    const folder = version.slice(protocol.length + 1).replace(/^\.\//, "") || ".";
    return { ...base, origin: isPlainPath(folder) ? { kind: "folder", folder } : ELSEWHERE };
  }
  const last = rest.at(-1);
  const integrity = rest.length > 1 && typeof last === "string" && last !== "" ? last : null;
  if (info.get("bundled") === true) {
    const of = key.slice(0, -(names.at(-1) ?? "").length - 1);
    if (names.length < 2 || !packages.has(of)) return refuse(`${at} is said to be bundled, but stands below no package`);
    return { ...base, origin: { kind: "bundle", of } };
  }
  const [address] = rest;
  // Empty: the default registry. An address that ends in a slash is a registry, too, whose tarballs bun names itself.
  const conventional =
    address === "" || isRegistryTarball(address, name) || (typeof address === "string" && /^https?:\/\/[^\s\\?#]+\/$/.test(address));
  const origin: Origin = isExactVersion(version) && conventional ? REGISTRY : ELSEWHERE;
  return { ...base, integrity, origin };
}

/** What stands behind the first item, by the kind of package. @returns its info */
function requireShape(rest: readonly Tree[], protocol: string | undefined, isVersion: boolean, at: string, refuse: Refuse): Fields {
  if (protocol === "workspace")
    return rest.length === 0 || (rest.length === 1 && isFields(rest[0]))
      ? infoOf(rest[0], at, refuse)
      : refuse(`${at} is no workspace as bun writes it`);
  if (protocol === "root") {
    if (rest.length > 1) return refuse(`${at} is no project as bun writes it`);
    return infoOf(rest[0], at, refuse);
  }
  const at0 = isVersion ? 1 : 0;
  const info = rest[at0];
  const isPlain = rest.every((part, i) => (i === at0 ? isFields(part) : typeof part === "string"));
  const fits = isVersion ? rest.length === 3 : rest.length >= 1 && rest.length <= 3;
  if (!isPlain || !fits || !isFields(info)) return refuse(`${at} is no package as bun writes it`);
  return infoOf(info, at, refuse);
}

function infoOf(info: Tree | undefined, at: string, refuse: Refuse): Fields {
  if (info === undefined) return new Map();
  INFO(info, at, refuse);
  return fieldsOf(info, at, refuse);
}

/** `parent/@alice/foo` → `parent`, `@alice/foo`; null where a part is no name. */
function namesIn(key: string): readonly string[] | null {
  const names: string[] = [];
  const parts = key.split("/");
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] ?? "";
    const name = part.startsWith("@") ? `${part}/${parts[++i] ?? ""}` : part;
    if (!isPublicName(name)) return null;
    names.push(name);
  }
  return names;
}

function patched(key: string, patch: Tree, refuse: Refuse): LockedPackage {
  const at = `patchedDependencies > ${shown(key)}`;
  const [head, version] = splitSpec(key) ?? [key, "*"];
  const name = packageNameOf(head, at, refuse);
  const origin: Origin = { kind: "patched", patch: typeof patch === "string" ? patch : key };
  return { path: key, name, installedAs: name, version, integrity: null, shasum: null, hashes: "tarball", origin };
}
