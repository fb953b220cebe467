/**
 * One index as a consumer holds it: what is believed of it, its packages, and when to ask the host again.
 *
 * Serving never depends on the host being honest or there. A host that breaks files is found out and named; what was
 * verified before goes on being served, from this machine's own memory. The only network of this file is `sync`.
 */
import { LRUCache } from "lru-cache";
import { ImprintError, isImprintError } from "../errors.ts";
import type { IndexId } from "../format/digest.ts";
import type { PackageName } from "../format/names.ts";
import type { LockEntry } from "../format/project.ts";
import { openPackageMemory, type PackageMemory, requireNoRegress, sightings, type Since } from "./memory.ts";
import { type PackageView, readPackage, verifyRecord, viewOfFiles } from "./package-reader.ts";
import type { IndexSource } from "./source.ts";
import type { StateStore, StoredState } from "./state.ts";
import { syncIndex, type SyncResult } from "./sync.ts";
import { requireFloor, type TrustedState } from "./trust.ts";
import type { Cell } from "../storage/cell.ts";

export type IndexReader = {
  readonly alias: string;
  readonly id: IndexId;
  /** What is believed now; null where nothing was ever verified. */
  current(): Promise<TrustedState | null>;
  /** Asks the sources in order until one gives a state that may be believed. One flight at a time. */
  sync(): Promise<SyncResult>;
  /** Milliseconds since any process of this user last synced it; null: unknown. */
  sinceSyncMs(): Promise<number | null>;
  /** @throws ImprintError NEVER_SYNCED, RECORD_REGRESSED, and those of reading a package */
  readPackage(name: PackageName): Promise<PackageRead>;
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
  /** Tried in order. */
  readonly sources: readonly [IndexSource, ...IndexSource[]];
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
const HOST_FAILED = [...MAY_HAVE_MOVED, "UNREACHABLE", "TIMED_OUT"] as const;
const MAX_CACHED_PACKAGES = 1000;

export function openIndexReader(options: ReaderOptions): IndexReader {
  const { alias, id, sources, store, memoryOf, lock, keepEvidence, syncClock, warn } = options;
  const cache = new LRUCache<string, PackageRead>({ max: MAX_CACHED_PACKAGES });
  const flights = new Map<string, Promise<PackageRead>>();
  let syncing: Promise<SyncResult> | null = null;
  let loaded: StoredState | null = null;

  const load = async (): Promise<StoredState | null> => {
    loaded ??= (await store.read())?.stored ?? null;
    return loaded;
  };

  const syncSources = async (): Promise<SyncResult> => {
    let first: unknown = null;
    for (const source of sources) {
      try {
        const result = await syncIndex({ id, source, store, lock, keepEvidence });
        loaded = result.stored;
        await syncClock.mark();
        return result;
      } catch (error) {
        first ??= error;
        if (isImprintError(error) && sources.length > 1) warn(error, source.url);
      }
    }
    // Another process may have moved the state on meanwhile.
    loaded = null;
    throw first;
  };

  const sync = (): Promise<SyncResult> => {
    syncing ??= syncSources().finally(() => {
      syncing = null;
    });
    return syncing;
  };

  const require = async (): Promise<StoredState> => {
    const stored = await load();
    if (stored === null) throw new ImprintError("NEVER_SYNCED", `Cannot answer for ${alias}: its index was never verified on this machine`);
    if (lock !== null) requireFloor(stored.state, lock);
    return stored;
  };

  const readAt = ({ state, at }: StoredState, name: PackageName): Promise<PackageView | null> =>
    readPackage(sources[0].reopen(at), state, name);

  const readFresh = async (stored: StoredState, name: PackageName): Promise<PackageRead> => {
    const memory = openPackageMemory(memoryOf(name));
    let state = stored.state;
    let view: PackageView | null;
    try {
      try {
        view = await readAt(stored, name);
      } catch (error) {
        if (!isImprintError(error, ...MAY_HAVE_MOVED)) throw error;
        const again = await sync().catch(() => null);
        if (again === null) throw error;
        state = again.stored.state;
        view = await readAt(again.stored, name);
      }
    } catch (error) {
      if (!isImprintError(error, ...HOST_FAILED)) throw error;
      const remembered = await readRemembered(memory, state, name);
      if (remembered === null) throw error;
      warn(error, sources[0].url);
      return { ...remembered, fault: error };
    }
    return { view, fault: null, since: await remember(memory, state, name, view) };
  };

  return {
    alias,
    id,
    sync,
    sinceSyncMs: () => syncClock.sinceMs(),
    current: async () => (await load())?.state ?? null,
    async readPackage(name) {
      const stored = await require();
      const key = `${stored.at} ${stored.state.checkpoint.digest} ${name}`;
      const cached = cache.get(key);
      if (cached !== undefined) return cached;
      let flight = flights.get(key);
      if (flight === undefined) {
        flight = readFresh(stored, name).finally(() => flights.delete(key));
        flights.set(key, flight);
      }
      const read = await flight;
      // A fault is asked about again: the host may mend it.
      if (read.fault === null) cache.set(key, read);
      return read;
    },
  };
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
    return { view: viewOfFiles(state, name, record, releases), since };
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return null; // no longer good under the newest root: forgotten
  }
}

/** Step 8: refuses what takes back what was seen, and remembers what is new, and since when it can have been there. */
async function remember(memory: PackageMemory, state: TrustedState, name: PackageName, view: PackageView | null): Promise<Since> {
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
      await memory.write(found?.generation ?? null, { record: view.record.bytes, releases: view.files, seen: now, since });
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
