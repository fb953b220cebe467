/** Opening a large index: its sync against git's own shallow clone, the first packument after a start, resident memory. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { startGitHost } from "../../test/support/git-host.ts";
import { generateIndex } from "./generate.ts";
import { benchMillion } from "./million.ts";
import { alternate, budget, line, median, timeCommand } from "./measure.ts";
import { BIN } from "./run.ts";

const SIZE = { packages: 20_000, releasesEach: 5 };
const ROUNDS = 5;

export async function benchOpen(): Promise<void> {
  console.log(`open: an index of ${SIZE.packages} packages and ${SIZE.packages * SIZE.releasesEach} releases`);
  const world = mkdtempSync(path.join(tmpdir(), "imprint-bench-open-"));
  const hosted = path.join(world, "host");
  mkdirSync(hosted);
  const [filtering, plain] = [await startGitHost({ root: hosted }), await startGitHost({ root: hosted, filter: false })];
  try {
    const started = performance.now();
    const { id, sample } = await generateIndex(hosted, "bench.git", SIZE);
    console.log(`  generated in ${((performance.now() - started) / 1000).toFixed(1)} s`);
    await benchSync(world, id, filtering.url("bench.git"), plain.url("bench.git"));
    await benchFirst(world, sample);
  } finally {
    await Promise.all([filtering.close(), plain.close()]);
    rmSync(world, { recursive: true, force: true });
  }
  await benchMillion();
}

function project(world: string, name: string, url: string, id: string): string {
  const folder = path.join(world, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    path.join(folder, "imprint.json"),
    JSON.stringify({ format: 1, indices: { bench: { id, urls: [url], packages: ["@bench/*"] } } }),
  );
  return folder;
}

async function benchSync(world: string, id: string, filtering: string, plain: string): Promise<void> {
  const fresh = async (label: string, url: string): Promise<number> => {
    const cwd = project(world, label, url, id);
    const home = path.join(world, `home-${label}`);
    rmSync(home, { recursive: true, force: true });
    return timeCommand(process.execPath, [BIN, "sync"], { cwd, env: { ...process.env, IMPRINT_HOME: home } });
  };
  const clone = path.join(world, "clone.git");
  const samples = await alternate(ROUNDS, {
    "git clone --depth 1 --bare": async () => {
      rmSync(clone, { recursive: true, force: true });
      return timeCommand("git", ["clone", "--quiet", "--depth", "1", "--bare", plain, clone]);
    },
    "imprint sync, host does not filter": () => fresh("plain", plain),
    "imprint sync, host filters": () => fresh("filtering", filtering),
    "imprint list (start-up alone)": () =>
      timeCommand(process.execPath, [BIN, "list"], {
        cwd: path.join(world, "plain"),
        env: { ...process.env, IMPRINT_HOME: path.join(world, "home-none") },
      }),
  });
  for (const [label, values] of samples) line(label, values);
  const of = (label: string): number => median(samples.get(label) ?? []);
  budget("cold sync against the clone", of("imprint sync, host does not filter") / of("git clone --depth 1 --bare"), 1.2, "×");
  const startUp = of("imprint list (start-up alone)");
  budget(
    "the same, filtering, start-up of the command taken off",
    (of("imprint sync, host filters") - startUp) / of("git clone --depth 1 --bare"),
    0.2,
    "×",
  );
}

async function benchFirst(world: string, sample: string): Promise<void> {
  for (const label of ["plain", "filtering"]) {
    const env = { ...process.env, IMPRINT_HOME: path.join(world, `home-${label}`) };
    const times: number[] = [];
    const memory: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const server = spawn(process.execPath, [BIN, "serve", "--port", "0", "--quiet"], {
        cwd: path.join(world, label),
        env,
        stdio: ["ignore", "pipe", "ignore"],
      });
      const closed = once(server, "close");
      try {
        const [first] = (await once(server.stdout.setEncoding("utf8"), "data")) as [string];
        const asked = performance.now();
        const response = await fetch(`${first.trim()}${sample.replace("/", "%2f")}`);
        await response.arrayBuffer();
        if (!response.ok) throw new Error(`the first packument was answered with ${response.status}`);
        times.push(performance.now() - asked);
        memory.push(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1] ?? Number.NaN) / 1024);
      } finally {
        server.kill("SIGTERM");
        await closed;
      }
    }
    line(`first packument, ${label}`, times);
    line(`resident memory then, ${label}`, memory, "MiB");
    budget(`first packument, ${label}`, median(times), 300, "ms");
    budget(`resident memory, ${label}`, median(memory), 150, "MiB");
  }
}
