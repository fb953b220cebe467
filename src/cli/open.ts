/** Opens what commands work with: repositories, readers, tarballs. The composition root of everything but HTTP. */
import { LIMITS } from "../format/limits.ts";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { ImprintError, isImprintError } from "../errors.ts";
import { textOf, utf8 } from "../format/bytes.ts";
import type { DisplayName } from "../format/decode.ts";
import type { IndexId } from "../format/digest.ts";
import { packageFolder, shardOf } from "../format/paths.ts";
import type { LockEntry, ProjectIndex } from "../format/project.ts";
import type { Root } from "../format/root.ts";
import { openGit } from "../git/open.ts";
import type { GitRepository, GitUrl, RefName, TransferLimits } from "../git/port.ts";
import { createBareRepository } from "../git/store/bare.ts";
import { gitHostOf, parseGitUrl, parseRefName, redactUrl } from "../git/url.ts";
import { MEMORY_MAX_BYTES } from "../index/memory.ts";
import { type IndexReader, openIndexReader, type SyncClock } from "../index/reader.ts";
import type { IndexAddress } from "../index/address.ts";
import { gitSource, type IndexSource } from "../index/source.ts";
import { openStateStore, STATE_MAX_BYTES, type StateStore } from "../index/state.ts";
import { openTarballStore, type TarballStore } from "../index/tarballs.ts";
import { newestRoot } from "../index/trust.ts";
import { fileHashOf } from "../format/digest.ts";
import { openBlobStore } from "../storage/blobs.ts";
import { openCell } from "../storage/cell.ts";
import { download, judge } from "../storage/download.ts";
import { networkOf } from "../storage/proxy.ts";
import type { OpenFile } from "../storage/files.ts";
import type { Deps } from "./deps.ts";
import { KEEP_HEAD, openSources, openSparse, TRANSFER_LIMITS } from "./open-sources.ts";

export { TRANSFER_LIMITS };

const TARBALL_DEADLINE_MS = LIMITS.tarballMs;
const IDLE_MS = LIMITS.tarballIdleMs;
const KEEP_TARBALL = parseRefName("refs/imprint/tarball");

export type OpenIndex = {
  readonly alias: DisplayName;
  readonly entry: ProjectIndex;
  readonly reader: IndexReader;
  readonly tarballs: TarballStore;
  readonly store: StateStore;
  close(): Promise<void>;
};

export function openClone({ git }: Pick<Deps, "git">, gitDir: string): GitRepository {
  return openGit(git, { gitDir, history: true });
}

/** A repository in a folder of its own below the system's temporary ones. */
export async function openThrowaway({ git }: Pick<Deps, "git">, purpose: string): Promise<GitRepository & { readonly gitDir: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), `imprint-${purpose}-`));
  const gitDir = path.join(folder, "repo.git");
  await createBareRepository(gitDir);
  const repository = openGit(git, { gitDir });
  return {
    ...repository,
    gitDir,
    async close() {
      await repository.close();
      // Left in the system's temporary folder at worst: no reason to fail what was done.
      await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
    },
  };
}

export function stateStoreOf({ layout, files }: Deps, id: IndexId): StateStore {
  return openStateStore(openCell(files, layout.trustedState(id), { maxBytes: STATE_MAX_BYTES }), id);
}

/** Keeps both checkpoints of an equivocation, named by their content. */
export function evidenceKeeper({ layout, files }: Deps, id: IndexId): (checkpoints: readonly Uint8Array[]) => Promise<void> {
  return async (checkpoints) => {
    for (const bytes of checkpoints) await files.writeAtomic(path.join(layout.evidence(id), `${fileHashOf(bytes)}.json`), bytes);
  };
}

/** In the cache: losing it costs one question to the host. */
function syncClockOf({ files, layout, nowMs, offline }: Deps, id: IndexId): SyncClock {
  // Nobody can be asked: no state is too old to go without.
  if (offline) return { sinceMs: async () => 0, mark: async () => {} };
  const file = `${layout.repository(id)}.synced`;
  return {
    async sinceMs() {
      const at = Number(textOf((await files.read(file, 64)) ?? new Uint8Array()) || Number.NaN);
      const since = nowMs() - at;
      // From the future, after the clock was set back: not to be believed, or nothing would be asked for years.
      return since >= 0 ? since : null;
    },
    mark: () => files.writeAtomic(file, utf8(String(nowMs()))),
  };
}

