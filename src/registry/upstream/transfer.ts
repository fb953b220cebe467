/**
 * One exchange with upstream under a clock: until its headers, between two pieces of its body, and altogether. What comes
 * encoded is decoded here; whoever reads counts what comes out.
 */
import type { IncomingMessage } from "node:http";
import { pipeline, type Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { ImprintError } from "../../errors.ts";

export type UpstreamResponse = {
  /** 304 where `ifNoneMatch` still holds. */
  readonly status: 200 | 304;
  readonly etag: string | null;
  /** How long it may be given without asking again, in milliseconds; null: upstream does not say. */
  readonly freshMs: number | null;
  /** Bytes of the body where upstream says so and nothing is encoded. */
  readonly length: number | null;
  /** Decoded. Ends by throwing UPSTREAM_FAILED at a deadline or where it breaks off. Must be read, or `cancel`led. */
  readonly body: AsyncIterable<Uint8Array>;
  cancel(): void;
};

export function answer(
  status: 200 | 304,
  response: IncomingMessage,
  clock: Clock,
  fail: (state: string, cause: unknown) => ImprintError,
): UpstreamResponse {
  const { etag, "content-length": length, "content-encoding": encoding } = response.headers;
  const body = decoded(response, encoding);
  const cancel = (): void => {
    clock.stop();
    response.destroy();
    body.destroy();
  };
  if (status === 304) cancel();
  return {
    status,
    etag: etag ?? null,
    freshMs: freshMsOf(response.headers),
    length: encoding === undefined && length !== undefined && /^[0-9]{1,15}$/.test(length) ? Number(length) : null,
    body: bounded(body, clock, cancel, fail),
    cancel,
  };
}

/** `cache-control` as HTTP caches read it, less the age that a cache on the way gave it. */
export function freshMsOf(headers: { readonly "cache-control"?: string | undefined; readonly age?: string | undefined }): number | null {
  const directives = (headers["cache-control"] ?? "")
    .toLowerCase()
    .split(",")
    .map((word) => word.trim());
  if (directives.some((word) => /^(no-cache|no-store)(=|$)/.test(word))) return 0;
  const seconds = directives.map((word) => /^max-age="?([0-9]{1,9})"?$/.exec(word)?.[1]).find((found) => found !== undefined);
  if (seconds === undefined) return null;
  const age = /^[0-9]{1,9}$/.test(headers.age ?? "") ? Number(headers.age) : 0;
  return Math.max(0, Number(seconds) - age) * 1000;
}

function decoded(response: IncomingMessage, encoding: string | undefined): Readable {
  const decoder =
    encoding === "gzip" || encoding === "x-gzip"
      ? createGunzip()
      : encoding === "br"
        ? createBrotliDecompress()
        : encoding === "deflate"
          ? createInflate()
          : null;
  if (decoder === null) return response;
  // A failure of either ends both, and is thrown to whoever reads.
  return pipeline(response, decoder, () => undefined);
}

async function* bounded(
  body: Readable,
  clock: Clock,
  cancel: () => void,
  fail: (state: string, cause: unknown) => ImprintError,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      clock.pause(); // a reader may take its time; upstream may not
      yield chunk;
      clock.touch();
    }
  } catch (error) {
    throw fail(clock.reason() ?? "it broke off", error);
  } finally {
    cancel();
  }
}

export type Clock = { readonly signal: AbortSignal; reason(): string | null; touch(): void; pause(): void; stop(): void };

export function startClock(totalMs: number, idleMs: number, outer: AbortSignal): Clock {
  const controller = new AbortController();
  let reason: string | null = null;
  let idle: NodeJS.Timeout | undefined;
  let stopped = false;
  const end = (state: string): void => {
    reason ??= state;
    controller.abort();
  };
  const total = setTimeout(() => end(`no end after ${totalMs} ms`), totalMs);
  const onOuter = (): void => end("nobody waits for it any more");
  outer.addEventListener("abort", onOuter, { once: true });
  if (outer.aborted) onOuter();
  const pause = (): void => clearTimeout(idle);
  const touch = (): void => {
    pause();
    if (!stopped) idle = setTimeout(() => end(`nothing for ${idleMs} ms`), idleMs);
  };
  touch();
  return {
    signal: controller.signal,
    reason: () => reason,
    touch,
    pause,
    stop() {
      stopped = true;
      pause();
      clearTimeout(total);
      outer.removeEventListener("abort", onOuter);
    },
  };
}
