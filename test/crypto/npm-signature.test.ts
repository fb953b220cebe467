/** Signatures of npm's registry: which keys are taken, and that no signature, however malformed, is more than a no. */
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { parseNpmKeys, verifyNpmSignature } from "../../src/crypto/npm-signature.ts";

const pair = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const spkiOf = (key: typeof pair.publicKey): string => key.export({ type: "spki", format: "der" }).toString("base64");
const listed = (fields: Readonly<Record<string, unknown>> = {}): object => ({
  keyid: "SHA256:x",
  key: spkiOf(pair.publicKey),
  expires: null,
  ...fields,
});

describe("keys", () => {
  it("of P-256 are taken, with or without an end", () => {
    expect(parseNpmKeys([listed()]).map(({ keyid, expiresMs }) => [keyid, expiresMs])).toEqual([["SHA256:x", null]]);
    expect(parseNpmKeys([listed({ expires: "2025-01-29T00:00:00.000Z" })])[0]?.expiresMs).toBe(Date.UTC(2025, 0, 29));
    expect(parseNpmKeys([{ keyid: "k", key: spkiOf(pair.publicKey) }])[0]?.expiresMs).toBeNull();
  });

  it.each([
    ["null", null],
    ["text", "key"],
    ["no key", { keyid: "k" }],
    ["no keyid", { key: spkiOf(pair.publicKey) }],
    ["a keyid that is a number", listed({ keyid: 1 })],
    ["a key that is a number", listed({ key: 1 })],
    ["an end that is no time", listed({ expires: "never" })],
    ["a key that is no DER", listed({ key: "AAAA" })],
    ["a key on another curve", listed({ key: spkiOf(generateKeyPairSync("ec", { namedCurve: "secp384r1" }).publicKey) })],
    ["an ed25519 key", listed({ key: spkiOf(generateKeyPairSync("ed25519").publicKey) })],
  ])("%s is left out", (_, entry) => expect(parseNpmKeys([entry, listed()])).toHaveLength(1));
});

describe("signatures", () => {
  const [key] = parseNpmKeys([listed()]);
  const label = `a@1.0.0:sha512-${createHash("sha512").update("a").digest("base64")}`;
  const good = sign("sha256", Buffer.from(label), pair.privateKey);

  it("the right one is good, for that label alone", () => {
    if (key === undefined) throw new Error("no key");
    expect(verifyNpmSignature(key, label, good.toString("base64"))).toBe(true);
    expect(verifyNpmSignature(key, label.replace("1.0.0", "1.0.1"), good.toString("base64"))).toBe(false);
  });

  it("anything else is a no, never an exception", () => {
    if (key === undefined) throw new Error("no key");
    const odd = ["", "AA==", "not base64 at all", "MEUC", good.toString("hex")];
    const cut = Array.from({ length: good.byteLength }, (_, i) => good.subarray(0, i).toString("base64"));
    const flipped = Array.from({ length: good.byteLength }, (_, i) =>
      Buffer.from(good.map((byte, at) => (at === i ? byte ^ 0x41 : byte))).toString("base64"),
    );
    const random = Array.from({ length: 5000 }, (_, i) => randomBytes(i % 120).toString("base64"));
    for (const text of [...odd, ...cut, ...flipped, ...random]) expect(verifyNpmSignature(key, label, text)).toBe(false);
  });
});
