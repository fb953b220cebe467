/**
 * From a pack that a host sent to a pack that may be kept: every object inflated under a cap, every delta resolved,
 * every id computed from content, and git's own index file (version 2) over it.
 *
 * The library would do this without any bound, and would believe the pack's own numbers. Here the sum of declared sizes
 * is looked at before anything is allocated, and the work on delta chains is counted (THREATS G3, G6, T8).
 */
import { LIMITS } from "../../format/limits.ts";
import { createHash } from "node:crypto";
import { setImmediate as breathe } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { LRUCache } from "lru-cache";
import type { ImprintError } from "../../errors.ts";
import type { ObjectId } from "../port.ts";
import {
  applyDelta,
  brokenPack,
  type DeltaBase,
  deltaResultSize,
  formatEntry,
  inflateExactly,
  type ObjectType,
  readEntry,
} from "../store/pack-format.ts";

export type PackCaps = {
  readonly maxObjects: number;
  /** Bytes of any one object, once inflated. */
  readonly maxObjectBytes: number;
  /** Bytes of all objects together, once inflated. */
  readonly maxInflatedBytes: number;
  /** Bytes of deltas that are held while a chain of them is followed to its base. */
  readonly maxChainBytes?: number;
  /** Called every few milliseconds; throws to stop. */
  readonly checkTime: () => void;
  /** Makes the error for a cap that was passed. */
  readonly tooLarge: (state: string) => ImprintError;
};

export type IndexedPack = {
  readonly name: string;
  /** As it was sent, with the bases of its deltas that were left out since they are here already. */
  readonly pack: Buffer;
  readonly index: Buffer;
  readonly objects: number;
};

const HEADER_BYTES = 12;
const TRAILER_BYTES = 20;
const CACHE_BYTES = 32 * 1024 * 1024;
const BREATHE_EVERY_MS = 10;
/** Bases that fell out of the cache are made again; a pack built to make that happen all the time is stopped. */
const MAX_REWORK = 4;

export type Content = { readonly type: ObjectType; readonly data: Buffer };

/** The number of objects that a pack's first bytes declare; null while there are too few bytes to tell. */
export function declaredObjects(start: Buffer): number | null {
  if (start.length < HEADER_BYTES) return null;
  if (start.toString("latin1", 0, 4) !== "PACK") throw brokenPack("it does not begin like one");
  if (![2, 3].includes(start.readUInt32BE(4))) throw brokenPack("an unknown version");
  return start.readUInt32BE(8);
}

/**
 * Checks and indexes a whole pack.
 *
 * @param findBase an object that is here already: a host that was told of it sends only what differs
 * @throws ImprintError INVALID_DOCUMENT, TOO_LARGE, and what `checkTime` throws
 */
