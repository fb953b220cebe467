/** Commands about an own index itself: its root, its keys. */
import type { Argv } from "yargs";
import { type GlobalOptions, print, type Wiring } from "./wiring.ts";

export function indexCommands(y: Argv<GlobalOptions>, { depsOf }: Wiring) {
  return y.command("root", "the index's root document", (z) =>
    z
      .command(
        "grant <pattern>",
        "let your index publish one more name or scope",
        (q) => q.positional("pattern", { type: "string", demandOption: true }).option("index", INDEX),
        async (args) => {
          const deps = depsOf(args);
          const { grant } = await import("./commands/grant.ts");
          const result = await grant({ pattern: args.pattern, index: args.index }, deps);
          print(deps, result, [result.pattern]);
        },
      )
      .demandCommand(1, "Say what to do with the root: show or grant"),
  );
}

const INDEX = { type: "string", requiresArg: true, describe: "own index, by name or folder" } as const;
