/** Commands of consumers who are anywhere: addresses that moved, and the cache. */
import type { Argv } from "yargs";
import { type GlobalOptions, print, REF, type Wiring } from "./wiring.ts";

export function anywhereCommands(parser: Argv<GlobalOptions>, { depsOf }: Wiring) {
  return parser
    .command(
      "set-url <name> <urls..>",
      "new addresses for an index that moved, checked against its pinned id",
      (y) =>
        y
          .positional("name", { type: "string", demandOption: true, describe: "its name in imprint.json" })
          .positional("urls", { type: "string", array: true, demandOption: true, describe: "addresses, the preferred one first" })
          .option("ref", { ...REF, describe: "branch or ref to read (default: as before)" }),
      async (args) => {
        const deps = depsOf(args);
        const { setUrl } = await import("./commands/set-url.ts");
        const result = await setUrl({ name: args.name, urls: args.urls, ref: args.ref }, deps);
        print(deps, result, result.urls);
      },
    )
    .command("cache", "what can be had again: list or prune it", (y) =>
      y
        .command(
          "ls",
          "what is in the cache, its size and last use",
          (z) => z,
          async (args) => {
            const deps = depsOf(args);
            const { listCache, cacheLines } = await import("./commands/cache.ts");
            const result = await listCache(deps);
            print(deps, result, cacheLines(result, deps.nowMs()));
          },
        )
        .command(
          "prune",
          "remove what was left behind, and the least recently used until the rest fits",
          (z) =>
            z.option("max-size", { type: "string", requiresArg: true, default: "500MB", describe: "size to keep, such as 500MB or 2GiB" }),
          async (args) => {
            const deps = depsOf(args);
            const { parseSize, pruneCache, sizeText } = await import("./commands/cache.ts");
            const result = await pruneCache(parseSize(args.maxSize), deps);
            print(deps, result, [`${result.removed} removed, ${sizeText(result.freed)} freed, ${sizeText(result.bytes)} kept`]);
          },
        )
        .demandCommand(1, "Say what to do with the cache: ls or prune"),
    );
}
