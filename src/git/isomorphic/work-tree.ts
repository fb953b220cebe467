/**
 * A work tree without git: what differs from a commit, and moving it from one commit to another without losing a local
 * change. Names come from a host: none may lead outside, into `.git`, or through a link (THREATS G5).
 */
import { createHash } from "node:crypto";
import type { Stats } from "node:fs";
import { lstat, mkdir, readdir, readFile, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errnoOf, ImprintError } from "../../errors.ts";
import type { ObjectId } from "../port.ts";
import { splitPath } from "../store/commit-text.ts";
import type { ObjectReader } from "../store/objects.ts";
import { storageFailed } from "../store/quarantine.ts";
import { entriesOf, type TreeEntry } from "../store/tree.ts";
import { entryFor, type IndexEntry, looksUntouched, readIndexFile, updateIndexFile } from "./index-file.ts";
import { writeWhole } from "./library.ts";

const FOLDER = "040000";
/** Names that some file systems take for `.git`: NTFS short names and streams, and what HFS+ ignores. */
// eslint-disable-next-line no-misleading-character-class -- each of them alone is what HFS+ ignores
const ALIAS = /^(?:git~\d+|\.git[. ]*(?::.*)?)$/iu;
const IGNORED_BY_HFS = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/gu;

export type Place = { readonly gitDir: string; readonly top: string; readonly objects: ObjectReader };
export type TreeChange = { readonly path: string; readonly before: TreeEntry | null; readonly after: TreeEntry | null };

function blobId(content: Uint8Array): ObjectId {
  return createHash("sha1")
    .update(`blob ${String(content.length)}\0`)
    .update(content)
    .digest("hex") as ObjectId;
}

function isRegular(entry: TreeEntry | null): boolean {
  return entry === null || /^100(?:644|755|664)$/u.test(entry.mode);
}

/** Differences of two trees, sub-trees of one id left out; null: the empty tree. */
async function diffTrees(objects: ObjectReader, before: ObjectId | null, after: ObjectId | null, prefix = ""): Promise<TreeChange[]> {
  const read = async (id: ObjectId | null): Promise<Map<string, TreeEntry>> => {
    const tree = id === null ? null : await objects.tree(id);
    if (tree === null && id !== null) throw new ImprintError("INVALID_DOCUMENT", `Cannot compare trees: ${id} is not in this repository`);
    return new Map((tree === null ? [] : entriesOf(tree)).map(({ name, mode, id: entry }) => [name, { mode, id: entry }]));
  };
  const [old, now] = await Promise.all([read(before), read(after)]);
  const changes: TreeChange[] = [];
  for (const name of new Set([...old.keys(), ...now.keys()])) {
    const [a, b] = [old.get(name) ?? null, now.get(name) ?? null];
    if (a?.id === b?.id && a?.mode === b?.mode) continue;
    const path = prefix + Buffer.from(name, "latin1").toString("utf8");
    const [folderA, folderB] = [a?.mode === FOLDER ? a.id : null, b?.mode === FOLDER ? b.id : null];
    if (folderA !== null || folderB !== null) changes.push(...(await diffTrees(objects, folderA, folderB, `${path}/`)));
    const [fileA, fileB] = [folderA === null ? a : null, folderB === null ? b : null];
    if (fileA !== null || fileB !== null) changes.push({ path, before: fileA, after: fileB });
  }
  return changes;
}

/** What lies at a path, or on the way to it: a file with its blob's id, or something else (null). Null: nothing. */
async function lookAt(
  top: string,
  path: string,
): Promise<{ readonly at: string; readonly info: Stats; readonly id: ObjectId | null } | null> {
  let at = top;
  const parts = path.split("/");
  for (const [nth, part] of parts.entries()) {
    at = join(at, part);
    const info = await lstat(at).catch((error: unknown) => {
      if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return null;
      throw error;
    });
    if (info === null) return null;
    if (nth < parts.length - 1) {
      if (!info.isDirectory()) return { at: parts.slice(0, nth + 1).join("/"), info, id: null };
    } else return { at: path, info, id: info.isFile() ? blobId(await readFile(at)) : null };
  }
  return null;
}

/** Paths below `among` (files or folders) that differ from the commit, or aren't in it. */
export async function statusOf({ gitDir, top, objects }: Place, head: ObjectId | null, among: readonly string[]): Promise<string[]> {
  const index = await readIndexFile(gitDir);
  const dirty = new Set<string>();
  const root = head === null ? null : await objects.treeOf(head);
  const compare = async (path: string, entry: TreeEntry | null): Promise<void> => {
    const info = await lstat(join(top, path)).catch(() => null);
    if (entry?.mode === FOLDER || (entry === null && info?.isDirectory() === true)) {
      const tree = entry === null ? null : await objects.tree(entry.id);
      const below = new Map(
        (tree === null ? [] : entriesOf(tree)).map(({ name, mode, id }) => [Buffer.from(name, "latin1").toString("utf8"), { mode, id }]),
      );
      const lying = info?.isDirectory() === true ? await readdir(join(top, path)) : [];
      for (const name of new Set([...below.keys(), ...lying])) await compare(`${path}/${name}`, below.get(name) ?? null);
      if (entry !== null && info !== null && !info.isDirectory()) dirty.add(path);
      return;
    }
    if (entry === null && info === null) return;
    const known = index.entries.get(path);
    if (entry !== null && info?.isFile() === true && known?.id === entry.id && looksUntouched(known, info, index.writtenMs)) return;
    const found = await lookAt(top, path);
    if (entry === null || found === null || found.id !== entry.id || !isRegular(entry)) dirty.add(path);
  };
  for (const path of among) await compare(path, root === null ? null : await entryAt(objects, root, path));
  return [...dirty];
}

