/**
 * One index as a consumer holds it: what is believed of it, its packages, and when to ask the host again.
 *
 * Serving never depends on the host being honest or there. A host that breaks files is found out and named; what was
 * verified before goes on being served, from this machine's own memory. The only network of this file is `sync`.
 */
import { LIMITS } from "../format/limits.ts";
import { LRUCache } from "lru-cache";
import { ImprintError, isImprintError } from "../errors.ts";
import type { IndexId } from "../format/digest.ts";
import type { PackageName } from "../format/names.ts";
import type { PackageRecord } from "../format/record.ts";
import type { LockEntry } from "../format/project.ts";
import { HeavyPackage, LIGHT_BYTES, type Weight } from "./heavy.ts";
import { limiter } from "./limiter.ts";
import { openPackageMemory, type PackageMemory, requireNoRegress, sightings, type Since } from "./memory.ts";
import { type PackageFiles, type PackageView, readPackage, verifyRecord, viewOfFiles } from "./package-reader.ts";
import { placeAmong, snapshotAmong } from "./places.ts";
import type { IndexSource, Snapshot } from "./source.ts";
import { syncSources } from "./sources.ts";
import type { StateStore, StoredState } from "./state.ts";
import type { SyncResult } from "./sync.ts";
import { newestRoot, requireFloor, type TrustedState } from "./trust.ts";
import type { Cell } from "../storage/cell.ts";

export type IndexReader = {
  readonly alias: string;
  readonly id: IndexId;
  /** What is believed now; null where nothing was ever verified. */
  current(): Promise<TrustedState | null>;
  /** Asks all sources; the highest state that may be believed counts. One flight at a time. @throws ImprintError OFFLINE, … */
  sync(): Promise<SyncResult>;
  /** Reads files of the state that is believed now, again from the start where the source moved meanwhile (step 9). */
  look<T>(work: (snapshot: Snapshot, state: TrustedState) => Promise<T>): Promise<T>;
  /** The same in an older state, as far as its files are still to be had. */
  lookBack<T>(then: StoredState, work: (snapshot: Snapshot, state: TrustedState) => Promise<T>): Promise<T>;
  /** The record of a package as this machine last read it, where that still counts. No network. */
  remembered(name: PackageName): Promise<PackageRecord | null>;
  /** Milliseconds since any process of this user last synced it; null: unknown. */
  sinceSyncMs(): Promise<number | null>;
  /** @throws ImprintError NEVER_SYNCED, RECORD_REGRESSED, and those of reading a package; HeavyPackage where only a light one is wanted */
  readPackage(name: PackageName, weight?: Weight): Promise<PackageRead>;
};

export type SyncClock = { sinceMs(): Promise<number | null>; mark(): Promise<void> };

export type PackageRead = {
  /** Null: verified absent. */
  readonly view: PackageView | null;
  /** Set where the host broke the package, or could not be asked for it, and what this machine had verified before is served instead. */
  readonly fault: ImprintError | null;
  /** When releases that came later than the first reading can have appeared at the earliest. */
  readonly since: Since;
};

export type ReaderOptions = {
  readonly alias: string;
  readonly id: IndexId;
  /** Those of imprint.json. */
  readonly sources: readonly [IndexSource, ...IndexSource[]];
  /** A source of a root's mirror; null: none that may be asked, or one of `sources` again. */
  readonly mirror: (url: string) => IndexSource | null;
  /** Only what is here: no source is asked. */
  readonly offline: boolean;
  /** A package that the host broke is refused, instead of being served as this machine verified it before. */
  readonly strict: boolean;
  readonly store: StateStore;
  readonly memoryOf: (name: PackageName) => Cell;
  readonly lock: LockEntry | null;
  readonly keepEvidence: (checkpoints: readonly Uint8Array[]) => Promise<void>;
  /** When this index was last synced, by any process. Saves a question to the host, decides nothing else. */
  readonly syncClock: SyncClock;
  /** A source that failed where another one answered, or a fault that did not stop the answer. */
  readonly warn: (error: ImprintError, source: string) => void;
};

/** Codes after which the same bytes may be had from a newer state of the source (step 9). */
const MAY_HAVE_MOVED = ["MISSING_FILE", "HASH_MISMATCH", "TOO_LARGE"] as const;
/** Codes after which what this machine verified before is served: the host broke the package, or is not there. */
const HOST_FAILED = [...MAY_HAVE_MOVED, "UNREACHABLE", "TIMED_OUT", "OFFLINE"] as const;
/** Milliseconds that a slow source is waited for once another one has answered. */
const MIRROR_WAIT_MS = LIMITS.mirrorWaitMs;
/** Mirrors that are asked at most: a root could name thousands. */
const MAX_MIRRORS = LIMITS.mirrors;
/** Bytes of files; what is kept of them takes about as much. One heavy package is kept beside them. */
const MAX_CACHED_BYTES = 48 * 1024 * 1024;
const MAX_CACHED_PACKAGES = 1000;

