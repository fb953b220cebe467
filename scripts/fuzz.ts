/**
 * Mutations of real signed indices, read by the real reader:
 *
 *     npm run fuzz                        100,000 cases in memory and 2,000 through git and https, with a random seed
 *     npm run fuzz -- --seed 7            the same again
 *     npm run fuzz -- --seed 7 --case 12  one of them alone
 *     npm run fuzz -- --count 5000 --adapters 100 --minutes 1
 *     npm run fuzz -- settings            settings of real clients, see fuzz/settings.ts
 *
 * Mutations of real lockfiles, audited, and installed by the real clients where the audit calls them good:
 *
 *     npm run fuzz -- lockfiles                          200 cases of each format
 *     npm run fuzz -- lockfiles --seed 7 --cases 2000 --format pnpm
 *     npm run fuzz -- lockfiles --seed 7 --format pnpm --case 12
 *
 * Tarballs, changed; what the inspection takes is read by every client, see fuzz/tarballs/run.ts:
 *
 *     npm run fuzz -- tarballs                           1,000 cases, and attacks without the inspection
 *     npm run fuzz -- tarballs --seed 7 --cases 5000
 *     npm run fuzz -- tarballs --seed 7 --case 12
 *
 * Each case must end in what its owner signed or in a refusal. Anything else prints the case and exits 1.
 */
import { randomInt } from "node:crypto";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { textOf } from "../src/format/bytes.ts";
import { FORMATS } from "./fuzz/lockfiles/install.ts";
import { fuzzLockfiles } from "./fuzz/lockfiles/run.ts";
import { attacks } from "./fuzz/tarballs/attacks.ts";
import { fuzzTarballs, openReaders, tryAttacks } from "./fuzz/tarballs/run.ts";
import { fuzz, type FuzzFailure, type FuzzReport } from "./fuzz/run.ts";

function numberOf(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^[0-9]{1,10}$/u.test(text)) throw new Error(`${text} is no number`);
  return Number(text);
}

function table(title: string, counts: ReadonlyMap<string, number>): string {
  const rows = [...counts].toSorted(([, a], [, b]) => b - a).map(([name, count]) => `  ${String(count).padStart(8)}  ${name}`);
  return [title, ...rows].join("\n");
}

function describe({ n, family, how, error }: FuzzFailure, seed: number): string {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `✗ case ${String(n)} of seed ${String(seed)}, ${family}: ${how.join("; ")}\n${what}\nagain: npm run fuzz -- --seed ${String(seed)} --case ${String(n)}\n`;
}

/** What a failing reader was given, in the shape of a vector of the area `index`: the start of one. */
function keepVector({ n, family, how, files }: FuzzFailure, of: number): string | null {
  if (files === null) return null;
  const target = path.join(tmpdir(), `imprint-fuzz-${String(of)}-${String(n)}.json`);
  const texts = [...files].map(([file, bytes]) => [file, textOf(bytes) ?? { base64: Buffer.from(bytes).toString("base64") }]);
  writeFileSync(target, `${JSON.stringify({ description: `${family}: ${how.join("; ")}`, files: Object.fromEntries(texts) }, null, 2)}\n`);
  return target;
}

function summary(report: FuzzReport): string {
  const seconds = report.ms / 1000;
  const rate = Math.round((report.cases + report.adapterCases) / seconds);
  return [
    table("mutations by family", report.families),
    table("mutations by kind", report.changes),
    table("how readings ended", report.endings),
    `${String(report.cases)} cases in memory, ${String(report.adapterCases)} through git and https, ${seconds.toFixed(1)} s, ${String(rate)} a second; slowest ${report.slowestMs.toFixed(0)} ms; ${(report.keptBytes / 1024 / 1024).toFixed(1)} MiB kept`,
  ].join("\n");
}

if (process.argv[2] === "settings") process.exit(await (await import("./fuzz/settings.ts")).settingsMain(process.argv.slice(3)));

