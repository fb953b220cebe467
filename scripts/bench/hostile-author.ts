/**
 * A trusted author turns hostile (THREATS R1): their packages are validly signed and hold too much. This measures the
 * resolver's memory, and how long requests for packages of others take meanwhile.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { publishHostile } from "../../test/support/hostile-package.ts";
import { world } from "../../test/support/world.ts";
import { budget } from "./measure.ts";
import { type Running, startImprint } from "./servers/start.ts";

const MEMORY_BUDGET_MB = 400;
const LATENCY_BUDGET = 3;
const QUIET_MS = 5000;
const CONNECTIONS = 4;
const OWN = 40;

/** Packages that a client asks for at once. */
const AT_ONCE = 12;
/** Each is valid; the first two, and those of the last row, are within what a package may hold, the others beyond it. */
const HOSTILE = {
  "32 releases of 1 MB": [{ name: "@mallory/full", count: 32, textBytes: 1_040_000 }],
  "20,000 releases of 1.2 KB": [{ name: "@mallory/many", count: 20_000, textBytes: 300 }],
  "2,500 releases of 980 KB": [{ name: "@mallory/heavy", count: 2500, textBytes: 980_000 }],
  "30,000 releases": [{ name: "@mallory/more", count: 30_000, textBytes: 1 }],
  "12 packages of 32 releases of 1 MB": Array.from({ length: AT_ONCE }, (_, i) => ({
    name: `@mallory/crowd${String(i)}`,
    count: 32,
    textBytes: 1_040_000,
  })),
} as const;

export async function benchHostileAuthor(): Promise<void> {
  console.log("hostile-author: one resolver, packages of one author beside those of another");
  const w = await world();
  let imprint: Running | null = null;
  try {
    const [alice, mallory] = [await w.index("alice"), await w.index("mallory")];
    for (let i = 0; i < OWN; i++) await alice.publish(`@alice/p${String(i)}`, "1.0.0");
    for (const one of Object.values(HOSTILE).flat()) await publishHostile(mallory, one.name, one);
    const project = await w.projectFolder("shop", { indices: { alice: { index: alice }, mallory: { index: mallory } } });
    imprint = await startImprint(project, path.join(w.folder, "home"));
    const { base, pid } = imprint;
    await fetchAll(base);
    const quiet = await latencies(base, new Promise((resolve) => setTimeout(resolve, QUIET_MS)));
    const before = peakMb(pid);
    console.log(`  quiet: ${said(quiet)}; peak ${before.toFixed(0)} MB`);
    let worst = 0;
    for (const [what, packages] of Object.entries(HOSTILE)) {
      const began = performance.now();
      const asked = Promise.all(
        packages.flatMap(({ name }) => [
          get(`${base}/${name.replace("/", "%2f")}`),
          get(`${base}/${name.replace("/", "%2f")}`, ABBREVIATED),
        ]),
      );
      const meanwhile = await latencies(base, Promise.all([asked, new Promise((resolve) => setTimeout(resolve, 2000))]));
      const [answer] = await asked;
      const ratio = percentile(meanwhile, 0.99) / percentile(quiet, 0.99);
      worst = Math.max(worst, ratio);
      console.log(
        `  ${what}: answered ${String(answer)} after ${((performance.now() - began) / 1000).toFixed(1)} s; others meanwhile ${said(meanwhile)}, p99 ${ratio.toFixed(1)} ×; peak ${peakMb(pid).toFixed(0)} MB`,
      );
    }
    budget("resident memory at its peak", peakMb(pid), MEMORY_BUDGET_MB, "MB");
    budget("p99 of other packages, worst ÷ quiet", worst, LATENCY_BUDGET, "×");
  } finally {
    await imprint?.stop();
    await w.close();
  }
}

const ABBREVIATED = { accept: "application/vnd.npm.install-v1+json" };

async function get(url: string, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  const answer = await fetch(url, { headers: { "accept-encoding": "gzip", ...headers } });
  // Not kept: what is measured is the resolver.
  for await (const _ of answer.body ?? []);
  return answer.status;
}

const own = (base: string, i: number): string => `${base}/@alice%2fp${String(i % OWN)}`;

async function fetchAll(base: string): Promise<void> {
  for (let i = 0; i < OWN; i++) await get(own(base, i));
}

/** Milliseconds of each request for others' packages, until `ended`. */
async function latencies(base: string, ended: Promise<unknown>): Promise<readonly number[]> {
  let isOver = false;
  void ended.finally(() => (isOver = true));
  const samples: number[] = [];
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, connection) => {
      for (let i = connection; !isOver; i++) {
        const began = performance.now();
        await get(own(base, i));
        samples.push(performance.now() - began);
      }
    }),
  );
  return samples;
}

function percentile(values: readonly number[], of: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * of))] ?? Number.NaN;
}

function said(values: readonly number[]): string {
  return `${String(values.length)} requests, p50 ${percentile(values, 0.5).toFixed(2)} ms, p99 ${percentile(values, 0.99).toFixed(2)} ms, longest ${Math.max(...values).toFixed(0)} ms`;
}

/** The most that a process had in memory so far. Linux says it; elsewhere 0. */
function peakMb(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${String(pid)}/status`, "utf8"))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
