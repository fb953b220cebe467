/**
 * Upstream's documents: asked for once by many, kept in memory and on disk, revalidated, and given stale where upstream
 * is down, slow or talks nonsense. A definite no (404, 401, 403) is never overruled: what was kept goes with it.
 */
import { LIMITS } from "../../format/limits.ts";
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { LRUCache } from "lru-cache";
import { ImprintError, isImprintError } from "../../errors.ts";
import { documentBytes, type ReadyDocument } from "../document.ts";
import type { UpstreamClient } from "./client.ts";
import type { DocumentCache } from "./document-cache.ts";
import type { UpstreamTimes } from "./times.ts";
import type { Via } from "./via.ts";

/** What is asked for, and how an answer is known to be one. */
export type DocumentRequest<Facts> = {
  /** Unique among requests to one registry. */
  readonly key: string;
  readonly path: string;
  readonly accept: string;
  readonly what: string;
  /** What is needed of it again and again. @throws ImprintError UPSTREAM_FAILED where the text is no such document */
  readonly read: (text: string) => Facts;
  /** Facts as JSON without line breaks, and back. */
  readonly format: (facts: Facts) => string;
  readonly parse: (facts: string) => Facts;
};

export type Held<Facts> = {
  readonly zipped: Uint8Array;
  readonly digest: string;
  readonly etag: string | null;
  readonly checkedAt: number;
  /** As upstream said it; null: it did not. */
  readonly freshMs: number | null;
  readonly facts: Facts;
  /** Answers made of it, by whom they are for: bytes that are ready to be sent. */
  readonly ready: Map<string, ReadyDocument>;
};

export type Documents<Facts> = {
  /** @throws ImprintError NOT_FOUND, DENIED, LOOP_DETECTED, UPSTREAM_FAILED */
  get(request: DocumentRequest<Facts>, via: Via | undefined): Promise<Held<Facts>>;
  /** What is in memory, of any age. */
  held(request: DocumentRequest<Facts>): Held<Facts> | null;
  /** What is here, of any age, without asking anybody. */
  peek(request: DocumentRequest<Facts>): Promise<Held<Facts> | null>;
  /** Until when it is given without asking, in Unix milliseconds. */
  freshUntil(held: Pick<Held<Facts>, "checkedAt" | "freshMs">): number;
  /** Keeps an answer that was made of a document. */
  keepReady(request: DocumentRequest<Facts>, held: Held<Facts>, label: string, document: ReadyDocument): void;
};

/** Largest known packuments are near 40 MB. */
const MAX_DOCUMENT_BYTES = LIMITS.upstreamDocumentBytes;
const MAX_HELD_BYTES = 256 * 1024 * 1024;
const MAX_NEGATIVES = 10_000;
const gunzipAsync = promisify(gunzip);
const gzipAsync = promisify(gzip);

