/**
 * The disk, as the rest of this room sees it: whole files that appear at once or not at all.
 *
 * Everything durable goes through this port, so that a test can fail each write in turn (THREATS C1). A write is a
 * temporary file beside its target, fsync, and a rename or link; a kill between any two leaves the old file, and at
 * worst a stray temporary one, which `list` does not show.
 */
import { randomBytes } from "node:crypto";
import { link, lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errnoOf, ImprintError } from "../errors.ts";
import { type Trusts, trustsOf } from "./owner.ts";

/** A file held open: what `size` counted is what `stream` gives, whatever happens to its name meanwhile. */
export type OpenFile = {
  readonly size: number;
  /** Bytes from the start; may be called again after the last has ended. */
  stream(): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
};

export type ReadOptions = {
  /** It holds a secret: LOOSE_FILE where others may read or write it. */
  readonly secret?: boolean;
};

export type Content = Uint8Array | readonly Uint8Array[];

export function wholeOf(content: Content): Uint8Array {
  return content instanceof Uint8Array ? content : Buffer.concat(content);
}

/** Errors are STORAGE_FAILED, naming path and errno; TOO_LARGE, FOREIGN_FILE and LOOSE_FILE from `read`. */
export type Files = {
  /** The whole file, or null where there is none. A file of another user is FOREIGN_FILE (THREATS M1). */
  read(path: string, maxBytes: number, options?: ReadOptions): Promise<Uint8Array | null>;
  /** Opens a file for several passes, or null where there is none. */
  open(path: string): Promise<OpenFile | null>;
  /** Replaces or makes a file; parents are made with 0700. Default mode 0600. */
  writeAtomic(path: string, bytes: Uint8Array, options?: { readonly mode?: number }): Promise<void>;
  /** The same from a stream; if that throws, nothing is kept and its error is passed on. */
  writeStream(path: string, source: AsyncIterable<Uint8Array>): Promise<void>;
  /** Makes a file with its content, which may come in pieces, at once; false where the name is taken. */
  createExclusive(path: string, content: Content): Promise<boolean>;
  /** Removes a file; no error where there is none. */
  remove(path: string): Promise<void>;
  /** Names in a folder, sorted; none where there is no folder. */
  list(dir: string): Promise<readonly string[]>;
};

/** Begins with a dot and holds this, so that it is never taken for a file of ours. */
export const TEMPORARY = ".imprint-tmp-";
const CHUNK_BYTES = 256 * 1024;

function failed(verb: string, path: string, cause: unknown): unknown {
  const errno = errnoOf(cause);
  if (cause instanceof ImprintError || errno === undefined) return cause;
  return new ImprintError("STORAGE_FAILED", `Cannot ${verb} ${path}: ${errno}`, { cause });
}

async function orNull<T>(promise: Promise<T>): Promise<T | null> {
  try {
    return await promise;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return null;
    throw error;
  }
}

/** A rename lasts through a power cut only once the folder is written, too. */
async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, "r").catch(() => null); // Windows can't open folders, and needs no such thing
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