/** What a tree holds at a path, as deep as it may be. */
async function entryAt(objects: ObjectReader, root: ObjectId, path: string): Promise<TreeEntry | null> {
  let at: TreeEntry = { mode: FOLDER, id: root };
  for (const part of path.split("/")) {
    const tree = at.mode === FOLDER ? await objects.tree(at.id) : null;
    const name = Buffer.from(part, "utf8").toString("latin1");
    const entry = tree === null ? undefined : entriesOf(tree).find((one) => one.name === name);
    if (entry === undefined) return null;
    at = { mode: entry.mode, id: entry.id };
  }
  return at;
}

function requireSafe(path: string, what: string): void {
  for (const part of splitPath(path)) {
    if (ALIAS.test(part.replace(IGNORED_BY_HFS, "")) || part.includes("\\"))
      throw new ImprintError("WORK_TREE", `Cannot ${what}: ${JSON.stringify(path)} is no name for a file`);
  }
}

/** What lies below a folder, other than folders. */
async function filesBelow(top: string, folder: string): Promise<string[]> {
  const entries = await readdir(join(top, folder), { withFileTypes: true });
  const lists = await Promise.all(
    entries.map(async (entry) => {
      const path = `${folder}/${entry.name}`;
      return entry.isDirectory() ? filesBelow(top, path) : [path];
    }),
  );
  return lists.flat();
}

/** What would be lost: a file that is neither as it was nor as it will be. */
async function requireFree(place: Place, changes: readonly TreeChange[], what: string): Promise<void> {
  const { entries } = await readIndexFile(place.gitDir);
  const going = new Set(changes.filter(({ after }) => after === null).map(({ path }) => path));
  for (const { path, before, after } of changes) {
    requireSafe(path, what);
    const shown = JSON.stringify(path);
    if (!isRegular(before) || !isRegular(after))
      throw new ImprintError("WORK_TREE", `Cannot ${what}: ${shown} is a link or a submodule, which needs git; install git 2.34 or newer`);
    const staged = entries.get(path)?.id ?? null;
    const ids = [before?.id ?? null, after?.id ?? null];
    const found = await lookAt(place.top, path);
    if (found === null) continue; // removed by the author: nothing to lose
    // a file that makes room for a folder; it has its own turn here
    if (found.at !== path && found.info.isFile() && going.has(found.at)) continue;
    if (found.info.isDirectory() && before === null && (await filesBelow(place.top, path)).every((file) => going.has(file))) continue;
    if (found.id === null || !ids.includes(found.id) || (before === null && found.id !== after?.id)) {
      const state = before === null ? "is in the way and not in git" : "has local changes";
      throw new ImprintError("WORK_TREE", `Cannot ${what}: the file ${shown} ${state}`);
    }
    if (staged !== null && !ids.includes(staged))
      throw new ImprintError("WORK_TREE", `Cannot ${what}: the file ${shown} has staged changes`);
  }
}

async function putFile({ gitDir, top, objects }: Place, path: string, after: TreeEntry, what: string): Promise<IndexEntry> {
  const content = await objects.bytes(after.id);
  if (content === null) throw new ImprintError("INVALID_DOCUMENT", `Cannot ${what}: blob ${after.id} is not in this repository`);
  const target = join(top, path);
  await mkdir(dirname(target), { recursive: true });
  await rmdir(target).catch(() => undefined); // an empty folder in its place
  const mode = after.mode === "100755" ? "100755" : "100644";
  // by way of the git folder: what a kill leaves must not look like a file that the author made
  await writeWhole(target, content, mode === "100755" ? 0o755 : 0o644, join(gitDir, "objects"));
  return entryFor(path, after.id, mode, await lstat(target));
}

async function removeFile(top: string, path: string): Promise<void> {
  await rm(join(top, path), { force: true });
  for (let folder = dirname(path); folder !== "."; folder = dirname(folder)) {
    const isGone = await rmdir(join(top, folder)).then(
      () => true,
      () => false,
    );
    if (!isGone) return;
  }
}

/** Moves work tree and index from one commit to another. @throws ImprintError WORK_TREE, having changed nothing */
export async function moveWorkTree(place: Place, from: ObjectId | null, to: ObjectId, what: string): Promise<void> {
  const { objects, top } = place;
  try {
    const changes = await diffTrees(objects, from === null ? null : await objects.treeOf(from), await objects.treeOf(to));
    await requireFree(place, changes, what);
    const entries = new Map<string, IndexEntry | null>();
    // what goes makes room for what comes
    for (const { path } of changes.filter(({ after }) => after === null)) {
      await removeFile(top, path);
      entries.set(path, null);
    }
    for (const { path, after } of changes) if (after !== null) entries.set(path, await putFile(place, path, after, what));
    await updateIndexFile(place.gitDir, entries);
  } catch (error) {
    throw storageFailed(what, error);
  }
}
