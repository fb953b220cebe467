/**
 * The body of a request, from a client that may be anybody: ended at a deadline, counted before and after inflating, and
 * parsed only when all of it is there.
 */
import { LIMITS } from "../format/limits.ts";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { Transform } from "node:stream";
import { ImprintError, isImprintError } from "../errors.ts";
import { textOf } from "../format/bytes.ts";
import { type JsonValue, requireDepth } from "../format/json.ts";

export type BodyLimits = {
  /** Bytes on the wire. */
  readonly maxSentBytes: number;
  /** Bytes of the text. */
  readonly maxBytes: number;
  /** Milliseconds until all of it is there. */
  readonly deadlineMs: number;
};

/** A monorepo's whole dependency tree is a few megabytes. */
export const BODY_LIMITS: BodyLimits = {
  maxSentBytes: LIMITS.requestSentBytes,
  maxBytes: LIMITS.requestBodyBytes,
  deadlineMs: LIMITS.requestMs,
};

const MAX_DEPTH = LIMITS.requestDepth;

/**
 * Why a request that changes or asks something by POST may come from a page on the web, or null. Browsers name the page
 * in Origin, and let pages send JSON elsewhere only after asking, which this server never answers with yes.
 */
export function browserSign(headers: Headers): string | null {
  if (headers.has("origin")) return "pages on the web may not ask here";
  const site = headers.get("sec-fetch-site");
  if (site !== null && site !== "none") return "pages on the web may not ask here";
  const type = (headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase();
  return type === "application/json" ? null : "the body must be application/json";
}

/** @throws ImprintError BAD_REQUEST */
export async function readJsonBody(request: Request, limits: BodyLimits): Promise<JsonValue> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > limits.maxSentBytes) throw bad(`${announced} bytes, at most ${limits.maxSentBytes} are taken`);
  const bytes = request.body === null ? new Uint8Array() : await readBody(request.body, request.headers.get("content-encoding"), limits);
  const text = textOf(bytes);
  if (text === null) throw bad("it is not UTF-8");
  try {
    requireDepth(text, MAX_DEPTH);
    return JSON.parse(text) as JsonValue;
  } catch (error) {
    throw bad(isImprintError(error) ? `it is nested deeper than ${MAX_DEPTH} levels` : "it is not JSON", error);
  }
}

async function readBody(body: ReadableStream<Uint8Array>, encoding: string | null, limits: BodyLimits): Promise<Uint8Array> {
  const decoder = decoderOf(encoding);
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), limits.deadlineMs);
  const chunks: Uint8Array[] = [];
  const source = counted(body, limits.maxSentBytes, abort.signal);
  let fault: ImprintError | null = null;
  const collect = async (parts: AsyncIterable<Uint8Array>): Promise<void> => {
    let size = 0;
    for await (const part of parts) {
      size += part.byteLength;
      // Kept beside: what ends a pipeline is not always what it says that ended it.
      if (size > limits.maxBytes) throw (fault = bad(`it inflates to more than ${limits.maxBytes} bytes`));
      chunks.push(part);
    }
  };
  try {
    if (decoder === null) await collect(source);
    else await pipeline(Readable.from(source), decoder, collect);
  } catch (error) {
    if (fault !== null) throw fault;
    if (isImprintError(error)) throw error;
    throw bad(decoder === null ? "it broke off" : "it is not encoded as its header says", error);
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks);
}

async function* counted(body: ReadableStream<Uint8Array>, maxBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(bad("it did not end in time")), { once: true });
  });
  late.catch(() => undefined);
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late]);
      if (done) return;
      size += value.byteLength;
      if (size > maxBytes) throw bad(`more than ${maxBytes} bytes`);
      yield value;
    }
  } finally {
    // Not awaited: the sender decides when it hears of it.
    void reader.cancel().catch(() => undefined);
  }
}

function decoderOf(encoding: string | null): Transform | null {
  switch ((encoding ?? "identity").trim().toLowerCase()) {
    case "identity":
    case "":
      return null;
    case "gzip":
    case "x-gzip":
      return createGunzip();
    case "br":
      return createBrotliDecompress();
    case "deflate":
      return createInflate();
    default:
      throw bad("its encoding is not known: gzip, br and deflate are");
  }
}

function bad(state: string, cause?: unknown): ImprintError {
  return new ImprintError("BAD_REQUEST", `Cannot read the body: ${state}`, { cause });
}