export function openIndexReader(options: ReaderOptions): IndexReader {
  const { alias, id, store, memoryOf, lock, keepEvidence, syncClock, warn, offline, strict } = options;
  const cache = new LRUCache<string, PackageRead>({ max: MAX_CACHED_PACKAGES, maxSize: MAX_CACHED_BYTES, sizeCalculation: bytesOf });
  let heavy: { readonly key: string; readonly read: PackageRead } | null = null;
  /** Read to their limits once, and not again for each request. */
  const tooLarge = new LRUCache<string, ImprintError>({ max: MAX_CACHED_PACKAGES });
  const flights = new Map<string, Promise<PackageRead>>();
  let syncing: Promise<SyncResult> | null = null;
  let loaded: StoredState | null = null;

  const load = async (): Promise<StoredState | null> => {
    loaded ??= (await store.read())?.stored ?? null;
    return loaded;
  };

  /** Mirrors are those of the newest root that is believed. */
  const sourcesOf = (state: TrustedState | null): readonly [IndexSource, ...IndexSource[]] => {
    const urls = state === null ? [] : newestRoot(state.roots).doc.mirrors.slice(0, MAX_MIRRORS);
    return [...options.sources, ...urls.map(options.mirror).filter((source) => source !== null)];
  };

  const syncAll = async (fresh: boolean): Promise<SyncResult> => {
    if (offline) throw new ImprintError("OFFLINE", `Cannot ask for news of ${alias}: offline, as --offline or IMPRINT_OFFLINE asks`);
    const sources = sourcesOf((await load())?.state ?? null);
    try {
      const request = { id, sources, store, lock, keepEvidence, report: warn, fresh };
      const result = await syncSources({ ...request, locate: placeAmong(sources), waitMs: MIRROR_WAIT_MS });
      loaded = result.stored;
      await syncClock.mark();
      return result;
    } catch (error) {
      // Another process may have moved the state on meanwhile.
      loaded = null;
      throw error;
    }
  };

  const sync = (fresh = false): Promise<SyncResult> => {
    syncing ??= syncAll(fresh).finally(() => {
      syncing = null;
    });
    return syncing;
  };

  const require = async (): Promise<StoredState> => {
    const stored = await load();
    if (stored === null && offline)
      throw new ImprintError("OFFLINE", `Cannot answer for ${alias} offline: its index was never verified on this machine`);
    if (stored === null) throw new ImprintError("NEVER_SYNCED", `Cannot answer for ${alias}: its index was never verified on this machine`);
    if (lock !== null) requireFloor(stored.state, lock);
    return stored;
  };

  const snapshotOf = ({ state, at }: StoredState): Snapshot => snapshotAmong(sourcesOf(state), at, warn);

  /** Step 9: where a hash does not fit, the source may have moved on since step 1. */
  const lookTwice = async <T>(
    stored: StoredState,
    work: (snapshot: Snapshot, state: TrustedState) => Promise<T>,
    onMoved: (state: TrustedState) => void = () => {},
  ): Promise<T> => {
    try {
      return await work(snapshotOf(stored), stored.state);
    } catch (error) {
      if (!isImprintError(error, ...MAY_HAVE_MOVED)) throw error;
      if (offline && isImprintError(error, "MISSING_FILE"))
        throw new ImprintError("OFFLINE", `${error.message.replace(/: .*$/u, "")}: offline, and not read on this machine before`, {
          cause: error,
        });
      const again = await sync(true).catch(() => null);
      if (again === null) throw error;
      onMoved(again.stored.state);
      return work(snapshotOf(again.stored), again.stored.state);
    }
  };

  const oneByOne = limiter(1);

  const readFresh = async (stored: StoredState, name: PackageName, weight: Weight): Promise<PackageRead> => {
    const memory = openPackageMemory(memoryOf(name));
    let state = stored.state;
    let read: PackageFiles | null;
    try {
      read = await lookTwice(
        stored,
        (snapshot, at) => readPackage(snapshot, at, name, weight),
        (moved) => (state = moved),
      );
    } catch (error) {
      if (!isImprintError(error, ...HOST_FAILED) || strict) throw error;
      // However much that is.
      const remembered = await oneByOne(() => readRemembered(memory, state, name));
      if (remembered === null) throw error;
      warn(error, options.sources[0].url);
      return { ...remembered, fault: error };
    }
    const since = await remember(memory, state, name, read);
    if (read === null) return { view: null, fault: null, since };
    // On disk by now: a resolver keeps what it answers with, and not the files.
    const { files: _, ...view } = read;
    return { view, fault: null, since };
  };

  return {
    alias,
    id,
    sync: () => sync(),
    sinceSyncMs: () => syncClock.sinceMs(),
    current: async () => (await load())?.state ?? null,
    look: async (work) => lookTwice(await require(), work),
    lookBack: (then, work) => work(snapshotOf(then), then.state),
    async remembered(name) {
      const [stored, found] = [await load(), await openPackageMemory(memoryOf(name)).read()];
      return stored === null || found === null ? null : (recordUnder(stored.state, name, found.remembered.record)?.doc ?? null);
    },
    async readPackage(name, weight = "any") {
      const stored = await require();
      const key = `${stored.at} ${stored.state.checkpoint.digest} ${name}`;
      const cached = cache.get(key);
      if (cached !== undefined) return cached;
      if (heavy?.key === key) {
        if (weight === "light") throw new HeavyPackage(name);
        return heavy.read;
      }
      const refused = tooLarge.get(key);
      if (refused !== undefined) throw refused;
      const flightKey = `${weight} ${key}`;
      let flight = flights.get(flightKey);
      if (flight === undefined) {
        // Not two of them at once, where only heavy ones are read in this way.
        if (weight === "any") heavy = null;
        flight = readFresh(stored, name, weight).finally(() => flights.delete(flightKey));
        flights.set(flightKey, flight);
      }
      const read = await flight.catch((error: unknown) => {
        if (isImprintError(error, "PACKAGE_TOO_LARGE")) tooLarge.set(key, error);
        throw error;
      });
      // A fault is asked about again: the host may mend it.
      if (read.fault === null && bytesOf(read) <= LIGHT_BYTES) cache.set(key, read);
      else if (read.fault === null) heavy = { key, read };
      return read;
    },
  };
}

