/**
 * What `import` hands to npm's own resolver and fetcher: this user's npm settings as far as they choose versions. All that
 * reaches out (credentials, proxies, certificates) stays with the exchange, which asks in their place.
 */
import type { Agent } from "node:http";
import { LRUCache } from "lru-cache";
import { LIMITS } from "../../format/limits.ts";
import { ImprintError } from "../../errors.ts";
import { upstreamError, type UpstreamSettings } from "./client.ts";
import type { Exchange } from "./exchange.ts";

/** npm's flat options, and what pacote adds to them. Not declared in full by anybody, hence open. */
export type NpmOptions = Readonly<Record<string, unknown>> & {
  readonly registry: string;
  readonly cache: string;
  readonly packumentCache: LRUCache<string, object>;
  readonly agent: Agent;
};

/** A packument is asked for once by the resolver and once for each of its versions; the disk cache has the others. */
const MAX_HELD_BYTES = LIMITS.importHeldBytes;
const UNKNOWN_BYTES = 1024 * 1024;
/** Milliseconds; the exchange has closer ones, and retries by itself. */
const TIMEOUT_MS = LIMITS.upstreamTarballMs;
const REACHES_OUT = /^(?:\/\/|_|(?:username|email|otp|ca|cafile|cert|key|strictSSL|localAddress|proxy|httpsProxy|noProxy)$)/u;

/** @param cacheFolder npm's disk cache, by content: a second import downloads nothing twice */
export function npmOptions({ registry, options }: UpstreamSettings, cacheFolder: string, exchange: Exchange): NpmOptions {
  return {
    ...Object.fromEntries(Object.entries(options).filter(([name]) => !REACHES_OUT.test(name))),
    timeout: TIMEOUT_MS,
    retry: { retries: 0 },
    registry,
    cache: cacheFolder,
    agent: exchange.agent,
    packumentCache: new PackumentCache({
      maxSize: MAX_HELD_BYTES,
      // the key is the kind of document, a colon and its address
      sizeCalculation: (_, key) => exchange.sizeOf(key.slice(key.indexOf(":") + 1)) ?? UNKNOWN_BYTES,
    }),
  };
}

/** Holds packuments that a resolver may read: it makes an object of every dependency of a version. */
class PackumentCache extends LRUCache<string, object> {
  override set(...[key, packument, options]: Parameters<LRUCache<string, object>["set"]>): this {
    const versions: unknown = packument !== undefined && "versions" in packument ? packument.versions : null;
    for (const [version, manifest] of entriesOf(versions)) {
      const many = entriesOf(manifest).some(([, field]) => entriesOf(field).length > MAX_DEPENDENCIES);
      if (many)
        throw new ImprintError(
          "IMPORT_REFUSED",
          `Cannot import ${key.slice(key.lastIndexOf("/") + 1)}@${version}: more than ${String(MAX_DEPENDENCIES)} dependencies`,
        );
    }
    return super.set(key, packument, options);
  }
}

const MAX_DEPENDENCIES = LIMITS.importDependencies;

function entriesOf(value: unknown): readonly [string, unknown][] {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
}

/** What npm's parts throw, as our errors. */
export function npmError(error: unknown, what: string, registry: string): ImprintError {
  if (error instanceof ImprintError) return error;
  const { code, message } = error instanceof Error ? (error as Error & { readonly code?: unknown }) : { code: null, message: "" };
  const said = message.split("\n")[0]?.slice(0, 300) ?? "";
  switch (code) {
    case "ETARGET":
    case "ENOVERSIONS":
      return new ImprintError("NOT_FOUND", `Cannot import ${what}: ${said}`, { cause: error });
    case "ERESOLVE":
      return new ImprintError("IMPORT_REFUSED", `Cannot import ${what}: peer dependencies conflict (${said})`, { cause: error });
    case "EMISSINGSIGNATUREKEY":
    case "EEXPIREDSIGNATUREKEY":
    case "EINTEGRITYSIGNATURE":
    case "EMANIFESTMISMATCH":
      return new ImprintError("BAD_SIGNATURE", `Cannot import ${what}: ${said.split(" and signature:")[0] ?? said}`, { cause: error });
    default:
      return upstreamError(error, what, registry);
  }
}
