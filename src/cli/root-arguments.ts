/** What commands about the root take on the command line: keys, roles, thresholds. */
import { ImprintError } from "../errors.ts";
import { isPublicKey, type PublicKey } from "../format/keys.ts";
import { LIMITS } from "../format/limits.ts";
import { parsePackagePattern } from "../format/names.ts";
import type { RoleRef } from "../index/root/edits.ts";
import { clean } from "../format/text.ts";

export const ROLES = ["root", "checkpoint", "publisher"] as const;

/** @throws ImprintError USAGE */
export function parseKeys(texts: readonly string[]): readonly PublicKey[] {
  return texts.map((text) => {
    if (!isPublicKey(text))
      throw new ImprintError(
        "USAGE",
        `Cannot use ${clean(text)} as a key: give it as ed25519:… and 43 characters; imprint key list shows yours`,
      );
    return text;
  });
}

/** @throws ImprintError USAGE */
export function parseThreshold(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (!/^[0-9]$/u.test(text) || Number(text) > LIMITS.keys)
    throw new ImprintError("USAGE", `Cannot take ${clean(text)} as a threshold: give a number from 1 to ${LIMITS.keys}`);
  return Number(text);
}

/** @throws ImprintError USAGE */
export function parseRole(role: (typeof ROLES)[number], packages: readonly string[]): RoleRef {
  if (role === "publisher") return { role, packages: packages.length === 0 ? null : packages.map(parsePackagePattern) };
  if (packages.length > 0) throw new ImprintError("USAGE", `Cannot name packages for the role ${role}: only publishers have some`);
  return { role };
}
