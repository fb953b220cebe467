/** What yargs knows: every command, its options and its help. */
import yargs, { type Argv } from "yargs";
import { CATALOGUE, ImprintError } from "../errors.ts";
import type { Deps } from "./deps.ts";
import { anywhereCommands } from "./commands-anywhere.ts";
import { consumerCommands } from "./commands-consumer.ts";
import { doctorCommands } from "./commands-doctor.ts";
import { trustCommands } from "./commands-trust.ts";
import { indexCommands } from "./commands-index.ts";
import { DEFAULT_PORT } from "../clients/resolver-address.ts";
import { releaseCommands } from "./commands-release.ts";
import { FROM, GLOBAL, type GlobalFlags, type MainOptions, listOf, portOf, print, REF, STRICT, secondsOf, type Wiring } from "./wiring.ts";

/** @returns the exit code */
export async function runCommands(options: MainOptions, depsOf: (flags: GlobalFlags) => Deps): Promise<number> {
  const { version, argv } = options;
  let exitCode = 0;
  const setExit = (code: number): void => {
    exitCode = code;
  };
  const wiring: Wiring = { depsOf, setExit };
  const author = yargs()
    .scriptName("imprint")
    .version(version)
    .option("json", { type: "boolean", describe: "results as JSON on stdout", global: true })
    .option("C", { type: "string", describe: "run as if started in this folder", global: true, requiresArg: true })
    .option("allow-file", { type: "boolean", describe: "let indices be local paths", global: true })
    .option("offline", { type: "boolean", describe: "ask no host for anything: what was verified serves", global: true })
    .command(
      "init [dir]",
      "make keys and an index of your own",
      (y) =>
        y
          .positional("dir", { type: "string", describe: "folder of the index (default: <name>-index)" })
          .option("name", { type: "string", requiresArg: true, describe: "short name of the index" })
          .option("packages", { type: "string", array: true, requiresArg: true, describe: "what it may publish: names, '@scope/*' or '*'" })
          .option("remote", { type: "string", requiresArg: true, describe: "git address to push to" })
          .option("tarballs", {
            type: "string",
            array: true,
            requiresArg: true,
            describe: "where tarballs are: git (default), git+<url>, or an https template",
          })
          .option("ref", { ...REF, describe: "branch to make and push (default: main, else the host's default branch)" })
          .option("url", { type: "string", requiresArg: true, describe: "git address that others read" })
          .option("ci", {
            choices: ["github"] as const,
            describe: "workflows that verify, seal and renew, in a new index or in the one here",
          }),
      async (args) => {
        const deps = depsOf(args);
        const { init } = await import("./commands/init.ts");
        const result = await init(
          {
            dir: args.dir,
            name: args.name,
            packages: listOf(args.packages),
            remote: args.remote,
            ref: args.ref,
            tarballs: args.tarballs ?? [],
            url: args.url,
            ci: args.ci,
          },
          deps,
        );
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
          .option("workspaces", { type: "boolean", default: false, describe: "all packages of the workspace here whose version is new" })
          .option("filter", {
            type: "string",
            array: true,
            requiresArg: true,
            describe: "with --workspaces: names or globs ('!…' leaves out)",
          })
          .option("propose", { type: "boolean", default: false, describe: "a branch for a pull request; needs no checkpoint key" })
          .option("branch", { type: "string", requiresArg: true, describe: "with --propose: its name" })
          .option("dry-run", { type: "boolean", default: false, describe: "check everything, sign nothing" })
          .option("push", { type: "boolean", default: true, describe: "--no-push: commit, and leave the push to git" }),
      async (args) => {
        const deps = depsOf(args);
        const { index, tag, dryRun, push, what: inputs = [], filter: filters = [] } = args;
        if (args.branch !== undefined && !args.propose) throw notUnderstood("--branch goes with --propose");
        const propose = args.propose ? { branch: args.branch } : null;
        const linesOf = (releases: readonly { name: string; version: string }[]): string[] =>
          releases.map(({ name, version }) => `${name}@${version}`);
        if (args.workspaces) {
          if (inputs.length > 0) throw notUnderstood("--workspaces publishes the packages of the workspace here, not folders or files");
          const { publishWorkspaces } = await import("./commands/publish-workspaces.ts");
          const result = await publishWorkspaces({ index, tag, dryRun, push, propose, filters }, deps);
          print(deps, result, linesOf(result.releases));
        } else {
          if (filters.length > 0) throw notUnderstood("--filter goes with --workspaces");
          const { publish } = await import("./commands/publish.ts");
          const releases = await publish({ inputs, index, tag, dryRun, push, propose }, deps);
          print(deps, releases, linesOf(releases));
        }
      },
    );
  const parser = doctorCommands(
    trustCommands(consumerCommands(anywhereCommands(indexCommands(releaseCommands(author, wiring), wiring), wiring), wiring), wiring),
    wiring,
  )
    .command(
      "add <url>",
      "trust an index: '<url>#<id>'",
      (y) =>
        y
          .positional("url", { type: "string", demandOption: true })
          .option("packages", { type: "string", array: true, requiresArg: true, describe: "what it may answer for (default: its scopes)" })
          .option("as", { type: "string", requiresArg: true, describe: "name in imprint.json" })
          .option("ref", { ...REF, describe: "branch or ref to read (default: main, else the host's default branch)" })
          .option("yes", { type: "boolean", default: false, describe: "do not ask; only with an id" })
          .option("npmrc", { type: "boolean", default: true, describe: "--no-npmrc: leave .npmrc alone" })
          .option("introductions", {
            choices: ["claim", "deny"] as const,
            describe: "indices that this one's packages depend on: trust them, too, or deny their names (default: ask; with --yes: deny)",
          })
          .option("global", GLOBAL),
      async (args) => {
        const deps = depsOf(args);
        const { add } = await import("./commands/add.ts");
        const result = await add(
          {
            url: args.url,
            ref: args.ref,
            as: args.as,
            packages: listOf(args.packages),
            yes: args.yes,
            npmrc: args.npmrc,
            introductions: args.introductions,
          },
          deps,
        );
        print(deps, result, result.added ? [`${result.alias} ${result.id}`] : []);
        if (!result.added) setExit(1);
      },
    )
    .command(
      "remove <name>",
      "stop trusting an index",
      (y) => y.positional("name", { type: "string", demandOption: true }).option("global", GLOBAL),
      async (args) => {
        const deps = depsOf(args);
        const { remove } = await import("./commands/remove.ts");
        print(deps, await remove(args.name, deps), []);
      },
    )
    .command(
      "verify [index]",
      "check every document and signature of an index",
      (y) =>
        y
          .positional("index", { type: "string", describe: "folder or address (default: the folder here)" })
          .option("id", { type: "string", requiresArg: true, describe: "the id that it must have" })
          .option("ref", { ...REF, describe: "branch or ref (default: the files of a folder; main, else the host's default branch)" })
          .option("tarballs", { type: "boolean", default: false, describe: "every tarball too" })
          .option("since", {
            type: "string",
            requiresArg: true,
            describe: "commit, or seq of a checkpoint, of an earlier state: nothing may have been taken back since",
          })
          .option("jobs", { type: "string", requiresArg: true, describe: "cores to use (default: all, where it pays)" })
          .option("proposal", { type: "boolean", default: false, describe: "the pull request that is checked out, before it is merged" })
          .option("base", { type: "string", requiresArg: true, describe: "of a proposal: what it would be merged into" })
          .option("from", FROM),
      async (args) => {
        const deps = depsOf(args);
        if (args.ref !== undefined && args.proposal) throw notUnderstood("--ref does not go with --proposal");
        if (args.proposal) {
          const { verifyProposal, proposalLines } = await import("./commands/verify-proposal.ts");
          const result = await verifyProposal({ folder: args.index, base: args.base, from: listOf(args.from), id: args.id }, deps);
          if (!deps.json) return print(deps, result, proposalLines(result));
          print(deps, result, []);
          if (!result.ok) setExit(CATALOGUE.VERIFY_FAILED.exit);
          return;
        }
        if (args.base !== undefined || args.from !== undefined) throw notUnderstood("--base and --from go with --proposal");
        const { verify, verifyLines } = await import("./commands/verify.ts");
        const { index: target, id, ref, tarballs, since, jobs } = args;
        const result = await verify({ target, id, ref, tarballs, since, jobs }, deps);
        if (deps.json) {
          print(deps, result, []);
          if (!result.ok) setExit(CATALOGUE.VERIFY_FAILED.exit);
        } else print(deps, result, verifyLines(result));
      },
    )
    .command(
      "serve",
      "this project's registry, until it is stopped",
      (y) =>
        resolverOptions(y)
          .option("strict", STRICT)
          .option("quiet", { type: "boolean", default: false, describe: "no line for every answer" })
          .option("host", {
            type: "string",
            requiresArg: true,
            describe: "address to listen on (default: 127.0.0.1); others need --token-file",
          })
          .option("token-file", { type: "string", requiresArg: true, describe: "a token a line: clients must send one" })
          .option("public-url", {
            type: "string",
            array: true,
            requiresArg: true,
            describe: "address under which a reverse proxy offers it, with its path",
          })
          .option("other-users", {
            type: "boolean",
            default: false,
            describe: "answer this machine's other users, too (Linux refuses them)",
          })
          .option("trust-proxy", { type: "boolean", default: false, describe: "believe X-Forwarded-Host and -Proto, among --public-url" }),
      async (args) => {
        const deps = depsOf(args);
        const { serve } = await import("./commands/serve.ts");
        await serve(
          {
            port: portOf(args.port) ?? DEFAULT_PORT,
            syncAfterMs: secondsOf(args.syncAfter),
            verbose: !args.quiet,
            version,
            service: {
              host: args.host,
              tokenFile: args.tokenFile,
              publicUrls: args.publicUrl ?? [],
              trustProxy: args.trustProxy,
              otherUsers: args.otherUsers,
            },
          },
          deps,
          options.stop(),
        );
      },
    )
    .command(
      "run [command..]",
      "one command with this project's registry: imprint run npm install",
      (y) =>
        resolverOptions(y)
          .option("frozen", { type: "boolean", default: false, describe: "accept nothing older than imprint.lock" })
          .option("strict", STRICT)
          .option("verbose", { type: "boolean", default: false, describe: "a line for every answer" }),
      // Only its help comes here: main.ts parses the rest itself.
      () => {},
    )
    .demandCommand(1, "Say what to do")
    .strict()
    .check(requireOnce)
    .recommendCommands()
    .showHelpOnFail(false)
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? notUnderstood(message);
    })
    .wrap(100);
  try {
    await parser.parseAsync([...argv]);
  } catch (error) {
    // A missing value is thrown past `fail`, as an error of yargs' own.
    throw error instanceof Error && error.name === "YError" ? notUnderstood(error.message, error) : error;
  }
  return exitCode;
}

function notUnderstood(message: string, cause?: unknown): ImprintError {
  return new ImprintError("USAGE", `Cannot understand the command line: ${message}`, { cause });
}

/** What may be given more than once: yargs would make a list of any other option, which no command expects. */
const LISTS = new Set([
  "_",
  "what",
  "names",
  "text",
  "command",
  "packages",
  "specs",
  "filter",
  "from",
  "tarballs",
  "sources",
  "urls",
  "public-url",
  "publicUrl",
  "keys",
  "to",
  "replace",
  "keep",
  "withdraw",
  "mirrors",
  "introduce",
]);

function requireOnce(args: Readonly<Record<string, unknown>>): true {
  const twice = Object.keys(args).find((name) => Array.isArray(args[name]) && !LISTS.has(name));
  if (twice !== undefined) throw notUnderstood(`${twice.length === 1 ? "-" : "--"}${twice} is given twice`);
  return true;
}

function resolverOptions<T>(y: Argv<T>) {
  return y
    .option("port", { type: "string", requiresArg: true, describe: `port on 127.0.0.1 (default: ${DEFAULT_PORT})` })
    .option("sync-after", {
      type: "string",
      requiresArg: true,
      describe: "seconds after which an index is asked for news again (default: 60)",
    });
}
