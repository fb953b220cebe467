/**
 * Keeping a cache quick without git: each fetch adds a pack. Past a number of them the next fetch brings everything
 * anew, in one pack, and what is older goes: a cache holds nothing that can't be had again.
 */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";

const MAX_PACKS = 48;
/** Another process may have moved a pack in and not yet set its ref, or be reading one. */
const YOUNG_MS = 60 * 60 * 1000;

async function packsIn(gitDir: string): Promise<readonly string[]> {
  return (await readdir(join(gitDir, "objects", "pack")).catch((): string[] => [])).filter((name) => name.endsWith(".idx"));
}

/** Whether the next fetch should begin anew. */
export async function isCrowded(gitDir: string, maxPacks = MAX_PACKS): Promise<boolean> {
  return (await packsIn(gitDir)).length > maxPacks;
}

/** Removes packs that are older than an hour, after a fetch that brought everything. Never fails it. */
export async function dropOldPacks(gitDir: string, nowMs: number): Promise<void> {
  const folder = join(gitDir, "objects", "pack");
  for (const index of await packsIn(gitDir)) {
    const info = await stat(join(folder, index)).catch(() => null);
    if (info === null || nowMs - info.mtimeMs < YOUNG_MS) continue;
    // the index first: a pack without one is not looked at
    for (const name of [index, index.replace(/\.idx$/u, ".pack")]) await rm(join(folder, name), { force: true }).catch(() => undefined);
  }
}
