/**
 * The only way out of this adapter: requests to one git address, with one deadline for all of them, a cap on bytes, and
 * an end to silence. The library is handed this instead of its own client, which has none of the three.
 *
 * As git does, a redirect is followed for the first request only, and what follows goes where it led. It must stay on the
 * scheme, host and port that the user named, and may change nothing but the path of the repository (THREATS G9). A token
 * goes to its own host or nowhere (THREATS G8).
 *
 * A host may list refs without end. The lists pass through `refs.ts`, which keeps the lines that are asked for, before
 * the library sees any of them (THREATS T15).
 */
import { LIMITS } from "../../format/limits.ts";
import type { HttpClient } from "isomorphic-git";
import { errnoOf, ImprintError, isImprintError } from "../../errors.ts";
import type { GitUrl, HttpFetch, TransferLimits } from "../port.ts";
import { authorizationFor, type GitTokens } from "../tokens.ts";
import { placeAfterRedirect } from "../redirect.ts";
import { redactUrl } from "../url.ts";
import { takeRefs } from "./refs.ts";

const MAX_REDIRECTS = LIMITS.gitRedirects;
const STALL_MS = LIMITS.gitStallMs;
const AGENT = "git/imprint"; // hosts look for the first word
const REFUSED = new Set([401, 403, 404, 405]);

export type Service = "git-upload-pack" | "git-receive-pack";
export type TransportOptions = {
  readonly url: GitUrl;
  readonly tokens: GitTokens;
  readonly fetch: HttpFetch;
  readonly limits: TransferLimits;
  readonly what: string;
  /** Code for a host that answers, but not to us: a push is refused, a fetch finds nobody. */
  readonly refusedAs: "UNREACHABLE" | "PUSH_FAILED";
  /** Milliseconds of silence, before an answer and in the middle of it, that end it. */
  readonly stallMs?: number;
  /** Refs of the host's list that the caller wants; the library is told of no others. */
  readonly keepRef: (ref: string) => boolean;
  /** Bytes of the host's list of refs. */
  readonly maxListingBytes?: number;
  /** Changes what the library posts. */
  readonly editRequest?: (body: Buffer) => Buffer;
  /** Takes over the answer to a POST, before the library sees any of it. */
  readonly onAnswer?: (body: AsyncIterable<Uint8Array>, request: Buffer) => Promise<Uint8Array>;
};
export type Transport = {
  /** For the library. */
  readonly client: HttpClient;
  /** One request of our own, to the service behind the address. */
  post(service: Service, body: Uint8Array): Promise<AsyncIterable<Uint8Array>>;
  /** The error that ended a request, if one did: the library may have lost or wrapped it. */
  failure(): ImprintError | null;
  checkTime(): void;
  close(): void;
};

