/**
 * The author's clone without git: the plain kind that `git clone`, `git init` and `imprint init` make. Everything else
 * (linked work trees, alternates, partial clones, other formats of refs and objects) is left to git, by name.
 *
 * A move of the branch is written down before it begins, so that what a kill left half done is completed by the next
 * look at the clone, instead of standing there as somebody's edits.
 */
import { lstat, mkdir, readdir, readFile, realpath, rm } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { ImprintError, isImprintError } from "../../errors.ts";
import type { ObjectId, RefName } from "../port.ts";
import type { CloneState, NewClone } from "../clone-state.ts";
import { baseOfRevision, possibleRefs } from "../revision.ts";
import { createCloneFolder } from "../store/bare.ts";
import type { ObjectReader } from "../store/objects.ts";
import { listTree } from "../store/list.ts";
import { storageFailed } from "../store/quarantine.ts";
import { readRef, readRefText, writeRef } from "../store/refs.ts";
import { parseRefName } from "../url.ts";
import { commit } from "./commit.ts";
import { configOf } from "./config.ts";
import { library, libraryFs, writeWhole } from "./library.ts";
import { openObjects } from "./objects.ts";
import { moveWorkTree, type Place, statusOf } from "./work-tree.ts";

const JOURNAL = "imprint-move";
const MAX_WALK = 1_000_000;
const SIGNED = ["trust", "packages", "checkpoint.json"];

type Found = { readonly gitDir: string; readonly top: string | null };

function needsGit(dir: string, state: string): ImprintError {
  return new ImprintError("GIT_MISSING", `Cannot use ${dir} without git: ${state}; install git 2.34 or newer`);
}

async function kindOf(path: string): Promise<"file" | "folder" | null> {
  const info = await lstat(path).catch(() => null);
  return info === null ? null : info.isDirectory() ? "folder" : "file";
}

/** The repository that `dir` is in. @throws ImprintError NO_OWN_INDEX, GIT_MISSING */
async function findRepository(dir: string): Promise<Found> {
  for (let at = resolve(dir); ; at = dirname(at)) {
    const own = await kindOf(join(at, ".git"));
    if (own === "file") throw needsGit(dir, "it is a linked work tree or a submodule");
    const found: Found | null =
      own === "folder"
        ? { gitDir: join(at, ".git"), top: at }
        : (await kindOf(join(at, "HEAD"))) === "file" && (await kindOf(join(at, "objects"))) === "folder"
          ? { gitDir: at, top: null }
          : null;
    if (found !== null) return requirePlain(dir, found);
    if (dirname(at) === at) throw new ImprintError("NO_OWN_INDEX", `Cannot use ${dir}: it is no git repository`);
  }
}

async function requirePlain(dir: string, found: Found): Promise<Found> {
  const { gitDir } = found;
  const config = await configOf(gitDir);
  if (((await config.get("core.repositoryformatversion")) ?? "0") !== "0") throw needsGit(dir, "its format is not git's oldest");
  for (const setting of ["core.worktree", "core.sparsecheckout"])
    if (!["", "false"].includes((await config.get(setting)) ?? "")) throw needsGit(dir, `${setting} is set`);
  if ((await kindOf(join(gitDir, "objects", "info", "alternates"))) !== null)
    throw needsGit(dir, "it borrows objects from another repository");
  if ((await kindOf(join(gitDir, "reftable"))) !== null) throw needsGit(dir, "its refs are no files");
  if ((await kindOf(join(gitDir, "commondir"))) !== null) throw needsGit(dir, "it is a linked work tree");
  const isBare = (await config.get("core.bare")) === "true";
  if (isBare !== (found.top === null)) {
    if (isBare) throw needsGit(dir, "core.bare is set, and it has a work tree");
    return { gitDir, top: gitDir.endsWith(".git") ? dirname(gitDir) : null };
  }
  return found;
}

/** Runs `work` on the repository that `dir` is in, completing first what a kill left half done. */
async function withClone<T>(dir: string, work: (found: Found, objects: ObjectReader) => Promise<T>): Promise<T> {
  const found = await findRepository(dir);
  const objects = openObjects(found.gitDir);
  try {
    await completeMove(found, objects);
    return await work(found, objects);
  } catch (error) {
    throw storageFailed(`use the clone ${dir}`, error);
  } finally {
    await objects.close();
  }
}

async function completeMove({ gitDir, top }: Found, objects: ObjectReader): Promise<void> {
  const journal = await readFile(join(gitDir, JOURNAL), "utf8").catch(() => null);
  if (journal === null || top === null) return;
  const [, from, to, branch] = /^(-|[0-9a-f]{40}) ([0-9a-f]{40}) (refs\/heads\/\S+)\n$/u.exec(journal) ?? [];
  const before = from === "-" ? null : (from as ObjectId);
  if (
    to !== undefined &&
    branch !== undefined &&
    (await readRef(gitDir, "HEAD")) === before &&
    (await readRefText(gitDir, "HEAD")) === `ref: ${branch}`
  ) {
    try {
      await moveWorkTree({ gitDir, top, objects }, before, to as ObjectId, `complete the move to ${to}`);
      await writeRef(gitDir, parseRefName(branch), to as ObjectId, before);
    } catch (error) {
      // edited since: then the author sees it as it is
      if (!isImprintError(error, "WORK_TREE", "STATE_CHANGED", "INVALID_DOCUMENT")) throw error;
    }
  }
  await rm(join(gitDir, JOURNAL), { force: true });
}

