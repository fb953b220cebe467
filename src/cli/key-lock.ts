/**
 * One process at a time changes key files. A key file is read, changed and written back whole; two that did so at once would
 * each write what the other has not seen, and the key of whoever was first would be gone, perhaps after a root names it.
 *
 * The lock is a file that names its process. A kill leaves it behind, so one of a process that is no more counts for nothing.
 */
import { randomBytes } from "node:crypto";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ImprintError } from "../errors.ts";
import { isAlive } from "../git/store/lock.ts";
import type { Files } from "../storage/files.ts";
import type { Layout } from "../storage/layout.ts";

const PAUSE_MS = 20;
/** Sealing a key file takes a tenth of a second. */
const WAIT_MS = 10_000;
/** What this very process holds: another lock with its number was left by one that is gone. */
const held = new Set<string>();

/**
 * @param work asks nobody anything: others wait for it
 * @throws ImprintError STORAGE_FAILED where another process holds the keys for too long
 */
export async function holdingKeys<T>({ files, layout }: { files: Files; layout: Layout }, work: () => Promise<T>): Promise<T> {
  const file = path.join(layout.keys, ".lock");
  const mine = `${process.pid} ${randomBytes(8).toString("hex")}`;
  held.add(mine);
  try {
    await take(files, file, mine);
    try {
      return await work();
    } finally {
      // Left behind it counts for nothing once this process is gone.
      await files.remove(file).catch(() => undefined);
    }
  } finally {
    held.delete(mine);
  }
}

async function take(files: Files, file: string, mine: string): Promise<void> {
  for (let waited = 0; ; waited += PAUSE_MS) {
    if (await files.createExclusive(file, Buffer.from(mine))) return;
    const other = await files.read(file, 100);
    if (other !== null && isGone(Buffer.from(other).toString("utf8"))) await files.remove(file);
    else if (waited >= WAIT_MS)
      throw new ImprintError("STORAGE_FAILED", `Cannot change key files: another imprint is at it; if none runs, remove ${file}`);
    else await delay(PAUSE_MS);
  }
}

function isGone(holder: string): boolean {
  const pid = Number(/^([0-9]{1,10}) [0-9a-f]{16}$/u.exec(holder)?.[1] ?? "0");
  if (pid === 0) return true;
  return pid === process.pid ? !held.has(holder) : !isAlive(pid);
}
