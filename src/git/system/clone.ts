/**
 * The author's clone by the system's git. Git's own refusals are used where they exist (`merge --ff-only`,
 * `reset --keep`), and what they would still overwrite (ignored files) is looked for first.
 */
import { lstat, mkdir, readdir, readFile } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import { ImprintError } from "../../errors.ts";
import type { CloneState, NewClone } from "../clone-state.ts";
import type { ObjectId, RefName } from "../port.ts";
import { commit } from "./commit.ts";
import { baseOfRevision, possibleRefs } from "../revision.ts";
import { storageFailed } from "../store/quarantine.ts";
import { createGit, mustGit, reasonOf, runGit } from "./run.ts";
import type { Git } from "./run.ts";
import { parseRefName } from "../url.ts";

/** Which git, and in which environment; both have defaults. */
export type CloneOptions = {
  readonly git?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly quarantine?: boolean;
  readonly look?: readonly string[];
};

const SIGNED = ["trust", "packages", "checkpoint.json"];

function gitOf(options: CloneOptions): Git {
  return createGit({
    program: options.git ?? "git",
    env: options.env ?? process.env,
    gitDir: null,
    quarantine: options.quarantine === true,
  });
}

async function ask(git: Git, dir: string, args: readonly string[]): Promise<string | null> {
  const result = await runGit(git, { args: ["-C", dir, ...args], what: `read ${dir}` });
  return result.status === 0 ? result.stdout.toString("utf8").replace(/\n$/u, "") : null;
}

/** `initClone` of ../clone.ts. */
export async function initClone(
  dir: string,
  request: NewClone,
  options: CloneOptions = {},
): Promise<{ readonly gitDir: string; readonly head: ObjectId }> {
  const git = gitOf(options);
  const keepAs = parseRefName(`refs/heads/${request.branch}`);
  try {
    await mkdir(dir, { recursive: true });
    if ((await readdir(dir)).length > 0)
      throw new ImprintError("FOLDER_NOT_EMPTY", `Cannot make an index in ${dir}: the folder is not empty`);
  } catch (error) {
    throw storageFailed(`make ${dir}`, error);
  }
  const kind = request.bare === true ? ["--bare"] : [];
  const what = `make an index in ${dir}`;
  // an empty template: no sample hooks, and none of the user's
  await mustGit(
    git,
    { args: ["init", "--quiet", "--template=", `--initial-branch=${request.branch}`, ...kind, "--", dir], what },
    "STORAGE_FAILED",
  );
  const gitDir = request.bare === true ? resolve(dir) : join(resolve(dir), ".git");
  const base = (await request.base?.(gitDir)) ?? null;
  const head = await commit(git, gitDir, {
    base,
    changes: request.files,
    message: request.message,
    author: request.author,
    timeMs: request.timeMs,
    keepAs,
  });
  if (request.bare !== true) await mustGit(git, { args: ["-C", dir, "reset", "--quiet", "--hard", head], what }, "STORAGE_FAILED");
  return { gitDir, head };
}

/** `configureRemote` of ../clone.ts, its settings already spelled out. */
export async function setConfiguration(
  dir: string,
  settings: readonly (readonly [key: string, values: readonly string[]])[],
  options: CloneOptions = {},
): Promise<void> {
  const git = gitOf(options);
  const before = await configuration(git, dir, "--local");
  for (const [key, values] of settings) {
    const present = before.get(key.toLowerCase()) ?? [];
    if (present.join("\n") === values.join("\n")) continue;
    const what = `set ${key} in ${dir}`;
    if (present.length > 0) await mustGit(git, { args: ["-C", dir, "config", "--local", "--unset-all", key], what }, "STORAGE_FAILED");
    for (const value of values) await mustGit(git, { args: ["-C", dir, "config", "--local", "--add", key, value], what }, "STORAGE_FAILED");
  }
}

