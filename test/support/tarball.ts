/**
 * Tarballs made by hand: honest ones in one call, hostile ones header by header. Same input, same bytes.
 */
import { gzipSync } from "node:zlib";

const BLOCK_BYTES = 512;

export type RawEntry = {
  /** Goes into the name field as it is, cut at 100 bytes. */
  readonly path: string | Uint8Array;
  /** Type flag; `"0"` (file) unless given. */
  readonly type?: string;
  readonly content?: string | Uint8Array;
  /** The size field's text, where it is to lie. */
  readonly size?: string;
  readonly linkname?: string;
  readonly prefix?: string;
  /** 8 bytes; ustar's unless given. */
  readonly magic?: string;
  /** Last change before the checksum is made. */
  readonly patch?: (block: Buffer) => void;
  /** A checksum to write instead of the right one. */
  readonly checksum?: string;
};

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? Buffer.from(content) : content;
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((BLOCK_BYTES - (bytes.length % BLOCK_BYTES)) % BLOCK_BYTES)]);
}

/** One entry as it stands in a tar: header, content, padding. */
export function rawEntry(entry: RawEntry): Buffer {
  const content = bytesOf(entry.content ?? "");
  const block = Buffer.alloc(BLOCK_BYTES);
  block.set(bytesOf(entry.path).subarray(0, 100), 0);
  block.write("0000644\0", 100, "latin1");
  block.write("0000000\0", 108, "latin1");
  block.write("0000000\0", 116, "latin1");
  block.write(entry.size ?? `${content.length.toString(8).padStart(11, "0")}\0`, 124, 12, "latin1");
  block.write("00000000000\0", 136, "latin1");
  block.write(entry.type ?? "0", 156, 1, "latin1");
  block.write(entry.linkname ?? "", 157, 100, "utf8");
  block.write(entry.magic ?? "ustar\x0000", 257, 8, "latin1");
  block.write(entry.prefix ?? "", 345, 155, "utf8");
  entry.patch?.(block);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(entry.checksum ?? `${sum.toString(8).padStart(6, "0")}\0 `, 148, 8, "latin1");
  return Buffer.concat([block, padded(content)]);
}

/** A pax header for the entry that follows (`"g"`: for all that follow). */
export function paxEntry(records: Readonly<Record<string, string>>, type: "x" | "g" = "x"): RawEntry {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.byteLength(` ${key}=${value}\n`);
    let length = rest + 1;
    while (length !== rest + String(length).length) length = rest + String(length).length;
    return `${length} ${key}=${value}\n`;
  });
  return { path: "PaxHeader/x", type, content: lines.join("") };
}

/** GNU's way to give the entry that follows a long name. */
export function gnuLongNameEntry(path: string): RawEntry {
  return { path: "././@LongLink", type: "L", content: `${path}\0`, magic: "ustar  \0" };
}

/** A tar of exactly these entries, with its two zero blocks. */
export function rawTar(entries: readonly RawEntry[]): Buffer {
  return Buffer.concat([...entries.map(rawEntry), Buffer.alloc(2 * BLOCK_BYTES)]);
}

/** Gzip without time and system in its header. */
export function gzip(bytes: Uint8Array): Uint8Array {
  const packed = gzipSync(bytes, { level: 9 });
  packed[9] = 0xff;
  return new Uint8Array(packed);
}

/** A .tgz of exactly these entries. */
export function rawTarball(entries: readonly RawEntry[]): Uint8Array {
  return gzip(rawTar(entries));
}

/**
 * A .tgz as `npm pack` would make it: each file under `prefix` (`package` unless given), in the order given.
 *
 * @param files path inside the package → content
 */
export async function makeTarball(
  files: Readonly<Record<string, string | Uint8Array>>,
  options: { readonly prefix?: string } = {},
): Promise<Uint8Array> {
  const entries = Object.entries(files).flatMap(([file, content]): RawEntry[] => {
    const path = `${options.prefix ?? "package"}/${file}`;
    const fits = Buffer.byteLength(path) <= 100 && /^[\x20-\x7e]*$/.test(path);
    return fits ? [{ path, content }] : [paxEntry({ path }), { path, content }];
  });
  return Promise.resolve(rawTarball(entries));
}

/** A .tgz of a package with this package.json (`name` and `version` filled in) and an index.js. */
export function makePackage(
  packageJson: Readonly<Record<string, unknown>> = {},
  files: Readonly<Record<string, string | Uint8Array>> = {},
): Promise<Uint8Array> {
  const full = { name: "@alice/hello", version: "1.0.0", ...packageJson };
  return makeTarball({ "package.json": `${JSON.stringify(full, null, 2)}\n`, "index.js": "module.exports = 1;\n", ...files });
}
