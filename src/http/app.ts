/**
 * The npm registry API over a `Registry`, as a function of its dependencies: no listening, no environment.
 *
 * It only reads: the one POST asks for advisories. Host headers are checked against an allow-list before anything else: a page
 * on the web that rebinds its name to this machine must get nothing, and tarball addresses are built from that host.
 */
import { Hono, type Context } from "hono";
import { ImprintError } from "../errors.ts";
import { ABBREVIATED_TYPE, readyDocument } from "../registry/document.ts";
import type { Registry } from "../registry/port.ts";
import { MAX_RESOLVERS, parseVia, type Via } from "../registry/upstream/via.ts";
import { baseOf, type Bases } from "./bases.ts";
import { BODY_LIMITS, type BodyLimits, browserSign, readJsonBody } from "./body.ts";
import { parseRegistryPath, type RegistryRequest } from "./path.ts";
import { parseSearch } from "./search-query.ts";
import { sendDocument, sendError, sendTarball } from "./respond.ts";
import type { Incoming, WarmAnswers } from "./warm.ts";

export type AppDeps = {
  readonly registry: Registry;
  /** Addresses that clients may use; all else is refused. */
  readonly bases: () => Bases;
  /** Whether an Authorization header lets somebody in; a resolver of one user asks for none. */
  readonly authorize?: (header: string | undefined) => boolean;
  /** Answers `GET /-/imprint/challenge/<nonce>`: how `imprint run` knows its own resolver from a stranger's. */
  readonly prove: (nonce: string) => string | null;
  /** What happened since, for the user who holds the resolver's secret; null to anybody else. */
  readonly seenAfter: (token: string, number: number) => object | null;
  /** Who asks: the User-Agent header of each request. */
  readonly observe: (userAgent: string) => void;
  readonly version: string;
  /** 16 hex digits that name this resolver in the Via header of what it asks upstream. */
  readonly instance: string;
  readonly bodyLimits?: BodyLimits;
};

type Bindings = { readonly incoming?: Incoming };

export function createApp(deps: AppDeps, warm: WarmAnswers | null = null): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    if (askedOf(c, deps) === null) return c.json({ error: "this host name is not served here" }, 403);
    if (deps.authorize?.(c.req.header("authorization")) === false)
      return c.json({ error: "a token is needed: //<host>/:_authToken in .npmrc" }, 401, { "www-authenticate": "Bearer" });
    const via = viaOf(c);
    if (via.includes(deps.instance) || via.length >= MAX_RESOLVERS)
      throw new ImprintError("LOOP_DETECTED", "Cannot answer: this resolver's upstream leads back to it");
    await next();
    c.header("x-imprint", deps.version);
    return undefined;
  });
  app.get("/-/imprint/challenge/:nonce", (c) => {
    const proof = deps.prove(c.req.param("nonce"));
    return proof === null ? c.json({ error: "no proof" }, 404) : c.json({ proof });
  });
  app.get("/-/imprint/seen/:after", (c) => {
    const token = (c.req.header("authorization") ?? "").replace(/^Bearer /, "");
    const seen = deps.seenAfter(token, Number(c.req.param("after")));
    return seen === null ? c.json({ error: "not for you" }, 403) : c.json(seen);
  });
  app.get("*", (c) => handle(c, deps, warm));
  app.post("*", (c) => handleAudit(c, deps));
  app.all("*", (c) =>
    sendError(c, new ImprintError("METHOD_NOT_ALLOWED", `Cannot ${c.req.method}: this registry only reads`), new URL(c.req.url).pathname),
  );
  app.onError((error, c) => {
    if (error instanceof ImprintError) return sendError(c, error, subjectOf(c));
    throw error;
  });
  return app;
}

async function handle(c: Context, deps: AppDeps, warm: WarmAnswers | null): Promise<Response> {
  const { registry, version, observe } = deps;
  observe(c.req.header("user-agent") ?? "");
  const via = viaOf(c);
  const { base, path } = askedOf(c, deps) ?? { base: "", path: "" };
  const request = parseRegistryPath(path);
  switch (request.kind) {
    case "packument": {
      const answered = await registry.packument(request.name, wantsAbbreviated(c), base, via);
      // No bindings where there is no socket, as in tests.
      const incoming = (c.env as Bindings | undefined)?.incoming;
      if (incoming !== undefined) warm?.keep(incoming, answered);
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
    case "ping":
      return sendDocument(c, await readyDocument("{}"));
    case "home":
      return sendDocument(c, await readyDocument(JSON.stringify({ imprint: version })));
    case "unknown":
      return c.json({ error: "not found: this registry serves packages, versions, tarballs, dist-tags, search and ping" }, 404);
  }
}

/** Asking for advisories changes nothing, but a page on the web could make this machine tell upstream things. */
async function handleAudit(c: Context, deps: AppDeps): Promise<Response> {
  const { registry, observe, bodyLimits = BODY_LIMITS } = deps;
  observe(c.req.header("user-agent") ?? "");
  const { path } = askedOf(c, deps) ?? { path: "" };
  const request = parseRegistryPath(path);
  if (request.kind !== "audit") {
    if (path.startsWith("/-/npm/v1/security/"))
      return c.json({ error: "not found: advisories/bulk, audits/quick and audits are served" }, 404);
    throw new ImprintError("METHOD_NOT_ALLOWED", "Cannot POST: this registry only reads");
  }
  const sign = browserSign(c.req.raw.headers);
  if (sign !== null) return c.json({ error: sign }, 403);
  return sendDocument(c, await registry.audit(request.endpoint, await readJsonBody(c.req.raw, bodyLimits), viaOf(c)));
}

/** Which of our addresses was used, and the path below it, as it came. */
function askedOf(c: Context, { bases }: AppDeps): ReturnType<typeof baseOf> {
  return baseOf(bases(), {
    host: c.req.header("host"),
    forwardedHost: c.req.header("x-forwarded-host"),
    forwardedProto: c.req.header("x-forwarded-proto"),
    path: new URL(c.req.url).pathname,
  });
}

function viaOf(c: Context): Via {
  return parseVia(c.req.header("via"));
}

function wantsAbbreviated(c: Context): boolean {
  return (c.req.header("accept") ?? "").includes(ABBREVIATED_TYPE);
}

function subjectOf(c: Context): string {
  const path = new URL(c.req.url).pathname;
  try {
    const request: RegistryRequest = parseRegistryPath(path);
    return "name" in request ? request.name : path;
  } catch {
    return path.slice(0, 100);
  }
}