/** All settings of remotes and branches in one question: key, in lower case, → values. */
async function configuration(git: Git, dir: string, scope: "--local" | "--includes"): Promise<ReadonlyMap<string, readonly string[]>> {
  const listed = (await ask(git, dir, ["config", scope, "-z", "--get-regexp", "^(remote|branch)[.]"])) ?? "";
  const found = new Map<string, string[]>();
  for (const entry of listed.split("\0")) {
    const end = entry.indexOf("\n");
    const [key, value] = end < 0 ? [entry, ""] : [entry.slice(0, end), entry.slice(end + 1)];
    if (key !== "") found.set(key.toLowerCase(), [...(found.get(key.toLowerCase()) ?? []), value]);
  }
  return found;
}

/** The branch's remote, else `origin`, else the only one. */
function remoteOf(settings: ReadonlyMap<string, readonly string[]>, branch: string | null, names: readonly string[]): string | null {
  const configured = branch === null ? undefined : settings.get(`branch.${branch.toLowerCase()}.remote`)?.at(-1);
  if (configured !== undefined && configured !== ".") return configured;
  return names.includes("origin") ? "origin" : names.length === 1 ? (names[0] ?? null) : null;
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null)) !== null;
}

/** Paths of a `status --porcelain=v1 -z`; a rename's second path follows in a field of its own. */
function parseStatus(output: string): string[] {
  const fields = output.split("\0");
  const paths: string[] = [];
  for (let at = 0; at < fields.length; at++) {
    const field = fields[at] ?? "";
    if (field.length < 4) continue;
    paths.push(field.slice(3));
    if (/^[RC]|^.[RC]/u.test(field)) paths.push(fields[++at] ?? "");
  }
  return paths.filter((path) => path !== "");
}

