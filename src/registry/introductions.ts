/**
 * Introductions: the other indices that an index's packages depend on, as its root names them. Shown, never followed.
 *
 * A dependency on `@bob/x` must not go to whoever holds `@bob` on the public registry, so each introduced name becomes a
 * claim or an upstream deny (X4). What an introduction may do is bounded here: it never touches a name that imprint.json
 * has an answer for; unscoped names, which belong to everybody, are told apart; and `*` is no introduction of anybody: it is
 * neither claimed (that would hand over every name) nor denied (that would switch the public registry off).
 */
import { isImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import { type PackagePattern, patternRank, type PublicName } from "../format/names.ts";
import type { Project, ProjectIndex } from "../format/project.ts";
import type { Introduction, Root } from "../format/root.ts";
import { parseIndexAddress } from "../index/address.ts";
import type { IndexReader } from "../index/reader.ts";
import { newestRoot } from "../index/trust.ts";
import { sourceOfPattern } from "./claims.ts";

/** Introductions with only those of their patterns that imprint.json neither claims nor denies; never `*`. */
export function openIntroductions(project: Project, root: Root): readonly Introduction[] {
  return root.introductions
    .map((one) => ({
      ...one,
      packages: one.packages.filter((pattern) => pattern !== "*" && sourceOfPattern(project, pattern).kind === "upstream"),
    }))
    .filter(({ packages }) => packages.length > 0);
}

/** Never claimed but by a yes to just that: unscoped names belong to everybody. */
export function isUnscoped(pattern: PackagePattern): boolean {
  return !pattern.startsWith("@");
}

export function withClaimed(project: Project, alias: DisplayName, entry: ProjectIndex, packages: readonly PackagePattern[]): Project {
  const claims = [...new Set([...entry.packages, ...packages])];
  return { ...project, indices: new Map([...project.indices, [alias, { ...entry, packages: claims }]]) };
}

export function withDenied(project: Project, packages: readonly PackagePattern[]): Project {
  const deny = [...new Set([...project.upstream.deny, ...packages])];
  return { ...project, upstream: { ...project.upstream, deny } };
}

/** Who introduces a name, by the closest pattern, and that pattern alone; `*` introduces nobody in particular. */
export function introducerOf<Alias extends string>(
  name: PublicName,
  roots: Iterable<readonly [Alias, Root]>,
): { readonly by: Alias; readonly introduction: Introduction } | null {
  let best: { readonly by: Alias; readonly introduction: Introduction } | null = null;
  let bestRank = 1;
  for (const [by, root] of roots) {
    for (const introduction of root.introductions) {
      for (const pattern of introduction.packages) {
        const rank = patternRank(pattern, name);
        if (rank > bestRank) [best, bestRank] = [{ by, introduction: { ...introduction, packages: [pattern] } }, rank];
      }
    }
  }
  return best;
}

/** What the trusted indices' newest roots are; one that cannot be read here has nothing to say. */
export async function rootsOf<Alias extends string>(
  indices: ReadonlyMap<Alias, { readonly reader: Pick<IndexReader, "current"> }>,
): Promise<readonly (readonly [Alias, Root])[]> {
  const roots: (readonly [Alias, Root])[] = [];
  for (const [alias, { reader }] of indices) {
    const state = await reader.current().catch(() => null);
    if (state !== null) roots.push([alias, newestRoot(state.roots).doc]);
  }
  return roots;
}

/**
 * The command that trusts an introduced index, quoted for a shell: address and names are its introducer's text. People
 * paste such lines, so unscoped names are in it only where there is nothing else. Null where the address is none that may
 * be used, which is then not shown either (it may hold credentials).
 */
export function addCommand({ url, id, packages: all }: Introduction): string | null {
  if (!isUsableAddress(url)) return null;
  const scoped = all.filter((pattern) => !isUnscoped(pattern));
  const packages = scoped.length > 0 ? scoped : all;
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
