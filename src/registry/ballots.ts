/** Asks the indices of an agreement. None of them stops the others: one that fails has no vote, and what is remembered of it still denies. */
import { ImprintError, isImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import type { PackageName } from "../format/names.ts";
import type { Project } from "../format/project.ts";
import type { Agreement } from "../format/several-sources.ts";
import type { IndexReader, PackageRead } from "../index/reader.ts";
import { newestRoot } from "../index/trust.ts";
import type { Ballot } from "./agree.ts";
import type { LazySync } from "./lazy-sync.ts";

export type BallotDeps = {
  readonly project: Project;
  readonly indices: ReadonlyMap<DisplayName, { readonly reader: IndexReader }>;
  /** Asks hosts for news first. Without it what was verified last has the vote. */
  readonly lazySync?: LazySync;
};

export type ReadBallot = Ballot & {
  /** Changes whenever what it says may. */
  readonly key: string;
  /** Whether no news of its index were due or had since it was asked. */
  readonly isSynced: () => boolean;
};

export function readBallots(name: PackageName, agreement: Agreement, deps: BallotDeps): Promise<readonly ReadBallot[]> {
  return Promise.all(askBallots(name, agreement, deps));
}

/** In the order of `of`. */
export function askBallots(name: PackageName, { of }: Agreement, deps: BallotDeps): readonly Promise<ReadBallot>[] {
  return of.map((alias) => readBallot(name, alias, deps));
}

type About = { readonly name: PackageName; readonly agreement: Agreement; readonly indices: BallotDeps["indices"] };

/**
 * Waits `waitMs` for the ballots of all indices, then for one further ballot at a time until `isEnough` is true. An index that
 * never answers therefore delays only what cannot be decided without it. A missing ballot has no vote, but the remembered
 * record of its index still denies versions.
 */
export async function ballotsUntil(
  isEnough: (ballots: readonly ReadBallot[]) => boolean,
  waitMs: number,
  asked: readonly Promise<ReadBallot>[],
  about: About,
): Promise<readonly ReadBallot[]> {
  const pending = new Set<Promise<void>>();
  for (const ballot of asked) {
    const remove = (): void => void pending.delete(settled);
    const settled: Promise<void> = ballot.then(remove, remove);
    pending.add(settled);
  }
  let left = pending.size;
  let ballots = await ballotsWithin(waitMs, asked, about);
  while (!isEnough(ballots) && (pending.size > 0 || pending.size < left)) {
    // One that came in while the others were counted is counted next, and waited for no more.
    if (pending.size === left) await Promise.race(pending);
    left = pending.size;
    ballots = await ballotsWithin(0, asked, about);
  }
  return ballots;
}

export async function ballotsWithin(
  waitMs: number,
  asked: readonly Promise<ReadBallot>[],
  { name, agreement: { of }, indices }: About,
): Promise<readonly ReadBallot[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), waitMs);
  });
  try {
    return await Promise.all(
      asked.map(async (ballot, i) => {
        const alias = of[i] as DisplayName;
        return (await Promise.race([ballot, late])) ?? lateBallot(name, alias, indices.get(alias)?.reader);
      }),
    );
  } finally {
    clearTimeout(timer);
  }
}

async function lateBallot(name: PackageName, alias: DisplayName, reader: IndexReader | undefined): Promise<ReadBallot> {
  const record = reader === undefined ? null : await remembered(reader, name);
  const state = (await reader?.current().catch(() => null)) ?? null;
  const failure = new ImprintError(state === null ? "NEVER_SYNCED" : "TIMED_OUT", `Cannot answer for ${alias}: its host is slow`);
  const key = `${alias} late ${record?.revision ?? ""}`;
  return { alias, view: null, since: new Map(), record, failure, minAgeHours: 0, key, isSynced: never };
}

async function readBallot(name: PackageName, alias: DisplayName, { project, indices, lazySync }: BallotDeps): Promise<ReadBallot> {
  const reader = indices.get(alias)?.reader;
  // `parseProject` has made sure that imprint.json has it.
  if (reader === undefined) throw new Error(`index ${alias} is not open`);
  let read: PackageRead | null = null;
  let failure: ImprintError | null = null;
  let isSynced = never;
  try {
    failure = (await lazySync?.(alias, reader)) ?? null;
    // Before anything is read: news that come meanwhile are not in it.
    isSynced = lazySync?.holds(alias) ?? never;
    read = await reader.readPackage(name);
    failure ??= read.fault;
  } catch (error) {
    if (!isImprintError(error)) throw error;
    failure = error;
    read = null;
  }
  // Whoever works offline takes what was verified before.
  if (failure?.code === "OFFLINE" && read !== null) failure = null;
  const view = read?.view ?? null;
  const record = view?.record.doc ?? (await remembered(reader, name));
  const state = await reader.current().catch(() => null);
  const root = state === null ? "" : newestRoot(state.roots).digest;
  const key = [alias, failure === null ? "votes" : "", root, view?.record.digest ?? "", record?.revision ?? ""].join(" ");
  const minAgeHours = project.indices.get(alias)?.minAgeHours ?? 0;
  return { alias, view, since: read?.since ?? new Map(), record, failure, minAgeHours, key, isSynced };
}

function never(): boolean {
  return false;
}

async function remembered(reader: IndexReader, name: PackageName): Promise<Ballot["record"]> {
  try {
    return await reader.remembered(name);
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return null; // it is damaged, or needs a newer root: the failure that led here is told
  }
}
