import { decodeStrictly } from "./tar-header.ts";
import { quote, tarballRefused } from "./refuse.ts";

/**
 * Keys that change nothing of what a client unpacks. All others are refused: `type`, `linkpath`, `charset` and
 * `GNU.sparse.*` are read by some unpackers and skipped by others, which then see different files.
 */
const HARMLESS = /^(mtime|atime|ctime|uid|gid|uname|gname|comment|(SCHILY|LIBARCHIVE|NODETAR)\.[A-Za-z0-9_.:-]+)$/;
const REFUSED_VENDOR = /^SCHILY\.(realsize|filetype|linktype)$/;

export type Pax = {
  readonly path?: string;
  /** Bytes of the entry behind it. Some unpackers go by this, some by the plain header: they have to agree. */
  readonly size?: number;
};

/**
 * What a pax extended header says of the entry behind it. Records are `<length> <key>=<value>\n`; one that holds a line feed
 * or NUL is refused, since npm's reader splits at line feeds and would find another record inside the value.
 */
export function parsePax(bytes: Uint8Array): Pax {
  let pax: Pax = {};
  const seen = new Set<string>();
  for (let at = 0; at < bytes.length;) {
    const digits = /^([1-9][0-9]{0,6}) /.exec(Buffer.from(bytes.subarray(at, at + 8)).toString("latin1"))?.[1];
    const length = Number(digits ?? Number.NaN);
    const record = bytes.subarray(at, at + length);
    if (digits === undefined || record.length !== length || record.indexOf(0x0a) !== length - 1) {
      throw tarballRefused("a pax header is malformed");
    }
    const text = decodeStrictly(record.subarray(digits.length + 1, -1), "a pax header");
    const equals = text.indexOf("=");
    const key = text.slice(0, Math.max(equals, 0));
    if (key === "" || text.includes("\0")) throw tarballRefused("a pax header is malformed");
    if (seen.has(key)) throw tarballRefused(`a pax header has ${quote(key)} twice`);
    seen.add(key);
    const value = text.slice(equals + 1);
    if (key === "path") pax = { ...pax, path: value };
    else if (key === "size" && /^(0|[1-9][0-9]{0,14})$/.test(value)) pax = { ...pax, size: Number(value) };
    else if (!HARMLESS.test(key) || REFUSED_VENDOR.test(key)) throw tarballRefused(`a pax header sets ${quote(key)}`);
    at += length;
  }
  return pax;
}
