/** `imprint trust show|history|diff|accept`: whom an index lets sign, since when, and what changed since one looked. */
import { ImprintError, isImprintError } from "../../errors.ts";
import type { DisplayName } from "../../format/decode.ts";
import type { PackageName } from "../../format/names.ts";
import type { Root } from "../../format/root.ts";
import { type IndexNews, readNews, rootChanges } from "../../index/news.ts";
import type { StoredState } from "../../index/state.ts";
import { newestRoot, type RootChain, staleness } from "../../index/trust.ts";
import { sourceOf } from "../../registry/claims.ts";
import { acceptedState, acceptState } from "../accepted.ts";
import { type Consumer, openConsumer } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import { type OpenIndex, stateStoreOf } from "../open.ts";

/** A state by its place in the order. */
export type Place = { readonly root: number; readonly seq: number; readonly signed: string };

export type ShownTrust = {
  readonly alias: string;
  readonly id: string;
  readonly urls: readonly string[];
  readonly packages: readonly string[];
  /** Null: never verified on this machine. */
  readonly root: Omit<Root, "index" | "previous"> | null;
  readonly now: Place | null;
  /** By imprint.lock. */
  readonly locked: { readonly root: number; readonly seq: number } | null;
  readonly accepted: Place | null;
  readonly stale: string | null;
};

export async function trustShow(only: readonly string[], deps: Deps): Promise<readonly ShownTrust[]> {
  return withIndices(only, deps, async ({ alias, entry }, { files }) => {
    const [stored, accepted] = await Promise.all([storedOf(deps, entry.id), acceptedState(deps, entry.id)]);
    const { index: _, previous: __, ...root } = stored === null ? { index: null, previous: null } : newestRoot(stored.state.roots).doc;
    const locked = files.lock.get(alias);
    return {
      alias,
      id: entry.id,
      urls: entry.urls,
      packages: entry.packages,
      root: stored === null ? null : (root as ShownTrust["root"]),
      now: placeOf(stored),
      locked: locked === undefined ? null : { root: locked.root.version, seq: locked.seq },
      accepted: placeOf(accepted),
      stale: stored === null ? null : staleness(stored.state, deps.nowMs(), entry.maxAgeDays),
    };
  });
}

export type TrustHistory = {
  readonly alias: string;
  readonly id: string;
  /** From the first on. */
  readonly roots: readonly {
    readonly version: number;
    readonly digest: string;
    readonly changes: readonly string[];
    readonly accepted: boolean;
  }[];
  /** Files with checkpoints that convict somebody of showing two histories. */
  readonly evidence: readonly string[];
};

export async function trustHistory(only: readonly string[], deps: Deps): Promise<readonly TrustHistory[]> {
  return withIndices(only, deps, async ({ alias, entry }) => {
    const [stored, accepted] = await Promise.all([storedOf(deps, entry.id), acceptedState(deps, entry.id)]);
    const until = accepted === null ? 0 : newestRoot(accepted.state.roots).doc.version;
    const roots: readonly { digest: string; doc: Root }[] = stored?.state.roots ?? [];
    return {
      alias,
      id: entry.id,
      roots: roots.map(({ digest, doc }, i) => {
        const before = roots[i - 1]?.doc;
        return {
          version: doc.version,
          digest,
          changes: before === undefined ? ["the first: its digest is the id"] : rootChanges(before, doc),
          accepted: doc.version <= until,
        };
      }),
      evidence: (await deps.files.list(deps.layout.evidence(entry.id))).map((file) => `${deps.layout.evidence(entry.id)}/${file}`),
    };
  });
}

export type TrustNews = {
  readonly alias: string;
  readonly id: string;
  readonly accepted: Place | null;
  readonly now: Place | null;
  /** Null: nothing was accepted yet, or nothing changed. */
  readonly news: IndexNews | null;
};

/** What changed since the user accepted it: keys, thresholds and names by the roots, releases of packages that were read. */
export async function trustNews(only: readonly string[], deps: Deps): Promise<readonly TrustNews[]> {
  return withIndices(only, deps, async (index, consumer) => {
    const { alias, entry } = index;
    const [stored, accepted] = await Promise.all([storedOf(deps, entry.id), acceptedState(deps, entry.id)]);
    const isNews = stored !== null && accepted !== null && stored.state.checkpoint.digest !== accepted.state.checkpoint.digest;
    return {
      alias,
      id: entry.id,
      accepted: placeOf(accepted),
      now: placeOf(stored),
      news: isNews ? await newsSince(index, consumer, accepted, stored) : null,
    };
  });
}

/** @returns what was accepted now */
export async function trustAccept(only: readonly string[], deps: Deps): Promise<readonly TrustNews[]> {
  const news = await trustNews(only, deps);
  await withIndices(only, deps, async ({ alias, entry }) => {
    const stored = await storedOf(deps, entry.id);
    if (stored === null) throw new ImprintError("NEVER_SYNCED", `Cannot accept ${alias}: its index was never verified on this machine`);
    await acceptState(deps, entry.id, stored);
  });
  return news;
}

async function newsSince(
  { alias, reader }: OpenIndex,
  { files }: Consumer,
  accepted: StoredState,
  stored: StoredState,
): Promise<IndexNews> {
  const claims = (name: PackageName): boolean => {
    const source = sourceOf(files.project, name);
    return source.kind === "index" && source.alias === alias;
  };
  const roots = rootsSince(accepted.state.roots, stored.state.roots);
  try {
    const news = await readNews(reader, { before: accepted.state, beforeAt: accepted.at, stored }, claims);
    return news ?? { roots, packages: [], added: null, more: null };
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return { roots, packages: [], added: null, more: null }; // the host is not there: the roots are
  }
}

function rootsSince(before: RootChain, after: RootChain): IndexNews["roots"] {
  return after
    .slice(before.length)
    .map(({ doc }, i) => ({ version: doc.version, changes: rootChanges((after[before.length + i - 1] ?? after[0]).doc, doc) }));
}

async function storedOf(deps: Deps, id: OpenIndex["entry"]["id"]): Promise<StoredState | null> {
  return (await stateStoreOf(deps, id).read())?.stored ?? null;
}

function placeOf(stored: StoredState | null): Place | null {
  if (stored === null) return null;
  const { root, seq, time } = stored.state.checkpoint.doc;
  return { root: root.version, seq, signed: time };
}

async function withIndices<T>(
  only: readonly string[],
  deps: Deps,
  work: (index: OpenIndex & { readonly alias: DisplayName }, consumer: Consumer) => Promise<T>,
): Promise<readonly T[]> {
  const consumer = await openConsumer(deps);
  try {
    const unknown = only.find((alias) => ![...consumer.indices.keys()].some((known) => known === alias));
    if (unknown !== undefined) throw new ImprintError("NOT_FOUND", `Cannot find index ${unknown}: imprint.json has no such index`);
    const results: T[] = [];
    for (const [alias, index] of consumer.indices)
      if (only.length === 0 || only.includes(alias)) results.push(await work({ ...index, alias }, consumer));
    return results;
  } finally {
    await consumer.close();
  }
}
