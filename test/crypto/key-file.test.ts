import { describe, expect, it } from "vitest";
import { privateKeyFromSeed } from "../../src/crypto/ed25519.ts";
import { type KeyFile, openKeyFile, readKeyFileHeader, sealingCost, sealKeyFile } from "../../src/crypto/key-file.ts";
import { ImprintError } from "../../src/errors.ts";
import type { IndexId } from "../../src/format/digest.ts";
import type { DisplayName } from "../../src/format/decode.ts";
import { formatPretty, type JsonValue } from "../../src/format/json.ts";
import { formatPublicKey } from "../../src/format/keys.ts";

const FILE: KeyFile = {
  kind: "daily",
  name: "alice" as DisplayName,
  index: "a".repeat(64) as IndexId,
  keys: [
    { purpose: "publisher", key: privateKeyFromSeed(new Uint8Array(32).fill(1)) },
    { purpose: "checkpoint", key: privateKeyFromSeed(new Uint8Array(32).fill(2)) },
  ],
};
const zeros = (bytes: number): Uint8Array => new Uint8Array(bytes);

type Plain = Record<string, JsonValue>;

/** The file with some members set; undefined removes one. */
function change(bytes: Uint8Array, changes: Readonly<Record<string, JsonValue | undefined>>): Uint8Array {
  const members = Object.entries({ ...(JSON.parse(Buffer.from(bytes).toString()) as Plain), ...changes }).filter(
    ([, value]) => value !== undefined,
  );
  return formatPretty(Object.fromEntries(members) as Plain);
}

async function codeOf(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
    return "nothing was refused";
  } catch (error) {
    if (error instanceof ImprintError) return error.code;
    throw error;
  }
}

describe("key files", () => {
  it("open with their passphrase, in either Unicode spelling, and with no other", async () => {
    const sealed = await sealKeyFile(FILE, "pass\u00e9", zeros);
    expect(await openKeyFile(sealed, "passe\u0301")).toEqual(FILE);
    expect(await codeOf(() => openKeyFile(sealed, "wrong"))).toBe("PASSPHRASE_WRONG");
    expect(await codeOf(() => openKeyFile(sealed, ""))).toBe("PASSPHRASE_WRONG");
    expect(Buffer.from(sealed).toString()).not.toContain(
      Buffer.from(FILE.keys[0]?.key.seed ?? [])
        .toString("base64url")
        .slice(0, 20),
    );
  });

  it("cost more to open where the machine that makes them has the memory, and say so; without a passphrase nothing is to be guessed", async () => {
    const GIB = 2 ** 30;
    expect([sealingCost("x", 2 * GIB), sealingCost("x", 2 * GIB - 1), sealingCost("", 64 * GIB)]).toEqual([17, 15, 10]);
    for (const logN of [15, 17, 18]) {
      const sealed = await sealKeyFile(FILE, "x", zeros, logN);
      expect(JSON.parse(Buffer.from(sealed).toString())).toMatchObject({ scrypt: { logN, r: 8, p: 1 } });
      expect(await openKeyFile(sealed, "x")).toEqual(FILE);
    }
  });

  it("show what they are without a passphrase", async () => {
    expect(readKeyFileHeader(await sealKeyFile(FILE, "", zeros))).toEqual({
      kind: "daily",
      name: "alice",
      index: FILE.index,
      protected: false,
      keys: FILE.keys.map(({ purpose, key }) => ({ purpose, publicKey: formatPublicKey(key.publicKey) })),
    });
    expect(readKeyFileHeader(await sealKeyFile(FILE, "x", zeros)).protected).toBe(true);
  });

  it("authenticate what they show: a changed index, name, purpose or unknown member does not open", async () => {
    const sealed = await sealKeyFile(FILE, "", zeros);
    const { keys } = JSON.parse(Buffer.from(sealed).toString()) as { keys: Plain[] };
    const changes: readonly Plain[] = [
      { index: "b".repeat(64) },
      { name: "mallory" },
      { kind: "root" },
      { protected: true },
      { comment: "x" },
      { keys: [...keys].reverse() },
      { nonce: "AAAAAAAAAAAAAAAB" },
    ];
    for (const [i, changed] of changes.entries())
      expect(await codeOf(() => openKeyFile(change(sealed, changed), "")), String(i)).toBe("PASSPHRASE_WRONG");
  });

  it("refuse what is damaged, before any work is done", async () => {
    const sealed = await sealKeyFile(FILE, "", zeros);
    const { scrypt, sealed: secret } = JSON.parse(Buffer.from(sealed).toString()) as { scrypt: Plain; sealed: string };
    const bad: readonly Readonly<Record<string, JsonValue | undefined>>[] = [
      { format: 2 },
      { type: "imprint.root" },
      { cipher: "aes-256-gcm" },
      { protected: "no" },
      { protected: undefined },
      { kind: "weekly" },
      { name: "../x" },
      { index: "x" },
      { keys: [] },
      { keys: [{ purpose: "root" }] },
      { keys: [{ purpose: "all", publicKey: formatPublicKey(FILE.keys[0]?.key.publicKey ?? zeros(32)) }] },
      { scrypt: undefined },
      { scrypt: { ...scrypt, logN: 21 } },
      { scrypt: { ...scrypt, logN: 9 } },
      { scrypt: { ...scrypt, r: 16 } },
      { scrypt: { ...scrypt, p: 2 } },
      { scrypt: { ...scrypt, salt: "AA" } },
      { nonce: "=" },
      { sealed: Buffer.from(secret, "base64url").subarray(1).toString("base64url") },
      { sealed: undefined },
    ];
    for (const changed of bad)
      expect(await codeOf(() => openKeyFile(change(sealed, changed), "")), JSON.stringify(changed)).toBe("KEY_INVALID");
    const files: readonly Uint8Array[] = [
      new Uint8Array(65_537).fill(32),
      new Uint8Array([0xff]),
      Buffer.from("{"),
      Buffer.from("[]\n"),
      Buffer.from(JSON.stringify(JSON.parse(Buffer.from(sealed).toString()))),
    ];
    for (const file of files) {
      expect(() => readKeyFileHeader(file)).toThrow(expect.objectContaining({ code: "KEY_INVALID" }) as Error);
      expect(await codeOf(() => openKeyFile(file, ""))).toBe("KEY_INVALID");
    }
  });

  it("J1 nesting that deep does not overflow", () => {
    const deep = Buffer.from(`{"a":${"[".repeat(30_000)}${"]".repeat(30_000)}}`);
    expect(() => readKeyFileHeader(deep)).toThrow(expect.objectContaining({ code: "KEY_INVALID" }) as Error);
  });

  it("refuse a public key that is not that of its secret, even if whoever sealed it signed for it", async () => {
    const lying: KeyFile = {
      ...FILE,
      keys: [{ purpose: "publisher", key: { seed: zeros(32), publicKey: FILE.keys[0]?.key.publicKey ?? zeros(32) } }],
    };
    const sealed = await sealKeyFile(lying, "", zeros);
    expect(await codeOf(() => openKeyFile(sealed, ""))).toBe("KEY_INVALID");
  });
});
