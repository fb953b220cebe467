/**
 * One 512-byte tar header, read the strict way.
 *
 * The clients that will unpack a tarball (npm, pnpm, yarn, bun, deno) each have a reader of their own, and these differ
 * wherever the format is loose: junk after the NUL of a name, `prefix` under an unknown magic, sizes in base 256, link
 * names on plain files. An author who knows that can show us one package and a client another. So only headers that
 * every reader takes the same way pass; honest packers write no others.
 */
import { tarballRefused } from "./refuse.ts";

const BLOCK_BYTES = 512;
const lenientUtf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const strictUtf8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

export type EntryKind = "file" | "folder" | "pax" | "globalPax" | "gnuLongName";

const KINDS: ReadonlyMap<number, EntryKind> = new Map([
  [0x00, "file"],
  [0x30, "file"], // 0
  [0x35, "folder"], // 5
  [0x78, "pax"], // x
  [0x67, "globalPax"], // g
  [0x4c, "gnuLongName"], // L
]);

const REFUSED_KINDS: ReadonlyMap<number, string> = new Map([
  [0x31, "a hard link"],
  [0x32, "a symbolic link"],
  [0x33, "a character device"],
  [0x34, "a block device"],
  [0x36, "a FIFO"],
  [0x4b, "a link with a long name"],
]);

/** Numbers that no client uses, in headers that bun takes for no archive when they are none. */
const UNUSED_NUMBERS = [
  ["uid", 108, 8],
  ["gid", 116, 8],
  ["mtime", 136, 12],
  ["devmajor", 329, 8],
  ["devminor", 337, 8],
] as const;

export type TarHeader = {
  readonly kind: EntryKind;
  /** Bytes of content that follow. */
  readonly sizeBytes: number;
  /** Permissions: at most 0o777. */
  readonly mode: number;
  /** The header's own path, prefix included, as it stands there; may be cut short where an extended header follows. */
  readonly path: Uint8Array;
};

/** UTF-8 or a refusal: replacement characters would make different names equal. */
export function decodeStrictly(bytes: Uint8Array, what: string): string {
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw tarballRefused(`${what} is not UTF-8`, cause);
  }
}

/** For paths that are only compared, such as names cut in the middle of a character. */
export function decodeLeniently(bytes: Uint8Array): string {
  return lenientUtf8.decode(bytes);
}

export function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 1) if (bytes[at] !== 0) return false;
  return true;
}

function latin1(field: Uint8Array): string {
  return Buffer.from(field.buffer, field.byteOffset, field.length).toString("latin1");
}

function octal(field: Uint8Array, what: string): number {
  const text = /^ *([0-7]{1,11})[ \0]*$/.exec(latin1(field));
  if (text?.[1] === undefined) throw tarballRefused(`a header's ${what} is not a plain octal number`);
  return Number.parseInt(text[1], 8);
}

/** Octal, nothing, or base 256 as GNU's tar writes ids above 2097151: what every reader skips in the same way. */
function requireNumber(field: Uint8Array, what: string): void {
  if (field[0] === 0x80) return;
  if (!/^[ \0]*$|^ *[0-7]{1,12}[ \0]*$/.test(latin1(field))) throw tarballRefused(`a header's ${what} is not a plain octal number`);
}

/**
 * The mode of a file or folder. deno gives a file exactly these permissions, npm adds to them, pnpm and yarn 4 keep one bit:
 * whether anybody may execute it. So its owner must be able to read it, and to execute it where anybody can.
 */
function modeOf(block: Uint8Array, kind: EntryKind): number {
  const mode = octal(block.subarray(100, 108), "mode");
  if (kind !== "file" && kind !== "folder") return mode;
  if (mode > 0o777) throw tarballRefused(`an entry's mode is ${mode.toString(8)}: set-uid, set-gid, sticky and type bits are not allowed`);
  if (kind === "file" && (mode & 0o400) === 0) throw tarballRefused(`a file's mode is ${mode.toString(8)}: its owner could not read it`);
  if (kind === "file" && (mode & 0o111) !== 0 && (mode & 0o100) === 0)
    throw tarballRefused(`a file's mode is ${mode.toString(8)}: others could execute it, its owner could not`);
  return mode;
}

function textField(field: Uint8Array, what: string): Uint8Array {
  const end = field.indexOf(0);
  if (end === -1) return field;
  if (!isZero(field.subarray(end))) throw tarballRefused(`a header has bytes hidden behind its ${what}`);
  return field.subarray(0, end);
}

function checksum(block: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < BLOCK_BYTES; at += 1) if (at < 148 || at >= 156) sum += block[at] ?? 0;
  return sum;
}

function prefixOf(block: Uint8Array): Uint8Array {
  const magic = Buffer.from(block.buffer, block.byteOffset + 257, 8).toString("latin1");
  if (magic === "ustar\x0000") {
    // Some writers keep times in the last 25 bytes where the prefix is short; every reader stops at the NUL before.
    const short = block[475] === 0;
    return textField(block.subarray(345, short ? 475 : 500), "path prefix");
  }
  // GNU and older headers have no prefix: bytes there are one to some readers and nothing to others.
  if (!isZero(block.subarray(345, 500))) throw tarballRefused("a header without ustar magic has a path prefix");
  return new Uint8Array(0);
}

/** The header in `block` (512 bytes); null for the zero block that ends an archive. */
export function decodeHeader(block: Uint8Array): TarHeader | null {
  if (isZero(block)) return null;
  // pnpm's reader takes it for the end of the archive, whatever the rest of the header says.
  if (block[0] === 0) throw tarballRefused("a header begins with a NUL where its name should be");
  if (octal(block.subarray(148, 156), "checksum") !== checksum(block)) throw tarballRefused("a header's checksum is wrong");
  const type = block[156] ?? 0;
  const kind = KINDS.get(type);
  const name = textField(block.subarray(0, 100), "name");
  const prefix = prefixOf(block);
  if (kind === undefined) {
    throw tarballRefused(`it has ${REFUSED_KINDS.get(type) ?? `an entry of unknown type ${type}`}; only files and folders are allowed`);
  }
  if (!isZero(block.subarray(157, 257))) throw tarballRefused("a header that is no link names a link target");
  const sizeBytes = octal(block.subarray(124, 136), "size");
  for (const [what, at, length] of UNUSED_NUMBERS) requireNumber(block.subarray(at, at + length), what);
  const path = prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]);
  const mode = modeOf(block, kind);
  return { kind, sizeBytes, mode, path: path.slice() };
}
