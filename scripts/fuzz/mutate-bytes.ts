/** Mutations of one file's bytes: what a broken disk or a careless liar does. */
import type { Random } from "./random.ts";

type Change = (bytes: Buffer, random: Random, others: () => Uint8Array) => Buffer;

const some = (bytes: Buffer, random: Random): [number, number] => {
  const at = random.int(bytes.length + 1);
  return [at, at + random.int(Math.min(64, bytes.length - at + 1))];
};
const splice = (bytes: Buffer, from: number, to: number, put: Uint8Array): Buffer =>
  Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(to)]);

export const BYTE_CHANGES: Readonly<Record<string, Change>> = {
  "flip a bit": (bytes, random) => {
    const at = random.int(bytes.length);
    return splice(bytes, at, at + 1, Buffer.from([(bytes[at] ?? 0) ^ (1 << random.int(8))]));
  },
  // Letters and digits stay such: base64, hashes and numbers remain well-formed, only others.
  "change a character": (bytes, random) => {
    const at = random.int(bytes.length);
    const char = random.pick(Buffer.from("0123456789abcdefABCDEFxyzXYZ_-").toJSON().data);
    return splice(bytes, at, at + 1, Buffer.from([char]));
  },
  "delete bytes": (bytes, random) => splice(bytes, ...some(bytes, random), Buffer.alloc(0)),
  "insert bytes": (bytes, random) => {
    const at = random.int(bytes.length + 1);
    return splice(bytes, at, at, Buffer.from(Array.from({ length: 1 + random.int(16) }, () => random.int(256))));
  },
  "insert text": (bytes, random) => {
    const at = random.int(bytes.length + 1);
    return splice(
      bytes,
      at,
      at,
      Buffer.from(random.pick([" ", "\n", "\t", "\ufeff", "\u0000", '"', "{", "[", ",", "1e400", "\\ud800", "//"])),
    );
  },
  "double bytes": (bytes, random) => {
    const [from, to] = some(bytes, random);
    return splice(bytes, to, to, bytes.subarray(from, to));
  },
  truncate: (bytes, random) => bytes.subarray(0, random.int(bytes.length)),
  "splice in another file": (bytes, random, others) => {
    const other = Buffer.from(others());
    const [from, to] = some(bytes, random);
    const [start, end] = some(other, random);
    return splice(bytes, from, to, other.subarray(start, end));
  },
  "head of one, tail of another": (bytes, random, others) => {
    const at = random.int(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(others()).subarray(at)]);
  },
  "swell past the cap": (bytes, random) => Buffer.concat([bytes, Buffer.alloc(random.pick([100, 70_000, 300_000, 1_100_000]), 0x20)]),
};

export function changeBytes(
  bytes: Uint8Array,
  random: Random,
  others: () => Uint8Array,
): { readonly bytes: Uint8Array; readonly how: string } {
  const how = random.once(400)
    ? "swell past the cap"
    : random.pick(Object.keys(BYTE_CHANGES).filter((name) => name !== "swell past the cap"));
  return { bytes: new Uint8Array((BYTE_CHANGES[how] as Change)(Buffer.from(bytes), random, others)), how };
}
