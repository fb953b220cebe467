/**
 * Git's own lock files, taken as git takes them, so that a git that runs beside us is kept out, and keeps us out.
 *
 * Git's say nothing of who holds them. Beside one of ours lies a second name of the same file, with host and process in it:
 * what a kill left behind is known at once, and not only when it is old.
 */
import { createHash, randomBytes } from "node:crypto";
import { link, open, readdir, rename, rm, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errnoOf, ImprintError } from "../../errors.ts";

const WAIT_MS = 2000;
const PAUSE_MS = 20;
/** Git reads over names with a dot in front, among refs too. */
const OWNER = ".imprint-lock-";

export type Lock = {
  /** The lock file, empty, open for writing. */
  readonly file: FileHandle;
  /** Once the lock file has become what it locks, or is removed. */
  readonly forget: () => Promise<void>;
};

export function hostMark(): string {
  return createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === "EPERM";
  }
}

/**
 * Makes `path`, waiting for whoever has it; a file older than `staleMs`, or of a process that is gone, was left by a kill.
 *
 * @throws EEXIST after `waitMs`
 */
export async function takeLock(path: string, staleMs: number, { waitMs = WAIT_MS, onWait = (): void => {} } = {}): Promise<Lock> {
  const owner = join(dirname(path), `${OWNER}${basename(path)}-${hostMark()}-${process.pid}-${randomBytes(6).toString("hex")}`);
  const forget = (): Promise<void> => rm(owner, { force: true }).catch(() => undefined);
  const file = await open(owner, "wx", 0o600);
  try {
    for (const until = performance.now() + waitMs; ;) {
      try {
        await link(owner, path);
        return { file, forget };
      } catch (error) {
        if (errnoOf(error) !== "EEXIST" || performance.now() > until) throw error;
      }
      const left = await inodeLeft(path, staleMs);
      if (left === null) {
        onWait();
        // Many who wait do not all look at once.
        await delay(PAUSE_MS * (1 + Math.random()));
      } else await clear(path, left, owner);
    }
  } catch (error) {
    await file.close();
    await forget();
    // A file system without links.
    if (["EPERM", "ENOTSUP", "ENOSYS", "EINVAL"].includes(errnoOf(error) ?? "")) return { file: await open(path, "wx", 0o600), forget };
    throw error;
  }
}

/** Of a lock that a kill left behind; null: it is held, or gone. */
async function inodeLeft(path: string, staleMs: number): Promise<number | null> {
  const info = await stat(path).catch(() => null);
  if (info === null) return null;
  if (Date.now() - info.mtimeMs > staleMs) return info.ino;
  const mine = `${OWNER}${basename(path)}-${hostMark()}-`;
  for (const name of await readdir(dirname(path)).catch((): string[] => [])) {
    const pid = name.startsWith(mine) ? (/^(\d{1,10})-/u.exec(name.slice(mine.length))?.[1] ?? null) : null;
    if (pid === null || isAlive(Number(pid))) continue;
    const owner = join(dirname(path), name);
    const isIts = (await stat(owner).catch(() => null))?.ino === info.ino;
    await rm(owner, { force: true }).catch(() => undefined);
    if (isIts) return info.ino;
  }
  return null;
}

/** Takes a left lock away, and no other: somebody may have done so, and hold a new one by now. */
async function clear(path: string, inode: number, owner: string): Promise<void> {
  const aside = `${owner}.left`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return;
  }
  if ((await stat(aside)).ino !== inode) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

/**
 * One process at a time does `work`.
 *
 * @param options `what`: what is locked, for messages; `onWait`: called again and again while another process has the lock
 * @throws ImprintError STORAGE_FAILED where the lock cannot be had, and what `work` throws
 */
export async function underLock<T>(
  path: string,
  options: { readonly what: string; readonly staleMs: number; readonly waitMs: number; readonly onWait?: () => void },
  work: () => Promise<T>,
): Promise<T> {
  const { file, forget } = await takeLock(path, options.staleMs, options).catch((error: unknown) => {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    const state = errno === "EEXIST" ? `another imprint is at it; if none runs, remove ${path}` : errno;
    throw new ImprintError("STORAGE_FAILED", `Cannot change ${options.what}: ${state}`, { cause: error });
  });
  try {
    return await work();
  } finally {
    await file.close().catch(() => undefined);
    await rm(path, { force: true }).catch(() => undefined);
    await forget();
  }
}

/** Replaces `path` as git would: `content` is made once its lock is held, and is there whole or not at all. */
export async function replaceUnderLock(path: string, staleMs: number, content: () => Promise<string | Uint8Array>): Promise<void> {
  const { file, forget } = await takeLock(`${path}.lock`, staleMs);
  try {
    await file.writeFile(await content());
    await file.sync();
    await file.close();
    await rename(`${path}.lock`, path);
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(`${path}.lock`, { force: true });
    throw error;
  } finally {
    await forget();
  }
}
