/** Git's own lock files, taken as git takes them, so that a git that runs beside us is kept out, and keeps us out. */
import { open, rename, rm, stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { errnoOf } from "../../errors.ts";

const TRIES = 100;
const PAUSE_MS = 20;

/** Makes `path`, waiting two seconds for whoever has it; a file older than `staleMs` was left by a kill. @throws EEXIST */
export async function takeLock(path: string, staleMs: number): Promise<Awaited<ReturnType<typeof open>>> {
  for (let tries = 0; ; tries++) {
    try {
      return await open(path, "wx", 0o600);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST" || tries > TRIES) throw error;
    }
    const info = await stat(path).catch(() => null);
    if (info !== null && Date.now() - info.mtimeMs > staleMs) await rm(path, { force: true });
    else await delay(PAUSE_MS);
  }
}

/** Replaces `path` as git would: `content` is made once its lock is held, and is there whole or not at all. */
export async function replaceUnderLock(path: string, staleMs: number, content: () => Promise<string | Uint8Array>): Promise<void> {
  const lock = await takeLock(`${path}.lock`, staleMs);
  try {
    await lock.writeFile(await content());
    await lock.sync();
    await lock.close();
    await rename(`${path}.lock`, path);
  } catch (error) {
    await lock.close().catch(() => undefined);
    await rm(`${path}.lock`, { force: true });
    throw error;
  }
}
