/** Whether a clone is in a state to publish from; where it is not, one line says how to get there. Nothing is touched. */
import { ImprintError } from "../errors.ts";
import { DEFAULT_REF } from "../format/project.ts";
import type { CloneState } from "../git/clone-state.ts";
import { resolveCommit } from "../git/clone.ts";
import { shortRef } from "../git/url.ts";
import type { Deps } from "./deps.ts";
import { clean } from "../format/text.ts";

const MAIN = shortRef(DEFAULT_REF);

/** @throws ImprintError WORK_TREE */
export async function requireCheckedOut({ git }: Pick<Deps, "git">, folder: string, clone: CloneState): Promise<string> {
  const refuse = (state: string, command: string): ImprintError =>
    new ImprintError("WORK_TREE", clean(`Cannot sign in ${folder}: ${state}; git -C '${folder}' ${command}`));
  if (clone.inProgress !== null)
    throw refuse(`a ${clone.inProgress} is in progress there`, `${clone.inProgress} --continue, or --abort, first`);
  if (clone.branch === null) throw refuse("no branch is checked out", `checkout ${MAIN}`);
  // A server whose HEAD names a branch that nobody pushed: git clone then leaves people on that one.
  if (clone.head === null) {
    const remote = clone.remoteName ?? "origin";
    const isThere = (await resolveCommit(folder, `refs/remotes/${remote}/${MAIN}`, git)) !== null;
    throw refuse(`its branch ${clone.branch} has no commits`, isThere ? `checkout ${MAIN}` : `pull ${remote} <the index's branch>`);
  }
  if (clone.dirty.length > 0)
    throw refuse(
      `signed files were changed by hand (${clone.dirty.slice(0, 3).join(", ")}${clone.dirty.length > 3 ? ", …" : ""})`,
      "checkout -- trust packages checkpoint.json undoes that",
    );
  return clone.branch;
}
