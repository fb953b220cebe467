/** A listening resolver for one project: what `serve` leaves running and `run` starts for one command. */
import { randomBytes } from "node:crypto";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { ImprintError, errnoOf, isImprintError } from "../errors.ts";
import type { Bases } from "../http/bases.ts";
import { createListener } from "../http/listener.ts";
import { bridgeKeyIn } from "../registry/bridge.ts";
import { createResolver, type ResolverEvents } from "../registry/resolver.ts";
import type { Registry } from "../registry/port.ts";
import { openSearchStore } from "../registry/search-store.ts";
import { openUpstreamClient, type UpstreamClient } from "../registry/upstream/client.ts";
import { loadUpstreamSettings } from "../registry/upstream/settings.ts";
import { createUpstream } from "../registry/upstream/upstream.ts";
import { type Consumer, openConsumer } from "./consumer.ts";
import type { Deps } from "./deps.ts";
import { requireNoScopeLines } from "./clients/scope-lines.ts";
import { ownRegistries } from "./own-registries.ts";
import { createReport, type Report } from "./report.ts";
import { forgetResolver, policyDigest, proofOf, rememberResolver } from "./resolver-state.ts";
import { LOCAL, openService, type ServiceOptions } from "./service.ts";
import { clean } from "./terminal.ts";

export type RunningResolver = {
  /** `http://127.0.0.1:<port>` */
  readonly base: string;
  readonly report: Report;
  /** Packuments and tarballs by source, for a closing line. */
  readonly served: ReadonlyMap<string, number>;
  close(): Promise<void>;
};

export type ResolverSettings = {
  /** 0: any free one. */
  readonly port: number;
  /** Where the wanted port is taken: another free one instead of an error. */
  readonly anyPort: boolean;
  readonly syncAfterMs: number;
  /** Prints one line a request. */
  readonly verbose: boolean;
  readonly version: string;
  /** For others than this user; this machine alone unless given. */
  readonly service?: ServiceOptions;
};

const SYNC_WAIT_MS = 3000;
/** How often a running resolver looks whether imprint.json or imprint.lock changed. */
const RELOAD_MS = 1000;

/** @param consumer the opened project, which the resolver closes in the end */
export async function startResolver(deps: Deps, settings: ResolverSettings, consumer: Consumer): Promise<RunningResolver> {
  const report = createReport();
  const served = new Map<string, number>();
  const secret = randomBytes(32);
  const instance = randomBytes(8).toString("hex");
  // Of every policy that was served: what clients are still being sent goes on when imprint.json changes.
  const upstreams: UpstreamClient[] = [];
  const open = async (opened: Consumer): Promise<Policy> => {
    const made = await openPolicy(deps, settings, opened, report, served, instance);
    upstreams.push(made.client);
    return made;
  };
  const service = await openService(settings.service ?? LOCAL, deps);
  let policy = await open(consumer);
  let bases: Bases = { list: [], trustProxy: false };
  const registry: Registry = {
    async packument(...request) {
      const asked = policy;
      const { again, ...answered } = await asked.registry.packument(...request);
      // Another imprint.json may answer otherwise.
      return { ...answered, again: () => asked === policy && again?.() === true };
    },
    version: (...request) => policy.registry.version(...request),
    distTags: (...request) => policy.registry.distTags(...request),
    tarball: (...request) => policy.registry.tarball(...request),
    keys: (...request) => policy.registry.keys(...request),
    attestations: (...request) => policy.registry.attestations(...request),
    audit: (...request) => policy.registry.audit(...request),
    search: (...request) => policy.registry.search(...request),
  };
  const listener = createListener({
    registry,
    bases: () => bases,
    ...(service.authorize === null ? {} : { authorize: service.authorize }),
    prove: (nonce) => proofOf(secret, nonce),
    seenAfter: (token, after) => report.afterFor(secret, token, after),
    observe: (userAgent) => report.client(userAgent),
    version: settings.version,
    instance,
  });
  const server = await listen(listener, service.host, settings);
  const { port } = server.address() as AddressInfo;
  bases = service.basesAt(port);
  const { folder } = policy.consumer.files;
  // One for a team is not for `imprint run` to find: its clients would need a token.
  const remember = async ({ digest }: Policy): Promise<void> => {
    if (service.authorize !== null) return;
    try {
      await rememberResolver(deps, folder, { port, pid: process.pid, secret: secret.toString("hex"), policy: digest });
    } catch (error) {
      if (!isImprintError(error, "STORAGE_FAILED")) throw error;
      deps.terminal.warn(clean(`${error.message}: the next imprint run starts a resolver of its own`));
    }
  };
  await remember(policy);
  let complaint = "";
  const keepGoing = (what: string) => (error: unknown) => {
    const line = clean(`still serving with the last good ${what}: ${error instanceof Error ? error.message : "it cannot be read"}`);
    if (line !== complaint) deps.terminal.warn(line);
    complaint = line;
  };
  const reload = setInterval(() => {
    void reopen().catch(keepGoing("imprint.json"));
    void service.reload().catch(keepGoing("tokens"));
  }, RELOAD_MS);
  reload.unref();

  const reopen = async (): Promise<void> => {
    const digest = await policyDigest(deps.files, folder);
    if (digest === policy.digest || digest === policy.refused) return;
    policy.refused = digest;
    const reopened = await openConsumer(deps);
    const next = await open(reopened).catch(async (error: unknown) => {
      await reopened.close();
      throw error;
    });
    const before = policy;
    policy = next;
    await remember(next);
    await before.consumer.close();
    deps.terminal.ok("imprint.json or imprint.lock changed: reloaded");
  };

  return {
    base: bases.list[0] ?? "",
    report,
    served,
    async close() {
      clearInterval(reload);
      // A file that stays proves nothing to whoever finds it; a server that stays would keep this process.
      await forgetResolver(deps, folder, port).catch((error: unknown) => {
        if (!isImprintError(error, "STORAGE_FAILED")) throw error;
      });
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      for (const client of upstreams) client.close();
      await policy.consumer.close();
    },
  };
}

