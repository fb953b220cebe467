/**
 * `imprint serve`: this project's registry, until it is stopped.
 *
 * One port answers all projects of a user. Where another `imprint serve` or `imprint run` of this user has it, this one has its
 * folder served there, and takes the port over when the other ends.
 */
import { ImprintError, isImprintError } from "../../errors.ts";
import { registryLines } from "../../clients/pointing/point.ts";
import { parseResolverAddress, resolverAddress } from "../../clients/resolver-address.ts";
import { requireNoScopeLines } from "../../clients/scope-lines.ts";
import { type Policy, policyOf } from "../../format/policy.ts";
import { clean } from "../../format/text.ts";
import { rememberProject } from "../../project/known-projects.ts";
import { scopeOwners } from "../../registry/claims.ts";
import { findHolder, type Joined } from "../../serve/holder.ts";
import { type RunningResolver, startResolver } from "../../serve/resolver.ts";
import type { ServiceOptions } from "../../serve/service.ts";
import { openConsumer, warnStale } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import { warnIntroduced } from "../introductions.ts";
import { resolverPorts, rulesOf, sayOn } from "../resolving.ts";
import { handOut } from "../views/serve.ts";

export type ServeOptions = {
  readonly port: number;
  readonly syncAfterMs: number;
  readonly verbose: boolean;
  readonly version: string;
  readonly service: ServiceOptions;
};

/** @returns when `stop` is called */
export async function serve(options: ServeOptions, deps: Deps, stop: Promise<void>): Promise<void> {
  let isTold = false;
  for (;;) {
    const { answering, bases, policy } = await answer(options, deps);
    if (!isTold) {
      const registry = `${bases[0] ?? ""}/`;
      deps.terminal.result(deps.json ? JSON.stringify({ registry }) : registry);
      for (const line of handOut({ bases, isJoined: answering.kind === "joined", isShared: isShared(options), policy }))
        deps.terminal.ok(line);
      isTold = true;
    }
    const ended = answering.kind === "joined" ? answering.joined.ended.then(() => "gone" as const) : new Promise<never>(() => {});
    const outcome = await Promise.race([stop.then(() => "stopped" as const), ended]);
    if (answering.kind === "joined") answering.joined.leave();
    else await answering.resolver.close();
    if (outcome === "stopped") return;
    deps.terminal.talk("the other resolver ended; this one takes its port over");
  }
}

/** For others than this user: it does not mix with his other projects. */
function isShared({ service: { tokenFile, publicUrls } }: ServeOptions): boolean {
  return tokenFile !== undefined || publicUrls.length > 0;
}

type Answering = { readonly kind: "joined"; readonly joined: Joined } | { readonly kind: "own"; readonly resolver: RunningResolver };
type Answer = { readonly answering: Answering; readonly bases: readonly string[]; readonly policy: Policy };

/**
 * An address that a merge left behind imprint.json may be another project's: plain clients here would be answered by its rules.
 *
 * @throws ImprintError WRONG_ADDRESS
 */
async function requireOwnAddress(folder: string, policy: Policy, deps: Deps): Promise<void> {
  for (const { file, registry } of await registryLines(deps.files, folder)) {
    const named = registry === null ? null : parseResolverAddress(registry);
    if (named === null || named.policy === policy) continue;
    throw new ImprintError(
      "WRONG_ADDRESS",
      `Cannot serve ${clean(folder)}: its ${file} names the address of another policy, ${clean(registry ?? "")}; run imprint sync, which writes ${resolverAddress(policy)}`,
    );
  }
}

/** Listens, or joins the resolver of this user that has the port. The port may change hands between two tries. */
async function answer(options: ServeOptions, deps: Deps): Promise<Answer> {
  for (let tries = 0; ; tries++) {
    try {
      return await listen(options, deps);
    } catch (error) {
      if (!isImprintError(error, "PORT_IN_USE") || isShared(options)) throw error;
      const joined = await join(options, deps);
      if (joined !== null) return joined;
      if (tries >= MAX_TRIES) throw strangerThere(options.port, error);
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    }
  }
}

/** A resolver that is ending holds its port a moment longer. */
const MAX_TRIES = 5;
const WAIT_MS = 200;

function strangerThere(port: number, cause: ImprintError): ImprintError {
  return new ImprintError(
    "PORT_IN_USE",
    `Cannot listen on 127.0.0.1:${port}: a program that is no resolver of yours has the port, and whoever asks there without imprint run is answered by it`,
    { cause },
  );
}

async function listen(options: ServeOptions, deps: Deps): Promise<Answer> {
  const consumer = await openConsumer(deps);
  try {
    const { folder, project } = consumer.files;
    await requireNoScopeLines({ folder, ownerOf: scopeOwners(project) }, deps);
    await requireOwnAddress(folder, policyOf(project), deps);
    if (deps.strict === true) {
      await warnStale(consumer, deps);
      await warnIntroduced(consumer, deps);
    }
    const { port, version, service } = options;
    const settings = {
      folder,
      rules: rulesOf(deps, options.syncAfterMs),
      say: sayOn(deps, options),
      port,
      anyPort: false,
      version,
      service,
    };
    const resolver = await startResolver(resolverPorts(deps, consumer), settings);
    return { answering: { kind: "own", resolver }, bases: resolver.bases, policy: policyOf(project) };
  } catch (error) {
    await consumer.close();
    throw error;
  }
}

async function join(options: ServeOptions, deps: Deps): Promise<Answer | null> {
  const holder = await findHolder(deps, options.port);
  if (holder === null) return null;
  const consumer = await openConsumer(deps);
  const { folder, project } = consumer.files;
  await consumer.close();
  const policy = policyOf(project);
  await requireOwnAddress(folder, policy, deps);
  await rememberProject(deps, folder, policy);
  const joined = await holder.join(folder, rulesOf(deps, options.syncAfterMs), sayOn(deps, options));
  if (joined === null) return null;
  return { answering: { kind: "joined", joined }, bases: [resolverAddress(policy, options.port).slice(0, -1)], policy };
}
