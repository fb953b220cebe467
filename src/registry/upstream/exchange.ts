/**
 * The requests of npm's own parts (arborist, pacote), made ours: `import` asks a registry nothing that does not pass here.
 *
 * Npm's fetcher follows redirects to anywhere, and reads whatever comes until memory or disk is full (THREATS I1, I2). It
 * takes an agent, though, and an agent decides what a connection is. Each connection of this one ends in an HTTP server
 * that listens nowhere, in this process; that answers with what `client.ts` fetched, the module behind `serve`: the same
 * judgement of every hop, the same credentials for the registry's own origin alone, the same proxies, certificates,
 * deadlines and retries. So npm's parts believe that they talk to the registry, and no address that a packument, a
 * shrinkwrap or a redirect names is asked before it was judged.
 *
 *     arborist ── GET https://registry/a ─▶ agent ─▶ server in this process ─▶ client.ts ─▶ registry
 *
 * What ends one request for good (a refused address, a limit, a registry that fails) ends the import: `during` throws it
 * at once, and requests that npm's parts go on to make are never answered, so that nothing works on behind the error.
 */
import { randomBytes } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { Agent, type ClientRequest, createServer, type IncomingMessage, type ServerResponse } from "node:http";
import path from "node:path";
import { type Duplex, duplexPair, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { LIMITS } from "../../format/limits.ts";
import { clean } from "../../format/text.ts";
import { ImprintError, isImprintError } from "../../errors.ts";
import { openUpstreamClient, type UpstreamClient, type UpstreamSettings } from "./client.ts";
import { createDocumentMeter, type DocumentMeter } from "./document-meter.ts";

export type ExchangeLimits = {
  /** Names that may be asked for. */
  readonly maxPackages: number;
  /** Bytes of one document. */
  readonly maxDocumentBytes: number;
  /** Values in one: what a small document of empty objects grows to when it is parsed. */
  readonly maxDocumentValues: number;
  /** Bytes of one tarball. */
  readonly maxTarballBytes: number;
  /** Bytes of everything. */
  readonly maxBytes: number;
};

export const EXCHANGE_LIMITS: ExchangeLimits = {
  maxPackages: LIMITS.importPackages,
  maxDocumentBytes: LIMITS.importDocumentBytes,
  maxDocumentValues: LIMITS.importDocumentValues,
  maxTarballBytes: LIMITS.packageBytes,
  maxBytes: LIMITS.importBytes,
};

export type Exchange = {
  /** For npm's parts. */
  readonly agent: Agent;
  /** Bytes that the last document at an address had; undefined: none came. */
  sizeOf(address: string): number | undefined;
  /**
   * Downloads a tarball that the import itself wants.
   *
   * @throws ImprintError IMPORT_REFUSED (too large), UPSTREAM_FAILED, INVALID_URL, …
   */
  download(address: string, file: string, request: TarballRequest): Promise<void>;
  /** The work's result, or at once the error that ends the import. */
  during<T>(work: Promise<T>): Promise<T>;
  /** Ends the import with an error of the caller's. */
  end(error: ImprintError): void;
  close(): void;
};

export type TarballRequest = {
  readonly what: string;
  readonly maxBytes: number;
  /** Milliseconds for all of it. */
  readonly totalMs: number;
  readonly signal: AbortSignal;
  readonly onChunk: (chunk: Uint8Array) => void;
};

export type ExchangeOptions = {
  /** An empty folder of the caller's: tarballs that the resolver opens lie there for as long as it reads them. */
  readonly folder: string;
  readonly limits?: Partial<ExchangeLimits>;
  /** Refuses a tarball before the resolver unpacks it. @throws ImprintError */
  readonly checkTarball: (file: string, what: string) => Promise<void>;
  /** Called with the number of names that were asked for so far. */
  readonly onPackages?: (count: number) => void;
};

/** The address that npm's parts asked for, in a header that goes no further than this process. */
const ADDRESS = "imprint-address";
const AT_ONCE = 8;
const ENDED = new Set(["NOT_FOUND", "DENIED"]);
/** A registry without keys says so by either. */
const NO_KEYS = { path: "-/npm/v1/keys", statuses: [400] };

export function openExchange(settings: UpstreamSettings, options: ExchangeOptions): Exchange {
  const limits = { ...EXCHANGE_LIMITS, ...options.limits };
  const clients = new Map<string, UpstreamClient>();
  const instance = randomBytes(8).toString("hex");
  const registries = registriesOf(settings);
  const offline = settings.options["offline"] === true;
  const names = new Set<string>();
  const etags = new Map<string, string>();
  const sizes = new Map<string, number>();
  const meter = createDocumentMeter(limits);
  let received = 0;
  let opened = 0;
  let fault: ImprintError | null = null;
  let onFault: (error: ImprintError) => void = () => undefined;
  const faulted = new Promise<never>((_, reject) => (onFault = reject));
  faulted.catch(() => undefined); // whoever works meanwhile hears of it
  const end = (error: ImprintError): void => {
    fault ??= error;
    onFault(fault);
  };

  const clientFor = (address: string): UpstreamClient => {
    const registry = registries.find((one) => address.startsWith(one)) ?? settings.registry;
    const client = clients.get(registry) ?? openUpstreamClient({ settings: async () => ({ ...settings, registry }), instance, offline });
    clients.set(registry, client);
    return client;
  };

  const count = (bytes: number): void => {
    received += bytes;
    if (received > limits.maxBytes)
      throw refused("everything together", `more than ${String(limits.maxBytes)} bytes came; import it in parts`);
  };

  const giveDocument = async (request: IncomingMessage, response: ServerResponse, ask: Ask): Promise<void> => {
    const { address, what } = ask;
    if (request.headers["pacote-req-type"] === "packument" && !names.has(address)) {
      names.add(address);
      if (names.size > limits.maxPackages)
        throw refused(what, `it and its dependencies are more than ${String(limits.maxPackages)} packages; --max-packages allows more`);
      options.onPackages?.(names.size);
    }
    const accept = request.headers.accept ?? "application/json";
    const known = request.headers["if-none-match"] ?? null;
    // What was asked in this import was asked for all of it.
    if (known !== null && etags.get(`${accept} ${address}`) === known) return void response.writeHead(304, { etag: known }).end();
    const absent = new URL(address).pathname.endsWith(NO_KEYS.path) ? NO_KEYS.statuses : [];
    const answer = await clientFor(address).get(address, { what, accept, ifNoneMatch: known, absent, signal: ask.signal });
    if (answer.etag !== null) etags.set(`${accept} ${address}`, answer.etag);
    const headers = {
      ...(answer.etag === null ? {} : { etag: answer.etag }),
      "cache-control": `max-age=${String(Math.floor((answer.freshMs ?? 0) / 1000))}`,
    };
    if (answer.status === 304) return void response.writeHead(304, headers).end();
    response.writeHead(200, { ...headers, "content-type": "application/json" });
    sizes.set(address, await give(answer.body, response, meter, { what, count }));
  };

  const download = async (address: string, file: string, { what, maxBytes, totalMs, signal, onChunk }: TarballRequest): Promise<void> => {
    const { body } = await clientFor(address).get(address, { what, accept: "*/*", totalMs, signal });
    const limited = async function* (): AsyncGenerator<Uint8Array> {
      let size = 0;
      for await (const chunk of body) {
        size += chunk.byteLength;
        count(chunk.byteLength);
        if (size > maxBytes) throw refused(what, `its tarball is larger than ${String(maxBytes)} bytes`);
        onChunk(chunk);
        yield chunk;
      }
    };
    await pipeline(limited(), createWriteStream(file, { mode: 0o600 }));
  };

  /** What npm's resolver opens, for what it bundles or shrinkwraps. */
  const giveTarball = async (_: IncomingMessage, response: ServerResponse, { address, what, signal }: Ask): Promise<void> => {
    const file = path.join(options.folder, `opened-${String(opened++)}.tgz`);
    try {
      const request = { what, maxBytes: limits.maxTarballBytes, totalMs: LIMITS.tarballMs, signal, onChunk: () => undefined };
      await download(address, file, request);
      await options.checkTarball(file, what);
      response.writeHead(200, { "content-type": "application/octet-stream" });
      await pipeline(createReadStream(file), response);
    } finally {
      await rm(file, { force: true });
    }
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const leaving = new AbortController();
    response.once("close", () => leaving.abort());
    try {
      const ask = { ...askOf(request), signal: leaving.signal };
      await (request.headers["pacote-req-type"] === "tarball" ? giveTarball : giveDocument)(request, response, ask);
    } catch (error) {
      if (isImprintError(error) && ENDED.has(error.code) && !response.headersSent)
        return void response.writeHead(error.httpStatus, { "content-type": "application/json" }).end("{}");
      // Whoever asked may have left, and knows why; a request that failed for it says no more than that.
      const isLeft = leaving.signal.aborted && !(isImprintError(error) && error.code !== "UPSTREAM_FAILED");
      if (!isLeft) end(isImprintError(error) ? error : refused("it", "a request of npm's resolver failed here", error));
      response.destroy();
    }
  };

  const server = createServer((request, response) => void handle(request, response));
  const agent = new ExchangeAgent(server, () => fault !== null);
  return {
    agent,
    download,
    sizeOf: (address) => sizes.get(address),
    during: async (work) => {
      work.catch(() => undefined); // what it fails of afterwards follows from the fault
      return Promise.race([faulted, work]).catch((error: unknown) => Promise.reject(fault ?? error));
    },
    end,
    close() {
      for (const client of clients.values()) client.close();
      agent.destroy();
      server.closeAllConnections();
    },
  };
}

type Ask = { readonly address: string; readonly what: string; readonly signal: AbortSignal };

function refused(what: string, state: string, cause?: unknown): ImprintError {
  return new ImprintError("IMPORT_REFUSED", `Cannot import ${what}: ${state}`, { cause });
}

/** The user's registries, those of scopes among them, the longest address first. */
function registriesOf({ registry, options }: UpstreamSettings): readonly string[] {
  const scoped = Object.entries(options).flatMap(([name, value]) =>
    /^@[^/]+:registry$/u.test(name) && typeof value === "string" && URL.canParse(value) ? [new URL(value).href.replace(/\/*$/u, "/")] : [],
  );
  return [...new Set([registry, ...scoped])].toSorted((a, b) => b.length - a.length);
}

function askOf(request: IncomingMessage): Omit<Ask, "signal"> {
  const address = request.headers[ADDRESS];
  if (request.method !== "GET" || typeof address !== "string" || !URL.canParse(address))
    throw new ImprintError("IMPORT_REFUSED", `Cannot import: npm's resolver made a request that is none (${String(request.method)})`);
  const of = request.headers["pacote-pkg-id"];
  const named = typeof of === "string" ? of.replace(/^[a-z]+:/u, "") : new URL(address).pathname;
  return { address, what: clean(named).slice(0, 214) };
}

/** Passes a document on as it comes; returns what it weighs. */
async function give(
  body: AsyncIterable<Uint8Array>,
  response: ServerResponse,
  meter: DocumentMeter,
  { what, count }: { readonly what: string; readonly count: (bytes: number) => void },
): Promise<number> {
  const document = meter.open(what);
  try {
    await pipeline(
      Readable.from(body, { objectMode: true }),
      async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          count(chunk.byteLength);
          await document.add(chunk);
          yield chunk;
        }
      },
      response,
    );
    return document.weight();
  } finally {
    document.close();
  }
}

/** What a connection of Node's HTTP client is asked to do and a stream between two ends cannot. */
function asConnection(end: Duplex): Duplex {
  const self = (): Duplex => end;
  return Object.assign(end, { setTimeout: self, setNoDelay: self, setKeepAlive: self, ref: self, unref: self });
}

class ExchangeAgent extends Agent {
  readonly #server: ReturnType<typeof createServer>;
  readonly #isEnded: () => boolean;

  constructor(server: ReturnType<typeof createServer>, isEnded: () => boolean) {
    super({ keepAlive: false, maxSockets: AT_ONCE, maxTotalSockets: AT_ONCE });
    this.#server = server;
    this.#isEnded = isEnded;
    // Node compares it with the request's, and both schemes come here.
    Object.defineProperty(this, "protocol", { value: undefined });
  }

  /** Called by Node for each request, with its headers still open. */
  addRequest(request: ClientRequest, options: object): void {
    if (this.#isEnded()) return; // never answered: whoever waits for it is waited for by nobody
    request.setHeader(ADDRESS, `${request.protocol}//${String(request.getHeader("host"))}${request.path}`);
    addRequestOfNode.call(this, request, options);
  }

  override createConnection(): Duplex {
    const [near, far] = duplexPair();
    // Node tells neither end of the other's.
    near.once("close", () => far.destroy());
    far.once("close", () => near.destroy());
    this.#server.emit("connection", asConnection(far));
    return asConnection(near);
  }
}

/** Node's own, which its documentation leaves out and its agents, npm's among them, override. */
const { addRequest: addRequestOfNode } = Agent.prototype as unknown as {
  readonly addRequest: (this: Agent, request: ClientRequest, options: object) => void;
};
