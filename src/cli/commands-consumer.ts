/** Commands of consumers that ask: what is there, who answers for it, what is new, and whether the lockfile is what was signed. */
import path from "node:path";
import type { Argv } from "yargs";
import { CATALOGUE, ImprintError } from "../errors.ts";
import { GLOBAL, type GlobalOptions, print, STRICT, type Wiring } from "./wiring.ts";

export function consumerCommands(parser: Argv<GlobalOptions>, { depsOf, setExit }: Wiring) {
  return parser
    .command(
      "list",
      "the indices of this project",
      (y) => y.option("global", GLOBAL),
      async (args) => {
        const deps = depsOf(args);
        const { list, listLines } = await import("./commands/list.ts");
        const indices = await list(deps);
        print(deps, indices, listLines(indices, deps.nowMs()));
      },
    )
    .command(
      "sync [names..]",
      "ask the hosts for news and raise imprint.lock",
      (y) =>
        y
          .positional("names", { type: "string", array: true })
          .option("global", GLOBAL)
          .option("strict", STRICT)
          .option("frozen", { type: "boolean", default: false, describe: "accept nothing older than imprint.lock, write nothing" }),
      async (args) => {
        const deps = depsOf(args);
        const { sync } = await import("./commands/sync.ts");
        print(deps, await sync({ frozen: args.frozen, only: args.names ?? [] }, deps), []);
      },
    )
    .command(
      "search <text..>",
      "packages of the indices that you trust, by name, description and keywords",
      (y) =>
        y
          .positional("text", { type: "string", array: true, demandOption: true, describe: "words, or keywords:<word>" })
          .option("public", { type: "boolean", default: false, describe: "the public registry's results, too" })
          .option("size", { type: "number", default: 20, requiresArg: true, describe: "how many of each, at most 250" })
          .option("from", { type: "number", default: 0, requiresArg: true, describe: "leaves out the first ones" }),
      async (args) => {
        const deps = depsOf(args);
        const { search, searchLines } = await import("./commands/search.ts");
        const { text, size, from } = args;
        const result = await search({ text: text.join(" "), size, from, isPublic: args.public }, deps);
        print(deps, result, searchLines(result));
      },
    )
    .command(
      "view <package>",
      "what is known of a package: view @alice/a, or @alice/a@1.0.0, or @alice/a@beta",
      (y) => y.positional("package", { type: "string", demandOption: true }),
      async (args) => {
        const deps = depsOf(args);
        const { view } = await import("./commands/view.ts");
        const { viewLines } = await import("./views/view.ts");
        const result = await view(args.package, deps);
        print(deps, result, viewLines(result));
      },
    )
    .command(
      "why <package>",
      "who answers for a name, and what counts",
      (y) => y.positional("package", { type: "string", demandOption: true }),
      async (args) => {
        const deps = depsOf(args);
        const [{ why }, { treeLines }] = await Promise.all([import("./commands/why.ts"), import("./views/why.ts")]);
        const result = await why(args.package, deps);
        print(deps, result, treeLines(result.tree));
        if (result.answer === "refused") setExit(1);
      },
    )
    .command(
      "audit",
      "is what the lockfiles pin what the authors signed?",
      (y) =>
        y
          .option("frozen", { type: "boolean", default: false, describe: "accept nothing older than imprint.lock, write nothing" })
          .option("strict", { type: "boolean", default: false, describe: "refuse what is only warned about otherwise" })
          .option("installed", {
            type: "boolean",
            default: false,
            describe: "compare the files in node_modules, too, with what was signed",
          })
          .option("lockfile", { type: "string", requiresArg: true, describe: "this one (default: all that the project has)" }),
      async (args) => {
        const deps = depsOf(args);
        const { audit } = await import("./commands/audit.ts");
        const { auditAnnotations, auditLines } = await import("./views/audit.ts");
        const { frozen, strict, lockfile, installed } = args;
        const result = await audit({ frozen, strict, lockfile, installed }, deps);
        print(deps, result, auditLines(result));
        if (deps.env["GITHUB_ACTIONS"] === "true") {
          const workspace = deps.env["GITHUB_WORKSPACE"] ?? deps.cwd;
          const inRepository = (file: string): string => path.relative(workspace, path.resolve(deps.cwd, file)).split(path.sep).join("/");
          for (const line of auditAnnotations(result, inRepository)) deps.terminal.talk(line);
        }
        if (result.refused === 0) return;
        if (deps.json) setExit(CATALOGUE.AUDIT_FAILED.exit);
        else
          throw new ImprintError(
            "AUDIT_FAILED",
            `Cannot pass the lockfile: ${result.refused} of ${result.packages.length} packages refused`,
          );
      },
    );
}
