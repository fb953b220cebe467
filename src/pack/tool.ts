/** The chosen package manager as it is on this machine: whether it is there, and whether it is the right yarn. */
import { realpath } from "node:fs/promises";
import path from "node:path";
import { ImprintError } from "../errors.ts";
import { type Choice, chooseManager } from "./choose.ts";
import { type CommandOptions, describeEnding, runCommand } from "./command.ts";
import { MANAGERS, type PackageManager } from "./managers.ts";

export type Command = readonly [string, ...string[]];

export type ToolOptions = CommandOptions & {
  /** What to run instead of the package manager's program, e.g. node and a path to npm's. */
  readonly command?: Command;
};

export type Tool = { readonly manager: PackageManager; readonly command: Command; readonly from: string };

/** Where corepack's stand-ins for yarn and pnpm lie, links followed. */
const COREPACK = /[/\\]corepack[/\\]dist[/\\]/;

/**
 * The package manager for the package in `dir`.
 *
 * @throws ImprintError COMMAND_NOT_FOUND, saying what asked for it; PACKAGE_REFUSED, FILE_UNREADABLE, PACK_FAILED
 */
export async function toolFor(dir: string, options: ToolOptions): Promise<Tool> {
  const choice = await chooseManager(dir);
  const { program, from, ignored } = choice;
  if (ignored.length > 0)
    options.onOutput(`packing with ${program} (${from}), not by ${ignored.join(", ")}: packageManager in package.json decides\n`);
  if (options.command === undefined) await requireProgram(dir, choice, options);
  const command: Command = options.command ?? [program];
  const manager = program === "yarn" ? MANAGERS[await yarnFor(dir, choice, command, options)] : MANAGERS[program];
  return { manager, command, from };
}

/**
 * npm hands its own options down to what it runs: imprint in a script of `npm run -w a` would pack that workspace, from
 * whichever folder. pnpm heeds the dry run too, and knows no option that undoes it.
 */
const INHERITED = /^npm_config_(dry|workspaces?|include[-_]workspace)([-_].*)?$/i;

/** Variables that no package manager may miss; what the user has set counts. */
export function toolEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const defaults = {
    // Nobody can answer corepack's question, and package.json is not corepack's to write to.
    COREPACK_ENABLE_DOWNLOAD_PROMPT: "0",
    COREPACK_ENABLE_AUTO_PIN: "0",
    YARN_ENABLE_TELEMETRY: "0",
  };
  return Object.fromEntries(Object.entries({ ...defaults, ...env }).filter(([name]) => !INHERITED.test(name)));
}

async function requireProgram(dir: string, { program, from }: Choice, { env, onOutput }: ToolOptions): Promise<void> {
  const found = await findProgram(program, env);
  if (found === null)
    throw new ImprintError(
      "COMMAND_NOT_FOUND",
      `Cannot pack ${dir} with ${program} (${from}): there is no ${program} on the PATH; ${howToGet(program)}`,
    );
  if (COREPACK.test(found)) onOutput(`${program} is corepack's: the version that ${from} names is downloaded unless it is here already\n`);
}

function howToGet(program: Choice["program"]): string {
  if (program === "npm") return "it comes with Node";
  const corepack = program === "bun" ? "" : `, for instance by corepack enable ${program}`;
  return `install it${corepack}, or pack it yourself and publish the .tgz`;
}

async function findProgram(program: string, env: NodeJS.ProcessEnv): Promise<string | null> {
  const folders = (env["PATH"] ?? env["Path"] ?? "").split(path.delimiter).filter((folder) => folder !== "");
  for (const folder of folders) {
    for (const file of [program, `${program}.exe`, `${program}.cmd`]) {
      try {
        return await realpath(path.join(folder, file));
      } catch {
        continue; // not there
      }
    }
  }
  return null;
}

/** Asked in the folder: a yarn hands over to the one that the project has checked in. */
async function yarnFor(dir: string, choice: Choice, command: Command, options: ToolOptions): Promise<"yarn 1" | "yarn 2+"> {
  let printed = "";
  const onOutput = (text: string): void => {
    printed += text;
  };
  const ending = await runCommand([...command, "--version"], dir, { ...options, env: toolEnvironment(options.env), onOutput });
  const [version, major] = /^(\d+)\.\d+\.\d+\S*$/m.exec(printed) ?? [];
  if (ending.code !== 0 || version === undefined) {
    options.onOutput(printed);
    throw new ImprintError(
      "PACK_FAILED",
      `Cannot pack ${dir} with yarn (${choice.from}): yarn --version failed with ${describeEnding(ending)}`,
    );
  }
  const found = major === "0" || major === "1" ? "yarn 1" : "yarn 2+";
  if (choice.yarn !== null && choice.yarn !== found) {
    const wanted = choice.yarn === "yarn 1" ? "yarn 1" : "yarn 2 or newer";
    throw new ImprintError(
      "COMMAND_NOT_FOUND",
      `Cannot pack ${dir}: ${choice.from} asks for ${wanted}, but the yarn on the PATH is ${version}; name the version in packageManager of package.json and run corepack enable, or install ${wanted}`,
    );
  }
  return found;
}
