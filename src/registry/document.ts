/**
 * A JSON document ready to be sent: compressed once, named by its content, never parsed again on the hot path. A large one is
 * held compressed alone.
 */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { createGzip, gunzipSync, gzip } from "node:zlib";
import { breather } from "../index/breathe.ts";

/** `body`: null where only the compressed form is held; `gzip`: null where that would not pay. */
export type ReadyDocument = {
  /** Bytes of the plain text. */
  readonly size: number;
  /** Quoted, as HTTP has it. */
  readonly etag: string;
  readonly contentType: string;
} & (
  | { readonly body: Uint8Array<ArrayBuffer>; readonly gzip: Uint8Array<ArrayBuffer> | null }
  | { readonly body: null; readonly gzip: Uint8Array<ArrayBuffer> }
);

const gzipAsync = promisify(gzip);
const MIN_BYTES_TO_COMPRESS = 512;
const LEVEL = 6;
/** A text beyond that is held compressed alone. */
const MAX_PLAIN_BYTES = 1024 * 1024;
/** Compressed at once: the work is done on another thread, and each piece costs a turn. */
const GZIP_BYTES = 256 * 1024;

export const ABBREVIATED_TYPE = "application/vnd.npm.install-v1+json";

export function readyDocument(json: string, contentType = "application/json"): Promise<ReadyDocument> {
  return readyPieces([json], contentType);
}

/** The same of a text in pieces, which are made as they are needed: a long document holds up nothing else. */
export async function readyPieces(pieces: Iterable<string>, contentType = "application/json"): Promise<ReadyDocument> {
  const hash = createHash("sha256");
  const breathe = breather();
  let [chunks, waiting, size]: [Buffer[], number, number] = [[], 0, 0];
  let large: Gzipping | null = null;
  for (const piece of pieces) {
    const chunk = Buffer.from(piece);
    hash.update(chunk);
    chunks.push(chunk);
    [waiting, size] = [waiting + chunk.byteLength, size + chunk.byteLength];
    if (large === null && size > MAX_PLAIN_BYTES) large = gzipping();
    if (large !== null && waiting > GZIP_BYTES) {
      await large.write(Buffer.concat(chunks));
      [chunks, waiting] = [[], 0];
    }
    await breathe();
  }
  const rest = Buffer.concat(chunks);
  const named = { size, etag: `"${hash.digest("base64url").slice(0, 27)}"`, contentType };
  if (large !== null) return { ...named, body: null, gzip: await large.end(rest) };
  const body = new Uint8Array(rest);
  const compressed = size < MIN_BYTES_TO_COMPRESS ? null : new Uint8Array(await gzipAsync(body, { level: LEVEL }));
  return { ...named, body, gzip: compressed };
}

type Gzipping = { write(bytes: Uint8Array): Promise<void>; end(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> };

function gzipping(): Gzipping {
  const stream = createGzip({ level: LEVEL });
  const out: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => out.push(chunk));
  const failed = new Promise<never>((_, reject) => stream.once("error", reject));
  failed.catch(() => undefined); // whoever writes hears of it
  return {
    write: (bytes) => Promise.race([failed, new Promise<void>((resolve) => stream.write(bytes, () => resolve()))]),
    async end(bytes) {
      await Promise.race([failed, new Promise<void>((resolve) => stream.once("end", resolve).end(bytes))]);
      return new Uint8Array(Buffer.concat(out));
    },
  };
}

/** The plain text, in one piece. */
export function plainOf({ body, gzip: compressed }: ReadyDocument): Uint8Array<ArrayBuffer> {
  return body ?? new Uint8Array(gunzipSync(compressed));
}

/** The same as a stream, for the few clients that take no gzip. */
export function plainStream({ body, gzip: compressed }: ReadyDocument): ReadableStream<Uint8Array> {
  if (body !== null) return new Blob([body]).stream();
  return new Blob([compressed]).stream().pipeThrough(new DecompressionStream("gzip"));
}

/** Bytes held, for caches with a size. */
export function documentBytes(document: ReadyDocument): number {
  return (document.body?.byteLength ?? 0) + (document.gzip?.byteLength ?? 0) + 256;
}
