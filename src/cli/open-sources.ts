/** The sources of one index: its addresses in imprint.json, git or static files, and the mirrors that its root names. */
import { LIMITS } from "../format/limits.ts";
import { createHash } from "node:crypto";
import { setMaxListeners } from "node:events";
import { ImprintError } from "../errors.ts";
import { textOf, utf8 } from "../format/bytes.ts";
import { isJsonObject, type JsonValue } from "../format/json.ts";
import type { GitRepository, GitUrl, RefName, TransferLimits } from "../git/port.ts";
import { parseRefName } from "../git/url.ts";
import { type IndexAddress, parseIndexAddress, parseMirror, sparseBase, type SparseUrl } from "../index/address.ts";
import { gitSource, type IndexSource, type Snapshot } from "../index/source.ts";
import { sparseSource, type SparseOptions, type Validator } from "../index/sparse.ts";
import { hostOf, isLoopback } from "../storage/addresses.ts";
import { type DocumentCache, openDocumentCache } from "../storage/documents.ts";
import { judge } from "../storage/download.ts";
import { networkOf } from "../storage/proxy.ts";
import type { Deps } from "./deps.ts";
import { quoted } from "./doctor/finding.ts";
import { renamedBranch } from "./renamed-branch.ts";

/** One transfer from a git host. */
export const TRANSFER_LIMITS: TransferLimits = {
  maxBytes: LIMITS.transferBytes,
  maxObjects: LIMITS.transferObjects,
  deadlineMs: LIMITS.transferMs,
};
/** Milliseconds for one document of a static host: the largest is 8 MiB. */
const DOCUMENT_DEADLINE_MS = LIMITS.sparseDocumentMs;
const DOCUMENT_IDLE_MS = LIMITS.sparseIdleMs;
const MAX_VALIDATOR_BYTES = LIMITS.validatorBytes;
export const KEEP_HEAD = parseRefName("refs/imprint/head");

export type OpenSources = {
  readonly sources: readonly [IndexSource, ...IndexSource[]];
  /** Null: none that may be asked, or an address that is known already. */
  readonly mirror: (url: string) => IndexSource | null;
  /** Where the `git` source of tarballs is: the index's own git addresses, then its mirrors'. */
  readonly gitUrls: (mirrors: readonly string[]) => readonly GitUrl[];
  /** Ends what is still under way. */
  close(): void;
};

export function openSources(
  deps: Deps,
  {
    alias,
    urls,
    ref,
    repository,
    wholeClone,
  }: {
    readonly alias: string;
    readonly urls: readonly string[];
    readonly ref: RefName;
    readonly repository: GitRepository;
    readonly wholeClone: boolean;
  },
): OpenSources {
  const [first, ...rest] = urls.map((url) => parseIndexAddress(url, { allowFile: deps.allowFile }));
  if (first === undefined) throw new ImprintError("CONFIG_INVALID", "Cannot open index: it has no address");
  const ending = new AbortController();
  // Each transfer listens, and there may be many at once.
  setMaxListeners(0, ending.signal);
  const readsFrom = (branch: string): string => `imprint set-url ${alias} ${urls.map(quoted).join(" ")} --ref ${branch}`;
  const open = (address: IndexAddress, keepAs: RefName, isMirror: boolean): IndexSource =>
    address.kind === "git"
      ? gitSource({
          repository,
          url: address.url,
          ref,
          keepAs,
          wholeClone,
          limits: { ...TRANSFER_LIMITS, signal: ending.signal },
          // A mirror's branch is its owner's business.
          explain: async () => (isMirror ? null : renamedBranch(deps.git, { url: address.url, ref, limits: TRANSFER_LIMITS }, readsFrom)),
        })
      : openSparse(deps, address.url, { isMirror, signal: ending.signal });
  const known = new Set([first.url, ...rest.map(({ url }) => url)] as readonly string[]);
  const mirrors = new Map<string, IndexSource | null>();
  const mayBePrivate = (host: string): boolean => deps.privateHosts.has(host);
  const openMirror = (text: string): IndexSource | null => {
    const address = parseMirror(text, mayBePrivate);
    if (address === null || known.has(address.url)) return null;
    const source = open(address, keepFor(address.url), true);
    return address.kind === "git"
      ? guarded(source, () => judge(new URL(address.url), { allowPrivate: mayBePrivate, ...networkOf(deps.env) }))
      : source;
  };
  return {
    sources: [open(first, KEEP_HEAD, false), ...rest.map((address) => open(address, keepFor(address.url), false))],
    mirror: (text) => {
      const opened = mirrors.get(text);
      if (opened !== undefined) return opened;
      const made = openMirror(text);
      mirrors.set(text, made);
      return made;
    },
    gitUrls: (texts) => {
      const all = [first, ...rest, ...texts.map((text) => parseMirror(text, mayBePrivate))];
      return [...new Set(all.flatMap((address) => (address?.kind === "git" ? [address.url] : [])))];
    },
    close: () => ending.abort(),
  };
}

