/** The commit that a person, or a CI job, names: one, or an error. */
import { ImprintError } from "../errors.ts";
import { clean } from "../format/text.ts";
import { meaningsOf, resolveCommit } from "../git/clone.ts";
import type { ObjectId } from "../git/port.ts";
import type { Deps } from "./deps.ts";

/**
 * Null where there is no such commit. Whoever may push branches or tags could otherwise choose what a name means: git takes
 * a tag before a branch of the same name, and either before the beginning of an id.
 *
 * @throws ImprintError USAGE where it means several
 */
export async function commitOf(folder: string, name: string, { git }: Pick<Deps, "git">): Promise<ObjectId | null> {
  const meanings = await meaningsOf(folder, name, git);
  if (meanings.length > 1)
    throw new ImprintError(
      "USAGE",
      `Cannot tell which commit ${clean(name)} is in ${folder}: it is ${meanings.map(clean).join(" and ")}; write the one that you mean, or the whole id of its commit`,
    );
  return resolveCommit(folder, name, git);
}
