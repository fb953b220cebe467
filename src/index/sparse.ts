/**
 * An index over plain static files: a web server, an object store, a CDN. `sparse+https://host/path/` in imprint.json.
 *
 * A moment of it is fixed by its checkpoint alone. Every other file but the roots is asked for by the hash that the tree
 * gives it, and kept under that hash for ever, so a warm reader asks for `checkpoint.json` and what changed. A cache on
 * the way may be behind: a file that is missing or has another hash is asked for once more, past all caches; that the
 * whole tree moved on meanwhile is the reader's business (reading 9).
 *
 * Static hosts say "not there" in many ways: 404, 403 (object stores without a list permission), or 200 with a page of
 * HTML. A document begins with `{`; whatever does not is missing.
 */
import { ImprintError, isImprintError } from "../errors.ts";
import { type FileHash, fileHashOf } from "../format/digest.ts";
import { LIMITS } from "../format/limits.ts";
import { CHECKPOINT_PATH } from "../format/paths.ts";
import { percentEncode } from "../format/tarball-source.ts";
import type { FileRead } from "../git/port.ts";
import type { DocumentCache } from "../storage/documents.ts";
import { download, type DownloadOptions } from "../storage/download.ts";
import { type SparseUrl, sparseBase } from "./address.ts";
import { limiter } from "./limiter.ts";
import type { FileRequest, IndexSource, Snapshot } from "./source.ts";

/** What makes the next question for the checkpoint a conditional one. */
export type Validator = { readonly hash: string; readonly etag: string | null; readonly lastModified: string | null };

export type SparseOptions = {
  readonly url: SparseUrl;
  readonly documents: DocumentCache;
  readonly validator: { read(): Promise<Validator | null>; write(next: Validator | null): Promise<void> };
  readonly network: Pick<DownloadOptions, "deadlineMs" | "idleMs" | "allowPrivate" | "fetch" | "isProxied" | "resolveHost" | "signal">;
  /** Nothing is asked for: what isn't kept is OFFLINE. */
  readonly offline: boolean;
};

const AT = "sparse:";
const ABSENT = new Set([403, 404, 410]);
const PARALLEL = 16;
const OPEN_BRACE = 0x7b;
/** HTTP dates count seconds: what changed so shortly before it was sent may change again unseen. */
const UNSURE_MS = 2000;

type Answer = { readonly status: number; readonly headers: Headers | null; readonly read: FileRead };

export function sparseSource(options: SparseOptions): IndexSource {
  const { url, documents, validator } = options;
  const base = sparseBase(url);
  const within = limiter(PARALLEL);

  const get = (path: string, maxBytes: number, headers: Readonly<Record<string, string>>): Promise<Answer> =>
    within(async () => {
      if (options.offline) throw new ImprintError("OFFLINE", `Cannot read ${path} of ${url} offline: this machine has not kept it`);
      const address = new URL(path.split("/").map(percentEncode).join("/"), base);
      try {
        const answer = await download(address.href, { ...options.network, maxBytes, headers: { accept: "application/json", ...headers } });
        if (answer.status === 200) return { ...answer, read: documentOf(await collect(answer.body)) };
        await answer.cancel();
        if (ABSENT.has(answer.status) || answer.status === 304) return { ...answer, read: { state: "missing" } };
        throw new ImprintError("UNREACHABLE", `Cannot read ${path} of ${url}: the host answered ${answer.status}`, { file: path });
      } catch (error) {
        if (isImprintError(error, "TOO_LARGE")) return { status: 200, headers: null, read: { state: "tooLarge", bytes: null } };
        // Where a host sends us is the host's doing: what was verified before goes on serving.
        if (isImprintError(error, "INVALID_URL"))
          throw new ImprintError("UNREACHABLE", `${error.message} (IMPRINT_ALLOW_PRIVATE=<host> allows one)`, { cause: error });
        throw error;
      }
    });

  const readFile = async ({ path, maxBytes, hash }: FileRequest, fresh: boolean): Promise<FileRead> => {
    const kept = hash === undefined ? null : await documents.get(hash, maxBytes);
    if (kept !== null) return { state: "found", bytes: kept };
    let { read } = await get(path, maxBytes, fresh ? PAST_CACHES : {});
    if (!fresh && !fits(read, hash)) ({ read } = await get(path, maxBytes, PAST_CACHES));
    if (hash !== undefined && read.state === "found" && fits(read, hash)) await documents.put(hash, read.bytes);
    return read;
  };

  const snapshot = (at: string, checkpoint: Uint8Array | null, fresh: boolean): Snapshot => ({
    at,
    readFiles: (files) =>
      Promise.all(
        files.map(async (file): Promise<FileRead> => {
          if (file.path !== CHECKPOINT_PATH || checkpoint === null) return readFile(file, fresh);
          return checkpoint.byteLength > file.maxBytes ? { state: "tooLarge", bytes: null } : { state: "found", bytes: checkpoint };
        }),
      ),
  });

  return {
    url,
    moves: true,
    owns: (at) => at.startsWith(AT),
    async open({ fresh = false } = {}) {
      const known = fresh ? null : await validator.read();
      const kept = known === null ? null : await documents.get(known.hash, LIMITS.checkpointBytes);
      const { etag, lastModified } = kept === null || known === null ? UNKNOWN : known;
      const { status, headers, read } = await get(CHECKPOINT_PATH, LIMITS.checkpointBytes, {
        ...PAST_CACHES,
        ...(etag === null ? {} : { "if-none-match": etag }),
        ...(lastModified === null ? {} : { "if-modified-since": lastModified }),
      });
      if (status === 304 && kept !== null && known !== null) return snapshot(`${AT}${known.hash}`, kept, fresh);
      if (read.state === "tooLarge")
        throw new ImprintError("TOO_LARGE", `Cannot read index at ${url}: ${CHECKPOINT_PATH} is too large`, STEP_1);
      if (read.state !== "found")
        throw new ImprintError(
          "NOT_AN_INDEX",
          `Cannot read index at ${url}: ${CHECKPOINT_PATH} is missing (the host answered ${status}${status === 200 ? " with something else" : ""})`,
          { ...STEP_1, step: "reading 2" },
        );
      const hash = fileHashOf(read.bytes);
      await documents.put(hash, read.bytes);
      await validator.write(headers === null ? null : validatorOf(hash, headers));
      return snapshot(`${AT}${hash}`, read.bytes, fresh);
    },
    reopen: (at) => snapshot(at, null, false),
    lastSeen: async () => snapshot(AT, null, false),
  };
}

const PAST_CACHES = { "cache-control": "no-cache" } as const;
const UNKNOWN = { etag: null, lastModified: null } as const;
const STEP_1 = { file: CHECKPOINT_PATH, step: "reading 1" } as const;

function fits(read: FileRead, hash: FileHash | undefined): boolean {
  return read.state === "found" && (hash === undefined || fileHashOf(read.bytes) === hash);
}

function documentOf(bytes: Uint8Array): FileRead {
  return bytes[0] === OPEN_BRACE ? { state: "found", bytes } : { state: "missing" };
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

/** Null where a later change might look like none: `Last-Modified`, and what servers make ETags of, counts seconds. */
function validatorOf(hash: string, headers: Headers): Validator | null {
  const [etag, lastModified] = [headers.get("etag"), headers.get("last-modified")];
  if (etag === null && lastModified === null) return null;
  if (lastModified !== null) {
    const settledMs = Date.parse(headers.get("date") ?? "") - Date.parse(lastModified);
    if (!(settledMs >= UNSURE_MS)) return null;
  }
  return { hash, etag, lastModified };
}
