/**
 * Does our check of settings see what real clients see?
 *
 *     npm run fuzz -- settings                                100 cases a client, with a random seed
 *     npm run fuzz -- settings --seed 7 --cases 500 --client pnpm
 *     npm run fuzz -- settings --seed 7 --client pnpm --case 12
 *
 * Each case is a project with generated settings that may send the scope @alice elsewhere. Where `imprint run` would
 * refuse to start, that is all. Where it would start, the real client installs @alice/a in its environment; the case
 * fails if another registry, or the world outside, was asked for that name.
 */
import { randomInt } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { findScopeLines } from "../../src/clients/scope-lines.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { randomOf, seedOfCase } from "./random.ts";
import { type Bench, CLIENT_NAMES, type ClientName, openBench, type Place } from "./settings-clients.ts";
import { type Case, caseOf } from "./settings-cases.ts";

export type SettingsFailure = {
  readonly n: number;
  readonly client: ClientName;
  readonly leaked: readonly string[];
  readonly what: string;
};

export type SettingsReport = {
  readonly cases: number;
  /** Cases that `imprint run` would refuse. */ readonly refused: number;
  /** Cases in which the client asked the resolver; the others stopped at their own settings. */ readonly asked: number;
  readonly failures: readonly SettingsFailure[];
};

export async function fuzzSettings(options: {
  readonly seed: number;
  readonly cases: number;
  readonly client: ClientName;
  /** Only this one. */ readonly only?: number;
  readonly progress?: (n: number, report: SettingsReport) => void;
}): Promise<SettingsReport> {
  const { seed, client, only } = options;
  const bench = await openBench();
  const failures: SettingsFailure[] = [];
  let [cases, refused, asked] = [0, 0, 0];
  const report = (): SettingsReport => ({ cases, refused, asked, failures });
  try {
    for (let n = only ?? 0; n < (only === undefined ? options.cases : only + 1); n++) {
      const { isRefused, resolver, leaked, what } = await runCase(
        bench,
        client,
        caseOf(randomOf(seedOfCase(seed, n)), client, bench.elsewhere),
      );
      cases++;
      if (isRefused) refused++;
      if (resolver) asked++;
      if (leaked.length > 0) failures.push({ n, client, leaked, what });
      options.progress?.(n, report());
    }
    return report();
  } finally {
    await bench.close();
  }
}

type Ended = { readonly isRefused: boolean; readonly resolver: boolean; readonly leaked: readonly string[]; readonly what: string };

async function runCase(bench: Bench, client: ClientName, one: Case): Promise<Ended> {
  const place = put(bench.place(client), one);
  const found = await findScopeLines(
    { folder: place.folder, ownerOf: (scope) => (scope === "@alice" ? "alice" : null) },
    { files: nodeFiles(), cwd: place.folder, env: place.env },
  );
  if (found.length > 0) return { isRefused: true, resolver: false, leaked: [], what: "" };
  const { resolver, leaked, output } = await bench.ask(client, place);
  const files = [...one.files].map(([file, bytes]) => `${file}: ${JSON.stringify(bytes.toString("utf8"))}`);
  return { isRefused: false, resolver, leaked, what: [...files, JSON.stringify(one.env), output.slice(0, 500)].join("\n") };
}

function put(place: Place, { files, env }: Case): Place {
  const filled = (text: string): string => text.replaceAll("{top}", place.top);
  for (const [file, bytes] of files) {
    mkdirSync(path.dirname(path.join(place.top, file)), { recursive: true });
    writeFileSync(path.join(place.top, file), bytes.includes("{top}") ? filled(bytes.toString("utf8")) : bytes);
  }
  const variables = Object.entries(env).map(([name, value]) => [name, filled(value ?? "")] as const);
  return { ...place, env: { ...place.env, ...Object.fromEntries(variables) } };
}

/** @returns the exit code */
export async function settingsMain(args: readonly string[]): Promise<number> {
  const options = { seed: { type: "string" }, cases: { type: "string" }, client: { type: "string" }, case: { type: "string" } } as const;
  const { values } = parseArgs({ args: [...args], options });
  const seed = Number(values.seed ?? randomInt(2 ** 32));
  const clients = CLIENT_NAMES.filter((name) => values.client === undefined || values.client === name);
  if (clients.length === 0) throw new Error(`${values.client ?? ""} is none of ${CLIENT_NAMES.join(", ")}`);
  process.stdout.write(`seed ${String(seed)}\n`);
  let failed = 0;
  for (const client of clients) {
    const { cases, refused, asked, failures } = await fuzzSettings({
      seed,
      client,
      cases: Number(values.cases ?? 100),
      ...(values.case === undefined ? {} : { only: Number(values.case) }),
      progress: (n, { failures: sofar }) => {
        if (n % 25 === 24) process.stderr.write(`${client} ${String(n + 1)} …, ${String(sofar.length)} failed\n`);
      },
    });
    process.stdout.write(
      `${client}: ${String(cases)} cases, ${String(refused)} refused, ${String(asked)} asked the resolver, ${String(cases - refused - asked)} stopped by the client itself, ${String(failures.length)} failed\n`,
    );
    for (const { n, leaked, what } of failures)
      process.stderr.write(
        `✗ case ${String(n)} of seed ${String(seed)}: ${client} asked ${leaked[0] ?? ""}\n${what}\nagain: npm run fuzz -- settings --seed ${String(seed)} --client ${client} --case ${String(n)}\n`,
      );
    failed += failures.length;
  }
  return failed === 0 ? 0 : 1;
}
