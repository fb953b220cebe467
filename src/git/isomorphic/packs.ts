/**
 * Packs of a repository on this disk, ours and those that the author's own git made: look-up by id in their index
 * files, and reading one object without loading the pack.
 */
import { LIMITS } from "../../format/limits.ts";
import { open, readdir, readFile, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { LRUCache } from "lru-cache";
import { errnoOf, ImprintError } from "../../errors.ts";
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
const CACHE_BYTES = 16 * 1024 * 1024;
const IDS_AT = 8 + 1024;

type Pack = {
  readonly path: string;
  readonly index: Buffer;
  readonly count: number;
  /** Where entries begin, in order, and where the last ends. */
  readonly bounds: Float64Array;
  handle: Promise<FileHandle> | null;
};
type Place = { readonly pack: Pack; readonly offset: number };
type Content = { readonly type: ObjectType; readonly data: Buffer };

export type Packs = {
  /** Type and size; null where no pack has it. */
  info(id: ObjectId): Promise<{ readonly type: ObjectType; readonly size: number } | null>;
  /** Content; null where no pack has it. */
  bytes(id: ObjectId): Promise<Content | null>;
  close(): Promise<void>;
};

function offsetAt(index: Buffer, count: number, nth: number): number {
  const offsetsAt = IDS_AT + count * 24;
  const offset = index.readUInt32BE(offsetsAt + nth * 4);
  if (offset < 0x80000000) return offset;
  return Number(index.readBigUInt64BE(offsetsAt + count * 4 + (offset - 0x80000000) * 8));
}

async function loadPack(folder: string, name: string, maxIndexBytes: number): Promise<Pack | null> {
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
  return { path, index, count, bounds: bounds.sort(), handle: null };
}

function search(pack: Pack, id: ObjectId): number | null {
  const wanted = Buffer.from(id, "hex");
  const first = wanted[0] ?? 0;
  let low = first === 0 ? 0 : pack.index.readUInt32BE(8 + (first - 1) * 4);
  let high = Math.min(pack.count, pack.index.readUInt32BE(8 + first * 4));
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = wanted.compare(pack.index, IDS_AT + middle * 20, IDS_AT + middle * 20 + 20);
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

async function readAt(pack: Pack, from: number, length: number): Promise<Buffer> {
  pack.handle ??= open(pack.path, "r");
  const handle = await pack.handle;
  const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(length), 0, length, from);
  return buffer.subarray(0, bytesRead);
}

/** An entry and its compressed bytes. */
async function entryAt({ pack, offset }: Place, maxObjectBytes: number): Promise<{ readonly entry: Entry; readonly compressed: Buffer }> {
  const length = endOf(pack, offset) - offset;
  if (length <= 0 || length > maxObjectBytes + MAX_HEADER_BYTES) throw brokenPack(`${pack.path} has an entry that is too large`);
  const bytes = await readAt(pack, offset, length);
  const entry = readEntry(bytes, 0);
  if (entry.size > maxObjectBytes) throw brokenPack(`${pack.path} has an entry that is too large`);
  return { entry, compressed: bytes.subarray(entry.dataAt) };
}

/** Opens the packs below `<gitDir>/objects/pack`. Nothing is read before the first question. */
export function openPacks(gitDir: string, caps: DiskCaps = DISK_CAPS): Packs {
  const folder = join(gitDir, "objects", "pack");
  const packs = new Map<string, Pack>();
  const known = new LRUCache<string, Content>({
    maxSize: CACHE_BYTES,
    sizeCalculation: ({ data }) => 128 + data.length,
  });

  const drop = async (name: string): Promise<void> => {
    const handle = packs.get(name)?.handle;
    packs.delete(name);
    await (await handle?.catch(() => null))?.close();
  };
  /** Looks into the folder again: another process may have fetched, or joined packs. */
  const lookAgain = async (): Promise<void> => {
    const names = (await readdir(folder).catch((): string[] => [])).filter((name) => name.endsWith(".idx"));
    for (const name of [...packs.keys()].filter((known) => !names.includes(known))) await drop(name);
    for (const name of names.filter((one) => !packs.has(one))) {
      const pack = await loadPack(folder, name, caps.maxIndexBytes);
      if (pack !== null) packs.set(name, pack);
    }
  };
  let looking: Promise<void> | null = null;
  const refresh = (): Promise<void> => {
    looking ??= lookAgain().finally(() => (looking = null));
    return looking;
  };
  const find = (id: ObjectId): Place | null => {
    for (const pack of packs.values()) {
      const offset = search(pack, id);
      if (offset !== null) return { pack, offset };
    }
    return null;
  };
  const locate = async (id: ObjectId): Promise<Place | null> => {
    if (id.length !== 40) return null;
    const place = find(id);
    if (place !== null) return place;
    // also where another question's look found something new while this one waited
    await refresh();
    return find(id);
  };

  /** An object with all that it is made of: chains are dozens long, and neighbours share most of theirs. */
  const read = async (place: Place): Promise<Content> => {
    const deltas: { readonly key: string; readonly data: Buffer }[] = [];
    let content: Content | undefined;
    for (let at = place; content === undefined;) {
      const key = `${at.pack.path} ${String(at.offset)}`;
      content = known.get(key);
      if (content !== undefined) break;
      const { entry, compressed } = await entryAt(at, caps.maxObjectBytes);
      const { data } = inflateExactly(compressed, entry.size);
      if (entry.type !== null) {
        content = { type: entry.type, data };
        known.set(key, content);
        break;
      }
      if (deltas.length >= caps.maxChain) throw brokenPack("a chain of deltas without end");
      if (deltaResultSize(data) > caps.maxObjectBytes) throw brokenPack("an object that is too large");
      deltas.push({ key, data });
      const base = "back" in entry.base ? { pack: at.pack, offset: at.offset - entry.base.back } : await locate(entry.base.id);
      if (base === null) throw brokenPack("a delta without its base");
      at = base;
    }
    for (const { key, data } of deltas.toReversed()) {
      content = { type: content.type, data: applyDelta(content.data, data) };
      known.set(key, content);
    }
    return content;
  };
  /** Without inflating what is whole and may be large; what is a delta has to be made to know its type. */
  const look = async (place: Place): Promise<{ readonly type: ObjectType; readonly size: number }> => {
    const bytes = await readAt(place.pack, place.offset, MAX_HEADER_BYTES);
    const { type, size } = readEntry(bytes, 0);
    if (type !== null) return { type, size };
    const content = await read(place);
    return { type: content.type, size: content.data.length };
  };
  /** A pack that another process joined with others and deleted while we read it: once more, where it is now. */
  const again = async <T>(id: ObjectId, work: (place: Place) => Promise<T>): Promise<T | null> => {
    for (let tries = 0; ; tries++) {
      const place = await locate(id);
      if (place === null) return null;
      try {
        return await work(place);
      } catch (error) {
        if (errnoOf(error) !== "ENOENT" || tries > 0) throw error;
        for (const name of packs.keys()) await drop(name);
      }
    }
  };

  return {
    info: (id) => again(id, look),
    bytes: (id) => again(id, read),
    async close() {
      for (const name of packs.keys()) await drop(name);
    },
  };
}
