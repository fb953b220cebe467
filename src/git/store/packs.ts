/**
 * Packs of a repository on this disk, ours and those that the author's own git made: look-up by id in their index
 * files, and reading objects without loading the pack.
 *
 * Index files are read in their time; objects at once, without a promise: a few hundred bytes that the system mostly has in
 * memory take less than asking another thread for them.
 */
import { LIMITS } from "../../format/limits.ts";
import { closeSync, openSync, readSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { setImmediate as breathe } from "node:timers/promises";
import { join } from "node:path";
import { LRUCache } from "lru-cache";
import { errnoOf, ImprintError, isImprintError } from "../../errors.ts";
import type { ObjectId } from "../port.ts";
import { applyDelta, brokenPack, deltaResultSize, inflateExactly, MAX_HEADER_BYTES, type ObjectType, readEntry } from "./pack-format.ts";
import type { Entry } from "./pack-format.ts";

/** What may lie on this disk and still be read without git. Parameters, so that tests lower them. */
export type DiskCaps = {
  readonly maxIndexBytes: number;
  /** Bytes of one object, inflated. */
  readonly maxObjectBytes: number;
  /** Deltas between an object and what is whole. */
  readonly maxChain: number;
};
export const DISK_CAPS: DiskCaps = {
  maxIndexBytes: LIMITS.packIndexBytes,
  maxObjectBytes: LIMITS.objectBytes,
  maxChain: LIMITS.deltaChain,
};
const CACHE_BYTES = 128 * 1024 * 1024;
const IDS_AT = 8 + 1024;
const BREATHE_EVERY_MS = 10;
/** Read at once: asking the system costs as much as copying this. */
const PAGE_BYTES = 64 * 1024;
/** What was read of all packs lately: 64 MiB. */
const MAX_PAGES = 1024;
/** More than any pack has. */
const PAGES_APART = 2 ** 32;

type Pages = LRUCache<number, Buffer>;

type Pack = {
  readonly path: string;
  readonly index: Buffer;
  readonly count: number;
  /** Where entries begin, in order, and where the last ends. */
  readonly bounds: Float64Array;
  fd: number | null;
  /** Where its pages begin among those of all packs. */ readonly firstPage: number;
  /** What was made of it lately, by offset, and before that: cheaper than to keep in order what is asked for this often. */
  known: Map<number, Content>;
  knownBefore: Map<number, Content>;
  knownBytes: number;
};
type Place = { readonly pack: Pack; readonly offset: number };
export type Content = { readonly type: ObjectType; readonly data: Buffer };

export type Packs = {
  /** Type and size; null where no pack has it. */
  info(id: ObjectId): Promise<{ readonly type: ObjectType; readonly size: number } | null>;
  /** Content; null where no pack has it. */
  bytes(id: ObjectId): Promise<Content | null>;
  /** Content of those that a pack has, none of more than `maxBytes`. */
  many(ids: readonly ObjectId[], maxBytes: number): Promise<ReadonlyMap<ObjectId, Content>>;
  close(): Promise<void>;
};

function offsetAt(index: Buffer, count: number, nth: number): number {
  const offsetsAt = IDS_AT + count * 24;
  const offset = index.readUInt32BE(offsetsAt + nth * 4);
  if (offset < 0x80000000) return offset;
  return Number(index.readBigUInt64BE(offsetsAt + count * 4 + (offset - 0x80000000) * 8));
}

async function loadPack(folder: string, name: string, firstPage: number, maxIndexBytes: number): Promise<Pack | null> {
  const path = join(folder, name.replace(/\.idx$/u, ".pack"));
  const [info, size] = await Promise.all([stat(join(folder, name)).catch(() => null), stat(path).catch(() => null)]);
  if (info === null || size === null) return null; // joined with others meanwhile
  if (info.size > maxIndexBytes)
    throw new ImprintError("TOO_LARGE", `Cannot read ${path} without git: too many objects; install git 2.34 or newer`);
  const index = await readFile(join(folder, name));
  if (index.length < IDS_AT || index.readUInt32BE(0) !== 0xff744f63 || index.readUInt32BE(4) !== 2)
    throw brokenPack(`${name} is no index of version 2`);
  const count = index.readUInt32BE(IDS_AT - 4);
  if (index.length < IDS_AT + count * 28 + 40) throw brokenPack(`${name} breaks off`);
  const bounds = new Float64Array(count + 1);
  for (let nth = 0; nth < count; nth++) bounds[nth] = offsetAt(index, count, nth);
  bounds[count] = size.size - 20;
  return {
    path,
    index,
    count,
    bounds: bounds.sort(),
    fd: null,
    firstPage,
    known: new Map(),
    knownBefore: new Map(),
    knownBytes: 0,
  };
}

function search(pack: Pack, id: ObjectId): number | null {
  const wanted = Buffer.from(id, "hex");
  const [first = 0, start] = [wanted[0], wanted.readUInt32BE(0)];
  let low = first === 0 ? 0 : pack.index.readUInt32BE(8 + (first - 1) * 4);
  let high = Math.min(pack.count, pack.index.readUInt32BE(8 + first * 4));
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = IDS_AT + middle * 20;
    // Mostly the first bytes tell.
    const order = start - pack.index.readUInt32BE(at) || wanted.compare(pack.index, at, at + 20);
    if (order === 0) return offsetAt(pack.index, pack.count, middle);
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return null;
}

function endOf({ bounds }: Pack, offset: number): number {
  let [low, high] = [0, bounds.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((bounds[middle] ?? 0) > offset) high = middle;
    else low = middle + 1;
  }
  return bounds[low] ?? offset;
}

function recall(pack: Pack, offset: number): Content | undefined {
  return pack.known.get(offset) ?? pack.knownBefore.get(offset);
}

function remember(pack: Pack, offset: number, content: Content): void {
  pack.known.set(offset, content);
  pack.knownBytes += content.data.length + 128;
  if (pack.knownBytes < CACHE_BYTES / 2) return;
  [pack.known, pack.knownBefore, pack.knownBytes] = [new Map(), pack.known, 0];
}

function readPack(pack: Pack, from: number, length: number): Buffer {
  pack.fd ??= openSync(pack.path, "r");
  const buffer = Buffer.allocUnsafe(length);
  return buffer.subarray(0, readSync(pack.fd, buffer, 0, length, from));
}

function readAt(pages: Pages, pack: Pack, from: number, length: number): Buffer {
  const nth = Math.floor(from / PAGE_BYTES);
  const at = from - nth * PAGE_BYTES;
  if (at + length > PAGE_BYTES) return readPack(pack, from, length);
  let page = pages.get(pack.firstPage + nth);
  if (page === undefined) {
    page = readPack(pack, nth * PAGE_BYTES, PAGE_BYTES);
    pages.set(pack.firstPage + nth, page);
  }
  return page.subarray(at, at + length);
}

/** An entry and its compressed bytes. */
function entryAt(pages: Pages, { pack, offset }: Place, maxBytes: number): { readonly entry: Entry; readonly compressed: Buffer } {
  const length = endOf(pack, offset) - offset;
  // What does not shrink grows by a few bytes in a thousand.
  if (length <= 0 || length > maxBytes * 1.01 + 1024) throw brokenPack(`${pack.path} has an entry that is too large`);
  const bytes = readAt(pages, pack, offset, length);
  const entry = readEntry(bytes, 0);
  if (entry.size > maxBytes) throw brokenPack(`${pack.path} has an entry that is too large`);
  return { entry, compressed: bytes.subarray(entry.dataAt) };
}

/** Opens the packs below `<gitDir>/objects/pack`. Nothing is read before the first question. */
export function openPacks(gitDir: string, caps: DiskCaps = DISK_CAPS): Packs {
  const folder = join(gitDir, "objects", "pack");
  const packs = new Map<string, Pack>();
  const pages: Pages = new LRUCache({ max: MAX_PAGES });
  let opened = 0;

  const drop = (name: string): void => {
    const fd = packs.get(name)?.fd ?? null;
    packs.delete(name);
    if (fd !== null) closeSync(fd);
  };
  /** Looks into the folder again: another process may have fetched, or joined packs. */
  const lookAgain = async (): Promise<void> => {
    const names = (await readdir(folder).catch((): string[] => [])).filter((name) => name.endsWith(".idx"));
    for (const name of [...packs.keys()].filter((known) => !names.includes(known))) drop(name);
    for (const name of names.filter((one) => !packs.has(one))) {
      const pack = await loadPack(folder, name, opened++ * PAGES_APART, caps.maxIndexBytes);
      if (pack !== null) packs.set(name, pack);
    }
  };
  let looking: Promise<void> | null = null;
  const refresh = (): Promise<void> => {
    looking ??= lookAgain().finally(() => (looking = null));
    return looking;
  };
  const find = (id: ObjectId): Place | null => {
    if (id.length !== 40) return null;
    for (const pack of packs.values()) {
      const offset = search(pack, id);
      if (offset !== null) return { pack, offset };
    }
    return null;
  };
  /**
   * An object with all that it is made of: chains are dozens long, and neighbours share most of theirs.
   *
   * @param maxBytes of the object, and of whatever it is made of
   */
  const read = (place: Place, maxBytes: number): Content => {
    const deltas: { readonly at: Place; readonly data: Buffer }[] = [];
    let content: Content | undefined;
    for (let at = place; content === undefined;) {
      content = recall(at.pack, at.offset);
      if (content !== undefined) break;
      const { entry, compressed } = entryAt(pages, at, maxBytes);
      const { data } = inflateExactly(compressed, entry.size);
      if (entry.type !== null) {
        content = { type: entry.type, data };
        remember(at.pack, at.offset, content);
        break;
      }
      if (deltas.length >= caps.maxChain) throw brokenPack("a chain of deltas without end");
      if (deltaResultSize(data) > maxBytes) throw brokenPack("an object that is too large");
      deltas.push({ at, data });
      // On a disk a pack holds all of its bases.
      const base = "back" in entry.base ? { pack: at.pack, offset: at.offset - entry.base.back } : find(entry.base.id);
      if (base === null) throw brokenPack("a delta without its base");
      at = base;
    }
    for (const { at, data } of deltas.toReversed()) {
      content = { type: content.type, data: applyDelta(content.data, data) };
      remember(at.pack, at.offset, content);
    }
    return content;
  };
  /** Without inflating what is whole and may be large; what is a delta has to be made to know its type. */
  const look = (place: Place): { readonly type: ObjectType; readonly size: number } => {
    const { type, size } = readEntry(readAt(pages, place.pack, place.offset, MAX_HEADER_BYTES), 0);
    if (type !== null) return { type, size };
    const content = read(place, caps.maxObjectBytes);
    return { type: content.type, size: content.data.length };
  };
  /** A pack that another process joined with others and deleted while we read it: once more, where it is now. */
  const again = async <T>(id: ObjectId, work: (place: Place) => T): Promise<T | null> => {
    for (let tries = 0; ; tries++) {
      if (find(id) === null) await refresh();
      const place = find(id);
      if (place === null) return null;
      try {
        return work(place);
      } catch (error) {
        if (errnoOf(error) !== "ENOENT" || tries > 0) throw error;
        for (const name of packs.keys()) drop(name);
      }
    }
  };
  /** What is broken, too large or gone is left to whoever asks for it alone. */
  const readIfGood = (place: Place, maxBytes: number): Content | null => {
    try {
      const content = read(place, maxBytes);
      return content.data.length <= maxBytes ? content : null; // it may have been made for somebody who takes more
    } catch (error) {
      if (isImprintError(error, "INVALID_DOCUMENT") || errnoOf(error) === "ENOENT") return null;
      throw error;
    }
  };

  return {
    info: (id) => again(id, look),
    bytes: (id) => again(id, (place) => read(place, caps.maxObjectBytes)),
    async many(ids, maxBytes) {
      // What cannot be read here, such as an older kind of index file, is left to whoever asks for one object.
      const lookOver = (): Promise<void> =>
        refresh().catch((error: unknown) => {
          if (!isImprintError(error)) throw error;
        });
      if (packs.size === 0) await lookOver();
      const locate = (): readonly { readonly id: ObjectId; readonly place: Place }[] =>
        ids.flatMap((id) => {
          const place = find(id);
          return place === null ? [] : [{ id, place }];
        });
      let places = locate();
      if (places.length < ids.length) {
        await lookOver();
        places = locate();
      }
      // As they lie there: bases are near, and each page is read once.
      const inOrder = places.toSorted((a, b) =>
        a.place.pack === b.place.pack ? a.place.offset - b.place.offset : a.place.pack.path < b.place.pack.path ? -1 : 1,
      );
      const found = new Map<ObjectId, Content>();
      let breathed = performance.now();
      for (const { id, place } of inOrder) {
        const content = readIfGood(place, Math.min(maxBytes, caps.maxObjectBytes));
        if (content !== null) found.set(id, content);
        if (performance.now() - breathed < BREATHE_EVERY_MS) continue;
        await breathe();
        breathed = performance.now();
      }
      return found;
    },
    async close() {
      for (const name of packs.keys()) drop(name);
    },
  };
}