export function createTransport(options: TransportOptions): Transport {
  const { url, tokens, fetch, limits, what, stallMs = STALL_MS } = options;
  const controller = new AbortController();
  const timedOut = (state: string): ImprintError => new ImprintError("TIMED_OUT", `Cannot ${what}: ${state}`);
  const deadline = performance.now() + limits.deadlineMs;
  const tooLate = (): ImprintError => timedOut(`no end after ${String(Math.round(limits.deadlineMs))} ms`);
  const timer = setTimeout(() => controller.abort(tooLate()), limits.deadlineMs);
  const giveUp = (): void => controller.abort(timedOut("given up"));
  if (limits.signal?.aborted === true) giveUp();
  limits.signal?.addEventListener("abort", giveUp, { once: true });
  let failed: ImprintError | null = null;
  /** Where a redirect led: what stands for `url` from then on. */
  let base: string = url;
  let received = 0;
  let stall: NodeJS.Timeout | undefined;

  const failure = (error: unknown): ImprintError => {
    const reason: unknown = controller.signal.aborted ? controller.signal.reason : error;
    if (isImprintError(reason)) return (failed ??= reason);
    const cause = reason instanceof Error && reason.cause !== undefined ? reason.cause : reason;
    const words = errnoOf(cause) ?? (cause instanceof Error ? redactUrl(cause.message).slice(0, 120) : "no answer");
    return (failed ??= new ImprintError("UNREACHABLE", `Cannot ${what}: ${words}`, { cause: error }));
  };
  const refused = (status: number): ImprintError => {
    const at = new URL(base);
    const tried =
      authorizationFor(tokens, at) === null
        ? `; a token for it goes into IMPRINT_GIT_TOKEN (${at.host}=<token>), which has none`
        : "; it does not take the token that IMPRINT_GIT_TOKEN has for it";
    const hint = status === 401 || status === 403 ? tried : "";
    return new ImprintError(
      REFUSED.has(status) ? options.refusedAs : "UNREACHABLE",
      `Cannot ${what}: the host ${at.host} answers ${String(status)}${hint}`,
    );
  };

  const heard = (): void => {
    clearTimeout(stall);
    stall = setTimeout(() => controller.abort(timedOut(`silence for ${String(stallMs)} ms`)), stallMs);
  };

  const send = async (
    target: string,
    request: { method: string; headers: Record<string, string>; body: Uint8Array | null },
  ): Promise<Response> => {
    const at = new URL(target);
    const authorization = authorizationFor(tokens, at);
    // a push may take its time to go out, and its host to take it in: the deadline ends that
    if (!target.endsWith("/git-receive-pack")) heard();
    return fetch(at, {
      method: request.method,
      headers: {
        ...request.headers,
        // counted bytes must be the sent ones, and a body that inflates is one more bomb
        "accept-encoding": "identity",
        "user-agent": AGENT,
        ...(authorization === null ? {} : { authorization }),
      },
      body: request.body === null ? null : Buffer.from(request.body),
      redirect: "manual",
      signal: controller.signal,
    }).finally(() => clearTimeout(stall));
  };

  async function* counted(body: AsyncIterable<Uint8Array> | null): AsyncGenerator<Uint8Array> {
    try {
      heard();
      for await (const chunk of body ?? []) {
        heard();
        received += chunk.byteLength;
        if (received > limits.maxBytes) throw new ImprintError("TOO_LARGE", `Cannot ${what}: more than ${String(limits.maxBytes)} bytes`);
        yield chunk;
      }
    } catch (error) {
      throw failure(error);
    } finally {
      clearTimeout(stall);
    }
  }

  const first = async (path: string, headers: Record<string, string>): Promise<Response> => {
    let target = base + path;
    for (let hops = 0; ; hops++) {
      const response = await send(target, { method: "GET", headers, body: null });
      const to = response.headers.get("location");
      if (![301, 302, 303, 307, 308].includes(response.status) || to === null) return response;
      await response.body?.cancel();
      if (hops >= MAX_REDIRECTS) throw new ImprintError("UNREACHABLE", `Cannot ${what}: more than ${String(MAX_REDIRECTS)} redirects`);
      base = placeAfterRedirect({ asked: target, location: to, suffix: path, what });
      target = base + path;
    }
  };
  const ask = async (method: string, path: string, headers: Record<string, string>, body: Uint8Array | null): Promise<Response> => {
    try {
      const response = method === "GET" ? await first(path, headers) : await send(base + path, { method, headers, body });
      if (response.status === 200) return response;
      await response.body?.cancel();
      throw refused(response.status);
    } catch (error) {
      throw failure(error);
    }
  };

  /** What the library reads instead of an answer; null: the answer itself. */
  const takeOver = async (method: string, body: AsyncIterable<Uint8Array>, sent: Buffer | null): Promise<Uint8Array | null> => {
    if (method === "GET")
      return takeRefs(body, { what, keep: options.keepRef, maxBytes: options.maxListingBytes ?? LIMITS.refListingBytes });
    return options.onAnswer === undefined ? null : options.onAnswer(body, sent ?? Buffer.alloc(0));
  };

  return {
    client: {
      async request({ url: wanted, method = "GET", headers = {}, body }) {
        if (!wanted.startsWith(url)) throw failure(new ImprintError("UNREACHABLE", `Cannot ${what}: another address was asked for`));
        const written = body === undefined ? null : await collect(body);
        const content = written === null ? null : (options.editRequest?.(written) ?? written);
        const response = await ask(method, wanted.slice(url.length), plainHeaders(headers), content);
        const answer = counted(response.body);
        const taken = await takeOver(method, answer, content).catch((error: unknown) => Promise.reject(failure(error)));
        return {
          url: wanted,
          method,
          statusCode: response.status,
          statusMessage: response.statusText,
          headers: Object.fromEntries(response.headers),
          body: taken === null ? answer : iterate([taken]),
        };
      },
    },
    async post(service, body) {
      const headers = { "content-type": `application/x-${service}-request`, accept: `application/x-${service}-result` };
      return counted((await ask("POST", `/${service}`, headers, body)).body);
    },
    failure: () => failed,
    checkTime() {
      if (performance.now() > deadline) throw failure(tooLate());
    },
    close() {
      clearTimeout(timer);
      clearTimeout(stall);
      limits.signal?.removeEventListener("abort", giveUp);
      controller.abort(); // an answer that nobody read to its end
    },
  };
}

/** What the library asks for, but no credentials of its own making, and no length: fetch counts itself. */
function plainHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !/^(?:authorization|content-length|user-agent|accept-encoding)$/iu.test(name)),
  );
}

export async function collect(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of chunks) parts.push(part);
  return Buffer.concat(parts);
}

async function* iterate(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}
