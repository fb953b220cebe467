/**
 * The public registry as this resolver's last source. Documents are rewritten once per upstream answer and request
 * origin, kept ready to send, and revalidated; while upstream is down the last good one is served (`documents.ts`).
 * Tarballs stream, and are kept by their integrity (`tarballs.ts`).
 */
import { LIMITS } from "../../format/limits.ts";
import { ImprintError, isImprintError } from "../../errors.ts";
import { isJsonObject, type JsonObject, type JsonValue, requireDepth } from "../../format/json.ts";
import type { PublicName } from "../../format/names.ts";
import type { Files } from "../../storage/files.ts";
import { openSpool, type Spool } from "../../storage/spool.ts";
import { ABBREVIATED_TYPE, type ReadyDocument, readyDocument } from "../document.ts";
import type { TarballBody, Upstream } from "../port.ts";
import type { Via } from "./via.ts";
import type { UpstreamClient } from "./client.ts";
import { openDocumentCache } from "./document-cache.ts";
import { createDocuments, type DocumentRequest, type Held, readText, unzip } from "./documents.ts";
import {
  parseUpstreamPackument,
  publishedIn,
  resolveVersion,
  rewriteTarballs,
  rewriteVersion,
  tarballsOf,
  type RefuseVersion,
  type UpstreamTarball,
  withoutRefused,
} from "./packument.ts";
import { createTarballs } from "./tarballs.ts";
import type { SealedFiles } from "../../storage/sealed.ts";
import { UPSTREAM_TIMES, type UpstreamTimes } from "./times.ts";

const FULL_TYPE = "application/json";
const MAX_ANSWER_BYTES = LIMITS.upstreamAnswerBytes;
/** Of an entry in the table of tarballs: its name, its address, its hash. */
const TARBALL_ENTRY_BYTES = 400;

type TarballTable = ReadonlyMap<string, UpstreamTarball>;
type Plain = { readonly value: JsonObject; readonly bytes: number };

