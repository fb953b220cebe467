/**
 * Introductions: the other indices that an index's packages depend on, as its root names them. Shown, never followed.
 *
 * A dependency on `@bob/x` must not go to whoever holds `@bob` on the public registry, so each introduced name becomes a
 * claim or an upstream deny (X4). What an introduction may do is bounded here: it never touches a name that imprint.json
 * has an answer for, and `*` and unscoped names, which belong to everybody, are told apart.
 */
import { isImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import { type PackageName, type PackagePattern, patternRank } from "../format/names.ts";
import type { Project, ProjectIndex } from "../format/project.ts";
import type { Introduction, Root } from "../format/root.ts";
import { parseIndexAddress } from "../index/address.ts";
import { sourceOfPattern } from "./claims.ts";

/** An introduction with only those of its patterns that imprint.json neither claims nor denies. */
export function openIntroductions(project: Project, root: Root): readonly Introduction[] {
  return root.introductions
    .map((one) => ({ ...one, packages: one.packages.filter((pattern) => sourceOfPattern(project, pattern).kind === "upstream") }))
    .filter(({ packages }) => packages.length > 0);
}

/** `*` and unscoped names: never claimed but by a yes to just that. */
export function isEverybodys(pattern: PackagePattern): boolean {
  return !pattern.startsWith("@");
}

/** `*` is never denied either: that would switch off the public registry at a stranger's word. */
export function deniable(packages: readonly PackagePattern[]): readonly PackagePattern[] {
  return packages.filter((pattern) => pattern !== "*");
}

export function withClaimed(project: Project, alias: DisplayName, entry: ProjectIndex, packages: readonly PackagePattern[]): Project {
  const claims = [...new Set([...entry.packages, ...packages])];
  return { ...project, indices: new Map([...project.indices, [alias, { ...entry, packages: claims }]]) };
}

export function withDenied(project: Project, packages: readonly PackagePattern[]): Project {
  const deny = [...new Set([...project.upstream.deny, ...packages])];
  return { ...project, upstream: { ...project.upstream, deny } };
}

/** Who introduces a name, closest pattern first; `*` introduces nobody in particular. */
export function introducerOf<Alias extends string>(
  name: PackageName,
  roots: Iterable<readonly [Alias, Root]>,
): { readonly by: Alias; readonly introduction: Introduction } | null {
  let best: { readonly by: Alias; readonly introduction: Introduction } | null = null;
  let bestRank = 1;
  for (const [by, root] of roots) {
    for (const introduction of root.introductions) {
      const rank = Math.max(...introduction.packages.map((pattern) => patternRank(pattern, name)));
      if (rank > bestRank) [best, bestRank] = [{ by, introduction }, rank];
    }
  }
  return best;
}

/**
 * The command that trusts an introduced index, quoted for a shell: address and names are its introducer's text. Null where
 * the address is none that may be used, which is then not shown either (it may hold credentials).
 */
export function addCommand({ url, id, packages }: Introduction): string | null {
  if (!isUsableAddress(url)) return null;
  const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
  return `imprint add ${quoted(`${url}#${id}`)} --packages ${quoted(packages.join(","))}`;
}

export function isUsableAddress(url: string): boolean {
  try {
    parseIndexAddress(url, { allowFile: false });
    return true;
  } catch (error) {
    if (isImprintError(error, "INVALID_URL")) return false;
    throw error;
  }
}
