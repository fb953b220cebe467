/**
 * The embedded adapter: the same port without a git on the machine. It talks https (and http to this machine), reads
 * packs by itself, and leaves to isomorphic-git what that does well: the protocol, writing objects, making packs.
 *
 * It has no partial clones: a fetch brings all of an index, under caps beyond which it says "install git".
 */
import type { GitRepository, HttpFetch, ObjectId } from "../port.ts";
import { readFiles } from "../store/read.ts";
import { listTree } from "../store/list.ts";
import type { GitTokens } from "../tokens.ts";
import { commit } from "./commit.ts";
import { download, fetchRef, type Target } from "./fetch.ts";
import { requireHttp } from "./remote.ts";
import { EMBEDDED_CAPS, type EmbeddedCaps } from "./intake.ts";
import { openObjects } from "./objects.ts";
import { push } from "./push.ts";

export type IsomorphicGitOptions = {
  /** A bare repository, or the `.git` folder of a clone. */
  readonly gitDir: string;
  /** Credentials by host; none unless given. */
  readonly tokens?: GitTokens;
  /** Default: the web's own, which asks no proxy. */
  readonly fetch?: HttpFetch;
  /** An author's clone: fetch with ancestors. Default false. */
  readonly history?: boolean;
  readonly caps?: EmbeddedCaps;
};

/** Opens a repository that exists. Nothing is loaded or read before the first call. */
export function openIsomorphicGit(options: IsomorphicGitOptions): GitRepository {
  const { gitDir, tokens = new Map(), fetch = globalThis.fetch, history = false, caps = EMBEDDED_CAPS } = options;
  const objects = openObjects(gitDir);
  const target: Target = { gitDir, objects, history, tokens, fetch, caps };
  const asked = new Set<ObjectId>();
  return {
    fetch: (request) => fetchRef(target, request),
    head: async (ref) => (await objects.info(`${ref}^{commit}`))?.id ?? null,
    readFiles: (request) =>
      readFiles(
        {
          objects,
          // a fetch brings everything, so what is missing a host withheld, or a cache lost: once more, whole, from here
          async fetchMissing(url, _ids, limits) {
            if (asked.has(request.commit)) return;
            asked.add(request.commit);
            const from = requireHttp(url);
            await download(target, { url: from, ref: request.commit, kept: null, limits, what: `fetch ${request.commit} from ${from}` });
          },
        },
        request,
      ),
    listFiles: async (id, folder) => (await listTree(objects, id, folder)).map(({ path, mode }) => ({ path, mode })),
    commit: (request) => commit(gitDir, objects, request),
    push: (request) => push(target, request),
    close: () => objects.close(),
  };
}
