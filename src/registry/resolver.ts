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
import { isJsonObject, type JsonObject } from "../format/json.ts";
import { isPackageName, type PackageName, type PackagePattern, type PublicName } from "../format/names.ts";
import {
  abbreviatedPackument,
  fullPackument,
  packumentText,
  type PackumentVersion,
  tarballFileName,
  versionManifest,
} from "../format/packument.ts";
import type { Project } from "../format/project.ts";
import type { DistTag, Version } from "../format/versions.ts";
import { HeavyPackage, type Weight } from "../index/heavy.ts";
import { limiter } from "../index/limiter.ts";
import type { IndexReader } from "../index/reader.ts";
import type { TarballStore } from "../index/tarballs.ts";
import { emptyReport, type Overlaid, publicPartOf } from "./audit-request.ts";
import { aliasesOf, labelOf, sourceOf } from "./claims.ts";
import { ABBREVIATED_TYPE, documentBytes, plainOf, type ReadyDocument, readyDocument, readyPieces } from "./document.ts";
import { addCommand, introducerOf, rootsOf } from "./introductions.ts";
import { lazySyncer } from "./lazy-sync.ts";
import type { Offer } from "./offer.ts";
import { overlayPackument, versionsKnownTo } from "./overlay.ts";
import { createOwnPackages, type OwnPackage, type OwnPackages } from "./own-packages.ts";
import type { Answered, Base, Registry, Upstream } from "./port.ts";
import { createSearch, type SearchStore } from "./search.ts";
import { searchAnswer } from "./search-answer.ts";
import { resolveVersion } from "./upstream/packument.ts";
import type { Via } from "./upstream/via.ts";

export type ResolverOptions = {
  readonly project: Project;
  /** `--strict`: an index whose host gives no news, or lies, or that is stale, does not answer. */
  readonly strict?: boolean;
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
  answered(name: PublicName, what: "packument" | "tarball", source: string, detail: string): void;
  /** An author's package that a client now knows about; times in Unix milliseconds. */
  told(facts: {
    readonly name: PublicName;
    readonly newest: { readonly version: Version; readonly at: number };
    readonly hasInstallScript: boolean;
  }): void;
  refused(name: PublicName, error: ImprintError): void;
  warned(alias: string, message: string): void;
};

type Document = { readonly document: ReadyDocument; readonly isGood: () => boolean; readonly tell: () => void };

const both = (one: () => boolean, other: () => boolean) => (): boolean => one() && other();

const MAX_DOCUMENT_BYTES = 64 * 1024 * 1024;

