/**
 * A disk on which one write fails: the n-th (from 0), before anything of it happened or after all of it did, which is
 * what a crash looks like to those who come later. From then on every write fails, as after a kill or on a full disk.
 */
import { ImprintError } from "../../src/errors.ts";
import type { Files } from "../../src/storage/files.ts";

export type FailingFiles = Files & { readonly failed: () => boolean };

export function failingFiles(inner: Files, n: number, when: "before" | "after" = "before"): FailingFiles {
  let writes = 0;
  let failed = false;
  const guard = async <T>(path: string, act: () => Promise<T>): Promise<T> => {
    const mine = writes++;
    const error = new ImprintError("STORAGE_FAILED", `Cannot write ${path}: ENOSPC`);
    if (mine > n || (mine === n && when === "before")) {
      failed = true;
      throw error;
    }
    const result = await act();
    if (mine < n) return result;
    failed = true;
    throw error;
  };
  return {
    read: inner.read,
    open: inner.open,
    list: inner.list,
    writeAtomic: (path, bytes, options) => guard(path, () => inner.writeAtomic(path, bytes, options)),
    writeStream: (path, source) => guard(path, () => inner.writeStream(path, source)),
    createExclusive: (path, bytes) => guard(path, () => inner.createExclusive(path, bytes)),
    remove: (path) => guard(path, () => inner.remove(path)),
    failed: () => failed,
  };
}