export async function indexPack(sent: Buffer, caps: PackCaps, findBase: (id: ObjectId) => Promise<Content | null>): Promise<IndexedPack> {
  let pack = sent;
  let end = pack.length - TRAILER_BYTES;
  const count = declaredObjects(pack);
  if (count === null || end < HEADER_BYTES) throw brokenPack("it breaks off");
  if (count > caps.maxObjects) throw caps.tooLarge(`more than ${String(caps.maxObjects)} objects`);
  const { maxChainBytes = LIMITS.deltaChainBytes } = caps;
  let trailer = createHash("sha1").update(pack.subarray(0, end)).digest();
  if (!trailer.equals(pack.subarray(end))) throw brokenPack("its checksum does not match");

  const ids = new Map<number, ObjectId>();
  const offsetOf = new Map<ObjectId, number>();
  const ends: number[] = [];
  const starts: number[] = [];
  /** Deltas whose base comes later: base (offset or id) → offsets. */
  const waiting = new Map<number | ObjectId, number[]>();
  const cache = new LRUCache<number, Content>({ maxSize: CACHE_BYTES, sizeCalculation: ({ data }) => 64 + data.length });
  let declared = 0;
  let made = 0;
  let breathed = performance.now();

  const spend = (bytes: number): void => {
    made += bytes;
    if (made > caps.maxInflatedBytes * MAX_REWORK) throw caps.tooLarge("deltas that are built to cost time");
  };
  const declare = (bytes: number): void => {
    declared += bytes;
    if (bytes > caps.maxObjectBytes) throw caps.tooLarge(`an object of more than ${String(caps.maxObjectBytes)} bytes`);
    if (declared > caps.maxInflatedBytes) throw caps.tooLarge(`more than ${String(caps.maxInflatedBytes)} bytes when inflated`);
  };
  const pause = async (): Promise<void> => {
    if (performance.now() - breathed < BREATHE_EVERY_MS) return;
    caps.checkTime();
    await breathe();
    breathed = performance.now();
  };
  const baseOffset = (offset: number, base: DeltaBase): number | undefined => ("back" in base ? offset - base.back : offsetOf.get(base.id));

  /** Content of an entry whose chain of bases is known; not recursive, chains may be thousands long. */
  const contentOf = (offset: number): Content => {
    const deltas: { readonly offset: number; readonly data: Buffer }[] = [];
    let held = 0;
    let content: Content | undefined;
    for (let at = offset; content === undefined;) {
      content = cache.get(at);
      if (content !== undefined) break;
      const entry = readEntry(pack, at);
      const { data } = inflateExactly(pack.subarray(entry.dataAt, end), entry.size);
      spend(data.length);
      if (entry.type !== null) {
        content = { type: entry.type, data };
        cache.set(at, content);
        break;
      }
      const base = baseOffset(at, entry.base);
      if (base === undefined) throw brokenPack("a delta without its base");
      held += data.length;
      if (held > maxChainBytes) throw caps.tooLarge("a chain of deltas that is built to cost memory");
      deltas.push({ offset: at, data });
      at = base;
    }
    for (const delta of deltas.toReversed()) {
      spend(deltaResultSize(delta.data));
      content = { type: content.type, data: applyDelta(content.data, delta.data) };
      cache.set(delta.offset, content);
    }
    return content;
  };

  const know = (offset: number, { type, data }: Content): void => {
    const id = createHash("sha1")
      .update(`${type} ${String(data.length)}\0`)
      .update(data)
      .digest("hex") as ObjectId;
    ids.set(offset, id);
    if (!offsetOf.has(id)) offsetOf.set(id, offset);
  };

  let at = HEADER_BYTES;
  for (let nth = 0; nth < count; nth++) {
    if (at >= end) throw brokenPack("it has fewer objects than it declares");
    const entry = readEntry(pack, at);
    declare(entry.size);
    const { data, used } = inflateExactly(pack.subarray(entry.dataAt, end), entry.size);
    starts.push(at);
    if (entry.type !== null) {
      const content = { type: entry.type, data };
      cache.set(at, content);
      know(at, content);
    } else {
      declare(deltaResultSize(data));
      const base = baseOffset(at, entry.base);
      if (base !== undefined && base < HEADER_BYTES) throw brokenPack("a delta's base lies nowhere");
      if (base !== undefined && ids.has(base)) know(at, contentOf(at));
      else {
        const key = "back" in entry.base ? at - entry.base.back : entry.base.id;
        const others = waiting.get(key);
        if (others === undefined) waiting.set(key, [at]);
        else others.push(at);
      }
    }
    at = entry.dataAt + used;
    ends.push(at);
    await pause();
  }
  if (at !== end) throw brokenPack("it has more in it than it declares");
  const work = { waiting, ids, pause, resolve: (offset: number) => know(offset, contentOf(offset)) };
  await resolveWaiting(work, [...ids.keys()]);
  let bases = 0;
  for (const key of Array.from(waiting.keys())) {
    const base = typeof key === "string" && waiting.has(key) ? await findBase(key) : null;
    if (base === null) continue;
    declare(base.data.length);
    const entry = formatEntry(base.type, base.data);
    bases++;
    starts.push(end);
    know(end, base);
    // deltas look for their base in the pack; it grows by halves, or each base would cost a copy of it
    if (end + entry.length + TRAILER_BYTES > pack.length)
      pack = Buffer.concat([pack.subarray(0, end)], Math.ceil(1.5 * (end + entry.length)) + TRAILER_BYTES);
    end += entry.copy(pack, end);
    ends.push(end);
    await resolveWaiting(work, [end - entry.length]);
    await pause();
  }
  const objects = count + bases;
  if (ids.size !== objects) throw brokenPack("deltas without their base");
  if (bases > 0) {
    pack.writeUInt32BE(objects, HEADER_BYTES - 4);
    trailer = createHash("sha1").update(pack.subarray(0, end)).digest();
    pack = Buffer.concat([pack.subarray(0, end), trailer]);
  }
  return { name: `pack-${trailer.toString("hex")}`, pack, index: formatIndex(pack, starts, ends, ids, trailer), objects };
}

/** Deltas that came before their base, each as soon as the base is known: every one is looked at once. */
async function resolveWaiting(
  work: {
    readonly waiting: Map<number | ObjectId, number[]>;
    readonly ids: ReadonlyMap<number, ObjectId>;
    readonly resolve: (offset: number) => void;
    readonly pause: () => Promise<void>;
  },
  queue: number[],
): Promise<void> {
  const { waiting, ids, resolve, pause } = work;
  if (waiting.size === 0) return;
  for (let offset = queue.pop(); offset !== undefined; offset = queue.pop()) {
    const id = ids.get(offset);
    for (const key of [offset, ...(id === undefined ? [] : [id])]) {
      const released = waiting.get(key) ?? [];
      waiting.delete(key);
      for (const one of released) {
        resolve(one);
        queue.push(one);
        await pause();
      }
    }
  }
}

/** Git's index file, version 2. Packs here stay far below 2 GiB, so there are no large offsets. */
function formatIndex(
  pack: Buffer,
  starts: readonly number[],
  ends: readonly number[],
  ids: ReadonlyMap<number, ObjectId>,
  trailer: Buffer,
): Buffer {
  const rows = starts.map((start, nth) => ({ start, end: ends[nth] ?? start, id: ids.get(start) ?? "" }));
  rows.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : a.start - b.start));
  const count = rows.length;
  const file = Buffer.alloc(8 + 1024 + count * 28 + 40);
  file.writeUInt32BE(0xff744f63, 0);
  file.writeUInt32BE(2, 4);
  const fanout = new Uint32Array(256);
  for (const { id } of rows) {
    const first = Number.parseInt(id.slice(0, 2), 16);
    fanout[first] = (fanout[first] ?? 0) + 1;
  }
  let sum = 0;
  for (const [byte, some] of fanout.entries()) file.writeUInt32BE((sum += some), 8 + byte * 4);
  const [idsAt, crcAt, offsetsAt] = [1032, 1032 + count * 20, 1032 + count * 24];
  for (const [nth, { id, start, end }] of rows.entries()) {
    file.write(id, idsAt + nth * 20, "hex");
    file.writeUInt32BE(crc32(pack.subarray(start, end)), crcAt + nth * 4);
    file.writeUInt32BE(start, offsetsAt + nth * 4);
  }
  trailer.copy(file, offsetsAt + count * 4);
  const body = file.subarray(0, file.length - 20);
  createHash("sha1").update(body).digest().copy(file, body.length);
  return file;
}