/** `describeClone` of ../clone.ts. */
export async function describeClone(dir: string, options: CloneOptions = {}): Promise<CloneState> {
  const git = gitOf(options);
  const facts = await ask(git, dir, ["rev-parse", "--is-bare-repository", "--absolute-git-dir", "--git-common-dir"]);
  if (facts === null) throw new ImprintError("NO_OWN_INDEX", `Cannot use ${dir}: it is no git repository`);
  const [isBare, ownDir = "", common = ""] = facts.split("\n");
  const gitDir = isAbsolute(common) ? common : resolve(dir, common);
  const bare = isBare === "true";
  const [branch, head, settings, remotes, top] = await Promise.all([
    ask(git, dir, ["symbolic-ref", "--quiet", "--short", "HEAD"]),
    ask(git, dir, ["rev-parse", "--quiet", "--verify", "HEAD^{commit}"]) as Promise<ObjectId | null>,
    configuration(git, dir, "--includes"),
    ask(git, dir, ["remote"]),
    bare ? null : ask(git, dir, ["rev-parse", "--show-toplevel"]),
  ]);
  const names = (remotes ?? "").split("\n").filter((name) => name !== "");
  const remoteName = remoteOf(settings, branch, names);
  const urlOf = (kind: "url" | "pushurl"): string | null =>
    settings.get(`remote.${remoteName?.toLowerCase() ?? ""}.${kind}`)?.at(-1) ?? null;
  const [fetchUrl, pushUrl] = [urlOf("url"), urlOf("pushurl") ?? urlOf("url")];
  const { look = SIGNED } = options;
  const status =
    top === null || look.length === 0
      ? null
      : await mustGit(git, {
          args: ["-C", top, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--", ...look],
          what: `read the status of ${top}`,
        });
  const inProgress = (await isThere(join(ownDir, "MERGE_HEAD")))
    ? "merge"
    : (await isThere(join(ownDir, "rebase-merge"))) || (await isThere(join(ownDir, "rebase-apply")))
      ? "rebase"
      : null;
  return {
    gitDir,
    bare,
    branch,
    remoteName,
    fetchUrl,
    pushUrl,
    head,
    dirty: status === null ? [] : parseStatus(status.stdout.toString("utf8")),
    inProgress,
  };
}

/** Paths that `to` adds and that lie in the work tree untracked, ignored ones too: git would overwrite the latter. */
async function untrackedInTheWay(git: Git, top: string, from: ObjectId, to: ObjectId): Promise<string | null> {
  const added = (await ask(git, top, ["diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=A", from, to])) ?? "";
  for (const path of added.split("\0")) {
    if (path !== "" && (await isThere(join(top, path)))) return path;
  }
  return null;
}

/** `buildsOn` of ../clone.ts. */
export function buildsOn(dir: string, commit: ObjectId, ancestor: ObjectId, options: CloneOptions = {}): Promise<boolean> {
  return isAncestor(gitOf(options), dir, ancestor, commit);
}

async function isAncestor(git: Git, dir: string, from: ObjectId, to: ObjectId): Promise<boolean> {
  return (
    (await runGit(git, { args: ["-C", dir, "merge-base", "--is-ancestor", from, to], what: `compare ${from} and ${to}` })).status === 0
  );
}

/** `advanceBranch` of ../clone.ts. */
export async function advanceBranch(
  dir: string,
  move: { readonly to: ObjectId; readonly from: ObjectId | null; readonly force: boolean },
  options: CloneOptions = {},
): Promise<void> {
  const git = gitOf(options);
  const { to, from, force } = move;
  const what = `move the branch of ${dir} to ${to}`;
  const branch = await ask(git, dir, ["symbolic-ref", "--quiet", "HEAD"]);
  if (branch === null) throw new ImprintError("WORK_TREE", `Cannot ${what}: no branch is checked out`);
  const head = await ask(git, dir, ["rev-parse", "--quiet", "--verify", "HEAD^{commit}"]);
  if (head === to) return;
  if (head !== from)
    throw new ImprintError("STATE_CHANGED", `Cannot ${what}: it is at ${head ?? "no commit"}, not at ${from ?? "no commit"}`);
  const forward = from === null || (await isAncestor(git, dir, from, to));
  if (!forward && !force) throw new ImprintError("DIVERGED", `Cannot ${what}: it does not build on ${from}`);
  if ((await ask(git, dir, ["rev-parse", "--is-bare-repository"])) === "true") {
    await moveRef(git, dir, parseRefName(branch), to, from);
    return;
  }
  const top = (await ask(git, dir, ["rev-parse", "--show-toplevel"])) ?? dir;
  if (from !== null) {
    const path = await untrackedInTheWay(git, top, from, to);
    if (path !== null) throw new ImprintError("WORK_TREE", `Cannot ${what}: the file ${JSON.stringify(path)} is in the way and not in git`);
  }
  const args = forward
    ? ["merge", "--ff-only", "--quiet", "--no-verify", "--no-autostash", "--no-overwrite-ignore", to]
    : ["reset", "--keep", "--quiet", to];
  const result = await runGit(git, { args: ["-C", top, ...args], what });
  if (result.status !== 0) throw new ImprintError("WORK_TREE", `Cannot ${what}: ${reasonOf(result.stderr)}`);
}

async function moveRef(git: Git, dir: string, ref: RefName, to: ObjectId, from: ObjectId | null): Promise<void> {
  const expected = from ?? "0".repeat(to.length);
  const result = await runGit(git, { args: ["-C", dir, "update-ref", "-m", "imprint: publish", ref, to, expected], what: `update ${ref}` });
  if (result.status !== 0) throw new ImprintError("STATE_CHANGED", `Cannot update ${ref} in ${dir}: ${reasonOf(result.stderr)}`);
}

/** `deleteRef` of ../clone.ts. */
export async function deleteRef(dir: string, ref: RefName, options: CloneOptions = {}): Promise<void> {
  await mustGit(gitOf(options), { args: ["-C", dir, "update-ref", "-d", ref], what: `delete ${ref} in ${dir}` }, "STORAGE_FAILED");
}

/** `remoteUrl` of ../clone.ts. */
export function remoteUrl(dir: string, name: string, options: CloneOptions = {}): Promise<string | null> {
  return ask(gitOf(options), dir, ["config", "--get", `remote.${name}.url`]);
}

/** `resolveCommit` of ../clone.ts. */
export async function resolveCommit(dir: string, name: string, options: CloneOptions = {}): Promise<ObjectId | null> {
  return (await ask(gitOf(options), dir, ["rev-parse", "--quiet", "--verify", "--end-of-options", `${name}^{commit}`])) as ObjectId | null;
}

/** `meaningsOf` of ../clone.ts. */
export async function meaningsOf(dir: string, name: string, options: CloneOptions = {}): Promise<readonly string[]> {
  const git = gitOf(options);
  const base = baseOfRevision(name);
  if (base === null) return [];
  const refs = possibleRefs(base);
  const listed = (await ask(git, dir, ["for-each-ref", "--format=%(refname)", "--", ...refs])) ?? "";
  const names = new Set(listed.split("\n"));
  const there = refs.filter((ref) => names.has(ref));
  // HEAD, FETCH_HEAD and their like are files of their own; others of these files are no refs.
  const own = (await ask(git, dir, ["rev-parse", "--git-path", base])) ?? base;
  const text = await readFile(resolve(dir, own), "utf8").catch(() => "");
  const pseudo = /^(ref: |[0-9a-f]{40})/u.test(text) ? [base] : [];
  const short = /^(?:.*-g)?([0-9a-f]{4,63})$/iu.exec(base)?.[1];
  if (short === undefined || short.length === 40) return [...pseudo, ...there];
  const ids = ((await ask(git, dir, ["rev-parse", `--disambiguate=${short.toLowerCase()}`])) ?? "").split("\n").filter((id) => id !== "");
  const kinds = await Promise.all(ids.slice(0, 100).map((id) => ask(git, dir, ["cat-file", "-t", id])));
  return [...pseudo, ...there, ...ids.filter((_, at) => kinds[at] === "commit" || kinds[at] === "tag")];
}

/** `folderInTree` of ../clone.ts. */
export async function folderInTree(dir: string, options: CloneOptions = {}): Promise<string> {
  return (await ask(gitOf(options), dir, ["rev-parse", "--show-prefix"])) ?? "";
}

/** `mergeBase` of ../clone.ts. */
export async function mergeBase(dir: string, one: ObjectId, other: ObjectId, options: CloneOptions = {}): Promise<ObjectId | null> {
  return (await ask(gitOf(options), dir, ["merge-base", one, other])) as ObjectId | null;
}

/** `historyOf` of ../clone.ts. */
export async function historyOf(
  dir: string,
  heads: readonly ObjectId[],
  max: number,
  options: CloneOptions = {},
): Promise<readonly ObjectId[]> {
  const args = ["-C", dir, "rev-list", `--max-count=${max}`, "--end-of-options", ...heads];
  const result = await mustGit(gitOf(options), { args, what: "read the clone's history" });
  return result.stdout
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "") as ObjectId[];
}