/**
 * An index of a project, with its cache repository made if need be.
 *
 * @param options `wholeClone`: everything at once, where much of it will be read, else each package costs questions of its
 * own; `mirrors`: false asks no other address than the entry's
 */
export async function openIndex(
  deps: Deps,
  alias: DisplayName,
  entry: ProjectIndex,
  lock: LockEntry | null,
  warn: (alias: DisplayName, error: ImprintError, source: string | null) => void,
  { wholeClone = false, mirrors = true }: { readonly wholeClone?: boolean; readonly mirrors?: boolean } = {},
): Promise<OpenIndex> {
  const { layout, files } = deps;
  const dirOf = async (): Promise<string> => {
    const dir = (await deps.git.kind()) === "system" ? layout.repository(entry.id) : layout.wholeRepository(entry.id);
    await createBareRepository(dir);
    return dir;
  };
  const opened = openGit(deps.git, { gitDir: dirOf });
  const repository: GitRepository = {
    ...opened,
    async fetch(request) {
      // The cache may have been pruned since: it is made anew.
      await dirOf();
      return opened.fetch(request);
    },
  };
  const of = openSources(deps, { alias, urls: entry.urls, ref: parseRefName(entry.ref), repository, wholeClone });
  const store = stateStoreOf(deps, entry.id);
  const reader = openIndexReader({
    alias,
    id: entry.id,
    sources: of.sources,
    mirror: mirrors ? of.mirror : () => null,
    offline: deps.offline,
    strict: deps.strict === true,
    store,
    memoryOf: (name) =>
      openCell(files, layout.recordMemory(entry.id, `${shardOf(name)}/${packageFolder(name)}`), { maxBytes: MEMORY_MAX_BYTES }),
    lock,
    keepEvidence: evidenceKeeper(deps, entry.id),
    syncClock: syncClockOf(deps, entry.id),
    // With one address there is nothing to tell apart.
    warn: (error, source) => warn(alias, error, entry.urls.length > 1 || source !== of.sources[0].url ? redactUrl(source) : null),
  });
  const rootOf = async (): Promise<Pick<Root, "tarballs" | "mirrors">> => {
    const state = await reader.current();
    return state === null ? { tarballs: [], mirrors: [] } : newestRoot(state.roots).doc;
  };
  const tarballs = openTarballs(
    deps,
    async () => of.gitUrls(mirrors ? (await rootOf()).mirrors : []),
    async () => (await rootOf()).tarballs,
  );
  return {
    alias,
    entry,
    reader,
    tarballs,
    store,
    async close() {
      of.close();
      await repository.close();
    },
  };
}

/** @param urls the index's own git addresses, for the `git` source */
export function openTarballs(
  deps: Deps,
  urls: readonly GitUrl[] | (() => Promise<readonly GitUrl[]>),
  sources: () => Promise<readonly string[]>,
): TarballStore {
  const blobs = openBlobStore(deps.files, deps.layout.blobs);
  const own = async (): Promise<readonly GitUrl[]> => (typeof urls === "function" ? urls() : urls);
  return openTarballStore({
    sources,
    openBlob: async (sha512) => {
      const file = await blobs.open(sha512);
      return file === null ? null : { size: file.size, stream: streamOf(file) };
    },
    putBlob: async (bytes, { sha512, size }) => {
      await blobs.put(bytes, { hash: sha512, size });
    },
    fromGit: async (url, ref, maxBytes) => {
      if (url !== null) await requireReachable(deps, parseGitUrl(url, { allowFile: deps.allowFile }), await own());
      let last: unknown = new ImprintError("MISSING_FILE", NO_GIT);
      for (const candidate of url === null ? await own() : [parseGitUrl(url, { allowFile: deps.allowFile })]) {
        try {
          return await tarballFromGit(deps, candidate, ref, maxBytes);
        } catch (error) {
          // An address that cannot be reached may have the tarball. Its error outweighs that of an address without the tarball.
          if (!isImprintError(last, "UNREACHABLE", "TIMED_OUT")) last = error;
        }
      }
      throw last;
    },
    fromHttps: async (url, maxBytes) => {
      const { host } = new URL(url);
      if (deps.offline) throw new ImprintError("OFFLINE", `${host} is not asked offline, and the tarball is not in the cache`);
      const allowPrivate = (name: string): boolean => deps.privateHosts.has(name);
      const limits = { maxBytes, deadlineMs: TARBALL_DEADLINE_MS, idleMs: IDLE_MS, allowPrivate, ...networkOf(deps.env) };
      const answer = await download(url, limits).catch((error: unknown) => {
        if (!isImprintError(error, "INVALID_URL")) throw error;
        // Its author's words, or a redirect: a refusal of the release, not of what the client asked for.
        throw new ImprintError("MISSING_FILE", `${error.message} (IMPRINT_ALLOW_PRIVATE=<host> allows one)`, { cause: error });
      });
      if (answer.status === 200) return answer.body;
      await answer.cancel();
      throw new ImprintError("MISSING_FILE", `${host} answered ${answer.status}`);
    },
  });
}

