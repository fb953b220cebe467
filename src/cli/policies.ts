/**
 * Every policy of a git repository, in the work tree and at a commit: which imprint.json counts in which folder. The nearest
 * one upward counts alone, so that one more file, or one less, changes what counts in all folders below it.
 *
 * What cannot be judged is said, never left out: symbolic links, submodules that moved, files that could not be read.
 */
import { lstat, readdir, realpath } from "node:fs/promises";
import path from "node:path";
import { ImprintError, isImprintError } from "../errors.ts";
import { LIMITS } from "../format/limits.ts";
import { parseLock, parseProject } from "../format/project.ts";
import type { GitRepository, ObjectId } from "../git/port.ts";
import { readProjectFiles } from "../project/project-files.ts";
import { requireNoConflicts } from "../registry/claims.ts";
import { NO_POLICY, type PolicyFiles } from "../registry/policy-change.ts";
import type { Files } from "../storage/files.ts";
import { TRANSFER_LIMITS } from "./open.ts";

const [MANIFEST, LOCK, PACKAGE] = ["imprint.json", "imprint.lock", "package.json"];
const LINK = "120000";
const SUBMODULE = "160000";

export type Policies = {
  /** By folder below the top of the repository, `.` for the top itself. */
  readonly policies: ReadonlyMap<string, Policy>;
  /** Folders with a package.json. */ readonly packages: ReadonlySet<string>;
  /** Other repositories within this one. */ readonly submodules: ReadonlySet<string>;
};

/** `unknown`: why it could not be read, or null. */
export type Policy = PolicyFiles & { readonly unknown: string | null };

/** The policy that counts in a folder, and where it stands; null: none in this repository. */
export function policyAbove({ policies }: Policies, folder: string): string | null {
  for (let at = folder; ; at = path.posix.dirname(at)) {
    if (policies.has(at)) return at;
    if (at === "." || at === "/") return null;
  }
}

/** At a commit. What was wrong there is nothing to stop at now. */
export async function policiesAt(repository: GitRepository, commit: ObjectId, label: string): Promise<Policies> {
  const listed = await repository.listFiles(commit);
  const files = new Map(listed.map(({ path: file, mode }) => [file, mode]));
  const named = (name: string): readonly string[] => [...files.keys()].filter((file) => path.posix.basename(file) === name);
  const folders = named(MANIFEST).map((file) => path.posix.dirname(file));
  const wanted = folders.flatMap((folder) => [
    { path: path.posix.join(folder, MANIFEST), maxBytes: LIMITS.projectBytes },
    { path: path.posix.join(folder, LOCK), maxBytes: LIMITS.lockBytes },
  ]);
  const read = await repository.readFiles({ commit, files: wanted, url: null, limits: TRANSFER_LIMITS });
  const policies = folders.map((folder, at): readonly [string, Policy] => {
    const [manifest, lock] = [read[at * 2], read[at * 2 + 1]];
    const where = (name: string): string => `${path.posix.join(folder, name)} at ${label}`;
    const unknown = (why: string): readonly [string, Policy] => [folder, { ...NO_POLICY, unknown: why }];
    for (const name of [MANIFEST, LOCK])
      if (files.get(path.posix.join(folder, name)) === LINK) return unknown(`${where(name)} is a symbolic link`);
    if (manifest?.state !== "found") return unknown(`${where(MANIFEST)} could not be read`);
    try {
      const project = parseProject(manifest.bytes, where(MANIFEST));
      requireNoConflicts(project, where(MANIFEST));
      return [folder, { project, lock: lock?.state === "found" ? parseLock(lock.bytes, where(LOCK)) : NO_POLICY.lock, unknown: null }];
    } catch (error) {
      if (!isImprintError(error)) throw error;
      return unknown(error.message);
    }
  });
  return {
    policies: new Map(policies),
    packages: new Set(named(PACKAGE).map((file) => path.posix.dirname(file))),
    submodules: new Set(listed.flatMap(({ path: file, mode }) => (mode === SUBMODULE ? [file] : []))),
  };
}

/**
 * In the work tree, as commands would read it. Folders of installed packages are left out, and other repositories, which
 * are reviewed where they are.
 *
 * @throws ImprintError CONFIG_INVALID where a policy is wrong now, or a symbolic link
 */
export async function policiesIn(files: Files, top: string, before: Policies): Promise<Policies> {
  const found = { policies: [] as string[], packages: new Set<string>(), submodules: new Set<string>() };
  const look = async (folder: string): Promise<void> => {
    const entries = await readdir(path.join(top, folder), { withFileTypes: true }).catch(() => []);
    if (folder !== "." && entries.some(({ name }) => name === ".git")) {
      found.submodules.add(folder);
      return;
    }
    for (const entry of entries) {
      const at = path.posix.join(folder, entry.name);
      if (entry.isDirectory()) {
        if (entry.name !== ".git" && entry.name !== "node_modules") await look(at);
        continue;
      }
      requirePlain(entry.name, at, entry.isSymbolicLink());
      if (entry.name === MANIFEST) found.policies.push(folder);
      if (entry.name === PACKAGE) found.packages.add(folder);
    }
  };
  await look(".");
  // Folders that are left out above, but had a policy in git.
  for (const folder of before.policies.keys())
    if (!found.policies.includes(folder) && (await isFile(path.join(top, folder, MANIFEST)))) found.policies.push(folder);
  for (const folder of [...before.policies.keys(), ...before.packages]) await requireReal(top, folder);
  const policies = new Map<string, Policy>();
  for (const folder of found.policies) {
    const { project, lock } = await readProjectFiles(files, path.join(top, folder));
    policies.set(folder, { project, lock, unknown: null });
  }
  return { policies, packages: found.packages, submodules: found.submodules };
}

function requirePlain(name: string, at: string, isLink: boolean): void {
  const lower = name.toLowerCase();
  if (lower !== MANIFEST && lower !== LOCK) return;
  if (isLink)
    throw new ImprintError(
      "CONFIG_INVALID",
      `Cannot compare ${at}: it is a symbolic link; put the file itself there, so that its changes are seen`,
    );
  // A disk that does not tell case apart would have it count.
  if (lower !== name) throw new ImprintError("CONFIG_INVALID", `Cannot compare ${at}: write its name as ${lower}, or rename it`);
}

async function isFile(file: string): Promise<boolean> {
  const stat = await lstat(file).catch(() => null);
  if (stat?.isSymbolicLink() === true) requirePlain(path.basename(file), file, true);
  return stat?.isFile() === true;
}

/** A folder that became a symbolic link has the policy of another place. */
async function requireReal(top: string, folder: string): Promise<void> {
  const at = path.join(top, folder);
  const real = await realpath(at).catch(() => at);
  if (real !== at)
    throw new ImprintError(
      "CONFIG_INVALID",
      `Cannot compare ${folder}: it leads to ${real} by a symbolic link; make it a folder, or leave it out`,
    );
}