/** Writes a temporary file beside `path`, hands it to `place`, and removes it whatever happens. */
async function viaTemporary<T>(
  path: string,
  mode: number,
  fill: (handle: FileHandle) => Promise<void>,
  place: (temporary: string) => Promise<T>,
): Promise<T> {
  const dir = dirname(path);
  const temporary = join(dir, `${TEMPORARY}${String(process.pid)}-${randomBytes(6).toString("hex")}`);
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const handle = await open(temporary, "wx", mode);
    try {
      await fill(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    const result = await place(temporary);
    await syncFolder(dir);
    return result;
  } catch (error) {
    throw failed("write", path, error);
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

async function readWhole(path: string, maxBytes: number, { secret = false }: ReadOptions, trusts: Trusts): Promise<Uint8Array | null> {
  const handle = await orNull(open(path, "r"));
  if (handle === null) return null;
  try {
    const info = await handle.stat();
    // A link of another user could lead to a file of ours that was meant for another place.
    // One that was replaced or removed meanwhile has no name any more.
    const named = await orNull(lstat(path));
    for (const { uid } of named === null ? [info] : [info, named])
      if (!(await trusts(path, uid)))
        throw new ImprintError("FOREIGN_FILE", `Cannot believe ${path}: it belongs to another user (uid ${String(uid)})`);
    if (secret && info.isFile() && isLoose(info.mode))
      throw new ImprintError(
        "LOOSE_FILE",
        `Cannot use ${path}: it holds a secret, and others may ${wordsOf(info.mode)} it; chmod 600 '${path}'`,
      );
    const tooLarge = new ImprintError("TOO_LARGE", `Cannot read ${path}: larger than ${String(maxBytes)} bytes`);
    if (info.isFile() && info.size > maxBytes) throw tooLarge;
    const bytes = await handle.readFile();
    if (bytes.length > maxBytes) throw tooLarge; // it grew
    return bytes;
  } finally {
    await handle.close();
  }
}

async function* chunks(handle: FileHandle, path: string): AsyncGenerator<Uint8Array> {
  for (let at = 0; ;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, at).catch((error: unknown) => {
      throw failed("read", path, error);
    });
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function openWhole(path: string): Promise<OpenFile | null> {
  const handle = await orNull(open(path, "r"));
  if (handle === null) return null;
  const { size } = await handle.stat().catch(async (error: unknown) => {
    await handle.close();
    throw error;
  });
  return {
    size,
    // not createReadStream: it closes the handle when its reader stops early
    stream: () => chunks(handle, path),
    close: () => handle.close(),
  };
}

/** Whether others than its owner may read or write a file. Windows has no such modes. */
export function isLoose(mode: number): boolean {
  return process.platform !== "win32" && (mode & 0o066) !== 0;
}

function wordsOf(mode: number): string {
  return [...((mode & 0o044) === 0 ? [] : ["read"]), ...((mode & 0o022) === 0 ? [] : ["write"])].join(" and ");
}

const OWN_AND_ROOTS = trustsOf({ env: {}, uid: process.geteuid?.(), safeFolders: async () => [] });

/** The real disk. `trusts`: whose files are believed; this user's and root's unless given. */
async function writePieces(handle: FileHandle, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length;) at += (await handle.write(piece, at)).bytesWritten;
  }
}

export function nodeFiles(trusts: Trusts = OWN_AND_ROOTS): Files {
  const write = async (path: string, mode: number, fill: (handle: FileHandle) => Promise<void>): Promise<void> => {
    await viaTemporary(path, mode, fill, (temporary) => rename(temporary, path));
  };
  return {
    read: (path, maxBytes, options = {}) =>
      readWhole(path, maxBytes, options, trusts).catch((error: unknown) => {
        throw failed("read", path, error);
      }),
    open: (path) =>
      openWhole(path).catch((error: unknown) => {
        throw failed("read", path, error);
      }),
    writeAtomic: (path, bytes, options = {}) => write(path, options.mode ?? 0o600, (handle) => handle.writeFile(bytes)),
    writeStream: (path, source) => write(path, 0o600, (handle) => writePieces(handle, source)),
    createExclusive: (path, content) =>
      viaTemporary(
        path,
        0o600,
        (handle) => writePieces(handle, content instanceof Uint8Array ? [content] : content),
        async (temporary) => {
          try {
            await link(temporary, path); // unlike rename, never replaces
            return true;
          } catch (error) {
            if (errnoOf(error) === "EEXIST") return false;
            throw error;
          }
        },
      ),
    remove: (path) =>
      rm(path, { force: true }).catch((error: unknown) => {
        throw failed("remove", path, error);
      }),
    list: async (dir) => {
      const names = await orNull(readdir(dir)).catch((error: unknown) => {
        throw failed("list", dir, error);
      });
      return (names ?? []).filter((name) => !name.startsWith(TEMPORARY)).sort();
    },
  };
}
