/** Folders of a project: which are its workspaces, and whether a link that a lockfile has leads to one of them. */
import { realpath } from "node:fs/promises";
import path from "node:path";
import mapWorkspaces from "@npmcli/map-workspaces";
import { ImprintError, errnoOf } from "../../errors.ts";
import { textOf } from "../../format/bytes.ts";
import { isJsonObject, type JsonObject, type JsonValue, requireDepth } from "../../format/json.ts";
import { LIMITS } from "../../format/limits.ts";
import type { Files } from "../../storage/files.ts";

/** @throws ImprintError CONFIG_INVALID where it cannot be read as JSON; null: there is none */
export async function readManifest(files: Files, file: string): Promise<JsonObject | null> {
  const bytes = await files.read(file, LIMITS.packageJsonBytes);
  if (bytes === null) return null;
  try {
    const text = (textOf(bytes) ?? "").replace(/^\uFEFF/, "");
    requireDepth(text, LIMITS.packageJsonDepth);
    const value = JSON.parse(text) as JsonValue;
    if (isJsonObject(value)) return value;
  } catch (cause) {
    throw new ImprintError("CONFIG_INVALID", `Cannot read ${file}: it is not JSON`, { cause });
  }
  throw new ImprintError("CONFIG_INVALID", `Cannot read ${file}: it is not a JSON object`);
}

/**
 * Why the folder (relative to `root`) is not one inside `root` whose package.json has that name; null: it is. Links on the
 * way are followed first: they must not lead out of the project, nor into node_modules.
 */
export async function whyNotFolder(files: Files, root: string, folder: string, name: string): Promise<string | null> {
  let real: string;
  let realRoot: string;
  try {
    [real, realRoot] = await Promise.all([realpath(path.join(root, folder)), realpath(root)]);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return "there is no such folder";
  }
  const inside = path.relative(realRoot, real);
  if (path.isAbsolute(inside) || inside.split(path.sep).some((part) => part === ".." || part === "node_modules"))
    return "it is not of this project";
  let manifest: JsonObject | null;
  try {
    manifest = await readManifest(files, path.join(real, "package.json"));
  } catch (error) {
    if (!(error instanceof ImprintError)) throw error;
    return "its package.json cannot be read";
  }
  if (manifest === null) return "it has no package.json";
  return manifest["name"] === name ? null : `its package.json does not have the name ${name}`;
}

/** Folders of the workspaces that these patterns name, relative to `root`. @throws ImprintError CONFIG_INVALID */
export async function workspaceFolders(root: string, patterns: readonly string[]): Promise<readonly string[]> {
  if (patterns.length === 0) return [];
  try {
    const found = await mapWorkspaces({ cwd: root, pkg: { workspaces: [...patterns] } });
    return [...found.values()].map((folder) => path.relative(root, path.resolve(root, folder)).split(path.sep).join("/"));
  } catch (cause) {
    throw new ImprintError(
      "CONFIG_INVALID",
      `Cannot list the workspaces of ${root}: ${cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : "unknown"}`,
      { cause },
    );
  }
}
