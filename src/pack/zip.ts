/**
 * The files of a zip archive with a digest each: what yarn 4 keeps packages in. Read by its central directory, as yarn's own
 * reader does; names that stand twice, encryption, links and anything but stored and deflated files are refused.
 */
import { inflateRawSync } from "node:zlib";
import { ImprintError } from "../errors.ts";
import { FileDigest } from "./contents.ts";
import { PACK_LIMITS } from "./limits.ts";

export type ZipContents = {
  readonly files: ReadonlyMap<string, string>;
  /** Of the path that was asked for. */ readonly kept: Uint8Array | null;
};

const END_BYTES = 22;
const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const LINK_MODE = 0o120000;
const TYPE_MODE = 0o170000;

/** @param keep path of one file whose bytes are wanted, too. @throws ImprintError TARBALL_REFUSED */
export function readZipContents(bytes: Uint8Array, keep: string): ZipContents {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = endOf(view);
  const count = view.readUInt16LE(end + 10);
  let at = view.readUInt32LE(end + 16);
  if (count === 0xffff || count > PACK_LIMITS.maxEntries) throw refused("has too many files");
  const files = new Map<string, string>();
  let kept: Uint8Array | null = null;
  let total = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > end || view.readUInt32LE(at) !== CENTRAL) throw refused("has a broken directory");
    const [flags, method] = [view.readUInt16LE(at + 8), view.readUInt16LE(at + 10)];
    const [packed, size] = [view.readUInt32LE(at + 20), view.readUInt32LE(at + 24)];
    const [nameBytes, extraBytes, commentBytes] = [view.readUInt16LE(at + 28), view.readUInt16LE(at + 30), view.readUInt16LE(at + 32)];
    const mode = view.readUInt16LE(at + 40);
    const local = view.readUInt32LE(at + 42);
    const name = view.toString("utf8", at + 46, at + 46 + nameBytes);
    at += 46 + nameBytes + extraBytes + commentBytes;
    if (name.endsWith("/")) continue;
    if (files.has(name)) throw refused(`has ${JSON.stringify(name)} twice`);
    if ((flags & 1) !== 0 || (mode & TYPE_MODE) === LINK_MODE) throw refused(`has a link or an encrypted file, ${JSON.stringify(name)}`);
    total += size;
    if (total > PACK_LIMITS.maxUnpackedBytes) throw refused("unpacks to too much");
    const content = contentAt(view, local, packed, size, method, name);
    const digest = new FileDigest();
    digest.update(content);
    files.set(name, digest.hex());
    if (name === keep) kept = content;
  }
  return { files, kept };
}

function contentAt(view: Buffer, local: number, packed: number, size: number, method: number, name: string): Uint8Array {
  if (local + 30 > view.length || view.readUInt32LE(local) !== LOCAL) throw refused("has a file without a header");
  const from = local + 30 + view.readUInt16LE(local + 26) + view.readUInt16LE(local + 28);
  if (from + packed > view.length) throw refused("is cut short");
  const raw = view.subarray(from, from + packed);
  if (method === 0 && packed === size) return raw;
  if (method !== 8) throw refused(`has a file packed in an unknown way, ${JSON.stringify(name)}`);
  try {
    const content = inflateRawSync(raw, { maxOutputLength: Math.max(1, size) });
    if (content.length === size) return content;
  } catch (cause) {
    throw refused(`has a broken file, ${JSON.stringify(name)}`, cause);
  }
  throw refused(`has a broken file, ${JSON.stringify(name)}`);
}

/** Its last 22 bytes: an archive with a comment behind it is none of yarn's. */
function endOf(view: Buffer): number {
  const end = view.length - END_BYTES;
  if (end < 0 || view.readUInt32LE(end) !== END || view.readUInt16LE(end + 20) !== 0) throw refused("does not end as yarn's do");
  return end;
}

function refused(what: string, cause?: unknown): ImprintError {
  return new ImprintError("TARBALL_REFUSED", `Cannot read the archive: it ${what}`, { cause });
}
