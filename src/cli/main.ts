/**
 * The command line: arguments in, exit code out. Commands are imported when they run, because loading all of them would
 * cost every `imprint run` a quarter of a second.
 */
import path from "node:path";
import envPaths from "env-paths";
import yargs, { type Argv } from "yargs";
import { CATALOGUE, ImprintError } from "../errors.ts";
import { nodeFiles } from "../storage/files.ts";
import { layoutFrom } from "../storage/layout.ts";
import type { Deps } from "./deps.ts";
import { DEFAULT_PORT } from "./project-files.ts";
import { clean, openTerminal, type TerminalStreams } from "./terminal.ts";

export type MainOptions = {
  /** Without program and script. */
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly streams: TerminalStreams;
  readonly nowMs: () => number;
  readonly version: string;
  /** Resolves when the process is asked to stop; listens only once called. */
  readonly stop: () => Promise<void>;
};

/** @returns the exit code */
export async function main(options: MainOptions): Promise<number> {
  const { argv, env, streams } = options;
  const terminal = openTerminal(streams, env);
  // What stands behind `run` belongs to the wrapped command, flags and all.
  const wrapped = splitRun(argv);
  const json = wrapped.own.includes("--json");
  let exitCode = 0;
  try {
    const parser = commands(options, wrapped.command, (code) => {
      exitCode = code;
    });
    await parser.parseAsync([...wrapped.own]);
    return exitCode;
  } catch (error) {
    return report(error, terminal, streams, json, env);
  }
}

function report(error: unknown, terminal: ReturnType<typeof openTerminal>, streams: TerminalStreams, json: boolean, env: NodeJS.ProcessEnv): number {
  if (!(error instanceof ImprintError)) throw error;
  const { code, message, hint, step, file } = error;
  if (json) streams.stdout.write(`${JSON.stringify({ error: { code, message, hint, step: step ?? null, file: file ?? null } })}\n`);
  const where = step === undefined ? "" : ` (${step})`;
  // The message may hold line breaks where a list of problems is due.
  const [first = "", ...rest] = message.split("\n").map(clean);
  terminal.talk(`${terminal.style("red", "✗")} ${first}${where}`);
  for (const line of rest) terminal.talk(`  ${line.trim()}`);
  terminal.talk(`  ${terminal.style("dim", `${code}; next: ${hint}`)}`);
  if (env["IMPRINT_DEBUG"] !== undefined) terminal.talk(error.stack ?? "");
  return error.exitCode;
}

/** `run npm install --save x`: the parser sees `run` and the words before it. */
function splitRun(argv: readonly string[]): { readonly own: readonly string[]; readonly command: readonly string[] } {
  const at = argv.findIndex((word, i) => word === "run" && argv.slice(0, i).every((before, j) => before.startsWith("-") || argv[j - 1] === "-C"));
  if (at < 0) return { own: argv, command: [] };
  let end = at + 1;
  while (end < argv.length && (argv[end] ?? "").startsWith("-")) end += ["--sync-after", "--port"].includes(argv[end] ?? "") ? 2 : 1;
  const isSeparator = argv[end - 1] === "--";
  return { own: argv.slice(0, isSeparator ? end - 1 : end), command: argv.slice(end) };
}

