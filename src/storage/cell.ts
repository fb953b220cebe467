/**
 * A durable cell with compare-and-swap, for state that two processes may change and a crash may interrupt.
 *
 * A cell is a folder; the value of generation n is the file `<n>`, and the highest number is the value. Taking number
 * n+1 with an exclusive create is the whole of the locking: nobody holds anything, so nobody can die holding it. Two
 * dangers shape the code. A writer that slept after reading n may find n+1 free again, because others went past it and
 * cleaned up; so the last few generations are kept, and who finds itself further behind than that gives way. (One whom
 * others overtook that far between its write and its second look gives way, too, although its value had counted: told
 * STATE_CHANGED, it reads again, and sees.) And a folder that changes while it is listed may hide a name; so a listing
 * counts when a second one agrees.
 */
import { join } from "node:path";
import { ImprintError } from "../errors.ts";
import type { Content, Files } from "./files.ts";

const MAX_TRIES = 1000;
/** Generations that stay, the newest included. */
const KEPT = 3;

export type CellValue = { readonly generation: number; readonly bytes: Uint8Array };

export type Cell = {
  /** The value, or null where none was ever written. */
  read(): Promise<CellValue | null>;
  /** Writes `content` if the cell is still at `expected` (null: empty) and returns its new generation; else STATE_CHANGED. */
  swap(expected: number | null, content: Content): Promise<number>;
};

function conflict(dir: string): ImprintError {
  return new ImprintError("STATE_CHANGED", `Cannot write ${dir}: another process changed it`);
}

/** Opens the cell in `dir`. Reads and writes nothing yet. */
export function openCell(files: Files, dir: string, options: { readonly maxBytes: number }): Cell {
  const list = async (): Promise<number[]> => {
    const names = await files.list(dir);
    return names
      .filter((name) => /^[1-9][0-9]{0,15}$/u.test(name))
      .map(Number)
      .filter(Number.isSafeInteger)
      .sort((a, b) => a - b);
  };

  const generations = async (): Promise<number[]> => {
    let before = await list();
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const now = await list();
      if (now.length === before.length && now.every((generation, at) => generation === before[at])) return now;
      before = now;
    }
    throw conflict(dir);
  };

  return {
    async read() {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const generation = (await generations()).at(-1);
        if (generation === undefined) return null;
        const bytes = await files.read(join(dir, String(generation)), options.maxBytes);
        if (bytes !== null) return { generation, bytes };
        // replaced and removed since the listing: there is a newer one
      }
      throw conflict(dir);
    },

    async swap(expected, content) {
      const current = (await generations()).at(-1) ?? null;
      if (current !== expected) throw conflict(dir);
      const generation = (expected ?? 0) + 1;
      const own = join(dir, String(generation));
      if (!(await files.createExclusive(own, content))) throw conflict(dir);
      const after = await generations();
      // a number can only become free again once the newest is so far ahead of it
      if (after.some((other) => other >= generation + KEPT)) {
        await files.remove(own);
        throw conflict(dir);
      }
      // it counts, whether or not old ones can be removed now; lowest first, so that no gap opens above a kept one
      for (const old of after.filter((other) => other <= generation - KEPT))
        await files.remove(join(dir, String(old))).catch(() => undefined);
      return generation;
    },
  };
}
