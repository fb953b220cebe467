/**
 * Upstream's tarballs: one download for all who ask at once, given on while it comes, kept by its integrity.
 *
 * What comes goes to a file that has no name yet; clients read from it, late ones from its start. Its last byte is held
 * back until the hash is right, so nobody ever completes a download that was cut, lengthened or changed, and only then
 * does the file get its name. A client that leaves leaves the others alone; when the last has left, the download ends.
 */
import { LIMITS } from "../../format/limits.ts";
import { createHash, type Hash } from "node:crypto";
import { join } from "node:path";
import { ImprintError, isImprintError } from "../../errors.ts";
import type { Files } from "../../storage/files.ts";
import type { Spool } from "../../storage/spool.ts";
import type { TarballBody } from "../port.ts";
import type { UpstreamClient } from "./client.ts";
import type { UpstreamTarball } from "./packument.ts";
import type { UpstreamTimes } from "./times.ts";
import type { Via } from "./via.ts";

export type Tarballs = {
  /** @throws ImprintError TARBALL_MISMATCH, UPSTREAM_FAILED, INVALID_URL, STORAGE_FAILED; later ones from the stream */
  open(tarball: UpstreamTarball, file: string, via: Via | undefined): Promise<TarballBody>;
};

const CHUNK_BYTES = 64 * 1024;
/** Up to this size all of it is awaited: a fault is then a status with a reason instead of a broken connection. */
const WHOLE_BYTES = 128 * 1024;

type Flight = {
  /** Null until the first byte. */
  spool: Spool | null;
  length: number | null;
  state: "running" | "done" | ImprintError;
  readers: number;
  /** Settles at the next change. */
  changed: Promise<void>;
  readonly abort: AbortController;
};

export function createTarballs(deps: {
  readonly client: UpstreamClient;
  readonly files: Files;
  readonly spool: (path: string) => Promise<Spool>;
  readonly folder: string;
  readonly times: UpstreamTimes;
  /** Bytes of one; `LIMITS.upstreamTarballBytes` unless given. */
  readonly maxBytes?: number;
}): Tarballs {
  const { client, files, folder, times, maxBytes = LIMITS.upstreamTarballBytes } = deps;
  const flights = new Map<string, Flight>();

  const begin = (key: string, path: string, tarball: UpstreamTarball, file: string, via: Via | undefined): Flight => {
    let notify = (): void => undefined;
    const renew = (): Promise<void> => new Promise((resolve) => (notify = resolve));
    const flight: Flight = { spool: null, length: null, state: "running", readers: 0, changed: renew(), abort: new AbortController() };
    const change = (edit: Partial<Pick<Flight, "spool" | "length" | "state">>): void => {
      const before = notify;
      Object.assign(flight, edit, { changed: renew() });
      before();
    };
    void download({ client, times, maxBytes, openSpool: deps.spool, path, tarball, file, via, flight, change })
      .then(
        () => change({ state: "done" }),
        (error: unknown) => change({ state: asFault(error, file) }),
      )
      .finally(() => {
        if (flights.get(key) === flight) flights.delete(key);
        if (flight.readers === 0) void flight.spool?.close();
      });
    flights.set(key, flight);
    return flight;
  };

  const leave = (key: string, flight: Flight): void => {
    if (--flight.readers > 0) return;
    if (flight.state === "running") {
      flights.delete(key);
      flight.abort.abort();
    } else void flight.spool?.close();
  };

  return {
    async open(tarball, file, via) {
      const { algorithm, hex } = tarball;
      const path = join(folder, "tarballs", algorithm, hex.slice(0, 2), hex);
      // A request that came from another resolver never waits for one of ours that may be waiting for that resolver.
      const key = `${path} ${(via ?? []).join(" ")}`;
      const kept = flights.has(key) ? null : await openKept(files, path, algorithm, hex);
      if (kept !== null) return kept;
      const flight = flights.get(key) ?? begin(key, path, tarball, file, via);
      flight.readers++;
      let hasLeft = false;
      const leaveOnce = (): void => {
        if (!hasLeft) leave(key, flight);
        hasLeft = true;
      };
      try {
        while (flight.state === "running" && !canAnswer(flight)) await flight.changed;
        if (flight.state instanceof ImprintError) throw flight.state;
      } catch (error) {
        leaveOnce();
        throw error;
      }
      return { size: flight.length ?? flight.spool?.size() ?? 0, stream: follow(flight, leaveOnce) };
    },
  };
}

