/**
 * The npm registry API over a `Registry`, as a function of its dependencies: no listening, no environment.
 *
 * It only reads: the one POST asks for advisories. Host headers are checked against an allow-list before anything else: a page
 * on the web that rebinds its name to this machine must get nothing, and tarball addresses are built from that host. Pages of
 * other sites are refused (`browsers.ts`). Then the policy that the address names (`/~<policy>/…`) chooses the registry; an
 * address of no policy that is served here is refused.
 */
import { Hono, type Context } from "hono";
import { ImprintError } from "../errors.ts";
import { ABBREVIATED_TYPE, readyDocument } from "../registry/document.ts";
import type { JsonValue } from "../format/json.ts";
import type { PublicName } from "../format/names.ts";
import type { Policy } from "../format/policy.ts";
import type { Registry } from "../registry/port.ts";
import { MAX_RESOLVERS, parseVia, type Via } from "../registry/upstream/via.ts";
import { baseOf, type Bases } from "./bases.ts";
import { BODY_LIMITS, type BodyLimits, browserSign, readJsonBody } from "./body.ts";
import { BROWSER_HEADERS, isForeignPage } from "./browsers.ts";
import { parseRegistryPath, type RegistryRequest } from "./path.ts";
import { splitPolicy } from "./policy-path.ts";
import { parseSearch } from "./search-query.ts";
import { sendDocument, sendError, sendTarball } from "./respond.ts";
import { refuseWrite } from "./writes.ts";
import type { Incoming, WarmAnswers } from "./warm.ts";

/** What answers under one policy. */
export type Served = {
  readonly registry: Registry;
  /** Who asks: the User-Agent header of each request. */
  readonly observe: (userAgent: string) => void;
};

export type AppDeps = {
  /** The registry of the policy that an address names; null: it names none. @throws ImprintError WRONG_ADDRESS */
  readonly served: (policy: Policy | null) => Promise<Served>;
  /** Addresses that clients may use; all else is refused. */
  readonly bases: () => Bases;
  /** Whether an Authorization header lets somebody in; a resolver of one user asks for none. */
  readonly authorize?: (header: string | undefined) => boolean;
  /** Another process of the same user, who knows this resolver's secret; null where nobody may ask. */
  readonly control: ((body: JsonValue) => Response) | null;
  readonly version: string;
  /** 16 hex digits that name this resolver in the Via header of what it asks upstream. */
  readonly instance: string;
  readonly bodyLimits?: BodyLimits;
};

type Bindings = { readonly incoming?: Incoming };

export function createApp(deps: AppDeps, warm: WarmAnswers | null = null): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    for (const [name, value] of Object.entries(BROWSER_HEADERS)) c.header(name, value);
    const asked = askedOf(c, deps);
    if (asked === null) return c.json({ error: "this host name is not served here" }, 403);
    if (isForeignPage({ origin: c.req.header("origin") ?? null, site: c.req.header("sec-fetch-site") ?? null }, new URL(asked.base).origin))
      return c.json({ error: "pages on the web may not ask here" }, 403);
    if (deps.authorize?.(c.req.header("authorization")) === false)
      return c.json({ error: "a token is needed: //<host>/:_authToken in .npmrc" }, 401, { "www-authenticate": "Bearer" });
    const via = viaOf(c);
    if (via.includes(deps.instance) || via.length >= MAX_RESOLVERS)
      throw new ImprintError("LOOP_DETECTED", "Cannot answer: this resolver's upstream leads back to it");
    await next();
    c.header("x-imprint", deps.version);
    return undefined;
  });
  app.post("/-/imprint/control", async (c) => {
    const sign = browserSign(c.req.raw.headers);
    if (deps.control === null || sign !== null) return c.json({ error: sign ?? "not found" }, sign === null ? 404 : 403);
    return deps.control(await readJsonBody(c.req.raw, deps.bodyLimits ?? BODY_LIMITS));
  });
  app.get("*", (c) => handle(c, deps, warm));
  app.post("*", (c) => handleAudit(c, deps));
  app.all("*", (c) => sendWriteRefusal(c, deps));
  app.onError((error, c) => {
    if (error instanceof ImprintError) return sendError(c, error, subjectOf(c, deps));
    throw error;
  });
  return app;
}

