/** Signing and checking documents: format's bytes meet keys here. */
import type { Signed, Kind } from "../format/envelope.ts";
import { formatEnvelope, signingInput } from "../format/envelope.ts";
import { canonicalize, type JsonObject } from "../format/json.ts";
import { formatPublicKey, formatSignature, type PublicKey, publicKeyBytes, type Signature, signatureBytes } from "../format/keys.ts";
import { type PrivateKey, signMessage, verifySignature } from "./ed25519.ts";

export type Signer = PrivateKey;

/** The file of a document signed by each of `signers`, beside signatures that it has already. */
export function signDocument(kind: Kind, signed: JsonObject, signers: readonly Signer[], existing: readonly Signature[] = []): Uint8Array {
  const message = signingInput(kind, canonicalize(signed));
  const signatures = new Map(existing.map((entry) => [entry.key, entry]));
  for (const signer of signers) {
    const key = formatPublicKey(signer.publicKey);
    signatures.set(key, { key, signature: formatSignature(signMessage(signer, message)) });
  }
  return formatEnvelope(signed, [...signatures.values()]);
}

/** Which of `keys` have a good signature on the document. Distinct keys count towards a threshold, signatures don't. */
export function signersAmong(document: Signed<unknown>, keys: Iterable<PublicKey>): ReadonlySet<PublicKey> {
  const wanted = new Set(keys);
  const message = signingInput(document.kind, document.body);
  return new Set(
    document.signatures
      .filter(({ key }) => wanted.has(key))
      .filter((entry) => isGoodSignature(entry, message))
      .map(({ key }) => key),
  );
}

/** Whether at least `threshold` of `keys` signed. Stops at the threshold: a flood of signatures costs no more. */
export function meetsThreshold(
  document: Signed<unknown>,
  role: { readonly keys: readonly PublicKey[]; readonly threshold: number },
): boolean {
  const message = signingInput(document.kind, document.body);
  const wanted = new Set(role.keys);
  let good = 0;
  for (const entry of document.signatures) {
    if (wanted.has(entry.key) && isGoodSignature(entry, message)) good++;
    if (good >= role.threshold) return true;
  }
  return false;
}

/**
 * Every signature that is not good for the key that it names: none may stand in an index that `verify` passes.
 *
 * @param known keys whose signatures on this document were found good already
 */
export function badSignatures(document: Signed<unknown>, known: readonly string[] = []): readonly Signature[] {
  const unknown = document.signatures.filter(({ key }) => !known.includes(key));
  if (unknown.length === 0) return [];
  const message = signingInput(document.kind, document.body);
  return unknown.filter((entry) => !isGoodSignature(entry, message));
}

function isGoodSignature({ key, signature }: Signature, message: Uint8Array): boolean {
  return verifySignature(publicKeyBytes(key), message, signatureBytes(signature));
}
