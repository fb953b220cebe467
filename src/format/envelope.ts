/**
 * The envelope of every signed document: `{"signatures": […], "signed": {…}}`, and what exactly a signature covers.
 *
 * The payload type in the pre-authentication encoding keeps one role's signature from passing as another's; `index`
 * inside `signed` keeps one index's document from passing in another. The type follows from the file's path, never from
 * the file.
 */
import { ImprintError } from "../errors.ts";
import { fail, integer, list, member, object, publicKey, signatureText, text } from "./decode.ts";
import { type Digest, digestOf, type FileHash, fileHashOf } from "./digest.ts";
import { canonicalize, canonicalizeInOrder, formatPretty, type JsonObject, inspectExact, jsonObject } from "./json.ts";
import type { Signature } from "./keys.ts";
import { LIMITS } from "./limits.ts";

export type Kind = "root" | "checkpoint" | "package" | "release";

export const FORMAT_VERSION = 1;

const MAX_BYTES: Readonly<Record<Kind, number>> = {
  root: LIMITS.rootBytes,
  checkpoint: LIMITS.checkpointBytes,
  package: LIMITS.recordBytes,
  release: LIMITS.releaseBytes,
};

const TYPES: ReadonlySet<string> = new Set(Object.keys(MAX_BYTES).map((kind) => `imprint.${kind}`));

/** A parsed document whose signatures nobody has checked yet. */
export type Signed<T> = {
  readonly kind: Kind;
  readonly doc: T;
  /** `signed` as it was parsed, unknown members included: whoever signs again keeps them. */
  readonly signed: JsonObject;
  readonly signatures: readonly Signature[];
  /** RFC 8785 bytes of `signed`. */
  readonly body: Uint8Array;
  readonly digest: Digest;
  /** The file. */
  readonly bytes: Uint8Array;
  readonly fileHash: FileHash;
};

export function payloadType(kind: Kind): string {
  return `application/vnd.imprint.${kind}+json;v=1`;
}

/** DSSE pre-authentication encoding: the bytes that are signed. Lengths are in bytes. */
export function signingInput(kind: Kind, body: Uint8Array): Uint8Array {
  // All of it is ASCII: a character is a byte.
  const type = payloadType(kind);
  const head = `DSSEv1 ${type.length} ${type} ${body.byteLength} `;
  const out = Buffer.allocUnsafe(head.length + body.byteLength);
  out.write(head, "latin1");
  out.set(body, head.length);
  return out;
}

/**
 * @throws ImprintError TOO_LARGE, INVALID_DOCUMENT, UNSUPPORTED_FORMAT
 */
export function parseEnvelope<T>(kind: Kind, bytes: Uint8Array, decode: (signed: JsonObject) => T): Signed<T> {
  const { value, inOrder } = inspectExact(bytes, MAX_BYTES[kind]);
  const file = object(value, "");
  if (Object.keys(file).length !== 2) fail("", "an object of exactly signatures and signed");
  const signed = member(file, "signed", "", object);
  requireKind(kind, signed);
  const signatures = member(
    file,
    "signatures",
    "",
    list(
      (value, at): Signature => {
        const entry = object(value, at);
        if (Object.keys(entry).length !== 2) fail(at, "an object of exactly key and signature");
        return { key: member(entry, "key", at, publicKey), signature: member(entry, "signature", at, signatureText) };
      },
      { max: LIMITS.signatures },
    ),
  );
  for (const [i, { key }] of signatures.entries()) {
    const before = signatures[i - 1];
    if (before !== undefined && before.key >= key) fail("signatures", "sorted by key with one signature a key");
  }
  const body = inOrder ? canonicalizeInOrder(signed) : canonicalize(signed);
  return assemble({ kind, signed, signatures, bytes, body, doc: decode(signed) });
}

function requireKind(kind: Kind, signed: JsonObject): void {
  const format = member(signed, "format", "signed", integer(0));
  const type = member(signed, "type", "signed", text);
  if (format > FORMAT_VERSION || !TYPES.has(type)) {
    throw new ImprintError(
      "UNSUPPORTED_FORMAT",
      `Cannot read document: ${type === "" ? "its type" : JSON.stringify(type.slice(0, 40))} in format ${format} needs a newer imprint`,
    );
  }
  if (format < FORMAT_VERSION) fail("signed.format", String(FORMAT_VERSION));
  if (type !== `imprint.${kind}`) fail("signed.type", `imprint.${kind}, as its path says`);
}

function assemble<T>({ kind, doc, signed, signatures, body, bytes }: Omit<Signed<T>, "digest" | "fileHash">): Signed<T> {
  let digest: Digest | null = null;
  let fileHash: FileHash | null = null;
  // Of a hundred thousand releases nobody asks for either: their hashes are compared before they are parsed.
  return {
    kind,
    doc,
    signed,
    signatures,
    body,
    bytes,
    get digest() {
      digest ??= digestOf(body);
      return digest;
    },
    get fileHash() {
      fileHash ??= fileHashOf(bytes);
      return fileHash;
    },
  };
}

/** The bytes of a document's file, signatures sorted by key. */
export function formatEnvelope(signed: JsonObject, signatures: readonly Signature[]): Uint8Array {
  const sorted = signatures.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  return formatPretty(
    jsonObject([
      [
        "signatures",
        sorted.map(({ key, signature }) =>
          jsonObject([
            ["key", key],
            ["signature", signature],
          ]),
        ),
      ],
      ["signed", signed],
    ]),
  );
}