function commands(options: MainOptions, wrapped: readonly string[], setExit: (code: number) => void): Argv {
  const { env, streams, cwd, nowMs, version } = options;
  const terminal = openTerminal(streams, env);
  const depsOf = (args: { json?: unknown; C?: unknown; allowFile?: unknown }): Deps => ({
    terminal,
    env,
    cwd: typeof args.C === "string" ? path.resolve(cwd, args.C) : cwd,
    files: nodeFiles(),
    layout: layoutFrom(env, platformPaths()),
    nowMs,
    json: args.json === true,
    allowFile: args.allowFile === true || env["IMPRINT_ALLOW_FILE"] === "1",
  });
  /** Prints a command's data: as JSON, or as the lines of its view. */
  const print = (deps: Deps, data: unknown, lines: readonly string[]): void => {
    if (deps.json) terminal.result(JSON.stringify(data));
    else for (const line of lines) terminal.result(line);
  };
  const listOf = (value: unknown): readonly string[] => (Array.isArray(value) ? value : [value]).flatMap((item) => (typeof item === "string" ? item.split(",") : [])).map((item) => item.trim()).filter((item) => item !== "");

  return yargs()
    .scriptName("imprint")
    .version(version)
    .option("json", { type: "boolean", describe: "results as JSON on stdout", global: true })
    .option("C", { type: "string", describe: "run as if started in this folder", global: true, requiresArg: true })
    .option("allow-file", { type: "boolean", describe: "let indices be local paths", global: true })
    .command(
      "init [dir]",
      "make keys and an index of your own",
      (y) =>
        y
          .positional("dir", { type: "string", describe: "folder of the index (default: <name>-index)" })
          .option("name", { type: "string", requiresArg: true, describe: "short name of the index" })
          .option("packages", { type: "string", array: true, requiresArg: true, describe: "what it may publish: names, '@scope/*' or '*'" })
          .option("remote", { type: "string", requiresArg: true, describe: "git address to push to" })
          .option("url", { type: "string", requiresArg: true, describe: "git address that others read" }),
      async (args) => {
        const deps = depsOf(args);
        const { init } = await import("./commands/init.ts");
        const result = await init({ dir: args.dir, name: args.name, packages: listOf(args.packages), remote: args.remote, url: args.url }, deps);
        print(deps, result, [result.id]);
      },
    )
    .command(
      "publish [what..]",
      "release packages: folders or .tgz files",
      (y) =>
        y
          .positional("what", { type: "string", array: true, describe: "folders or .tgz files (default: the folder here)" })
          .option("index", { type: "string", requiresArg: true, describe: "own index, by name or folder" })
          .option("tag", { type: "string", requiresArg: true, describe: "dist-tag (default: publishConfig.tag, else latest)" })
          .option("dry-run", { type: "boolean", default: false, describe: "check everything, sign nothing" })
          .option("push", { type: "boolean", default: true, describe: "--no-push: commit, and leave the push to git" }),
      async (args) => {
        const deps = depsOf(args);
        const { publish } = await import("./commands/publish.ts");
        const releases = await publish({ inputs: args.what ?? [], index: args.index, tag: args.tag, dryRun: args.dryRun, push: args.push }, deps);
        print(deps, releases, releases.map(({ name, version }) => `${name}@${version}`));
      },
    )
    .command("root", "the index's root document", (y) =>
      y
        .command(
          "grant <pattern>",
          "let your index publish one more name or scope",
          (z) => z.positional("pattern", { type: "string", demandOption: true }).option("index", { type: "string", requiresArg: true, describe: "own index, by name or folder" }),
          async (args) => {
            const deps = depsOf(args);
            const { grant } = await import("./commands/grant.ts");
            const result = await grant({ pattern: args.pattern, index: args.index }, deps);
            print(deps, result, [result.pattern]);
          },
        )
        .demandCommand(1, "Say what to do with the root: grant"),
    )
    .command(
      "add <url>",
      "trust an index: '<url>#<id>'",
      (y) =>
        y
          .positional("url", { type: "string", demandOption: true })
          .option("packages", { type: "string", array: true, requiresArg: true, describe: "what it may answer for (default: its scopes)" })
          .option("as", { type: "string", requiresArg: true, describe: "name in imprint.json" })
          .option("yes", { type: "boolean", default: false, describe: "do not ask; only with an id" })
          .option("npmrc", { type: "boolean", default: true, describe: "--no-npmrc: leave .npmrc alone" }),
      async (args) => {
        const deps = depsOf(args);
        const { add } = await import("./commands/add.ts");
        const result = await add({ url: args.url, as: args.as, packages: listOf(args.packages), yes: args.yes, npmrc: args.npmrc }, deps);
        print(deps, result, result.added ? [`${result.alias} ${result.id}`] : []);
        if (!result.added) setExit(1);
      },
    )
    .command(
      "remove <name>",
      "stop trusting an index",
      (y) => y.positional("name", { type: "string", demandOption: true }),
      async (args) => {
        const deps = depsOf(args);
        const { remove } = await import("./commands/remove.ts");
        print(deps, await remove(args.name, deps), []);
      },
    )
    .command("list", "the indices of this project", (y) => y, async (args) => {
      const deps = depsOf(args);
      const { list, listLines } = await import("./commands/list.ts");
      const indices = await list(deps);
      print(deps, indices, listLines(indices, nowMs()));
    })
    .command(
      "sync [names..]",
      "ask the hosts for news and raise imprint.lock",
      (y) => y.positional("names", { type: "string", array: true }).option("frozen", { type: "boolean", default: false, describe: "accept nothing older than imprint.lock, write nothing" }),
      async (args) => {
        const deps = depsOf(args);
        const { sync } = await import("./commands/sync.ts");
        print(deps, await sync({ frozen: args.frozen, only: args.names ?? [] }, deps), []);
      },
    )
    .command(
      "why <package>",
      "who answers for a name, and what counts",
      (y) => y.positional("package", { type: "string", demandOption: true }),
      async (args) => {
        const deps = depsOf(args);
        const { why, treeLines } = await import("./commands/why.ts");
        const result = await why(args.package, deps);
        print(deps, result, treeLines(result.tree));
        if (result.answer === "refused") setExit(1);
      },
    )
    .command(
      "verify [index]",
      "check every document and signature of an index",
      (y) =>
        y
          .positional("index", { type: "string", describe: "folder or address (default: the folder here)" })
          .option("id", { type: "string", requiresArg: true, describe: "the id that it must have" })
          .option("tarballs", { type: "boolean", default: false, describe: "every tarball too" }),
      async (args) => {
        const deps = depsOf(args);
        const { verify, verifyLines } = await import("./commands/verify.ts");
        const result = await verify({ target: args.index, id: args.id, tarballs: args.tarballs }, deps);
        if (deps.json) {
          print(deps, result, []);
          if (!result.ok) setExit(CATALOGUE.VERIFY_FAILED.exit);
        } else print(deps, result, verifyLines(result));
      },
    )
    .command(
      "audit",
      "is what package-lock.json pins what the authors signed?",
      (y) => y.option("frozen", { type: "boolean", default: false, describe: "accept nothing older than imprint.lock, write nothing" }),
      async (args) => {
        const deps = depsOf(args);
        const { audit, auditLines } = await import("./commands/audit.ts");
        const result = await audit({ frozen: args.frozen }, deps);
        print(deps, result, auditLines(result));
        if (result.refused > 0) {
          if (!deps.json) throw new ImprintError("AUDIT_FAILED", `Cannot pass the lockfile: ${result.refused} of ${result.packages.length} packages are not what was signed`);
          setExit(CATALOGUE.AUDIT_FAILED.exit);
        }
      },
    )
    .command(
      "serve",
      "this project's registry, until it is stopped",
      (y) => resolverOptions(y),
      async (args) => {
        const deps = depsOf(args);
        const { serve } = await import("./commands/serve.ts");
        await serve({ port: portOf(args.port, DEFAULT_PORT), anyPort: false, syncAfterMs: secondsOf(args.syncAfter), verbose: !args.quiet, version }, deps, options.stop());
      },
    )
    .command(
      "run [command..]",
      "one command with this project's registry: imprint run npm install",
      (y) => resolverOptions(y).option("frozen", { type: "boolean", default: false, describe: "accept nothing older than imprint.lock" }).option("verbose", { type: "boolean", default: false, describe: "a line for every answer" }),
      async (args) => {
        const deps = depsOf(args);
        const { run } = await import("./commands/run.ts");
        setExit(await run(wrapped, { port: portOf(args.port, DEFAULT_PORT), anyPort: args.port === undefined, syncAfterMs: secondsOf(args.syncAfter), verbose: args.verbose, frozen: args.frozen, version }, deps));
      },
    )
    .demandCommand(1, "Say what to do")
    .strict()
    .recommendCommands()
    .showHelpOnFail(false)
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new ImprintError("USAGE", message);
    })
    .wrap(100);
}

function resolverOptions<T>(y: Argv<T>) {
  return y
    .option("port", { type: "number", requiresArg: true, describe: `port on 127.0.0.1 (default: ${DEFAULT_PORT})` })
    .option("sync-after", { type: "number", default: 60, requiresArg: true, describe: "seconds after which an index is asked for news again" })
    .option("quiet", { type: "boolean", default: false, describe: "no line for every answer" });
}

function portOf(port: number | undefined, fallback: number): number {
  if (port === undefined) return fallback;
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new ImprintError("USAGE", `Cannot listen on port ${port}: give a number from 0 to 65535`);
  return port;
}

function secondsOf(seconds: number): number {
  if (!Number.isFinite(seconds) || seconds < 0) throw new ImprintError("USAGE", "Cannot use --sync-after: give a number of seconds");
  return seconds * 1000;
}

function platformPaths(): ReturnType<typeof envPaths> {
  return envPaths("imprint", { suffix: "" });
}
