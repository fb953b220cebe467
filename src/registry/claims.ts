/**
 * Which source may answer for a name: a pure function of imprint.json, decided before any network answer.
 *
 * A claimed name never goes upstream, whatever its index says or fails to say. Otherwise a host that hides a package
 * turns a private name into one that anybody may take on the public registry.
 */
import { ImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import { type PackagePattern, patternRank, type PublicName } from "../format/names.ts";
import type { Project } from "../format/project.ts";
import type { Agreement } from "../format/several-sources.ts";

export type Source =
  /** Several indices that must say the same; never upstream. */
  | { readonly kind: "agree"; readonly agreement: Agreement }
  /** One index, and upstream for the versions that it knows nothing of. */
  | { readonly kind: "overlay"; readonly alias: DisplayName; readonly pattern: PackagePattern }
  | { readonly kind: "index"; readonly alias: DisplayName; readonly pattern: PackagePattern }
  | { readonly kind: "upstream"; readonly pattern: PackagePattern }
  | { readonly kind: "denied"; readonly pattern: PackagePattern | null };

/**
 * @throws ImprintError CLAIMS_CONFLICT where two indices claim a name with equal rank
 */
export function requireNoConflicts(project: Project, file = "imprint.json"): void {
  const owners = new Map<PackagePattern, DisplayName>();
  for (const [alias, { packages }] of project.indices) {
    for (const pattern of packages) {
      const other = owners.get(pattern);
      if (other !== undefined) throw new ImprintError("CLAIMS_CONFLICT", `Cannot use ${file}: ${other} and ${alias} both claim ${pattern}`);
      owners.set(pattern, alias);
    }
  }
}

/** Who answers for what only this pattern names: for `@bob/*`, every package of the scope that has no rule of its own. */
export function sourceOfPattern(project: Project, pattern: PackagePattern): Source {
  // A pattern ranks against patterns as a name does: itself, its scope, `*`.
  return sourceOf(project, pattern as string as PublicName);
}

/**
 * What is agreed on before any claim; then exact name before scope before `*` before upstream; upstream by the same ranks,
 * a deny winning a tie. An overlay is a claim that names upstream, too: wider denials do not take that back.
 */
export function sourceOf(project: Project, name: PublicName): Source {
  const { agree, overlay = [] } = project;
  if (agree?.names.some((one) => (one as string) === name) === true) return { kind: "agree", agreement: agree };
  let best: Source | null = null;
  let bestRank = 0;
  for (const [alias, { packages }] of project.indices) {
    for (const pattern of packages) {
      const rank = patternRank(pattern, name);
      if (rank > bestRank) [best, bestRank] = [{ kind: "index", alias, pattern }, rank];
    }
  }
  if (best?.kind === "index" && overlay.some((one) => (one as string) === name)) return { ...best, kind: "overlay" };
  if (best !== null) return best;
  const allow = closest(project.upstream.allow, name);
  const deny = closest(project.upstream.deny, name);
  if (allow === null || (deny !== null && patternRank(deny, name) >= patternRank(allow, name))) return { kind: "denied", pattern: deny };
  return { kind: "upstream", pattern: allow };
}

/** Whether that index has a say in what is answered. */
export function hasSay(source: Source, alias: string): boolean {
  return aliasesOf(source).some((one) => one === alias);
}

/** The indices that a name's answer needs. */
export function aliasesOf(source: Source): readonly DisplayName[] {
  switch (source.kind) {
    case "agree":
      return source.agreement.of;
    case "index":
    case "overlay":
      return [source.alias];
    case "upstream":
    case "denied":
      return [];
  }
}

/** How a source is called in logs, tables and `--json`: `alice`, `alice+bob` (agreed), `alice+upstream`, `upstream`, `none`. */
export function labelOf(source: Source): string {
  const aliases = aliasesOf(source);
  if (source.kind === "overlay") return `${source.alias}+upstream`;
  return aliases.length > 0 ? aliases.join("+") : source.kind === "upstream" ? "upstream" : "none";
}

/**
 * Who answers for packages of a scope, so that no `@scope:registry` line may lead them elsewhere; null where no index is
 * claimed for any. `@alice/foo` claims part of a scope, `*` all of each.
 */
export function scopeOwners({ indices, agree }: Project): (scope: string) => string | null {
  const scopes = new Map<string, string>();
  const everything = [...indices].find(([, { packages }]) => packages.includes("*" as PackagePattern))?.[0] ?? null;
  const scopeOf = (name: string): string => name.slice(0, name.indexOf("/"));
  for (const name of agree?.names ?? []) if (name.startsWith("@")) scopes.set(scopeOf(name), (agree?.of ?? []).join("+"));
  for (const [alias, { packages }] of indices)
    for (const pattern of packages) if (pattern.startsWith("@")) scopes.set(scopeOf(pattern), alias);
  return (scope) => scopes.get(scope) ?? everything;
}

function closest(patterns: readonly PackagePattern[], name: PublicName): PackagePattern | null {
  let best: PackagePattern | null = null;
  for (const pattern of patterns) if (patternRank(pattern, name) > (best === null ? 0 : patternRank(best, name))) best = pattern;
  return best;
}
