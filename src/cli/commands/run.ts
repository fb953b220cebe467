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
import { agedPatterns, childEnvironment, openSecrets } from "../../clients/environment.ts";
import { notesOf } from "../../clients/notes.ts";
import { type FallenRelease, fallenReleases, lockedIndices } from "../../audit/fallen.ts";
import { planLocks } from "../../clients/lock-addresses.ts";
import { parseResolverAddress, resolverAddress } from "../../clients/resolver-address.ts";
import { requireNoScopeLines } from "../../clients/scope-lines.ts";
import { policyOf } from "../../format/policy.ts";
import { clean } from "../../format/text.ts";
import { requireFloor } from "../../index/trust.ts";
import { rememberProject } from "../../project/known-projects.ts";
import { locksOf, writeLocks } from "../../project/pointing.ts";
import { clientFolder, type ProjectFiles } from "../../project/project-files.ts";
import { scopeOwners } from "../../registry/claims.ts";
import { findHolder } from "../../serve/holder.ts";
import type { Rules, ServeEvent } from "../../serve/policies.ts";
import type { Refusal, Seen } from "../../serve/report.ts";
import { type RunningResolver, startResolver } from "../../serve/resolver.ts";
import { type Consumer, freshen, openConsumer, warnStale } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import type { OpenIndex } from "../open.ts";
import { warnIntroduced } from "../introductions.ts";
import { fallenLines } from "../views/fallen.ts";
import { lockLines } from "../views/pointed.ts";
import { resolverPorts, rulesOf, sayOn } from "../resolving.ts";
import { limiter } from "../../index/limiter.ts";
import { machineMark } from "../../storage/sealed.ts";

export type RunOptions = {
  /** 0: any free one. */
  readonly port: number;
  /** Where the wanted port is taken: another free one instead of an error. */
  readonly anyPort: boolean;
  readonly syncAfterMs: number;
  /** Prints one line a request. */
  readonly verbose: boolean;
  readonly frozen: boolean;
  readonly version: string;
};

/** @returns the command's exit code */
export async function run(command: readonly string[], options: RunOptions, deps: Deps): Promise<number> {
  const [program, ...args] = command;
  if (program === undefined) throw new ImprintError("USAGE", "Cannot run: no command; write imprint run npm install");
  requireSafeClient(program);
  for (const line of openSecrets(deps.env)) deps.terminal.warn(line);
  const consumer = await openConsumer(deps);
  const { files } = consumer;
  const served = new Map<string, number>();
  const rules = rulesOf(deps, options.syncAfterMs);
  const say = sayOn(deps, options, served);
  let answering: Answering | null = null;
  try {
    await requireNoScopeLines({ folder: files.folder, ownerOf: scopeOwners(files.project) }, deps);
    await requireStates(consumer, options, deps);
    await warnStale(consumer, deps);
    if (deps.strict === true) await warnIntroduced(consumer, deps);
    // A running one may ask hosts, or take what --frozen or --strict would not.
    if (!options.frozen && !deps.offline && deps.strict !== true) answering = await join(options.port, files, rules, say, deps);
    if (answering === null) {
      const { port, anyPort, version } = options;
      const settings = { folder: files.folder, rules, say, port, anyPort, version };
      answering = answeringOf(await startResolver(resolverPorts(deps, consumer), settings));
    }
  } catch (error) {
    await consumer.close();
    throw error;
  }
  try {
    await mendLocks(files, deps);
    if (answering.base !== canonicalOf(files)) await settleLocks(files, `${answering.base}/`, deps);
    const { port } = parseResolverAddress(answering.base) ?? { port: options.port };
    const caches = deps.layout.clientCaches(policyOf(files.project), port, machineMark(await deps.secret()));
    const code = await runChild(
      program,
      args,
      await childEnvironment(deps, { program, base: answering.base, project: files.project, caches }),
      deps,
    );
    await settleLocks(files, `${canonicalOf(files)}/`, deps);
    sayServed(served, deps);
    saySeen(await answering.seen(), code, files, deps);
    await sayFallen(consumer, deps);
    return code;
  } finally {
    await answering.close();
    await consumer.close();
  }
}

/** How long news are waited for when the command has ended. */
const NEWS_MS = 3000;

