/**
 * Upstream's documents on disk, so that a restart with a dead upstream still answers. A file each: a line that says what
 * it is, then what was once found out about the document, then the document itself, gzipped: a frozen install asks for
 * the first two only, and unpacks nothing. No hash proves such a document, so the files are sealed by this machine; anything
 * else counts as not there.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { isImprintError } from "../../errors.ts";
import type { SealedFiles } from "../../storage/sealed.ts";

export type CachedDocument = {
  readonly etag: string | null;
  /** Unix milliseconds at which upstream last said so. */
  readonly checkedAt: number;
  /** How long upstream said it is good for, in milliseconds; null: it did not say. */
  readonly freshMs: number | null;
  /** sha256 of the text, hex. */
  readonly digest: string;
  /** JSON of what is needed of it again and again. */
  readonly facts: string;
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
/** Raised whenever facts or head are written otherwise. */
const FORMAT = 3;

export function openDocumentCache(files: SealedFiles, folder: string): DocumentCache {
  const pathOf = (key: string): string => {
    const hash = createHash("sha256").update(key).digest("hex");
    return join(folder, "documents", hash.slice(0, 2), hash);
  };
  return {
    async read(key) {
      const bytes = await files.read(pathOf(key), MAX_FILE_BYTES).catch(noneWhereOurs);
      return bytes === null ? null : parse(key, bytes);
    },
    async write(key, { etag, checkedAt, freshMs, digest, facts, zipped }) {
      const rest = Buffer.concat([Buffer.from(`${facts}\n`), zipped]);
      const head = Buffer.from(`${JSON.stringify({ format: FORMAT, key, etag, checkedAt, freshMs, digest })}\n`);
      if (head.byteLength <= MAX_HEAD_BYTES && head.byteLength + rest.byteLength <= MAX_FILE_BYTES)
        await files.writeAtomic(pathOf(key), Buffer.concat([head, rest])).catch(noneWhereOurs);
    },
    async remove(key) {
      await files.remove(pathOf(key)).catch(noneWhereOurs);
    },
  };
}

function parse(key: string, bytes: Uint8Array): CachedDocument | null {
  const end = bytes.subarray(0, MAX_HEAD_BYTES).indexOf(0x0a);
  if (end === -1) return null;
  const rest = bytes.subarray(end + 1);
  const factsEnd = rest.indexOf(0x0a);
  try {
    const head = JSON.parse(Buffer.from(bytes.subarray(0, end)).toString("utf8")) as Readonly<Record<string, unknown>>;
    const { etag, checkedAt, freshMs, digest } = head;
    if (head["format"] !== FORMAT || head["key"] !== key) return null;
    if (typeof checkedAt !== "number" || typeof digest !== "string" || factsEnd === -1) return null;
    const facts = Buffer.from(rest.subarray(0, factsEnd)).toString("utf8");
    return {
      etag: typeof etag === "string" ? etag : null,
      checkedAt,
      freshMs: typeof freshMs === "number" ? freshMs : null,
      digest,
      facts,
      zipped: rest.subarray(factsEnd + 1),
    };
  } catch {
    return null; // another program's, or cut short
  }
}

function noneWhereOurs(error: unknown): null {
  if (isImprintError(error, "STORAGE_FAILED", "TOO_LARGE")) return null;
  throw error;
}
