import { describe, expect, it } from "vitest";
import { generatePrivateKey, isAcceptableKey, privateKeyFromSeed, signMessage, verifySignature } from "../../src/crypto/ed25519.ts";
import { readVectors, textMember } from "../format/vectors.ts";
import { hasShared, readShared, SKIP_MESSAGE } from "./shared.ts";

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));

/** The verdict of both implementations, which must be one. */
function verdict(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array, label: string): boolean {
  const node = verifySignature(publicKey, message, signature, "node");
  const noble = verifySignature(publicKey, message, signature, "noble");
  expect(noble, `noble and node:crypto differ on ${label}`).toBe(node);
  return node;
}

describe("E1 our own vectors, by both implementations", () => {
  for (const vector of readVectors("signatures")) {
    it(`E1 ${vector.label}: ${vector.description}`, () => {
      const [publicKey, message, signature] = ["publicKey", "message", "signature"].map((name) => hex(textMember(vector, name))) as [
        Uint8Array,
        Uint8Array,
        Uint8Array,
      ];
      expect(isAcceptableKey(publicKey)).toBe(vector["acceptableKey"]);
      expect(verdict(publicKey, message, signature, vector.label)).toBe(vector.valid);
    });
  }
});

describe("E1 third-party vectors, by both implementations", () => {
  it.skipIf(!hasShared)(`E1 every vector of CCTV: exactly two are accepted${hasShared ? "" : ` (${SKIP_MESSAGE})`}`, () => {
    const cases = JSON.parse(readShared("cctv-ed25519.json")) as readonly { number: number; key: string; sig: string; msg: string }[];
    expect(cases.length).toBe(914);
    const accepted = cases.filter(({ number, key, sig, msg }) =>
      verdict(hex(key), new TextEncoder().encode(msg), hex(sig), `cctv ${number}`),
    );
    expect(accepted).toHaveLength(2);
  });

  it.skipIf(!hasShared)(`E1 every vector of Wycheproof, as its result says${hasShared ? "" : ` (${SKIP_MESSAGE})`}`, () => {
    type Group = { publicKey: { pk: string }; tests: readonly { tcId: number; msg: string; sig: string; result: string }[] };
    const { testGroups, numberOfTests } = JSON.parse(readShared("wycheproof-ed25519.json")) as {
      testGroups: readonly Group[];
      numberOfTests: number;
    };
    let count = 0;
    for (const { publicKey, tests } of testGroups) {
      for (const { tcId, msg, sig, result } of tests) {
        expect(verdict(hex(publicKey.pk), hex(msg), hex(sig), `wycheproof ${tcId}`), `wycheproof ${tcId}`).toBe(result === "valid");
        count++;
      }
    }
    expect(count).toBe(numberOfTests);
  });

  it.skipIf(!hasShared)(`E1 every vector of ed25519-speccheck is refused${hasShared ? "" : ` (${SKIP_MESSAGE})`}`, () => {
    const cases = JSON.parse(readShared("ed25519-speccheck.json")) as readonly { message: string; pub_key: string; signature: string }[];
    expect(cases).toHaveLength(12);
    for (const [i, { message, pub_key, signature }] of cases.entries())
      expect(verdict(hex(pub_key), hex(message), hex(signature), `speccheck ${i}`), `speccheck ${i}`).toBe(false);
  });
});

describe("E1 ed25519", () => {
  it("E1 random bytes never throw, whichever implementation", () => {
    const { publicKey } = privateKeyFromSeed(new Uint8Array(32).fill(7));
    for (let i = 0; i < 64; i++) {
      const signature = new Uint8Array(64).fill(i * 4);
      expect(verdict(publicKey, new Uint8Array([i]), signature, `fill ${i}`)).toBe(false);
      expect(verdict(new Uint8Array(32).fill(i * 4), new Uint8Array([i]), signature, `key ${i}`)).toBe(false);
    }
  });

  it("signs what verifies, deterministically; RFC 8032 test 1", () => {
    const key = privateKeyFromSeed(hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
    expect(Buffer.from(key.publicKey).toString("hex")).toBe("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    const signature = signMessage(key, new Uint8Array());
    expect(Buffer.from(signature).toString("hex")).toBe(
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    );
    expect(verifySignature(key.publicKey, new Uint8Array(), signature)).toBe(true);
  });

  it("makes a new key each time", () => {
    const [a, b] = [generatePrivateKey(), generatePrivateKey()];
    expect(a.seed).toHaveLength(32);
    expect(isAcceptableKey(a.publicKey)).toBe(true);
    expect(Buffer.compare(a.publicKey, b.publicKey)).not.toBe(0);
    expect(verdict(a.publicKey, new Uint8Array([1]), signMessage(a, new Uint8Array([1])), "new key")).toBe(true);
  });
});
