/** A program as somebody would type it: what it printed, and how it ended. */
import { spawn } from "node:child_process";
import type { Words } from "./clients.ts";
import type { Outcome } from "./people.ts";

export function typed(program: string, words: Words, cwd: string, env: NodeJS.ProcessEnv): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    const out = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const)
      child[stream].setEncoding("utf8").on("data", (text: string) => (out[stream] += text));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? 1, ...out }));
  });
}
