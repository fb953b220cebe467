/**
 * `imprint hook install|pre-push|pre-receive`: what is pushed is verified first, in the author's clone or where it arrives.
 * A bare git server with the latter refuses whatever readers would refuse: it is a whole registry host.
 *
 * Git hands a hook the updates on stdin, a line each, and takes a non-zero exit as no to all of them.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type ChangeReport, verifyChange } from "../../audit/verify-change.ts";
import type { WholeIndex } from "../../audit/verify-index.ts";
import type { Fault } from "../../audit/verify-packages.ts";
import { verifyTarballs } from "../../audit/verify-tarballs.ts";
import { errnoOf, ImprintError, isImprintError } from "../../errors.ts";
import { type IndexId, isIndexId } from "../../format/digest.ts";
import { changedPaths, describeClone, hookPath } from "../../git/clone.ts";
import type { GitRepository, ObjectId, RefName } from "../../git/port.ts";
import { openSystemGit } from "../../git/system/repository.ts";
import { parseObjectId, parseRefName } from "../../git/url.ts";
import { commitSource } from "../../index/source.ts";
import { readIndexId, readState } from "../../index/sync.ts";
import type { TarballStore } from "../../index/tarballs.ts";
import { newestRoot } from "../../index/trust.ts";
import type { Deps } from "../deps.ts";
import { TRANSFER_LIMITS } from "../open.ts";
import { idOfClone, readOwnIndices } from "../own-indices.ts";
import { pushedTarballFaults, tarballsIn } from "../pushed-tarballs.ts";
import { clean } from "../../format/text.ts";

const MARK = "# written by imprint hook install";

export type HookOptions = { readonly id: string | undefined; readonly ref: string | undefined };

type Update = { readonly ref: RefName; readonly from: ObjectId | null; readonly to: ObjectId | null };

/** @returns the file written */
export async function hookInstall(folder: string | undefined, { id, ref }: HookOptions, deps: Deps): Promise<string> {
  const dir = path.resolve(deps.cwd, folder ?? ".");
  const clone = await describeClone(dir, deps.git);
  const name = clone.bare ? "pre-receive" : "pre-push";
  const target = await hookPath(dir, name, deps.git);
  if (target === null) throw new ImprintError("NO_OWN_INDEX", `Cannot install a hook in ${dir}: it is no git repository`);
  const present = await readFile(target, "utf8").catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return null;
    throw new ImprintError("FILE_UNREADABLE", `Cannot install a hook in ${dir}: ${target} cannot be read`, { cause: error });
  });
  if (present !== null && !present.includes(MARK))
    throw new ImprintError("NAME_TAKEN", `Cannot install a hook in ${dir}: ${target} is there already; call imprint hook ${name} from it`);
  const pinned = requireId(id) ?? (await idOfClone(deps, dir));
  const flags = [...(pinned === null ? [] : ["--id", pinned]), ...(ref === undefined ? [] : ["--ref", parseRefName(ref)])].join(" ");
  await mkdir(path.dirname(target), { recursive: true });
  await writeFile(target, scriptOf(name, flags), { mode: 0o755 });
  deps.terminal.ok(
    `${target}: every push ${clean(clone.bare ? "that arrives here" : "from here")} is verified first${pinned === null ? "; no id is pinned yet" : ""}`,
  );
  return target;
}

/** A push over ssh may find another PATH than its admin's: then the program that wrote this one is used. */
function scriptOf(name: string, flags: string): string {
  const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
  const bin = path.resolve(fileURLToPath(import.meta.url), "../../../bin.js");
  return `#!/bin/sh
${MARK}
if command -v imprint >/dev/null; then exec imprint hook ${name} ${flags} "$@"; fi
exec ${quote(process.execPath)} ${quote(bin)} hook ${name} ${flags}
`;
}

/** @throws ImprintError VERIFY_FAILED where anything that is pushed would be refused by readers */
export async function hookPreReceive({ id, ref }: HookOptions, deps: Deps): Promise<void> {
  const clone = await describeClone(deps.cwd, { ...deps.git, quarantine: true });
  const repository = openSystemGit({ gitDir: clone.gitDir, env: deps.env, history: true, quarantine: true });
  try {
    const updates = (await deps.readInput()).split("\n").filter(Boolean).map(parseUpdate);
    const branch = parseRefName(ref ?? (await readBranch(repository, clone.branch, updates)));
    const faults: Fault[] = [];
    const tarballs = tarballsIn(repository, new Map(updates.map((update) => [update.ref, update.to])));
    for (const update of updates) {
      if (update.ref === branch) {
        const report = await judgeBranch(repository, update, { pinned: requireId(id), dir: deps.cwd, quarantine: true }, deps);
        faults.push(...report.faults, ...(await missingTarballs(report, tarballs)));
      }
    }
    const head = updates.find((update) => update.ref === branch)?.to ?? (await repository.head(branch));
    faults.push(...(await pushedTarballFaults(repository, updates, head)));
    refuseIfAny(faults, updates.length, deps);
  } finally {
    await repository.close();
  }
}