async function handle(c: Context, deps: AppDeps, warm: WarmAnswers | null): Promise<Response> {
  const via = viaOf(c);
  const { base, path, policy } = askedOf(c, deps) ?? NOT_ASKED;
  const request = parseRegistryPath(path);
  // Whether it is there, a load balancer may ask under any address.
  if (request.kind === "home") return sendDocument(c, await readyDocument(JSON.stringify({ imprint: deps.version })));
  if (request.kind === "ping") return sendDocument(c, await readyDocument("{}"));
  const { registry, observe } = await deps.served(policy);
  observe(c.req.header("user-agent") ?? "");
  switch (request.kind) {
    case "packument": {
      const answered = await registry.packument(request.name, wantsAbbreviated(c), base, via, isLocked(c));
      // No bindings where there is no socket, as in tests.
      const incoming = (c.env as Bindings | undefined)?.incoming;
      if (incoming !== undefined) warm?.keep(incoming, answered, observe);
      return sendDocument(c, answered.value);
    }
    case "version":
      return sendDocument(c, (await registry.version(request.name, request.versionOrTag, base, via)).value);
    case "distTags":
      return sendDocument(c, (await registry.distTags(request.name, via)).value);
    case "tarball":
      return sendTarball(c, (await registry.tarball(request.name, request.file, via)).value);
    case "keys":
      return sendDocument(c, await registry.keys(via));
    case "attestations":
      return sendDocument(c, (await registry.attestations(request.name, request.version, via)).value);
    case "search":
      return sendDocument(c, await registry.search(...parseSearch(new URL(c.req.url).searchParams)));
    case "audit":
      throw new ImprintError("METHOD_NOT_ALLOWED", "Cannot GET advisories: clients ask for them with POST");
    case "distTag":
    case "unknown":
      return c.json({ error: "not found: this registry serves packages, versions, tarballs, dist-tags, search and ping" }, 404);
  }
}

/** Pages on the web are told no more than that. */
function sendWriteRefusal(c: Context, deps: AppDeps): Response {
  const { path } = askedOf(c, deps) ?? NOT_ASKED;
  const { status, error } = refuseWrite(c.req.method, path, subjectOf(c, deps));
  return c.json({ error }, status, { "cache-control": "no-store" });
}

/** Asking for advisories changes nothing, but a page on the web could make this machine tell upstream things. */
async function handleAudit(c: Context, deps: AppDeps): Promise<Response> {
  const { bodyLimits = BODY_LIMITS } = deps;
  const { path, policy } = askedOf(c, deps) ?? NOT_ASKED;
  const request = parseRegistryPath(path);
  if (request.kind !== "audit") {
    if (path.startsWith("/-/npm/v1/security/"))
      return c.json({ error: "not found: advisories/bulk, audits/quick and audits are served" }, 404);
    return sendWriteRefusal(c, deps);
  }
  const sign = browserSign(c.req.raw.headers);
  if (sign !== null) return c.json({ error: sign }, 403);
  const { registry, observe } = await deps.served(policy);
  observe(c.req.header("user-agent") ?? "");
  return sendDocument(c, await registry.audit(request.endpoint, await readJsonBody(c.req.raw, bodyLimits), viaOf(c)));
}

type Asked = {
  /** Of tarball addresses: the one of ours that was used, with its policy. */ readonly base: string;
  readonly policy: Policy | null;
  readonly path: string;
};
const NOT_ASKED: Asked = { base: "", policy: null, path: "" };

/** Which of our addresses was used, which policy it names, and the path below, as it came; null: none of ours. */
function askedOf(c: Context, { bases }: Pick<AppDeps, "bases">): Asked | null {
  const asked = baseOf(bases(), {
    host: c.req.header("host"),
    forwardedHost: c.req.header("x-forwarded-host"),
    forwardedProto: c.req.header("x-forwarded-proto"),
    path: new URL(c.req.url).pathname,
  });
  if (asked === null) return null;
  const { policy, prefix, path } = splitPolicy(asked.path);
  return { base: `${asked.base}${prefix}`, policy, path };
}

function viaOf(c: Context): Via {
  return parseVia(c.req.header("via"));
}

/**
 * Whether npm asks for what a lockfile has: all of `npm ci`, and the abbreviated form of an installation, which npm 9 and newer
 * resolve by the full one. Such a lockfile has no address of a tarball, so npm looks for it in a packument.
 */
function isLocked(c: Context): boolean {
  const command = c.req.header("npm-command");
  if (command === "ci") return true;
  const major = Number(/^npm\/(\d+)\./.exec(c.req.header("user-agent") ?? "")?.[1] ?? 0);
  return command === "install" && major >= 9 && wantsAbbreviated(c);
}

function wantsAbbreviated(c: Context): boolean {
  return (c.req.header("accept") ?? "").includes(ABBREVIATED_TYPE);
}

/** The package that a request is about; null: none. */
function subjectOf(c: Context, deps: AppDeps): PublicName | null {
  const asked = askedOf(c, deps);
  if (asked === null) return null;
  try {
    const request: RegistryRequest = parseRegistryPath(asked.path);
    return "name" in request ? request.name : null;
  } catch {
    return null; // a path that names none
  }
}
