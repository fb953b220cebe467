/**
 * The index file of a work tree, versions 2 and 3: which paths git tracks, and how each looked when it was last equal
 * to its blob. Read for a quick status, written under git's own lock when the branch moves.
 */
import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import type { Stats } from "node:fs";
import { join } from "node:path";
import { errnoOf, ImprintError } from "../../errors.ts";
import type { ObjectId } from "../port.ts";
import { replaceUnderLock } from "../store/lock.ts";
import { storageFailed } from "../store/quarantine.ts";

const ENTRY_BYTES = 62;
const LOCK_STALE_MS = 10 * 60_000;
const EXTENDED = 0x4000;
const STAGE = 0x3000;
const MAX_NAME = 0xfff;

export type IndexEntry = {
  readonly path: string;
  readonly id: ObjectId;
  /** The 40 bytes of times, device, owner, mode and size, as git wrote them. */
  readonly stat: Buffer;
  readonly flags: number;
  /** Version 3: flags such as "intent to add". */
  readonly moreFlags: number;
};
export type IndexFile = { readonly entries: ReadonlyMap<string, IndexEntry>; readonly writtenMs: number };

function unsupported(gitDir: string, state: string): ImprintError {
  return new ImprintError("GIT_MISSING", `Cannot use the work tree of ${gitDir} without git: ${state}; install git 2.34 or newer`);
}

function parse(bytes: Buffer, gitDir: string): Map<string, IndexEntry> {
  const end = bytes.length - 20;
  if (end < 12 || bytes.toString("latin1", 0, 4) !== "DIRC") throw unsupported(gitDir, "its index file is damaged");
  const sum = createHash("sha1").update(bytes.subarray(0, end)).digest();
  if (!sum.equals(bytes.subarray(end))) throw unsupported(gitDir, "its index file is damaged, or made without a checksum");
  const version = bytes.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw unsupported(gitDir, `its index file is of version ${String(version)}`);
  const entries = new Map<string, IndexEntry>();
  let at = 12;
  for (let left = bytes.readUInt32BE(8); left > 0; left--) {
    if (at + ENTRY_BYTES > end) throw unsupported(gitDir, "its index file is damaged");
    const flags = bytes.readUInt16BE(at + 60);
    const isExtended = (flags & EXTENDED) !== 0;
    const nameAt = at + ENTRY_BYTES + (isExtended ? 2 : 0);
    const nameEnd = bytes.indexOf(0, nameAt);
    if (nameEnd < 0 || nameEnd >= end) throw unsupported(gitDir, "its index file is damaged");
    const path = bytes.toString("utf8", nameAt, nameEnd);
    if ((flags & STAGE) !== 0) throw new ImprintError("WORK_TREE", `Cannot use ${gitDir}: ${JSON.stringify(path)} is in conflict`);
    entries.set(path, {
      path,
      id: bytes.toString("hex", at + 40, at + 60) as ObjectId,
      stat: Buffer.from(bytes.subarray(at, at + 40)),
      flags: flags & ~MAX_NAME,
      moreFlags: isExtended ? bytes.readUInt16BE(at + 62) : 0,
    });
    at += Math.ceil((nameEnd - at + 1) / 8) * 8;
  }
  // an extension that begins with a lower-case letter changes what the entries mean: split and sparse indices
  for (; at + 8 <= end; at += 8 + bytes.readUInt32BE(at + 4))
    if (!/^[A-Z]/u.test(bytes.toString("latin1", at, at + 1))) throw unsupported(gitDir, "its index is split or sparse");
  return entries;
}

/** The index of a work tree; without one, no entries. @throws ImprintError GIT_MISSING, WORK_TREE */
export async function readIndexFile(gitDir: string): Promise<IndexFile> {
  const path = join(gitDir, "index");
  try {
    if ((await readdir(gitDir)).some((name) => name.startsWith("sharedindex."))) throw unsupported(gitDir, "its index is split");
    const [bytes, info] = await Promise.all([readFile(path), stat(path)]);
    return { entries: parse(bytes, gitDir), writtenMs: info.mtimeMs };
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return { entries: new Map(), writtenMs: 0 };
    throw storageFailed(`read ${path}`, error);
  }
}

/** An entry for a file as it lies there now. */
export function entryFor(path: string, id: ObjectId, mode: "100644" | "100755", info: Stats): IndexEntry {
  const bytes = Buffer.alloc(40);
  const seconds = (ms: number): [number, number] => [Math.floor(ms / 1000), Math.floor((ms % 1000) * 1e6)];
  const fields = [
    ...seconds(info.ctimeMs),
    ...seconds(info.mtimeMs),
    info.dev,
    info.ino,
    Number.parseInt(mode, 8),
    info.uid,
    info.gid,
    info.size,
  ];
  for (const [nth, value] of fields.entries()) bytes.writeUInt32BE(Math.floor(value) % 2 ** 32, nth * 4);
  return { path, id, stat: bytes, flags: 0, moreFlags: 0 };
}

/** Whether a file is surely as it was when its entry was written, without reading it. Racy moments count as unsure. */
export function looksUntouched(entry: IndexEntry, info: Stats, writtenMs: number): boolean {
  const mtimeMs = entry.stat.readUInt32BE(8) * 1000 + Math.floor(entry.stat.readUInt32BE(12) / 1e6);
  return (
    Math.floor(info.mtimeMs) === mtimeMs &&
    info.size % 2 ** 32 === entry.stat.readUInt32BE(36) &&
    // git's own caution, and a second more: some file systems count in whole ones
    mtimeMs + 1000 < writtenMs
  );
}

function format(entries: readonly IndexEntry[]): Buffer {
  const isExtended = entries.some(({ moreFlags }) => moreFlags !== 0);
  const head = Buffer.from("DIRC\0\0\0\u0002\0\0\0\0", "latin1");
  head.writeUInt32BE(isExtended ? 3 : 2, 4);
  head.writeUInt32BE(entries.length, 8);
  const parts: Buffer[] = [head];
  for (const { path, id, stat: bytes, flags, moreFlags } of entries) {
    const name = Buffer.from(path, "utf8");
    const more = moreFlags === 0 ? 0 : 2;
    const length = ENTRY_BYTES + more + name.length;
    const entry = Buffer.alloc(Math.ceil((length + 1) / 8) * 8);
    bytes.copy(entry, 0);
    entry.write(id, 40, "hex");
    entry.writeUInt16BE((flags & ~EXTENDED) | (more === 0 ? 0 : EXTENDED) | Math.min(name.length, MAX_NAME), 60);
    if (more !== 0) entry.writeUInt16BE(moreFlags, 62);
    name.copy(entry, ENTRY_BYTES + more);
    parts.push(entry);
  }
  const body = Buffer.concat(parts);
  return Buffer.concat([body, createHash("sha1").update(body).digest()]);
}

/** Changes entries (null: removes them) under `index.lock`, as git does. */
export async function updateIndexFile(gitDir: string, changes: ReadonlyMap<string, IndexEntry | null>): Promise<void> {
  const path = join(gitDir, "index");
  try {
    await replaceUnderLock(path, LOCK_STALE_MS, async () => {
      const entries = new Map((await readIndexFile(gitDir)).entries);
      for (const [name, entry] of changes) {
        if (entry === null) entries.delete(name);
        else entries.set(name, entry);
      }
      const sorted = [...entries.values()].toSorted((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
      return format(sorted);
    });
  } catch (error) {
    throw storageFailed(`write ${path}`, error);
  }
}
