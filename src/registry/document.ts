/** A JSON document ready to be sent: compressed once, named by its content, never parsed again on the hot path. */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { breather } from "../index/breathe.ts";

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

export function readyDocument(json: string, contentType = "application/json"): Promise<ReadyDocument> {
  return readyPieces([json], contentType);
}

/** The same of a text in pieces, which are made as they are needed: a long document holds up nothing else. */
export async function readyPieces(pieces: Iterable<string>, contentType = "application/json"): Promise<ReadyDocument> {
  const hash = createHash("sha256");
  const chunks: Buffer[] = [];
  const breathe = breather();
  for (const piece of pieces) {
    const chunk = Buffer.from(piece);
    hash.update(chunk);
    chunks.push(chunk);
    await breathe();
  }
  const body = new Uint8Array(Buffer.concat(chunks));
  const compressed = body.byteLength < MIN_BYTES_TO_COMPRESS ? null : new Uint8Array(await gzipAsync(body, { level: 6 }));
  return { body, gzip: compressed, etag: `"${hash.digest("base64url").slice(0, 27)}"`, contentType };
}

/** Bytes held, for caches with a size. */
export function documentBytes(document: ReadyDocument): number {
  return document.body.byteLength + (document.gzip?.byteLength ?? 0) + 256;
}