/** With a length and something to send; clients need a Content-Length, so one that upstream does not tell is counted first. */
function canAnswer({ length, spool }: Flight): boolean {
  return length !== null && length > WHOLE_BYTES && (spool?.size() ?? 0) > 1;
}

async function download(work: {
  readonly client: UpstreamClient;
  readonly times: UpstreamTimes;
  readonly maxBytes: number;
  readonly openSpool: (path: string) => Promise<Spool>;
  readonly path: string;
  readonly tarball: UpstreamTarball;
  readonly file: string;
  readonly via: Via | undefined;
  readonly flight: Flight;
  readonly change: (edit: Partial<Pick<Flight, "spool" | "length" | "state">>) => void;
}): Promise<void> {
  const { client, times, maxBytes, openSpool, path, tarball, file, via, flight, change } = work;
  const { signal } = flight.abort;
  const response = await client.get(tarball.url, { accept: "*/*", what: file, totalMs: times.tarballMs, via, signal });
  const tooLarge = (size: number): ImprintError =>
    new ImprintError("UPSTREAM_FAILED", `Cannot fetch ${file}: ${size} bytes, at most ${maxBytes} are wanted`);
  try {
    if (response.length !== null && response.length > maxBytes) throw tooLarge(response.length);
    const spool = await openSpool(path);
    change({ spool, length: response.length });
    const hash = createHash(tarball.algorithm);
    for await (const chunk of response.body) {
      if (spool.size() + chunk.byteLength > maxBytes) throw tooLarge(spool.size() + chunk.byteLength);
      hash.update(chunk);
      await spool.append(chunk);
      change({});
    }
    const state = faultOf(hash, spool.size(), response.length, tarball);
    if (state !== null) throw new ImprintError("TARBALL_MISMATCH", `Cannot serve ${file}: ${state}`);
    // A disk that is full now does not take away from clients what they have nearly got.
    await spool.keep().catch(() => undefined);
  } finally {
    response.cancel();
    await flight.spool?.drop();
  }
}

function faultOf(hash: Hash, size: number, length: number | null, { hex }: UpstreamTarball): string | null {
  if (length !== null && size !== length) return `${size} bytes came, ${length} were announced`;
  return hash.digest("hex") === hex ? null : "it is not what the registry's integrity says";
}

function asFault(error: unknown, file: string): ImprintError {
  return isImprintError(error) ? error : new ImprintError("UPSTREAM_FAILED", `Cannot fetch ${file}: it broke off`, { cause: error });
}

function follow(flight: Flight, leave: () => void): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          for (;;) {
            if (flight.state instanceof ImprintError) throw flight.state;
            const size = flight.spool?.size() ?? 0;
            const end = flight.state === "done" ? size : size - 1;
            if (flight.spool !== null && at < end) {
              const chunk = await flight.spool.read(at, Math.min(CHUNK_BYTES, end - at));
              if (chunk.byteLength === 0) throw new ImprintError("STORAGE_FAILED", "Cannot serve a tarball: its file was cut");
              at += chunk.byteLength;
              controller.enqueue(new Uint8Array(chunk));
              return;
            }
            if (flight.state === "done") {
              leave();
              controller.close();
              return;
            }
            await flight.changed;
          }
        } catch (error) {
          leave();
          controller.error(error);
        }
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
}

/** A kept one, all of it hashed again before its first byte goes out; null where there is none, or it went bad. */
async function openKept(files: Files, path: string, algorithm: string, hex: string): Promise<TarballBody | null> {
  const file = await files.open(path).catch(() => null);
  if (file === null) return null;
  const hash = createHash(algorithm);
  try {
    for await (const chunk of file.stream()) hash.update(chunk);
  } catch {
    await file.close();
    return null;
  }
  if (hash.digest("hex") !== hex) {
    await file.close();
    await files.remove(path);
    return null;
  }
  const chunks = file.stream()[Symbol.asyncIterator]();
  return {
    size: file.size,
    stream: new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await chunks.next();
          if (done !== true) return controller.enqueue(new Uint8Array(value));
          await file.close();
          controller.close();
        },
        cancel: () => file.close(),
      },
      { highWaterMark: 0 },
    ),
  };
}
