/** Names in whose place nothing may stand that their source did not give. */
import { scopeOf, type PublicName } from "../format/names.ts";
import type { Project } from "../format/project.ts";
import type { Source } from "../registry/claims.ts";

/** Claimed by an index, or denied to everybody. */
export function isGuarded(source: Source): boolean {
  return source.kind !== "upstream";
}

/**
 * The claimed name, or pattern, that an unclaimed one is taken for on file systems that ignore case: `node_modules/@Alice/a`
 * is what `require("@alice/a")` finds there. Null: there is none.
 */
export function claimedTwin({ indices, agree }: Project, name: string): string | null {
  const folded = name.toLowerCase();
  const scope = scopeOf(name as PublicName)?.toLowerCase() ?? null;
  const patterns = [...(agree?.names ?? []), ...[...indices.values()].flatMap(({ packages }) => packages)] as readonly string[];
  return patterns.find((pattern) => pattern.toLowerCase() === folded || (scope !== null && pattern.toLowerCase() === `${scope}/*`)) ?? null;
}
