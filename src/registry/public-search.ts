/**
 * What of a search the public registry may hear, and what of its answer may be shown.
 *
 * A private name in a search is a private name told to whoever reads the public registry's logs. So nothing is asked that
 * holds a scope or name that an index claims or that imprint.json denies; and of the answers only those count that would
 * really come from there.
 */
import { isJsonObject, type JsonValue } from "../format/json.ts";
import { isPackageName, type PackageName, type PackagePattern } from "../format/names.ts";
import type { Project } from "../format/project.ts";
import { sourceOf } from "./claims.ts";

export type PublicHit = { readonly name: string; readonly version: string; readonly description: string };

/** Why that text must not leave this machine; null: it may. */
export function reasonNotToAsk(project: Project, text: string): string | null {
  const { agree, overlay = [] } = project;
  // An overlaid name is upstream's, too.
  const isOverlaid = (pattern: string): boolean => overlay.some((name) => name === pattern);
  const claims = [...project.indices].flatMap(([alias, { packages }]) =>
    packages.filter((pattern) => !isOverlaid(pattern)).map((pattern) => [pattern, `${alias} claims`] as const),
  );
  const agreed = (agree?.names ?? []).map((name) => [name, "indices agree on"] as const);
  const denials = project.upstream.deny.map((pattern) => [pattern, "imprint.json denies"] as const);
  const words = text
    .normalize("NFKC")
    .toLowerCase()
    .split(/[\s,:"']+/)
    .filter((word) => word !== "");
  for (const [pattern, whose] of [...claims, ...agreed, ...denials]) {
    if (pattern === "*") return `${whose} every name`;
    if (words.some((word) => holds(word, pattern))) return `${whose} ${pattern}`;
  }
  return null;
}

/** Searches find by parts of names, and people leave out the `@`: any word that begins with it, or has it inside. */
function holds(word: string, pattern: PackagePattern | PackageName): boolean {
  const claimed = pattern.toLowerCase();
  if (!claimed.startsWith("@")) return word.startsWith(claimed);
  const scope = claimed.slice(0, claimed.indexOf("/"));
  const bare = scope.slice(1);
  return word.includes(scope) || word === bare || word.startsWith(`${bare}/`);
}

/** @param answer upstream's, as it came */
export function publicHits(project: Project, answer: JsonValue): { readonly hits: readonly PublicHit[]; readonly total: number | null } {
  const objects = isJsonObject(answer) ? answer["objects"] : null;
  const total = isJsonObject(answer) && typeof answer["total"] === "number" ? answer["total"] : null;
  const hits = (Array.isArray(objects) ? (objects as readonly JsonValue[]) : []).flatMap((object) => {
    const found = isJsonObject(object) ? object["package"] : null;
    if (!isJsonObject(found)) return [];
    const { name, version, description } = found;
    if (typeof name !== "string" || !isPackageName(name) || typeof version !== "string") return [];
    if (sourceOf(project, name).kind !== "upstream") return [];
    return [{ name, version: version.slice(0, 256), description: typeof description === "string" ? description.slice(0, 1000) : "" }];
  });
  return { hits, total };
}
