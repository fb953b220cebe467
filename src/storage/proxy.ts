/**
 * The proxy that stands between this machine and the world, as the environment names it for every program: HTTPS_PROXY or
 * ALL_PROXY, and NO_PROXY for what is reached without. (Git on the PATH reads the same, and its own configuration; for the public
 * registry npm's settings come first.)
 */
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { ImprintError } from "../errors.ts";
import { hostOf, isLoopback } from "./addresses.ts";

/** The part of the web's `fetch` that is used here, so that a request through a proxy can stand for it. */
export type Fetch = (
  url: URL,
  init: {
    readonly headers: Headers | Readonly<Record<string, string>>;
    /** Redirects are for whoever asks. */
    readonly redirect: "manual";
    readonly signal: AbortSignal;
    readonly method?: string;
    readonly body?: Uint8Array<ArrayBuffer> | null;
  },
) => Promise<Response>;

export type Network = {
  readonly fetch: Fetch;
  /** Whether a proxy is asked for it: names may then be known to that alone. */
  readonly isProxied: (url: URL) => boolean;
};

/** Answers that have no body, whatever a host sends. */
const NO_BODY = new Set([204, 205, 304]);

/** The first of these variables that says something, in lower case before upper case, as curl and git have it. */
export function proxySetting(env: NodeJS.ProcessEnv, ...names: readonly string[]): string | undefined {
  return names.flatMap((name) => [env[name], env[name.toUpperCase()]]).find((value) => value !== undefined && value !== "");
}

/** @throws ImprintError CONFIG_INVALID where the proxy's address is none, on first use */
export function networkOf(env: NodeJS.ProcessEnv): Network {
  const proxy = proxySetting(env, "https_proxy", "all_proxy");
  const direct = bypasses(proxySetting(env, "no_proxy") ?? "");
  const isProxied = (url: URL): boolean => proxy !== undefined && url.protocol === "https:" && !isLoopback(hostOf(url)) && !direct(url);
  return {
    isProxied,
    fetch: async (url, init) => (proxy !== undefined && isProxied(url) ? fetchThrough(parseProxy(proxy), url, init) : fetch(url, init)),
  };
}

/** As curl and git read NO_PROXY: hosts, with their subdomains, each with a port or without; `*` for all. */
function bypasses(noProxy: string): (url: URL) => boolean {
  const entries = noProxy
    .toLowerCase()
    .split(/[\s,]+/u)
    .filter((entry) => entry !== "")
    .map((entry) => /^(?<host>.+?)(?::(?<port>[0-9]+))?$/u.exec(entry.replace(/^\*?\.(?=.)/u, ""))?.groups ?? {});
  return (url) => {
    const host = hostOf(url);
    return entries.some(
      ({ host: wanted = "", port }) =>
        wanted === "*" || ((host === wanted || host.endsWith(`.${wanted}`)) && (port === undefined || port === (url.port || "443"))),
    );
  };
}

function parseProxy(text: string): URL {
  // As everywhere: an address without a scheme is http's.
  const address = /^[a-z][a-z0-9+.-]*:\/\//iu.test(text) ? text : `http://${text}`;
  if (!URL.canParse(address) || !/^(?:https?|socks[45]?[ah]?):/iu.test(address))
    throw new ImprintError("CONFIG_INVALID", "Cannot use the proxy that HTTPS_PROXY or ALL_PROXY names: it is no address of one");
  return new URL(address);
}

async function fetchThrough(
  proxy: URL,
  url: URL,
  { method = "GET", headers, body = null, signal }: Parameters<Fetch>[1],
): Promise<Response> {
  const [{ getAgent }, { request }] = await Promise.all([import("@npmcli/agent"), import("node:https")]);
  const agent = getAgent(url, { proxy: proxy.href });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request(url, { agent, method, headers: Object.fromEntries(new Headers(headers)), signal });
    sent.once("error", reject);
    sent.once("response", (answer) => {
      // Errors of the body reach whoever reads it; one that nobody reads must not end the process.
      answer.on("error", () => undefined);
      resolve(answer);
    });
    sent.end(body);
  });
  const status = response.statusCode ?? 502;
  const answered = new Headers();
  for (const [name, values] of Object.entries(response.headersDistinct)) for (const value of values ?? []) answered.append(name, value);
  if (NO_BODY.has(status)) response.resume();
  const stream = NO_BODY.has(status) ? null : (Readable.toWeb(response) as ReadableStream<Uint8Array>);
  return new Response(stream, { status, headers: answered });
}
