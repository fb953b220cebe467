/**
 * What lies in the cache, and what may go. Only paths below the cache are ever listed or removed: state protects from
 * rollback and is nobody's to prune.
 *
 * Last use is the later of a file's two times: reading moves the first, on most disks once a day, writing the second.
 */
import { lstat, readdir, rename, rm } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { errnoOf, ImprintError } from "../errors.ts";

/** One thing that goes or stays as a whole. */
export type CacheItem = {
  readonly path: string;
  readonly bytes: number;
  readonly files: number;
  /** Unix time in milliseconds. */
  readonly lastUsedMs: number;
};

/** Every file below `folder` as an item; links and what goes away meanwhile are not followed. */
export async function listFilesOf(folder: string): Promise<readonly CacheItem[]> {
  const items: CacheItem[] = [];
  for (const entry of await entriesOf(folder)) {
    const at = join(folder, entry.name);
    if (entry.isDirectory()) items.push(...(await listFilesOf(at)));
    else if (entry.isFile()) {
      const info = await lstat(at).catch(() => null);
      if (info !== null) items.push({ path: at, bytes: info.size, files: 1, lastUsedMs: Math.max(info.atimeMs, info.mtimeMs) });
    }
  }
  return items;
}

/** Every entry right in `folder` as an item, folders with all that is in them. */
export async function listFoldersOf(folder: string): Promise<readonly CacheItem[]> {
  const items: CacheItem[] = [];
  for (const entry of await entriesOf(folder)) {
    if (!entry.isDirectory()) continue;
    const at = join(folder, entry.name);
    const inside = await listFilesOf(at);
    const sum = inside.reduce((total, { bytes }) => total + bytes, 0);
    items.push({ path: at, bytes: sum, files: inside.length, lastUsedMs: Math.max(0, ...inside.map(({ lastUsedMs }) => lastUsedMs)) });
  }
  return items;
}

/** Left behind by a kill: temporary files, half-made repositories, and folders on their way out. */
export function isLeftover({ path }: Pick<CacheItem, "path">): boolean {
  const name = basename(path);
  return name.startsWith(".imprint-tmp-") || /^\.[0-9a-f]{12}\.new$/u.test(name);
}

/**
 * Removes an item at once for whoever looks: it is moved aside first, so that nobody finds half of it.
 *
 * @throws ImprintError STORAGE_FAILED
 */
export async function removeItem({ path }: Pick<CacheItem, "path">): Promise<void> {
  const aside = isLeftover({ path }) ? path : join(dirname(path), `.imprint-tmp-${String(process.pid)}-${randomBytes(6).toString("hex")}`);
  try {
    if (aside !== path) await rename(path, aside);
    await rm(aside, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT") return; // somebody else was faster
    throw new ImprintError("STORAGE_FAILED", `Cannot remove ${path}: ${errno ?? "unknown"}`, { cause: error });
  }
}

async function entriesOf(folder: string) {
  try {
    return (await readdir(folder, { withFileTypes: true })).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return [];
    throw new ImprintError("STORAGE_FAILED", `Cannot list ${folder}: ${errno ?? "unknown"}`, { cause: error });
  }
}