async function lockfiles(of: number): Promise<void> {
  const formats = values.format === undefined ? FORMATS : FORMATS.filter((format) => format === values.format);
  if (formats.length === 0) throw new Error(`--format is one of ${FORMATS.join(", ")}`);
  const only = values.case === undefined ? undefined : numberOf(values.case, 0);
  const progress = (line: string): void => void process.stderr.write(`${line}\n`);
  const { counts, failures } = await fuzzLockfiles({ seed: of, cases: numberOf(values.cases, 200), formats, only, progress });
  for (const [format, { cases, good, refused, installed, attacks }] of counts)
    process.stdout.write(
      `${format}: ${cases} cases, ${good} good, ${refused} refused, ${installed} installed; of ${attacks.made} attacks ${attacks.work} would work without the audit\n`,
    );
  for (const { format, n, how, faults } of failures) {
    const again = `npm run fuzz -- lockfiles --seed ${String(of)} --format ${format} --case ${String(n)}`;
    process.stderr.write(`✗ ${format} case ${n}: ${how.join("; ")}\n  ${faults.join("\n  ")}\n  again: ${again}\n`);
  }
  process.exitCode = failures.length === 0 ? 0 : 1;
}

async function tarballs(of: number): Promise<void> {
  const only = values.case === undefined ? undefined : numberOf(values.case, 0);
  const readers = await openReaders();
  try {
    for (const id of readers.missing) process.stderr.write(`! ${id} is not installed and reads nothing: npm run test:clients\n`);
    const tried = only === undefined ? await tryAttacks(readers, attacks()) : null;
    if (tried !== null) {
      const idle = [...attacks()].filter(({ how }) => !tried.work.has(how)).map(({ how }) => how);
      process.stdout.write(
        `of ${String(tried.made)} attacks the inspection takes ${String(tried.taken.length)}; without it ${String(tried.work.size)} would work\n`,
      );
      for (const [how, ids] of tried.work) process.stdout.write(`  ${how}: read in another way by ${ids.join(", ")}\n`);
      if (idle.length > 0) process.stdout.write(`  read alike by all: ${idle.join(", ")}\n`);
      for (const how of tried.taken) process.stderr.write(`✗ the inspection takes ${how}\n`);
      if (tried.work.size === 0) process.stderr.write("✗ no reader differs on any attack: these readers cannot tell\n");
      if (tried.taken.length > 0 || tried.work.size === 0) process.exitCode = 1;
    }
    const progress = (line: string): void => void process.stderr.write(`${line}\n`);
    const { kinds, clients, failures } = await fuzzTarballs(readers, { seed: of, cases: numberOf(values.cases, 1000), only, progress });
    process.stdout.write("cases by kind: taken, refused\n");
    for (const [kind, { taken, refused }] of kinds)
      process.stdout.write(`  ${String(taken).padStart(6)} ${String(refused).padStart(6)}  ${kind}\n`);
    process.stdout.write(`${table("tarballs read by client", clients)}\n${String(failures.length)} failures\n`);
    for (const { client, n, how, faults } of failures) {
      const again = `npm run fuzz -- tarballs --seed ${String(of)} --case ${String(n)}`;
      process.stderr.write(`✗ ${client}, case ${String(n)}, ${how}\n  ${faults.slice(0, 10).join("\n  ")}\n  again: ${again}\n`);
    }
    if (failures.length > 0) process.exitCode = 1;
  } finally {
    await readers.close();
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cases: { type: "string" },
    format: { type: "string" },
    count: { type: "string" },
    seed: { type: "string" },
    minutes: { type: "string" },
    case: { type: "string" },
    adapters: { type: "string" },
  },
});
const seed = numberOf(values.seed, randomInt(2 ** 32));
process.stdout.write(`seed ${String(seed)}\n`);
if (positionals[0] === "lockfiles") await lockfiles(seed);
else if (positionals[0] === "tarballs") await tarballs(seed);
else {
  const report = await fuzz({
    seed,
    count: numberOf(values.count, 100_000),
    adapterCount: numberOf(values.adapters, 2000),
    only: values.case === undefined ? undefined : numberOf(values.case, 0),
    maxMs: values.minutes === undefined ? undefined : numberOf(values.minutes, 0) * 60_000,
    progress: (done, kept) => void process.stderr.write(`${String(done)} …, ${(kept / 1024 / 1024).toFixed(1)} MiB kept\n`),
  });
  process.stdout.write(`${summary(report)}\n`);
  if (report.failure !== null) {
    process.stderr.write(describe(report.failure, seed));
    const vector = keepVector(report.failure, seed);
    if (vector !== null) process.stderr.write(`its files: ${vector}\n`);
    process.exitCode = 1;
  }
}
