/**
 * Documents of sparse indices by their file hash, kept for ever: what has the hash is the document, whoever sent it.
 * Hashed again when read, so that a damaged disk gives a miss and never a wrong document.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { isImprintError } from "../errors.ts";
import type { Files } from "./files.ts";

export type DocumentCache = {
  /** Null where it isn't here or is damaged. `hash`: 64 lower-case hex digits. */
  get(hash: string, maxBytes: number): Promise<Uint8Array | null>;
  /** Keeps bytes that the caller has hashed. A full disk is no reason to fail: then they are not kept. */
  put(hash: string, bytes: Uint8Array): Promise<void>;
};

export function openDocumentCache(files: Files, root: string): DocumentCache {
  const pathOf = (hash: string): string => join(root, hash.slice(0, 2), hash);
  return {
    async get(hash, maxBytes) {
      const bytes = await files.read(pathOf(hash), maxBytes).catch((error: unknown) => {
        if (isImprintError(error, "TOO_LARGE", "STORAGE_FAILED")) return null;
        throw error;
      });
      return bytes !== null && createHash("sha256").update(bytes).digest("hex") === hash ? bytes : null;
    },
    async put(hash, bytes) {
      await files.writeAtomic(pathOf(hash), bytes).catch((error: unknown) => {
        if (!isImprintError(error, "STORAGE_FAILED")) throw error;
      });
    },
  };
}
