/**
 * A listening resolver: what `serve` leaves running and `run` starts for one command.
 *
 * It answers under `/~<policy>/` for the folder that it was started for, for those that other terminals of the user add
 * (`holder.ts`), and for those that the user's commands remembered; a resolver for a team answers for its own folder alone.
 */
import { randomBytes } from "node:crypto";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { ImprintError, errnoOf, isImprintError } from "../errors.ts";
import { requireNoScopeLines } from "../clients/scope-lines.ts";
import type { DisplayName } from "../format/decode.ts";
import { type Policy, policyOf } from "../format/policy.ts";
import type { Project } from "../format/project.ts";
import type { Bases } from "../http/bases.ts";
import { createListener } from "../http/listener.ts";
import type { IndexReader } from "../index/reader.ts";
import type { TarballStore } from "../index/tarballs.ts";
import { knownProjects, rememberProject } from "../project/known-projects.ts";
import { isOwnRegistry } from "../project/own-registries.ts";
import { projectStamp, readProjectFiles } from "../project/project-files.ts";
import { bridgeKeyIn } from "../registry/bridge.ts";
import { scopeOwners } from "../registry/claims.ts";
import { takenPlace } from "../registry/taken-places.ts";
import { createResolver } from "../registry/resolver.ts";
import { openSearchStore } from "../registry/search-store.ts";
import { openUpstreamClient, type UpstreamClient } from "../registry/upstream/client.ts";
import { loadUpstreamSettings } from "../registry/upstream/settings.ts";
import { createUpstream } from "../registry/upstream/upstream.ts";
import type { Files } from "../storage/files.ts";
import type { Layout } from "../storage/layout.ts";
import type { SealedFiles } from "../storage/sealed.ts";
import { ownUsers } from "../storage/owner.ts";
import { controlOf } from "./controlled.ts";
import { ownUsersOnly } from "./peers.ts";
import { createPolicies, type OpenedPolicy, type Policies, type Rules, type ServeEvent, type Told } from "./policies.ts";
import type { Report } from "./report.ts";
import { forgetResolver, rememberResolver, type ResolverState } from "./resolver-state.ts";
import { LOCAL, openService, type ServiceOptions } from "./service.ts";

export type OpenedProject = {
  readonly project: Project;
  readonly indices: ReadonlyMap<DisplayName, { readonly reader: IndexReader; readonly tarballs: TarballStore }>;
  close(): Promise<void>;
};

export type ResolverPorts = {
  readonly files: Files;
  /** For what is cached and no hash can prove. */
  readonly sealed: SealedFiles;
  readonly layout: Layout;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Unix time in milliseconds. */
  readonly nowMs: () => number;
  /** @param warn lines about its indices */
  readonly openProject: (folder: string, rules: Rules, warn: (line: string) => void) => Promise<OpenedProject>;
};

export type ResolverSettings = {
  /** Of the imprint.json that it is started for. */
  readonly folder: string;
  readonly rules: Rules;
  readonly say: (event: ServeEvent) => void;
  /** 0: any free one. */
  readonly port: number;
  /** Where the wanted port is taken: another free one instead of an error. */
  readonly anyPort: boolean;
  readonly version: string;
  /** For others than this user; this machine alone unless given. */
  readonly service?: ServiceOptions;
};

export type RunningResolver = {
  /** With the policy, without a final slash: `http://127.0.0.1:4870/~<policy>`. */
  readonly base: string;
  /** The same under every name that it answers to. */
  readonly bases: readonly string[];
  readonly report: Report;
  close(): Promise<void>;
};

const SYNC_WAIT_MS = 3000;
/** How often a running resolver looks whether imprint.json or imprint.lock changed. */
const RELOAD_MS = 1000;
/** Longer than load balancers keep idle connections (60 s), or they would send a request into one that is being closed. */
const KEEP_ALIVE_MS = 65_000;

