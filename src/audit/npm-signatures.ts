/**
 * What the public registry itself has signed, of the public packages of a lockfile.
 *
 * It is judged by the lockfile's own integrity: what is proven is that the registry's key signed exactly the bytes that
 * the project pins, whoever handed out the packument. Upstream hears only names that no index claims, and no more of
 * them than are not here already; where it cannot be asked, that is said and proves nothing either way.
 */
import { type NpmKey, parseNpmKeys, verifyNpmSignature } from "../crypto/npm-signature.ts";
import { isImprintError } from "../errors.ts";
import type { Published, Upstream } from "../registry/port.ts";
import type { LockedPackage } from "../clients/lockfiles/locked.ts";

export type NpmVerdict =
  | { readonly signature: "valid"; readonly note: null }
  /** `invalid` refuses; the others are notes. */
  | { readonly signature: "invalid" | "missing" | "unchecked"; readonly note: string };

export type NpmSignatures = { judge(locked: LockedPackage): Promise<NpmVerdict> };

/** After so many failures in a row nobody else is asked for: an audit would take minutes to say what is known. */
const MAX_FAILURES = 3;

export function openNpmSignatures(upstream: Pick<Upstream, "keys" | "published">): NpmSignatures {
  let keys: Promise<readonly NpmKey[]> | null = null;
  let failures = 0;
  let last = "";
  return {
    async judge(locked) {
      const known = withoutAsking(locked);
      if (known !== null) return known;
      if (failures >= MAX_FAILURES) return unchecked(`the public registry could not be asked: ${last}`);
      try {
        keys ??= upstream.keys().then(parseNpmKeys, noKeys);
        const listed = await keys;
        if (listed.length === 0) return unchecked("the public registry lists no keys");
        const published = await upstream.published(locked.name, locked.version);
        failures = 0;
        return published === null ? unchecked("the public registry does not have that version") : judgePublished(locked, published, listed);
      } catch (error) {
        if (!isImprintError(error)) throw error;
        if (error.code === "NOT_FOUND") return unchecked("the public registry does not have it");
        failures++;
        last = error.message;
        return unchecked(`the public registry could not be asked: ${error.message}`);
      }
    },
  };
}

/** A mirror without the keys' address is a registry that lists none. */
function noKeys(error: unknown): readonly NpmKey[] {
  if (isImprintError(error, "NOT_FOUND")) return [];
  throw error;
}

/** What the lockfile says too little of for any signature to be compared with. */
function withoutAsking({ integrity, hashes }: LockedPackage): NpmVerdict | null {
  if (hashes === "archive") return unchecked("this lockfile has no integrity of its tarball");
  if (integrity === null) return unchecked("the lockfile has no integrity for it");
  return /^sha512-[A-Za-z0-9+/]+={0,2}$/.test(integrity) ? null : unchecked("the lockfile has another hash for it than one sha512");
}

function judgePublished({ name, version, integrity }: LockedPackage, published: Published, keys: readonly NpmKey[]): NpmVerdict {
  if (published.integrity !== null && published.integrity !== integrity && /^sha512-\S+$/.test(published.integrity))
    return invalid("the locked integrity is not the one that the public registry lists");
  if (published.signatures.length === 0) return { signature: "missing", note: "the public registry did not sign it" };
  for (const { keyid, sig } of published.signatures) {
    const key = keys.find((known) => known.keyid === keyid);
    if (key === undefined) return invalid("signed with a key that the public registry does not list");
    if (key.expiresMs !== null && published.timeMs !== null && published.timeMs >= key.expiresMs)
      return invalid("signed with a key that had expired when it was published");
    if (!verifyNpmSignature(key, `${name}@${version}:${integrity ?? ""}`, sig))
      return invalid("the public registry's signature is not of the locked integrity");
  }
  return { signature: "valid", note: null };
}

function unchecked(note: string): NpmVerdict {
  return { signature: "unchecked", note };
}

function invalid(note: string): NpmVerdict {
  return { signature: "invalid", note };
}