/**
 * A `git+<url>` of a root is its owner's text, and git asks any machine (S1): public ones, those that the user allows, and
 * the host that the index itself is on.
 */
async function requireReachable({ privateHosts, env }: Deps, url: GitUrl, own: readonly GitUrl[]): Promise<void> {
  const host = gitHostOf(url);
  if (host === null || own.some((one) => gitHostOf(one) === host)) return;
  try {
    await judge(new URL(`https://${host}/`), { allowPrivate: (name) => privateHosts.has(name), ...networkOf(env) });
  } catch (error) {
    if (!isImprintError(error, "INVALID_URL")) throw error;
    throw new ImprintError(
      "MISSING_FILE",
      `${redactUrl(url)} is not asked: its host is private (IMPRINT_ALLOW_PRIVATE=<host> allows one)`,
      {
        cause: error,
      },
    );
  }
}

const NO_GIT =
  "its index keeps tarballs in git, and imprint.json has no git address of it; add one beside this (imprint add '<git address>#<id>'), or ask its author for an https template (imprint root tarballs)";

/** Through a repository of its own that is thrown away: the bytes are kept once, by content, not in the index's cache. */
async function tarballFromGit(deps: Deps, url: GitUrl, ref: string, maxBytes: number): Promise<AsyncIterable<Uint8Array>> {
  const repository = await openThrowaway(deps, "tarball");
  try {
    // Git packs a compressed file as it is; the slack is for the commit, the tree and zlib's framing.
    const limits: TransferLimits = { maxBytes: maxBytes * 2 + 1024 * 1024, maxObjects: 16, deadlineMs: TARBALL_DEADLINE_MS };
    const commit = await repository.fetch({ url, ref: parseRefName(ref), keepAs: KEEP_TARBALL, blobs: true, limits });
    if (commit === null) throw new ImprintError("MISSING_FILE", `the host has no ${ref}`);
    const [read] = await repository.readFiles({ commit, files: [{ path: "package.tgz", maxBytes }], url: null, limits });
    if (read?.state === "tooLarge") throw new ImprintError("TARBALL_MISMATCH", "the tarball is longer than was signed");
    if (read?.state !== "found") throw new ImprintError("MISSING_FILE", `${ref} holds no package.tgz`);
    const { bytes } = read;
    return (async function* () {
      yield bytes;
    })();
  } finally {
    await repository.close();
  }
}

/** A file as a web stream; the file is closed when the stream ends, fails or is given up. */
function streamOf(file: OpenFile): ReadableStream<Uint8Array> {
  const chunks = file.stream()[Symbol.asyncIterator]();
  let closing: Promise<void> | null = null;
  // Once: a reader may leave while the next piece is being read, and both ends then want to close.
  const close = (): Promise<void> => (closing ??= file.close());
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next();
        if (done !== true) return controller.enqueue(value);
      } catch (error) {
        await close();
        throw error;
      }
      await close();
      controller.close();
    },
    async cancel() {
      await chunks.return?.();
      await close();
    },
  });
}

/** A look at an address whose id is not known yet, through a repository that is thrown away. */
export async function openProbe(
  deps: Deps,
  address: IndexAddress,
  ref: RefName,
  options: { /** Every file: all will be looked at. */ readonly whole?: boolean } = {},
): Promise<{
  readonly source: IndexSource;
  readonly repository: (GitRepository & { readonly gitDir: string }) | null;
  close(): Promise<void>;
}> {
  if (address.kind === "sparse") {
    const source = openSparse(deps, address.url, { isMirror: false, cached: false });
    return { source, repository: null, close: async () => {} };
  }
  const repository = await openThrowaway(deps, "probe");
  const source = gitSource({
    repository,
    url: address.url,
    ref,
    keepAs: KEEP_HEAD,
    limits: TRANSFER_LIMITS,
    wholeClone: options.whole === true,
  });
  return { source, repository, close: () => repository.close() };
}
