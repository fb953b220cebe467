/**
 * JSON as the signed documents use it: one byte sequence a value.
 *
 * A reader never trusts a parser to have seen what the signer saw: it writes down again what it parsed and refuses the
 * file when the text differs. That one comparison rejects duplicate keys, reordering, `1.0`, `-0`, needless escapes and
 * stray white space at once. What a round trip lets through (fractions, 2^54, lone surrogates) is refused beside it.
 */
import { ImprintError } from "../errors.ts";
import { textOf, utf8 } from "./bytes.ts";
import { LIMITS } from "./limits.ts";

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export type JsonObject = { readonly [name: string]: JsonValue };

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An object with no prototype, so that `__proto__` and `constructor` are names like any other. */
export function jsonObject(entries: Iterable<readonly [string, JsonValue]>): JsonObject {
  const object: Record<string, JsonValue> = Object.create(null) as Record<string, JsonValue>;
  for (const [name, value] of entries) object[name] = value;
  return object;
}

/**
 * RFC 8785 bytes of a JSON value.
 *
 * @throws ImprintError INVALID_DOCUMENT for what JSON can't carry: NaN, infinities, undefined, lone surrogates.
 */
export function canonicalize(value: JsonValue): Uint8Array {
  return utf8(isInOrder(value) ? JSON.stringify(value) : write(value, null));
}

/** The same for a value that `inspectExact` says is in order, or a part of one. */
export function canonicalizeInOrder(value: JsonValue): Uint8Array {
  return utf8(JSON.stringify(value));
}

/** The bytes of a file: RFC 8785 order and escapes, two-space indent, one final newline. */
export function formatPretty(value: JsonValue): Uint8Array {
  return utf8(pretty(value));
}

function pretty(value: JsonValue): string {
  return prettyAs(value, isInOrder(value));
}

function prettyAs(value: JsonValue, inOrder: boolean): string {
  return `${inOrder ? JSON.stringify(value, null, 2) : write(value, "\n")}\n`;
}

/**
 * Whether `JSON.stringify` writes the value as RFC 8785 wants it, and five times as fast: members sorted as the engine lists
 * them, safe numbers, whole strings. Of any other value it says no, and `write` decides.
 */
function isInOrder(value: JsonValue): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value === "number") return Number.isSafeInteger(value) && !Object.is(value, -0);
  if (typeof value === "boolean" || value === null) return true;
  if (typeof value !== "object") return false;
  if (Array.isArray(value)) return (value as readonly JsonValue[]).every(isInOrder);
  const object = value as JsonObject;
  let before = "";
  for (const name of Object.keys(object)) {
    if ((name <= before && before !== "") || !name.isWellFormed() || !isInOrder(object[name] as JsonValue)) return false;
    before = name;
  }
  return true;
}

/**
 * The value of a file whose bytes must be exactly those that `formatPretty` gives for it.
 *
 * @throws ImprintError TOO_LARGE or INVALID_DOCUMENT
 */
export function parseExact(bytes: Uint8Array, maxBytes: number): JsonValue {
  return inspectExact(bytes, maxBytes).value;
}

/** The same, and whether `canonicalizeInOrder` may have the value and any part of it. */
export function inspectExact(bytes: Uint8Array, maxBytes: number): { readonly value: JsonValue; readonly inOrder: boolean } {
  if (bytes.byteLength > maxBytes) {
    throw new ImprintError("TOO_LARGE", `Cannot read document: ${bytes.byteLength} bytes, the limit is ${maxBytes}`);
  }
  const text = textOf(bytes);
  if (text === null) throw invalid("not UTF-8");
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch (error) {
    throw new ImprintError("INVALID_DOCUMENT", "Cannot read document: not JSON", { cause: error });
  }
  const inOrder = inspect(value, 0);
  if (prettyAs(value, inOrder) !== text) throw invalid("its bytes are not the canonical ones (order, spacing, escapes, duplicate keys)");
  return { value, inOrder };
}

/**
 * Refuses what a document never holds, in one walk that goes no deeper than a document may: `JSON.parse` itself does not recurse.
 *
 * @returns what `isInOrder` says
 */
function inspect(value: JsonValue, depth: number): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value === "number") {
    requireSafeNumber(value);
    return true;
  }
  if (typeof value !== "object" || value === null) return true;
  if (depth >= LIMITS.depth) throw invalid(`nested deeper than ${LIMITS.depth} levels`);
  let inOrder = true;
  if (Array.isArray(value)) {
    for (const item of value as readonly JsonValue[]) inOrder = inspect(item, depth + 1) && inOrder;
    return inOrder;
  }
  const object = value as JsonObject;
  let before: string | null = null;
  for (const name of Object.keys(object)) {
    inOrder = inspect(object[name] as JsonValue, depth + 1) && inOrder && name.isWellFormed() && (before === null || before < name);
    before = name;
  }
  return inOrder;
}

/** Refuses text nested deeper than `depth`, before any parser recurses into it; itself it does not recurse. */
export function requireDepth(text: string, depth: number = LIMITS.depth): void {
  let open = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === 0x5c) i++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x7b || code === 0x5b) {
      if (++open > depth) throw invalid(`nested deeper than ${depth} levels`);
    } else if (code === 0x7d || code === 0x5d) open--;
  }
}

/** Every number an integer from 0 to 2^53−1: all that each JSON implementation reads alike. */
export function requireSafeNumbers(value: JsonValue): void {
  if (typeof value === "number") requireSafeNumber(value);
  else if (typeof value === "object" && value !== null) for (const inner of Object.values(value)) requireSafeNumbers(inner);
}

function requireSafeNumber(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0 || Object.is(value, -0)) throw invalid("a number is not an integer from 0 to 2^53-1");
}

function write(value: JsonValue, newline: string | null): string {
  if (typeof value === "string") return writeString(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw invalid("a number that JSON cannot carry");
    return JSON.stringify(value);
  }
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value !== "object") throw invalid("a value that JSON cannot carry");
  const inner = newline === null ? null : `${newline}  `;
  const isList = Array.isArray(value);
  const parts = isList ? value.map((item) => write(item as JsonValue, inner)) : writeMembers(value as JsonObject, inner);
  const [open, close] = isList ? "[]" : "{}";
  if (parts.length === 0) return `${open}${close}`;
  return inner === null ? `${open}${parts.join(",")}${close}` : `${open}${inner}${parts.join(`,${inner}`)}${newline}${close}`;
}

function writeMembers(object: JsonObject, newline: string | null): string[] {
  // Sorting the names, never the object: engines list integer-like names first whatever the insertion order.
  return Object.keys(object)
    .sort()
    .map((name) => `${writeString(name)}:${newline === null ? "" : " "}${write(object[name] as JsonValue, newline)}`);
}

function writeString(text: string): string {
  if (!text.isWellFormed()) throw invalid("a lone surrogate in a string");
  return JSON.stringify(text);
}

function invalid(what: string): ImprintError {
  return new ImprintError("INVALID_DOCUMENT", `Cannot read document: ${what}`);
}
