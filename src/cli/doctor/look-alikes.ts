/** Names that a reader takes for each other (N1): `left-pad` and `leftpad`, `@a1ice/x` and `@alice/x`. */
import type { PackageName, PackagePattern } from "../../format/names.ts";
import { type Finding, orOk } from "./finding.ts";

/** A name or claimed pattern, and who answers for it: an alias, or what the project asks the public registry for. */
export type Known = { readonly name: PackageName | PackagePattern; readonly from: string };

const MAX_NAMES = 50_000;
const MAX_FINDINGS = 20;

/** Characters, and pairs of them, that look alike in common fonts. Pairs first. */
const CONFUSABLE: readonly (readonly [RegExp, string])[] = [
  [/rn/gu, "m"],
  [/vv/gu, "w"],
  [/cl/gu, "d"],
  [/[1i|]/gu, "l"],
  [/0/gu, "o"],
  [/5/gu, "s"],
  [/8/gu, "b"],
];

/** What is left of a name when case, separators and look-alike characters are gone; the scope stays apart. */
export function skeletonOf(name: string): string {
  let skeleton = name.toLowerCase().replace(/[-_.]/gu, "");
  for (const [from, to] of CONFUSABLE) skeleton = skeleton.replace(from, to);
  return skeleton;
}

/** Two names of one source are its own business; scopes that are alike are said once, not for each name. */
export function checkLookAlikes(known: readonly Known[]): readonly Finding[] {
  if (known.length > MAX_NAMES)
    return [
      {
        level: "note",
        title: "look-alike names were not looked for",
        detail: `${known.length} names are more than the ${MAX_NAMES} that doctor compares`,
        fix: "claim fewer packages in imprint.json",
      },
    ];
  const scopes = known
    .filter(({ name }) => name.startsWith("@"))
    .map(({ name, from }) => ({ name: name.slice(0, name.indexOf("/")), from }));
  const alikeScopes = pairs(scopes);
  // Within scopes that are one and the same, or none, only what stands behind them can be alike.
  const names = known.filter(({ name }) => !name.endsWith("*")).map(({ name, from }) => ({ name: name as string, from }));
  const alikeNames = pairs(names).filter(([one, other]) => scopeText(one.name) === scopeText(other.name));
  const all = [...alikeScopes, ...alikeNames];
  const findings = all.slice(0, MAX_FINDINGS).map(([one, other]): Finding => ({
    level: "warning",
    title: `${one.name} (${one.from}) and ${other.name} (${other.from}) look alike`,
    detail: `one may be meant to be taken for the other${all.length > MAX_FINDINGS ? `; ${all.length - MAX_FINDINGS} more pairs are not shown` : ""}`,
    fix: `imprint why ${exampleOf(other.name)}; if it is not meant, remove its claim or its index from imprint.json, or the dependency from package.json`,
  }));
  return orOk(findings, "no two names look alike");
}

type Plain = { readonly name: string; readonly from: string };

/** Each two different texts of different sources with one skeleton, once. */
function pairs(items: readonly Plain[]): readonly (readonly [Plain, Plain])[] {
  const bySkeleton = new Map<string, Map<string, Plain>>();
  for (const item of items) {
    const skeleton = skeletonOf(item.name);
    const group = bySkeleton.get(skeleton) ?? new Map<string, Plain>();
    if (!group.has(item.name)) group.set(item.name, item);
    bySkeleton.set(skeleton, group);
  }
  return [...bySkeleton.values()].flatMap((group) => {
    const [first, ...rest] = group.values();
    return first === undefined ? [] : rest.filter(({ from }) => from !== first.from).map((other) => [first, other] as const);
  });
}

function scopeText(name: string): string {
  return name.startsWith("@") ? name.slice(0, name.indexOf("/")) : "";
}

function exampleOf(name: string): string {
  return name.startsWith("@") && !name.includes("/") ? `${name}/<name>` : name;
}
