/** How the packages of a workspace hang together: which is built first, and which could not be installed. */
import semver from "semver";
import { isJsonObject } from "../format/json.ts";
import type { JsonObject } from "../format/json.ts";

type Package = { readonly name: string; readonly packageJson: JsonObject };

const INSTALLED_FIELDS = ["dependencies", "optionalDependencies", "peerDependencies"] as const;
const ALL_FIELDS = [...INSTALLED_FIELDS, "devDependencies"] as const;
/** `"x": "npm:@scope/other@^1.0.0"` */
const ALIAS = /^npm:((?:@[^/@]+\/)?[^@]+)@(.+)$/;

type Dependency = { readonly name: string; readonly range: string };

function dependenciesOf(packageJson: JsonObject, field: string): readonly Dependency[] {
  const ranges = packageJson[field];
  if (!isJsonObject(ranges)) return [];
  return Object.entries(ranges).flatMap(([key, value]) => {
    if (typeof value !== "string") return [];
    const [, name = key, range = value] = ALIAS.exec(value.trim()) ?? [];
    return [{ name, range }];
  });
}

/** Each after what it depends on, whatever the field; else as given. Where they go round in a circle, any of them is first. */
export function inDependencyOrder<T extends Package>(packages: readonly T[]): readonly T[] {
  const byName = new Map(packages.map((one) => [one.name, one]));
  const ordered = new Set<T>();
  const entered = new Set<T>();
  const visit = (one: T): void => {
    if (entered.has(one)) return;
    entered.add(one);
    for (const field of ALL_FIELDS) {
      for (const { name } of dependenciesOf(one.packageJson, field)) {
        const needed = byName.get(name);
        if (needed !== undefined) visit(needed);
      }
    }
    ordered.add(one);
  };
  for (const one of packages) visit(one);
  return [...ordered];
}

/** A package of the workspace as others of it see it. */
export type Sibling = {
  readonly version: string | null;
  /** What can be installed once this publish is done. */
  readonly available: readonly string[];
  /** Why this version of it is not among those, and what to do. */
  readonly why: string;
  /** It is no business of this index: others may have released it. */
  readonly isElsewhere: boolean;
};

export type Gap = { readonly text: string; readonly isElsewhere: boolean };

/**
 * What `packed` needs of its own workspace that nobody could install. Ranges are those of the tarballs: no workspace: or
 * catalog: any more. A range that the workspace does not meet either is from elsewhere, and no business of ours.
 */
export function siblingGaps(packed: readonly Package[], siblings: ReadonlyMap<string, Sibling>): readonly Gap[] {
  return packed.flatMap(({ name: dependent, packageJson }) => {
    const needed = INSTALLED_FIELDS.flatMap((field) => dependenciesOf(packageJson, field).filter(isNeeded(packageJson, field)));
    return needed.flatMap(({ name, range }): readonly Gap[] => {
      const sibling = siblings.get(name);
      if (sibling === undefined || semver.validRange(range) === null) return [];
      const isMet = (version: string): boolean => semver.satisfies(version, range);
      if (sibling.version === null || !isMet(sibling.version) || sibling.available.some(isMet)) return [];
      return [{ text: `${dependent} depends on ${name}@${range}: ${sibling.why}`, isElsewhere: sibling.isElsewhere }];
    });
  });
}

/** Not what is packed along, nor a peer that may be missing. */
function isNeeded(packageJson: JsonObject, field: (typeof INSTALLED_FIELDS)[number]): (dependency: Dependency) => boolean {
  const bundled = packageJson["bundleDependencies"] ?? packageJson["bundledDependencies"];
  const peers = packageJson["peerDependenciesMeta"];
  return ({ name }) => {
    if (field === "peerDependencies") {
      const peer = isJsonObject(peers) ? peers[name] : undefined;
      return !(isJsonObject(peer) && peer["optional"] === true);
    }
    return bundled !== true && !(Array.isArray(bundled) && bundled.includes(name));
  };
}
