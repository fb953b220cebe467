import { describe, expect, it } from "vitest";
import { badSignatures, meetsThreshold, signDocument, signersAmong } from "../../src/crypto/documents.ts";
import { privateKeyFromSeed } from "../../src/crypto/ed25519.ts";
import { formatEnvelope, type Kind, parseEnvelope, type Signed } from "../../src/format/envelope.ts";
import type { IndexId } from "../../src/format/digest.ts";
import { jsonObject, type JsonObject } from "../../src/format/json.ts";
import { formatPublicKey, formatSignature } from "../../src/format/keys.ts";

const signer = (n: number): ReturnType<typeof privateKeyFromSeed> => privateKeyFromSeed(new Uint8Array(32).fill(n));
const keyOf = (n: number): ReturnType<typeof formatPublicKey> => formatPublicKey(signer(n).publicKey);
const body = (kind: Kind, more: JsonObject = {}): JsonObject =>
  jsonObject([...Object.entries(more), ["format", 1], ["type", `imprint.${kind}`]]);
const parse = (kind: Kind, bytes: Uint8Array): Signed<JsonObject> => parseEnvelope(kind, bytes, (signed) => signed);

describe("signing documents", () => {
  it("K2 distinct keys count, and only those of the role", () => {
    const document = parse("root", signDocument("root", body("root"), [signer(1), signer(1), signer(2), signer(9)]));
    expect(document.signatures).toHaveLength(3);
    expect(meetsThreshold(document, { keys: [keyOf(1), keyOf(2), keyOf(3)], threshold: 2 })).toBe(true);
    expect(meetsThreshold(document, { keys: [keyOf(1), keyOf(2), keyOf(3)], threshold: 3 })).toBe(false);
    expect(meetsThreshold(document, { keys: [keyOf(3)], threshold: 1 })).toBe(false);
    expect(signersAmong(document, [keyOf(1), keyOf(3)])).toEqual(new Set([keyOf(1)]));
    expect(badSignatures(document)).toEqual([]);
  });

  it("K8 a signature over one type does not pass as one over another", () => {
    const asRelease = parse("release", signDocument("release", body("release"), [signer(1)]));
    const asRecord = parse("package", formatEnvelope(body("package"), asRelease.signatures));
    expect(meetsThreshold(asRecord, { keys: [keyOf(1)], threshold: 1 })).toBe(false);
    expect(badSignatures(asRecord)).toEqual(asRelease.signatures);
  });

  it("K8 nor does one for another index", () => {
    const a = body("package", jsonObject([["index", "a".repeat(64) as IndexId]]));
    const b = body("package", jsonObject([["index", "b".repeat(64) as IndexId]]));
    const forged = parse("package", formatEnvelope(b, parse("package", signDocument("package", a, [signer(1)])).signatures));
    expect(signersAmong(forged, [keyOf(1)]).size).toBe(0);
  });

  it("keeps signatures that are there, replaces one's own, and a bad one beside a full threshold is skipped", () => {
    const bad = { key: keyOf(5), signature: formatSignature(new Uint8Array(64)) };
    const first = parse("root", signDocument("root", body("root"), [signer(1)], [bad]));
    const second = parse("root", signDocument("root", body("root"), [signer(2)], first.signatures));
    expect(second.signatures).toHaveLength(3);
    expect(meetsThreshold(second, { keys: [keyOf(1), keyOf(2), keyOf(5)], threshold: 2 })).toBe(true);
    expect(badSignatures(second)).toEqual([bad]);
    expect(badSignatures(parse("root", signDocument("root", body("root"), [signer(5)], second.signatures)))).toEqual([]);
  });
});
