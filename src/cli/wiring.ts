/** What every command's wiring needs. */
import type { Deps } from "./deps.ts";
import type { GlobalFlags } from "./main.ts";

/** The options of every command, as yargs has them. */
export type GlobalOptions = { json: boolean | undefined; C: string | undefined; "allow-file": boolean | undefined };

export type Wiring = {
  readonly depsOf: (flags: GlobalFlags) => Deps;
  /** For a command that ran well and whose answer is no. */
  readonly setExit: (code: number) => void;
};

/** Prints a command's data: as JSON, or as the lines of its view. */
export function print(deps: Deps, data: unknown, lines: readonly string[]): void {
  if (deps.json) deps.terminal.result(JSON.stringify(data));
  else for (const line of lines) deps.terminal.result(line);
}

/** `--packages a,b --packages c` */
export function listOf(value: readonly string[] | undefined): readonly string[] {
  return (value ?? [])
    .flatMap((item) => item.split(","))
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** Repositories that proposals came from. */
export const FROM = {
  type: "string",
  array: true,
  requiresArg: true,
  describe: "of a proposal: git address of the repository that it came from, with its tarballs",
} as const;

/** A branch by its name, or any ref in full. */
export const REF = { type: "string", requiresArg: true } as const;
