/**
 * A whole index verified on all cores, against OpenSSL doing nothing but Ed25519 on the same cores in the same run: threads that
 * verify one signature again and again, through node:crypto, over a message as long as a release's.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { testGit } from "../../test/support/git-host.ts";
import { generateIndex } from "./generate.ts";
import { budget, line, median } from "./measure.ts";
import { BIN } from "./run.ts";

const SIZE = { packages: 10_000, releasesEach: 10 };
const ROUNDS = 5;
const BASELINE_MS = 3000;

/** CommonJS, since it runs as it stands here. */
const THREAD = `
const { parentPort, workerData } = require("node:worker_threads");
const { generateKeyPairSync, sign, verify, randomBytes } = require("node:crypto");
const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const message = randomBytes(800);
const signature = sign(null, message, privateKey);
let count = 0;
const end = Date.now() + workerData.ms;
while (Date.now() < end) for (let i = 0; i < 100; i++, count++) if (!verify(null, message, publicKey, signature)) throw new Error("no");
parentPort.postMessage(count);
`;

export async function benchVerify(): Promise<void> {
  const cores = availableParallelism();
  console.log(`verify: ${SIZE.packages * SIZE.releasesEach} releases of ${SIZE.packages} packages, ${cores} cores`);
  const world = mkdtempSync(path.join(tmpdir(), "imprint-bench-verify-"));
  mkdirSync(path.join(world, "host"));
  try {
    const { id, gitDir } = await generateIndex(path.join(world, "host"), "bench.git", SIZE);
    testGit(gitDir, ["symbolic-ref", "HEAD", "refs/heads/main"]);
    const openssl: number[] = [];
    const rates: number[] = [];
    const one: number[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const base = await opensslRate(cores);
      const all = verifyOnce(gitDir, id, []);
      const single = round === 0 ? all : verifyOnce(gitDir, id, ["--jobs", "1"]);
      if (round === 0) continue;
      openssl.push(base);
      rates.push(all);
      one.push(single);
    }
    line("OpenSSL alone, all cores", openssl, "signatures/s");
    line("imprint verify", rates, "signatures/s");
    line("imprint verify --jobs 1", one, "signatures/s");
    const ratios = rates.map((rate, i) => rate / (openssl[i] ?? Number.NaN));
    console.log(`  ratios by round: ${ratios.map((ratio) => ratio.toFixed(2)).join(" ")}`);
    budget("imprint verify ÷ OpenSSL", median(ratios), 0.7, "×", "at least");
  } finally {
    rmSync(world, { recursive: true, force: true });
  }
}

/** Signatures a second, by imprint's own clock: from the first file on, threads and all. */
function verifyOnce(gitDir: string, id: string, flags: readonly string[]): number {
  const env = { ...process.env, IMPRINT_HOME: path.join(path.dirname(gitDir), "home") };
  const ran = spawnSync(process.execPath, [BIN, "verify", gitDir, "--id", id, "--json", ...flags], {
    env,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  const report = JSON.parse(ran.stdout) as { readonly ok: boolean; readonly signatures: number; readonly seconds: number };
  if (!report.ok) throw new Error(ran.stderr);
  return report.signatures / report.seconds;
}

async function opensslRate(cores: number): Promise<number> {
  const counts = await Promise.all(
    Array.from(
      { length: cores },
      () =>
        new Promise<number>((resolve, reject) => {
          const worker = new Worker(THREAD, { eval: true, workerData: { ms: BASELINE_MS } });
          worker.once("message", resolve);
          worker.once("error", reject);
        }),
    ),
  );
  return (counts.reduce((sum, count) => sum + count, 0) * 1000) / BASELINE_MS;
}
