/**
 * How much memory a process and its children hold, where the system says so without a program to ask (Linux).
 */
import { readFile } from "node:fs/promises";

const PAGE_BYTES = 4096;
const MAX_PROCESSES = 64;

/** Resident bytes of a process and of all that it started; 0 where that can't be known. */
export async function residentBytes(pid: number): Promise<number> {
  if (process.platform !== "linux") return 0;
  const queue = [pid];
  let pages = 0;
  for (let seen = 0; queue.length > 0 && seen < MAX_PROCESSES; seen++) {
    const one = String(queue.pop());
    const [memory, children] = await Promise.all([
      readFile(`/proc/${one}/statm`, "utf8").catch(() => ""),
      readFile(`/proc/${one}/task/${one}/children`, "utf8").catch(() => ""),
    ]);
    pages += Number(memory.split(" ")[1] ?? 0);
    queue.push(
      ...children
        .split(" ")
        .filter((child) => child !== "")
        .map(Number),
    );
  }
  return pages * PAGE_BYTES;
}
