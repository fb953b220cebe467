/**
 * A folder for what one command needs while it runs: in Imprint's own cache, named after the process, so that the next
 * run finds and removes what a kill left behind.
 */
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import { errnoOf, ImprintError } from "../errors.ts";
import { hostMark, isAlive } from "../git/store/lock.ts";

/** Of another machine that shares the disk: older than any command runs. */
const STALE_MS = 24 * 60 * 60 * 1000;

const UNFINISHED_MS = 60 * 60 * 1000;

export type Scratch = { readonly folder: string; remove(): Promise<void> };

/** @throws ImprintError STORAGE_FAILED */
export async function openScratch(parent: string, nowMs: number): Promise<Scratch> {
  try {
    await mkdir(parent, { recursive: true, mode: 0o700 });
    await sweep(parent, nowMs);
    const folder = await mkdtemp(path.join(parent, `${hostMark()}-${String(process.pid)}-`));
    return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
  } catch (cause) {
    throw new ImprintError("STORAGE_FAILED", `Cannot write ${parent}: ${errnoOf(cause) ?? "unknown error"}`, { cause });
  }
}

/** Removes what a kill left of npm's own downloads; no download takes an hour. Never fails. */
export async function removeUnfinished(folder: string, nowMs: number): Promise<void> {
  for (const name of await readdir(folder).catch((): string[] => [])) {
    const info = await stat(path.join(folder, name)).catch(() => null);
    if (info !== null && nowMs - info.mtimeMs > UNFINISHED_MS)
      await rm(path.join(folder, name), { recursive: true, force: true }).catch(() => undefined);
  }
}

async function sweep(parent: string, nowMs: number): Promise<void> {
  for (const name of await readdir(parent)) {
    const [host, pid] = name.split("-");
    const isDead = host === hostMark() && /^\d+$/u.test(pid ?? "") && !isAlive(Number(pid));
    const info = await stat(path.join(parent, name)).catch(() => null);
    if (isDead || (info !== null && nowMs - info.mtimeMs > STALE_MS))
      await rm(path.join(parent, name), { recursive: true, force: true }).catch(() => undefined);
  }
}
