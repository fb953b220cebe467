/**
 * The one door to the public registry: with the user's own npm settings (registry, credentials, proxies, certificates)
 * through npm's own agents, with deadlines, retries and judged redirects of our own.
 *
 * It sees only names that no index claims: the resolver has decided that before it comes here. Nothing is cached here.
 * Credentials go to the registry's own origin and nowhere else, whatever redirects and packuments say.
 */
import { LIMITS } from "../../format/limits.ts";
import { setMaxListeners } from "node:events";
import type { IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { errnoOf, ImprintError, isImprintError } from "../../errors.ts";
import { isCertificateFault } from "../../storage/connection-fault.ts";
import { guardConnections } from "./connect.ts";
import { requireAllowedPlace, resolveBySystem, type ResolveHost } from "./places.ts";
import { UPSTREAM_TIMES, type UpstreamTimes } from "./times.ts";
import { answer, type Clock, startClock, type UpstreamResponse } from "./transfer.ts";
import { formatVia, type Via } from "./via.ts";

export type UpstreamSettings = {
  /** With a final slash. */
  readonly registry: string;
  /** npm's flat options: auth, proxies, certificates, retries. */
  readonly options: Readonly<Record<string, unknown>>;
};

export type UpstreamRequest = {
  /** For messages: a name, or a file. */
  readonly what: string;
  readonly accept: string;
  readonly ifNoneMatch?: string | null;
  /** Bytes of a JSON document: a POST. */
  readonly body?: Uint8Array;
  /** How long it may take altogether; `documentMs` of the times unless given. */
  readonly totalMs?: number;
  readonly via?: Via | undefined;
  readonly signal?: AbortSignal;
  /** Statuses that mean NOT_FOUND here, besides 404 and 410. */
  readonly absent?: readonly number[];
};

export type UpstreamClient = {
  readonly registry: () => Promise<string>;
  /**
   * @param pathOrUrl `/is-odd` below the registry, or an address that upstream named
   * @throws ImprintError NOT_FOUND (404, 410), DENIED (401, 403, 451), LOOP_DETECTED (508), INVALID_URL, OFFLINE, UPSTREAM_FAILED
   */
  get(pathOrUrl: string, request: UpstreamRequest): Promise<UpstreamResponse>;
  /** Whether nobody answered at all a moment ago. */
  readonly isDead: () => boolean;
  /** Ends whatever is still on its way: nobody is there to take it. */
  close(): void;
};

export type ClientOptions = {
  /** Read when the first request comes: loading npm's configuration takes a tenth of a second. */
  readonly settings: () => Promise<UpstreamSettings>;
  /** 16 hex digits that name this resolver to others. */
  readonly instance: string;
  readonly times?: UpstreamTimes;
  readonly resolveHost?: ResolveHost;
  /** Nobody is asked; what is kept serves, as if nobody answered. */
  readonly offline?: boolean;
};

const MAX_REDIRECTS = LIMITS.upstreamRedirects;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const RETRIES = 2;

export function openUpstreamClient(options: ClientOptions): UpstreamClient {
  const times = options.times ?? UPSTREAM_TIMES;
  let loaded: Promise<UpstreamSettings> | null = null;
  // Settings that could not be read are read again: somebody may have mended them.
  const load = (): Promise<UpstreamSettings> =>
    (loaded ??= options.settings().catch((error: unknown) => {
      loaded = null;
      throw error;
    }));
  let deadAt = -Infinity;
  const closing = new AbortController();
  setMaxListeners(0, closing.signal); // one for each request on its way

  const once = async (url: URL, settings: UpstreamSettings, request: UpstreamRequest, clock: Clock): Promise<Attempt> => {
    const { registry } = settings;
    const rules = { registry: new URL(registry), resolveHost: options.resolveHost ?? resolveBySystem };
    let at = url;
    // What another host composed carries nothing of ours, wherever it leads (THREATS I1).
    let isOwn = true;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      await requireAllowedPlace(at, request.what, { ...rules, throughProxy: proxyFor(at, settings.options) !== undefined });
      isOwn &&= at.origin === rules.registry.origin;
      const response = await send(at, isOwn, settings, request, options.instance, times, clock);
      deadAt = -Infinity;
      const status = response.statusCode ?? 0;
      const { location } = response.headers;
      if (!REDIRECTS.has(status) || location === undefined) return { status, response };
      response.destroy();
      // What was asked by POST is not asked again elsewhere.
      if (request.body !== undefined || !URL.canParse(location, at.href)) return { status, response };
      at = new URL(location, at);
    }
    throw failed(request.what, registry, `more than ${MAX_REDIRECTS} redirects`);
  };

  return {
    registry: async () => (await load()).registry,
    isDead: () => options.offline === true || performance.now() - deadAt < times.deadMs,
    close: () => closing.abort(),
    async get(pathOrUrl, request) {
      if (options.offline === true)
        throw new ImprintError("OFFLINE", `Cannot fetch ${request.what} offline: what was kept of the public registry has it not`);
      const settings = await load();
      const signal = request.signal === undefined ? closing.signal : AbortSignal.any([closing.signal, request.signal]);
      const { registry } = settings;
      const url = new URL(/^[a-z][a-z0-9+.-]*:/i.test(pathOrUrl) ? pathOrUrl : `${registry}${pathOrUrl.replace(/^\//, "")}`);
      const retries = typeof settings.options["fetchRetries"] === "number" ? settings.options["fetchRetries"] : RETRIES;
      const begun = performance.now();
      for (let tries = 0; ; tries++) {
        const clock = startClock(request.totalMs ?? times.documentMs, times.idleMs, signal);
        let fault: ImprintError;
        let retryAfterMs: number | null = null;
        try {
          const { status, response } = await once(url, settings, request, clock);
          if (status === 200 || status === 304)
            return answer(status, response, clock, (state, cause) => failed(request.what, registry, state, cause));
          retryAfterMs = retryAfterOf(response);
          response.destroy();
          fault = statusError(request.absent?.includes(status) === true ? 404 : status, request.what, registry);
          if (status < 500 && status !== 429 && status !== 408) throw fault;
          if (fault.code !== "UPSTREAM_FAILED") throw fault;
          clock.stop();
        } catch (error) {
          clock.stop();
          if (isImprintError(error)) throw error;
          const code = errnoOf(error);
          fault = failed(request.what, registry, clock.reason() ?? (code === undefined ? "no answer" : wordsFor(code)), error);
          // Neither mends itself within seconds.
          if (signal.aborted || (code !== undefined && isCertificateFault(code))) throw fault;
          deadAt = performance.now();
        }
        const wait = Math.min(times.maxWaitMs, Math.max(times.firstWaitMs * 4 ** tries, retryAfterMs ?? 0));
        if (tries >= retries || performance.now() - begun + wait > times.patienceMs) throw fault;
        await delay(wait, undefined, { signal }).catch((cause: unknown) => {
          throw failed(request.what, registry, "nobody waits for it any more", cause);
        });
      }
    },
  };
}

