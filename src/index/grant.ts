/** A root that lets its publishers take one more name or scope. */
import { ImprintError } from "../errors.ts";
import type { PackagePattern } from "../format/names.ts";
import type { RootContent } from "./root-change.ts";

/**
 * Grants `pattern` to the entry that the publisher key at hand belongs to.
 *
 * @param publisherKeys as the root writes them
 * @returns null where the root grants it already
 * @throws ImprintError NOT_GRANTED
 */
export function grantPattern(root: RootContent, pattern: PackagePattern, publisherKeys: readonly string[]): RootContent | null {
  if (root.publishers.some(({ packages }) => packages.includes(pattern))) return null;
  const mine = root.publishers.findIndex((entry) => entry.keys.some((key) => publisherKeys.includes(key)));
  if (mine < 0) throw new ImprintError("NOT_GRANTED", `Cannot grant ${pattern}: the publisher key here stands nowhere in the index's root`);
  const publishers = root.publishers.map((entry, i) => (i === mine ? { ...entry, packages: [...entry.packages, pattern] } : entry));
  return { ...root, publishers };
}
