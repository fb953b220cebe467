/** deno.lock, versions 4 and 5: its `npm` part. What comes from jsr or plain addresses is no npm package. */
import { isRegistryTarball } from "../../format/tarball-address.ts";
import { described, type Fields, fieldsOf, listOf, mapOf, membersOf, text, textIn, type Tree, word } from "./grammar.ts";
import { parseJsonTree } from "./json-tree.ts";
import { ELSEWHERE, isExactVersion, type LockedPackage, packageNameOf, REGISTRY, type Refuse, shown, splitSpec } from "./locked.ts";

const NAMES = listOf(word);
const DOCUMENT = membersOf({
  version: described,
  specifiers: mapOf(word),
  jsr: mapOf(membersOf({ integrity: word, dependencies: NAMES })),
  npm: mapOf(
    membersOf({
      integrity: word,
      dependencies: NAMES,
      optionalDependencies: NAMES,
      optionalPeers: NAMES,
      os: described,
      cpu: described,
      tarball: word,
      deprecated: described,
      scripts: described,
      bin: described,
    }),
  ),
  redirects: mapOf(text),
  remote: mapOf(text),
  workspace: described,
});

export function readDenoLock(source: string, refuse: Refuse): readonly LockedPackage[] {
  const value = parseJsonTree(source, refuse, { comments: false });
  const version = value.get("version");
  if (version !== "4" && version !== "5")
    return refuse(
      `version ${JSON.stringify(typeof version === "object" ? null : (version ?? null))} is not known; deno install with deno 2 writes "4" or "5"`,
    );
  DOCUMENT(value, "", refuse);
  const npm = fieldsOf(value.get("npm"), "npm", refuse);
  const found = new Map<string, LockedPackage>();
  for (const [key, entry] of npm) found.set(key, lockedPackage(key, fieldsOf(entry, key, refuse), refuse));
  const aliases = [...npm].flatMap(([key, entry]) => dependenciesOf(key, fieldsOf(entry, key, refuse), found, refuse));
  requireSpecifiers(value, found, refuse);
  return [...found.values(), ...aliases, ...links(value, refuse)];
}

function lockedPackage(key: string, entry: Fields, refuse: Refuse): LockedPackage {
  const at = `npm > ${shown(key)}`;
  const [head, tail] = splitSpec(key) ?? refuse(`${at} has no version`);
  const name = packageNameOf(head, at, refuse);
  // Behind `_` stand the peers that this copy was installed with.
  const version = tail.split("_")[0] ?? "";
  if (!isExactVersion(version)) return refuse(`${at} has no exact version`);
  const tarball = entry.get("tarball");
  return {
    path: key,
    name,
    installedAs: name,
    version,
    integrity: textIn(entry, "integrity"),
    shasum: null,
    hashes: "tarball",
    origin: tarball === undefined || isRegistryTarball(tarball, name) ? REGISTRY : ELSEWHERE,
  };
}

/** `name`, `name@1.0.0`, or under another name `alias@npm:name@1.0.0`: each must lead to a package of this lockfile. */
function dependenciesOf(key: string, entry: Fields, found: ReadonlyMap<string, LockedPackage>, refuse: Refuse): readonly LockedPackage[] {
  return ["dependencies", "optionalDependencies", "optionalPeers"].flatMap((kind) => {
    const list = (entry.get(kind) ?? []) as readonly Tree[];
    return list.flatMap((dependency) => {
      const words = typeof dependency === "string" ? dependency : "";
      const at = `npm > ${shown(key)} > ${kind} > ${shown(words)}`;
      const alias = words.indexOf("@npm:", 1);
      const target = alias < 0 ? words : words.slice(alias + "@npm:".length);
      const asked = alias < 0 ? (splitSpec(target)?.[0] ?? target) : words.slice(0, alias);
      packageNameOf(asked, at, refuse);
      const [name, version] = splitSpec(target) ?? [target, null];
      packageNameOf(name, at, refuse);
      if (alias < 0) return [];
      const locked =
        version === null
          ? [...found.values()].find((one) => one.name === name)
          : (found.get(target) ?? [...found.values()].find((one) => one.path.startsWith(`${target}_`)));
      if (locked === undefined) return refuse(`${at} is not in the lockfile`);
      return [{ ...locked, path: `${key} > ${words}`, installedAs: asked }];
    });
  });
}

/** `"npm:@alice/a@^1": "1.0.0_peer@1.0.0"`: a request and the version that answers it. */
function requireSpecifiers(value: Fields, found: ReadonlyMap<string, LockedPackage>, refuse: Refuse): void {
  for (const [asked, got] of fieldsOf(value.get("specifiers"), "specifiers", refuse)) {
    const at = `specifiers > ${shown(asked)}`;
    if (asked.startsWith("jsr:")) continue;
    if (!asked.startsWith("npm:")) return refuse(`${at} is neither of npm nor of jsr`);
    const request = asked.slice("npm:".length);
    const [name] = splitSpec(request) ?? [request];
    packageNameOf(name, at, refuse);
    const version = typeof got === "string" ? got : "";
    if (!found.has(`${name}@${version}`)) return refuse(`${at}: ${shown(version)} is not in the lockfile`);
  }
}

const WORKSPACE = membersOf({
  dependencies: NAMES,
  packageJson: described,
  members: described,
  links: mapOf(described),
  patches: mapOf(described),
  npmOverrides: described,
});

/** Packages that deno takes from a folder instead: `links` of its deno.json. */
function links(value: Fields, refuse: Refuse): readonly LockedPackage[] {
  const workspace = value.get("workspace");
  if (workspace === undefined) return [];
  WORKSPACE(workspace, "workspace", refuse);
  const fields = fieldsOf(workspace, "workspace", refuse);
  return ["links", "patches"].flatMap((kind) =>
    [...fieldsOf(fields.get(kind), kind, refuse).keys()].flatMap((key): LockedPackage[] => {
      if (!key.startsWith("npm:")) return [];
      const request = key.slice("npm:".length);
      const [head, version] = splitSpec(request) ?? [request, "*"];
      const name = packageNameOf(head, `workspace > ${kind} > ${shown(key)}`, refuse);
      return [
        {
          path: key,
          name,
          installedAs: name,
          version,
          integrity: null,
          shasum: null,
          hashes: "tarball",
          origin: { kind: "patched", patch: kind },
        },
      ];
    }),
  );
}
