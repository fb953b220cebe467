/** What `imprint sync` says is new, in words. */
import type { IndexNews, PackageNews } from "../../index/news.ts";
import { clean } from "../../format/text.ts";

const MAX_ADDED = 20;
const MAX_VERSIONS = 5;

export function newsLines({ roots, packages, added, more }: IndexNews): readonly string[] {
  const some = added ?? [];
  const others = (more ?? 0) + Math.max(0, some.length - MAX_ADDED);
  return [
    ...roots.map(({ version, changes }) => `root ${version}: ${changes.map(shortKeys).join(", ")}`),
    ...packages.map(packageLine),
    ...some.slice(0, MAX_ADDED).map((name) => `${name} is new`),
    ...(others > 0 ? [`and ${others} more ${others === 1 ? "package" : "packages"} changed`] : []),
  ].map(clean);
}

export function packageLine({ name, tags, ...news }: PackageNews): string {
  const parts = (["released", "withdrawn", "yanked", "unyanked", "deprecated", "undeprecated"] as const).flatMap((what) => {
    const versions = news[what];
    const left = versions.length - MAX_VERSIONS;
    const listed = versions.slice(-MAX_VERSIONS).join(", ");
    return versions.length === 0 ? [] : [`${left > 0 ? `${left} others and ` : ""}${listed} ${what}`];
  });
  const moved = Object.entries(tags).map(([tag, version]) => (version === null ? `tag ${tag} removed` : `tag ${tag} → ${version}`));
  return `${name} ${[...parts, ...moved].join(", ")}`;
}

/** As everywhere else that people read. */
export function shortKeys(text: string): string {
  return text.replace(/ed25519:([A-Za-z0-9_-]{4})[A-Za-z0-9_-]{36}([A-Za-z0-9_-]{3})/g, "ed25519:$1…$2");
}
