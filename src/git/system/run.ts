/**
 * Running git: one place that starts it, feeds it, bounds it and turns what it says into our errors.
 *
 * What git prints comes from the remote as often as from git; it is capped, stripped of control characters and
 * credentials, and shown only as the reason of an error.
 */
import { LIMITS } from "../../format/limits.ts";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { errnoOf, ImprintError } from "../../errors.ts";
import type { GitUrl } from "../port.ts";
import { redactUrl } from "../url.ts";
import { killGroup, spawnGroup } from "./children.ts";
import { addressSettings, gitConfiguration, gitEnvironment, hasOwnSsh } from "./environment.ts";

const OLDEST = [2, 34] as const;
const MAX_OUTPUT_BYTES = LIMITS.gitOutputBytes;
const MAX_STDERR_LENGTH = 64 * 1024;
const WATCH_EVERY_MS = 25;

/** A git program and the environment that it runs in. */
export type Git = {
  readonly program: string;
  /** Whether ssh is the user's own program instead of ours without prompts. */
  hasOwnSsh(): Promise<boolean>;
  /** Waits for the version check, then starts git with three pipes; the caller owns the child. */
  start(request: {
    readonly args: readonly string[];
    readonly url?: GitUrl | null;
    readonly env?: NodeJS.ProcessEnv;
  }): Promise<ChildProcess>;
};

export type GitRun = {
  readonly args: readonly string[];
  /** The address that this run talks to: decides which protocols are open to it. */
  readonly url?: GitUrl;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: Iterable<Uint8Array | string>;
  /** Milliseconds until the run and all that it started is killed. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly maxOutputBytes?: number;
  /** Takes output as it comes instead of keeping it; may throw to stop the run. */
  readonly onOutput?: (chunk: Buffer) => void;
  /** Called every few milliseconds; a returned error stops the run and becomes its failure. */
  readonly watch?: (pid: number) => Promise<ImprintError | null>;
  /** For messages: "fetch https://…". */
  readonly what: string;
};

export type GitResult = { readonly status: number; readonly stdout: Buffer; readonly stderr: string };

function missing(state: string, cause?: unknown): ImprintError {
  return new ImprintError("GIT_MISSING", `Cannot run git: ${state}`, { cause });
}

function begin(program: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  return spawnGroup(program, args, { env, stdio: ["pipe", "pipe", "pipe"] });
}

async function collect(child: ChildProcess): Promise<{ status: number | null; text: string }> {
  let text = "";
  child.stdin?.on("error", () => undefined).end();
  child.stdout?.on("data", (chunk: Buffer) => (text = (text + chunk.toString("utf8")).slice(-4096)));
  child.stderr?.resume();
  const [status] = (await once(child, "close")) as [number | null];
  return { status, text };
}

/** By program and PATH: one command starts git fifty times, and its version does not change meanwhile. */
const checked = new Map<string, Promise<void>>();

function checkVersion(program: string, env: NodeJS.ProcessEnv): Promise<void> {
  const key = `${program}\0${env["PATH"] ?? ""}`;
  const known = checked.get(key) ?? askVersion(program, env);
  checked.set(key, known);
  known.catch(() => checked.delete(key)); // git may be installed while a long-running resolver waits for it
  return known;
}

async function askVersion(program: string, env: NodeJS.ProcessEnv): Promise<void> {
  const { text } = await collect(begin(program, ["--version"], env)).catch((cause: unknown) => {
    throw missing(errnoOf(cause) === "ENOENT" ? "it is not installed or not on the PATH" : "it does not start", cause);
  });
  const version = /^git version (\d+)\.(\d+)/u.exec(text);
  const [major, minor] = [Number(version?.[1] ?? 0), Number(version?.[2] ?? 0)];
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    throw missing(`${redactUrl(text.trim()).slice(0, 60) || "no version"}; ${OLDEST.join(".")} or newer is needed`);
  }
}

/** @throws ImprintError GIT_MISSING where the PATH has no git that will do */
export function requireGit(env: NodeJS.ProcessEnv): Promise<void> {
  return checkVersion("git", gitEnvironment(env));
}

/** Our ssh must not ask for a passphrase, but an ssh that the user chose, by environment or configuration, stays. */
async function sshSettings(program: string, env: NodeJS.ProcessEnv, gitDir: string | null): Promise<NodeJS.ProcessEnv> {
  if (hasOwnSsh(env)) return {};
  const place = gitDir === null ? [] : [`--git-dir=${gitDir}`];
  const { text } = await collect(begin(program, [...place, "config", "--get", "core.sshCommand"], env));
  return text.trim() === "" ? { GIT_SSH_COMMAND: "ssh -oBatchMode=yes" } : {};
}

/** Git as `run` wants it. Does nothing until first used; then checks its version once (GIT_MISSING). */
export function createGit(options: {
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
  readonly gitDir: string | null;
  /** Called by a hook: what is being pushed is read too. */
  readonly quarantine?: boolean;
}): Git {
  const { program, gitDir } = options;
  const env = gitEnvironment(options.env, options.quarantine === true);
  let ssh: Promise<NodeJS.ProcessEnv> | null = null;
  const settings = (): Promise<NodeJS.ProcessEnv> => (ssh ??= sshSettings(program, env, gitDir).catch(() => ({})));
  return {
    program,
    hasOwnSsh: async () => Object.keys(await settings()).length === 0,
    async start({ args, url = null, env: extra }) {
      await checkVersion(program, env);
      // whatever the address: the user's insteadOf may make ssh of it
      if (url !== null) await settings();
      return begin(program, [...gitConfiguration(url), ...args], { ...env, ...addressSettings(url), ...(await ssh), ...extra });
    },
  };
}

