import { isImprintError } from "../../src/errors.ts";
import type { LIMITS } from "../../src/format/limits.ts";

export type Edge = {
  /** Something as large as it may be, and what is said of it: `ok`, unless it is refused for another reason. */
  readonly at: () => unknown;
  readonly within?: RegExp;
  readonly beyond: () => unknown;
  /** Why that is refused. */
  readonly says: RegExp;
};
export type Edges = Partial<Record<keyof typeof LIMITS, Edge>>;

/** The error as `CODE message`; "no" for false and null; else "ok". */
export async function verdict(work: () => unknown): Promise<string> {
  try {
    const value = await work();
    return value === false || value === null ? "no" : "ok";
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return `${error.code} ${error.message}`;
  }
}

/** For another reason. */
export const REFUSED = /^[A-Z_]+ Cannot /;

/** A document of exactly so many bytes, which is none for other reasons. */
export function sized(limit: number, read: (file: Uint8Array) => unknown, says: RegExp): Edge {
  const bytes = (count: number): Uint8Array => new Uint8Array(count).fill(0x20);
  return { at: () => read(bytes(limit)), within: REFUSED, beyond: () => read(bytes(limit + 1)), says };
}

/** Something of `size`, read under a cap of exactly that, and of one less. */
export function lowered(size: number, read: (cap: number) => unknown, says: RegExp): Edge {
  return { at: () => read(size), beyond: () => read(size - 1), says };
}
