/** Which objects a remote lacks, as far as its refs tell: commits down to what it has, and what their trees add to it. */
import type { ObjectId } from "../port.ts";
import type { ObjectReader } from "../store/objects.ts";
import { readShallow } from "../store/quarantine.ts";
import { entriesOf } from "../store/tree.ts";

const FOLDER = "040000";
const SUBMODULE = "160000";

/**
 * Ids in the order of a pack. `has` are commits that the remote lists; those that aren't here say nothing.
 *
 * @param onObject called for each id; throws to stop
 */
export async function missingObjects(
  gitDir: string,
  objects: ObjectReader,
  wanted: readonly ObjectId[],
  has: ReadonlySet<ObjectId>,
  onObject: () => void,
): Promise<readonly ObjectId[]> {
  const shallow = new Set(await readShallow(gitDir));
  const missing = new Set<ObjectId>();
  const add = (id: ObjectId): void => {
    missing.add(id);
    onObject();
  };
  const queue = [...wanted];
  const commits: ObjectId[] = [];
  const bases: ObjectId[] = [];
  for (let commit = queue.pop(); commit !== undefined; commit = queue.pop()) {
    if (missing.has(commit)) continue;
    if (has.has(commit)) {
      bases.push(commit);
      continue;
    }
    add(commit);
    commits.push(commit);
    const parents = (await objects.parentsOf(commit)) ?? [];
    // beyond a shallow boundary there is nothing to send; the remote has it, or will say so
    if (!shallow.has(commit)) queue.push(...parents);
  }
  const baseTrees = await Promise.all(bases.map((base) => objects.treeOf(base).catch(() => null)));
  const seen = new Set<string>();
  const descend = async (tree: ObjectId, known: readonly ObjectId[]): Promise<void> => {
    if (missing.has(tree) || known.includes(tree)) return;
    add(tree);
    const parsed = await objects.tree(tree);
    if (parsed === null) return;
    const theirs = (await Promise.all(known.map((id) => objects.tree(id)))).map(
      (other) => new Map((other === null ? [] : entriesOf(other)).map((entry) => [entry.name, entry.id])),
    );
    for (const { name, mode, id } of entriesOf(parsed)) {
      const same = theirs.flatMap((entries) => entries.get(name) ?? []);
      if (mode === SUBMODULE || same.includes(id)) continue;
      if (mode === FOLDER) await descend(id, same);
      else if (!seen.has(id)) {
        seen.add(id);
        add(id);
      }
    }
  };
  // oldest first: what an older commit sends, a newer one need not
  for (const commit of commits.toReversed())
    await descend(
      await objects.treeOf(commit),
      baseTrees.filter((tree) => tree !== null),
    );
  return [...missing];
}
