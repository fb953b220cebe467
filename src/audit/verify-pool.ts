/**
 * `verifyPackages` on all cores. This thread reads, since a source and what it keeps are best asked by one; the others judge. Each
 * proves the index from the first root again: what is handed over are bytes, names and hashes, and reports come back.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { packFiles, type Files } from "./verify-files.ts";
import {
  FILES_AT_ONCE,
  type ListedRecord,
  type PackagesReport,
  recordRequests,
  releaseRequests,
  verifyPackages,
} from "./verify-packages.ts";
import { type FileHash, fileHashOf } from "../format/digest.ts";
import { parseRecord } from "../format/record.ts";
import type { FileRead } from "../git/port.ts";
import type { FileRequest, Snapshot } from "../index/source.ts";
import type { TrustedState } from "../index/trust.ts";
import { isImprintError } from "../errors.ts";

export type WorkerData = {
  readonly id: string;
  readonly roots: readonly Uint8Array[];
  readonly checkpoint: Uint8Array;
};
export type Job = { readonly records: readonly ListedRecord[]; readonly files: Files };

export type Pool = {
  /** Packages below which one core is done sooner than another one has started. */
  readonly atLeast: number;
  readonly workers: number;
};

export const POOL: Pool = { atLeast: 400, workers: availableParallelism() };

/** Records that are read at once. */
const RECORDS = 500;
/** Packages of one job at most, so that all threads end together. */
const MAX_JOB = 100;
/** The second keeps a thread busy while the next is read. */
const JOBS_EACH = 2;

/**
 * @param onReport for each job as it ends, in any order
 * @throws whatever a worker throws that is not a fault of the index
 */
export async function verifyOnAllCores(
  snapshot: Snapshot,
  state: TrustedState,
  records: readonly ListedRecord[],
  workers: number,
  onReport: (report: PackagesReport, packages: number) => void,
): Promise<void> {
  const workerData: WorkerData = { id: state.id, roots: state.roots.map(({ bytes }) => bytes), checkpoint: state.checkpoint.bytes };
  const size = Math.min(MAX_JOB, Math.ceil(records.length / (workers * 8)));
  const threads = Array.from({ length: Math.min(workers, Math.ceil(records.length / size)) }, () => startThread(workerData, onReport));
  try {
    for (let at = 0; at < records.length; at += RECORDS) {
      for await (const job of readJobs(snapshot, records.slice(at, at + RECORDS), size)) {
        if (job.files === null) onReport(await verifyPackages(snapshot, state, job.records, false), job.records.length);
        else {
          const thread = await Promise.race(threads.map((one) => one.ready()));
          thread.post({ records: job.records, files: job.files });
        }
      }
    }
    await Promise.all(threads.map((thread) => thread.end()));
  } finally {
    await Promise.all(threads.map((thread) => thread.stop()));
  }
}

/**
 * Packages with all that judging them will ask for. What cannot be read, or is not what was listed, is for the judge to say.
 *
 * @param size packages of one job
 * @returns jobs; without files that of a package with so many that they are better not held all at once
 */
async function* readJobs(
  snapshot: Snapshot,
  records: readonly ListedRecord[],
  size: number,
): AsyncGenerator<{ readonly records: readonly ListedRecord[]; readonly files: Files | null }> {
  const asked = recordRequests(records);
  const reads = await snapshot.readFiles(asked);
  const releases = asked.map(({ hash }, i) => releasesOf(reads[i], hash));
  const count = (i: number): number => releases[i]?.length ?? 0;
  for (let from = 0, to = 1; from < records.length; from = to++) {
    if (count(from) > FILES_AT_ONCE) {
      yield { records: records.slice(from, to), files: null };
      continue;
    }
    for (let files = count(from); to < records.length && to - from < size && files + count(to) <= FILES_AT_ONCE; to++) files += count(to);
    const requests = releases.slice(from, to).flat();
    const found = await snapshot.readFiles(requests);
    const files = packFiles([...asked.slice(from, to), ...requests], [...reads.slice(from, to), ...found]);
    yield { records: records.slice(from, to), files };
  }
}

function releasesOf(read: FileRead | undefined, hash: FileHash): readonly FileRequest[] {
  if (read?.state !== "found" || fileHashOf(read.bytes) !== hash) return [];
  try {
    return releaseRequests(parseRecord(read.bytes).doc);
  } catch (error) {
    if (isImprintError(error)) return [];
    throw error;
  }
}

type Thread = {
  /** Resolves with the thread as soon as it has room for a job. */
  ready(): Promise<Thread>;
  post(job: Job): void;
  /** Resolves once all of its jobs are done. */
  end(): Promise<void>;
  stop(): Promise<void>;
};

function startThread(workerData: WorkerData, onReport: (report: PackagesReport, packages: number) => void): Thread {
  const worker = new Worker(new URL("./verify-worker.js", import.meta.url), {
    workerData,
    // What a document leaves behind is dead as soon as it is judged: room for many of them costs less than tidying up after each.
    resourceLimits: { maxYoungGenerationSizeMb: 64 },
  });
  const running: number[] = [];
  let failure: { readonly error: unknown } | null = null;
  let changed = (): void => undefined;
  const until = async (isMet: () => boolean): Promise<void> => {
    while (!isMet()) {
      if (failure !== null) throw failure.error;
      await new Promise<void>((resolve) => {
        const before = changed;
        changed = () => {
          before();
          resolve();
        };
      });
    }
  };
  const note = (): void => {
    const wake = changed;
    changed = () => undefined;
    wake();
  };
  worker.on("message", (report: PackagesReport) => {
    onReport(report, running.shift() ?? 0);
    note();
  });
  worker.once("error", (error) => {
    failure = { error };
    note();
  });
  worker.once("exit", (code) => {
    failure ??= { error: new Error(`a verifying thread ended with ${code}`) };
    note();
  });
  const thread: Thread = {
    async ready() {
      await until(() => running.length < JOBS_EACH);
      return thread;
    },
    post(job) {
      running.push(job.records.length);
      worker.postMessage(job, [job.files.bytes.buffer]);
    },
    end: () => until(() => running.length === 0),
    async stop() {
      await worker.terminate();
    },
  };
  return thread;
}
