/**
 * Strict Ed25519, by two implementations that must agree on every input (vectors decide).
 *
 * A key counts only if its encoding is canonical, its point not of small order and free of torsion. A signature is 64
 * bytes with S < L and is good if and only if the encoding of [S]B − [k]A equals its R, byte for byte. OpenSSL, through
 * `node:crypto`, computes just that once the key is acceptable. noble's check multiplies by the cofactor, so R's torsion
 * is tested beside it; its default mode (ZIP 215) accepts more and is never used.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign as nodeSign,
  verify as nodeVerify,
  type KeyObject,
} from "node:crypto";
import { hashes, Point, verify as nobleVerify } from "@noble/ed25519";
import { LRUCache } from "lru-cache";
import { toHex } from "../format/bytes.ts";

// noble leaves the choice of SHA-512 to its user; without it, only its asynchronous calls work.
hashes.sha512 = (message) => new Uint8Array(createHash("sha512").update(message).digest());

const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/** One index has a handful of keys and a hundred thousand signatures: the point arithmetic is done once a key. */
type Known = { readonly acceptable: boolean; object: KeyObject | null };
const known = new LRUCache<string, Known>({ max: 4096 });

/** @param publicKey raw, 32 bytes */
export function isAcceptableKey(publicKey: Uint8Array): boolean {
  return publicKey.byteLength === 32 && know(publicKey).acceptable;
}

function know(publicKey: Uint8Array): Known {
  const id = toHex(publicKey);
  const cached = known.get(id);
  if (cached !== undefined) return cached;
  const made: Known = { acceptable: isPrimeOrderPoint(publicKey), object: null };
  known.set(id, made);
  return made;
}

/**
 * Whether `signature` is a good signature of `message` by an acceptable `publicKey`. Never throws on hostile bytes.
 *
 * @param publicKey raw, 32 bytes
 * @param signature R and S, 64 bytes
 */
export function verifySignature(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  implementation: "node" | "noble" = "node",
): boolean {
  if (signature.byteLength !== 64 || publicKey.byteLength !== 32) return false;
  const key = know(publicKey);
  if (!key.acceptable) return false;
  if (implementation === "node") {
    key.object ??= publicKeyObject(publicKey);
    return nodeVerify(null, message, key.object, signature);
  }
  return isTorsionFreePoint(signature.subarray(0, 32)) && nobleVerify(signature, message, publicKey, { zip215: false });
}

/** A private key in memory: the seed of RFC 8032. */
export type PrivateKey = { readonly seed: Uint8Array; readonly publicKey: Uint8Array };

export function generatePrivateKey(): PrivateKey {
  const { privateKey } = generateKeyPairSync("ed25519");
  return privateKeyFromSeed(new Uint8Array(privateKey.export({ format: "der", type: "pkcs8" }).subarray(-32)));
}

/** @param seed 32 bytes */
export function privateKeyFromSeed(seed: Uint8Array): PrivateKey {
  const spki = createPublicKey(privateKeyObject(seed)).export({ format: "der", type: "spki" });
  return { seed, publicKey: new Uint8Array(spki.subarray(-32)) };
}

/** Opening a key costs OpenSSL ten times as much as signing with it: once for each key in memory. */
const opened = new WeakMap<PrivateKey, KeyObject>();

/** 64 bytes. */
export function signMessage(key: PrivateKey, message: Uint8Array): Uint8Array {
  const object = opened.get(key) ?? privateKeyObject(key.seed);
  opened.set(key, object);
  return new Uint8Array(nodeSign(null, message, object));
}

function privateKeyObject(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });
}

function publicKeyObject(publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: "der", type: "spki" });
}

function decodePoint(bytes: Uint8Array): Point | null {
  try {
    // Strict (zip215 false): it throws on a second encoding of a point (y ≥ p, or a sign bit on x = 0), which would be a
    // second name for one key. Vectors hold it to that.
    return Point.fromBytes(bytes, false);
  } catch {
    return null; // not canonical, or not on the curve
  }
}

function isPrimeOrderPoint(bytes: Uint8Array): boolean {
  const point = decodePoint(bytes);
  return point !== null && !point.isSmallOrder() && point.isTorsionFree();
}

function isTorsionFreePoint(bytes: Uint8Array): boolean {
  return decodePoint(bytes)?.isTorsionFree() === true;
}
