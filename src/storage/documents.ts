/**
 * Small documents by sha256, in memory up to a bound: what was proven once is not read and hashed again.
 */
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";

export type DocumentCache = {
  get(sha256: string): Uint8Array | undefined;
  /** Keeps `bytes` under their own hash, which is returned. */
  put(bytes: Uint8Array): string;
  readonly sizeBytes: number;
};

/** A cache of at most `maxBytes`; the least recently used go first. */
export function createDocumentCache(options: { readonly maxBytes: number }): DocumentCache {
  const cache = new LRUCache<string, Uint8Array>({ maxSize: options.maxBytes, sizeCalculation: (bytes) => bytes.byteLength + 128 });
  return {
    get: (sha256) => cache.get(sha256),
    put(bytes) {
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      cache.set(sha256, bytes);
      return sha256;
    },
    get sizeBytes() {
      return cache.calculatedSize;
    },
  };
}