type Attempt = { readonly status: number; readonly response: IncomingMessage };

async function send(
  url: URL,
  /** Whether it takes the registry's credentials along. */
  isOwn: boolean,
  { registry, options }: UpstreamSettings,
  request: UpstreamRequest,
  instance: string,
  times: UpstreamTimes,
  clock: Clock,
): Promise<IncomingMessage> {
  const [{ getAgent }, { default: npmFetch }] = await Promise.all([import("@npmcli/agent"), import("npm-registry-fetch")]);
  const { getAuth } = npmFetch as unknown as { readonly getAuth: (url: string, options: unknown) => Auth };
  const auth = isOwn ? getAuth(url.href, { ...options, registry }) : NO_AUTH;
  const headers: Record<string, string> = {
    accept: request.accept,
    "accept-encoding": request.accept === "*/*" ? "identity" : "gzip, br",
    "user-agent": typeof options["userAgent"] === "string" ? options["userAgent"] : "imprint",
    via: formatVia([...(request.via ?? []), instance]),
  };
  if (auth.token) headers["authorization"] = `Bearer ${auth.token}`;
  else if (auth.auth) headers["authorization"] = `Basic ${auth.auth}`;
  if (request.ifNoneMatch) headers["if-none-match"] = request.ifNoneMatch;
  if (request.body !== undefined) {
    headers["content-type"] = "application/json";
    headers["content-length"] = String(request.body.byteLength);
  }
  const plain = getAgent(url, {
    ca: options["ca"],
    cert: isOwn ? (auth.cert ?? options["cert"]) : undefined,
    key: isOwn ? (auth.key ?? options["key"]) : undefined,
    rejectUnauthorized: options["strictSSL"] !== false,
    localAddress: options["localAddress"],
    maxSockets: options["maxSockets"],
    proxy: proxyFor(url, options),
    noProxy: options["noProxy"],
    timeouts: { connection: times.connectMs },
  });
  const agent = guardConnections(plain, times.connectMs);
  const { request: open } = url.protocol === "https:" ? await import("node:https") : await import("node:http");
  return new Promise((resolve, reject) => {
    const sent = open(url, { agent, headers, method: request.body === undefined ? "GET" : "POST", signal: clock.signal });
    sent.once("error", reject);
    sent.once("response", (response) => {
      clock.touch();
      // Errors of the body reach whoever reads it; one that nobody reads must not end the process.
      response.on("error", () => undefined);
      resolve(response);
    });
    sent.end(request.body);
  });
}

