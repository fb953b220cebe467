/**
 * Several sources of one index: its addresses in imprint.json, and the mirrors that its root names.
 *
 * All are asked at once and each is believed as little as one alone. Of what verifies, the highest counts (reading 4);
 * whoever served less, something else or nothing is reported, never followed. A dead source costs at most `waitMs` after
 * another one has answered.
 */
import { CATALOGUE, ImprintError, isImprintError } from "../errors.ts";
import { CHECKPOINT_PATH } from "../format/paths.ts";
import type { IndexSource, Snapshot } from "./source.ts";
import { readSource, type SyncRequest, type SyncResult } from "./sync.ts";
import { compareStates, describe, requireFloor, requireOrder, type TrustedState } from "./trust.ts";

export type SourcesRequest = Omit<SyncRequest, "source"> & {
  readonly sources: readonly IndexSource[];
  /** The snapshot's place as the trusted state stores it: with several sources, which one it is from. */
  readonly locate: (snapshot: Snapshot, source: IndexSource) => string;
  /** Past all caches. */
  readonly fresh: boolean;
  /** Milliseconds for the other sources once one has given a state that may be believed. */
  readonly waitMs: number;
  /** A source that is behind, wrong, slow or not there, while another one answered or all failed. */
  readonly report: (error: ImprintError, source: string) => void;
};

type Given = { readonly source: IndexSource; readonly snapshot: Snapshot; readonly state: TrustedState };
type Failed = { readonly source: IndexSource; readonly error: ImprintError };

/**
 * Steps 1 to 5 over all sources.
 *
 * @throws ImprintError where none gives a state that may be believed: EQUIVOCATION, else what is wrong with the first
 * source that answered, else why the first could not be reached (also where all others are only behind)
 */
export async function syncSources(request: SourcesRequest): Promise<SyncResult> {
  const { store, keepEvidence, locate, report, sources } = request;
  for (;;) {
    const found = await store.read();
    const before = found?.stored.state ?? null;
    const { given, failed } = await askAll(request, before);
    for (const { error, source } of failed) {
      if (sources.length > 1) report(error, source.url);
    }
    const best = given.toSorted((a, b) => compareStates(b.state, a.state))[0];
    if (best === undefined) throw worstOf(failed);
    for (const one of given) {
      const order = compareStates(one.state, best.state);
      if (order < 0)
        report(
          new ImprintError("ROLLBACK", `Cannot use its ${describe(one.state)}: another source serves ${describe(best.state)}`, STEP_4),
          one.source.url,
        );
      if (order === 0 && one.state.checkpoint.digest !== best.state.checkpoint.digest) {
        await keepEvidence([best.state.checkpoint.bytes, one.state.checkpoint.bytes]);
        throw new ImprintError(
          "EQUIVOCATION",
          `Cannot trust index: ${best.source.url} and ${one.source.url} serve two signed checkpoints with the same ${describe(best.state)}`,
          STEP_4,
        );
      }
    }
    const { state, snapshot, source } = best;
    const stored = { state, at: locate(snapshot, source) };
    const changed = before === null || compareStates(state, before) > 0;
    const result = { stored, before, beforeAt: found?.stored.at ?? null, changed };
    if (!changed && found?.stored.at === stored.at) return result;
    try {
      await store.swap(found?.generation ?? null, stored);
      return result;
    } catch (error) {
      // Another resolver was faster: judge again, against what it has proven.
      if (!isImprintError(error, "STATE_CHANGED")) throw error;
    }
  }
}

/**
 * @throws ImprintError of steps 1 to 5: UNREACHABLE, NOT_AN_INDEX, WRONG_ID, BAD_SIGNATURE, ROLLBACK, EQUIVOCATION, …
 */
export function syncIndex({ source, ...request }: SyncRequest): Promise<SyncResult> {
  return syncSources({ ...request, sources: [source], locate: ({ at }) => at, fresh: false, waitMs: 0, report: () => {} });
}

const STEP_4 = { file: CHECKPOINT_PATH, step: "reading 4" } as const;

async function askAll(
  request: SourcesRequest,
  before: TrustedState | null,
): Promise<{ readonly given: readonly Given[]; readonly failed: readonly Failed[] }> {
  const { sources, waitMs } = request;
  const given: Given[] = [];
  const failed: Failed[] = [];
  let onFirst = (): void => {};
  const first = new Promise<void>((resolve) => (onFirst = resolve));
  const asked = sources.map(async (source) => {
    try {
      given.push(await askOne(source, request, before));
      onFirst();
    } catch (error) {
      if (!isImprintError(error)) throw error;
      failed.push({ source, error });
    }
  });
  const all = Promise.all(asked);
  let timer: NodeJS.Timeout | undefined;
  let isDone = false;
  const late = first.then(
    () =>
      new Promise<void>((resolve) => {
        if (isDone) resolve();
        else timer = setTimeout(resolve, waitMs);
      }),
  );
  await (sources.length === 1 ? all : Promise.race([all, late]));
  isDone = true;
  clearTimeout(timer);
  all.catch(() => undefined); // who is late fails unheard
  // From here on these lists belong to this call: who is late changes nothing any more.
  const answered = new Set([...given, ...failed].map(({ source }) => source));
  const slow = sources
    .filter((source) => !answered.has(source))
    .map((source): Failed => ({
      source,
      error: new ImprintError("TIMED_OUT", `Cannot wait for it any longer: another source has answered`),
    }));
  const inOrder = <T extends { readonly source: IndexSource }>(list: readonly T[]): readonly T[] =>
    list.toSorted((a, b) => sources.indexOf(a.source) - sources.indexOf(b.source));
  return { given: inOrder(given), failed: inOrder([...failed, ...slow]) };
}

async function askOne(source: IndexSource, request: SourcesRequest, before: TrustedState | null): Promise<Given> {
  const { id, lock, keepEvidence, fresh } = request;
  const { snapshot, state } = await readSource(source, id, before, fresh);
  if (before !== null) {
    try {
      requireOrder(before, state);
    } catch (error) {
      if (isImprintError(error, "EQUIVOCATION")) await keepEvidence([before.checkpoint.bytes, state.checkpoint.bytes]);
      throw error;
    }
  }
  if (lock !== null) requireFloor(state, lock);
  return { source, snapshot, state };
}

const TRUST_EXIT = 4;
const NETWORK = ["UNREACHABLE", "TIMED_OUT", "OFFLINE", "GIT_MISSING"] as const;

/**
 * What is said of an index that no source gave. A mirror that is behind while the first address is down has no news: that
 * is no attack that anybody would have to look into. The address is named where there are several, and for what nobody honest
 * serves always.
 */
function worstOf(failed: readonly Failed[]): ImprintError {
  const [first] = failed;
  if (first === undefined) return new ImprintError("CONFIG_INVALID", "Cannot read index: it has no address");
  const isNetwork = ({ error }: Failed): boolean => isImprintError(error, ...NETWORK);
  const isBehind = ({ error }: Failed): boolean => isImprintError(error, "ROLLBACK");
  const worst =
    failed.find(({ error }) => error.code === "EQUIVOCATION") ??
    failed.find((one) => !isNetwork(one) && !(isBehind(one) && isNetwork(first))) ??
    first;
  const { error, source } = worst;
  const isPlain = failed.length === 1 && CATALOGUE[error.code].exit !== TRUST_EXIT;
  if (isPlain || error.message.includes(source.url)) return error;
  const { step, file } = error;
  const place = { ...(step === undefined ? {} : { step }), ...(file === undefined ? {} : { file }) };
  return new ImprintError(error.code, `${error.message}, at ${source.url}`, { cause: error, ...place });
}
