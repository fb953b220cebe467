/** `imprint trust …`. */
import type { Argv } from "yargs";
import { CATALOGUE } from "../errors.ts";
import { GLOBAL, type GlobalOptions, print, type Wiring } from "./wiring.ts";

export function trustCommands(y: Argv<GlobalOptions>, { depsOf, setExit }: Wiring) {
  return y.command("trust", "whom you trust, and what changed since", (z) =>
    z
      .command(
        "show [names..]",
        "keys, thresholds, claims, and how new your state is",
        (q) => q.positional("names", { type: "string", array: true }).option("global", GLOBAL),
        async (args) => {
          const deps = depsOf(args);
          const { trustShow } = await import("./commands/trust.ts");
          const { trustLines } = await import("./views/trust.ts");
          const shown = await trustShow(args.names ?? [], deps);
          print(deps, shown, trustLines(shown));
        },
      )
      .command(
        "history [names..]",
        "every root, in words, and what convicts anybody",
        (q) => q.positional("names", { type: "string", array: true }).option("global", GLOBAL),
        async (args) => {
          const deps = depsOf(args);
          const { trustHistory } = await import("./commands/trust.ts");
          const { historyLines } = await import("./views/trust.ts");
          const history = await trustHistory(args.names ?? [], deps);
          print(deps, history, historyLines(history));
        },
      )
      .command(
        "diff [commit]",
        "of the indices, since you accepted them; with a commit, of imprint.json and imprint.lock (fails where they widen)",
        (q) =>
          q
            .positional("commit", { type: "string", describe: "what you merge into, as origin/main" })
            .option("accept", { type: "string", requiresArg: true, describe: "the digest of the change, by whoever merges it" })
            .option("global", GLOBAL),
        async (args) => {
          const deps = depsOf(args);
          if (args.commit === undefined) {
            const { trustNews } = await import("./commands/trust.ts");
            const { trustNewsLines } = await import("./views/trust.ts");
            const news = await trustNews([], deps);
            print(deps, news, trustNewsLines(news));
            return;
          }
          const { trustDiff, trustDiffLines } = await import("./commands/trust-diff.ts");
          const result = await trustDiff({ commit: args.commit, accept: args.accept }, deps);
          if (deps.json && !result.ok) setExit(CATALOGUE.TRUST_WIDENED.exit);
          print(deps, result, deps.json ? [] : trustDiffLines(result));
        },
      )
      .command(
        "accept [names..]",
        "what you have looked at is what changes are told from",
        (q) => q.positional("names", { type: "string", array: true }).option("global", GLOBAL),
        async (args) => {
          const deps = depsOf(args);
          const { trustAccept } = await import("./commands/trust.ts");
          const { trustNewsLines } = await import("./views/trust.ts");
          const news = await trustAccept(args.names ?? [], deps);
          print(deps, news, trustNewsLines(news));
          for (const { alias } of news) deps.terminal.ok(`${alias} accepted as it is now`);
        },
      )
      .demandCommand(1, "Say what to do: show, history, diff or accept"),
  );
}