/** Git's own reason, fit for a message: its last line that says one. */
export function reasonOf(stderr: string): string {
  const lines = stderr
    .split(/[\r\n]+/u)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const telling = lines.filter((line) => /^(?:fatal|error|ssh|remote): \S|: Permission denied|^ERROR/u.test(line));
  const better = telling.filter((line) => !/Could not read from remote|error: failed to push|hung up unexpectedly/u.test(line));
  const line = better.at(-1) ?? telling.at(-1) ?? lines.at(-1) ?? "git gave no reason";
  return redactUrl(line)
    .replace(/^(?:fatal|error): /u, "")
    .slice(0, 300);
}

async function feed(child: ChildProcess, input: Iterable<Uint8Array | string>): Promise<void> {
  const stdin = child.stdin;
  if (stdin === null) return;
  stdin.on("error", () => undefined); // git that stopped reading says why on stderr
  // Listened for once: a listener for each part would be a leak, and Node says so on the user's terminal.
  const closed = once(stdin, "close").catch(() => undefined);
  for (const part of input) {
    if (stdin.destroyed || stdin.writableEnded) return;
    if (!stdin.write(part)) await Promise.race([once(stdin, "drain"), closed]).catch(() => undefined);
  }
  stdin.end();
}

/** Runs git to its end. Throws GIT_MISSING, TIMED_OUT and what `watch` or `onOutput` found; a status is the caller's. */
export async function runGit(git: Git, request: GitRun): Promise<GitResult> {
  const child = await git.start({
    args: request.args,
    url: request.url ?? null,
    ...(request.env === undefined ? {} : { env: request.env }),
  });
  const maxOutputBytes = request.maxOutputBytes ?? MAX_OUTPUT_BYTES;
  const chunks: Buffer[] = [];
  let size = 0;
  let stderr = "";
  let failure: unknown = null;
  const stop = (error: unknown): void => {
    failure ??= error;
    killGroup(child);
  };
  const timer =
    request.deadlineMs === undefined
      ? undefined
      : setTimeout(() => {
          stop(new ImprintError("TIMED_OUT", `Cannot ${request.what}: no end after ${String(Math.round(request.deadlineMs ?? 0))} ms`));
        }, request.deadlineMs);
  const { watch, signal: ending } = request;
  const giveUp = (): void => stop(new ImprintError("TIMED_OUT", `Cannot ${request.what}: given up`));
  if (ending?.aborted === true) giveUp();
  ending?.addEventListener("abort", giveUp, { once: true });
  let watching = false;
  const ticker =
    watch === undefined
      ? undefined
      : setInterval(() => {
          if (watching || child.pid === undefined) return;
          watching = true;
          watch(child.pid)
            .then((error) => {
              if (error !== null) stop(error);
            }, stop)
            .finally(() => (watching = false));
        }, WATCH_EVERY_MS);
  let said = 0;
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString("utf8")).slice(-MAX_STDERR_LENGTH);
    said += chunk.length;
    // a host may send words for people without end
    if (request.url !== undefined && said > LIMITS.hostTalkBytes)
      stop(
        new ImprintError(
          "TOO_LARGE",
          `Cannot ${request.what}: the host says more than ${String(LIMITS.hostTalkBytes)} bytes beside the pack`,
        ),
      );
  });
  child.stdout?.on("data", (chunk: Buffer) => {
    if (failure !== null) return;
    try {
      if (request.onOutput !== undefined) return request.onOutput(chunk);
    } catch (error) {
      return stop(error);
    }
    size += chunk.length;
    if (size > maxOutputBytes)
      return stop(new ImprintError("TOO_LARGE", `Cannot ${request.what}: git printed more than ${String(maxOutputBytes)} bytes`));
    chunks.push(chunk);
  });
  try {
    const closed = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
    const [[status, signal]] = await Promise.all([closed, feed(child, request.input ?? [])]);
    if (failure !== null) throw failure;
    if (signal !== null) stderr += `\nfatal: git was ended by ${signal}`; // it had no time to say why
    return { status: status ?? 128, stdout: Buffer.concat(chunks), stderr };
  } catch (error) {
    if (error !== failure && errnoOf(error) === "ENOENT") throw missing("it is not installed or not on the PATH", error);
    throw error;
  } finally {
    ending?.removeEventListener("abort", giveUp);
    clearTimeout(timer);
    clearInterval(ticker);
  }
}

/** `runGit` for local work that has no business failing: any status but 0 is `code` with git's reason. */
export async function mustGit(
  git: Git,
  request: GitRun,
  code: "STORAGE_FAILED" | "INVALID_DOCUMENT" | "WORK_TREE" = "INVALID_DOCUMENT",
): Promise<GitResult> {
  const result = await runGit(git, request);
  if (result.status === 0) return result;
  const reason = reasonOf(result.stderr);
  const isDisk =
    /No space left|Read-only file system|Permission denied|unable to (?:write|create)|Disk quota|File too large|SIGXFSZ/iu.test(
      result.stderr,
    );
  throw new ImprintError(isDisk ? "STORAGE_FAILED" : code, `Cannot ${request.what}: ${reason}`);
}
