/** Commands about an own index itself: its root, its keys. */
import type { Argv } from "yargs";
import { rootCommands } from "./commands-root.ts";
import { countOf, FROM, type GlobalOptions, listOf, print, type Wiring } from "./wiring.ts";

const PURPOSES = ["root", "publisher", "checkpoint"] as const;

export function indexCommands(y: Argv<GlobalOptions>, { depsOf, setExit }: Wiring) {
  return y
    .command("root", "the index's root document: keys, thresholds, names", (z) => rootCommands(z, { depsOf, setExit }))
    .command("key", "your key files", (z) =>
      z
        .command(
          "list",
          "the key files on this machine",
          (q) => q,
          async (args) => {
            const deps = depsOf(args);
            const { keyList, keyLines } = await import("./commands/key.ts");
            const files = await keyList(deps);
            print(deps, files, keyLines(files));
          },
        )
        .command(
          "export <name>",
          "a key file to carry elsewhere, sealed as it is",
          (q) =>
            q
              .positional("name", { type: "string", demandOption: true })
              .option("kind", { choices: ["daily", "root"] as const, default: "daily" as const, describe: "which of its files" })
              .option("only", { choices: PURPOSES, describe: "only the keys for this, sealed anew" })
              .option("out", { type: "string", requiresArg: true, describe: "file to write (default: stdout)" }),
          async (args) => {
            const deps = depsOf(args);
            const { keyExport } = await import("./commands/key.ts");
            const bytes = await keyExport({ name: args.name, kind: args.kind, only: args.only, out: args.out }, deps);
            if (args.out === undefined) deps.terminal.result(Buffer.from(bytes).toString("utf8").trimEnd());
          },
        )
        .command(
          "import <file>",
          "a key file of imprint's, or an OpenSSH ed25519 key",
          (q) =>
            q
              .positional("file", { type: "string", demandOption: true })
              .option("index", {
                type: "string",
                requiresArg: true,
                describe: "of an OpenSSH key: the index that it signs for, by name or id",
              })
              .option("name", { type: "string", requiresArg: true, describe: "of an OpenSSH key: name of the key file" })
              .option("purpose", { choices: PURPOSES, default: "publisher" as const, describe: "of an OpenSSH key: what it signs" }),
          async (args) => {
            const deps = depsOf(args);
            const { keyImport } = await import("./commands/key.ts");
            const made = await keyImport({ file: args.file, index: args.index, name: args.name, purpose: args.purpose }, deps);
            print(deps, made, [made.path]);
          },
        )
        .command(
          "new",
          "a key of your own for an index whose owner will add it",
          (q) =>
            q
              .option("index", { type: "string", requiresArg: true, describe: "the index that it signs for, by name or id" })
              .option("name", { type: "string", requiresArg: true, describe: "name of the key file" })
              .option("purpose", { choices: PURPOSES, default: "publisher" as const, describe: "what it signs" }),
          async (args) => {
            const deps = depsOf(args);
            const { keyNew } = await import("./commands/key-new.ts");
            const made = await keyNew({ index: args.index, name: args.name, purpose: args.purpose }, deps);
            print(deps, made, [made.publicKey]);
          },
        )
        .demandCommand(1, "Say what to do with keys: list, new, export or import"),
    )
    .command("hook", "git hooks that verify what is pushed", (z) =>
      z
        .command(
          "install [dir]",
          "in a clone: before it is pushed; in a bare repository: before it is taken",
          (q) => hookOptions(q.positional("dir", { type: "string", describe: "git repository (default: the folder here)" })),
          async (args) => {
            const deps = depsOf(args);
            const { hookInstall } = await import("./commands/hook.ts");
            const file = await hookInstall(args.dir, args, deps);
            print(deps, { file }, [file]);
          },
        )
        .command(
          "pre-push [remote] [url]",
          "called by git in a clone",
          (q) => hookOptions(q.positional("remote", { type: "string" }).positional("url", { type: "string" })),
          async (args) => {
            const { hookPrePush } = await import("./commands/hook.ts");
            await hookPrePush(args, depsOf(args));
          },
        )
        .command(
          "pre-receive",
          "called by git on a server",
          (q) => hookOptions(q),
          async (args) => {
            const { hookPreReceive } = await import("./commands/hook.ts");
            await hookPreReceive(args, depsOf(args));
          },
        )
        .demandCommand(1, "Say which: install; pre-push and pre-receive are called by git"),
    )
    .command(
      "import <specs..>",
      "re-issue public packages in your own index",
      (z) =>
        z
          .positional("specs", {
            type: "string",
            array: true,
            demandOption: true,
            describe: "'<package>@<version, range or tag>', as npm reads it",
          })
          .option("deps", { type: "boolean", default: false, describe: "with all that they depend on" })
          .option("index", INDEX)
          .option("registry", { type: "string", requiresArg: true, describe: "where from (default: your npm's registry)" })
          .option("dry-run", { type: "boolean", default: false, describe: "show what it would add, download and sign nothing" })
          .option("max-packages", { type: "string", requiresArg: true, describe: "packages that it may ask for (default: 2000)" })
          .option("push", { type: "boolean", default: true, describe: "--no-push: commit, and leave the push to git" }),
      async (args) => {
        const deps = depsOf(args);
        const { importPackages, importLines } = await import("./commands/import.ts");
        const { specs, deps: withDeps, index, registry, dryRun, push } = args;
        const maxPackages = countOf(args.maxPackages, "--max-packages");
        const result = await importPackages({ specs, deps: withDeps, index, registry, dryRun, push, maxPackages }, deps);
        print(deps, result, importLines(result));
      },
    )
    .command(
      "cosign [specs..]",
      "add your signature to proposals, where their packages take more than one",
      (z) =>
        z
          .positional("specs", { type: "string", array: true, describe: "'<package>@<version>' of some proposals (default: all)" })
          .option("from", FROM)
          .option("branch", { type: "string", requiresArg: true, describe: "branch that the proposals are on (default: the index's own)" })
          .option("index", INDEX),
      async (args) => {
        const deps = depsOf(args);
        const { cosign } = await import("./commands/cosign.ts");
        const result = await cosign({ specs: args.specs ?? [], from: listOf(args.from), branch: args.branch, index: args.index }, deps);
        print(
          deps,
          result,
          result.signed.map(({ name, version }) => `${name}@${version}`),
        );
      },
    )
    .command(
      "seal [specs..]",
      "release what was proposed and merged; with nothing new, sign the index anew",
      (z) =>
        z
          .positional("specs", { type: "string", array: true, describe: "'<package>@<version>' of some proposals (default: all)" })
          .option("from", FROM)
          .option("index", INDEX)
          .option("renew", { type: "boolean", default: false, describe: "only sign anew, whatever is proposed" })
          .option("out", {
            type: "string",
            requiresArg: true,
            describe: "write a request that other checkpoint keys sign (imprint root sign)",
          })
          .option("dry-run", { type: "boolean", default: false, describe: "check everything, sign nothing" })
          .option("push", { type: "boolean", default: true, describe: "--no-push: commit, and leave the push to git" }),
      async (args) => {
        const deps = depsOf(args);
        const { seal } = await import("./commands/seal.ts");
        const { index, renew, dryRun, push, out } = args;
        const result = await seal({ specs: args.specs ?? [], from: listOf(args.from), index, renew, dryRun, push, out }, deps);
        print(
          deps,
          result,
          result.sealed.map(({ name, version }) => `${name}@${version}`),
        );
      },
    );
}

function hookOptions<T>(y: Argv<T>) {
  return y
    .option("id", { type: "string", requiresArg: true, describe: "the id that the index must have" })
    .option("ref", { type: "string", requiresArg: true, describe: "the branch that readers read (default: the repository's own)" });
}

const INDEX = { type: "string", requiresArg: true, describe: "own index, by name or folder" } as const;
