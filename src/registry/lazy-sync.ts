/** Sync while serving: who is asked for news, when, and what is known of the last time. */
import { ImprintError, isImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import type { IndexReader } from "../index/reader.ts";
import { staleness } from "../index/trust.ts";

/** Milliseconds after which an index that was never verified is asked again. */
const FIRST_RETRY_MS = 5000;
/** Milliseconds between two questions for what was not there. */
const AGAIN_MS = 2000;

/**
 * Resolves to null where the state is as fresh as was asked for, else to why the last verified one must do.
 *
 * @throws ImprintError where there is none
 */
export type LazySync = ((alias: DisplayName, reader: IndexReader) => Promise<ImprintError | null>) & {
  /** Made now; tells later whether no sync has been due or done since. */
  holds(alias: DisplayName): () => boolean;
  /** Asks the host although a sync is not due, at most every few seconds; false where that was not done. Never throws. */
  again(alias: DisplayName, reader: IndexReader): Promise<boolean>;
};

/**
 * Sync while serving: the first request for an index's name after `syncAfterMs` waits for a sync, at most `syncWaitMs`;
 * then the last verified state answers. One flight an index, no network before the first request.
 */
export function lazySyncer(options: {
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  /** An index is asked again when it was last synced longer ago than this. */
  readonly syncAfterMs: number;
  /** How long a request waits for that before the last verified state answers. */
  readonly syncWaitMs: number;
  /** Nothing older than what was asked for answers, and nothing stale: that is thrown, as a fault that clients do not wait for. */
  readonly strict?: {
    /** Unix time in milliseconds. */ readonly wallMs: () => number;
    readonly maxAgeDays: (alias: DisplayName) => number | undefined;
  };
  readonly warned: (alias: DisplayName, message: string) => void;
}): LazySync {
  const { nowMs, syncAfterMs, syncWaitMs, strict, warned } = options;
  const last = new Map<DisplayName, number>();
  const flights = new Map<DisplayName, Promise<ImprintError | null>>();
  /** Of the last time: why the host gave no news. */
  const faults = new Map<DisplayName, ImprintError | null>();
  const firstFailures = new Map<DisplayName, { readonly at: number; readonly error: unknown }>();
  const lastSyncOf = async (reader: IndexReader): Promise<number | null> => {
    const since = await reader.sinceSyncMs();
    return since === null ? null : nowMs() - since;
  };
  const sync = async (alias: DisplayName, reader: IndexReader): Promise<ImprintError | null> => {
    const at = last.get(alias) ?? (await lastSyncOf(reader));
    if (at !== null && nowMs() - at < syncAfterMs) {
      last.set(alias, at);
      return faults.get(alias) ?? null;
    }
    const believed = await reader.current();
    // Nothing was ever verified: the answer stays what it was (403 stops clients, 503 lets them come back), and the host
    // is asked again soon, because clients do come back.
    const failed = firstFailures.get(alias);
    if (believed === null && failed !== undefined && nowMs() - failed.at < Math.min(syncAfterMs, FIRST_RETRY_MS)) throw failed.error;
    let flight = flights.get(alias);
    if (flight === undefined) {
      flight = syncOnce(alias, reader, believed === null, warned)
        .then(
          (fault) => {
            last.set(alias, nowMs());
            faults.set(alias, fault);
            return fault;
          },
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
    const outcome = await Promise.race([flight, timeout]);
    clearTimeout(timer);
    if (outcome !== "late") return outcome;
    const fault = new ImprintError("TIMED_OUT", `Cannot ask for news of ${alias}: its host is slow`);
    last.set(alias, nowMs());
    faults.set(alias, fault);
    warned(alias, `its host is slow; answering from the state signed ${believed.checkpoint.doc.time}`);
    return fault;
  };
  type Strict = NonNullable<typeof strict>;
  const strictly =
    ({ wallMs, maxAgeDays }: Strict) =>
    async (alias: DisplayName, reader: IndexReader): Promise<null> => {
      const fault = await sync(alias, reader);
      if (fault !== null)
        throw new ImprintError("STRICT", `Cannot answer for ${alias} under --strict: ${fault.message} (${fault.code})`, { cause: fault });
      const state = await reader.current();
      const why = state === null ? null : staleness(state, wallMs(), maxAgeDays(alias));
      if (why !== null) throw new ImprintError("STRICT", `Cannot answer for ${alias} under --strict: it is stale, ${why}`);
      return null;
    };
  return Object.assign(strict === undefined ? sync : strictly(strict), {
    holds: (alias: DisplayName) => {
      const at = last.get(alias);
      return () => at !== undefined && last.get(alias) === at && nowMs() - at < syncAfterMs;
    },
    async again(alias: DisplayName, reader: IndexReader) {
      const at = last.get(alias) ?? (await lastSyncOf(reader));
      if (at !== null && nowMs() - at < AGAIN_MS) return false;
      last.set(alias, Number.NEGATIVE_INFINITY);
      try {
        await sync(alias, reader);
        return true;
      } catch (error) {
        if (!isImprintError(error)) throw error;
        return false;
      }
    },
  });
}

async function syncOnce(
  alias: DisplayName,
  reader: IndexReader,
  first: boolean,
  warned: (alias: DisplayName, message: string) => void,
): Promise<ImprintError | null> {
  try {
    await reader.sync();
    return null;
  } catch (error) {
    if (!isImprintError(error)) throw error;
    if (first)
      throw error.httpStatus === 503
        ? new ImprintError("NEVER_SYNCED", `Cannot answer for ${alias}: never verified here, and ${error.message}`, { cause: error })
        : error;
    const believed = await reader.current();
    warned(alias, `${error.message} (${error.code}); answering from the state signed ${believed?.checkpoint.doc.time ?? "before"}`);
    return error;
  }
}
