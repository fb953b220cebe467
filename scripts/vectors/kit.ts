/**
 * What all vectors are made of: fixed keys, one fixed moment, raw documents, and one small edit a case.
 *
 * Documents are built as plain JSON here, not by the encoders of `src/format`: a vector says what the format is, so it
 * must be able to say what no encoder would write.
 */
import { createHash } from "node:crypto";
import { signDocument } from "../../src/crypto/documents.ts";
import { type PrivateKey, privateKeyFromSeed } from "../../src/crypto/ed25519.ts";
import { type Kind, payloadType } from "../../src/format/envelope.ts";
import { canonicalize, formatPretty, type JsonObject, jsonObject, type JsonValue } from "../../src/format/json.ts";
import { formatPublicKey } from "../../src/format/keys.ts";

export type Vector = { readonly area: string; readonly name: string; readonly body: JsonObject };

/** How a case ends: nothing given is a success. */
export type Outcome = {
  readonly error?: string;
  /** Whether the JSON Schema accepts the document; as `valid` unless given, left out with null (the bytes are not JSON). */
  readonly schemaValid?: boolean | null;
};

export const TIME = "2026-01-01T00:00:00.000Z";
/** `TIME` in milliseconds. */
export const TIME_MS = 1_767_225_600_000;

export function sha256(text: string | Uint8Array): string {
  return createHash("sha256").update(text).digest("hex");
}

const keys = new Map<string, PrivateKey>();

/** The seed of a test key is sha256 of a label: anybody can make it again, nobody may use it for more. */
export function key(label: string): PrivateKey {
  const made =
    keys.get(label) ?? privateKeyFromSeed(new Uint8Array(createHash("sha256").update(`imprint test vector key: ${label}`).digest()));
  keys.set(label, made);
  return made;
}

export function publicKey(label: string): string {
  return formatPublicKey(key(label).publicKey);
}

export function publicKeys(...labels: readonly string[]): string[] {
  return labels.map(publicKey);
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** Plain data with `__proto__` and the like as ordinary names. */
export function data(value: object): JsonObject {
  return jsonObject(Object.entries(value as Record<string, JsonValue>));
}

export type Edit = readonly [path: string | readonly (string | number)[], to: JsonValue | undefined];

/** A copy with some members set, or removed (undefined). Paths are `a/b/0`, or lists where a name holds a slash. */
export function edit<T extends JsonValue>(value: T, ...edits: readonly Edit[]): T {
  let result: JsonValue = value;
  for (const [path, to] of edits) result = set(result, typeof path === "string" ? path.split("/") : path, to);
  return result as T;
}

function set(value: JsonValue, path: readonly (string | number)[], to: JsonValue | undefined): JsonValue {
  const [head, ...rest] = path as [string | number, ...(string | number)[]];
  const next = (old: JsonValue): JsonValue | undefined => (rest.length === 0 ? to : set(old, rest, to));
  if (Array.isArray(value)) {
    const items = [...(value as readonly JsonValue[])];
    const made = next(items[Number(head)] ?? null);
    items.splice(Number(head), 1, ...(made === undefined ? [] : [made]));
    return items;
  }
  const members = new Map(Object.entries(value as JsonObject));
  const made = next(members.get(String(head)) ?? null);
  if (made === undefined) members.delete(String(head));
  else members.set(String(head), made);
  return jsonObject(members);
}

/** A document's file, signed by the keys of these labels. */
export function file(kind: Kind, signed: JsonValue, ...signers: readonly string[]): string {
  return text(signDocument(kind, signed as JsonObject, signers.map(key)));
}

/** Sha256 over the RFC 8785 bytes of `signed`. */
export function digest(signed: JsonValue): string {
  return sha256(canonicalize(signed));
}

/** A file that is not what `file` would write: edits of the whole document, after signing. */
export function edited(source: string, ...edits: readonly Edit[]): string {
  return text(formatPretty(edit(JSON.parse(source) as JsonValue, ...edits)));
}

/** The bytes that a signature covers, made here once more and on its own. */
export function signingInputText(kind: Kind, signed: JsonValue): string {
  const body = text(canonicalize(signed));
  const type = payloadType(kind);
  return `DSSEv1 ${Buffer.byteLength(type)} ${type} ${Buffer.byteLength(body)} ${body}`;
}

export function vector(area: string, name: string, description: string, outcome: Outcome, body: object): Vector {
  const valid = outcome.error === undefined;
  const schemaValid = outcome.schemaValid === undefined ? valid : outcome.schemaValid;
  return {
    area,
    name,
    body: data({
      description,
      valid,
      ...(outcome.error === undefined ? {} : { error: outcome.error }),
      ...(schemaValid === null ? {} : { schemaValid }),
      ...body,
    }),
  };
}

// ---- The documents that cases start from ----

export const INDEX_ID_OTHER = sha256("imprint test vector: another index");
export const HASH = sha256("imprint test vector: some file");

export function role(threshold: number, ...labels: readonly string[]): JsonObject {
  return data({ keys: publicKeys(...labels), threshold });
}

export function publishers(packages: readonly string[], threshold: number, ...labels: readonly string[]): JsonObject {
  return data({ packages, keys: publicKeys(...labels), threshold });
}

export const ROOT_1: JsonObject = data({
  format: 1,
  type: "imprint.root",
  index: null,
  version: 1,
  previous: null,
  name: "alice",
  roles: data({ root: role(1, "root"), checkpoint: role(1, "checkpoint") }),
  publishers: [publishers(["@alice/*"], 1, "publisher")],
  tarballs: ["git"],
  mirrors: [],
  introductions: [],
  refreshDays: 0,
});

export const INDEX_ID = digest(ROOT_1);

export const ROOT_2: JsonObject = edit(ROOT_1, ["index", INDEX_ID], ["version", 2], ["previous", INDEX_ID]);

export const CHECKPOINT: JsonObject = data({
  format: 1,
  type: "imprint.checkpoint",
  index: INDEX_ID,
  root: data({ version: 1, digest: INDEX_ID }),
  seq: TIME_MS,
  time: TIME,
  shards: data({}),
});

export const RECORD: JsonObject = data({
  format: 1,
  type: "imprint.package",
  index: INDEX_ID,
  name: "@alice/hello",
  revision: TIME_MS,
  releases: data({ "1.0.0": HASH }),
  withdrawn: data({}),
  yanked: data({}),
  deprecated: data({}),
  tags: data({ latest: "1.0.0" }),
});

const TARBALL = Buffer.from("imprint test vector: a tarball");

export const DIST: JsonObject = data({
  integrity: `sha512-${createHash("sha512").update(TARBALL).digest("base64")}`,
  shasum: createHash("sha1").update(TARBALL).digest("hex"),
  size: TARBALL.byteLength,
  unpackedSize: 120,
  fileCount: 2,
});

export const RELEASE: JsonObject = data({
  format: 1,
  type: "imprint.release",
  index: INDEX_ID,
  name: "@alice/hello",
  version: "1.0.0",
  published: TIME,
  dist: DIST,
  manifest: data({ description: "Says hello", license: "MIT", hasInstallScript: false, hasShrinkwrap: false }),
});

/** A root that follows another one. */
export function nextRoot(before: JsonObject, id: string, ...edits: readonly Edit[]): JsonObject {
  return edit(before, ["index", id], ["version", (before["version"] as number) + 1], ["previous", digest(before)], ...edits);
}
