/**
 * A whole index verified on all cores, against OpenSSL doing nothing but Ed25519 on the same cores in the same run: threads that
 * verify one signature again and again, through node:crypto, over a message as long as a release's.
 *
 * Between the two stands what is to be done with a release when all of them are in memory already: its hash, its document and its
 * signature. The rest is git, the tree of hashes, and handing over.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { formatPublicKey } from "../../src/format/keys.ts";
import { testGit } from "../../test/support/git-host.ts";
import { generateIndex } from "./generate.ts";
import { budget, line, median } from "./measure.ts";
import { BIN } from "./run.ts";

const SIZE = { packages: 10_000, releasesEach: 10 };
const ROUNDS = 5;
const BASELINE_MS = 3000;
/** Releases that are judged from memory. */
const JUDGED = 30_000;

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

/** Judges what it was given as soon as it is told to. */
const JUDGE = `
const { parentPort, workerData } = require("node:worker_threads");
const from = (file) => import(new URL(file, workerData.dist));
Promise.all(["format/release.js", "format/digest.js", "crypto/documents.js"].map(from)).then(([release, digest, documents]) => {
  parentPort.on("message", () => {
    for (const bytes of workerData.files) {
      const document = release.parseRelease(bytes);
      if (digest.fileHashOf(bytes).length !== 64 || documents.signersAmong(document, [workerData.key]).size !== 1) throw new Error("no");
    }
    parentPort.postMessage("done");
  });
  parentPort.postMessage("ready");
});
`;

export async function benchVerify(): Promise<void> {
  const cores = availableParallelism();
  console.log(`verify: ${SIZE.packages * SIZE.releasesEach} releases of ${SIZE.packages} packages, ${cores} cores`);
  const world = mkdtempSync(path.join(tmpdir(), "imprint-bench-verify-"));
  mkdirSync(path.join(world, "host"));
  try {
    const { id, gitDir, keys } = await generateIndex(path.join(world, "host"), "bench.git", SIZE);
    testGit(gitDir, ["symbolic-ref", "HEAD", "refs/heads/main"]);
    const releases = releasesOf(gitDir);
    const openssl: number[] = [];
    const judged: number[] = [];
    const rates: number[] = [];
    const one: number[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const base = await opensslRate(cores);
      const memory = await judgedRate(cores, releases, formatPublicKey(keys.publisher.publicKey));
      const all = verifyOnce(gitDir, id, []);
      const single = round === 0 ? all : verifyOnce(gitDir, id, ["--jobs", "1"]);
      if (round === 0) continue;
      openssl.push(base);
      judged.push(memory);
      rates.push(all);
      one.push(single);
    }
    line("OpenSSL alone, all cores", openssl, "signatures/s");
    line("releases judged from memory, all cores", judged, "signatures/s");
    line("imprint verify", rates, "signatures/s");
    line("imprint verify --jobs 1", one, "signatures/s");
    const ratios = rates.map((rate, i) => rate / (openssl[i] ?? Number.NaN));
    console.log(`  ratios by round: ${ratios.map((ratio) => ratio.toFixed(2)).join(" ")}`);
    console.log(`  judged from memory ÷ OpenSSL: ${(median(judged) / median(openssl)).toFixed(2)} ×`);
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

/** Bytes of some releases of the index. */
function releasesOf(gitDir: string): readonly Uint8Array[] {
  const listed = testGit(gitDir, ["ls-tree", "-r", "--format=%(objectname) %(path)", "refs/heads/main"]).split("\n");
  const ids = listed.flatMap((one) => (/\/[0-9.]+\.json$/u.test(one) ? [one.slice(0, 40)] : [])).slice(0, JUDGED);
  const { stdout } = spawnSync("git", [`--git-dir=${gitDir}`, "cat-file", "--batch", "--buffer"], {
    input: `${ids.join("\n")}\n`,
    maxBuffer: 1 << 30,
  });
  const found: Uint8Array[] = [];
  for (let at = 0; at < stdout.length;) {
    const end = stdout.indexOf(10, at);
    const size = Number(stdout.toString("latin1", at, end).split(" ")[2]);
    found.push(new Uint8Array(stdout.subarray(end + 1, end + 1 + size)));
    at = end + size + 2;
  }
  return found;
}

async function judgedRate(cores: number, releases: readonly Uint8Array[], key: string): Promise<number> {
  const share = Math.ceil(releases.length / cores);
  const dist = pathToFileURL(BIN).href;
  const workers = Array.from({ length: cores }, (_, i) => {
    const files = releases.slice(i * share, (i + 1) * share);
    return new Worker(JUDGE, { eval: true, workerData: { dist, files, key } });
  });
  const heard = (): Promise<unknown> => Promise.all(workers.map((worker) => once(worker, "message")));
  await heard();
  const started = performance.now();
  for (const worker of workers) worker.postMessage("go");
  await heard();
  const ms = performance.now() - started;
  await Promise.all(workers.map((worker) => worker.terminate()));
  return (releases.length * 1000) / ms;
}
