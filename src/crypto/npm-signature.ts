/**
 * Signatures of npm's public registry: ECDSA on P-256 with SHA-256 over `<name>@<version>:<integrity>`, by keys that the
 * registry lists. The same check as `npm audit signatures`, but over the integrity that the caller holds.
 */
import { createPublicKey, type KeyObject, verify } from "node:crypto";

export type NpmKey = {
  readonly keyid: string;
  /** Unix milliseconds; null: never. */ readonly expiresMs: number | null;
  readonly key: KeyObject;
};

/** Entries of `/-/npm/v1/keys`; those that are no P-256 keys are left out: nothing can be verified with them. */
export function parseNpmKeys(listed: readonly unknown[]): readonly NpmKey[] {
  return listed.flatMap((entry) => {
    if (typeof entry !== "object" || entry === null || !("keyid" in entry) || !("key" in entry)) return [];
    const { keyid, key } = entry;
    if (typeof keyid !== "string" || typeof key !== "string") return [];
    const expires = "expires" in entry ? entry.expires : null;
    const expiresMs = typeof expires === "string" ? Date.parse(expires) : null;
    if (expiresMs !== null && Number.isNaN(expiresMs)) return [];
    try {
      const opened = createPublicKey({ key: Buffer.from(key, "base64"), format: "der", type: "spki" });
      return opened.asymmetricKeyType === "ec" && opened.asymmetricKeyDetails?.namedCurve === "prime256v1"
        ? [{ keyid, expiresMs, key: opened }]
        : [];
    } catch {
      return [];
    }
  });
}

/** @param signature ASN.1 DER in base64; one that is none is false, too */
export function verifyNpmSignature({ key }: NpmKey, label: string, signature: string): boolean {
  return verify("sha256", Buffer.from(label), key, Buffer.from(signature, "base64"));
}
