/** Text files of a project's root, read and planned: nothing is written before all of it is known. */
import path from "node:path";
import { textOf } from "../../format/bytes.ts";
import { LIMITS } from "../../format/limits.ts";
import type { Files } from "../../storage/files.ts";

export async function textIn(files: Pick<Files, "read">, file: string, maxBytes: number = LIMITS.projectBytes): Promise<string | null> {
  const bytes = await files.read(file, maxBytes);
  return bytes === null ? null : (textOf(bytes) ?? "");
}

export type ClientName = "npm" | "pnpm" | "yarn 1" | "yarn" | "bun" | "deno";

/** What each client leaves in a project. */
const LEFT: readonly (readonly [ClientName, readonly string[]])[] = [
  ["npm", ["package-lock.json", "npm-shrinkwrap.json"]],
  ["pnpm", ["pnpm-lock.yaml", "pnpm-workspace.yaml"]],
  ["bun", ["bun.lock", "bun.lockb", "bunfig.toml"]],
  ["deno", ["deno.lock", "deno.json", "deno.jsonc"]],
];

/** The clients that a project uses: by their lockfiles and settings, and by the version that package.json pins. */
export async function clientsOf(files: Pick<Files, "read" | "list">, folder: string): Promise<ReadonlySet<ClientName>> {
  const names = new Set(await files.list(folder));
  const found = new Set<ClientName>(LEFT.flatMap(([client, left]) => (left.some((name) => names.has(name)) ? [client] : [])));
  const manifest = names.has("package.json") ? ((await textIn(files, path.join(folder, "package.json"))) ?? "") : "";
  const [, pinned, major] = /"packageManager"\s*:\s*"(npm|pnpm|yarn|bun|deno)@(\d+)/.exec(manifest) ?? [];
  if (pinned === "yarn") found.add(Number(major) >= 2 ? "yarn" : "yarn 1");
  else if (pinned !== undefined) found.add(pinned as ClientName);
  if (names.has(".yarnrc.yml")) found.add("yarn");
  if (names.has(".yarnrc")) found.add("yarn 1");
  if (names.has("yarn.lock")) {
    const lock = (await textIn(files, path.join(folder, "yarn.lock"), LIMITS.lockfileBytes)) ?? "";
    // An empty one only tells yarn 2 and later where the project begins.
    if (!(found.has("yarn") && lock.trim() === "")) found.add(lock.includes("__metadata:") ? "yarn" : "yarn 1");
  }
  return found;
}
