/** Requests of the project's own files that a claimed name's index does not answer, in the form in which lockfiles are audited. */
import type { Steered } from "../clients/lockfiles/beside.ts";
import type { LockedPackage } from "../clients/lockfiles/locked.ts";
import type { Project } from "../format/project.ts";
import { labelOf, sourceOf } from "../registry/claims.ts";
import { isGuarded } from "./guarded.ts";

export type BesideLock = { readonly file: string; readonly packages: readonly LockedPackage[] };

/** @param locked what the lockfiles have already: a workspace that is in one is not said twice */
export function packagesBeside(steered: readonly Steered[], locked: readonly LockedPackage[], project: Project): readonly BesideLock[] {
  const known = new Set(locked.map(keyOf));
  const byFile = new Map<string, LockedPackage[]>();
  for (const { file, place, name, spec, other, origin } of steered) {
    const source = sourceOf(project, name);
    if (!isGuarded(source)) continue;
    // Under another name of the same source: the lockfile says which release it is.
    if (other !== null && labelOf(sourceOf(project, other)) === labelOf(source)) continue;
    const one: LockedPackage = {
      path: place,
      name: other ?? name,
      installedAs: name,
      version: spec,
      integrity: null,
      shasum: null,
      hashes: "tarball",
      origin,
    };
    if (origin.kind === "folder" && known.has(keyOf(one))) continue;
    known.add(keyOf(one));
    byFile.set(file, [...(byFile.get(file) ?? []), one]);
  }
  return [...byFile].map(([file, packages]) => ({ file, packages }));
}

function keyOf({ installedAs, origin, path }: LockedPackage): string {
  return origin.kind === "folder" ? `${installedAs}\0${origin.folder}` : `${installedAs}\0${path}`;
}
