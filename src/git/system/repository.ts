/**
 * The system adapter: the git on the user's PATH behind the port, with their ssh keys and credential helpers.
 *
 * A consumer's repository is a bare cache that `createBareRepository` makes; an author's is the git folder of their
 * clone, opened with `history: true`, which fetches ancestors (a merge needs them) and heeds the clone's own settings.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { GitRepository } from "../port.ts";
import { commit } from "./commit.ts";
import { compact } from "./compact.ts";
import { fetchRef } from "./fetch.ts";
import type { Target } from "./fetch.ts";
import { openObjects } from "./objects.ts";
import { push } from "./push.ts";
import { storageFailed } from "./quarantine.ts";
import { listFiles, readFiles } from "./read.ts";
import { createGit } from "./run.ts";

/** Where a repository is and which git reads it. */
export type SystemGitOptions = {
  /** A bare repository, or the `.git` folder of a clone. */
  readonly gitDir: string;
  /** Program to run; default `git`. */
  readonly git?: string;
  /** Environment to start from; default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** An author's clone: fetch with ancestors, use the clone's configuration, leave its packs alone. Default false. */
  readonly history?: boolean;
};

/** Opens a repository that exists. Nothing is started or read before the first call. */
export function openSystemGit(options: SystemGitOptions): GitRepository {
  const { gitDir, history = false } = options;
  const git = createGit({ program: options.git ?? "git", env: options.env ?? process.env, gitDir });
  const objects = openObjects(git, gitDir);
  const target: Target = { git, gitDir, objects, history };
  return {
    async fetch(request) {
      const id = await fetchRef(target, request);
      if (!history) await compact(target);
      return id;
    },
    head: async (ref) => (await objects.info(`${ref}^{commit}`))?.id ?? null,
    readFiles: (request) => readFiles(target, request),
    listFiles: (id, folder) => listFiles(target, id, folder),
    commit: (request) => commit(git, gitDir, request),
    push: (request) => push(git, gitDir, request),
    close: () => objects.close(),
  };
}

/** Makes an empty bare repository, whole or not at all; one that is there already is left as it is. */
export async function createBareRepository(dir: string, options: { readonly objectFormat?: "sha1" | "sha256" } = {}): Promise<void> {
  if ((await readFile(join(dir, "HEAD")).catch(() => null)) !== null) return;
  const format =
    options.objectFormat === "sha256"
      ? { version: 1, extensions: "[extensions]\n\tobjectformat = sha256\n" }
      : { version: 0, extensions: "" };
  const config = `[core]\n\trepositoryformatversion = ${String(format.version)}\n\tfilemode = true\n\tbare = true\n\tlogallrefupdates = false\n${format.extensions}[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n`;
  const temporary = join(dirname(dir), `.${randomBytes(6).toString("hex")}.new`);
  try {
    await mkdir(dirname(dir), { recursive: true, mode: 0o700 });
    for (const name of ["objects/info", "objects/pack", "refs/heads"]) await mkdir(join(temporary, name), { recursive: true, mode: 0o700 });
    await writeFile(join(temporary, "config"), config);
    await writeFile(join(temporary, "HEAD"), "ref: refs/heads/main\n");
    await rename(temporary, dir).catch(async (error: unknown) => {
      // another process made it first
      if ((await readFile(join(dir, "HEAD")).catch(() => null)) === null) throw error;
    });
  } catch (error) {
    throw storageFailed(`make a repository in ${dir}`, error);
  } finally {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
  }
}
