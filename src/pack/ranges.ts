/**
 * Dependency ranges that only the author's own checkout can resolve. npm and yarn 1 leave `workspace:` and `catalog:` in
 * the tarball (pnpm, yarn 4 and bun rewrite them), and a package published so can't be installed by anyone.
 */
import { isJsonObject } from "../format/json.ts";
import type { JsonObject } from "../format/json.ts";
import { quote } from "./refuse.ts";

const FIELDS: readonly string[] = ["dependencies", "optionalDependencies", "peerDependencies"];
const LOCAL_PROTOCOL = /^(workspace|catalog|file|link|portal|patch|exec):/i;
const LOCAL_PATH = /^(\.{1,2}([/\\]|$)|~?[/\\]|[A-Za-z]:[/\\])/;
/** `npm:other@range`: the range behind the alias is what gets installed. */
const ALIAS = /^npm:(?:@[^/]+\/)?[^@]+@/i;

function isLocal(range: string): boolean {
  const inner = range.trim().replace(ALIAS, "").trim();
  return LOCAL_PROTOCOL.test(inner) || LOCAL_PATH.test(inner);
}

function adviceFor(range: string): string {
  return /(^|@)(workspace|catalog):/i.test(range.trim())
    ? "pack with pnpm, yarn 4 or bun (packageManager in package.json), which make a version range of it, or write one"
    : "write a version range, and publish that package too";
}

/** One line for each range that nobody else could install. */
export function rangeProblems(packageJson: JsonObject): readonly string[] {
  const problems: string[] = [];
  for (const field of FIELDS) {
    const ranges = packageJson[field];
    if (ranges === undefined) continue;
    if (!isJsonObject(ranges)) {
      problems.push(`${field} is not an object of names and ranges`);
      continue;
    }
    for (const [name, range] of Object.entries(ranges)) {
      if (typeof range !== "string") problems.push(`${field}: the range of ${quote(name)} is not a string`);
      else if (isLocal(range)) problems.push(`${field}: nobody else can install ${quote(name)} from ${quote(range)}; ${adviceFor(range)}`);
    }
  }
  return problems;
}
