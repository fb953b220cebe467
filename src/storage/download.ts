/**
 * One bounded download over https: in size, in time, in idleness, in redirects, and in where it may go.
 *
 * Every hop is judged anew: its scheme, and every address that its name has. Between our look-up and fetch's own the
 * name may change its mind; for https that gains an attacker nothing, since the machine it then names must prove that
 * it is the host (plain http is for loopback only).
 */
import { LIMITS } from "../format/limits.ts";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { ImprintError } from "../errors.ts";
import { hostOf, isLoopback, isPublicAddress } from "./addresses.ts";
import { connectionFault, isCertificateFault } from "./connection-fault.ts";
import type { Fetch } from "./proxy.ts";

const MAX_REDIRECTS = LIMITS.downloadRedirects;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** All that another host is told of the caller's headers; any other may be a secret under a name of its own. */
const HARMLESS = new Set(["accept", "accept-encoding", "cache-control", "user-agent"]);

export type DownloadOptions = {
  readonly maxBytes: number;
  /** Milliseconds for everything, from name look-up to last byte. */
  readonly deadlineMs: number;
  /** Milliseconds between two pieces of the body, and until the headers. */
  readonly idleMs: number;
  /** Private, link-local and loopback addresses too, and http to loopback: all, or those of the hosts that it lets through. */
  readonly allowPrivate: boolean | ((host: string) => boolean);
  /** Ends it, as a failed connection. */
  readonly signal?: AbortSignal | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly fetch?: Fetch;
  /** Whether a proxy is asked for it: a name that only the proxy knows is no fault then. */
  readonly isProxied?: (url: URL) => boolean;
  /** All addresses of a host name; default: the system's resolver. */
  readonly resolveHost?: (host: string) => Promise<readonly string[]>;
};

export type Download = {
  readonly status: number;
  readonly headers: Headers;
  /** Ends by itself at the limits, by throwing. Must be read or `cancel`led. */
  readonly body: AsyncIterable<Uint8Array>;
  cancel(): Promise<void>;
};

