/**
 * Search over the project's own indices. Nothing of it goes upstream.
 *
 * Of an index of usual size every package's newest release is read once, and then only what changed: what was read is kept
 * by the file hash of its record. Of a very large one only the names are searched, and what is shown is read.
 */
import { isImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import type { Digest, FileHash, IndexId } from "../format/digest.ts";
import type { PackageName } from "../format/names.ts";
import type { Project } from "../format/project.ts";
import type { Release } from "../format/release.ts";
import { readCatalogue, readNewest } from "../index/catalogue.ts";
import type { IndexReader } from "../index/reader.ts";
import { newestRoot } from "../index/trust.ts";
import { hasSay, sourceOf } from "./claims.ts";
import { agreedEntries } from "./search-agreed.ts";
import { entryOf } from "./search-entry.ts";
import { parseQuery, scoreOf, type SearchEntry } from "./search-text.ts";

export type SearchHit = SearchEntry & {
  /** Alias of the index; of several that agree, `alice+bob`. */
  readonly source: string;
  /** How its author calls it: who publishes. */
  readonly publisher: string;
  /** 0 to 1. */
  readonly score: number;
};

export type SearchPage = { readonly hits: readonly SearchHit[]; readonly total: number };

/** What was read of an index before: by the file hash of a record, under one root. */
export type SearchMemory = { readonly root: Digest; readonly entries: ReadonlyMap<FileHash, SearchEntry> };
export type SearchStore = { read(id: IndexId): Promise<SearchMemory | null>; write(id: IndexId, memory: SearchMemory): Promise<void> };

export type SearchDeps = {
  readonly project: Project;
  readonly indices: ReadonlyMap<DisplayName, { readonly reader: IndexReader }>;
  readonly store: SearchStore;
  /** Unix time in milliseconds: how old a release is. */
  readonly wallMs: () => number;
  readonly maxRead?: number;
  readonly events: {
    readonly progress: (alias: string, done: number, total: number) => void;
    /** An index that could not be searched, or not all of it. */ readonly warned: (alias: string, message: string) => void;
  };
};

/** Packages of one index that are read for their descriptions, unless told otherwise; some seconds over a network. */
const MAX_READ = 5000;

export type Search = (text: string, page: { readonly from: number; readonly size: number }) => Promise<SearchPage>;

export function createSearch(deps: SearchDeps): Search {
  const flights = new Map<string, Promise<Searchable>>();
  const ready = new Map<DisplayName, Searchable>();
  const searchableOf = async (alias: DisplayName, reader: IndexReader): Promise<Searchable | null> => {
    const state = await reader.current();
    if (state === null) {
      deps.events.warned(alias, "never verified on this machine, so not searched: imprint sync");
      return null;
    }
    const key = state.checkpoint.digest;
    const known = ready.get(alias);
    if (known?.key === key) return known;
    const flightKey = `${alias} ${key}`;
    let flight = flights.get(flightKey);
    if (flight === undefined) {
      flight = load(alias, reader, key, deps).finally(() => flights.delete(flightKey));
      flights.set(flightKey, flight);
    }
    const loaded = await flight;
    ready.set(alias, loaded);
    return loaded;
  };

  return async (text, { from, size }) => {
    const query = parseQuery(text);
    const matches: Match[] = [];
    for (const [alias, { reader }] of deps.indices) {
      try {
        const searchable = await searchableOf(alias, reader);
        if (searchable === null) continue;
        for (const name of searchable.names.keys()) {
          const entry = searchable.entries?.get(name);
          if (searchable.entries !== null && entry === undefined) continue;
          const score = scoreOf(query, entry ?? { name, description: "", keywords: [] });
          const read = async (): Promise<SearchEntry | null> => entry ?? readOne(deps, alias, name, searchable);
          if (score > 0) matches.push({ score, name, source: alias, publisher: searchable.publisher, read });
        }
      } catch (error) {
        if (!isImprintError(error)) throw error;
        deps.events.warned(alias, `not searched: ${error.message} (${error.code})`);
      }
    }
    const agreed = (deps.project.agree?.of ?? []).join("+");
    for (const entry of await agreedEntries(deps.project, deps.indices, deps.wallMs())) {
      const score = scoreOf(query, entry);
      if (score > 0) matches.push({ score, name: entry.name, source: agreed, publisher: agreed, read: async () => entry });
    }
    matches.sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1));
    const shown = matches.slice(from, from + size);
    const hits: SearchHit[] = [];
    for (const { source, publisher, score, read } of shown) {
      const entry = await read();
      if (entry !== null) hits.push({ ...entry, source, publisher, score });
    }
    return { hits, total: matches.length };
  };
}

type Match = {
  readonly score: number;
  readonly name: PackageName;
  readonly source: string;
  readonly publisher: string;
  readonly read: () => Promise<SearchEntry | null>;
};

type Searchable = {
  /** Digest of the checkpoint. */
  readonly key: string;
  readonly publisher: string;
  /** Those that the index answers for, by the file hash of their records. */
  readonly names: ReadonlyMap<PackageName, FileHash>;
  /** Null for an index that is too large to be read whole. */
  readonly entries: ReadonlyMap<PackageName, SearchEntry> | null;
};

async function load(
  alias: DisplayName,
  reader: IndexReader,
  key: string,
  { project, store, events, maxRead = MAX_READ }: SearchDeps,
): Promise<Searchable> {
  return reader.look(async (snapshot, state) => {
    const root = newestRoot(state.roots);
    // What an index publishes outside its claim is never shown: installing it would bring something else.
    const names = new Map(
      [...(await readCatalogue(snapshot, state))].filter(([name]) => {
        const source = sourceOf(project, name);
        return source.kind !== "agree" && hasSay(source, alias);
      }),
    );
    const base = { key, publisher: root.doc.name, names };
    if (names.size > maxRead) {
      events.warned(alias, `has ${names.size} packages: their names are searched, not their descriptions`);
      return { ...base, entries: null };
    }
    const kept = await store.read(reader.id);
    const known = kept?.root === root.digest ? kept.entries : new Map<FileHash, SearchEntry>();
    const missing = [...names].filter(([, hash]) => !known.has(hash));
    if (missing.length > 0) events.progress(alias, 0, missing.length);
    const read = await readNewest(snapshot, state, missing, (done) => events.progress(alias, done, missing.length));
    const entries = new Map<PackageName, SearchEntry>();
    const memory = new Map<FileHash, SearchEntry>();
    for (const [name, hash] of names) {
      const release = read.get(name);
      const entry = known.get(hash) ?? (release === undefined ? null : entryOf(release));
      // One that could not be read, or offers nothing, is read again next time: the host may mend it.
      if (entry === null) continue;
      entries.set(name, entry);
      memory.set(hash, entry);
    }
    if (missing.length > 0) await store.write(reader.id, { root: root.digest, entries: memory });
    return { ...base, entries };
  });
}

async function readOne({ indices }: SearchDeps, alias: DisplayName, name: PackageName, { names }: Searchable): Promise<SearchEntry | null> {
  const hash = names.get(name);
  const reader = indices.get(alias)?.reader;
  if (hash === undefined || reader === undefined) return null;
  const found: ReadonlyMap<PackageName, Release> = await reader.look((snapshot, state) => readNewest(snapshot, state, [[name, hash]]));
  const release = found.get(name);
  return release === undefined ? null : entryOf(release);
}
