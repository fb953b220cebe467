/** Another user of this machine: processes that run as `nobody`. Only root can start them. */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import type { Outcome } from "./people.ts";

const NOBODY = { uid: 65_534, gid: 65_534 };

/** Whether this process can start one. Says so loudly where it cannot: then nothing of what another user could do is tested. */
export const HAS_OTHER_USER = canStart();

function canStart(): boolean {
  const isThere = process.getuid?.() === 0 && spawnSync(process.execPath, ["-e", ""], { ...NOBODY, cwd: "/" }).status === 0;
  if (!isThere)
    process.stderr.write(
      "\n!! NOT TESTED: another user of this machine (M1). Only root can start a process of another user: run the tests as root.\n\n",
    );
  return isThere;
}

/** A script of node's, run by the other user with an environment that holds nothing of ours. */
export function asOtherUser(script: string, cwd: string, args: readonly string[] = []): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script, ...args], {
      ...NOBODY,
      cwd,
      env: {},
      stdio: ["ignore", "pipe", "pipe"],
    });
    const out = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const)
      child[stream].setEncoding("utf8").on("data", (text: string) => (out[stream] += text));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? 1, ...out }));
  });
}

/** Opens a folder to everybody, as the system's folder for temporary files is. */
export function share(folder: string): void {
  chmodSync(folder, 0o1777);
}
