/**
 * `verifyPackages` on all cores. Each worker opens the index for itself and proves it from the first root again: what is handed
 * over are names and hashes, and reports come back.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { ListedRecord, PackagesReport } from "./verify-packages.ts";
import type { TrustedState } from "../index/trust.ts";

/** Where a worker finds the index's files. */
export type Place =
  | { readonly kind: "git"; readonly gitDir: string; readonly commit: string }
  | { readonly kind: "folder"; readonly folder: string };

export type WorkerData = {
  readonly place: Place;
  readonly id: string;
  readonly roots: readonly Uint8Array[];
  readonly checkpoint: Uint8Array;
};
export type Job = { readonly number: number; readonly records: readonly ListedRecord[] };
export type Answer = { readonly number: number; readonly report: PackagesReport };

export type Pool = {
  /** Packages below which one core is done sooner than another one has started. */
  readonly atLeast: number;
  readonly workers: number;
};

export const POOL: Pool = { atLeast: 400, workers: availableParallelism() };

/** Packages of one job at most: their files are in memory at once. */
const MAX_JOB = 500;

/**
 * @param onReport for each job as it ends, in any order
 * @throws whatever a worker throws that is not a fault of the index
 */
export async function verifyOnAllCores(
  place: Place,
  state: TrustedState,
  records: readonly ListedRecord[],
  workers: number,
  onReport: (report: PackagesReport, packages: number) => void,
): Promise<void> {
  const jobs: Job[] = [];
  // Several for each core, so that all end together.
  const size = Math.min(MAX_JOB, Math.ceil(records.length / (workers * 8)));
  for (let at = 0; at < records.length; at += size) jobs.push({ number: jobs.length, records: records.slice(at, at + size) });
  const workerData: WorkerData = {
    place,
    id: state.id,
    roots: state.roots.map(({ bytes }) => bytes),
    checkpoint: state.checkpoint.bytes,
  };
  const queue = jobs.values();
  const run = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL("./verify-worker.js", import.meta.url), {
        workerData,
        // What a document leaves behind is dead as soon as it is judged: room for many of them costs less than tidying up after each.
        resourceLimits: { maxYoungGenerationSizeMb: 64 },
      });
      const next = (): void => {
        const { value, done } = queue.next();
        worker.postMessage(done === true ? null : value);
      };
      worker.on("message", ({ number, report }: Answer) => {
        onReport(report, jobs[number]?.records.length ?? 0);
        next();
      });
      worker.once("error", reject);
      worker.once("exit", (code) => (code === 0 ? resolve() : reject(new Error(`a verifying thread ended with ${code}`))));
      next();
      // The second keeps it busy while the first one's answer is on its way.
      next();
    });
  await Promise.all(Array.from({ length: Math.min(workers, jobs.length) }, run));
}
