/** What a stranger has: no cache, no memory, no state of this machine. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { layoutFrom } from "../storage/layout.ts";
import type { Deps } from "./deps.ts";

export async function withEmptyHands<T>(deps: Deps, work: (cold: Deps) => Promise<T>): Promise<T> {
  const home = await mkdtemp(path.join(tmpdir(), "imprint-cold-"));
  try {
    return await work({ ...deps, layout: layoutFrom({ IMPRINT_HOME: home }, { config: home, cache: home, data: home }) });
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}