type Policy = {
  readonly consumer: Consumer;
  readonly registry: Registry;
  readonly client: UpstreamClient;
  readonly digest: string;
  /** A digest that could not be opened, so that its error is said once. */ refused: string | null;
};

async function openPolicy(
  deps: Deps,
  settings: ResolverSettings,
  consumer: Consumer,
  report: Report,
  served: Map<string, number>,
  instance: string,
): Promise<Policy> {
  const { project, folder } = consumer.files;
  await requireNoScopeLines(consumer.files, deps);
  const client = openUpstreamClient({
    settings: () => loadUpstreamSettings({ configured: project.upstream.registry, env: deps.env, ourselves: ownRegistries(deps) }),
    instance,
    offline: deps.offline,
  });
  const monotonicMs = (): number => performance.now();
  const registry = createResolver({
    project,
    strict: deps.strict === true,
    indices: consumer.indices,
    upstream: createUpstream({ client, files: deps.files, folder: deps.layout.upstream, nowMs: deps.nowMs }),
    searchStore: openSearchStore(deps.files, (id) => deps.layout.search(id)),
    bridgeKey: bridgeKeyIn(deps.files, deps.layout.bridgeKey),
    nowMs: monotonicMs,
    wallMs: deps.nowMs,
    syncAfterMs: deps.offline ? Number.POSITIVE_INFINITY : settings.syncAfterMs,
    syncWaitMs: SYNC_WAIT_MS,
    events: eventsOf(deps, settings, report, served),
  });
  return { consumer, registry, client, digest: await policyDigest(deps.files, folder), refused: null };
}

function eventsOf({ terminal }: Deps, { verbose }: ResolverSettings, report: Report, served: Map<string, number>): ResolverEvents {
  return {
    answered(name, what, source, detail) {
      served.set(source, (served.get(source) ?? 0) + 1);
      if (verbose)
        terminal.talk(
          `${terminal.style("dim", "·")} ${source === "upstream" ? "public registry" : source}  ${name} ${what}${detail === "" ? "" : ` ${clean(detail)}`}`,
        );
    },
    told: (facts) => report.told(facts),
    refused(name, error) {
      report.refused(name, error);
      if (verbose) terminal.talk(`${terminal.style("red", "✗")} ${clean(`${name}: ${error.message} (${error.code})`)}`);
    },
    warned(alias, message) {
      terminal.warn(clean(`${alias}: ${message}`));
    },
  };
}

async function listen(listener: RequestListener, host: string, { port, anyPort }: ResolverSettings): Promise<Server> {
  const attempt = (wanted: number): Promise<Server> =>
    new Promise((resolve, reject) => {
      const server = createServer(listener);
      server.once("error", reject);
      server.listen(wanted, host, () => resolve(server));
    });
  try {
    return await attempt(port);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EADDRNOTAVAIL" || errno === "ENOTFOUND")
      throw new ImprintError("USAGE", `Cannot listen on ${host}: this machine has no such address`, { cause: error });
    if (errno !== "EADDRINUSE" && errno !== "EACCES") throw error;
    if (anyPort) return attempt(0);
    const state = errno === "EACCES" ? "this user may not have that port" : "another program has the port";
    throw new ImprintError("PORT_IN_USE", `Cannot listen on ${host}:${port}: ${state}`, { cause: error });
  }
}
