/**
 * Dependencies that would stand in a claimed name's place (X13): `"@bob/x": "npm:@alice/evil@1"` in anybody's package puts that
 * code where bob's own `@bob/x` is looked for. A version with one is not offered, whoever published it.
 */
import { aliasTarget, type OddDependency } from "../format/dependencies.ts";
import { isPackageName, type PublicName } from "../format/names.ts";
import type { Project } from "../format/project.ts";
import { aliasesOf, labelOf, sourceOf } from "./claims.ts";

/** @returns why a version of `owner` with these dependencies is not offered; null: it may be */
export function takenPlace(project: Project, owner: PublicName, odd: readonly OddDependency[]): string | null {
  for (const dependency of odd) {
    const { name, spec } = dependency;
    // No client installs what is no name; one that differs from it by its spelling alone is no claimed one either.
    if (!isPackageName(name)) continue;
    const place = sourceOf(project, name);
    if (aliasesOf(place).length === 0) continue;
    const target = aliasTarget(dependency);
    const isOwn = labelOf(sourceOf(project, owner)) === labelOf(place);
    if (isOwn && target !== null && isPackageName(target) && labelOf(sourceOf(project, target)) === labelOf(place)) continue;
    return `its dependency ${name} is ${spec.slice(0, 200)}, but ${labelOf(place)} answers for ${name}`;
  }
  return null;
}
