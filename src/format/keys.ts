/** Keys and signatures as text: named by value, one spelling each. */
import { toBase64Url } from "./bytes.ts";

declare const brand: unique symbol;
/** `ed25519:` and 43 base64url characters. Says nothing yet of the point on the curve: see `crypto`. */
export type PublicKey = string & { readonly [brand]: "PublicKey" };
/** 86 base64url characters: 64 bytes. */
export type SignatureText = string & { readonly [brand]: "SignatureText" };
export type Signature = { readonly key: PublicKey; readonly signature: SignatureText };

const PREFIX = "ed25519:";
// The last character holds fewer bits than it could: those that it does not use are zero, or one key would have four spellings,
// each of them counted towards a threshold.
const KEY = /^ed25519:[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
const SIGNATURE = /^[A-Za-z0-9_-]{85}[AQgw]$/;

export function isPublicKey(text: string): text is PublicKey {
  return KEY.test(text);
}

export function isSignatureText(text: string): text is SignatureText {
  return SIGNATURE.test(text);
}

/** Raw 32 bytes of a key. */
export function publicKeyBytes(key: PublicKey): Uint8Array {
  return Buffer.from(key.slice(PREFIX.length), "base64url");
}

export function signatureBytes(signature: SignatureText): Uint8Array {
  return Buffer.from(signature, "base64url");
}

/** @param raw 32 bytes */
export function formatPublicKey(raw: Uint8Array): PublicKey {
  return `${PREFIX}${toBase64Url(raw)}` as PublicKey;
}

/** @param raw 64 bytes */
export function formatSignature(raw: Uint8Array): SignatureText {
  return toBase64Url(raw) as SignatureText;
}

/** A key short enough for a line of talk: `ed25519:h81c…0xE`. */
export function shortKey(key: PublicKey): string {
  return `${key.slice(0, PREFIX.length + 4)}…${key.slice(-3)}`;
}
