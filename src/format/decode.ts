/**
 * From `unknown` to branded values: the one place where raw JSON becomes types.
 *
 * A decoder takes a value and where it stands, and gives the typed value or throws. Nothing is coerced; only unknown
 * members are let through. Maps come back as `Map`, so that `__proto__` and `constructor` are keys like any other.
 */
import { ImprintError } from "../errors.ts";
import { type Digest, type FileHash, type IndexId, isDigest, isFileHash, isIndexId } from "./digest.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "./json.ts";
import { isPublicKey, isSignatureText, type PublicKey, type SignatureText } from "./keys.ts";
import { isPackageName, isPackagePattern, type PackageName, type PackagePattern } from "./names.ts";
import { isTimestamp, type Timestamp } from "./time.ts";
import { type DistTag, isDistTag, isVersion, type Version } from "./versions.ts";

declare const brand: unique symbol;
/** `sha512-` and canonical base64 of 64 bytes. */
export type Integrity = string & { readonly [brand]: "Integrity" };
/** sha1, 40 lower-case hex digits: what old clients ask for; nothing here relies on it. */
export type Shasum = string & { readonly [brand]: "Shasum" };
/** A short name that a person gave: 1 to 64 of `A-Za-z0-9._-`, first a letter or digit. */
export type DisplayName = string & { readonly [brand]: "DisplayName" };

export type Decoder<T> = (value: JsonValue, at: string) => T;

/** @throws ImprintError INVALID_DOCUMENT, always */
export function fail(at: string, expected: string): never {
  throw new ImprintError("INVALID_DOCUMENT", `Cannot read document: ${at === "" ? "it" : at} is not ${expected}`);
}

export const text: Decoder<string> = (value, at) => (typeof value === "string" ? value : fail(at, "a string"));
export const object: Decoder<JsonObject> = (value, at) => (isJsonObject(value) ? value : fail(at, "an object"));

/** An integer from `min` to `max` (2^53−1 unless told). */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Decoder<number> {
  return (value, at) =>
    typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : fail(at, `an integer from ${min} to ${max}`);
}

function guarded<T extends string>(guard: (value: string) => value is T, what: string): Decoder<T> {
  return (value, at) => {
    const raw = text(value, at);
    return guard(raw) ? raw : fail(at, what);
  };
}

export const indexId: Decoder<IndexId> = guarded(isIndexId, "an index id (64 lower-case hex digits)");
export const digest: Decoder<Digest> = guarded(isDigest, "a digest (64 lower-case hex digits)");
export const fileHash: Decoder<FileHash> = guarded(isFileHash, "a file hash (64 lower-case hex digits)");
export const publicKey: Decoder<PublicKey> = guarded(isPublicKey, "a key (ed25519: and 43 base64url characters)");
export const signatureText: Decoder<SignatureText> = guarded(isSignatureText, "a signature (86 base64url characters)");
export const packageName: Decoder<PackageName> = guarded(isPackageName, "a package name");
export const packagePattern: Decoder<PackagePattern> = guarded(isPackagePattern, "a package name, @scope/* or *");
export const version: Decoder<Version> = guarded(isVersion, "a version (SemVer without build metadata)");
export const distTag: Decoder<DistTag> = guarded(isDistTag, "a dist-tag");
export const timestamp: Decoder<Timestamp> = guarded(isTimestamp, "a time as 2026-11-22T20:57:00.000Z");
export const integrity: Decoder<Integrity> = guarded(isIntegrity, "an integrity (sha512- and base64)");
export const shasum: Decoder<Shasum> = guarded(isShasum, "a shasum (40 lower-case hex digits)");
export const displayName: Decoder<DisplayName> = guarded(isDisplayName, "a short name (A-Z a-z 0-9 . _ -, at most 64)");
export const refName: Decoder<string> = guarded(isFullRefName, "a full ref name such as refs/heads/main");
/** Printable and without spaces, at most 2,048 characters. Whether it may be contacted is decided where it is used. */
export const address: Decoder<string> = guarded(isAddress, "an address");

export function isIntegrity(value: string): value is Integrity {
  return /^sha512-[A-Za-z0-9+/]{85}[AQgw]==$/.test(value);
}

/** The sha512 of an integrity, 128 lower-case hex digits. */
export function integrityHex(value: Integrity): string {
  return Buffer.from(value.slice(7), "base64").toString("hex");
}

function isShasum(value: string): value is Shasum {
  return /^[0-9a-f]{40}$/.test(value);
}

export function isDisplayName(value: string): value is DisplayName {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value);
}

function isFullRefName(value: string): value is string {
  return (
    value.length <= 255 &&
    /^refs\/[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$/.test(value) &&
    !/\.\.|\.lock(\/|$)|\.(\/|$)/.test(value)
  );
}

export function isAddress(value: string): value is string {
  return /^[!-~]{1,2048}$/.test(value);
}

/** A member that must be there. */
export function member<T>(from: JsonObject, name: string, at: string, decode: Decoder<T>): T {
  const value = Object.hasOwn(from, name) ? from[name] : undefined;
  const path = at === "" ? name : `${at}.${name}`;
  if (value === undefined) throw new ImprintError("INVALID_DOCUMENT", `Cannot read document: ${path} is missing`);
  return decode(value, path);
}

/** A member that may be absent; null is not absent. */
export function optional<T>(from: JsonObject, name: string, at: string, decode: Decoder<T>): T | undefined {
  return Object.hasOwn(from, name) ? member(from, name, at, decode) : undefined;
}

export function nullable<T>(decode: Decoder<T>): Decoder<T | null> {
  return (value, at) => (value === null ? null : decode(value, at));
}

export function list<T>(decode: Decoder<T>, bounds: { min?: number; max?: number; distinct?: boolean } = {}): Decoder<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) return fail(at, "a list");
    const { min = 0, max = Number.MAX_SAFE_INTEGER, distinct = false } = bounds;
    if (value.length < min || value.length > max) return fail(at, `a list of ${min} to ${max}`);
    const items = (value as readonly JsonValue[]).map((item, i) => decode(item, `${at}[${i}]`));
    if (distinct && new Set(items).size !== items.length) return fail(at, "free of duplicates");
    return items;
  };
}

export function map<K extends string, T>(key: Decoder<K>, decode: Decoder<T>): Decoder<ReadonlyMap<K, T>> {
  return (value, at) => {
    const from = object(value, at);
    return new Map(Object.keys(from).map((name) => [key(name, `${at} key`), decode(from[name] as JsonValue, `${at}.${name}`)]));
  };
}

/** Refuses every member but these: where a misspelt one would silently widen what is trusted. */
export function onlyMembers(from: JsonObject, at: string, known: readonly string[]): void {
  for (const name of Object.keys(from)) {
    if (!known.includes(name)) fail(at === "" ? name : `${at}.${name}`, `a member that this imprint knows (${known.join(", ")})`);
  }
}