/** The branch of HEAD; of a server whose HEAD names one that nobody ever pushed, `main`, which readers ask for. */
async function readBranch(repository: GitRepository, head: string | null, updates: readonly Update[]): Promise<string> {
  const [own, main] = [`refs/heads/${head ?? "main"}`, "refs/heads/main"];
  const isThere = updates.some(({ ref }) => ref === own) || (await repository.head(parseRefName(own))) !== null;
  return isThere ? own : main;
}

/** @throws ImprintError VERIFY_FAILED, as pre-receive */
export async function hookPrePush({ id, ref }: HookOptions, deps: Deps): Promise<void> {
  const clone = await describeClone(deps.cwd, deps.git);
  const repository = openSystemGit({ gitDir: clone.gitDir, env: deps.env, history: true });
  try {
    const updates = (await deps.readInput()).split("\n").filter(Boolean).map(parsePushed);
    const branch = parseRefName(ref ?? `refs/heads/${clone.branch ?? "main"}`);
    const own = (await readOwnIndices(deps)).find((index) => path.resolve(index.path) === path.resolve(deps.cwd));
    const faults: Fault[] = [];
    for (const update of updates)
      if (update.ref === branch) {
        const pinned = requireId(id) ?? own?.id ?? null;
        const report = await judgeBranch(repository, update, { pinned, dir: deps.cwd, quarantine: false }, deps);
        // Not only those of this push: a tarball that went before, in a push that failed later, is on the host already.
        faults.push(...report.faults, ...(await missingTarballs(report, tarballsIn(repository, new Map()))));
      }
    refuseIfAny(faults, updates.length, deps);
  } finally {
    await repository.close();
  }
}

async function judgeBranch(
  repository: GitRepository,
  { ref, from, to }: Update,
  { pinned, dir, quarantine }: { readonly pinned: IndexId | null; readonly dir: string; readonly quarantine: boolean },
  deps: Deps,
): Promise<ChangeReport> {
  if (to === null)
    return { faults: [fault(ref, "PUSH_FAILED", `${ref} may not be deleted: its readers would lose the index`)], added: [], state: null };
  deps.terminal.progress(`verifying ${ref}`);
  const snapshot = await commitSource(repository, to, TRANSFER_LIMITS).open();
  const after: WholeIndex = { snapshot, listFiles: () => repository.listFiles(to) };
  const before = from === null ? null : await believed(repository, from, pinned);
  const changed = before === null || from === null ? [] : await changedPaths(dir, from, to, { ...deps.git, quarantine });
  return verifyChange({ before, after, changedPaths: changed, pinned });
}

/** The state that is there; null where it cannot be had or read, and the whole of what comes is verified. */
async function believed(
  repository: GitRepository,
  commit: ObjectId,
  pinned: IndexId | null,
): Promise<Parameters<typeof verifyChange>[0]["before"]> {
  try {
    const snapshot = await commitSource(repository, commit, TRANSFER_LIMITS).open();
    return { state: await readState(snapshot, pinned ?? (await readIndexId(snapshot)), null), snapshot };
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return null;
  }
}

/** Releases that come in without their tarball, or with one that is not what was signed. */
async function missingTarballs({ state, added }: ChangeReport, tarballs: TarballStore): Promise<readonly Fault[]> {
  if (state === null || !newestRoot(state.roots).doc.tarballs.includes("git")) return [];
  return verifyTarballs(added, tarballs, () => {});
}

function refuseIfAny(faults: readonly Fault[], updates: number, { terminal }: Deps): void {
  if (faults.length === 0) return terminal.ok(`imprint: ${updates} ${updates === 1 ? "ref" : "refs"} verified`);
  const lines = faults.map(({ file, step, message, code }) => clean(`${file} (${step}): ${message} (${code})`));
  throw new ImprintError(
    "VERIFY_FAILED",
    [`Cannot take the push: ${faults.length} ${faults.length === 1 ? "fault" : "faults"}`, ...lines].join("\n"),
  );
}

function fault(file: string, code: string, message: string): Fault {
  return { file, step: "push", code, message };
}

function requireId(id: string | undefined): IndexId | null {
  if (id === undefined) return null;
  if (!isIndexId(id)) throw new ImprintError("USAGE", "Cannot use --id: it wants the 64 hex digits of an index id");
  return id;
}

const idOrNull = (text: string): ObjectId | null => (/^0+$/.test(text) ? null : parseObjectId(text));

/** `<old> <new> <ref>` of pre-receive. */
function parseUpdate(line: string): Update {
  const [from = "", to = "", ref = ""] = line.split(" ");
  return { ref: parseRefName(ref), from: idOrNull(from), to: idOrNull(to) };
}

/** `<local ref> <local id> <remote ref> <remote id>` of pre-push. */
function parsePushed(line: string): Update {
  const [, to = "", ref = "", from = ""] = line.split(" ");
  return { ref: parseRefName(ref), from: idOrNull(from), to: idOrNull(to) };
}
