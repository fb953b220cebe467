/**
 * How much memory a process and its children hold, where the system says so without a program to ask (Linux).
 */
import { readFile } from "node:fs/promises";

const PAGE_BYTES = 4096;
const MAX_PROCESSES = 64;

/** Git's own programs that read packs, which need memory for every object: what else a fetch starts talks to the host. */
const READS_PACKS = /\0(?:index-pack|unpack-objects|rev-list|pack-objects)\0/u;

export type Resident = {
  /** Of those that hold what the host said: its refs, above all. */
  readonly talking: number;
  readonly all: number;
};

/** Resident bytes of a process and of all that it started, without what is mapped from files; 0 where that can't be known. */
export async function residentBytes(pid: number): Promise<Resident> {
  let [talking, all] = [0, 0];
  if (process.platform !== "linux") return { talking, all };
  const queue = [pid];
  for (let seen = 0; queue.length > 0 && seen < MAX_PROCESSES; seen++) {
    const one = String(queue.pop());
    const [memory, children, words] = await Promise.all([
      readFile(`/proc/${one}/statm`, "utf8").catch(() => ""),
      readFile(`/proc/${one}/task/${one}/children`, "utf8").catch(() => ""),
      readFile(`/proc/${one}/cmdline`, "utf8").catch(() => ""),
    ]);
    const [, resident = "0", mapped = "0"] = memory.split(" ");
    const bytes = Math.max(0, Number(resident) - Number(mapped)) * PAGE_BYTES;
    all += bytes;
    if (!READS_PACKS.test(words)) talking += bytes;
    queue.push(
      ...children
        .split(" ")
        .filter((child) => child !== "")
        .map(Number),
    );
  }
  return { talking, all };
}
