/** Entries of a yarn.lock of yarn 1. What is linked or a workspace has none: it stands in package.json files alone. */
import { isRegistryTarball } from "../../format/tarball-address.ts";
import { type Fields, fieldsOf, mapOf, membersOf, text, textIn, word } from "./grammar.ts";
import { isPublicName } from "../../format/names.ts";
import { ELSEWHERE, isExactVersion, type LockedPackage, packageNameOf, REGISTRY, type Refuse, shown, splitSpec } from "./locked.ts";

const RANGES = mapOf(text, isPublicName);
const ENTRY = membersOf({
  name: word,
  version: word,
  uid: word,
  resolved: word,
  integrity: word,
  dependencies: RANGES,
  optionalDependencies: RANGES,
});

export function yarn1Packages(entries: Fields, refuse: Refuse): readonly LockedPackage[] {
  const seen = new Set<string>();
  return [...entries].flatMap(([keys, value]) => {
    const all = keys.split("\n");
    for (const key of all) {
      if (seen.has(key)) return refuse(`${shown(key)} stands there twice`);
      seen.add(key);
    }
    const entry = fieldsOf(value, shown(all[0] ?? ""), refuse);
    ENTRY(entry, shown(all[0] ?? ""), refuse);
    return all.map((key) => lockedPackage(key, entry, refuse));
  });
}

/** `"@alice/a@^1.0.0":`, or `"alias@npm:@alice/a@^1.0.0":`; `resolved` is the tarball, with its sha1 behind a #. */
function lockedPackage(key: string, entry: Fields, refuse: Refuse): LockedPackage {
  const at = shown(key);
  const [installedAs, range] = splitSpec(key) ?? refuse(`${at} has no range`);
  packageNameOf(installedAs, at, refuse);
  const aliased = range.startsWith("npm:") ? range.slice("npm:".length) : null;
  const name = packageNameOf(aliased === null ? installedAs : (splitSpec(aliased)?.[0] ?? aliased), at, refuse);
  // yarn installs under this name, whatever the key says.
  const called = textIn(entry, "name");
  if (called !== null && called !== installedAs) return refuse(`${at} > "name" is another than in its key`);
  const version = textIn(entry, "version") ?? refuse(`${at} has no version`);
  const resolved = textIn(entry, "resolved");
  const [address, fragment] = resolved === null ? [] : splitOnce(resolved);
  return {
    path: key,
    name,
    installedAs,
    version,
    integrity: textIn(entry, "integrity"),
    shasum: fragment !== undefined && /^[0-9a-f]{40}$/.test(fragment) ? fragment : null,
    hashes: "tarball",
    origin: isExactVersion(version) && isRegistryRange(aliased ?? range) && isRegistryTarball(address, name) ? REGISTRY : ELSEWHERE,
  };
}

/** With an address or a path behind its name, a dependency is fetched from there where the entry is no longer right. */
function isRegistryRange(range: string): boolean {
  return range.startsWith("@") || !/[:/]/.test(range);
}

function splitOnce(resolved: string): readonly [string, string?] {
  const at = resolved.indexOf("#");
  return at < 0 ? [resolved] : [resolved.slice(0, at), resolved.slice(at + 1)];
}