export function createResolver(options: ResolverOptions): Registry {
  const { project, indices, upstream, bridgeKey, events, wallMs } = options;
  const documents = new LRUCache<string, ReadyDocument>({ maxSize: MAX_DOCUMENT_BYTES, sizeCalculation: documentBytes });
  const heavyLanes = new Map<string, ReturnType<typeof limiter>>();
  const making = new Map<string, Promise<ReadyDocument>>();
  const warned = (alias: string, message: string): void => events.warned(alias, message);
  const strict = { wallMs, maxAgeDays: (alias: DisplayName) => project.indices.get(alias)?.maxAgeDays };
  const { nowMs, syncAfterMs, syncWaitMs } = options;
  const lazySync = lazySyncer({ nowMs, syncAfterMs, syncWaitMs, warned, ...(options.strict === true ? { strict } : {}) });
  const packages = createOwnPackages({ project, indices, lazySync, syncWaitMs, wallMs, warned });
  const search = createSearch({
    project,
    indices,
    store: options.searchStore,
    wallMs,
    events: { progress: () => {}, warned },
  });

  const tell = (name: PublicName, { newest, hasInstallScript }: Pick<Offer, "newest" | "hasInstallScript">): void => {
    if (newest !== null) events.told({ name, newest, hasInstallScript });
  };
  /** Made here, where the package itself is out of reach: answers are remembered with it. */
  const teller = (name: PublicName, newest: Offer["newest"], hasInstallScript: boolean) => (): void =>
    tell(name, { newest, hasInstallScript });
  const againOf =
    (name: PublicName, source: string, { isGood, tell: told }: Omit<Document, "document">) =>
    (): boolean => {
      if (!isGood()) return false;
      events.answered(name, "packument", source, "");
      told();
      return true;
    };

  /** One flight a document: clients ask for one thing several times at once. */
  const ready = async (key: string, make: () => Promise<{ pieces: Iterable<string>; type: string }>): Promise<ReadyDocument> => {
    const cached = documents.get(key);
    if (cached !== undefined) return cached;
    const flight =
      making.get(key) ??
      make()
        .then(({ pieces, type }) => readyPieces(pieces, type))
        .then((document) => {
          documents.set(key, document);
          return document;
        })
        .finally(() => making.delete(key));
    making.set(key, flight);
    return flight;
  };

  /** Where an index that is trusted introduces the name: how to trust the one that has it, too (X4). */
  const denied = async (name: PublicName, pattern: PackagePattern | null): Promise<ImprintError> => {
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
    name: PublicName,
    what: "packument" | "tarball",
    detail: string,
    ask: {
      /** An index, or several that agree, alone. */ own: (open: () => Promise<OwnPackage>, label: string) => Promise<T>;
      /** Null: the index does not have the name. Upstream is not asked before the index has answered. */
      overlay: (own: OverlaidPackage | null, alias: DisplayName) => Promise<T>;
      upstream: () => Promise<T>;
    },
  ): Promise<Answered<T>> => {
    const source = sourceOf(project, name);
    const label = labelOf(source);
    const onceAs = async (weight: Weight): Promise<T> => {
      switch (source.kind) {
        case "denied":
          throw await denied(name, source.pattern);
        case "upstream":
          return ask.upstream();
        case "overlay":
          return ask.overlay(await ofIndex(source.alias, name, weight), source.alias);
        case "agree":
          return ask.own(() => packages.ofAgreement(source.agreement, name as PackageName), label); // it stands in the agreement
        case "index":
          return ask.own(async () => (await ofIndex(source.alias, name, weight)) ?? absent(name, source.alias), label);
      }
    };
    const once = (): Promise<T> =>
      onceAs("light").catch(async (error: unknown) => {
        if (!(error instanceof HeavyPackage)) throw error;
        // What is read, and the document that it becomes, is held for one of them at a time of each index.
        let lane = heavyLanes.get(label);
        if (lane === undefined) heavyLanes.set(label, (lane = limiter(1)));
        return lane(() => onceAs("any"));
      });
    try {
      const value = await once().catch(async (error: unknown) => {
        // A release of a moment ago, which a lockfile has and the last sync had not.
        if (!isImprintError(error, "NOT_FOUND") || !(await askAgain(aliasesOf(source)))) throw error;
        return once();
      });
      events.answered(name, what, label, detail);
      return { value, source: label };
    } catch (error) {
      if (isImprintError(error)) events.refused(name, error);
      throw error;
    }
  };

  /** Null: the index does not have it. What only the public registry would let through no index can have. */
  const ofIndex = async (alias: DisplayName, name: PublicName, weight: Weight): Promise<OverlaidPackage | null> =>
    isPackageName(name) ? packages.ofIndex(alias, name, weight) : null;

  const askAgain = async (aliases: readonly DisplayName[]): Promise<boolean> => {
    const asked = await Promise.all(
      aliases.map(async (alias) => {
        const index = indices.get(alias);
        return index !== undefined && (await lazySync.again(alias, index.reader));
      }),
    );
    return asked.includes(true);
  };

  /** Something to choose from, or the reason why there is nothing. */
  const offered = async (name: PublicName, open: () => Promise<OwnPackage>): Promise<OwnPackage> => {
    const own = await open();
    if (own.refusal !== null) throw own.refusal;
    tell(name, own.offer);
    return own;
  };

  const packumentOf = async (own: OwnPackage, name: PublicName, abbreviated: boolean, base: Base, locked = false): Promise<ReadyDocument> =>
    ready(`${own.key} ${abbreviated ? "a" : "f"}${locked ? "l" : ""} ${base} ${name}`, async () => {
      const source = locked ? own.locked() : own.offer.source;
      if (abbreviated) return { pieces: packumentText(abbreviatedPackument(source, base)), type: ABBREVIATED_TYPE };
      const key = await bridgeKey();
      return { pieces: packumentText(fullPackument(source, base, (entry) => signed(source.name, entry, key))), type: "application/json" };
    });

  const upstreamPackument = async (name: PublicName, abbreviated: boolean, base: Base, via: Via | undefined): Promise<Document> => {
    const { document, until } = await upstream.packument(name, abbreviated, base, via);
    return { document, isGood: () => wallMs() < until, tell: () => undefined };
  };

  /** Upstream down and nothing kept of it: an error. Half of the versions would look like all of them. */
  const overlaid = async (
    own: OverlaidPackage | null,
    { name, abbreviated, base, via }: { name: PublicName; abbreviated: boolean; base: Base; via: Via | undefined },
  ): Promise<Document> => {
    const theirs = await upstreamPackument(name, abbreviated, base, via).catch((error: unknown) => {
      if (own !== null && isImprintError(error, "NOT_FOUND")) return null;
      throw error;
    });
    // It may have the name tomorrow: asked each time.
    if (own === null) return { document: (theirs as Document).document, tell: () => undefined, isGood: () => false };
    tell(name, own.offer);
    const mine = await packumentOf(own, name, abbreviated, base);
    if (theirs === null) {
      if (own.refusal !== null) throw own.refusal;
      return { document: mine, isGood: () => false, tell: () => undefined };
    }
    const document = await ready(`${own.key} over ${theirs.document.etag} ${abbreviated ? "a" : "f"} ${base} ${name}`, async () => ({
      pieces: [JSON.stringify(overlayPackument(jsonOf(theirs.document), jsonOf(mine), versionsKnownTo(own.view)))],
      type: mine.contentType,
    }));
    const { isGood, offer } = own;
    return { document, isGood: both(isGood, theirs.isGood), tell: teller(name, offer.newest, offer.hasInstallScript) };
  };

  /** Of overlaid names that a text may hold: what of them is the index's own. A name that cannot be read is left out. */
  const overlaidIn = async (text: string): Promise<Overlaid> => {
    const found = new Map<PackageName, ReadonlySet<string>>();
    for (const name of (project.overlay ?? []).filter((one) => text.includes(one))) {
      const source = sourceOf(project, name);
      if (source.kind !== "overlay") continue;
      try {
        const own = await packages.ofIndex(source.alias, name, "any");
        found.set(name, own === null ? new Set() : versionsKnownTo(own.view));
      } catch (error) {
        if (!isImprintError(error)) throw error;
      }
    }
    return found;
  };

  return {
    async packument(name, abbreviated, base, via, locked = false) {
      const { value, source } = await answer<Document>(name, "packument", "", {
        own: async (open) => {
          const own = await offered(name, open);
          return {
            document: await packumentOf(own, name, abbreviated, base, locked),
            isGood: own.isGood,
            tell: teller(name, own.offer.newest, own.offer.hasInstallScript),
          };
        },
        overlay: (own) => overlaid(own, { name, abbreviated, base, via }),
        upstream: () => upstreamPackument(name, abbreviated, base, via),
      });
      const { document, isGood, tell: told } = value;
      return { value: document, source, again: againOf(name, source, { isGood, tell: told }) };
    },
    version: (name, versionOrTag, base, via) =>
      answer(name, "packument", versionOrTag, {
        own: async (open, label) => {
          const {
            offer: { source },
            key,
          } = await offered(name, open);
          const version = source.tags.get(versionOrTag as DistTag) ?? (versionOrTag as Version);
          return ready(`${key} v ${version} ${base} ${name}`, async () => {
            const bridge = await bridgeKey();
            const manifest = versionManifest(source, version, base, (entry) => signed(source.name, entry, bridge));
            if (manifest === null)
              throw new ImprintError("NOT_FOUND", `Cannot find ${name}@${versionOrTag}: index ${label} does not have it`);
            return { pieces: [JSON.stringify(manifest)], type: "application/json" };
          });
        },
        overlay: async (own, alias) => {
          const { document } = await overlaid(own, { name, abbreviated: false, base, via });
          const manifest = resolveVersion(jsonOf(document), versionOrTag);
          if (manifest === null)
            throw new ImprintError("NOT_FOUND", `Cannot find ${name}@${versionOrTag}: neither ${alias} nor the public registry has it`);
          return readyDocument(JSON.stringify(manifest));
        },
        upstream: () => upstream.version(name, versionOrTag, base, via),
      }),
    distTags: (name, via) =>
      answer(name, "packument", "dist-tags", {
        own: async (open) => readyDocument(JSON.stringify(Object.fromEntries((await offered(name, open)).offer.source.tags))),
        overlay: async (own) => {
          const { document } = await overlaid(own, { name, abbreviated: false, base: NO_BASE, via });
          return readyDocument(JSON.stringify(jsonOf(document)["dist-tags"] ?? {}));
        },
        upstream: () => upstream.distTags(name, via),
      }),
    tarball: (name, file, via) =>
      answer(name, "tarball", file, {
        own: async (open) => (await open()).tarball(file),
        overlay: async (own) => {
          const isOwn =
            own !== null && [...versionsKnownTo(own.view)].some((version) => tarballFileName(name, version as Version) === file);
          return isOwn ? own.tarball(file) : upstream.tarball(name, file, via);
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
    attestations: (name, version, via) => {
      const none = (label: string): ImprintError =>
        new ImprintError("NOT_FOUND", `Cannot find attestations of ${name}@${version}: index ${label} signs its releases itself`);
      return answer(name, "packument", `attestations of ${version}`, {
        own: async (_, label) => {
          throw none(label);
        },
        overlay: async (own, alias) => {
          if (own !== null && versionsKnownTo(own.view).has(version)) throw none(alias);
          return upstream.attestations(name, version, via);
        },
        upstream: () => upstream.attestations(name, version, via),
      });
    },
    async search(text, page) {
      // An index that cannot be asked for news is searched as it was; one that was never verified is left out.
      await Promise.all(
        [...indices].map(([alias, { reader }]) =>
          lazySync(alias, reader).catch((error: unknown) => {
            if (!isImprintError(error)) throw error;
          }),
        ),
      );
      return readyDocument(JSON.stringify(searchAnswer(await search(text, page), wallMs())));
    },
    async audit(endpoint, body, via) {
      const isOverlaid = (project.overlay ?? []).length > 0;
      const asked = publicPartOf(project, endpoint, body, isOverlaid ? await overlaidIn(JSON.stringify(body)) : new Map());
      return asked === null ? readyDocument(JSON.stringify(emptyReport(endpoint))) : upstream.audit(endpoint, asked, via);
    },
  };
}

type OverlaidPackage = NonNullable<Awaited<ReturnType<OwnPackages["ofIndex"]>>>;

/** Where no address is part of the answer. */
const NO_BASE = "http://127.0.0.1";

function jsonOf(document: ReadyDocument): JsonObject {
  return JSON.parse(Buffer.from(plainOf(document)).toString("utf8")) as JsonObject;
}

function absent(name: PublicName, alias: DisplayName): never {
  throw new ImprintError("NOT_FOUND", `Cannot find ${name}: its index ${alias} does not have it, and no other source may answer for it`);
}

function signed(name: PackageName, entry: PackumentVersion, key: BridgeKey): PackumentVersion {
  const { version, dist } = entry.release;
  return { ...entry, signatures: [key.sign(name, version, dist.integrity)] };
}
