/**
 * Files at a commit: trees on the way to each path, sizes, what a filtered fetch left behind in one request, bytes.
 */
import type { FileRead, GitUrl, ObjectId, TransferLimits } from "../port.ts";
import type { ObjectReader } from "./objects.ts";
import { entryOf } from "./tree.ts";

const REGULAR = new Set(["100644", "100755", "100664"]); // git once wrote the last; all are plain files
const FOLDER = "040000";

/** Objects, and how to get those that aren't here. */
export type Readable = {
  readonly objects: ObjectReader;
  /** Asks the remote for objects by id, `folders`: trees with the files right in them. What it withholds stays away. */
  fetchMissing(url: GitUrl, ids: readonly ObjectId[], limits: TransferLimits, folders: boolean): Promise<void>;
};

export type ReadRequest = {
  readonly commit: ObjectId;
  readonly files: readonly { readonly path: string; readonly maxBytes: number }[];
  readonly url: GitUrl | null;
  readonly limits: TransferLimits;
};

const MISSING: FileRead = { state: "missing" };
const UNAVAILABLE: FileRead = { state: "unavailable" };
const TOO_LARGE: FileRead = { state: "tooLarge", bytes: null };

/** A path on its way down: the folder that it has reached, or where it ended. */
type Walk = { readonly parts: readonly string[]; depth: number; at: ObjectId; end: ObjectId | FileRead | null };

/** One step down for every path; folders that aren't here are asked for together. */
async function descend(target: Readable, walks: readonly Walk[], request: ReadRequest): Promise<void> {
  const folders = [...new Set(walks.map(({ at }) => at))];
  if (request.url !== null) {
    const infos = await Promise.all(folders.map((folder) => target.objects.info(folder)));
    const absent = folders.filter((_, i) => infos[i] === null);
    // left behind by the filter, or a hole that a host left: git itself would never ask for it again
    if (absent.length > 0) await target.fetchMissing(request.url, absent, request.limits, true);
  }
  await target.objects.loadTrees(folders);
  for (const walk of walks) {
    const tree = await target.objects.tree(walk.at);
    const entry = tree === null ? null : entryOf(tree, walk.parts[walk.depth] ?? "");
    const isLast = walk.depth === walk.parts.length - 1;
    if (tree === null) walk.end = UNAVAILABLE;
    else if (entry === null) walk.end = MISSING;
    else if (isLast) walk.end = REGULAR.has(entry.mode) ? entry.id : MISSING;
    else if (entry.mode !== FOLDER) walk.end = MISSING;
    else [walk.at, walk.depth] = [entry.id, walk.depth + 1];
  }
}

/** For each path its blob; `missing` where there is none, `unavailable` where a tree on the way isn't to be had. */
async function blobsAt(target: Readable, root: ObjectId, request: ReadRequest): Promise<readonly (ObjectId | FileRead)[]> {
  const walks = request.files.map(({ path }): Walk => ({ parts: path.split("/"), depth: 0, at: root, end: null }));
  for (let open: readonly Walk[] = walks; open.length > 0; open = open.filter(({ end }) => end === null))
    await descend(target, open, request);
  return walks.map(({ end }) => end ?? MISSING);
}

async function sizesOf(target: Readable, ids: Iterable<ObjectId>): Promise<{ sizes: Map<ObjectId, number>; absent: ObjectId[] }> {
  const sizes = new Map<ObjectId, number>();
  const absent: ObjectId[] = [];
  await Promise.all(
    Array.from(ids, async (id) => {
      const info = await target.objects.info(id);
      if (info === null) absent.push(id);
      // a tree says "file" and the object is something else: never read
      else if (info.type === "blob") sizes.set(id, info.size);
    }),
  );
  return { sizes, absent };
}

/** The port's `readFiles`. */
export async function readFiles(target: Readable, request: ReadRequest): Promise<readonly FileRead[]> {
  const root = await target.objects.treeOf(request.commit);
  const places = await blobsAt(target, root, request);
  const wanted = new Set(places.filter((place): place is ObjectId => typeof place === "string"));
  const had = await target.objects.many([...wanted], Math.max(0, ...new Set(request.files.map(({ maxBytes }) => maxBytes))));
  const { sizes, absent } = await sizesOf(
    target,
    [...wanted].filter((id) => !had.has(id)),
  );
  if (absent.length > 0 && request.url !== null) {
    await target.fetchMissing(request.url, absent, request.limits, false);
    const again = await sizesOf(target, absent);
    for (const [id, size] of again.sizes) sizes.set(id, size);
  }
  const gone = new Set(absent.filter((id) => !sizes.has(id)));
  return Promise.all(
    request.files.map(async ({ maxBytes }, at): Promise<FileRead> => {
      const place = places[at] ?? MISSING;
      if (typeof place !== "string") return place;
      const whole = had.get(place);
      if (whole !== undefined) {
        if (whole.type !== "blob") return MISSING;
        return whole.data.length > maxBytes ? TOO_LARGE : { state: "found", bytes: whole.data };
      }
      const size = sizes.get(place);
      if (size === undefined) return gone.has(place) ? UNAVAILABLE : MISSING;
      if (size > maxBytes) return TOO_LARGE;
      const bytes = await target.objects.bytes(place);
      return bytes === null ? UNAVAILABLE : { state: "found", bytes };
    }),
  );
}