/** What a client took from its own cache no resolver was asked for: the lockfile tells. */
async function sayFallen({ files: { folder, project }, indices }: Consumer, deps: Deps): Promise<void> {
  const readers = new Map([...indices].map(([alias, { reader }]) => [alias, reader] as const));
  const at = { files: deps.files, folder: clientFolder(deps, folder), project, readers };
  const locked = await lockedIndices(at);
  if (locked.length === 0) return;
  const look = async (): Promise<readonly FallenRelease[]> => {
    await Promise.all(locked.map(async (alias) => freshen(indices.get(alias) as OpenIndex, deps, () => undefined)));
    return fallenReleases({ ...at, read: "newest" });
  };
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => (timer = setTimeout(() => resolve(null), NEWS_MS)));
  // Without news in time, by what this machine remembers.
  const fallen = (await Promise.race([look(), late])) ?? (await fallenReleases({ ...at, read: "remembered" }));
  clearTimeout(timer);
  for (const line of fallenLines(fallen)) deps.terminal.warn(line);
}

function canonicalOf({ project }: ProjectFiles): string {
  return resolverAddress(policyOf(project)).slice(0, -1);
}

/** Before the command: an address in a lockfile would lead its client past the resolver, or to one of before. */
async function mendLocks({ folder, project }: ProjectFiles, deps: Deps): Promise<void> {
  const at = clientFolder(deps, folder);
  for (const line of lockLines(await writeLocks(deps.files, at, await locksOf(deps.files, at, project)))) deps.terminal.talk(line);
}

/** yarn 1 and bun ask the address that their lockfile holds: this run's while it lasts, the fixed one afterwards. */
async function settleLocks({ folder }: ProjectFiles, address: string, deps: Deps): Promise<void> {
  const at = clientFolder(deps, folder);
  await writeLocks(deps.files, at, await planLocks(deps.files, at, { address, isClaimed: () => false, upstream: undefined }));
}

/** Who answers the command: a resolver of its own, or the running one that serves this folder meanwhile. */
type Answering = { /** Without a final slash. */ readonly base: string; seen(): Promise<Seen>; close(): Promise<void> };

function answeringOf(resolver: RunningResolver): Answering {
  return { base: resolver.base, seen: async () => resolver.report.after(0), close: () => resolver.close() };
}

/** @returns null where no resolver of this user has the port, proven by a secret that is never sent (S6) */
async function join(
  port: number,
  { folder, project }: ProjectFiles,
  rules: Rules,
  say: (event: ServeEvent) => void,
  deps: Deps,
): Promise<Answering | null> {
  const holder = await findHolder(deps, port);
  const joined = (await holder?.join(folder, rules, say)) ?? null;
  if (holder === null || joined === null) return null;
  const policy = policyOf(project);
  await rememberProject(deps, folder, policy);
  const before = (await holder.seen(policy, Number.MAX_SAFE_INTEGER)) ?? NOTHING;
  return {
    base: resolverAddress(policy, port).slice(0, -1),
    // It stopped meanwhile: what it refused stands in its own log.
    seen: async () => (await holder.seen(policy, before.last)) ?? NOTHING,
    close: async () => joined.leave(),
  };
}

const NOTHING: Seen = { refusals: [], told: [], taken: [], clients: [], last: 0 };

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

/**
 * Every index must have been verified once, and be at its lock: a client would otherwise retry a 503 in silence for
 * more than a minute. Where all are, this makes no request.
 */
async function requireStates(consumer: Consumer, { frozen }: RunOptions, deps: Deps): Promise<void> {
  const { lock } = consumer.files;
  const unlocked = frozen ? [...consumer.indices.keys()].find((alias) => !lock.has(alias)) : undefined;
  if (unlocked !== undefined) throw new ImprintError("NOT_LOCKED", `Cannot run with --frozen: imprint.lock has no entry for ${unlocked}`);
  const within = limiter(AT_ONCE);
  // One that is silent holds up itself; what the others bring is kept, also where it ends in an error.
  const asked = [...consumer.indices].map(([alias, { reader }]) =>
    within(async () => {
      const floor = lock.get(alias);
      const state = await reader.current();
      const behind = state !== null && floor !== undefined && isBehind(() => requireFloor(state, floor));
      if (state !== null && !behind) return;
      deps.terminal.progress(`verifying ${alias}`);
      await reader.sync();
    }),
  );
  const refused = (await Promise.allSettled(asked)).find((one) => one.status === "rejected");
  if (refused !== undefined) throw refused.reason;
}

/** Indices that are asked at the same time. */
const AT_ONCE = 16;

function isBehind(check: () => void): boolean {
  try {
    check();
    return false;
  } catch (error) {
    if (isImprintError(error, "ROLLBACK")) return true;
    throw error;
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

function saySeen(seen: Seen, exitCode: number, { project }: ProjectFiles, deps: Deps): void {
  listRefusals(seen.refusals, deps);
  for (const line of notesOf({ ...seen, exitCode }, agedPatterns(project), deps.nowMs())) deps.terminal.warn(clean(line));
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
