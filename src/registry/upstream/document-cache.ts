/**
 * Upstream's documents on disk, so that a restart with a dead upstream still answers. A file each: a line that says what
 * it is, then the document, gzipped. Believed only where its hash is right; anything else counts as not there.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { isImprintError } from "../../errors.ts";
import type { Files } from "../../storage/files.ts";

export type CachedDocument = {
  readonly etag: string | null;
  /** Unix milliseconds at which upstream last said so. */
  readonly checkedAt: number;
  /** Gzipped text. */
  readonly zipped: Uint8Array;
};

/** Nothing here throws: a disk that is full or broken makes a resolver slower, not useless. */
export type DocumentCache = {
  read(key: string): Promise<CachedDocument | null>;
  write(key: string, document: CachedDocument): Promise<void>;
  remove(key: string): Promise<void>;
};

const MAX_FILE_BYTES = 64 * 1024 * 1024;
const MAX_HEAD_BYTES = 8192;

export function openDocumentCache(files: Files, folder: string): DocumentCache {
  const pathOf = (key: string): string => {
    const hash = createHash("sha256").update(key).digest("hex");
    return join(folder, "documents", hash.slice(0, 2), hash);
  };
  return {
    async read(key) {
      const bytes = await files.read(pathOf(key), MAX_FILE_BYTES).catch(noneWhereOurs);
      return bytes === null ? null : parse(key, bytes);
    },
    async write(key, { etag, checkedAt, zipped }) {
      const head = Buffer.from(`${JSON.stringify({ key, etag, checkedAt, sha256: sha256(zipped) })}\n`);
      if (head.byteLength <= MAX_HEAD_BYTES && head.byteLength + zipped.byteLength <= MAX_FILE_BYTES)
        await files.writeAtomic(pathOf(key), Buffer.concat([head, zipped])).catch(noneWhereOurs);
    },
    async remove(key) {
      await files.remove(pathOf(key)).catch(noneWhereOurs);
    },
  };
}

function parse(key: string, bytes: Uint8Array): CachedDocument | null {
  const end = bytes.subarray(0, MAX_HEAD_BYTES).indexOf(0x0a);
  if (end === -1) return null;
  const zipped = bytes.subarray(end + 1);
  try {
    const head = JSON.parse(Buffer.from(bytes.subarray(0, end)).toString("utf8")) as Readonly<Record<string, unknown>>;
    const { etag, checkedAt } = head;
    if (head["key"] !== key || head["sha256"] !== sha256(zipped) || typeof checkedAt !== "number") return null;
    return { etag: typeof etag === "string" ? etag : null, checkedAt, zipped };
  } catch {
    return null; // another program's, or cut short
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function noneWhereOurs(error: unknown): null {
  if (isImprintError(error, "STORAGE_FAILED", "TOO_LARGE")) return null;
  throw error;
}
