/** yarn.lock: which of the two formats it is. */
import { type LockedPackage, type Refuse, shown } from "./locked.ts";
import { parseYarnLines } from "./yarn-lines.ts";
import { yarn1Packages } from "./yarn-1.ts";
import { yarn4Packages } from "./yarn-4.ts";

const YARN_1 = /^# yarn lockfile v1\r?$/m;
const YARN_4_VERSIONS: ReadonlySet<unknown> = new Set(["8", "9", "10"]);

export function readYarnLock(source: string, refuse: Refuse): readonly LockedPackage[] {
  if (source.trim() === "") return [];
  // Anywhere in the file: yarn 4 looks for these words in all of it.
  if (YARN_1.test(source)) {
    if (!YARN_1.test(source.slice(0, 2000)) || /^"?__metadata/m.test(source)) return refuse("it is of yarn 1 and of yarn 4 at once");
    return yarn1Packages(parseYarnLines(source, { separator: " " }, refuse), refuse);
  }
  if (/yarn lockfile v1/.test(source)) return refuse("it is of yarn 1 and of yarn 4 at once");
  const parsed = parseYarnLines(source, { separator: ": " }, refuse);
  if (parsed.size === 0) return [];
  const metadata = parsed.get("__metadata");
  const version = metadata instanceof Map ? (metadata.get("version") as unknown) : undefined;
  if (!YARN_4_VERSIONS.has(version))
    return refuse(
      `version ${typeof version === "string" ? shown(version) : "null"} is not known; yarn install with yarn 1 or 4 writes one that is`,
    );
  return yarn4Packages(parsed, refuse);
}