function shown(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`; // never user, password or query
}

async function resolveBySystem(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map((found) => found.address);
}

function parse(text: string, base?: URL): URL {
  try {
    return new URL(text, base);
  } catch (cause) {
    throw new ImprintError("INVALID_URL", "Cannot download: not a URL", { cause });
  }
}

/**
 * Refuses an address that may not be asked, before it is asked.
 *
 * @throws ImprintError INVALID_URL, UNREACHABLE where its host has no address
 */
export async function judge(url: URL, options: Pick<DownloadOptions, "allowPrivate" | "resolveHost" | "isProxied">): Promise<void> {
  const host = hostOf(url);
  const allowPrivate = typeof options.allowPrivate === "boolean" ? options.allowPrivate : options.allowPrivate(host);
  const refused = (state: string): ImprintError => new ImprintError("INVALID_URL", `Cannot download ${shown(url)}: ${state}`);
  if (url.username !== "" || url.password !== "") throw refused("credentials in the address");
  if (url.protocol !== "https:" && !(url.protocol === "http:" && allowPrivate && isLoopback(host))) throw refused("only https is used");
  if (allowPrivate) return;
  if (isLoopback(host)) throw refused("the address is this machine's");
  const addresses =
    isIP(host) > 0
      ? [host]
      : await (options.resolveHost ?? resolveBySystem)(host).catch((cause: unknown) => {
          if (options.isProxied?.(url) === true) return null;
          throw new ImprintError("UNREACHABLE", `Cannot download ${shown(url)}: its host has no address`, { cause });
        });
  if (addresses === null) return;
  // one private address among public ones is a rebinding attempt, not a mistake
  if (addresses.length === 0 || !addresses.every(isPublicAddress)) throw refused("the address is private, link-local or reserved");
}

type Clock = {
  readonly signal: AbortSignal;
  reason(): ImprintError | null;
  touch(): void;
  stop(): void;
};

function startClock(url: URL, options: DownloadOptions): Clock {
  const controller = new AbortController();
  let reason: ImprintError | null = null;
  const end = (state: string): void => {
    reason ??= new ImprintError("TIMED_OUT", `Cannot download ${shown(url)}: ${state}`);
    controller.abort(reason);
  };
  const deadline = setTimeout(() => end(`no end after ${String(options.deadlineMs)} ms`), options.deadlineMs);
  const newIdle = (): NodeJS.Timeout => setTimeout(() => end(`nothing for ${String(options.idleMs)} ms`), options.idleMs);
  let idle = newIdle();
  const giveUp = (): void => end("given up");
  if (options.signal?.aborted === true) giveUp();
  options.signal?.addEventListener("abort", giveUp, { once: true });
  const stop = (): void => {
    options.signal?.removeEventListener("abort", giveUp);
    clearTimeout(deadline);
    clearTimeout(idle);
  };
  return {
    signal: controller.signal,
    reason: () => reason,
    touch: () => {
      clearTimeout(idle);
      idle = newIdle();
    },
    stop,
  };
}

function unreachable(url: URL, clock: Clock, cause: unknown): ImprintError {
  if (cause instanceof ImprintError) return cause;
  return clock.reason() ?? new ImprintError("UNREACHABLE", `Cannot download ${shown(url)}: the connection failed${why(cause)}`, { cause });
}

function why(cause: unknown): string {
  const code = connectionFault(cause);
  if (code === null) return "";
  return ` (${code}${isCertificateFault(code) ? "; an authority of your own goes into NODE_EXTRA_CA_CERTS" : ""})`;
}

async function raceClock<T>(promise: Promise<T>, clock: Clock): Promise<T> {
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(clock.reason() ?? new Error("aborted"));
    if (clock.signal.aborted) onAbort();
    clock.signal.addEventListener("abort", onAbort, { once: true });
  });
  return Promise.race([promise, aborted]).finally(() => clock.signal.removeEventListener("abort", onAbort));
}

async function* bounded(url: URL, response: Response, options: DownloadOptions, clock: Clock): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  let size = 0;
  try {
    for (;;) {
      const part = reader === undefined ? null : await reader.read();
      if (part === null || part.done) return;
      clock.touch();
      size += part.value.length;
      if (size > options.maxBytes)
        throw new ImprintError("TOO_LARGE", `Cannot download ${shown(url)}: more than ${String(options.maxBytes)} bytes`);
      yield part.value;
    }
  } catch (error) {
    throw unreachable(url, clock, error);
  } finally {
    clock.stop();
    await reader?.cancel().catch(() => undefined);
  }
}

/**
 * Begins a download and returns at its headers, whatever their status. Throws INVALID_URL (scheme or address refused),
 * UNREACHABLE, TIMED_OUT, TOO_LARGE; the last three from the body, too.
 */
export async function download(address: string, options: DownloadOptions): Promise<Download> {
  let url = parse(address);
  const headers = new Headers({ ...options.headers, "accept-encoding": "identity" });
  const clock = startClock(url, options);
  try {
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      await raceClock(judge(url, options), clock);
      const response = await raceClock(
        (options.fetch ?? globalThis.fetch)(url, { headers, redirect: "manual", signal: clock.signal }),
        clock,
      );
      clock.touch();
      const location = response.headers.get("location");
      if (!REDIRECTS.has(response.status) || location === null) {
        const announced = Number(response.headers.get("content-length") ?? 0);
        const body = bounded(url, response, options, clock);
        const cancel = async (): Promise<void> => {
          clock.stop();
          await response.body?.cancel().catch(() => undefined);
        };
        if (announced <= options.maxBytes) return { status: response.status, headers: response.headers, body, cancel };
        await cancel();
        throw new ImprintError(
          "TOO_LARGE",
          `Cannot download ${shown(url)}: ${String(announced)} bytes, at most ${String(options.maxBytes)} are wanted`,
        );
      }
      await response.body?.cancel().catch(() => undefined);
      const next = parse(location, url);
      if (url.protocol === "https:" && next.protocol !== "https:")
        throw new ImprintError("INVALID_URL", `Cannot download ${shown(url)}: it sends on to an address without encryption`);
      if (next.origin !== url.origin) for (const name of Array.from(headers.keys())) if (!HARMLESS.has(name)) headers.delete(name);
      url = next;
    }
    throw new ImprintError("UNREACHABLE", `Cannot download ${shown(url)}: more than ${String(MAX_REDIRECTS)} redirects`);
  } catch (error) {
    clock.stop();
    throw unreachable(url, clock, error);
  }
}
