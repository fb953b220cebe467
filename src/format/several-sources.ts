/**
 * The two parts of imprint.json that give one name several sources: `agree` (indices that must say the same) and `overlay`
 * (an index over upstream). Exact names only: whoever reads a change of the file sees every name that it is about.
 */
import { LIMITS } from "./limits.ts";
import { type Decoder, displayName, type DisplayName, integer, list, member, object, onlyMembers, packageName } from "./decode.ts";
import type { PackageName } from "./names.ts";

export type Agreement = {
  readonly names: readonly PackageName[];
  /** Aliases of indices; the order decides whose tags count. */
  readonly of: readonly DisplayName[];
  /** How many of them must say the same. */
  readonly threshold: number;
};

const MAX_OF = LIMITS.agreeing;

export const decodeAgreement: Decoder<Agreement> = (value, at) => {
  const from = object(value, at);
  onlyMembers(from, at, ["names", "of", "threshold"]);
  const of = member(from, "of", at, list(displayName, { min: 1, max: MAX_OF, distinct: true }));
  return {
    names: member(from, "names", at, list(packageName, { min: 1, distinct: true })),
    of,
    threshold: member(from, "threshold", at, integer(1, of.length)),
  };
};

export const decodeOverlay: Decoder<readonly PackageName[]> = list(packageName, { distinct: true });
