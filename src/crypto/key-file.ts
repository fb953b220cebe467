/**
 * Key files: `<name>.root.json` and `<name>.daily.json`.
 *
 * Secrets are sealed with a key that scrypt derives from the passphrase, by ChaCha20-Poly1305; everything that is shown
 * or decided from the file (index id, purpose, public keys) is authenticated beside it, so a swapped id or public key
 * does not open. An empty passphrase is allowed: then whoever copies the file can publish, and `init` says so.
 */
import { LIMITS } from "../format/limits.ts";
import { createCipheriv, createDecipheriv, scrypt, type ScryptOptions } from "node:crypto";
import { totalmem } from "node:os";
import { promisify } from "node:util";
import { ImprintError, isImprintError } from "../errors.ts";
import { equalBytes, fromBase64Url, textOf, toBase64Url } from "../format/bytes.ts";
import {
  type Decoder,
  displayName,
  type DisplayName,
  fail,
  indexId,
  integer,
  list,
  member,
  object,
  publicKey,
  text,
} from "../format/decode.ts";
import type { IndexId } from "../format/digest.ts";
import { canonicalize, formatPretty, isJsonObject, type JsonObject, jsonObject, type JsonValue } from "../format/json.ts";
import { formatPublicKey, type PublicKey } from "../format/keys.ts";
import { type PrivateKey, privateKeyFromSeed } from "./ed25519.ts";

export type KeyPurpose = "root" | "publisher" | "checkpoint";
export type KeyFileKind = "root" | "daily";
export type StoredKey = { readonly purpose: KeyPurpose; readonly key: PrivateKey };
export type KeyFile = {
  readonly kind: KeyFileKind;
  readonly name: DisplayName;
  readonly index: IndexId;
  readonly keys: readonly StoredKey[];
};
/** What can be read without a passphrase. */
export type KeyFileHeader = {
  readonly kind: KeyFileKind;
  readonly name: DisplayName;
  readonly index: IndexId;
  readonly keys: readonly { readonly purpose: KeyPurpose; readonly publicKey: PublicKey }[];
  /** False where the passphrase is empty. */
  readonly protected: boolean;
};

const BLOCK = { r: 8, p: 1 } as const;
/** 128 MiB and a quarter of a second; a machine with little memory makes files of 32 MiB, as scrypt's paper had it for logins. */
const [STRONG_LOG_N, SMALL_MACHINE_LOG_N, SMALL_MACHINE_BYTES] = [17, 15, 2 ** 31];
/** Where there is no passphrase there is nothing to guess. */
const OPEN_LOG_N = 10;
/** A file asks for the work of opening it: more than this is an attack on memory, not a passphrase. */
const MAX_LOG_N = LIMITS.scryptLogN;
const MAX_BYTES = LIMITS.keyFileBytes;
const CIPHER = "chacha20-poly1305";

/** Cost of a new key file, as the exponent of 2 that scrypt takes. @param memoryBytes of the machine that makes it */
export function sealingCost(passphrase: string, memoryBytes: number): number {
  if (passphrase === "") return OPEN_LOG_N;
  return memoryBytes < SMALL_MACHINE_BYTES ? SMALL_MACHINE_LOG_N : STRONG_LOG_N;
}

/**
 * @param random returns that many fresh random bytes
 * @param logN cost of opening it, which the file tells; opening asks for 2^logN KiB of memory
 */
