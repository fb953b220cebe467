/** Commands about an own index's root: `imprint root …`. */
import type { Argv } from "yargs";
import type { Deps } from "./deps.ts";
import type { ChangedRoot } from "./root-change.ts";
import { type GlobalOptions, listOf, print, type Wiring } from "./wiring.ts";

const INDEX = { type: "string", requiresArg: true, describe: "own index, by name or folder" } as const;
const OUT = { type: "string", requiresArg: true, describe: "write a request that others sign, and commit nothing" } as const;
const ROLE = {
  choices: ["root", "checkpoint", "publisher"] as const,
  default: "publisher" as const,
  describe: "what the key signs",
};
const PACKAGES = { type: "string", array: true, requiresArg: true, describe: "of publishers: only of these names or scopes" } as const;
const THRESHOLD = { type: "string", requiresArg: true, describe: "signatures that it takes from now on" } as const;

export function rootCommands(y: Argv<GlobalOptions>, { depsOf }: Wiring) {
  return y
    .command(
      "show",
      "keys, thresholds and names of your index",
      (q) => q.option("index", INDEX),
      async (args) => {
        const deps = depsOf(args);
        const { rootShow, rootLines } = await import("./commands/root-show.ts");
        const shown = await rootShow(args.index, deps);
        print(deps, shown, rootLines(shown));
      },
    )
    .command(
      "grant <pattern>",
      "let your index publish one more name or scope",
      (q) =>
        q
          .positional("pattern", { type: "string", demandOption: true })
          .option("to", { type: "string", array: true, requiresArg: true, describe: "public keys that may (default: yours)" })
          .option("threshold", THRESHOLD)
          .option("index", INDEX)
          .option("out", OUT),
      async (args) => {
        const deps = depsOf(args);
        const { grant } = await import("./commands/grant.ts");
        const { pattern, index, out, threshold } = args;
        const result = await grant({ pattern, index, out, threshold, to: listOf(args.to) }, deps);
        print(deps, result, [result.pattern]);
      },
    )
    .command(
      "add-key <keys..>",
      "one more holder of a role",
      (q) =>
        q
          .positional("keys", { type: "string", array: true, demandOption: true })
          .option("role", ROLE)
          .option("packages", PACKAGES)
          .option("threshold", THRESHOLD)
          .option("index", INDEX)
          .option("out", OUT),
      async (args) => {
        const deps = depsOf(args);
        const { addKey } = await import("./commands/root-keys.ts");
        const { keys, role, index, out, threshold } = args;
        printChange(deps, await addKey({ keys, role, packages: listOf(args.packages), index, out, threshold }, deps));
      },
    )
    .command(
      "remove-key <keys..>",
      "a holder goes in peace: what they signed stays (else: revoke)",
      (q) =>
        q
          .positional("keys", { type: "string", array: true, demandOption: true })
          .option("threshold", THRESHOLD)
          .option("index", INDEX)
          .option("out", OUT),
      async (args) => {
        const deps = depsOf(args);
        const { removeKey } = await import("./commands/root-keys.ts");
        const { keys, index, out, threshold } = args;
        printChange(deps, await removeKey({ keys, index, out, threshold }, deps));
      },
    )
    .command(
      "threshold <count>",
      "how many of a role's keys must sign",
      (q) =>
        q
          .positional("count", { type: "string", demandOption: true })
          .option("role", ROLE)
          .option("packages", PACKAGES)
          .option("index", INDEX)
          .option("out", OUT),
      async (args) => {
        const deps = depsOf(args);
        const { threshold } = await import("./commands/root-keys.ts");
        const { count, role, index, out } = args;
        printChange(deps, await threshold({ count, role, packages: listOf(args.packages), index, out }, deps));
      },
    )
    .command(
      "rotate [what]",
      "new keys in the places of yours, lost ones too",
      (q) =>
        q
          .positional("what", { choices: ["daily", "publisher", "checkpoint", "root"] as const, default: "daily" as const })
          .option("replace", {
            type: "string",
            array: true,
            requiresArg: true,
            describe: "public keys to replace, where yours are not here",
          })
          .option("index", INDEX)
          .option("out", OUT),
      async (args) => {
        const deps = depsOf(args);
        const { rotate } = await import("./commands/root-rotate.ts");
        const { what, index, out } = args;
        printChange(deps, await rotate({ what, replace: listOf(args.replace), index, out }, deps));
      },
    )
    .command(
      "revoke <keys..>",
      "stolen keys: what they signed since then is kept or withdrawn, one by one",
      (q) =>
        q
          .positional("keys", { type: "string", array: true, demandOption: true, describe: "public keys, or daily, publisher, checkpoint" })
          .option("since", {
            type: "string",
            requiresArg: true,
            describe: "seq of the last checkpoint that you trust, or a commit; 0: none",
          })
          .option("keep", {
            type: "string",
            array: true,
            requiresArg: true,
            describe: "<name>@<version>, or <name> for changes of its record",
          })
          .option("withdraw", { type: "string", array: true, requiresArg: true, describe: "the same, to be taken back" })
          .option("list", { type: "boolean", default: false, describe: "show what would be asked, and change nothing" })
          .option("index", INDEX)
          .option("out", OUT),
      async (args) => {
        const deps = depsOf(args);
        const { revoke, revokeLines } = await import("./commands/root-revoke.ts");
        const { keys, since, list, index, out } = args;
        const result = await revoke({ keys, since, keep: listOf(args.keep), withdraw: listOf(args.withdraw), list, index, out }, deps);
        print(deps, result, revokeLines(result));
      },
    )
    .command(
      "tarballs <sources..>",
      "say where tarballs are: git, git+<url> (another repository), or an https template",
      (q) => q.positional("sources", { type: "string", array: true, demandOption: true }).option("index", INDEX).option("out", OUT),
      async (args) => {
        const deps = depsOf(args);
        const { rootTarballs } = await import("./commands/root-tarballs.ts");
        const result = await rootTarballs({ sources: args.sources, index: args.index, out: args.out }, deps);
        print(deps, result, result.tarballs);
      },
    )
    .command(
      "set",
      "what else the root says: mirrors, the promise to sign again, indices that yours depend on",
      (q) =>
        q
          .option("mirrors", {
            type: "string",
            array: true,
            requiresArg: true,
            describe: "other addresses of this index (an empty one: none)",
          })
          .option("refresh-days", { type: "string", requiresArg: true, describe: "sign again at least every so many days (0: no promise)" })
          .option("introduce", {
            type: "string",
            array: true,
            requiresArg: true,
            describe: "<url>#<id>=<name or scope>,… of another index (an empty one: none)",
          })
          .option("index", INDEX)
          .option("out", OUT),
      async (args) => {
        const deps = depsOf(args);
        const { rootSet } = await import("./commands/root-set.ts");
        const { mirrors, introduce, refreshDays, index, out } = args;
        printChange(deps, await rootSet({ mirrors, introduce, refreshDays, index, out }, deps));
      },
    )
    .command(
      "sign <request>",
      "look at a request, and add the signatures of the keys here",
      (q) =>
        q
          .positional("request", { type: "string", demandOption: true })
          .option("yes", { type: "boolean", default: false, describe: "sign without being asked" }),
      async (args) => {
        const deps = depsOf(args);
        const { rootSign } = await import("./commands/root-request.ts");
        const result = await rootSign({ file: args.request, yes: args.yes }, deps);
        print(deps, result, result.by);
      },
    )
    .command(
      "apply <request>",
      "commit and push a request that everybody has signed",
      (q) => q.positional("request", { type: "string", demandOption: true }).option("index", INDEX),
      async (args) => {
        const deps = depsOf(args);
        const { rootApply } = await import("./commands/root-request.ts");
        const result = await rootApply({ file: args.request, index: args.index }, deps);
        print(deps, result, [result.commit]);
      },
    )
    .demandCommand(
      1,
      "Say what to do with the root: show, grant, add-key, remove-key, threshold, rotate, revoke, tarballs, set, sign or apply",
    );
}

function printChange(deps: Deps, { index, version, changes, records, commit, request }: ChangedRoot): void {
  print(deps, { index, version, changes, records, commit, request }, [...changes, ...(request === null ? [] : [request])]);
}