type Auth = { readonly token: string | null; readonly auth: string | null; readonly cert: string | null; readonly key: string | null };
const NO_AUTH: Auth = { token: null, auth: null, cert: null, key: null };

/** The proxy of npm's settings for a URL; the environment's are filled in where they are loaded. */
function proxyFor(url: URL, options: Readonly<Record<string, unknown>>): string | undefined {
  const names = url.protocol === "https:" ? ["httpsProxy", "proxy"] : ["proxy", "httpsProxy"];
  return names.map((name) => options[name]).find((value): value is string => typeof value === "string" && value !== "");
}

function wordsFor(code: string): string {
  return isCertificateFault(code) ? `${code}; an authority of your own goes into cafile in .npmrc, or NODE_EXTRA_CA_CERTS` : code;
}

/** Milliseconds that upstream asks for, in seconds or as a date. */
function retryAfterOf(response: IncomingMessage): number | null {
  const header = response.headers["retry-after"];
  if (header === undefined) return null;
  const ms = /^[0-9]{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}

function failed(what: string, registry: string, state: string, cause?: unknown): ImprintError {
  return new ImprintError("UPSTREAM_FAILED", `Cannot fetch ${what}: the registry ${new URL(registry).host} failed (${state})`, { cause });
}

function statusError(status: number, what: string, registry: string, cause?: unknown): ImprintError {
  const { host } = new URL(registry);
  if (status === 404 || status === 410)
    return new ImprintError("NOT_FOUND", `Cannot find ${what}: the registry ${host} does not have it`, { cause });
  if (status === 401 || status === 403 || status === 451)
    return new ImprintError("DENIED", `Cannot fetch ${what}: the registry ${host} refused (${status})`, { cause });
  if (status === 508)
    return new ImprintError("LOOP_DETECTED", `Cannot fetch ${what}: the registry ${host} is a resolver that asks this one again`, {
      cause,
    });
  return failed(what, registry, String(status), cause);
}

/** What npm's own fetcher throws, as our errors. */
export function upstreamError(error: unknown, what: string, registry: string): ImprintError {
  const status = typeof error === "object" && error !== null && "statusCode" in error ? error.statusCode : undefined;
  const code = errnoOf(error);
  if (code === "EINTEGRITY")
    return new ImprintError("TARBALL_MISMATCH", `Cannot fetch ${what}: it is not what the registry's integrity says`, { cause: error });
  if (code === "ENOTCACHED")
    return new ImprintError("OFFLINE", `Cannot fetch ${what} offline: what was kept of the public registry has it not`, { cause: error });
  if (typeof status === "number" && [401, 403, 404, 410, 451, 508].includes(status)) return statusError(status, what, registry, error);
  return failed(what, registry, code ?? (typeof status === "number" ? String(status) : "no answer"), error);
}
