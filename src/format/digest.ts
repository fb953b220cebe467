/**
 * SHA-256 as the format uses it. It lives in `format` because paths depend on it (`packages/<hh>/…`), and hashing is a
 * pure function of bytes.
 */
import { hash } from "node:crypto";

declare const brand: unique symbol;
/** sha256 of a file's bytes, 64 lower-case hex digits. */
export type FileHash = string & { readonly [brand]: "FileHash" };
/** sha256 of the RFC 8785 bytes of a document's `signed`, 64 lower-case hex digits. */
export type Digest = string & { readonly [brand]: "Digest" };
/** The digest of an index's first root: its name for ever. */
export type IndexId = Digest & { readonly [idBrand]: "IndexId" };
declare const idBrand: unique symbol;

const HEX64 = /^[0-9a-f]{64}$/;

export function isFileHash(text: string): text is FileHash {
  return HEX64.test(text);
}

export function isDigest(text: string): text is Digest {
  return HEX64.test(text);
}

export function isIndexId(text: string): text is IndexId {
  return HEX64.test(text);
}

function sha256(bytes: Uint8Array): string {
  return hash("sha256", bytes, "hex");
}

export function fileHashOf(bytes: Uint8Array): FileHash {
  return sha256(bytes) as FileHash;
}

/** Digest of a document, given the canonical bytes of its `signed`. */
export function digestOf(canonicalBytes: Uint8Array): Digest {
  return sha256(canonicalBytes) as Digest;
}

/** The id that root 1 gives its index. */
export function indexIdOf(rootOneDigest: Digest): IndexId {
  return rootOneDigest as IndexId;
}
