/** Runs cases one after the other, counts how they end, and stops at the first that ends as none may. */
import { writeSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { openAdapters } from "./adapters.ts";
import { indexCase } from "./cases.ts";
import { type FileMap, type Honest, makeHonest } from "./honest.ts";
import { type Ending, judgeIndex } from "./oracle.ts";
import { judgePack, packCase } from "./packs.ts";
import { randomOf, seedOfCase } from "./random.ts";
import { judgeTarball, tarballCase } from "./tarballs.ts";

export type FuzzOptions = {
  /** 32 bits. */
  readonly seed: number;
  /** Cases in memory. */
  readonly count: number;
  /** Cases through the adapters, beside them. */
  readonly adapterCount: number;
  /** Only this one. */
  readonly only?: number | undefined;
  /** Stop after so many. */
  readonly maxMs?: number | undefined;
  readonly progress?: (done: number, keptBytes: number) => void;
};
export type FuzzFailure = {
  readonly n: number;
  readonly family: string;
  readonly how: readonly string[];
  readonly error: unknown;
  /** Of an index in memory: what the reader was given. */ readonly files: FileMap | null;
};
export type FuzzReport = {
  readonly cases: number;
  readonly adapterCases: number;
  /** Family → cases. */
  readonly families: ReadonlyMap<string, number>;
  /** Change, without the file that it was made to → cases. */
  readonly changes: ReadonlyMap<string, number>;
  /** How readings ended → readings. */
  readonly endings: ReadonlyMap<Ending, number>;
  readonly ms: number;
  readonly slowestMs: number;
  /** Bytes of the heap that were kept, after a collection. */
  readonly keptBytes: number;
  readonly failure: FuzzFailure | null;
};

/** One case in memory may take so long; through git processes on a busy machine, so long. */
const MAX_CASE_MS = 2000;
const MAX_ADAPTER_MS = 20_000;
const MAX_KEPT_BYTES = 64 * 1024 * 1024;
const BATCH = 5000;

type Case = { readonly family: string; readonly how: readonly string[]; readonly files?: FileMap; run(): Promise<readonly Ending[]> };

/** Cases in memory: of every ten, seven of the index, two of its tarballs, one of its packs. */
function memoryCase(honest: Honest, seed: number, n: number, steps?: readonly number[]): Case {
  const own = seedOfCase(seed, n);
  const random = randomOf(own);
  const which = random.int(10);
  const inner = random.int(2 ** 32);
  if (which >= 8) {
    const one = tarballCase(honest, inner);
    return { family: "tarball", how: [one.how], run: () => judgeTarball(one) };
  }
  if (which === 7) {
    const one = packCase(random.pick(honest.states).files, inner);
    return { family: "git objects", how: one.how, run: () => judgePack(one) };
  }
  const one = indexCase(honest, inner, steps);
  return { family: one.family, how: one.how, files: one.files, run: () => judgeIndex(honest, one, random) };
}

export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { seed, count, adapterCount, only, maxMs = Number.POSITIVE_INFINITY, progress } = options;
  const honest = await makeHonest();
  const counts = { families: new Map<string, number>(), changes: new Map<string, number>(), endings: new Map<string, number>() };
  const started = performance.now();
  const collect = collector();
  const watch = watchdog(seed);
  let [cases, adapterCases, slowestMs, keptBytes] = [0, 0, 0, 0];
  let failure: FuzzFailure | null = null;

  const tell = (n: number, one: Case, limitMs: number): Promise<void> =>
    attempt(one, limitMs).then(({ endings, ms, error }) => {
      slowestMs = Math.max(slowestMs, ms);
      add(counts.families, one.family);
      for (const how of one.how) add(counts.changes, how.replace(/(?: in |: | for | of the ).*$/u, ""));
      for (const ending of endings) add(counts.endings, ending);
      if (error !== null) failure = { n, family: one.family, how: one.how, error, files: one.files ?? null };
    });

  const isOver = (): boolean => failure !== null || performance.now() - started > maxMs;
  const numbers = (from: number, many: number): readonly number[] =>
    only === undefined ? Array.from({ length: many }, (_, i) => from + i) : [only].filter((n) => n >= from && n < from + many);
  let baseline = 0;
  for (const n of numbers(0, count)) {
    if (isOver()) break;
    watch.at(n);
    await tell(n, memoryCase(honest, seed, n), MAX_CASE_MS);
    cases++;
    if (failure !== null && (failure as FuzzFailure).family !== "tarball") failure = await smaller(honest, seed, failure);
    if (cases % BATCH !== 0) continue;
    const used = collect();
    baseline ||= used; // the first batch warms caches up
    keptBytes = Math.max(keptBytes, used - baseline);
    progress?.(cases, used - baseline);
    if (keptBytes > MAX_KEPT_BYTES)
      failure ??= {
        n,
        family: "memory",
        how: [`cases ${String(n - BATCH)} to ${String(n)}`],
        error: new Error(`${String(keptBytes)} bytes were kept`),
        files: null,
      };
  }
  if (!isOver() && adapterCount > 0) {
    const adapters = await openAdapters(honest);
    try {
      for (const n of numbers(count, adapterCount)) {
        if (isOver()) break;
        watch.at(n);
        const one = adapters.caseOf(seedOfCase(seed, n));
        await tell(n, { family: one.adapter, how: one.how, run: () => one.run() }, MAX_ADAPTER_MS);
        adapterCases++;
      }
    } finally {
      await adapters.close();
    }
  }
  await watch.close();
  return { cases, adapterCases, ...counts, ms: performance.now() - started, slowestMs, keptBytes, failure };
}

