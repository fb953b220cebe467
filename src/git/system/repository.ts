/**
 * The system adapter: the git on the user's PATH behind the port, with their ssh keys and credential helpers.
 *
 * A consumer's repository is a bare cache that `createBareRepository` makes; an author's is the git folder of their
 * clone, opened with `history: true`, which fetches ancestors (a merge needs them) and heeds the clone's own settings.
 */
import type { GitRepository } from "../port.ts";
import { commit } from "./commit.ts";
import { compact } from "./compact.ts";
import { fetchObjects, fetchRef } from "./fetch.ts";
import type { Target } from "./fetch.ts";
import { openObjects } from "./objects.ts";
import { readFiles } from "../store/read.ts";
import { push } from "./push.ts";
import { listFiles } from "./list.ts";
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
  /** Opened by a hook of this repository: what is being pushed is read too. Default false. */
  readonly quarantine?: boolean;
};

/** Opens a repository that exists. Nothing is started or read before the first call. */
export function openSystemGit(options: SystemGitOptions): GitRepository {
  const { gitDir, history = false } = options;
  const git = createGit({
    program: options.git ?? "git",
    env: options.env ?? process.env,
    gitDir,
    quarantine: options.quarantine === true,
  });
  const objects = openObjects(git, gitDir);
  const target: Target = { git, gitDir, objects, history };
  return {
    async fetch(request) {
      const id = await fetchRef(target, request);
      if (!history) await compact(target);
      return id;
    },
    head: async (ref) => (await objects.info(`${ref}^{commit}`))?.id ?? null,
    readFiles: (request) =>
      readFiles({ objects, fetchMissing: (url, ids, limits, folders) => fetchObjects(target, url, ids, limits, folders) }, request),
    listFiles: (id, folder) => listFiles(target, id, folder),
    commit: (request) => commit(git, gitDir, request),
    push: (request) => push(git, gitDir, request),
    close: () => objects.close(),
  };
}