function bytesOf({ view }: PackageRead): number {
  return view === null ? 1 : view.releasesBytes + view.record.bytes.byteLength;
}

async function readRemembered(
  memory: PackageMemory,
  state: TrustedState,
  name: PackageName,
): Promise<{ readonly view: PackageView; readonly since: Since } | null> {
  const found = await memory.read();
  if (found === null) return null;
  const { record, releases, since } = found.remembered;
  try {
    return { view: await viewOfFiles(state, name, record, await releases()), since };
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return null; // no longer good under the newest root: forgotten
  }
}

/** Step 8: refuses what takes back what was seen, and remembers what is new, and since when it can have been there. */
async function remember(memory: PackageMemory, state: TrustedState, name: PackageName, view: PackageFiles | null): Promise<Since> {
  const now = state.checkpoint.doc.time;
  for (;;) {
    const found = await memory.read();
    const seen = found === null ? null : recordUnder(state, name, found.remembered.record);
    if (view === null) {
      if (seen !== null)
        throw new ImprintError("RECORD_REGRESSED", `Cannot trust ${name}: the package vanished from its index`, { step: "reading 8" });
      return new Map();
    }
    const remembered = found?.remembered ?? null;
    const isSame = remembered !== null && Buffer.compare(remembered.record, view.record.bytes) === 0;
    // The same under an older checkpoint, as when two processes read at once: what is remembered is the newer.
    if (isSame && remembered.seen !== null && remembered.seen >= now) return remembered.since;
    if (seen !== null && !isSame) requireNoRegress(seen, view.record);
    const since =
      seen === null || remembered === null
        ? new Map()
        : sightings({ releases: seen.doc.releases, seen: remembered.seen, since: remembered.since }, view.record.doc);
    try {
      await memory.write(found?.generation ?? null, { record: view.record.bytes, releases: view.files.values(), seen: now, since });
      return since;
    } catch (error) {
      if (!isImprintError(error, "STATE_CHANGED")) throw error;
    }
  }
}

function recordUnder(state: TrustedState, name: PackageName, bytes: Uint8Array): PackageView["record"] | null {
  try {
    return verifyRecord(state, name, bytes);
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return null; // its signatures no longer suffice: a thief's revision 2^53−1 goes with the key
  }
}
