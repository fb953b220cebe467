import { describe, expect, it } from "vitest";
import { isOpenSshKey, readOpenSshKey } from "../../src/crypto/openssh.ts";
import { isImprintError } from "../../src/errors.ts";
import { CBC, ECDSA, GCM, PASSPHRASE, PLAIN, SEALED } from "./openssh-keys.ts";

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const answer = (passphrase: string) => (): Promise<string> => Promise.resolve(passphrase);
const nobody = (): Promise<string> => Promise.reject(new Error("asked for a passphrase"));

async function outcomeOf(text: string, passphrase: string): Promise<string> {
  try {
    await readOpenSshKey(bytesOf(text), answer(passphrase));
    return "opened";
  } catch (error) {
    return isImprintError(error) ? `${error.code}: ${error.message}` : String(error);
  }
}

/** Of a .pub file: a length, "ssh-ed25519", a length, 32 bytes. */
const rawOf = (pub: string): Uint8Array => new Uint8Array(Buffer.from(pub, "base64").subarray(-32));

describe("OpenSSH keys", () => {
  it.each([
    ["plain", PLAIN],
    ["sealed (aes256-ctr, bcrypt)", SEALED],
    ["sealed (aes256-cbc)", CBC],
  ])("%s: the same key as in the .pub file", async (_, { file, pub }) => {
    expect(isOpenSshKey(bytesOf(file))).toBe(true);
    const key = await readOpenSshKey(bytesOf(file), file === PLAIN.file ? nobody : answer(PASSPHRASE));
    expect(key.publicKey).toEqual(rawOf(pub));
    expect(key.seed.byteLength).toBe(32);
  });

  it.each([
    ["a wrong passphrase", SEALED.file, "wrong", /^PASSPHRASE_WRONG/],
    ["another type of key", ECDSA.file, "", /^KEY_INVALID.*only ed25519/],
    ["a cipher that is not read", GCM.file, PASSPHRASE, /^KEY_INVALID.*ssh-keygen -p -Z aes256-ctr/],
    ["a public key", `ssh-ed25519 ${PLAIN.pub} x`, "", /^KEY_INVALID.*no OpenSSH private key/],
    ["half a file", PLAIN.file.slice(0, 150), "", /^KEY_INVALID/],
    ["half of a sealed file", SEALED.file.replace(/(?<=KEY-----\n).{60}/, ""), PASSPHRASE, /^KEY_INVALID/],
    ["too much", PLAIN.file + "\n".repeat(70_000), "", /^KEY_INVALID/],
  ])("%s is refused", async (_, text, passphrase, words) => {
    expect(await outcomeOf(text, passphrase)).toMatch(words);
  });

  it("says of an encrypted file that ends early what is wrong, and of nothing else that the passphrase was", async () => {
    const cut = SEALED.file.split("\n").toSpliced(-4, 1).join("\n");
    expect(await outcomeOf(cut, PASSPHRASE)).toMatch(/^KEY_INVALID|^PASSPHRASE_WRONG/);
  });
});
