/** A JSON document ready to be sent: compressed once, named by its content, never parsed again on the hot path. */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

export type ReadyDocument = {
  readonly body: Uint8Array<ArrayBuffer>;
  /** The same, gzipped; null where that would not pay. */
  readonly gzip: Uint8Array<ArrayBuffer> | null;
  /** Quoted, as HTTP has it. */
  readonly etag: string;
  readonly contentType: string;
};

const gzipAsync = promisify(gzip);
const MIN_BYTES_TO_COMPRESS = 512;

export const ABBREVIATED_TYPE = "application/vnd.npm.install-v1+json";

export async function readyDocument(json: string, contentType = "application/json"): Promise<ReadyDocument> {
  const body = new Uint8Array(Buffer.from(json));
  const compressed = body.byteLength < MIN_BYTES_TO_COMPRESS ? null : new Uint8Array(await gzipAsync(body, { level: 6 }));
  const etag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`;
  return { body, gzip: compressed, etag, contentType };
}

/** Bytes held, for caches with a size. */
export function documentBytes(document: ReadyDocument): number {
  return document.body.byteLength + (document.gzip?.byteLength ?? 0) + 256;
}