/** `initClone` of ../clone.ts. */
export async function initClone(dir: string, request: NewClone): Promise<{ readonly gitDir: string; readonly head: ObjectId }> {
  const keepAs = parseRefName(`refs/heads/${request.branch}`);
  const bare = request.bare === true;
  const what = `make an index in ${dir}`;
  const top = resolve(dir);
  const gitDir = bare ? top : join(top, ".git");
  try {
    await mkdir(dir, { recursive: true });
    if ((await readdir(dir)).length > 0) throw new ImprintError("FOLDER_NOT_EMPTY", `Cannot ${what}: the folder is not empty`);
    if (bare) await rm(top, { recursive: true });
  } catch (error) {
    throw storageFailed(`make ${dir}`, error);
  }
  await createCloneFolder(gitDir, { branch: request.branch, bare });
  const base = (await request.base?.(gitDir)) ?? null;
  const objects = openObjects(gitDir);
  const { files: changes, message, author, timeMs } = request;
  const head = await commit(gitDir, objects, { base, changes, message, author, timeMs, keepAs });
  if (!bare) await moveWorkTree({ gitDir, top, objects }, null, head, what);
  await objects.close();
  return { gitDir, head };
}

/** `configureRemote` of ../clone.ts, its settings already spelled out. */
export async function setConfiguration(
  dir: string,
  settings: readonly (readonly [key: string, values: readonly string[]])[],
): Promise<void> {
  const { gitDir } = await findRepository(dir);
  const config = await configOf(gitDir);
  for (const [key, values] of settings) await config.set(key, values);
}

/** `describeClone` of ../clone.ts. */
export function describeClone(dir: string, look: readonly string[] = SIGNED): Promise<CloneState> {
  return withClone(dir, async ({ gitDir, top }, objects) => {
    const config = await configOf(gitDir);
    const at = await readRefText(gitDir, "HEAD");
    const branch = at?.startsWith("ref: refs/heads/") === true ? at.slice("ref: refs/heads/".length) : null;
    const configured = branch === null ? null : await config.get(`branch.${branch}.remote`);
    const names = await config.remotes();
    const only = names.length === 1 ? (names[0] ?? null) : null;
    const remoteName = configured !== null && configured !== "." ? configured : names.includes("origin") ? "origin" : only;
    const fetchUrl = remoteName === null ? null : await config.get(`remote.${remoteName}.url`);
    const pushUrl = remoteName === null ? null : ((await config.get(`remote.${remoteName}.pushurl`)) ?? fetchUrl);
    const head = await readRef(gitDir, "HEAD");
    const isRebase = (await kindOf(join(gitDir, "rebase-merge"))) !== null || (await kindOf(join(gitDir, "rebase-apply"))) !== null;
    const inProgress = (await kindOf(join(gitDir, "MERGE_HEAD"))) !== null ? "merge" : isRebase ? "rebase" : null;
    return {
      gitDir,
      bare: top === null,
      branch,
      remoteName,
      fetchUrl,
      pushUrl,
      head,
      // of a merge that is not done, the index file has no one answer
      dirty: top === null || inProgress !== null ? [] : await statusOf({ gitDir, top, objects }, head, look),
      inProgress,
    };
  });
}

/** A commit and its ancestors as far as they are here, nearest first. */
async function* history(objects: ObjectReader, of: ObjectId): AsyncGenerator<ObjectId> {
  const seen = new Set([of]);
  // a Set goes on to what is added while it is walked
  for (const commitId of seen) {
    yield commitId;
    if (seen.size < MAX_WALK) for (const parent of (await objects.parentsOf(commitId)) ?? []) seen.add(parent);
  }
}

async function isAncestor(objects: ObjectReader, ancestor: ObjectId, of: ObjectId): Promise<boolean> {
  for await (const commitId of history(objects, of)) if (commitId === ancestor) return true;
  return false;
}

/** `buildsOn` of ../clone.ts. */
export function buildsOn(dir: string, commitId: ObjectId, ancestor: ObjectId): Promise<boolean> {
  return withClone(dir, (_, objects) => isAncestor(objects, ancestor, commitId));
}

/** `advanceBranch` of ../clone.ts. */
export function advanceBranch(
  dir: string,
  { to, from, force }: { readonly to: ObjectId; readonly from: ObjectId | null; readonly force: boolean },
): Promise<void> {
  const what = `move the branch of ${dir} to ${to}`;
  return withClone(dir, async ({ gitDir, top }, objects) => {
    const at = await readRefText(gitDir, "HEAD");
    if (at?.startsWith("ref: ") !== true) throw new ImprintError("WORK_TREE", `Cannot ${what}: no branch is checked out`);
    const branch = parseRefName(at.slice("ref: ".length));
    const head = await readRef(gitDir, branch);
    if (head === to) return;
    if (head !== from)
      throw new ImprintError("STATE_CHANGED", `Cannot ${what}: it is at ${head ?? "no commit"}, not at ${from ?? "no commit"}`);
    if (!force && from !== null && !(await isAncestor(objects, from, to)))
      throw new ImprintError("DIVERGED", `Cannot ${what}: it does not build on ${from}`);
    if (top !== null) await moveChecked({ gitDir, top, objects }, { from, to, branch, what });
    await writeRef(gitDir, branch, to, from);
    await rm(join(gitDir, JOURNAL), { force: true });
  });
}

