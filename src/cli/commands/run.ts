/**
 * `imprint run <command…>`: one command with this project's resolver as its registry, and its exit code.
 *
 * The resolver is this project's running one, proven by challenge, or one that lives as long as the command. What it
 * refused is listed at the end, because most clients print nothing but a status.
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import path from "node:path";
import { ImprintError, errnoOf, isImprintError } from "../../errors.ts";
import { requireFloor } from "../../index/trust.ts";
import { type Consumer, openConsumer, warnStale } from "../consumer.ts";
import { warnIntroduced } from "../introductions.ts";
import type { Deps } from "../deps.ts";
import { agedPatterns, childEnvironment } from "../clients/environment.ts";
import { notesOf, pinnedElsewhere } from "../clients/notes.ts";
import { requireNoScopeLines } from "../clients/scope-lines.ts";
import type { Refusal, Seen } from "../report.ts";
import { clientFolder, type ProjectFiles } from "../project-files.ts";
import { type ResolverSettings, type RunningResolver, startResolver } from "../resolver.ts";
import { findResolver, type ResolverState } from "../resolver-state.ts";
import { clean } from "../terminal.ts";

export type RunOptions = ResolverSettings & { readonly frozen: boolean };

/** @returns the command's exit code */
export async function run(command: readonly string[], options: RunOptions, deps: Deps): Promise<number> {
  const [program, ...args] = command;
  if (program === undefined) throw new ImprintError("USAGE", "Cannot run: no command; write imprint run npm install");
  requireSafeClient(program);
  const consumer = await openConsumer(deps);
  let resolver: RunningResolver;
  try {
    await requireNoScopeLines(consumer.files, deps);
    await requireStates(consumer, options, deps);
    await warnStale(consumer, deps);
    if (deps.strict === true) await warnIntroduced(consumer, deps);
    // A running one may ask hosts, or take what --frozen or --strict would not.
    const running = options.frozen || deps.offline || deps.strict === true ? null : await findResolver(deps, consumer.files.folder);
    if (running !== null) {
      await consumer.close();
      return await runWithRunning(running, program, args, consumer.files, deps);
    }
    resolver = await startResolver(deps, options, consumer);
  } catch (error) {
    await consumer.close();
    throw error;
  }
  try {
    const code = await runAt(resolver.base, program, args, consumer.files, deps);
    sayServed(resolver.served, deps);
    saySeen(resolver.report.after(0), consumer.files, deps);
    return code;
  } finally {
    await resolver.close();
  }
}

/**
 * vlt asks the public registry for what its lockfile lists, and for dependencies of what it runs, whatever registry it is
 * given (measured with 1.0.0-rc.23): a claimed name would go there.
 *
 * @throws ImprintError CLIENT_UNSAFE
 */
function requireSafeClient(program: string): void {
  if (/^(vlt|vlx|vlr|vlrx|vlxl)(\.cmd|\.exe)?$/i.test(path.basename(program)))
    throw new ImprintError(
      "CLIENT_UNSAFE",
      "Cannot run vlt: it asks the public registry for names in its lockfile, whatever registry it is given, so claimed names would leak",
    );
}

async function runAt(
  base: string,
  program: string,
  args: readonly string[],
  { folder, project }: ProjectFiles,
  deps: Deps,
): Promise<number> {
  const pinned = await pinnedElsewhere(deps, clientFolder(deps, folder), base);
  if (pinned !== null) deps.terminal.warn(pinned);
  return runChild(program, args, await childEnvironment(deps, base, project), deps);
}

/**
 * Every index must have been verified once, and be at its lock: a client would otherwise retry a 503 in silence for
 * more than a minute. Where all are, this makes no request.
 */
async function requireStates(consumer: Consumer, { frozen }: RunOptions, deps: Deps): Promise<void> {
  for (const [alias, { reader }] of consumer.indices) {
    const floor = consumer.files.lock.get(alias);
    if (frozen && floor === undefined)
      throw new ImprintError("NOT_LOCKED", `Cannot run with --frozen: imprint.lock has no entry for ${alias}`);
    const state = await reader.current();
    const behind = state !== null && floor !== undefined && isBehind(() => requireFloor(state, floor));
    if (state !== null && !behind) continue;
    deps.terminal.progress(`verifying ${alias}`);
    await reader.sync();
  }
}

function isBehind(check: () => void): boolean {
  try {
    check();
    return false;
  } catch (error) {
    if (isImprintError(error, "ROLLBACK")) return true;
    throw error;
  }
}

async function runWithRunning(
  state: ResolverState,
  program: string,
  args: readonly string[],
  project: ProjectFiles,
  deps: Deps,
): Promise<number> {
  const base = `http://127.0.0.1:${state.port}`;
  const before = await fetchSeen(base, state, Number.MAX_SAFE_INTEGER);
  const code = await runAt(base, program, args, project, deps);
  saySeen(await fetchSeen(base, state, before.last), project, deps);
  return code;
}

const NOTHING: Seen = { refusals: [], told: [], clients: [], last: 0 };

async function fetchSeen(base: string, { secret }: ResolverState, after: number): Promise<Seen> {
  try {
    const response = await fetch(`${base}/-/imprint/seen/${after}`, {
      headers: { authorization: `Bearer ${secret}` },
      redirect: "error",
      signal: AbortSignal.timeout(2000),
    });
    return response.ok ? ((await response.json()) as Seen) : NOTHING;
  } catch {
    return NOTHING; // it stopped meanwhile; what it refused stands in its own log
  }
}

function runChild(program: string, args: readonly string[], env: NodeJS.ProcessEnv, { cwd }: Deps): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: "inherit", windowsHide: true });
    // The terminal sends the child its own copy; ours must not end us before the child has tidied up.
    const ignore = (): void => {};
    const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
    process.on("SIGINT", ignore);
    process.on("SIGTERM", pass);
    process.on("SIGHUP", pass);
    const done = (): void => {
      process.off("SIGINT", ignore);
      process.off("SIGTERM", pass);
      process.off("SIGHUP", pass);
    };
    child.once("error", (error) => {
      done();
      const state = errnoOf(error) === "ENOENT" ? "there is no such command" : error.message;
      reject(new ImprintError("COMMAND_NOT_FOUND", `Cannot run ${program}: ${state}`, { cause: error }));
    });
    child.once("exit", (code, signal) => {
      done();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

function sayServed(served: ReadonlyMap<string, number>, { terminal }: Deps): void {
  if (served.size === 0) return;
  const parts = [...served]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([source, count]) => `${count} from ${source === "upstream" ? "the public registry" : source}`);
  terminal.talk(terminal.style("dim", `imprint answered ${parts.join(", ")}`));
}

function saySeen(seen: Seen, { project }: ProjectFiles, deps: Deps): void {
  listRefusals(seen.refusals, deps);
  for (const line of notesOf(seen, agedPatterns(project), deps.nowMs())) deps.terminal.warn(clean(line));
}

function listRefusals(refusals: readonly Refusal[], { terminal }: Deps): void {
  const byName = new Map(refusals.map((refusal) => [refusal.name, refusal]));
  if (byName.size === 0) return;
  terminal.talk(`imprint refused ${byName.size === 1 ? "one package" : `${byName.size} packages`}:`);
  for (const { name, code, message, hint, step } of byName.values()) {
    terminal.talk(`${terminal.style("red", "✗")} ${clean(`${name}: ${message} (${code}${step === null ? "" : `, ${step}`})`)}`);
    terminal.talk(`  ${terminal.style("dim", `next: ${hint.replaceAll("<name>", name)}`)}`);
  }
}
