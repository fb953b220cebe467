/** The packages of a workspace, as its package manager lists them: pnpm in pnpm-workspace.yaml, all others in package.json. */
import { readFile } from "node:fs/promises";
import path from "node:path";
import mapWorkspaces from "@npmcli/map-workspaces";
import { parse } from "yaml";
import { errnoOf, ImprintError } from "../errors.ts";
import { isJsonObject } from "../format/json.ts";
import type { JsonObject, JsonValue } from "../format/json.ts";
import { chooseManager } from "./choose.ts";
import { readPackageJson } from "./package-json.ts";

export type Member = {
  /** Absolute. */
  readonly dir: string;
  readonly packageJson: JsonObject;
  /** The workspace's own root: in a workspace, but nobody lists it. */
  readonly isRoot: boolean;
};

/**
 * Every package of the workspace whose root is `root`, by folder, the root's own included.
 *
 * @throws ImprintError USAGE if `root` is no workspace's root; PACKAGE_REFUSED, FILE_UNREADABLE
 */
export async function readWorkspace(root: string): Promise<readonly Member[]> {
  const packageJson = await readPackageJson(root);
  const { program, from } = await chooseManager(root);
  const patterns = program === "pnpm" ? await pnpmPatterns(root) : patternsOf(packageJson["workspaces"]);
  if (patterns === null) {
    const lack = program === "pnpm" ? "it has no pnpm-workspace.yaml with packages" : "its package.json has no workspaces";
    throw new ImprintError(
      "USAGE",
      `Cannot publish the workspaces of ${root}: ${lack} (with ${program}: ${from}); run it in the workspace's root, or without --workspaces`,
    );
  }
  const dirs = await foldersOf(root, patterns);
  const others = dirs.filter((dir) => dir !== root).toSorted();
  const members = others.map(async (dir): Promise<Member> => ({ dir, packageJson: await readPackageJson(dir), isRoot: false }));
  // A pattern such as "." makes the root a package like the others.
  return [...(await Promise.all(members)), { dir: root, packageJson, isRoot: !dirs.includes(root) }];
}

/** A list, or an object that has one as `packages`. */
function patternsOf(workspaces: JsonValue | undefined): readonly string[] | null {
  const list = isJsonObject(workspaces) ? workspaces["packages"] : workspaces;
  if (!Array.isArray(list)) return null;
  return (list as readonly JsonValue[]).filter((pattern) => typeof pattern === "string");
}

async function pnpmPatterns(root: string): Promise<readonly string[] | null> {
  const file = path.join(root, "pnpm-workspace.yaml");
  try {
    const settings = parse(await readFile(file, "utf8")) as JsonValue;
    return isJsonObject(settings) ? patternsOf(settings["packages"]) : null;
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT") return null;
    throw new ImprintError("PACKAGE_REFUSED", `Cannot read ${file}: ${cause instanceof Error ? cause.message : "it is not YAML"}`, {
      cause,
    });
  }
}

async function foldersOf(root: string, patterns: readonly string[]): Promise<readonly string[]> {
  try {
    return [...(await mapWorkspaces({ cwd: root, pkg: { workspaces: [...patterns] } })).values()].map((dir) => path.resolve(dir));
  } catch (cause) {
    // Two packages of one name, or a package.json that is none.
    throw new ImprintError(
      "PACKAGE_REFUSED",
      `Cannot publish the workspaces of ${root}: ${cause instanceof Error ? cause.message : "they cannot be listed"}`,
      { cause },
    );
  }
}
