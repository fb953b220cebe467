/** npm's own resolver and fetcher, given this user's npm settings: what `import` hands to pacote and arborist. */
import { LRUCache } from "lru-cache";
import { ImprintError } from "../../errors.ts";
import { upstreamError, type UpstreamSettings } from "./client.ts";

/** npm's flat options, and what pacote adds to them. Not declared in full by anybody, hence open. */
export type NpmOptions = Readonly<Record<string, unknown>> & {
  readonly registry: string;
  readonly cache: string;
  readonly packumentCache: LRUCache<string, object>;
};

/** A packument is asked for once by the resolver and once for each of its versions. */
const MAX_HELD_BYTES = 256 * 1024 * 1024;
const UNKNOWN_BYTES = 1024 * 1024;
/** Milliseconds; npm's own of five minutes, and of 10 s and more between tries, look like a hang. */
const TIMEOUT_MS = 60_000;
const WAITS = { factor: 4, minTimeout: 500, maxTimeout: 5000 };
const RETRIES = 2;

/** @param cacheFolder npm's disk cache, by content: a second import downloads nothing twice */
export function npmOptions({ registry, options }: UpstreamSettings, cacheFolder: string): NpmOptions {
  const { retry } = options;
  const wished =
    typeof retry === "object" && retry !== null && "retries" in retry && typeof retry.retries === "number" ? retry.retries : RETRIES;
  return {
    ...options,
    timeout: TIMEOUT_MS,
    retry: { ...WAITS, retries: wished },
    registry,
    cache: cacheFolder,
    packumentCache: new LRUCache<string, object>({
      maxSize: MAX_HELD_BYTES,
      sizeCalculation: (packument) =>
        "_contentLength" in packument && typeof packument._contentLength === "number" && packument._contentLength > 0
          ? packument._contentLength
          : UNKNOWN_BYTES,
    }),
  };
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
