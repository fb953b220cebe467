import { decodeStrictly } from "./tar-header.ts";
import { quote, tarballRefused } from "./refuse.ts";

/**
 * Keys that change nothing of what a client unpacks. All others are refused: `size`, `type`, `linkpath`, `charset` and
 * `GNU.sparse.*` are read by some unpackers and skipped by others, which then see different files.
 */
const HARMLESS = /^(mtime|atime|ctime|uid|gid|uname|gname|comment|(SCHILY|LIBARCHIVE|NODETAR)\.[A-Za-z0-9_.:-]+)$/;
const REFUSED_VENDOR = /^SCHILY\.(realsize|filetype|linktype)$/;

/**
 * The `path` of a pax extended header, or undefined. Records are `<length> <key>=<value>\n`; one that holds a line feed
 * or NUL is refused, since npm's reader splits at line feeds and would find another record inside the value.
 */
export function parsePax(bytes: Uint8Array): string | undefined {
  let path: string | undefined;
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
    if (key === "path") path = text.slice(equals + 1);
    else if (!HARMLESS.test(key) || REFUSED_VENDOR.test(key)) throw tarballRefused(`a pax header sets ${quote(key)}`);
    at += length;
  }
  return path;
}
