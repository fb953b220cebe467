/**
 * A commit of a few paths without git: only trees along the changed paths are read and written, byte by byte as they
 * were, whatever names others put into them.
 */
import { ImprintError } from "../../errors.ts";
import type { CommitRequest, ObjectId, RefName } from "../port.ts";
import { personLine, splitPath } from "../store/commit-text.ts";
import type { ObjectReader } from "../store/objects.ts";
import { storageFailed } from "../store/quarantine.ts";
import { writeRef } from "../store/refs.ts";
import { entriesOf, formatTree, type RawEntry } from "../store/tree.ts";
import { library, libraryFs } from "./library.ts";

const FILE = "100644";
const FOLDER = "040000";

/** What becomes of one folder: bytes for a file, null for one that goes, a map for a folder below. */
type Plan = Map<string, Uint8Array | null | Plan>;

function planOf(changes: CommitRequest["changes"]): Plan {
  const top: Plan = new Map();
  for (const { path, content } of changes) {
    const parts = splitPath(path);
    let folder = top;
    for (const part of parts.slice(0, -1)) {
      const below = folder.get(part);
      const next: Plan = below instanceof Map ? below : new Map();
      folder.set(part, next);
      folder = next;
    }
    folder.set(parts.at(-1) ?? "", content);
  }
  return top;
}

async function writeObject(gitDir: string, type: "blob" | "tree" | "commit", object: Uint8Array): Promise<ObjectId> {
  const git = await library();
  return (await git.writeObject({ fs: libraryFs, gitdir: gitDir, type, object, format: "content" })) as ObjectId;
}

async function readFolder(objects: ObjectReader, id: ObjectId, what: string): Promise<Map<string, RawEntry>> {
  const tree = await objects.tree(id);
  if (tree === null) throw new ImprintError("INVALID_DOCUMENT", `Cannot ${what}: tree ${id} is not in this repository`);
  return new Map(entriesOf(tree).map((entry) => [entry.name, entry]));
}

/** The changed folder's id; null where nothing is left in it. */
async function writeFolder(
  { gitDir, objects, what }: { readonly gitDir: string; readonly objects: ObjectReader; readonly what: string },
  before: ObjectId | null,
  plan: Plan,
): Promise<ObjectId | null> {
  const entries = before === null ? new Map<string, RawEntry>() : await readFolder(objects, before, what);
  for (const [part, change] of plan) {
    const name = Buffer.from(part, "utf8").toString("latin1");
    const old = entries.get(name);
    const id = !(change instanceof Map)
      ? change === null
        ? null
        : await writeObject(gitDir, "blob", change)
      : await writeFolder({ gitDir, objects, what }, old?.mode === FOLDER ? old.id : null, change);
    if (id === null) entries.delete(name);
    else entries.set(name, { name, mode: change instanceof Map ? FOLDER : FILE, id });
  }
  return entries.size === 0 ? null : writeObject(gitDir, "tree", formatTree([...entries.values()]));
}

/** The port's `commit`: the same bytes as the system adapter's, so the same id. */
export async function commit(
  gitDir: string,
  objects: ObjectReader,
  request: CommitRequest & { readonly keepAs: RefName },
): Promise<ObjectId> {
  const what = `commit to ${gitDir}`;
  const { base, author, timeMs, message } = request;
  try {
    const before = base === null ? null : await objects.treeOf(base);
    const tree =
      (await writeFolder({ gitDir, objects, what }, before, planOf(request.changes))) ??
      (await writeObject(gitDir, "tree", new Uint8Array()));
    const person = personLine(author, timeMs);
    const lines = [`tree ${tree}`, ...(base === null ? [] : [`parent ${base}`]), `author ${person}`, `committer ${person}`, "", message];
    const id = await writeObject(gitDir, "commit", Buffer.from(lines.join("\n"), "utf8"));
    await writeRef(gitDir, request.keepAs, id);
    return id;
  } catch (error) {
    throw storageFailed(what, error);
  }
}