/** @throws ImprintError PORT_IN_USE, and those of opening the project */
export async function startResolver(ports: ResolverPorts, settings: ResolverSettings): Promise<RunningResolver> {
  const { files } = ports;
  const { folder, rules, say } = settings;
  const instance = randomBytes(8).toString("hex");
  const service = await openService(settings.service ?? LOCAL, ports);
  const { isShared } = service;
  // Of every policy that was served: what clients are still being sent goes on when imprint.json changes.
  const upstreams: UpstreamClient[] = [];
  const policies = createPolicies({
    readProject: async (at) => (await readProjectFiles(files, at)).project,
    stampOf: (at) => projectStamp(files, at),
    known: isShared ? null : () => knownProjects(ports),
    otherwise: { rules, say },
    open: async (told, report) => {
      const { opened, client } = await openPolicy(ports, told, report, instance);
      upstreams.push(client);
      return opened;
    },
  });
  policies.tell({ folder, rules, say });
  const policy = policyOf((await readProjectFiles(files, folder)).project);
  const closeAll = async (): Promise<void> => {
    for (const client of upstreams) client.close();
    await policies.close();
  };
  const secret = randomBytes(32);
  let bases: Bases = { list: [], trustProxy: false };
  const own = service.isPrivate ? ownUsers({ env: ports.env, uid: process.geteuid?.() }) : null;
  const answering = createListener({
    served: (asked) => policies.served(asked),
    bases: () => bases,
    ...(service.authorize === null ? {} : { authorize: service.authorize }),
    // One for a team is not for other commands to find: their clients would need a token.
    control: isShared ? null : controlOf(secret, policies),
    version: settings.version,
    instance,
  });
  let server: Server;
  try {
    await policies.served(policy); // what cannot be served is said before anybody asks
    server = await listen(own === null ? answering : ownUsersOnly(own, answering), service.host, settings);
  } catch (error) {
    await closeAll();
    throw error;
  }
  const { port } = server.address() as AddressInfo;
  bases = service.basesAt(port);
  const state: ResolverState = { port, pid: process.pid, secret: secret.toString("hex") };
  if (!isShared) await remember(ports, settings, state, policy);
  const timer = setInterval(() => {
    void policies.refresh();
    void service.reload().catch((error: unknown) => {
      say({
        kind: "warned",
        line: `still serving with the last good tokens: ${error instanceof Error ? error.message : "they cannot be read"}`,
      });
    });
  }, RELOAD_MS);
  timer.unref();
  return {
    base: `${bases.list[0] ?? ""}/~${policy}`,
    bases: bases.list.map((base) => `${base}/~${policy}`),
    report: reportOf(policies, policy),
    async close() {
      clearInterval(timer);
      // A file that stays proves nothing to whoever finds it; a server that stays would keep this process.
      await forgetResolver(ports, state).catch((error: unknown) => {
        if (!isImprintError(error, "STORAGE_FAILED")) throw error;
      });
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      await closeAll();
    },
  };
}

function reportOf(policies: Policies, policy: Policy): Report {
  const report = policies.reportOf(policy);
  if (report === null) throw new Error("a policy that is served has a report");
  return report;
}

async function remember(ports: ResolverPorts, { folder, say }: ResolverSettings, state: ResolverState, policy: Policy): Promise<void> {
  try {
    await rememberProject(ports, folder, policy);
    await rememberResolver(ports, state);
  } catch (error) {
    if (!isImprintError(error, "STORAGE_FAILED")) throw error;
    say({ kind: "warned", line: `${error.message}: the next imprint run starts a resolver of its own` });
  }
}

async function openPolicy(
  ports: ResolverPorts,
  { folder, rules, say }: Told,
  report: Report,
  instance: string,
): Promise<{ readonly opened: OpenedPolicy; readonly client: UpstreamClient }> {
  const { files, sealed, layout, env, nowMs } = ports;
  const warn = (line: string): void => say({ kind: "warned", line });
  const consumer = await ports.openProject(folder, rules, warn);
  try {
    const { project } = consumer;
    await requireNoScopeLines({ folder, ownerOf: scopeOwners(project) }, { files, env, cwd: folder });
    const client = openUpstreamClient({
      settings: () => loadUpstreamSettings({ configured: project.upstream.registry, env, isOurs: isOwnRegistry(env) }),
      instance,
      offline: rules.offline,
    });
    const registry = createResolver({
      project,
      strict: rules.strict,
      indices: consumer.indices,
      upstream: createUpstream({
        client,
        files,
        sealed,
        folder: layout.upstream,
        nowMs,
        refuse: (name, odd) => takenPlace(project, name, odd),
      }),
      searchStore: openSearchStore(sealed, (id) => layout.search(id)),
      bridgeKey: bridgeKeyIn(files, layout.bridgeKey),
      nowMs: () => performance.now(),
      wallMs: nowMs,
      syncAfterMs: rules.syncAfterMs,
      syncWaitMs: SYNC_WAIT_MS,
      events: {
        answered(name, what, source, detail) {
          if (what === "tarball") report.taken(name, detail);
          say({ kind: "answered", name, what, source, detail });
        },
        told: (facts) => report.told(facts),
        refused(name, error) {
          report.refused(name, error);
          say({ kind: "refused", name, code: error.code, message: error.message });
        },
        warned: (alias, message) => warn(`${alias}: ${message}`),
      },
    });
    return { opened: { project, registry, close: () => consumer.close() }, client };
  } catch (error) {
    await consumer.close();
    throw error;
  }
}

async function listen(listener: RequestListener, host: string, { port, anyPort }: ResolverSettings): Promise<Server> {
  const attempt = (wanted: number): Promise<Server> =>
    new Promise((resolve, reject) => {
      const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, headersTimeout: KEEP_ALIVE_MS + 1000 }, listener);
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