/** Each source of one repository keeps its own head: none may have another's collected. */
function keepFor(url: string): RefName {
  return parseRefName(`refs/imprint/source/${hashOf(url).slice(0, 32)}`);
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** @param options `cached`: false looks at what the host has, whatever was kept of it */
export function openSparse(
  deps: Deps,
  url: SparseUrl,
  { isMirror, signal, cached = true }: { readonly isMirror: boolean; readonly signal?: AbortSignal; readonly cached?: boolean },
): IndexSource {
  const { files, layout, privateHosts, offline } = deps;
  const own = hostOf(sparseBase(url));
  return sparseSource({
    url,
    documents: cached ? openDocumentCache(files, layout.documents) : NOTHING_KEPT,
    validator: cached ? validatorAt(deps, layout.validator(hashOf(url))) : { read: async () => null, write: async () => {} },
    network: {
      deadlineMs: DOCUMENT_DEADLINE_MS,
      idleMs: DOCUMENT_IDLE_MS,
      // This machine, where the user's own words name it, as with git; never because a root or a redirect does.
      allowPrivate: (host) => privateHosts.has(host) || (!isMirror && host === own && isLoopback(host)),
      ...networkOf(deps.env),
      signal,
    },
    offline,
  });
}

const NOTHING_KEPT: DocumentCache = { get: async () => null, put: async () => {} };

function validatorAt({ sealed }: Deps, file: string): SparseOptions["validator"] {
  return {
    async read() {
      const text = textOf((await sealed.read(file, MAX_VALIDATOR_BYTES).catch(() => null)) ?? new Uint8Array()) ?? "";
      try {
        return decodeValidator(JSON.parse(text) as JsonValue);
      } catch {
        return null; // a cache: without it the question is a whole one
      }
    },
    async write(next) {
      await (next === null ? sealed.remove(file) : sealed.writeAtomic(file, utf8(JSON.stringify(next)))).catch(() => undefined);
    },
  };
}

function decodeValidator(value: JsonValue): Validator | null {
  if (!isJsonObject(value)) return null;
  const { hash, etag, lastModified } = value;
  const isText = (member: unknown): member is string | null => member === null || typeof member === "string";
  return typeof hash === "string" && /^[0-9a-f]{64}$/u.test(hash) && isText(etag) && isText(lastModified)
    ? { hash, etag, lastModified }
    : null;
}

/** A source whose address is looked at before each use: it is its owner's text, and git looks at no address. */
function guarded(source: IndexSource, check: () => Promise<void>): IndexSource {
  const guard = (snapshot: Snapshot): Snapshot => ({
    at: snapshot.at,
    async readFiles(files) {
      await check();
      return snapshot.readFiles(files);
    },
  });
  return {
    ...source,
    async open(options) {
      await check();
      return guard(await source.open(options));
    },
    reopen: (at) => guard(source.reopen(at)),
    async lastSeen() {
      const seen = await source.lastSeen();
      return seen === null ? null : guard(seen);
    },
  };
}
