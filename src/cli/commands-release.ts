/** Commands about what is released already: yank, unyank, deprecate, withdraw, tag. */
import type { Argv } from "yargs";
import type { Amendment } from "../index/amend.ts";
import { type GlobalFlags, type GlobalOptions, print, type Wiring } from "./wiring.ts";

type AmendFlags = GlobalFlags & {
  readonly specs: readonly string[];
  readonly index: string | undefined;
  readonly dryRun: boolean;
  readonly push: boolean;
  readonly yes?: boolean;
  readonly out?: string | undefined;
};

export function releaseCommands(y: Argv<GlobalOptions>, { depsOf }: Wiring) {
  const amend = async (flags: AmendFlags, amendment: Amendment): Promise<void> => {
    const deps = depsOf(flags);
    const { amend: run } = await import("./commands/amend.ts");
    const { specs, index, dryRun, push, yes = false, out } = flags;
    const changed = await run({ specs, amendment, index, dryRun, push, yes, out }, deps);
    print(
      deps,
      changed,
      changed.map(({ name, version }) => `${name}@${version}`),
    );
  };
  return y
    .command(
      "yank <specs..>",
      "leave releases out of version lists; locked installs go on",
      (z) => amendOptions(specsOf(z)).option("reason", REASON),
      (args) => amend(args, { kind: "yank", reason: args.reason }),
    )
    .command(
      "unyank <specs..>",
      "put yanked releases back",
      (z) => amendOptions(specsOf(z)),
      (args) => amend(args, { kind: "unyank" }),
    )
    .command(
      "deprecate <spec> <message>",
      "warn whoever installs; an empty message takes it back",
      (z) =>
        amendOptions(
          z
            .positional("spec", { type: "string", demandOption: true, describe: "package, or '<package>@<version or range>'" })
            .positional("message", { type: "string", demandOption: true }),
        ),
      (args) => amend({ ...args, specs: [args.spec] }, { kind: "deprecate", message: args.message }),
    )
    .command(
      "withdraw <specs..>",
      "never serve releases again, nor use their numbers",
      (z) => amendOptions(specsOf(z)).option("reason", REASON).option("yes", { type: "boolean", default: false, describe: "do not ask" }),
      (args) => amend(args, { kind: "withdraw", reason: args.reason }),
    )
    .command("tag", "where dist-tags point", (z) =>
      z
        .command(
          "add <spec> <tag>",
          "point a tag at a release: '<package>@<version>' beta",
          (q) =>
            writeOptions(
              q.positional("spec", { type: "string", demandOption: true }).positional("tag", { type: "string", demandOption: true }),
            ),
          async (args) => {
            const deps = depsOf(args);
            const { tagAdd } = await import("./commands/tag.ts");
            const changed = await tagAdd(args.spec, args.tag, args, deps);
            print(deps, changed, [`${changed.tag}: ${changed.to ?? ""}`]);
          },
        )
        .command(
          "rm <package> <tag>",
          "remove a tag",
          (q) =>
            writeOptions(
              q.positional("package", { type: "string", demandOption: true }).positional("tag", { type: "string", demandOption: true }),
            ),
          async (args) => {
            const deps = depsOf(args);
            const { tagRemove } = await import("./commands/tag.ts");
            print(deps, await tagRemove(args.package, args.tag, args, deps), []);
          },
        )
        .command(
          "ls <package>",
          "the tags of a package",
          (q) => q.positional("package", { type: "string", demandOption: true }).option("index", INDEX),
          async (args) => {
            const deps = depsOf(args);
            const { tagList } = await import("./commands/tag.ts");
            const tags = await tagList(args.package, args, deps);
            print(
              deps,
              tags,
              Object.entries(tags).map(([tag, version]) => `${tag}: ${version}`),
            );
          },
        )
        .demandCommand(1, "Say what to do with tags: add, rm or ls"),
    );
}

const REASON = { type: "string", default: "", requiresArg: true, describe: "why, for whoever asks" } as const;
const INDEX = { type: "string", requiresArg: true, describe: "own index, by name or folder" } as const;

function specsOf<T>(y: Argv<T>) {
  return y.positional("specs", {
    type: "string",
    array: true,
    demandOption: true,
    describe: "'<package>@<version or range>', as '@alice/x@<1.2'",
  });
}

function writeOptions<T>(y: Argv<T>) {
  return y
    .option("index", INDEX)
    .option("out", { type: "string", requiresArg: true, describe: "write a request that other publishers sign (imprint root sign)" })
    .option("push", { type: "boolean", default: true, describe: "--no-push: commit, and leave the push to git" });
}

function amendOptions<T>(y: Argv<T>) {
  return writeOptions(y).option("dry-run", { type: "boolean", default: false, describe: "show what it would change, sign nothing" });
}