export async function sealKeyFile(
  file: KeyFile,
  passphrase: string,
  random: (bytes: number) => Uint8Array,
  logN = sealingCost(passphrase, totalmem()),
): Promise<Uint8Array> {
  const salt = random(16);
  const nonce = random(12);
  const header = jsonObject([
    ["format", 1],
    ["type", "imprint.keys"],
    ["kind", file.kind],
    ["name", file.name],
    ["index", file.index],
    ["protected", passphrase !== ""],
    [
      "keys",
      file.keys.map(({ purpose, key }) =>
        jsonObject([
          ["purpose", purpose],
          ["publicKey", formatPublicKey(key.publicKey)],
        ]),
      ),
    ],
    [
      "scrypt",
      jsonObject([
        ["logN", logN],
        ["p", BLOCK.p],
        ["r", BLOCK.r],
        ["salt", toBase64Url(salt)],
      ]),
    ],
    ["cipher", CIPHER],
    ["nonce", toBase64Url(nonce)],
  ]);
  const cipher = createCipheriv(CIPHER, await deriveKey(passphrase, salt, logN), nonce, { authTagLength: 16 });
  cipher.setAAD(canonicalize(header), { plaintextLength: file.keys.length * 32 });
  const secret = Buffer.concat(file.keys.map(({ key }) => key.seed));
  const sealed = Buffer.concat([cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
  return formatPretty(jsonObject([...Object.entries(header), ["sealed", toBase64Url(sealed)]]));
}

/** @throws ImprintError KEY_INVALID */
export function readKeyFileHeader(bytes: Uint8Array): KeyFileHeader {
  return asKeyError(() => decodeHeader(parseFile(bytes)));
}

/** @throws ImprintError KEY_INVALID, PASSPHRASE_WRONG */
export async function openKeyFile(bytes: Uint8Array, passphrase: string): Promise<KeyFile> {
  const { header, file, logN, salt, nonce, sealed } = asKeyError(() => {
    const parsed = parseFile(bytes);
    const kdf = member(parsed, "scrypt", "", object);
    member(kdf, "r", "scrypt", integer(BLOCK.r, BLOCK.r));
    member(kdf, "p", "scrypt", integer(BLOCK.p, BLOCK.p));
    return {
      header: decodeHeader(parsed),
      file: parsed,
      logN: member(kdf, "logN", "scrypt", integer(10, MAX_LOG_N)),
      salt: member(kdf, "salt", "scrypt", binary(16)),
      nonce: member(parsed, "nonce", "", binary(12)),
      sealed: member(parsed, "sealed", "", binary(null)),
    };
  });
  const length = header.keys.length * 32;
  if (sealed.byteLength !== length + 16) throw invalid("its sealed part has the wrong length");
  const decipher = createDecipheriv(CIPHER, await deriveKey(passphrase, salt, logN), nonce, { authTagLength: 16 });
  const open = Object.entries(file).filter(([name]) => name !== "sealed");
  decipher.setAAD(canonicalize(jsonObject(open)), { plaintextLength: length });
  decipher.setAuthTag(sealed.subarray(length));
  let secret: Buffer;
  try {
    secret = Buffer.concat([decipher.update(sealed.subarray(0, length)), decipher.final()]);
  } catch (error) {
    throw new ImprintError(
      "PASSPHRASE_WRONG",
      `Cannot open ${header.name}.${header.kind}.json: wrong passphrase, or the file was changed`,
      { cause: error },
    );
  }
  const keys = header.keys.map(({ purpose, publicKey: expected }, i): StoredKey => {
    const key = privateKeyFromSeed(new Uint8Array(secret.subarray(i * 32, i * 32 + 32)));
    if (formatPublicKey(key.publicKey) !== expected) throw invalid("a public key in it is not that of its secret");
    return { purpose, key };
  });
  return { kind: header.kind, name: header.name, index: header.index, keys };
}

function parseFile(bytes: Uint8Array): JsonObject {
  const source = bytes.byteLength <= MAX_BYTES ? textOf(bytes) : null;
  if (source === null) throw invalid("too large or not text");
  const parsed = JSON.parse(source) as JsonValue;
  if (!isJsonObject(parsed) || !equalBytes(formatPretty(parsed), bytes)) throw invalid("not as imprint wrote it");
  return parsed;
}

function decodeHeader(file: JsonObject): KeyFileHeader {
  member(file, "format", "", integer(1, 1));
  member(file, "type", "", oneOf("imprint.keys"));
  member(file, "cipher", "", oneOf(CIPHER));
  const isProtected = file["protected"];
  if (typeof isProtected !== "boolean") fail("protected", "true or false");
  return {
    kind: member(file, "kind", "", oneOf("root", "daily")),
    name: member(file, "name", "", displayName),
    index: member(file, "index", "", indexId),
    protected: isProtected as boolean,
    keys: member(
      file,
      "keys",
      "",
      list(
        (value, at) => {
          const entry = object(value, at);
          return {
            purpose: member(entry, "purpose", at, oneOf("root", "publisher", "checkpoint")),
            publicKey: member(entry, "publicKey", at, publicKey),
          };
        },
        { min: 1, max: 16 },
      ),
    ),
  };
}

function oneOf<const T extends string>(...choices: readonly T[]): Decoder<T> {
  return (value, at) => choices.find((choice) => choice === text(value, at)) ?? fail(at, choices.join(" or "));
}

function binary(length: number | null): Decoder<Uint8Array> {
  return (value, at) => {
    const bytes = fromBase64Url(text(value, at));
    return bytes !== null && (length === null || bytes.byteLength === length) ? bytes : fail(at, "base64url of the right length");
  };
}

function asKeyError<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (isImprintError(error, "KEY_INVALID")) throw error;
    throw new ImprintError("KEY_INVALID", `Cannot read key file: ${(error as Error).message}`, { cause: error });
  }
}

function invalid(what: string): ImprintError {
  return new ImprintError("KEY_INVALID", `Cannot read key file: ${what}`);
}

const scryptAsync = promisify<string, Uint8Array, number, ScryptOptions, Buffer>(scrypt);

function deriveKey(passphrase: string, salt: Uint8Array, logN: number): Promise<Buffer> {
  const N = 2 ** logN;
  // Normalised, because two keyboards may spell one passphrase in two ways.
  return scryptAsync(passphrase.normalize("NFC"), salt, 32, { N, ...BLOCK, maxmem: 256 * N * BLOCK.r });
}
