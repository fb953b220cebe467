/** What the command line is given, and what every command's wiring needs. */
import { ImprintError } from "../errors.ts";
import type { Files } from "../storage/files.ts";
import type { Deps } from "./deps.ts";
import { clean, jsonLine } from "../format/text.ts";
import { type TerminalStreams } from "./terminal.ts";

export type MainOptions = {
  /** Without program and script. */
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly streams: TerminalStreams;
  readonly nowMs: () => number;
  /** The disk; the real one unless given. */
  readonly files?: Files;
  readonly version: string;
  /** Resolves when the process is asked to stop; listens only once called. */
  readonly stop: () => Promise<void>;
};

export type GlobalFlags = {
  readonly json?: unknown;
  readonly C?: unknown;
  readonly allowFile?: unknown;
  readonly offline?: unknown;
  /** Of the commands that take it. */ readonly global?: unknown;
  readonly strict?: unknown;
};

/** The options of every command, as yargs has them. */
export type GlobalOptions = {
  json: boolean | undefined;
  C: string | undefined;
  "allow-file": boolean | undefined;
  offline: boolean | undefined;
};

export type Wiring = {
  readonly depsOf: (flags: GlobalFlags) => Deps;
  /** For a command that ran well and whose answer is no. */
  readonly setExit: (code: number) => void;
};

/** Prints a command's data: as JSON, or as the lines of its view. */
export function print(deps: Deps, data: unknown, lines: readonly string[]): void {
  if (deps.json) deps.terminal.result(jsonLine(data));
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

/** For commands that change or show what is trusted. */
export const GLOBAL = {
  type: "boolean",
  alias: "g",
  default: false,
  describe: "the user's own imprint.json, which counts where no project above has one (they are never merged)",
} as const;

/** For commands that believe an index. */
export const STRICT = {
  type: "boolean",
  default: false,
  describe: "refuse what is only warned about otherwise: stale or unsettled indices, a lying or unreachable host",
} as const;

/** A branch by its name, or any ref in full. */
export const REF = { type: "string", requiresArg: true } as const;

/** @throws ImprintError USAGE */
export function portOf(port: string | undefined): number | undefined {
  if (port === undefined) return undefined;
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) > 65_535)
    throw new ImprintError("USAGE", `Cannot listen on port ${clean(port)}: give a number from 0 to 65535`);
  return Number(port);
}

/** Milliseconds of `--sync-after`'s seconds; 60 s unless told. @throws ImprintError USAGE */
export function secondsOf(seconds: string | undefined): number {
  if (seconds === undefined) return 60_000;
  if (!/^[0-9]{1,9}$/.test(seconds)) throw new ImprintError("USAGE", "Cannot use --sync-after: give a number of seconds");
  return Number(seconds) * 1000;
}

/** A count of at least one; undefined where none is given. @throws ImprintError USAGE */
export function countOf(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9][0-9]{0,6}$/.test(text)) throw new ImprintError("USAGE", `Cannot use ${option}: give a number from 1 to 9999999`);
  return Number(text);
}
