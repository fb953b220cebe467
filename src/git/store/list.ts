/** Every path at a commit, by reading its trees. */
import { LIMITS } from "../../format/limits.ts";
import { ImprintError } from "../../errors.ts";
import type { ObjectId } from "../port.ts";
import type { ObjectReader } from "./objects.ts";
import { entriesOf } from "./tree.ts";

const FOLDER = "040000";
const MAX_LISTED = LIMITS.listedFilesEmbedded;
const MAX_DEPTH = LIMITS.treeDepth;

/** Paths and modes in the order of the trees, of one top folder where one is named. @throws ImprintError INVALID_DOCUMENT, TOO_LARGE */
export async function listTree(
  objects: ObjectReader,
  commit: ObjectId,
  folder?: string,
  maxFiles: number = MAX_LISTED,
): Promise<readonly { readonly path: string; readonly mode: string; readonly id: ObjectId }[]> {
  const what = `list the files of ${commit}`;
  const files: { path: string; mode: string; id: ObjectId }[] = [];
  // a tree that was looked into once may stand in a million places: each is listed, so each is counted
  let seen = 0;
  const descend = async (id: ObjectId, prefix: string, depth: number): Promise<void> => {
    const tree = await objects.tree(id);
    if (tree === null) throw new ImprintError("INVALID_DOCUMENT", `Cannot ${what}: tree ${id} is not in this repository`);
    if (depth > MAX_DEPTH) throw new ImprintError("TOO_LARGE", `Cannot ${what}: folders more than ${String(MAX_DEPTH)} deep`);
    for (const entry of entriesOf(tree)) {
      if (depth === 0 && folder !== undefined && (entry.name !== folder || entry.mode !== FOLDER)) continue;
      if (++seen > maxFiles) throw new ImprintError("TOO_LARGE", `Cannot ${what}: more than ${String(maxFiles)} files`);
      const path = prefix + Buffer.from(entry.name, "latin1").toString("utf8");
      if (entry.mode === FOLDER) await descend(entry.id, `${path}/`, depth + 1);
      else files.push({ path, mode: entry.mode, id: entry.id });
    }
  };
  await descend(await objects.treeOf(commit), "", 0);
  return files;
}
