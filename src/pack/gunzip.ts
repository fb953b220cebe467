/**
 * A .tgz, hashed as it is read and unpacked as a stream: memory stays flat whatever the file claims.
 *
 * Exactly one gzip member (RFC 1952), and nothing behind it. zlib would read several members as one archive and skip what
 * is no gzip; other clients stop after the first member, or fail: before an empty member deno installs an empty package,
 * without a word. So the header and the trailer are read here, and zlib gets only what lies between them.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { crc32, createInflateRaw } from "node:zlib";
import { errnoOf, ImprintError } from "../errors.ts";
import type { PackLimits } from "./limits.ts";
import { tarballRefused } from "./refuse.ts";

const CHUNK_BYTES = 65_536;
/** Of a header: no packer writes a name or a comment that is longer. */
const MAX_HEADER_BYTES = 1024;
const TRAILER_BYTES = 8;
const NOT_ONE_MEMBER = "it is not one gzip member with nothing behind it";
const NOT_GZIP = "it is not a whole gzip file";
/** Bits of a header's flags: what stands in it. FTEXT says nothing. */
const CHECKSUM = 0x02;
const EXTRA = 0x04;
const NAME = 0x08;
const COMMENT = 0x10;
const RESERVED = 0xe0;

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
  if (code?.startsWith("Z_")) return tarballRefused(NOT_GZIP, error);
  if (code !== undefined && typeof source === "string")
    return new ImprintError("FILE_UNREADABLE", `Cannot read ${source}: ${code}`, { cause: error });
  return error;
}

/** Bytes of the gzip header at the start of `bytes`; null where more of them are needed. */
function headerLength(bytes: Uint8Array): number | null {
  if (bytes.length < 10) return null;
  const flags = bytes[3] ?? 0;
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== 8) throw tarballRefused(NOT_GZIP);
  if ((flags & RESERVED) !== 0) throw tarballRefused("its gzip header has flags that mean nothing");
  let at = 10;
  if ((flags & EXTRA) !== 0) at += 2 + (bytes[10] ?? 0) + 256 * (bytes[11] ?? 0);
  for (const flag of [NAME, COMMENT]) {
    if ((flags & flag) === 0) continue;
    const end = bytes.indexOf(0, at);
    if (end === -1) return null;
    at = end + 1;
  }
  const end = at + ((flags & CHECKSUM) === 0 ? 0 : 2);
  if (bytes.length < end) return null;
  // zlib and deno check it, others do not.
  if (end > at && (bytes[at] ?? 0) + 256 * (bytes[at + 1] ?? 0) !== (crc32(bytes.subarray(0, at)) & 0xffff))
    throw tarballRefused("its gzip header has a wrong checksum");
  return end;
}

/** The deflated part of a member, as it comes, and what is around it. */
class Member {
  #header: Uint8Array | null = new Uint8Array(0);
  #held: Uint8Array = new Uint8Array(0);
  deflatedBytes = 0;

  /** @returns what is certainly not the trailer */
  take(chunk: Uint8Array): Uint8Array {
    let bytes = chunk;
    if (this.#header !== null) {
      this.#header = Buffer.concat([this.#header, chunk]);
      const length = headerLength(this.#header);
      if (length === null) {
        if (this.#header.length > MAX_HEADER_BYTES) throw tarballRefused(`its gzip header is longer than ${MAX_HEADER_BYTES} bytes`);
        return new Uint8Array(0);
      }
      bytes = this.#header.subarray(length);
      this.#header = null;
    }
    const all = Buffer.concat([this.#held, bytes]);
    const cut = Math.max(0, all.length - TRAILER_BYTES);
    this.#held = all.subarray(cut);
    this.deflatedBytes += cut;
    return all.subarray(0, cut);
  }

  /** CRC and size, which end the member. */
  trailer(): { readonly crc: number; readonly size: number } {
    if (this.#header !== null || this.#held.length < TRAILER_BYTES) throw tarballRefused(NOT_GZIP);
    const held = Buffer.from(this.#held);
    return { crc: held.readUInt32LE(0), size: held.readUInt32LE(4) };
  }
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
  const member = new Member();
  const inflate = createInflateRaw({ chunkSize: CHUNK_BYTES });
  let sizeBytes = 0;
  let unpackedBytes = 0;
  let crc = 0;
  const hashed = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      sizeBytes += chunk.length;
      if (sizeBytes > limits.maxCompressedBytes) throw tarballRefused(`it is larger than ${limits.maxCompressedBytes} bytes`);
      sha512.update(chunk);
      sha1.update(chunk);
      const deflated = member.take(chunk);
      if (deflated.length > 0) yield deflated;
    }
  };
  const unpacked = async (chunks: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const chunk of chunks) {
      unpackedBytes += chunk.length;
      if (unpackedBytes > limits.maxUnpackedBytes) throw tarballRefused(`it unpacks to more than ${limits.maxUnpackedBytes} bytes`);
      crc = crc32(chunk, crc);
      onUnpacked(chunk);
    }
  };
  try {
    const input = typeof source === "string" ? createReadStream(source, { highWaterMark: CHUNK_BYTES }) : Readable.from(chunksOf(source));
    await pipeline(input, hashed, inflate, unpacked);
  } catch (error) {
    throw explain(error, source);
  }
  const stated = member.trailer();
  if (inflate.bytesWritten !== member.deflatedBytes) throw tarballRefused(NOT_ONE_MEMBER);
  if (stated.crc !== crc || stated.size !== unpackedBytes % 2 ** 32)
    throw tarballRefused("it is not a whole gzip file: its checksum or its size is wrong");
  return { sha512: sha512.digest(), sha1Hex: sha1.digest("hex"), sizeBytes };
}
