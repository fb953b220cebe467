/** Opens what commands work with: repositories, readers, tarballs. The composition root of everything but HTTP. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { ImprintError } from "../errors.ts";
import { textOf, utf8 } from "../format/bytes.ts";
import type { DisplayName } from "../format/decode.ts";
import type { IndexId } from "../format/digest.ts";
import { packageFolder, shardOf } from "../format/paths.ts";
import type { LockEntry, ProjectIndex } from "../format/project.ts";
import { openGit } from "../git/open.ts";
import type { GitRepository, GitUrl, RefName, TransferLimits } from "../git/port.ts";
import { createBareRepository } from "../git/store/bare.ts";
import { parseGitUrl, parseRefName } from "../git/url.ts";
import { MEMORY_MAX_BYTES } from "../index/memory.ts";
import { type IndexReader, openIndexReader, type SyncClock } from "../index/reader.ts";
import { gitSource, type IndexSource } from "../index/source.ts";
import { openStateStore, STATE_MAX_BYTES, type StateStore } from "../index/state.ts";
import { openTarballStore, type TarballStore } from "../index/tarballs.ts";
import { newestRoot } from "../index/trust.ts";
import { fileHashOf } from "../format/digest.ts";
import { openBlobStore } from "../storage/blobs.ts";
import { openCell } from "../storage/cell.ts";
import { download } from "../storage/download.ts";
import type { OpenFile } from "../storage/files.ts";
import type { Deps } from "./deps.ts";

/** One transfer from a git host. */
export const TRANSFER_LIMITS: TransferLimits = { maxBytes: 2 * 1024 ** 3, maxObjects: 5_000_000, deadlineMs: 300_000 };
const TARBALL_DEADLINE_MS = 300_000;
const IDLE_MS = 30_000;
const KEEP_HEAD = parseRefName("refs/imprint/head");
const KEEP_TARBALL = parseRefName("refs/imprint/tarball");

export type OpenIndex = {
  readonly alias: DisplayName;
  readonly entry: ProjectIndex;
  readonly reader: IndexReader;
  readonly tarballs: TarballStore;
  readonly sources: readonly [IndexSource, ...IndexSource[]];
  readonly store: StateStore;
  close(): Promise<void>;
};

export function openClone({ git }: Pick<Deps, "git">, gitDir: string): GitRepository {
  return openGit(git, { gitDir, history: true });
}

/** A repository in a folder of its own below the system's temporary ones. */
export async function openThrowaway({ git }: Pick<Deps, "git">, purpose: string): Promise<GitRepository> {
  const folder = await mkdtemp(path.join(tmpdir(), `imprint-${purpose}-`));
  const gitDir = path.join(folder, "repo.git");
  await createBareRepository(gitDir);
  const repository = openGit(git, { gitDir });
  return {
    ...repository,
    async close() {
      await repository.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export function gitUrls(deps: Pick<Deps, "allowFile">, urls: readonly string[]): readonly [GitUrl, ...GitUrl[]] {
  const [first, ...rest] = urls.map((url) => parseGitUrl(url, { allowFile: deps.allowFile }));
  if (first === undefined) throw new ImprintError("CONFIG_INVALID", "Cannot open index: it has no address");
  return [first, ...rest];
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
function syncClockOf({ files, layout, nowMs }: Deps, id: IndexId): SyncClock {
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
 * @param wholeClone everything at once, where much of it will be read: else each package costs questions of its own
 */
export async function openIndex(
  deps: Deps,
  alias: DisplayName,
  entry: ProjectIndex,
  lock: LockEntry | null,
  warn: (alias: DisplayName, error: ImprintError, source: string) => void,
  wholeClone = false,
): Promise<OpenIndex> {
  const { layout, files } = deps;
  const repository = openGit(deps.git, {
    async gitDir(kind) {
      const dir = kind === "system" ? layout.repository(entry.id) : layout.wholeRepository(entry.id);
      await createBareRepository(dir);
      return dir;
    },
  });
  const urls = gitUrls(deps, entry.urls);
  const toSource = (url: GitUrl): IndexSource =>
    gitSource({ repository, url, ref: parseRefName(entry.ref), keepAs: KEEP_HEAD, limits: TRANSFER_LIMITS, wholeClone });
  const sources: readonly [IndexSource, ...IndexSource[]] = [toSource(urls[0]), ...urls.slice(1).map(toSource)];
  const store = stateStoreOf(deps, entry.id);
  const reader = openIndexReader({
    alias,
    id: entry.id,
    sources,
    store,
    memoryOf: (name) =>
      openCell(files, layout.recordMemory(entry.id, `${shardOf(name)}/${packageFolder(name)}`), { maxBytes: MEMORY_MAX_BYTES }),
    lock,
    keepEvidence: evidenceKeeper(deps, entry.id),
    syncClock: syncClockOf(deps, entry.id),
    warn: (error, source) => warn(alias, error, source),
  });
  const tarballs = openTarballs(deps, urls, async () => {
    const state = await reader.current();
    return state === null ? [] : newestRoot(state.roots).doc.tarballs;
  });
  return { alias, entry, reader, tarballs, sources, store, close: () => repository.close() };
}

/** @param urls the index's own git addresses, for the `git` source */
export function openTarballs(deps: Deps, urls: readonly GitUrl[], sources: () => Promise<readonly string[]>): TarballStore {
  const blobs = openBlobStore(deps.files, deps.layout.blobs);
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
      let last: unknown;
      for (const candidate of url === null ? urls : gitUrls(deps, [url])) {
        try {
          return await tarballFromGit(deps, candidate, ref, maxBytes);
        } catch (error) {
          last = error;
        }
      }
      throw last;
    },
    fromHttps: async (url, maxBytes) => {
      const answer = await download(url, { maxBytes, deadlineMs: TARBALL_DEADLINE_MS, idleMs: IDLE_MS, allowPrivate: false });
      if (answer.status === 200) return answer.body;
      await answer.cancel();
      throw new ImprintError("MISSING_FILE", `${new URL(url).host} answered ${answer.status}`);
    },
  });
}

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
export async function openProbe(deps: Deps, url: GitUrl, ref: RefName): Promise<{ readonly source: IndexSource; close(): Promise<void> }> {
  const repository = await openThrowaway(deps, "probe");
  const source = gitSource({
    repository,
    url,
    ref,
    keepAs: KEEP_HEAD,
    limits: TRANSFER_LIMITS,
  });
  return { source, close: () => repository.close() };
}
