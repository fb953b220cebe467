/** The command that looks for what is amiss. */
import type { Argv } from "yargs";
import { GLOBAL, type GlobalOptions, print, type Wiring } from "./wiring.ts";

export function doctorCommands(parser: Argv<GlobalOptions>, { depsOf, setExit }: Wiring) {
  return parser.command(
    "doctor",
    "what is amiss with this project and machine, and what mends it",
    (y) =>
      y
        .option("online", { type: "boolean", default: false, describe: "ask the hosts, too; else no request is made" })
        .option("strict", { type: "boolean", default: false, describe: "exit 1 for a warning, too, not only for a problem" })
        .option("global", GLOBAL),
    async (args) => {
      const deps = depsOf(args);
      const { doctor, doctorLines } = await import("./commands/doctor.ts");
      const result = await doctor({ online: args.online }, deps);
      print(deps, result, doctorLines(result));
      if (result.worst === "problem" || (args.strict && result.worst === "warning")) setExit(1);
    },
  );
}
