/**
 * Git's pack format, the parts that a reader needs: entry headers, deltas, bounded inflating. Pure.
 *
 * Every number in here was chosen by whoever made the pack: each is checked before anything is allocated by it.
 */
import { deflateSync, inflateSync } from "node:zlib";
import { ImprintError } from "../../errors.ts";
import type { ObjectId } from "../port.ts";

export type ObjectType = "commit" | "tree" | "blob" | "tag";
const TYPES: Readonly<Record<number, ObjectType>> = { 1: "commit", 2: "tree", 3: "blob", 4: "tag" };
const OFS_DELTA = 6;
const REF_DELTA = 7;
/** An entry's header with the reference to its base never takes more. */
export const MAX_HEADER_BYTES = 40;
const MIN_CHUNK_BYTES = 64;

/** How far before the entry its base begins, or the base's id. */
export type DeltaBase = { readonly back: number } | { readonly id: ObjectId };
/** One entry: an object, or the change that makes it out of another, whose type it then has. */
export type Entry = {
  /** Declared bytes once inflated: of the object, or of the delta. */
  readonly size: number;
  /** Where its compressed data begins, in the bytes that were handed in. */
  readonly dataAt: number;
} & ({ readonly type: ObjectType; readonly base: null } | { readonly type: null; readonly base: DeltaBase });

export function brokenPack(state: string, cause?: unknown): ImprintError {
  return new ImprintError("INVALID_DOCUMENT", `Cannot read git pack: ${state}`, { cause });
}

/** The entry that begins at `at`. @throws ImprintError INVALID_DOCUMENT */
export function readEntry(bytes: Buffer, at: number): Entry {
  let from = at;
  const next = (): number => {
    const byte = bytes[from++];
    if (byte === undefined) throw brokenPack("it ends inside an entry");
    return byte;
  };
  let byte = next();
  const kind = (byte >> 4) & 7;
  let size = byte & 15;
  for (let scale = 16; byte & 128; scale *= 128) {
    byte = next();
    size += (byte & 127) * scale;
    if (!Number.isSafeInteger(size)) throw brokenPack("an entry's size is no size");
  }
  if (kind === OFS_DELTA) {
    byte = next();
    let back = byte & 127;
    while (byte & 128) {
      byte = next();
      back = (back + 1) * 128 + (byte & 127);
      if (!Number.isSafeInteger(back)) throw brokenPack("a delta's base lies nowhere");
    }
    if (back === 0) throw brokenPack("a delta is its own base");
    return { type: null, size, dataAt: from, base: { back } };
  }
  if (kind === REF_DELTA) {
    const id = bytes.toString("hex", from, from + 20);
    if (id.length !== 40) throw brokenPack("it ends inside an entry");
    return { type: null, size, dataAt: from + 20, base: { id: id as ObjectId } };
  }
  const type = TYPES[kind];
  if (type === undefined) throw brokenPack(`an entry of unknown type ${String(kind)}`);
  return { type, size, dataAt: from, base: null };
}

/** An entry for a whole object. */
export function formatEntry(type: ObjectType, data: Buffer): Buffer {
  const kind = Number(Object.entries(TYPES).find(([, name]) => name === type)?.[0]);
  const header = [(kind << 4) | (data.length & 15)];
  for (let rest = Math.floor(data.length / 16); rest > 0; rest = Math.floor(rest / 128)) {
    header[header.length - 1] = (header.at(-1) ?? 0) | 128;
    header.push(rest & 127);
  }
  return Buffer.concat([Buffer.from(header), deflateSync(data)]);
}

/** Inflates exactly `size` bytes, never more, and says how many compressed ones they took. */
export function inflateExactly(compressed: Buffer, size: number): { readonly data: Buffer; readonly used: number } {
  let result: { buffer: Buffer; engine: { bytesWritten: number } };
  try {
    // `info` hands out the engine, which knows where the stream ended; Node's types don't say so
    result = inflateSync(compressed, {
      info: true,
      maxOutputLength: Math.max(1, size),
      chunkSize: Math.max(MIN_CHUNK_BYTES, size + 1),
    }) as unknown as typeof result;
  } catch (cause) {
    throw brokenPack("an entry does not inflate to its declared size", cause);
  }
  if (result.buffer.length !== size) throw brokenPack("an entry does not inflate to its declared size");
  return { data: result.buffer, used: result.engine.bytesWritten };
}

function readDeltaSize(delta: Buffer, from: number): { readonly size: number; readonly end: number } {
  let size = 0;
  let at = from;
  for (let scale = 1; ; scale *= 128) {
    const byte = delta[at++];
    if (byte === undefined) throw brokenPack("a delta breaks off");
    size += (byte & 127) * scale;
    if (!Number.isSafeInteger(size)) throw brokenPack("a delta's size is no size");
    if ((byte & 128) === 0) return { size, end: at };
  }
}

/** Bytes that a delta declares to result in. */
export function deltaResultSize(delta: Buffer): number {
  return readDeltaSize(delta, readDeltaSize(delta, 0).end).size;
}

/** What `delta` makes of `base`; the caller has looked at `deltaResultSize`. @throws ImprintError INVALID_DOCUMENT */
export function applyDelta(base: Buffer, delta: Buffer): Buffer {
  const source = readDeltaSize(delta, 0);
  if (source.size !== base.length) throw brokenPack("a delta is for another base");
  const { size, end } = readDeltaSize(delta, source.end);
  const result = Buffer.allocUnsafe(size);
  let filled = 0;
  let at = end;
  const next = (): number => {
    const byte = delta[at++];
    if (byte === undefined) throw brokenPack("a delta breaks off");
    return byte;
  };
  while (at < delta.length) {
    const instruction = next();
    if (instruction === 0) throw brokenPack("a delta with an unknown instruction");
    if ((instruction & 128) === 0) {
      if (at + instruction > delta.length || filled + instruction > size) throw brokenPack("a delta writes past its end");
      filled += delta.copy(result, filled, at, at + instruction);
      at += instruction;
      continue;
    }
    let offset = 0;
    let length = 0;
    for (let bit = 0; bit < 4; bit++) if (instruction & (1 << bit)) offset += next() * 2 ** (8 * bit);
    for (let bit = 0; bit < 3; bit++) if (instruction & (16 << bit)) length += next() * 2 ** (8 * bit);
    if (length === 0) length = 0x10000;
    if (offset + length > base.length || filled + length > size) throw brokenPack("a delta reads past its base");
    filled += base.copy(result, filled, offset, offset + length);
  }
  if (filled !== size) throw brokenPack("a delta makes less than it declares");
  return result;
}
