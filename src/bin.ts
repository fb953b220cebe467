#!/usr/bin/env node
/** The process edge: the only file that reads argv and the environment, and the only one that exits. */
import { readFileSync } from "node:fs";
import { main } from "./cli/main.ts";

const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };

// Nothing that is written here is for every user of the machine to change, whatever the shell says.
process.umask(process.umask() | 0o002);

process.exitCode = await main({
  argv: process.argv.slice(2),
  env: process.env,
  cwd: process.cwd(),
  streams: { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr },
  nowMs: Date.now,
  version: manifest.version,
  stop: () =>
    new Promise((resolve) => {
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
    }),
});
