/** One child process, without a shell, its talk passed on as it comes. */
import { spawn } from "node:child_process";
import { errnoOf, ImprintError } from "../errors.ts";
import { scriptEnvironment } from "./environment.ts";

/** How long output is still waited for once a command has ended: a script may leave a daemon that holds the pipes. */
const DRAIN_MS = 1000;

export type CommandOptions = {
  /** The caller's environment; secrets are taken out before the child sees it. */
  readonly env: NodeJS.ProcessEnv;
  /** Gets all that the command and its scripts print, on either stream. Belongs on stderr: it is talk, not a result. */
  readonly onOutput: (text: string) => void;
  /** Ends the command early. */
  readonly signal?: AbortSignal;
};

/** How a command ended: an exit code, or the signal that ended it. */
export type Ending = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** `"exit code 3"` or `"SIGTERM"`. */
export function describeEnding(ending: Ending): string {
  return ending.signal ?? `exit code ${ending.code}`;
}

/**
 * Runs `command` in `dir` and waits for its end; stdin is empty, so that no script waits for an answer.
 *
 * @throws ImprintError COMMAND_NOT_FOUND if there is no such command on the PATH of `env`; PACK_FAILED if it can't start
 */
export async function runCommand(command: readonly [string, ...string[]], dir: string, options: CommandOptions): Promise<Ending> {
  const [program, ...args] = command;
  const child = spawn(program, args, {
    cwd: dir,
    env: scriptEnvironment(options.env),
    stdio: ["ignore", "pipe", "pipe"],
    windowsHide: true,
  });
  // Not spawn's own `signal`: that reports an error while the child still runs, and its folder would be removed under it.
  const stop = (): void => void child.kill("SIGTERM");
  options.signal?.addEventListener("abort", stop, { once: true });
  if (options.signal?.aborted === true) stop();
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", options.onOutput);
  let drain: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Ending>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve({ code, signal }));
      child.once("exit", () => {
        drain = setTimeout(() => {
          child.stdout.destroy();
          child.stderr.destroy();
        }, DRAIN_MS);
      });
    });
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT")
      throw new ImprintError("COMMAND_NOT_FOUND", `Cannot run ${program}: no such command on the PATH`, { cause });
    throw new ImprintError("PACK_FAILED", `Cannot run ${program}: ${errnoOf(cause) ?? "it did not start"}`, { cause });
  } finally {
    clearTimeout(drain);
    options.signal?.removeEventListener("abort", stop);
  }
}