async function attempt(
  one: Case,
  limitMs: number,
): Promise<{ readonly endings: readonly Ending[]; readonly ms: number; readonly error: unknown }> {
  const started = performance.now();
  try {
    const endings = await one.run();
    const ms = performance.now() - started;
    return { endings, ms, error: ms > limitMs ? new Error(`it took ${String(Math.round(ms))} ms`) : null };
  } catch (error) {
    return { endings: [], ms: performance.now() - started, error };
  }
}

/** The same failure with fewer mutations, if it fails with fewer. */
async function smaller(honest: Honest, seed: number, failure: FuzzFailure): Promise<FuzzFailure> {
  for (const steps of [[0], [1], [2], [0, 1], [0, 2], [1, 2]]) {
    const one = memoryCase(honest, seed, failure.n, steps);
    if (one.how.length === 0 || one.how.length >= failure.how.length) continue;
    const { error } = await attempt(one, MAX_CASE_MS);
    if (error !== null) return { ...failure, how: one.how, error, files: one.files ?? null };
  }
  return failure;
}

function add(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

/** Bytes of the heap and of buffers after a collection. */
function collector(): () => number {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  return () => {
    gc();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
}

/** An endless loop ends no promise: a thread watches, names the case and ends the process. */
function watchdog(seed: number): { at(n: number): void; close(): Promise<void> } {
  const shared = new Int32Array(new SharedArrayBuffer(4));
  const source = `
    const { workerData } = require("node:worker_threads");
    let [last, since] = [-1, Date.now()];
    setInterval(() => {
      const now = Atomics.load(workerData.shared, 0);
      if (now !== last) [last, since] = [now, Date.now()];
      else if (Date.now() - since > 60000) {
        require("node:fs").writeSync(2, "✗ case " + now + " of seed " + workerData.seed + " hangs\\n");
        process.kill(process.pid, "SIGKILL");
      }
    }, 1000);`;
  const worker = new Worker(source, { eval: true, workerData: { shared, seed } });
  worker.unref();
  worker.on("error", (error) => void writeSync(2, `✗ the watchdog ended: ${String(error)}\n`));
  return {
    at: (n) => void Atomics.store(shared, 0, n),
    close: async () => void (await worker.terminate()),
  };
}
