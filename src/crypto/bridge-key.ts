/**
 * The key with which a resolver says to npm's own check of signatures: what I serve here is what I have verified.
 *
 * It proves no more than that. Authors sign with ed25519, which npm's check cannot read, so this is ECDSA on P-256 with
 * SHA-256, exactly as npm's public registry does it; it never leaves this machine and means nothing on another.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

export type BridgeKey = {
  /** As `/-/npm/v1/keys` lists it. */
  readonly listed: {
    readonly expires: null;
    readonly keyid: string;
    readonly keytype: "ecdsa-sha2-nistp256";
    readonly scheme: "ecdsa-sha2-nistp256";
    /** SPKI DER in base64. */ readonly key: string;
  };
  /** An entry of `dist.signatures`. @param integrity the exact `dist.integrity` */
  sign(name: string, version: string, integrity: string): { readonly keyid: string; readonly sig: string };
};

/** PKCS #8 in PEM. */
export function generateBridgeKey(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  return privateKey.export({ type: "pkcs8", format: "pem" }) as string;
}

/** Null where the text is no P-256 key. */
export function openBridgeKey(pem: string): BridgeKey | null {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    return null;
  }
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") return null;
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  const keyid = `SHA256:${createHash("sha256").update(spki).digest("base64")}`;
  return {
    listed: { expires: null, keyid, keytype: "ecdsa-sha2-nistp256", scheme: "ecdsa-sha2-nistp256", key: spki.toString("base64") },
    sign: (name, version, integrity) => ({
      keyid,
      sig: sign("sha256", Buffer.from(`${name}@${version}:${integrity}`), key).toString("base64"),
    }),
  };
}
