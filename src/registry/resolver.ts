/**
 * Many indices and one upstream as one registry.
 *
 * A name's source is decided first, from imprint.json alone; only then is anybody asked. What an index publishes outside
 * its claim is never looked at, and what it fails to publish is never looked for elsewhere.
 */
import { LRUCache } from "lru-cache";
import type { BridgeKey } from "../crypto/bridge-key.ts";
import { ImprintError, isImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import { isJsonObject } from "../format/json.ts";
import type { PackageName, PackagePattern } from "../format/names.ts";
import { abbreviatedPackument, fullPackument, type PackumentSource, tarballFileName, versionManifest } from "../format/packument.ts";
import type { Project } from "../format/project.ts";
import type { Release } from "../format/release.ts";
import type { DistTag, Version } from "../format/versions.ts";
import type { PackageView } from "../index/package-reader.ts";
import type { IndexReader, PackageRead } from "../index/reader.ts";
import type { TarballStore } from "../index/tarballs.ts";
import { newestRoot } from "../index/trust.ts";
import { emptyReport, publicPartOf } from "./audit-request.ts";
import { sourceOf } from "./claims.ts";
import { ABBREVIATED_TYPE, documentBytes, type ReadyDocument, readyDocument } from "./document.ts";
import { addCommand, introducerOf, rootsOf } from "./introductions.ts";
import { type Offer, offerOf } from "./offer.ts";
import type { Answered, Registry, Upstream } from "./port.ts";
import { createSearch, type SearchStore } from "./search.ts";
import { searchAnswer } from "./search-answer.ts";

export type ResolverOptions = {
  readonly project: Project;
  readonly indices: ReadonlyMap<DisplayName, { readonly reader: IndexReader; readonly tarballs: TarballStore }>;
  readonly upstream: Upstream;
  /** What searches have read. */
  readonly searchStore: SearchStore;
  /** Signs own versions for npm's check. */
  readonly bridgeKey: () => Promise<BridgeKey>;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  /** Unix time in milliseconds: how old a release is. */
  readonly wallMs: () => number;
  /** An index is asked again when it was last synced longer ago than this. */
  readonly syncAfterMs: number;
  /** How long a request waits for that before the last verified state answers. */
  readonly syncWaitMs: number;
  readonly events: ResolverEvents;
};

/** What a person at the terminal may want to know; `http` counts and prints them. */
export type ResolverEvents = {
  answered(name: PackageName, what: "packument" | "tarball", source: string, detail: string): void;
  /** An author's package that a client now knows about; times in Unix milliseconds. */
  told(facts: {
    readonly name: PackageName;
    readonly newest: { readonly version: Version; readonly at: number };
    readonly hasInstallScript: boolean;
  }): void;
  refused(name: PackageName, error: ImprintError): void;
  warned(alias: string, message: string): void;
};

/** Milliseconds after which an index that was never verified is asked again. */
const FIRST_RETRY_MS = 5000;
const MAX_DOCUMENT_BYTES = 128 * 1024 * 1024;

export function createResolver(options: ResolverOptions): Registry {
  const { project, indices, upstream, bridgeKey, events } = options;
  const documents = new LRUCache<string, ReadyDocument>({ maxSize: MAX_DOCUMENT_BYTES, sizeCalculation: documentBytes });
  const lazySync = lazySyncer(options);
  const search = createSearch({
    project,
    indices,
    store: options.searchStore,
    events: { progress: () => {}, warned: (alias, message) => events.warned(alias, message) },
  });

  // Made once for each reading, not for each request.
  const offers = new WeakMap<PackageRead, Offer>();

  const offerFrom = (alias: DisplayName, read: PackageRead, view: PackageView, maintainer: string): Offer => {
    const nowMs = options.wallMs();
    const known = offers.get(read);
    if (known !== undefined && known.source.maintainer === maintainer && nowMs < known.until) return known;
    const offer = offerOf({ view, since: read.since }, maintainer, { minAgeHours: project.indices.get(alias)?.minAgeHours ?? 0, nowMs });
    offers.set(read, offer);
    return offer;
  };

  const readIndex = async (alias: DisplayName, name: PackageName): Promise<{ view: PackageView; key: string; offer: Offer }> => {
    const entry = indices.get(alias);
    if (entry === undefined) throw new ImprintError("NEVER_SYNCED", `Cannot answer for ${name}: index ${alias} is not open`);
    await lazySync(alias, entry.reader);
    const state = await entry.reader.current();
    const read = await entry.reader.readPackage(name);
    if (read.view === null)
      throw new ImprintError(
        "NOT_FOUND",
        `Cannot find ${name}: its index ${alias} does not have it, and no other source may answer for it`,
      );
    const root = state === null ? null : newestRoot(state.roots);
    const offer = offerFrom(alias, read, read.view, root?.doc.name ?? alias);
    // A new root may let releases count that did not before, without a byte of the record changing; so may time.
    return { view: read.view, key: `${root?.digest ?? ""} ${read.view.record.digest} ${offer.until}`, offer };
  };

  /** Something to choose from, or the reason why there is nothing yet. @throws ImprintError TOO_YOUNG */
  const offered = async (alias: DisplayName, name: PackageName): Promise<{ key: string; offer: Offer }> => {
    const { key, offer } = await readIndex(alias, name);
    const { newest, held } = offer;
    if (newest === null && held.size > 0) {
      const hours = project.indices.get(alias)?.minAgeHours ?? 0;
      throw new ImprintError(
        "TOO_YOUNG",
        `Cannot serve ${name}: no release of it is ${hours} hours old, as imprint.json asks (minAgeHours); the first will be at ${new Date(offer.until).toISOString()}`,
      );
    }
    tell(name, offer);
    return { key, offer };
  };

  const tell = (name: PackageName, { newest, hasInstallScript }: Offer): void => {
    if (newest !== null) events.told({ name, newest, hasInstallScript });
  };

  const ready = async (key: string, make: () => Promise<{ json: unknown; type: string }>): Promise<ReadyDocument> => {
    const cached = documents.get(key);
    if (cached !== undefined) return cached;
    const { json, type } = await make();
    const document = await readyDocument(JSON.stringify(json), type);
    documents.set(key, document);
    return document;
  };

  /** Where an index that is trusted introduces the name: how to trust the one that has it, too (X4). */
  const denied = async (name: PackageName, pattern: PackagePattern | null): Promise<ImprintError> => {
    const found = introducerOf(name, await rootsOf(indices));
    const command = found === null ? null : addCommand(found.introduction);
    const rule = pattern === null ? "allows it from no source" : `denies ${pattern} upstream`;
    const introduced =
      found === null
        ? ""
        : `; ${found.by} introduces its index${command === null ? ", at an address that cannot be used" : `: ${command}`}`;
    return new ImprintError("DENIED", `Cannot serve ${name}: imprint.json ${rule}${introduced}`);
  };

  /** Decides the source, asks it, and tells the terminal what came of it. */
  const answer = async <T>(
    name: PackageName,
    what: "packument" | "tarball",
    detail: string,
    ask: { index: (alias: DisplayName) => Promise<T>; upstream: () => Promise<T> },
  ): Promise<Answered<T>> => {
    try {
      const source = sourceOf(project, name);
      if (source.kind === "denied") throw await denied(name, source.pattern);
      const value = source.kind === "index" ? await ask.index(source.alias) : await ask.upstream();
      const label = source.kind === "index" ? source.alias : "upstream";
      events.answered(name, what, label, detail);
      return { value, source: label };
    } catch (error) {
      if (isImprintError(error)) events.refused(name, error);
      throw error;
    }
  };

  return {
    async packument(name, abbreviated, base, via) {
      const { value, source } = await answer(name, "packument", "", {
        index: async (alias) => {
          const { offer, key } = await offered(alias, name);
          const document = await ready(`${key} ${abbreviated ? "a" : "f"} ${base} ${name}`, async () =>
            abbreviated
              ? { json: abbreviatedPackument(offer.source, base), type: ABBREVIATED_TYPE }
              : { json: fullPackument(signed(offer.source, await bridgeKey()), base), type: "application/json" },
          );
          const isGood = lazySync.holds(alias);
          return { document, isGood: () => isGood() && options.wallMs() < offer.until, tell: () => tell(name, offer) };
        },
        upstream: async () => {
          const { document, until } = await upstream.packument(name, abbreviated, base, via);
          return { document, isGood: () => options.wallMs() < until, tell: () => undefined };
        },
      });
      return {
        value: value.document,
        source,
        again: () => {
          if (!value.isGood()) return false;
          events.answered(name, "packument", source, "");
          value.tell();
          return true;
        },
      };
    },
    version: (name, versionOrTag, base, via) =>
      answer(name, "packument", versionOrTag, {
        index: async (alias) => {
          const {
            offer: { source },
            key,
          } = await offered(alias, name);
          const version = source.tags.get(versionOrTag as DistTag) ?? (versionOrTag as Version);
          return ready(`${key} v ${version} ${base} ${name}`, async () => {
            const only = { ...source, versions: source.versions.filter(({ release }) => release.version === version) };
            const manifest = versionManifest(signed(only, await bridgeKey()), version, base);
            if (manifest === null)
              throw new ImprintError("NOT_FOUND", `Cannot find ${name}@${versionOrTag}: index ${alias} does not have it`);
            return { json: manifest, type: "application/json" };
          });
        },
        upstream: () => upstream.version(name, versionOrTag, base, via),
      }),
    distTags: (name, via) =>
      answer(name, "packument", "dist-tags", {
        index: async (alias) => readyDocument(JSON.stringify(Object.fromEntries((await offered(alias, name)).offer.source.tags))),
        upstream: () => upstream.distTags(name, via),
      }),
    tarball: (name, file, via) =>
      answer(name, "tarball", file, {
        index: async (alias) => {
          const { view } = await readIndex(alias, name);
          const release = releaseOfFile(view, file);
          const tarballs = indices.get(alias)?.tarballs;
          if (release === null || tarballs === undefined) throw refuseFile(view, file);
          return tarballs.open(release);
        },
        upstream: () => upstream.tarball(name, file, via),
      }),
    async keys(via) {
      const { listed } = await bridgeKey();
      const theirs = await upstream.keys(via).catch((error: unknown) => {
        if (isImprintError(error, "LOOP_DETECTED") || !isImprintError(error)) throw error;
        return []; // it signs nothing, or is down and was never asked before
      });
      // Of two keys with one id clients take the first: nobody else may speak for ours.
      const others = theirs.filter((key) => isJsonObject(key) && key["keyid"] !== listed.keyid);
      return readyDocument(JSON.stringify({ keys: [...others, listed] }));
    },
    attestations: (name, version, via) =>
      answer(name, "packument", `attestations of ${version}`, {
        index: async (alias) => {
          throw new ImprintError("NOT_FOUND", `Cannot find attestations of ${name}@${version}: index ${alias} signs its releases itself`);
        },
        upstream: () => upstream.attestations(name, version, via),
      }),
    async search(text, page) {
      // An index that cannot be asked for news is searched as it was; one that was never verified is left out.
      await Promise.all(
        [...indices].map(([alias, { reader }]) =>
          lazySync(alias, reader).catch((error: unknown) => {
            if (!isImprintError(error)) throw error;
          }),
        ),
      );
      return readyDocument(JSON.stringify(searchAnswer(await search(text, page), options.wallMs())));
    },
    async audit(endpoint, body, via) {
      const asked = publicPartOf(project, endpoint, body);
      return asked === null ? readyDocument(JSON.stringify(emptyReport(endpoint))) : upstream.audit(endpoint, asked, via);
    },
  };
}

function signed(source: PackumentSource, key: BridgeKey): PackumentSource {
  return {
    ...source,
    versions: source.versions.map((entry) => {
      const { version, dist } = entry.release;
      return { ...entry, signatures: [key.sign(source.name, version, dist.integrity)] };
    }),
  };
}

/** Yanked ones too: a locked install goes on. */
function releaseOfFile(view: PackageView, file: string): Release | null {
  for (const [version, entry] of view.versions) {
    if ((entry.verdict === "ok" || entry.verdict === "yanked") && tarballFileName(view.name, version) === file) return entry.release.doc;
  }
  return null;
}

function refuseFile(view: PackageView, file: string): ImprintError {
  for (const [version, entry] of view.versions) {
    if ("reason" in entry && tarballFileName(view.name, version) === file)
      return new ImprintError("RELEASE_REFUSED", `Cannot serve ${view.name}@${version}: ${entry.reason}`);
  }
  for (const [version, reason] of view.record.doc.withdrawn) {
    if (tarballFileName(view.name, version) === file)
      return new ImprintError(
        "RELEASE_REFUSED",
        `Cannot serve ${view.name}@${version}: its author withdrew it${reason === "" ? "" : ` (${reason})`}`,
      );
  }
  return new ImprintError("NOT_FOUND", `Cannot find ${file} of ${view.name}: its index does not have that version`);
}

type LazySync = ((alias: DisplayName, reader: IndexReader) => Promise<void>) & {
  /** Made now; tells later whether no sync has been due or done since. */
  holds(alias: DisplayName): () => boolean;
};

/**
 * Sync while serving: the first request for an index's name after `syncAfterMs` waits for a sync, at most `syncWaitMs`;
 * then the last verified state answers. One flight an index, no network before the first request.
 */
function lazySyncer({ nowMs, syncAfterMs, syncWaitMs, events }: ResolverOptions): LazySync {
  const last = new Map<DisplayName, number>();
  const flights = new Map<DisplayName, Promise<void>>();
  const firstFailures = new Map<DisplayName, { readonly at: number; readonly error: unknown }>();
  const lastSyncOf = async (reader: IndexReader): Promise<number | null> => {
    const since = await reader.sinceSyncMs();
    return since === null ? null : nowMs() - since;
  };
  const sync = async (alias: DisplayName, reader: IndexReader): Promise<void> => {
    const at = last.get(alias) ?? (await lastSyncOf(reader));
    if (at !== null && nowMs() - at < syncAfterMs) {
      last.set(alias, at);
      return;
    }
    const believed = await reader.current();
    // Nothing was ever verified: the answer stays what it was (403 stops clients, 503 lets them come back), and the host
    // is asked again soon, because clients do come back.
    const failed = firstFailures.get(alias);
    if (believed === null && failed !== undefined && nowMs() - failed.at < Math.min(syncAfterMs, FIRST_RETRY_MS)) throw failed.error;
    let flight = flights.get(alias);
    if (flight === undefined) {
      flight = syncOnce(alias, reader, believed === null, events)
        .then(
          () => void last.set(alias, nowMs()),
          (error: unknown) => {
            firstFailures.set(alias, { at: nowMs(), error });
            throw error;
          },
        )
        .finally(() => flights.delete(alias));
      flights.set(alias, flight);
    }
    if (believed === null) return flight; // nothing to fall back to
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), syncWaitMs);
    });
    if ((await Promise.race([flight, timeout])) === "late") {
      last.set(alias, nowMs());
      events.warned(alias, `its host is slow; answering from the state signed ${believed.checkpoint.doc.time}`);
    }
    clearTimeout(timer);
  };
  return Object.assign(sync, {
    holds: (alias: DisplayName) => {
      const at = last.get(alias);
      return () => at !== undefined && last.get(alias) === at && nowMs() - at < syncAfterMs;
    },
  });
}

async function syncOnce(alias: DisplayName, reader: IndexReader, first: boolean, events: ResolverEvents): Promise<void> {
  try {
    await reader.sync();
  } catch (error) {
    if (!isImprintError(error)) throw error;
    if (first)
      throw error.httpStatus === 503
        ? new ImprintError("NEVER_SYNCED", `Cannot answer for ${alias}: never verified here, and ${error.message}`, { cause: error })
        : error;
    const believed = await reader.current();
    events.warned(alias, `${error.message} (${error.code}); answering from the state signed ${believed?.checkpoint.doc.time ?? "before"}`);
  }
}