export function createDocuments<Facts>(deps: {
  readonly client: UpstreamClient;
  readonly cache: DocumentCache;
  /** Unix milliseconds. */ readonly nowMs: () => number;
  readonly times: UpstreamTimes;
  /** Bytes of memory that facts take. */ readonly factsBytes: (facts: Facts) => number;
}): Documents<Facts> {
  const { client, cache, nowMs, times, factsBytes } = deps;
  const memory = new LRUCache<string, Held<Facts>>({
    maxSize: MAX_HELD_BYTES,
    sizeCalculation: ({ zipped, facts, ready }) =>
      [...ready.values()].reduce((sum, document) => sum + documentBytes(document), zipped.byteLength + factsBytes(facts) + 256),
  });
  const negatives = new LRUCache<string, { readonly error: ImprintError; readonly at: number }>({ max: MAX_NEGATIVES });
  const flights = new Map<string, Promise<Held<Facts>>>();

  const diskKey = async (request: DocumentRequest<Facts>): Promise<string> => `${await client.registry()} ${request.key}`;

  const peek = async (request: DocumentRequest<Facts>): Promise<Held<Facts> | null> => {
    const held = memory.get(request.key);
    if (held !== undefined) return held;
    const cached = await cache.read(await diskKey(request));
    if (cached === null) return null;
    // Somebody may have asked upstream meanwhile.
    return memory.get(request.key) ?? keep(request.key, { ...cached, facts: request.parse(cached.facts), ready: new Map() });
  };

  const keep = (key: string, held: Held<Facts>): Held<Facts> => {
    memory.set(key, held);
    return held;
  };

  const ask = async (request: DocumentRequest<Facts>, known: Held<Facts> | null, via: Via | undefined): Promise<Held<Facts>> => {
    const { key, path, accept, what, read } = request;
    try {
      const response = await client.get(path, { accept, what, ifNoneMatch: known?.etag ?? null, via });
      if (response.status === 304) {
        if (known === null) throw new ImprintError("UPSTREAM_FAILED", `Cannot read ${what}: the registry says that nothing changed`);
        return keep(key, { ...(memory.get(key) ?? known), checkedAt: nowMs(), freshMs: response.freshMs });
      }
      const text = await readText(response.body, what);
      const digest = digestOf(text);
      const { etag, freshMs } = response;
      const checkedAt = nowMs();
      // The same bytes: what was made of them is still good.
      if (known?.digest === digest) return keep(key, { ...known, etag, checkedAt, freshMs });
      // What is no such document (a login page with status 200) must not push out the last good answer.
      const facts = read(text);
      const zipped = new Uint8Array(await gzipAsync(text, { level: 3 }));
      const next = keep(key, { zipped, digest, etag, checkedAt, freshMs, facts, ready: new Map() });
      await cache.write(await diskKey(request), { ...next, facts: request.format(facts) });
      return next;
    } catch (error) {
      if (isImprintError(error, "NOT_FOUND", "DENIED")) {
        memory.delete(key);
        negatives.set(key, { error, at: nowMs() });
        await cache.remove(await diskKey(request));
      }
      throw error;
    }
  };

  const freshUntil = ({ checkedAt, freshMs }: Pick<Held<Facts>, "checkedAt" | "freshMs">): number =>
    checkedAt + Math.min(times.maxFreshMs, freshMs ?? times.freshMs);

  return {
    freshUntil,
    held: ({ key }) => memory.get(key) ?? null,
    peek,
    async get(request, via) {
      const { key } = request;
      const now = nowMs();
      const isRecent = (at: number, forMs: number): boolean => now >= at && now - at < forMs;
      // From the future, after the clock was set back: not to be believed.
      const isFresh = (one: Held<Facts>): boolean => now >= one.checkedAt && now < freshUntil(one);
      const held = memory.get(key);
      if (held !== undefined && isFresh(held)) return held;
      const negative = negatives.get(key);
      if (negative !== undefined && isRecent(negative.at, times.negativeMs)) throw negative.error;
      const known = held ?? (await peek(request));
      if (known !== null && (isFresh(known) || client.isDead())) return known;
      // A request that came from another resolver never waits for one of ours that may be waiting for that resolver.
      const flightKey = `${key} ${(via ?? []).join(" ")}`;
      let flight = flights.get(flightKey);
      if (flight === undefined) {
        flight = ask(request, known, via).finally(() => flights.delete(flightKey));
        flights.set(flightKey, flight);
      }
      return known === null ? flight : newOrKnown(flight, known, times.staleAfterMs);
    },
    keepReady({ key }, held, label, document) {
      held.ready.set(label, document);
      // Set again so that its size counts, unless something newer took its place.
      if (memory.peek(key)?.ready === held.ready) memory.set(key, memory.peek(key) ?? held);
    },
  };
}

async function newOrKnown<T>(flight: Promise<T>, known: T, waitMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(known), waitMs);
  });
  const settled = flight.catch((error: unknown) => {
    if (isImprintError(error, "UPSTREAM_FAILED")) return known;
    throw error;
  });
  settled.catch(() => undefined); // nobody may be waiting for it any more
  return Promise.race([settled, late]).finally(() => clearTimeout(timer));
}

/** The text of a held document: for the rare requests that need all of it. */
export async function unzip(zipped: Uint8Array): Promise<string> {
  return (await gunzipAsync(zipped, { maxOutputLength: MAX_DOCUMENT_BYTES })).toString("utf8");
}

export async function readText(body: AsyncIterable<Uint8Array>, what: string, maxBytes: number = MAX_DOCUMENT_BYTES): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > maxBytes) throw new ImprintError("UPSTREAM_FAILED", `Cannot read ${what}: the registry sends more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
