/**
 * The author's side: their own clone of their index, with a work tree they look at and edit, or bare.
 *
 * Publishing commits past the work tree and then moves the checked-out branch here. The rule, for either git: a local
 * change is never lost.
 */
import { ImprintError } from "../errors.ts";
import type { GitKind } from "./choice.ts";
import type { CloneState, NewClone } from "./clone-state.ts";
import type * as EmbeddedClone from "./isomorphic/clone.ts";
import type * as SystemClone from "./system/clone.ts";
import type { GitUrl, ObjectId, RefName } from "./port.ts";
import { parseRefName } from "./url.ts";

/** Which git (the system's unless `kind` says otherwise), which program, and in which environment. */
export type CloneOptions = {
  readonly kind?: () => Promise<GitKind>;
  readonly git?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Asked by a hook: what is being pushed is there too. */
  readonly quarantine?: boolean;
  /** Where `describeClone` looks for local changes: all that is signed unless given, nowhere if empty. */
  readonly look?: readonly string[];
};

type System = typeof SystemClone;
type Embedded = typeof EmbeddedClone;

async function by<T>(options: CloneOptions, system: (git: System) => Promise<T>, embedded: (git: Embedded) => Promise<T>): Promise<T> {
  const kind = (await options.kind?.()) ?? "system";
  return kind === "system" ? system(await import("./system/clone.ts")) : embedded(await import("./isomorphic/clone.ts"));
}

/**
 * Makes a new index repository in `dir`, which must be empty or not there yet (FOLDER_NOT_EMPTY), with `files` as its
 * first commit on `branch`.
 */
export function initClone(
  dir: string,
  request: NewClone,
  options: CloneOptions = {},
): Promise<{ readonly gitDir: string; readonly head: ObjectId }> {
  return by(
    options,
    (git) => git.initClone(dir, request, options),
    (git) => git.initClone(dir, request),
  );
}

/**
 * Sets a remote so that a plain `git push` publishes: branch and `refs/tarballs/*`, which is in no default refspec.
 * Idempotent; killed in between, the next run completes it.
 */
export async function configureRemote(
  dir: string,
  remote: {
    readonly name: string;
    /** Null: as it is configured. */
    readonly url: GitUrl | null;
    readonly pushUrl?: GitUrl;
    readonly branch: string;
  },
  options: CloneOptions = {},
): Promise<void> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/u.test(remote.name))
    throw new ImprintError("USAGE", `Cannot name a remote ${JSON.stringify(remote.name)}: letters, digits, . _ -`);
  const branch = parseRefName(`refs/heads/${remote.branch}`);
  const section = `remote.${remote.name}`;
  const settings: [string, readonly string[]][] = [
    ...(remote.url === null
      ? []
      : ([
          [`${section}.url`, [remote.url]],
          [`${section}.pushurl`, remote.pushUrl === undefined || remote.pushUrl === remote.url ? [] : [remote.pushUrl]],
        ] as [string, readonly string[]][])),
    [`${section}.fetch`, [`+refs/heads/*:refs/remotes/${remote.name}/*`]],
    [`${section}.push`, [`${branch}:${branch}`, "refs/tarballs/*:refs/tarballs/*"]],
    [`branch.${remote.branch}.remote`, [remote.name]],
    [`branch.${remote.branch}.merge`, [branch]],
  ];
  await by(
    options,
    (git) => git.setConfiguration(dir, settings, options),
    (git) => git.setConfiguration(dir, settings),
  );
}

/** What an author's clone looks like now. Throws NO_OWN_INDEX where `dir` is in no git repository. */
export function describeClone(dir: string, options: CloneOptions = {}): Promise<CloneState> {
  return by(
    options,
    (git) => git.describeClone(dir, options),
    (git) => git.describeClone(dir, options.look),
  );
}

/** Whether `commit` has `ancestor` in its history, as far as the clone in `dir` knows it. Decides only what may be lost. */
export function buildsOn(dir: string, commit: ObjectId, ancestor: ObjectId, options: CloneOptions = {}): Promise<boolean> {
  return by(
    options,
    (git) => git.buildsOn(dir, commit, ancestor, options),
    (git) => git.buildsOn(dir, commit, ancestor),
  );
}

