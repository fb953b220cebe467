/** What a host lists, and what the library's errors mean. */
import { LIMITS } from "../../format/limits.ts";
import { ImprintError, isImprintError } from "../../errors.ts";
import type { GitUrl, HttpFetch, ObjectId, TransferLimits } from "../port.ts";
import { storageFailed } from "../store/quarantine.ts";
import type { GitTokens } from "../tokens.ts";
import { redactUrl } from "../url.ts";
import { createTransport, type Transport } from "./http.ts";
import { library } from "./library.ts";
import { takeRefs } from "./refs.ts";

/** An address that this adapter can talk to, without a slash at its end. @throws ImprintError GIT_MISSING */
export function requireHttp(url: GitUrl): GitUrl {
  if (!/^https?:\/\//u.test(url))
    throw new ImprintError("GIT_MISSING", `Cannot reach ${redactUrl(url)} without git: only https works; install git 2.34 or newer`);
  return url.replace(/\/+$/u, "") as GitUrl;
}

/** Whatever the library throws, as one of ours; what our own transport found comes first. */
export function libraryFailed(transport: Transport, what: string, error: unknown): ImprintError {
  const found = transport.failure();
  if (found !== null) return found;
  if (isImprintError(error)) return error;
  const disk = storageFailed(what, error);
  if (isImprintError(disk)) return disk;
  const words = error instanceof Error ? redactUrl(error.message).slice(0, 200) : "no reason given";
  return new ImprintError("UNREACHABLE", `Cannot ${what}: ${words}`, { cause: error });
}

/** The library takes a stream that fails for one that ends. */
export function throwFailure(transport: Transport): void {
  const failure = transport.failure();
  if (failure !== null) throw failure;
}

/** One listing, no objects: the refs whose names begin with `ref`, and for `HEAD` where it points. */
export async function listRemote(request: {
  readonly url: GitUrl;
  readonly ref: string;
  readonly tokens: GitTokens;
  readonly fetch: HttpFetch;
  readonly limits: TransferLimits;
  /** Bytes of the host's list of refs. */
  readonly maxListingBytes?: number | undefined;
}): Promise<{ readonly refs: ReadonlyMap<string, ObjectId>; readonly head: string | null }> {
  const { ref, tokens, fetch, limits } = request;
  const url = requireHttp(request.url);
  const what = `reach ${redactUrl(url)}`;
  const keepRef = (name: string): boolean => name.startsWith(ref);
  const { maxListingBytes = LIMITS.refListingBytes } = request;
  const onAnswer = (body: AsyncIterable<Uint8Array>): Promise<Uint8Array> =>
    takeRefs(body, { what, keep: keepRef, maxBytes: maxListingBytes });
  const transport = createTransport({ url, tokens, fetch, limits, what, refusedAs: "UNREACHABLE", keepRef, maxListingBytes, onAnswer });
  try {
    const git = await library();
    const listed = await git.listServerRefs({ http: transport.client, url, prefix: ref, symrefs: ref === "HEAD", protocolVersion: 2 });
    throwFailure(transport);
    const refs = new Map<string, ObjectId>();
    for (const one of listed) if (/^[0-9a-f]{40}$/u.test(one.oid)) refs.set(one.ref, one.oid as ObjectId);
    return { refs, head: listed.find((one) => one.ref === "HEAD")?.target ?? null };
  } catch (error) {
    throw libraryFailed(transport, what, error);
  } finally {
    transport.close();
  }
}
