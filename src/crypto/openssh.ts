/**
 * ed25519 keys as ssh-keygen writes them. The secret is the same seed of RFC 8032, so a key that its owner keeps safe
 * already can sign releases; only the file around it is another.
 */
import { LIMITS } from "../format/limits.ts";
import { ImprintError } from "../errors.ts";
import { textOf } from "../format/bytes.ts";
import { type PrivateKey, privateKeyFromSeed } from "./ed25519.ts";

const BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----";
const MAX_BYTES = LIMITS.openSshKeyBytes;

export function isOpenSshKey(bytes: Uint8Array): boolean {
  return textOf(bytes.subarray(0, MAX_BYTES))?.trimStart().startsWith(BEGIN) === true;
}

/**
 * @param passphraseOf asked only where the file is encrypted
 * @throws ImprintError KEY_INVALID, PASSPHRASE_WRONG, and whatever `passphraseOf` throws
 */
export async function readOpenSshKey(bytes: Uint8Array, passphraseOf: () => Promise<string>): Promise<PrivateKey> {
  if (bytes.byteLength > MAX_BYTES) throw invalid(`it is larger than ${MAX_BYTES} bytes`);
  if (!isOpenSshKey(bytes)) throw invalid("it is no OpenSSH private key");
  // Loaded here, because it is wanted once in an author's life.
  const { default: sshpk } = await import("sshpk");
  const parse = (passphrase?: string): ReturnType<typeof sshpk.parsePrivateKey> =>
    sshpk.parsePrivateKey(Buffer.from(bytes), "ssh-private", passphrase === undefined ? {} : { passphrase });
  let key: ReturnType<typeof parse>;
  try {
    key = parse();
  } catch (error) {
    if ((error as Error).name !== "KeyEncryptedError") throw invalid(reasonOf(error), error);
    const passphrase = await passphraseOf();
    try {
      key = parse(passphrase);
    } catch (cause) {
      throw new ImprintError("PASSPHRASE_WRONG", "Cannot open the OpenSSH key: wrong passphrase, or the file is damaged", { cause });
    }
  }
  if ((key.type as string) !== "ed25519") throw invalid(`it is a key of type ${key.type}, and only ed25519 signs releases`);
  // What its types leave out: of an ed25519 key, part `k` is the seed. Its reader holds it to 32 bytes.
  const { k } = key.part as unknown as { readonly k: { readonly data: Uint8Array } };
  return privateKeyFromSeed(new Uint8Array(k.data));
}

/** Its reader gives up with these words on ciphers that it does not know: they come with a trailing tag. */
function reasonOf(error: unknown): string {
  const { message } = error as Error;
  if (/excess bytes/.test(message)) return "its cipher is not read here; in a copy of it: ssh-keygen -p -Z aes256-ctr -f <copy>";
  return message.replace(/^Failed to parse .*? format key: /, "");
}

function invalid(what: string, cause?: unknown): ImprintError {
  return new ImprintError("KEY_INVALID", `Cannot read the OpenSSH key: ${what}`, { cause });
}
