/** The `dependencies` of a package-lock.json of version 2, which npm 6 installs from: they must name what `packages` names. */
import { described, type Fields, fieldsOf, flag, mapOf, membersOf, type Tree, text, textIn } from "./grammar.ts";
import { type Refuse, shown } from "./locked.ts";

const LEGACY = membersOf({
  version: text,
  resolved: text,
  integrity: text,
  bundled: flag,
  dev: flag,
  optional: flag,
  peer: flag,
  devOptional: flag,
  extraneous: flag,
  from: text,
  requires: (value, at, refuse) => void (typeof value === "boolean" || mapOf(text)(value, at, refuse)),
  dependencies: described,
});

export function requireSameLegacy(tree: Tree | undefined, packages: Fields, refuse: Refuse): void {
  const walk = (level: Tree | undefined, above: string, at: string): void => {
    for (const [name, value] of fieldsOf(level, at, refuse)) {
      const place = `${at} > ${shown(name)}`;
      const entry = fieldsOf(value, place, refuse);
      LEGACY(entry, place, refuse);
      const path = `${above}node_modules/${name}`;
      const same = packages.get(path);
      if (!(same instanceof Map)) return refuse(`${place} is not in packages as ${shown(path)}`);
      requireSame(entry, same as Fields, place, refuse);
      // npm puts what stands below a link into the linked folder.
      const folder = same.get("link") === true ? textIn(same as Fields, "resolved") : null;
      walk(entry.get("dependencies"), `${folder ?? path}/`, `${place} > "dependencies"`);
    }
  };
  walk(tree, "", '"dependencies"');
}

function requireSame(entry: Fields, same: Fields, at: string, refuse: Refuse): void {
  const version = textIn(entry, "version") ?? refuse(`${at} has no version`);
  if (same.get("link") === true) {
    if (version !== `file:${textIn(same, "resolved") ?? ""}`) refuse(`${at} > "version" is another than in packages`);
    return;
  }
  const resolved = textIn(same, "resolved");
  const name = textIn(same, "name");
  const plain = textIn(same, "version") ?? "";
  // Packages from elsewhere have their address as the version.
  const expected = new Set([plain, ...(name === null ? [] : [`npm:${name}@${plain}`]), ...(resolved === null ? [] : [resolved])]);
  if (!expected.has(version)) refuse(`${at} > "version" is another than in packages`);
  for (const member of ["resolved", "integrity"] as const) {
    const mine = textIn(entry, member);
    if (mine !== null && mine !== textIn(same, member)) refuse(`${at} > "${member}" is another than in packages`);
  }
  if ((entry.get("bundled") === true) !== (same.get("inBundle") === true)) refuse(`${at} > "bundled" is another than in packages`);
  // npm 6 would fetch it without a hash.
  if (textIn(entry, "integrity") === null && textIn(same, "integrity") !== null) refuse(`${at} lacks the integrity that packages has`);
}
