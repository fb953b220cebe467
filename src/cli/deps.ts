/** What a command is given: the edges of the process, so that tests can hand in their own. */
import type { GitChoice } from "../git/choice.ts";
import type { Files } from "../storage/files.ts";
import type { SealedFiles } from "../storage/sealed.ts";
import type { Layout } from "../storage/layout.ts";
import type { Terminal } from "./terminal.ts";

export type Deps = {
  readonly terminal: Terminal;
  readonly env: NodeJS.ProcessEnv;
  /** Absolute; `-C` is already applied. */
  readonly cwd: string;
  /** All of stdin, as git hands it to its hooks. */
  readonly readInput: () => Promise<string>;
  readonly files: Files;
  /** The same for what is cached and no hash can prove. */
  readonly sealed: SealedFiles;
  /** Of this machine: what it alone can have written. */
  readonly secret: () => Promise<Uint8Array>;
  readonly layout: Layout;
  /** Git on the PATH, or the embedded one. */
  readonly git: GitChoice;
  /** Unix time in milliseconds. */
  readonly nowMs: () => number;
  /** `--json`: results as one JSON document on stdout. */
  readonly json: boolean;
  /** `--global`: the user's own imprint.json, whatever project is here. */
  readonly global?: boolean;
  /** `--allow-file`, or IMPRINT_ALLOW_FILE=1: indices may be local paths. */
  readonly allowFile: boolean;
  /** `--offline`, or IMPRINT_OFFLINE=1: no host is asked for anything. */
  readonly offline: boolean;
  /** `--strict`: what is only warned about otherwise is refused. */
  readonly strict?: boolean;
  /** IMPRINT_ALLOW_PRIVATE=host,…: hosts whose addresses may be this machine's or private ones (THREATS S1). */
  readonly privateHosts: ReadonlySet<string>;
};
