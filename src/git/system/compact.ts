/**
 * Keeping a cache quick: each sync adds a small pack, and git looks into every pack for every object.
 *
 * All small packs become one. Nothing is dropped, reachable or not, since another process may have moved a pack in and
 * not yet set its ref; and a pack is deleted only when all of it is in the one that was just written.
 */
import { readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Target } from "./fetch.ts";
import { runGit } from "./run.ts";

const MAX_PACKS = 48;
const MAX_PACK_BYTES = 64 * 1024 * 1024;
const LEFTOVER_MS = 60 * 60 * 1000;

/** Joins small packs when there are many, and removes what a killed git left half written. Never fails a fetch. */
export async function compact(target: Target, maxPacks = MAX_PACKS): Promise<void> {
  const folder = join(target.gitDir, "objects", "pack");
  const names = await readdir(folder).catch((): string[] => []);
  if (names.filter((name) => name.endsWith(".idx")).length <= maxPacks) return;
  const small: string[] = [];
  for (const name of names) {
    const info = await stat(join(folder, name)).catch(() => null);
    if (info === null) continue;
    if (name.startsWith("tmp_") && Date.now() - info.mtimeMs > LEFTOVER_MS)
      await rm(join(folder, name), { force: true }).catch(() => undefined);
    if (name.endsWith(".pack") && info.size <= MAX_PACK_BYTES && names.includes(name.replace(/\.pack$/u, ".idx"))) small.push(name);
  }
  if (small.length < 2) return;
  const result = await runGit(target.git, {
    args: [`--git-dir=${target.gitDir}`, "pack-objects", "--quiet", "--stdin-packs", "--delta-base-offset", join(folder, "pack")],
    input: [small.map((name) => `${name}\n`).join("")],
    what: `join the packs of ${target.gitDir}`,
  }).catch(() => null);
  const joined = /^[0-9a-f]{40,64}$/u.exec(result?.stdout.toString("latin1").trim() ?? "")?.[0];
  if (result === null || result.status !== 0 || joined === undefined) return;
  if (names.some((name) => name.endsWith(".promisor"))) await writeFile(join(folder, `pack-${joined}.promisor`), "").catch(() => undefined);
  for (const name of small) {
    const stem = name.slice(0, -".pack".length);
    if (stem === `pack-${joined}`) continue;
    // the index first: a pack without one is not looked at
    for (const extension of [".idx", ".rev", ".promisor", ".pack"])
      await rm(join(folder, stem + extension), { force: true }).catch(() => undefined);
  }
}
