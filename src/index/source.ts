/**
 * Where the bytes of an index come from: git, or a plain folder. A source is believed in nothing.
 *
 * `open` is step 1 of reading: it fixes one moment of the source, whose files are then read by path. A snapshot's `at`
 * names that moment so that it can be taken up again by `reopen` after a restart, without a network.
 */
import { lstat, open as openFile, readdir } from "node:fs/promises";
import path from "node:path";
import { ImprintError, errnoOf, isImprintError } from "../errors.ts";
import type { FileHash } from "../format/digest.ts";
import type { FileRead, GitRepository, GitUrl, ObjectId, RefName, TransferLimits } from "../git/port.ts";
import { parseObjectId } from "../git/url.ts";

export type FileRequest = {
  readonly path: string;
  readonly maxBytes: number;
  /** What the tree says that its bytes have: a source may have kept them under it. The caller checks all the same. */
  readonly hash?: FileHash;
};

export type Snapshot = {
  readonly at: string;
  /** In the order asked for; nothing thrown for what is missing, tooLarge or unavailable. */
  readFiles(files: readonly FileRequest[]): Promise<readonly FileRead[]>;
};

export type IndexSource = {
  /** How messages name it; never holds credentials. */
  readonly url: string;
  /** Whether its files may change between two reads, so that an error may be of our own making (reading 9). */
  readonly moves: boolean;
  /** Whether `at` is one that a snapshot of this kind of source has. */
  owns(at: string): boolean;
  /**
   * @param options `fresh`: past all caches
   * @throws ImprintError UNREACHABLE, TIMED_OUT, TOO_LARGE, NOT_AN_INDEX, OFFLINE
   */
  open(options?: { readonly fresh?: boolean }): Promise<Snapshot>;
  reopen(at: string): Snapshot;
  /** What this source had when it was last asked, for a file that another one lacks; null: unknown. No network. */
  lastSeen(): Promise<Snapshot | null>;
};

export function gitSource(options: {
  readonly repository: GitRepository;
  readonly url: GitUrl;
  readonly ref: RefName;
  readonly keepAs: RefName;
  readonly limits: TransferLimits;
  /** True for an author's clone, which keeps its history and all of its files. */
  readonly wholeClone?: boolean;
  /** What more is known where the host has no such branch. */
  readonly explain?: () => Promise<ImprintError | null>;
}): IndexSource {
  const { repository, url, ref, keepAs, limits, wholeClone = false, explain = async () => null } = options;
  const snapshot = (commit: ObjectId): Snapshot => ({
    at: commit,
    async readFiles(files) {
      try {
        return await repository.readFiles({ commit, files, url, limits });
      } catch (error) {
        if (!isImprintError(error, "INVALID_DOCUMENT")) throw error;
        // the cache was deleted, or made by the other git: the next sync brings the commit back
        return files.map((): FileRead => ({ state: "unavailable" }));
      }
    },
  });
  return {
    url,
    moves: false,
    owns: (at) => /^[0-9a-f]+$/u.test(at),
    async open() {
      const commit = await repository.fetch({ url, ref, keepAs, blobs: wholeClone, limits });
      if (commit === null)
        throw (await explain()) ?? new ImprintError("NOT_AN_INDEX", `Cannot read index at ${url}: it has no ${ref}`, { step: "reading 1" });
      return snapshot(commit);
    },
    reopen: (at) => snapshot(parseObjectId(at)),
    async lastSeen() {
      const commit = await repository.head(keepAs);
      return commit === null ? null : snapshot(commit);
    },
  };
}

/** A commit that is in a local repository already: an author's clone before it is pushed. */
export function commitSource(repository: GitRepository, commit: ObjectId, limits: TransferLimits): IndexSource {
  const snapshot: Snapshot = { at: commit, readFiles: (files) => repository.readFiles({ commit, files, url: null, limits }) };
  return fixed("the local clone", snapshot, false);
}

/** A folder of plain files, as an index's work tree is. Links are never followed. */
export function directorySource(root: string): IndexSource {
  const snapshot: Snapshot = { at: root, readFiles: (files) => Promise.all(files.map((file) => readPlainFile(root, file))) };
  return fixed(root, snapshot, true);
}

function fixed(url: string, snapshot: Snapshot, moves: boolean): IndexSource {
  return {
    url,
    moves,
    owns: (at) => at === snapshot.at,
    open: async () => snapshot,
    reopen: () => snapshot,
    lastSeen: async () => snapshot,
  };
}

async function readPlainFile(root: string, { path: relative, maxBytes }: FileRequest): Promise<FileRead> {
  try {
    // Every folder on the way too: a linked folder would read outside the index.
    let current = root;
    for (const segment of relative.split("/")) {
      current = path.join(current, segment);
      if ((await lstat(current)).isSymbolicLink()) return { state: "missing" };
    }
    const handle = await openFile(current, "r");
    try {
      const stat = await handle.stat();
      if (!stat.isFile()) return { state: "missing" };
      if (stat.size > maxBytes) return { state: "tooLarge", bytes: null };
      const bytes = await handle.readFile();
      return bytes.byteLength > maxBytes ? { state: "tooLarge", bytes: null } : { state: "found", bytes: new Uint8Array(bytes) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EISDIR"].includes(errnoOf(error) ?? "")) return { state: "missing" };
    return { state: "unavailable" };
  }
}

/** Every file below a folder with git's mode for it; nothing is followed, `.git` is left out. */
export async function listDirectory(root: string): Promise<readonly { readonly path: string; readonly mode: string }[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => ({
      path: path.relative(root, path.join(entry.parentPath, entry.name)).split(path.sep).join("/"),
      mode: entry.isFile() ? "100644" : entry.isSymbolicLink() ? "120000" : "000000",
    }))
    .filter(({ path: file }) => !file.startsWith(".git/"));
}