/** `changedPaths` of ../clone.ts. */
export async function changedPaths(dir: string, from: ObjectId, to: ObjectId, options: CloneOptions = {}): Promise<readonly string[]> {
  const result = await mustGit(gitOf(options), {
    args: ["-C", dir, "diff-tree", "-r", "-z", "--no-renames", "--name-only", from, to],
    what: `compare ${from} with ${to}`,
  });
  return result.stdout
    .toString("utf8")
    .split("\0")
    .filter((path) => path !== "");
}

/** `hookPath` of ../clone.ts. */
export async function hookPath(dir: string, name: string, options: CloneOptions = {}): Promise<string | null> {
  const git = gitOf(options);
  const common = await ask(git, dir, ["rev-parse", "--git-common-dir"]);
  if (common === null) return null;
  // our own runs set it too, so that they call no hook: that is the scope `command`
  const set = (await ask(git, dir, ["config", "--get-all", "--show-scope", "--type=path", "core.hooksPath"])) ?? "";
  const folder = set
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("command\t"))
    .at(-1)
    ?.replace(/^[a-z]+\t/u, "");
  const top = (await ask(git, dir, ["rev-parse", "--show-toplevel"])) ?? dir;
  return folder === undefined ? join(resolve(dir, common), "hooks", name) : resolve(top, folder, name);
}

/** `expandedUrl` of ../clone.ts. */
export function expandedUrl(dir: string, remote: string, direction: "fetch" | "push", options: CloneOptions = {}): Promise<string | null> {
  return ask(gitOf(options), dir, ["remote", "get-url", ...(direction === "push" ? ["--push"] : []), "--", remote]);
}