export function createUpstream(deps: {
  readonly client: UpstreamClient;
  readonly files: Files;
  /** The same, sealed by this machine. */ readonly sealed: SealedFiles;
  /** Where documents and tarballs are kept. */ readonly folder: string;
  /** Unix milliseconds. */ readonly nowMs: () => number;
  readonly times?: UpstreamTimes;
  /** Versions that the consumer's policy keeps from clients; none unless given. */ readonly refuse?: RefuseVersion;
  /** The real disk unless given. */ readonly spool?: (path: string) => Promise<Spool>;
}): Upstream {
  const { client, files, sealed, folder, nowMs, times = UPSTREAM_TIMES, spool = openSpool, refuse = () => null } = deps;
  const cache = openDocumentCache(sealed, folder);
  const packuments = createDocuments<TarballTable>({
    client,
    cache,
    nowMs,
    times,
    factsBytes: ({ size }) => size * TARBALL_ENTRY_BYTES,
  });
  const plain = createDocuments<Plain>({ client, cache, nowMs, times, factsBytes: ({ bytes }) => bytes });
  const tarballs = createTarballs({ client, files, spool, folder, times });

  /** Makes an answer of a whole packument, once. */
  const made = async (
    request: DocumentRequest<TarballTable> & { readonly name: PublicName },
    held: Held<TarballTable>,
    label: string,
    make: (packument: JsonObject) => Promise<ReadyDocument>,
  ): Promise<ReadyDocument> => {
    const ready = held.ready.get(label);
    if (ready !== undefined) return ready;
    const packument = parseUpstreamPackument(await unzip(held.zipped), request.name);
    const document = await make(withoutRefused(packument, request.name, refuse));
    packuments.keepReady(request, held, label, document);
    return document;
  };

  const open = (name: PublicName, tarball: UpstreamTarball, file: string, via: Via | undefined): Promise<TarballBody> => {
    const why = refuse(name, tarball.odd ?? []);
    if (why !== null) throw new ImprintError("RELEASE_REFUSED", `Cannot serve ${file} of ${name}: ${why}`);
    return tarballs.open(tarball, file, via);
  };

  type Answer = { readonly request: ReturnType<typeof packumentRequest>; readonly held: Held<TarballTable> };

  /**
   * The form that was asked for, or the full one in its place, which holds all of it: npm installs by the full one, and asks for
   * the other where a lockfile has no addresses. Offline there may be nothing else.
   */
  const packumentOf = async (name: PublicName, abbreviated: boolean, via: Via | undefined): Promise<Answer> => {
    const request = packumentRequest(name, abbreviated);
    if (!abbreviated) return { request, held: await packuments.get(request, via) };
    const full = packumentRequest(name, false);
    const instead = async (): Promise<Answer | null> => {
      const held = await packuments.peek(full);
      return held === null ? null : { request: full, held };
    };
    if ((await packuments.peek(request)) === null) {
      const kept = await instead();
      if (kept !== null && nowMs() < packuments.freshUntil(kept.held)) return kept;
    }
    try {
      return { request, held: await packuments.get(request, via) };
    } catch (error) {
      const kept = isImprintError(error, "OFFLINE", "UPSTREAM_FAILED") ? await instead() : null;
      if (kept === null) throw error;
      return kept;
    }
  };

  return {
    registry: client.registry,
    async packument(name, abbreviated, base, via) {
      const { request, held } = await packumentOf(name, abbreviated, via);
      const type = request.accept === FULL_TYPE ? FULL_TYPE : ABBREVIATED_TYPE;
      const document = await made(request, held, base, (packument) =>
        readyDocument(JSON.stringify(rewriteTarballs(packument, name, base)), type),
      );
      return { document, until: packuments.freshUntil(held) };
    },
    async version(name, versionOrTag, base, via) {
      const request = packumentRequest(name, false);
      const held = await packuments.get(request, via);
      return made(request, held, `${base} ${versionOrTag}`, async (packument) => {
        const manifest = resolveVersion(packument, versionOrTag);
        if (manifest === null)
          throw new ImprintError("NOT_FOUND", `Cannot find ${name}@${versionOrTag}: the public registry does not have it`);
        const version = isJsonObject(manifest) && typeof manifest["version"] === "string" ? manifest["version"] : versionOrTag;
        return readyDocument(JSON.stringify(rewriteVersion(manifest, name, version, base)));
      });
    },
    async distTags(name, via) {
      const request = packumentRequest(name, false);
      const held = await packuments.get(request, via);
      return made(request, held, "dist-tags", (packument) => readyDocument(JSON.stringify(packument["dist-tags"] ?? {})));
    },
    async tarball(name, file, via) {
      // What a version hashes to never changes: whatever packument is here will do, and upstream may be down.
      const forms = [packumentRequest(name, true), packumentRequest(name, false)];
      let known = forms.map(packuments.held);
      if (known.every((held) => held === null)) known = await Promise.all(forms.map(packuments.peek));
      const [newest] = known.filter((held) => held !== null).toSorted((a, b) => b.checkedAt - a.checkedAt);
      const kept = newest?.facts.get(file);
      if (kept !== undefined) return open(name, kept, file, via);
      const found = (await packuments.get(packumentRequest(name, true), via)).facts.get(file);
      if (found === undefined)
        throw new ImprintError("NOT_FOUND", `Cannot find ${file} of ${name}: the public registry lists no such tarball`);
      return open(name, found, file, via);
    },
    async keys(via) {
      const { facts } = await plain.get(plainRequest("/-/npm/v1/keys", "the registry's signing keys"), via);
      const { keys } = facts.value;
      return Array.isArray(keys) ? (keys as readonly JsonValue[]) : [];
    },
    async attestations(name, version, via) {
      const spec = `${name.replace("/", "%2f")}@${encodeURIComponent(version)}`;
      const { facts } = await plain.get(plainRequest(`/-/npm/v1/attestations/${spec}`, `attestations of ${name}@${version}`), via);
      return readyDocument(JSON.stringify(facts.value));
    },
    async published(name, version) {
      const request = packumentRequest(name, false);
      const kept = await packuments.peek(request);
      const known = kept === null ? null : publishedIn(parseUpstreamPackument(await unzip(kept.zipped), name), version);
      // What a version was signed with does not change; that it is not signed may have.
      if (known !== null && known.signatures.length > 0) return known;
      const held = await packuments.get(request, undefined);
      if (held.digest === kept?.digest) return known;
      return publishedIn(parseUpstreamPackument(await unzip(held.zipped), name), version);
    },
    async search(text, size) {
      const what = "search results";
      const query = new URLSearchParams({ text, size: String(size) });
      const response = await client.get(`/-/v1/search?${query.toString()}`, { accept: FULL_TYPE, what });
      return parsePlain(await readText(response.body, what, MAX_ANSWER_BYTES), what);
    },
    async audit(endpoint, body, via) {
      const what = "advisories";
      const bytes = Buffer.from(JSON.stringify(body));
      const response = await client.get(`/-/npm/v1/security/${endpoint}`, { accept: FULL_TYPE, what, body: bytes, via });
      const text = await readText(response.body, what, MAX_ANSWER_BYTES);
      parsePlain(text, what);
      return readyDocument(text);
    },
  };
}

function packumentRequest(name: PublicName, abbreviated: boolean): DocumentRequest<TarballTable> & { readonly name: PublicName } {
  return {
    name,
    key: `${abbreviated ? "a" : "f"} ${name}`,
    path: `/${name.replace("/", "%2f")}`,
    accept: abbreviated ? `${ABBREVIATED_TYPE}; q=1.0, ${FULL_TYPE}; q=0.8` : FULL_TYPE,
    what: name,
    read: (text) => tarballsOf(parseUpstreamPackument(text, name), name),
    format: (table) => JSON.stringify([...table]),
    parse: (text) => new Map(JSON.parse(text) as [string, UpstreamTarball][]),
  };
}

function plainRequest(path: string, what: string): DocumentRequest<Plain> {
  const read = (text: string): Plain => ({ value: parsePlain(text, what), bytes: text.length * 2 });
  return { key: path, path, accept: FULL_TYPE, what, read, format: ({ value }) => JSON.stringify(value), parse: read };
}

/** @throws ImprintError UPSTREAM_FAILED where it is no JSON object */
function parsePlain(text: string, what: string): JsonObject {
  try {
    requireDepth(text, 1000);
    const value = JSON.parse(text) as JsonValue;
    if (isJsonObject(value)) return value;
  } catch (error) {
    throw new ImprintError("UPSTREAM_FAILED", `Cannot read ${what}: the registry did not answer with JSON`, { cause: error });
  }
  throw new ImprintError("UPSTREAM_FAILED", `Cannot read ${what}: the registry answered with something else`);
}