/**
 * Moves the checked-out branch from `from` (STATE_CHANGED if it is elsewhere) to `to` and updates the work tree. Throws
 * DIVERGED where `to` doesn't build on `from` unless `force`, and WORK_TREE, having changed nothing, where a local
 * change is in the way.
 */
export function advanceBranch(
  dir: string,
  move: { readonly to: ObjectId; readonly from: ObjectId | null; readonly force: boolean },
  options: CloneOptions = {},
): Promise<void> {
  return by(
    options,
    (git) => git.advanceBranch(dir, move, options),
    (git) => git.advanceBranch(dir, move),
  );
}

/** Deletes a local ref, if it is there. */
export function deleteRef(dir: string, ref: RefName, options: CloneOptions = {}): Promise<void> {
  return by(
    options,
    (git) => git.deleteRef(dir, ref, options),
    (git) => git.deleteRef(dir, ref),
  );
}

/** The address that a remote is fetched from, as configured and so possibly with credentials; null where there is none. */
export function remoteUrl(dir: string, name: string, options: CloneOptions = {}): Promise<string | null> {
  return by(
    options,
    (git) => git.remoteUrl(dir, name, options),
    (git) => git.remoteUrl(dir, name),
  );
}

/** The commit that a name means in a clone, or null: any of git's spellings; without git `HEAD`, a ref, or an id. */
export function resolveCommit(dir: string, name: string, options: CloneOptions = {}): Promise<ObjectId | null> {
  return by(
    options,
    (git) => git.resolveCommit(dir, name, options),
    (git) => git.resolveCommit(dir, name),
  );
}

/**
 * All that a name may mean in a clone, spelled so that it means nothing else: refs in full, and ids of commits where the
 * name is the beginning of one. Git takes the first of several and says so on stderr only. None where the name is no name
 * of a ref or id, such as `:/words`, or is a ref in full.
 */
export function meaningsOf(dir: string, name: string, options: CloneOptions = {}): Promise<readonly string[]> {
  return by(
    options,
    (git) => git.meaningsOf(dir, name, options),
    (git) => git.meaningsOf(dir, name),
  );
}

/** Where `dir` is below the top of its work tree, with a final `/`, or empty at the top. */
export function folderInTree(dir: string, options: CloneOptions = {}): Promise<string> {
  return by(
    options,
    (git) => git.folderInTree(dir, options),
    (git) => git.folderInTree(dir),
  );
}

/** Where the histories of two commits meet, as far as the clone knows them; null: nowhere. */
export function mergeBase(dir: string, one: ObjectId, other: ObjectId, options: CloneOptions = {}): Promise<ObjectId | null> {
  return by(
    options,
    (git) => git.mergeBase(dir, one, other, options),
    (git) => git.mergeBase(dir, one, other),
  );
}

/** Commits from which `heads` grew, themselves included, newest first; as far as the clone knows them, and `max` at most. */
export function historyOf(dir: string, heads: readonly ObjectId[], max: number, options: CloneOptions = {}): Promise<readonly ObjectId[]> {
  return by(
    options,
    (git) => git.historyOf(dir, heads, max, options),
    (git) => git.historyOf(dir, heads, max),
  );
}

/** Paths whose files differ between two commits, added and removed ones too. */
export function changedPaths(dir: string, from: ObjectId, to: ObjectId, options: CloneOptions = {}): Promise<readonly string[]> {
  return by(
    options,
    (git) => git.changedPaths(dir, from, to, options),
    (git) => git.changedPaths(dir, from, to),
  );
}

/** Where git looks for a hook of this clone, there or not; null where `dir` is in no repository. Hooks are git's: it must be there. */
export async function hookPath(dir: string, name: string, options: CloneOptions = {}): Promise<string | null> {
  const { hookPath: find } = await import("./system/clone.ts");
  return find(dir, name, options);
}

/**
 * A remote's address as the user's `insteadOf` and `pushInsteadOf` make it; null where there is none. Only the system's git
 * has them.
 */
export function expandedUrl(dir: string, remote: string, direction: "fetch" | "push", options: CloneOptions = {}): Promise<string | null> {
  return by(
    options,
    (git) => git.expandedUrl(dir, remote, direction, options),
    (git) => git.remoteUrl(dir, remote),
  );
}
