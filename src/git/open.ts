/** Opens a repository with the git that was chosen, when it is first used. */
import type { GitChoice, GitKind } from "./choice.ts";
import { ImprintError } from "../errors.ts";
import type { GitRepository, GitUrl } from "./port.ts";
import { isLocalUrl, redactUrl } from "./url.ts";

export type OpenOptions = {
  /** Where it is, or where it is made; may depend on the git, since a cache of one is not good for the other. */
  readonly gitDir: string | ((kind: GitKind) => Promise<string>);
  /** An author's clone. Default false. */
  readonly history?: boolean;
};

export function openGit(choice: GitChoice, options: OpenOptions): GitRepository {
  const { history = false } = options;
  let opening: Promise<GitRepository> | null = null;
  const open = async (): Promise<GitRepository> => {
    const kind = await choice.kind();
    const gitDir = typeof options.gitDir === "string" ? options.gitDir : await options.gitDir(kind);
    if (kind === "system") {
      const { openSystemGit } = await import("./system/repository.ts");
      return openSystemGit({ gitDir, history, env: choice.env });
    }
    const { openIsomorphicGit } = await import("./isomorphic/repository.ts");
    return openIsomorphicGit({ gitDir, history, tokens: choice.tokens(), fetch: choice.fetch });
  };
  const opened = (): Promise<GitRepository> => {
    opening ??= open().catch((error: unknown) => {
      opening = null;
      throw error;
    });
    return opening;
  };
  /** Local folders are no network. */
  const requireOnline = (url: GitUrl, verb: string): void => {
    if (choice.offline && !isLocalUrl(url)) throw offlineError(verb, url);
  };
  return {
    fetch: async (request) => {
      requireOnline(request.url, "fetch");
      return (await opened()).fetch(request);
    },
    head: async (ref) => (await opened()).head(ref),
    readFiles: async (request) => {
      const { url } = request;
      return (await opened()).readFiles(choice.offline && url !== null && !isLocalUrl(url) ? { ...request, url: null } : request);
    },
    listFiles: async (commit, folder) => (await opened()).listFiles(commit, folder),
    commit: async (request) => (await opened()).commit(request),
    push: async (request) => {
      requireOnline(request.url, "push to");
      return (await opened()).push(request);
    },
    close: async () => {
      await (await opening?.catch(() => null))?.close();
    },
  };
}

export function offlineError(verb: string, url: GitUrl): ImprintError {
  return new ImprintError("OFFLINE", `Cannot ${verb} ${redactUrl(url)}: offline, as --offline or IMPRINT_OFFLINE asks`);
}