async function moveChecked(
  place: Place,
  { from, to, branch, what }: { readonly from: ObjectId | null; readonly to: ObjectId; readonly branch: string; readonly what: string },
): Promise<void> {
  const journal = join(place.gitDir, JOURNAL);
  await writeWhole(journal, `${from ?? "-"} ${to} ${branch}\n`);
  try {
    await moveWorkTree(place, from, to, what);
  } catch (error) {
    // refused before anything was touched; after anything else the next look goes on
    if (isImprintError(error, "WORK_TREE")) await rm(journal, { force: true });
    throw error;
  }
}

/** `deleteRef` of ../clone.ts. */
export function deleteRef(dir: string, ref: RefName): Promise<void> {
  return withClone(dir, async ({ gitDir }) => {
    // the library's, because a ref may stand in packed-refs too
    if ((await readRef(gitDir, ref)) !== null) await (await library()).deleteRef({ fs: libraryFs, gitdir: gitDir, ref });
  });
}

/** `remoteUrl` of ../clone.ts. */
export function remoteUrl(dir: string, name: string): Promise<string | null> {
  return withClone(dir, async ({ gitDir }) => (await configOf(gitDir)).get(`remote.${name}.url`));
}

/** `resolveCommit` of ../clone.ts: `HEAD`, a ref in full or below `refs/heads` or `refs/remotes`, or an id. */
export function resolveCommit(dir: string, name: string): Promise<ObjectId | null> {
  return withClone(dir, async ({ gitDir }, objects) => {
    if (/^[0-9a-f]{40}$/u.test(name)) return (await objects.info(name as ObjectId))?.type === "commit" ? (name as ObjectId) : null;
    if (name === "HEAD") return readRef(gitDir, name);
    if (!/^[A-Za-z0-9][\w./-]*$/u.test(name)) throw needsGit(dir, `${JSON.stringify(name)} is no plain name of a commit`);
    for (const ref of [name, `refs/heads/${name}`, `refs/remotes/${name}`]) {
      const id = ref.startsWith("refs/") ? await readRef(gitDir, parseRefName(ref)) : null;
      if (id !== null) return id;
    }
    return null;
  });
}

/** `meaningsOf` of ../clone.ts; an id is read in full only, so that no beginning of one is looked for. */
export function meaningsOf(dir: string, name: string): Promise<readonly string[]> {
  return withClone(dir, async ({ gitDir }) => {
    const base = baseOfRevision(name);
    if (base === null) return [];
    const refs = [...(base === "HEAD" ? [base] : []), ...possibleRefs(base)];
    const ids = await Promise.all(refs.map((ref) => readRef(gitDir, ref)));
    return refs.filter((_, at) => (ids[at] ?? null) !== null);
  });
}

/** `folderInTree` of ../clone.ts. */
export function folderInTree(dir: string): Promise<string> {
  return withClone(dir, async ({ top }) => {
    const below = top === null ? "" : relative(await realpath(top), await realpath(dir));
    return below === "" ? "" : `${below.split(sep).join("/")}/`;
  });
}

/** `mergeBase` of ../clone.ts. */
export function mergeBase(dir: string, one: ObjectId, other: ObjectId): Promise<ObjectId | null> {
  return withClone(dir, async (_, objects) => {
    const ours = new Set<ObjectId>();
    for await (const commitId of history(objects, one)) ours.add(commitId);
    for await (const commitId of history(objects, other)) if (ours.has(commitId)) return commitId;
    return null;
  });
}

/** `historyOf` of ../clone.ts. */
export function historyOf(dir: string, heads: readonly ObjectId[], max: number): Promise<readonly ObjectId[]> {
  return withClone(dir, async (_, objects) => {
    const found = new Set<ObjectId>();
    for (const head of heads)
      for await (const commitId of history(objects, head)) {
        if (found.size >= max) break;
        found.add(commitId);
      }
    return [...found];
  });
}

/** `changedPaths` of ../clone.ts. */
export function changedPaths(dir: string, from: ObjectId, to: ObjectId): Promise<readonly string[]> {
  return withClone(dir, async (_, objects) => {
    const filesOf = async (commitId: ObjectId): Promise<ReadonlyMap<string, string>> =>
      new Map((await listTree(objects, commitId)).map(({ path, mode, id }) => [path, `${mode} ${id}`]));
    const [before, after] = [await filesOf(from), await filesOf(to)];
    return [...new Set([...before.keys(), ...after.keys()])].filter((path) => before.get(path) !== after.get(path)).toSorted();
  });
}
