/**
 * The public registry as this resolver's last source. Documents are rewritten once per upstream answer and request
 * origin, kept ready to send, and revalidated; while upstream is down the last good one is served.
 */
import type { Readable } from "node:stream";
import { LRUCache } from "lru-cache";
import { ImprintError, isImprintError } from "../../errors.ts";
import { isJsonObject, type JsonObject } from "../../format/json.ts";
import type { PackageName } from "../../format/names.ts";
import { ABBREVIATED_TYPE, documentBytes, type ReadyDocument, readyDocument } from "../document.ts";
import type { TarballBody, Upstream } from "../port.ts";
import type { UpstreamClient } from "./client.ts";
import { findTarball, parseUpstreamPackument, resolveVersion, rewriteTarballs, rewriteVersion } from "./packument.ts";

const FULL_TYPE = "application/json";
/** Largest known packuments are near 40 MB. */
const MAX_PACKUMENT_BYTES = 128 * 1024 * 1024;
const MAX_TARBALL_BYTES = 1024 * 1024 * 1024;
const MAX_HELD_BYTES = 256 * 1024 * 1024;
/** Milliseconds for which an answer is not asked for again. */
const FRESH_MS = 60_000;

type Held = { readonly text: string; readonly at: number; readonly ready: Map<string, ReadyDocument> };

export function createUpstream(client: UpstreamClient, nowMs: () => number): Upstream {
  const held = new LRUCache<string, Held>({
    maxSize: MAX_HELD_BYTES,
    sizeCalculation: ({ text, ready }) => text.length + [...ready.values()].reduce((sum, document) => sum + documentBytes(document), 1),
  });
  const flights = new Map<string, Promise<Held>>();

  const fetchText = async (key: string, name: PackageName, accept: string): Promise<Held> => {
    const before = held.get(key);
    try {
      const { body } = await client.get(`/${name.replace("/", "%2f")}`, { accept, what: name });
      const text = await readText(body, name);
      // What is no packument (a login page with status 200) must not push out the last good answer.
      if (before?.text !== text) parseUpstreamPackument(text, name);
      // The same bytes: what was made of them is still good.
      const next: Held = { text, at: nowMs(), ready: before?.text === text ? before.ready : new Map() };
      held.set(key, next);
      return next;
    } catch (error) {
      // Stale while upstream is down; a definite no (404, 403) is never overruled.
      if (before !== undefined && isImprintError(error, "UPSTREAM_FAILED")) return before;
      throw error;
    }
  };

  const hold = async (name: PackageName, abbreviated: boolean): Promise<Held> => {
    const key = `${abbreviated ? "a" : "f"} ${name}`;
    const known = held.get(key);
    if (known !== undefined && nowMs() - known.at < FRESH_MS) return known;
    let flight = flights.get(key);
    if (flight === undefined) {
      const accept = abbreviated ? `${ABBREVIATED_TYPE}; q=1.0, ${FULL_TYPE}; q=0.8` : FULL_TYPE;
      flight = fetchText(key, name, accept).finally(() => flights.delete(key));
      flights.set(key, flight);
    }
    return flight;
  };

  const parsed = async (name: PackageName): Promise<JsonObject> => parseUpstreamPackument((await hold(name, false)).text, name);

  return {
    registry: client.registry,
    async packument(name, abbreviated, base) {
      const source = await hold(name, abbreviated);
      let document = source.ready.get(base);
      if (document === undefined) {
        const rewritten = rewriteTarballs(parseUpstreamPackument(source.text, name), name, base);
        document = await readyDocument(JSON.stringify(rewritten), abbreviated ? ABBREVIATED_TYPE : FULL_TYPE);
        source.ready.set(base, document);
      }
      return document;
    },
    async version(name, versionOrTag, base) {
      const manifest = resolveVersion(await parsed(name), versionOrTag);
      if (manifest === null)
        throw new ImprintError("NOT_FOUND", `Cannot find ${name}@${versionOrTag}: the public registry does not have it`);
      const version = isJsonObject(manifest) && typeof manifest["version"] === "string" ? manifest["version"] : versionOrTag;
      return readyDocument(JSON.stringify(rewriteVersion(manifest, name, version, base)));
    },
    async distTags(name) {
      return readyDocument(JSON.stringify((await parsed(name))["dist-tags"] ?? {}));
    },
    async tarball(name, file) {
      const found = await findTarball(parseUpstreamPackument((await hold(name, true)).text, name), name, file);
      if (found === null) throw new ImprintError("NOT_FOUND", `Cannot find ${file} of ${name}: the public registry lists no such tarball`);
      const response = await client.get(found.url, { accept: "*/*", integrity: found.integrity, what: file });
      // The length of a compressed answer is not that of what comes out of it.
      const contentLength = response.headers.get("content-encoding") === null ? response.headers.get("content-length") : null;
      return tarballBody(response.body, contentLength, file);
    },
  };
}

async function readText(body: Readable, name: PackageName): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.byteLength;
      if (size > MAX_PACKUMENT_BYTES)
        throw new ImprintError("UPSTREAM_FAILED", `Cannot read ${name}: the registry sends more than ${MAX_PACKUMENT_BYTES} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (isImprintError(error)) throw error;
    throw new ImprintError("UPSTREAM_FAILED", `Cannot read ${name}: the registry broke off`, { cause: error });
  }
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * A tarball as a stream that ends well only if its integrity is right: the last piece is held back until npm's fetcher
 * has compared the hash, so a client never has a whole download that was not checked.
 */
async function tarballBody(body: Readable, contentLength: string | null, file: string): Promise<TarballBody> {
  const size = contentLength !== null && /^[0-9]{1,12}$/.test(contentLength) ? Number(contentLength) : null;
  if (size !== null && size > MAX_TARBALL_BYTES) {
    body.destroy();
    throw new ImprintError("UPSTREAM_FAILED", `Cannot fetch ${file}: ${size} bytes`);
  }
  const checked = holdLast(body, file);
  if (size !== null) return { size, stream: streamOf(checked, body) };
  // Clients need a Content-Length; without one from upstream, it has to be counted.
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of checked) {
    total += chunk.byteLength;
    if (total > MAX_TARBALL_BYTES) throw new ImprintError("UPSTREAM_FAILED", `Cannot fetch ${file}: more than ${MAX_TARBALL_BYTES} bytes`);
    chunks.push(chunk);
  }
  return { size: total, stream: ReadableStream.from(chunks) as ReadableStream<Uint8Array> };
}

/** Given up before its first byte (HEAD, a client that leaves), the download behind it ends, too. */
function streamOf(chunks: AsyncGenerator<Uint8Array>, body: Readable): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    cancel() {
      body.destroy();
    },
  });
}

async function* holdLast(body: Readable, file: string): AsyncGenerator<Uint8Array> {
  let last: Uint8Array | null = null;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (last !== null) yield last;
      last = new Uint8Array(chunk);
    }
  } catch (error) {
    throw new ImprintError("TARBALL_MISMATCH", `Cannot serve ${file}: it broke off, or is not what the registry's integrity says`, {
      cause: error,
    });
  }
  if (last !== null) yield last;
}
