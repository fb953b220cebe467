/**
 * From a folder to a tarball, by the author's own package manager: only it knows which files belong in there.
 *
 * All of them skip `prepublishOnly` when they pack, so it is run first. The tarball is the one .tgz in a fresh empty
 * folder, never what is printed: scripts print too, and could name any file. What is in it is believed only as far as
 * inspectTarball confirms.
 */
import { lstat, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ImprintError } from "../errors.ts";
import { isJsonObject } from "../format/json.ts";
import type { JsonObject } from "../format/json.ts";
import { describeEnding, runCommand } from "./command.ts";
import { readPackageJson } from "./package-json.ts";
import { type Tool, toolEnvironment, toolFor, type ToolOptions } from "./tool.ts";

export type PackOptions = ToolOptions & {
  /** Where the folder for the tarball is made; the system's folder for temporary files unless given. */
  readonly tempFolder?: string;
};

export type Packed = {
  /** The .tgz, until `cleanup`. */
  readonly tarballPath: string;
  /** package.json of the folder once all scripts ran; the tarball's own may differ, and that one counts. */
  readonly packageJson: JsonObject;
  /** Removes the tarball and its folder; may be called more than once. */
  readonly cleanup: () => Promise<void>;
};

function hasScript(packageJson: JsonObject, name: string): boolean {
  const scripts = packageJson["scripts"];
  return isJsonObject(scripts) && Object.hasOwn(scripts, name) && scripts[name] !== "";
}

async function runChecked(dir: string, what: string, tool: Tool, args: readonly string[], options: PackOptions): Promise<void> {
  const ending = await runCommand([...tool.command, ...args], dir, { ...options, env: toolEnvironment(options.env) });
  if (ending.code === 0) return;
  const { manager, from } = tool;
  throw new ImprintError(
    "PACK_FAILED",
    `Cannot publish ${dir}: ${what} failed with ${describeEnding(ending)} (with ${manager.name}: ${from})`,
  );
}

async function runScript(dir: string, script: string, tool: Tool, options: PackOptions): Promise<void> {
  if (hasScript(await readPackageJson(dir), script)) await runChecked(dir, `script ${script}`, tool, tool.manager.script(script), options);
}

async function theOneTarball(dir: string, folder: string): Promise<string> {
  const names = await readdir(folder);
  const [name] = names;
  if (names.length !== 1 || name === undefined || !name.endsWith(".tgz")) {
    throw new ImprintError("PACK_FAILED", `Cannot publish ${dir}: packing left ${names.length} files where one .tgz was due`);
  }
  const path = join(folder, name);
  // A link would let a script hand over any file of this machine.
  if (!(await lstat(path)).isFile()) throw new ImprintError("PACK_FAILED", `Cannot publish ${dir}: ${name} is no regular file`);
  return path;
}

/**
 * Runs a lifecycle script, by the package's own package manager, if the package in `dir` has it (npm runs its `pre` and
 * `post` scripts too).
 *
 * @returns whether there was one
 * @throws ImprintError PACK_FAILED naming script and exit code; COMMAND_NOT_FOUND; FILE_UNREADABLE; PACKAGE_REFUSED
 */
export async function runLifecycle(
  dir: string,
  script: "prepublishOnly" | "publish" | "postpublish",
  options: PackOptions,
): Promise<boolean> {
  if (!hasScript(await readPackageJson(dir), script)) return false;
  await runScript(dir, script, await toolFor(dir, options), options);
  return true;
}

/**
 * Runs `prepublishOnly` and whatever else the package manager's own publish would run, then packs the package in `dir`
 * (with `prepack`, `prepare` and `postpack`, which the package manager runs itself). The folder is left as its scripts
 * leave it.
 *
 * @throws ImprintError PACK_FAILED, COMMAND_NOT_FOUND, FILE_UNREADABLE, PACKAGE_REFUSED; nothing is left behind then
 */
export async function packPackage(dir: string, options: PackOptions): Promise<Packed> {
  const tool = await toolFor(dir, options);
  for (const script of tool.manager.before) await runScript(dir, script, tool, options);
  const folder = await mkdtemp(join(options.tempFolder ?? tmpdir(), "imprint-pack-"));
  const cleanup = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    await runChecked(dir, `${tool.manager.program} pack`, tool, tool.manager.pack(folder), options);
    return { tarballPath: await theOneTarball(dir, folder), packageJson: await readPackageJson(dir), cleanup };
  } catch (error) {
    await cleanup();
    throw error;
  }
}
