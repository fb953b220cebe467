/** The command line without a process: `main` with streams that only remember. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { Readable, Writable } from "node:stream";
import { main } from "../../src/cli/main.ts";
import type { Files } from "../../src/storage/files.ts";
import type { TerminalStreams } from "../../src/cli/terminal.ts";

export type Ran = { readonly argv: readonly string[]; readonly exit: number; readonly stdout: string; readonly stderr: string };

/** Nothing of whoever runs the tests leaks in; the passphrase is empty, so that keys open at once. */
export function environmentIn(home: string, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return {
    PATH: process.env["PATH"],
    HOME: home,
    IMPRINT_HOME: join(home, "imprint"),
    IMPRINT_PASSPHRASE: "",
    // It meets worlds with a clock of their own.
    IMPRINT_TRUST_CLOCK: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_NOSYSTEM: "1",
    ...more,
  };
}

/** `imprint …` of somebody with that home in that folder, at no terminal. */
export async function imprintIn(
  options: {
    readonly home: string;
    readonly cwd: string;
    readonly env?: NodeJS.ProcessEnv;
    readonly stop?: () => Promise<void>;
    readonly files?: Files;
    readonly nowMs?: () => number;
  },
  ...argv: readonly string[]
): Promise<Ran> {
  const said = { stdout: "", stderr: "" };
  const remember = (name: keyof typeof said): Writable =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        said[name] += chunk.toString("utf8");
        done();
      },
    });
  const streams = { stdin: Readable.from([]), stdout: remember("stdout"), stderr: remember("stderr") } as unknown as TerminalStreams;
  const { home, cwd, env = {}, stop = async () => {}, files, nowMs = Date.now } = options;
  const disk = files === undefined ? {} : { files };
  const exit = await main({ argv, env: environmentIn(home, env), cwd, streams, nowMs, version: "0.0.0-test", stop, ...disk });
  return { argv, exit, ...said };
}

/** Every file below a folder, byte for byte: path → base64. */
export function snapshotOf(folder: string): Readonly<Record<string, string>> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files
      .map((entry) => join(entry.parentPath, entry.name))
      .toSorted()
      .map((file) => [relative(folder, file), readFileSync(file, "base64")]),
  );
}
