/** Area `signatures`: which keys and signatures count. Points of small order are computed here, from the curve. */
import { Point } from "@noble/ed25519";
import { createHash } from "node:crypto";
import { signMessage } from "../../src/crypto/ed25519.ts";
import { key, type Vector, vector } from "./kit.ts";

const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const P = 2n ** 255n - 19n;

function little(value: bigint): Uint8Array {
  const out = new Uint8Array(32);
  for (let i = 0; i < 32; i++) out[i] = Number((value >> BigInt(8 * i)) & 255n);
  return out;
}

function big(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

const sha512 = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(createHash("sha512").update(Buffer.concat(parts)).digest());
const mod = (value: bigint): bigint => ((value % L) + L) % L;

/** The first point of order 8: [L]P for the first P that has such a component. */
function orderEight(): Point {
  for (let y = 2n; ; y++) {
    try {
      const point = Point.fromBytes(little(y), false);
      const torsion = point.multiply(L - 1n).add(point);
      if (!torsion.double().double().equals(Point.ZERO)) return torsion;
    } catch {
      // no point has this y
    }
  }
}

/** Scalar of a test key, clamped as RFC 8032 says. */
function scalar(seed: Uint8Array): bigint {
  const hash = sha512(seed).slice(0, 32);
  hash[0] = (hash[0] as number) & 248;
  hash[31] = ((hash[31] as number) & 127) | 64;
  return mod(big(hash));
}

export function signatureVectors(): readonly Vector[] {
  const message = new TextEncoder().encode("imprint test vector");
  const { publicKey, seed } = key("signature");
  const a = scalar(seed);
  const good = signMessage(key("signature"), message);
  const T = orderEight();
  const A = Point.fromBytes(publicKey, false);
  const r = 12345n;
  const R = Point.BASE.multiply(r);
  const challenge = (pointR: Uint8Array, pointA: Uint8Array): bigint => mod(big(sha512(pointR, pointA, message)));
  const signature = (pointR: Uint8Array, s: bigint): Uint8Array => new Uint8Array([...pointR, ...little(s)]);
  const flip = (bytes: Uint8Array, at: number, bit = 1): Uint8Array => bytes.map((byte, i) => (i === at ? byte ^ bit : byte));

  const make = (
    name: string,
    description: string,
    valid: boolean,
    from: Uint8Array,
    over: Uint8Array,
    bytes: Uint8Array,
    acceptableKey = true,
  ): Vector =>
    vector(
      "signatures",
      name,
      description,
      { ...(valid ? {} : { error: acceptableKey ? "BAD_SIGNATURE" : "INVALID_DOCUMENT" }), schemaValid: null },
      {
        publicKey: Buffer.from(from).toString("hex"),
        acceptableKey,
        message: Buffer.from(over).toString("hex"),
        signature: Buffer.from(bytes).toString("hex"),
      },
    );
  const badKey = (name: string, description: string, bytes: Uint8Array): Vector =>
    make(name, description, false, bytes, message, signature(R.toBytes(), mod(r + challenge(R.toBytes(), bytes) * a)), false);

  const mixedA = A.add(T).toBytes();
  const mixedR = R.add(T).toBytes();
  const identity = Point.ZERO.toBytes();
  return [
    make("ok", "A good signature", true, publicKey, message, good),
    make(
      "ok-empty-message",
      "A good signature of no bytes",
      true,
      publicKey,
      new Uint8Array(),
      signMessage(key("signature"), new Uint8Array()),
    ),
    make(
      "ok-chosen-r",
      "A good signature whose R was chosen, not derived",
      true,
      publicKey,
      message,
      signature(R.toBytes(), mod(r + challenge(R.toBytes(), publicKey) * a)),
    ),
    make(
      "ok-r-identity",
      "R is the point 0, in its one encoding: odd, yet [S]B - [k]A encodes to it",
      true,
      publicKey,
      message,
      signature(identity, mod(challenge(identity, publicKey) * a)),
    ),
    make("message-changed", "Another message", false, publicKey, flip(message, 0), good),
    make("r-changed", "One bit of R flipped", false, publicKey, message, flip(good, 0)),
    make("s-changed", "One bit of S flipped", false, publicKey, message, flip(good, 32)),
    make(
      "s-plus-l",
      "S + L: the same equation, another spelling",
      false,
      publicKey,
      message,
      signature(good.slice(0, 32), big(good.slice(32)) + L),
    ),
    make("s-equals-l", "S = L", false, publicKey, message, signature(good.slice(0, 32), L)),
    make("s-high-bit", "The highest bit of S set", false, publicKey, message, flip(good, 63, 128)),
    make("signature-63-bytes", "A signature of 63 bytes", false, publicKey, message, good.slice(0, 63)),
    make("signature-65-bytes", "A signature of 65 bytes", false, publicKey, message, new Uint8Array([...good, 0])),
    make("signature-empty", "A signature of no bytes", false, publicKey, message, new Uint8Array()),
    make("other-key", "The signature of another key", false, key("other").publicKey, message, good),
    make(
      "r-mixed-order",
      "R has a component of small order: passes where both sides are multiplied by 8",
      false,
      publicKey,
      message,
      signature(mixedR, mod(r + challenge(mixedR, publicKey) * a)),
    ),
    make(
      "r-small-order",
      "R is of order 8: passes where both sides are multiplied by 8",
      false,
      publicKey,
      message,
      signature(T.toBytes(), mod(challenge(T.toBytes(), publicKey) * a)),
    ),
    make(
      "r-not-canonical",
      "R is the point 0 with y = p + 1",
      false,
      publicKey,
      message,
      signature(little(P + 1n), mod(challenge(little(P + 1n), publicKey) * a)),
    ),
    badKey("key-mixed-order", "A key with a component of small order: passes where both sides are multiplied by 8", mixedA),
    make(
      "key-identity",
      "The key is the point 0: S = 0, R = 0 would sign every message",
      false,
      identity,
      message,
      signature(identity, 0n),
      false,
    ),
    make("key-order-8", "The key is a point of order 8", false, T.toBytes(), message, signature(identity, 0n), false),
    make("key-order-4", "The key is a point of order 4", false, T.double().toBytes(), message, signature(identity, 0n), false),
    make("key-order-2", "The key is the point of order 2", false, T.double().double().toBytes(), message, signature(identity, 0n), false),
    make("key-not-canonical", "The key is the point 0 with y = p + 1", false, little(P + 1n), message, signature(identity, 0n), false),
    make(
      "key-negative-zero",
      "The key has x = 0 and the sign bit set",
      false,
      flip(identity, 31, 128),
      message,
      signature(identity, 0n),
      false,
    ),
    make("key-not-on-curve", "No point has this y", false, little(firstOffCurve()), message, good, false),
    make("key-31-bytes", "A key of 31 bytes", false, publicKey.slice(0, 31), message, good, false),
    make("key-33-bytes", "A key of 33 bytes", false, new Uint8Array([...publicKey, 0]), message, good, false),
  ];
}

/** Keys that look like keys and are none, for roots that name them. */
export function unsafeKeys(): {
  readonly smallOrder: Uint8Array;
  readonly mixedOrder: Uint8Array;
  readonly notCanonical: Uint8Array;
  readonly notOnCurve: Uint8Array;
} {
  const T = orderEight();
  return {
    smallOrder: T.toBytes(),
    mixedOrder: Point.fromBytes(key("publisher").publicKey, false).add(T).toBytes(),
    notCanonical: little(P + 1n),
    notOnCurve: little(firstOffCurve()),
  };
}

function firstOffCurve(): bigint {
  for (let y = 2n; ; y++) {
    try {
      Point.fromBytes(little(y), false);
    } catch {
      return y;
    }
  }
}
