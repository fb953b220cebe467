/**
 * One process at a time changes key files. A key file is read, changed and written back whole; two that did so at once would
 * each write what the other has not seen, and the key of whoever was first would be gone, perhaps after a root names it.
 */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { errnoOf, ImprintError } from "../errors.ts";
import { underLock } from "../git/store/lock.ts";
import type { Layout } from "../storage/layout.ts";

/** Sealing a key file takes a quarter of a second. */
const WAIT_MS = 20_000;
const STALE_MS = 60_000;

/**
 * @param work asks nobody anything: others wait for it
 * @throws ImprintError STORAGE_FAILED where another process holds the keys for too long
 */
export async function holdingKeys<T>({ layout }: { readonly layout: Layout }, work: () => Promise<T>): Promise<T> {
  await mkdir(layout.keys, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw new ImprintError("STORAGE_FAILED", `Cannot change key files: ${layout.keys}: ${errnoOf(error) ?? "it cannot be made"}`, {
      cause: error,
    });
  });
  return underLock(path.join(layout.keys, ".lock"), { what: "key files", staleMs: STALE_MS, waitMs: WAIT_MS }, work);
}
