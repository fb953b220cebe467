/** The embedded git: a cold sync of the largest index that it promises to be good for, time and peak memory. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { startGitHost } from "../../test/support/git-host.ts";
import { generateIndex } from "./generate.ts";
import { budget, line, median } from "./measure.ts";
import { BIN } from "./run.ts";

const SIZE = { packages: 1000, releasesEach: 5 };
const ROUNDS = 5;
const SAMPLE_EVERY_MS = 10;

type Run = { readonly ms: number; readonly peakMiB: number };

/** One command without git, and the most memory that it ever held (Linux says so as long as it runs). */
async function run(args: readonly string[], cwd: string, home: string): Promise<Run> {
  const started = performance.now();
  const child = spawn(process.execPath, [BIN, ...args], {
    cwd,
    env: { ...process.env, IMPRINT_HOME: home, IMPRINT_GIT: "isomorphic" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  let peak = 0;
  const sampler = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${String(child.pid)}/status`, "utf8");
      peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
    } catch {
      // it has ended, or this is no Linux
    }
  }, SAMPLE_EVERY_MS);
  const [code] = (await once(child, "exit")) as [number | null];
  clearInterval(sampler);
  if (code !== 0) throw new Error(`imprint ${args.join(" ")} ended with ${String(code)}`);
  return { ms: performance.now() - started, peakMiB: peak / 1024 };
}

export async function benchEmbedded(): Promise<void> {
  console.log(`embedded: an index of ${SIZE.packages} packages and ${SIZE.packages * SIZE.releasesEach} releases, without git`);
  const world = mkdtempSync(path.join(tmpdir(), "imprint-bench-embedded-"));
  const hosted = path.join(world, "host");
  mkdirSync(hosted);
  const host = await startGitHost({ root: hosted });
  try {
    const { id, sample } = await generateIndex(hosted, "bench.git", SIZE);
    const url = host.url("bench.git");
    const cwd = path.join(world, "shop");
    mkdirSync(cwd);
    writeFileSync(
      path.join(cwd, "imprint.json"),
      JSON.stringify({ format: 1, indices: { bench: { id, urls: [url], packages: ["@bench/*"] } } }),
    );
    const home = path.join(world, "home");
    const runs: Record<string, Run[]> = { "cold sync": [], "sync of nothing new": [], "why, one package": [], verify: [] };
    for (let round = 0; round < ROUNDS; round++) {
      rmSync(home, { recursive: true, force: true });
      runs["cold sync"]?.push(await run(["sync"], cwd, home));
      runs["sync of nothing new"]?.push(await run(["sync"], cwd, home));
      runs["why, one package"]?.push(await run(["why", sample], cwd, home));
      runs["verify"]?.push(await run(["verify", `${url}#${id}`], cwd, home));
    }
    for (const [label, values] of Object.entries(runs)) {
      line(
        label,
        values.map(({ ms }) => ms),
      );
      line(
        `${label}, peak memory`,
        values.map(({ peakMiB }) => peakMiB),
        "MiB",
      );
    }
    budget("cold sync", median((runs["cold sync"] ?? []).map(({ ms }) => ms)), 2000, "ms");
    budget("its peak memory", median((runs["cold sync"] ?? []).map(({ peakMiB }) => peakMiB)), 200, "MiB");
  } finally {
    await host.close();
    rmSync(world, { recursive: true, force: true });
  }
}
