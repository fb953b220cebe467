/**
 * The command line: arguments in, exit code out. Commands are imported when they run, because loading all of them would
 * cost every `imprint run` a quarter of a second; for the same reason `run` is parsed by Node's own parser, and yargs is
 * loaded for everything else.
 */
import { statSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import envPaths from "env-paths";
import { ImprintError } from "../errors.ts";
import { readInput } from "./input.ts";
import { chooseGit } from "../git/choice.ts";
import { safeDirectories } from "../git/safe-directories.ts";
import { nodeFiles } from "../storage/files.ts";
import { layoutFrom } from "../storage/layout.ts";
import { machineSecret, sealedFiles } from "../storage/sealed.ts";
import { trustsOf } from "../storage/owner.ts";
import { networkOf } from "../storage/proxy.ts";
import type { Deps } from "./deps.ts";
import { looseFolderLine, looseFolders } from "./home.ts";
import { DEFAULT_PORT } from "../clients/resolver-address.ts";
import { type GlobalFlags, type MainOptions, portOf, secondsOf } from "./wiring.ts";
import { clean, jsonLine } from "../format/text.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

/** @returns the exit code */
export async function main(options: MainOptions): Promise<number> {
  const { argv, env, streams } = options;
  const terminal = openTerminal(streams, env);
  const depsOf = (flags: GlobalFlags): Deps => makeDeps(options, terminal, flags);
  // What stands behind `run` belongs to the wrapped command, flags and all.
  const wrapped = splitRun(argv);
  try {
    if (wrapped !== null && !wrapped.own.includes("--help") && !wrapped.own.includes("--version"))
      return await runWrapped(wrapped, options, depsOf);
    const { runCommands } = await import("./commands.ts");
    return await runCommands(options, depsOf);
  } catch (error) {
    return report(error, terminal, options, argv.includes("--json"));
  }
}

function makeDeps(
  { env, cwd, nowMs, streams, ...options }: MainOptions,
  terminal: Terminal,
  { json, C, allowFile, ...flags }: GlobalFlags,
): Deps {
  // Or the search for imprint.json, which goes upward, would find another project than the one that was meant.
  if (typeof C === "string" && statSync(path.resolve(cwd, C), { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new ImprintError("FILE_UNREADABLE", `Cannot run in ${clean(path.resolve(cwd, C))}: there is no such folder`);
  const trusts = trustsOf({ env, uid: process.geteuid?.(), safeFolders: () => safeDirectories(env) });
  const files = options.files ?? nodeFiles(trusts);
  const offline = flags.offline === true || env["IMPRINT_OFFLINE"] === "1";
  const layout = layoutFrom(env, envPaths("imprint", { suffix: "" }));
  const secret = machineSecret(files, layout.machineSecret);
  for (const folder of looseFolders(layout, env)) terminal.warn(looseFolderLine(folder));
  return {
    terminal,
    env,
    cwd: typeof C === "string" ? path.resolve(cwd, C) : cwd,
    readInput: () => readInput(streams.stdin as AsyncIterable<Buffer>),
    files,
    sealed: sealedFiles(files, layout.cache, secret),
    secret,
    layout,
    git: chooseGit(env, offline, networkOf(env).fetch),
    nowMs,
    json: json === true,
    global: flags.global === true,
    strict: flags.strict === true,
    allowFile: allowFile === true || env["IMPRINT_ALLOW_FILE"] === "1",
    offline,
    privateHosts: new Set(
      (env["IMPRINT_ALLOW_PRIVATE"] ?? "")
        .toLowerCase()
        .split(/[\s,]+/)
        .filter((host) => host !== ""),
    ),
  };
}

function report(error: unknown, terminal: Terminal, { streams, env }: MainOptions, json: boolean): number {
  if (!(error instanceof ImprintError)) throw error;
  const { code, message, hint, step, file } = error;
  if (json) streams.stdout.write(`${jsonLine({ error: { code, message, hint, step: step ?? null, file: file ?? null } })}\n`);
  const where = step === undefined ? "" : ` (${step})`;
  // The message may hold line breaks where a list of problems is due.
  const [first = "", ...rest] = message.split("\n").map(clean);
  terminal.talk(`${terminal.style("red", "✗")} ${first}${where}`);
  for (const line of rest) terminal.talk(`  ${line.trim()}`);
  terminal.talk(`  ${terminal.style("dim", `${code}; next: ${hint}`)}`);
  if (env["IMPRINT_DEBUG"] !== undefined) terminal.talk(error.stack ?? "");
  return error.exitCode;
}

type Wrapped = { readonly own: readonly string[]; readonly command: readonly string[] };

/** Flags of `run` that take a value. */
const VALUED = new Set(["-C", "--port", "--sync-after"]);

/** `imprint -C shop run --frozen npm install --save x`: our own words, and the command's. Null: another command. */
function splitRun(argv: readonly string[]): Wrapped | null {
  const flagsUntil = (from: number): number => {
    let at = from;
    while (at < argv.length && (argv[at] ?? "").startsWith("-") && argv[at] !== "--") at += VALUED.has(argv[at] ?? "") ? 2 : 1;
    return at;
  };
  const run = flagsUntil(0);
  if (argv[run] !== "run") return null;
  const end = flagsUntil(run + 1);
  return { own: [...argv.slice(0, run), ...argv.slice(run + 1, end)], command: argv.slice(argv[end] === "--" ? end + 1 : end) };
}

async function runWrapped({ own, command }: Wrapped, { version }: MainOptions, depsOf: (flags: GlobalFlags) => Deps): Promise<number> {
  const { values } = parseOwn(own);
  const { run } = await import("./commands/run.ts");
  const port = portOf(values.port);
  const settings = {
    port: port ?? DEFAULT_PORT,
    anyPort: port === undefined,
    syncAfterMs: secondsOf(values["sync-after"]),
    verbose: values.verbose === true,
    frozen: values.frozen === true,
    version,
  };
  const { json, C, offline, strict } = values;
  return run(command, settings, depsOf({ json, C, allowFile: values["allow-file"], offline, strict }));
}

function parseOwn(own: readonly string[]) {
  try {
    return parseArgs({
      args: own.map((word) => (word === "-C" ? "--C" : word)),
      options: {
        C: { type: "string" },
        json: { type: "boolean" },
        "allow-file": { type: "boolean" },
        offline: { type: "boolean" },
        port: { type: "string" },
        "sync-after": { type: "string" },
        frozen: { type: "boolean" },
        strict: { type: "boolean" },
        verbose: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new ImprintError("USAGE", `Cannot run: ${error instanceof Error ? error.message : "wrong words before the command"}`, {
      cause: error,
    });
  }
}
