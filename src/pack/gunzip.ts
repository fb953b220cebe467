/**
 * A .tgz, hashed as it is read and unpacked as a stream: memory stays flat whatever the file claims.
 *
 * Exactly one gzip member, and nothing behind it. zlib would read several members as one archive and skip what is no
 * gzip; other clients stop after the first member, or fail. What one client does not see, no client gets.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { errnoOf, ImprintError } from "../errors.ts";
import type { PackLimits } from "./limits.ts";
import { tarballRefused } from "./refuse.ts";

const CHUNK_BYTES = 65_536;
const NOT_ONE_MEMBER = "it is not one gzip member with nothing behind it";

export type CompressedFacts = {
  readonly sha512: Uint8Array;
  readonly sha1Hex: string;
  readonly sizeBytes: number;
};

function* chunksOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}

function explain(error: unknown, source: Uint8Array | string): unknown {
  if (error instanceof ImprintError) return error;
  const code = errnoOf(error);
  // Nobody else aborts: zlib was done with its member, and the pipeline gave up on what follows.
  if (code === "ABORT_ERR") return tarballRefused(NOT_ONE_MEMBER, error);
  if (code?.startsWith("Z_")) return tarballRefused("it is not a whole gzip file", error);
  if (code !== undefined && typeof source === "string")
    return new ImprintError("FILE_UNREADABLE", `Cannot read ${source}: ${code}`, { cause: error });
  return error;
}

/** The last four bytes of a member: its unpacked size modulo 2^32. */
function statedSize(tail: Uint8Array): number {
  return tail.length < 4 ? -1 : Buffer.from(tail).readUInt32LE(tail.length - 4);
}

/**
 * Reads `source` (bytes, or the path of a file) once and hands the unpacked bytes to `onUnpacked`, which may throw.
 *
 * @throws ImprintError TARBALL_REFUSED, FILE_UNREADABLE, or what `onUnpacked` threw
 */
export async function gunzip(
  source: Uint8Array | string,
  limits: PackLimits,
  onUnpacked: (bytes: Uint8Array) => void,
): Promise<CompressedFacts> {
  const sha512 = createHash("sha512");
  const sha1 = createHash("sha1");
  const unzip = createGunzip({ chunkSize: CHUNK_BYTES });
  let sizeBytes = 0;
  let unpackedBytes = 0;
  let tail: Uint8Array = new Uint8Array(0);
  const hashed = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      sizeBytes += chunk.length;
      if (sizeBytes > limits.maxCompressedBytes) throw tarballRefused(`it is larger than ${limits.maxCompressedBytes} bytes`);
      sha512.update(chunk);
      sha1.update(chunk);
      tail = Buffer.concat([tail, chunk.subarray(-4)]).subarray(-4);
      yield chunk;
    }
  };
  const unpacked = async (chunks: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const chunk of chunks) {
      unpackedBytes += chunk.length;
      if (unpackedBytes > limits.maxUnpackedBytes) throw tarballRefused(`it unpacks to more than ${limits.maxUnpackedBytes} bytes`);
      onUnpacked(chunk);
    }
  };
  try {
    const input = typeof source === "string" ? createReadStream(source, { highWaterMark: CHUNK_BYTES }) : Readable.from(chunksOf(source));
    await pipeline(input, hashed, unzip, unpacked);
  } catch (error) {
    throw explain(error, source);
  }
  // Bytes that zlib left alone are no gzip; and the last member's size is the whole's only if it is the only one with
  // content (an empty one before it makes other clients see an empty archive, and fail: nothing is smuggled).
  if (unzip.bytesWritten !== sizeBytes || statedSize(tail) !== unpackedBytes % 2 ** 32) {
    throw tarballRefused(NOT_ONE_MEMBER);
  }
  return { sha512: sha512.digest(), sha1Hex: sha1.digest("hex"), sizeBytes };
}
