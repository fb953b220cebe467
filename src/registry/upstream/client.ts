/**
 * The one door to the public registry: npm's own fetcher, with the user's own npm settings (registry, credentials bound
 * to their host, proxies, certificates), its retries and its disk cache.
 *
 * It sees only names that no index claims: the resolver has decided that before it comes here.
 */
import { PassThrough, type Readable } from "node:stream";
import { ImprintError } from "../../errors.ts";

export type UpstreamSettings = {
  /** With a final slash. */
  readonly registry: string;
  /** npm's flat options: auth, proxies, certificates, timeouts. */
  readonly options: Readonly<Record<string, unknown>>;
};

export type UpstreamResponse = {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  /** Node stream; with `integrity` it fails at its end where the bytes are others. */
  readonly body: Readable;
};

export type UpstreamClient = {
  readonly registry: () => Promise<string>;
  /** @throws ImprintError NOT_FOUND (404), DENIED (401, 403), TARBALL_MISMATCH (other bytes than `integrity`), UPSTREAM_FAILED */
  get(
    pathOrUrl: string,
    request: { readonly accept: string; readonly integrity?: string; readonly what: string },
  ): Promise<UpstreamResponse>;
};

/** Milliseconds; npm's own defaults of minutes would outlast every client's patience. */
const TIMEOUT_MS = 60_000;

/** @param settings read when the first request comes: loading npm's configuration takes a tenth of a second */
export function openUpstreamClient(settings: () => Promise<UpstreamSettings>, cacheFolder: string): UpstreamClient {
  let loaded: Promise<UpstreamSettings> | null = null;
  const load = (): Promise<UpstreamSettings> => (loaded ??= settings());
  return {
    registry: async () => (await load()).registry,
    async get(pathOrUrl, { accept, integrity, what }) {
      const { registry, options } = await load();
      const { default: npmFetch } = await import("npm-registry-fetch");
      const abort = new AbortController();
      try {
        const response = await npmFetch(pathOrUrl, {
          timeout: TIMEOUT_MS,
          fetchRetries: 2,
          ...options,
          registry,
          cache: cacheFolder,
          headers: { accept },
          signal: abort.signal,
          ...(integrity === undefined ? {} : { integrity }),
        } as Parameters<typeof npmFetch>[1]);
        return { status: response.status, headers: response.headers, body: nodeStream(response.body, () => abort.abort()) };
      } catch (error) {
        throw upstreamError(error, what, registry);
      }
    },
  };
}

export function upstreamError(error: unknown, what: string, registry: string): ImprintError {
  const status = typeof error === "object" && error !== null && "statusCode" in error ? error.statusCode : undefined;
  const host = new URL(registry).host;
  if (status === 404) return new ImprintError("NOT_FOUND", `Cannot find ${what}: the registry ${host} does not have it`, { cause: error });
  if (status === 401 || status === 403)
    return new ImprintError("DENIED", `Cannot fetch ${what}: the registry ${host} refused (${status})`, { cause: error });
  if (isIntegrityError(error))
    return new ImprintError("TARBALL_MISMATCH", `Cannot fetch ${what}: it is not what the registry's integrity says`, { cause: error });
  const reason =
    typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
      ? error.code
      : typeof status === "number"
        ? String(status)
        : "no answer";
  return new ImprintError("UPSTREAM_FAILED", `Cannot fetch ${what}: the registry ${host} failed (${reason})`, { cause: error });
}

function isIntegrityError(error: unknown): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === "EINTEGRITY";
}

/** npm's fetcher hands out its own kind of stream, whose iterator leaks listeners; a Node stream has its errors too. */
function nodeStream(body: NodeJS.ReadableStream | null, giveUp: () => void): Readable {
  const through = new PassThrough();
  if (body === null) return through.end();
  body.on("error", (error: Error) => through.destroy(error));
  // Whoever leaves early ends the download, too: it would hold a connection, and fill the cache for nobody.
  through.once("close", () => {
    if (!through.readableEnded) giveUp();
  });
  body.pipe(through);
  return through;
}
