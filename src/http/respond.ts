/** From results to HTTP answers. */
import type { Context } from "hono";
import type { ImprintError } from "../errors.ts";
import type { PublicName } from "../format/names.ts";
import { clean } from "../format/text.ts";
import { plainStream, type ReadyDocument } from "../registry/document.ts";
import type { TarballBody } from "../registry/port.ts";

/** A document: revalidated by ETag, compressed once. */
export function sendDocument(c: Context, document: ReadyDocument): Response {
  const { body, status, headers } = documentAnswer(document, {
    ifNoneMatch: c.req.header("if-none-match"),
    acceptEncoding: c.req.header("accept-encoding"),
  });
  if (status === 304) return c.body(null, status, headers);
  return c.body(body ?? plainStream(document), status, headers);
}

/** Where the resolver is not there, npm would otherwise install what its cache has, whoever answered then. */
const REVALIDATED = "no-cache, must-revalidate";

export type DocumentAnswer = {
  /** Null with 200: the plain text of a document that is held compressed alone. */
  readonly body: Uint8Array<ArrayBuffer> | null;
  readonly status: 200 | 304;
  readonly headers: Record<string, string>;
};

export function documentAnswer(
  document: ReadyDocument,
  { ifNoneMatch, acceptEncoding }: { readonly ifNoneMatch: string | undefined; readonly acceptEncoding: string | undefined },
): DocumentAnswer {
  const headers: Record<string, string> = { etag: document.etag, vary: "accept, accept-encoding", "cache-control": REVALIDATED };
  if (matches(ifNoneMatch, document.etag)) return { body: null, status: 304, headers };
  headers["content-type"] = document.contentType;
  const compressed = document.gzip !== null && accepts(acceptEncoding, "gzip") ? document.gzip : null;
  if (compressed !== null) headers["content-encoding"] = "gzip";
  const body = compressed ?? document.body;
  headers["content-length"] = String(compressed?.byteLength ?? document.size);
  return { body, status: 200, headers };
}

/** A tarball: never with a Content-Encoding, which some clients do not undo. By content, so it may be kept for ever. */
export async function sendTarball(c: Context, { size, stream }: TarballBody): Promise<Response> {
  const isHead = c.req.raw.method === "HEAD";
  // Nobody will read it: what is behind it must still be closed. A cancelled stream makes no body.
  if (isHead) await stream.cancel();
  const headers = {
    "content-type": "application/octet-stream",
    "content-length": String(size),
    "cache-control": "public, immutable, max-age=31536000",
  };
  return isHead ? c.body(null, 200, headers) : c.body(stream, 200, headers);
}

/** @param subject the package that the request was for; null: it names none */
export function sendError(c: Context, error: ImprintError, subject: PublicName | null): Response {
  const status = error.httpStatus;
  // Clients print this one line, if anything.
  const next = subject === null || WITH_OWN_WORDS.has(error.code) ? "" : `; run: imprint why ${subject}`;
  const text = clean(`${subject === null ? "" : `${subject}: `}${error.message} (${error.code})${next}`);
  const headers: Record<string, string> = { "cache-control": "no-store" };
  if (status === 503) headers["retry-after"] = "1";
  return c.json({ error: text, code: error.code }, status, headers);
}

/** Their message names the command. */
const WITH_OWN_WORDS: ReadonlySet<string> = new Set(["WRONG_ADDRESS"]);

function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.trim() === "*" || header.split(",").some((candidate) => candidate.trim().replace(/^W\//, "") === etag);
}

function accepts(header: string | undefined, coding: string): boolean {
  return (header ?? "").split(",").some((part) => {
    const [name = "", ...parameters] = part.trim().toLowerCase().split(";");
    return name.trim() === coding && !parameters.some((parameter) => /^\s*q=0(\.0*)?\s*$/.test(parameter));
  });
}
