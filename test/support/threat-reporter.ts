/**
 * The table of threats at the end of a whole run: every id of `threats.json`, the cases that passed, through which
 * sources, and the codes that their assertions demanded and saw. A row without all of that fails the run.
 *
 * A test belongs to the ids at the start of its name, or else of the nearest group that has some. The sources are words
 * of its full name: `system`, `isomorphic`, `sparse`.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Reporter, TestCase, TestModule, TestSuite, Vitest } from "vitest/node";

export type Threat = {
  readonly id: string;
  readonly attack: string;
  /** What happens instead of what the attacker wants. */
  readonly must: string;
  /** Codes, statuses and verdicts that tests of this row demand and see. */
  readonly codes: readonly string[];
  /** Where the attack is one on bytes that are read: each way to read them is attacked. */
  readonly sources: readonly string[];
};
export type CaseOfThreat = { readonly name: readonly string[]; readonly passed: boolean; readonly observed: readonly string[] };
export type ThreatRow = Threat & {
  readonly cases: number;
  /** Source → cases through it. */
  readonly through: ReadonlyMap<string, number>;
  readonly seen: readonly string[];
  readonly missing: readonly string[];
};

/** As `SOURCE_KINDS` of the world, which a reporter has no need to load. */
const SOURCES = ["system", "isomorphic", "sparse"];
const ID = /^[A-Z]\d{1,2}[a-c]?$/u;

/** The ids at the start of a name: `T8, T9 limits`, `K2 E2 a chain`. */
export function idsOf(name: string): readonly string[] {
  const ids: string[] = [];
  for (const word of name.split(/[\s,:]+/u)) {
    if (ID.test(word)) ids.push(word);
    else if (word !== "and" || ids.length === 0) break;
  }
  return ids;
}

function wordsOf(name: readonly string[]): readonly string[] {
  return name.join(" ").split(/[^A-Za-z]+/u);
}

/** Each threat with the cases that passed for it, and what it still lacks. */
export function joinThreats(threats: readonly Threat[], cases: readonly CaseOfThreat[]): readonly ThreatRow[] {
  const byId = new Map<string, CaseOfThreat[]>(threats.map(({ id }) => [id, []]));
  for (const one of cases) {
    if (!one.passed) continue;
    const ids = one.name.map(idsOf).findLast((found) => found.length > 0) ?? [];
    for (const id of new Set(ids)) byId.get(id)?.push(one);
  }
  return threats.map((threat) => {
    const mine = byId.get(threat.id) ?? [];
    const throughIt = (source: string): number => mine.filter(({ name }) => wordsOf(name).includes(source)).length;
    const through = new Map(threat.sources.map((source) => [source, throughIt(source)] as const));
    const seen = [...new Set(mine.flatMap(({ observed }) => observed))].toSorted();
    const missing = [
      ...(mine.length === 0 ? ["no test passed"] : []),
      ...threat.sources.filter((source) => (through.get(source) ?? 0) === 0).map((source) => `no test through ${source}`),
      ...threat.codes.filter((code) => !seen.includes(code)).map((code) => `no test saw ${code}`),
    ];
    return { ...threat, cases: mine.length, through, seen, missing };
  });
}

/** Lines of a table: id, cases, how many of them through each source, and the codes, or in words what happens. */
export function formatThreats(rows: readonly ThreatRow[]): readonly string[] {
  const cells = rows.map(({ id, cases, through, codes, must }) => [
    id,
    String(cases),
    ...SOURCES.map((source) => String(through.get(source) ?? 0).replace(/^0$/u, "")),
    codes.join(" ") || `(${must})`,
  ]);
  const all = [["id", "cases", ...SOURCES, "refused by"], ...cells];
  const width = (column: number): number => Math.max(...all.map((row) => (row[column] ?? "").length));
  return all.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(width(0)) : column === row.length - 1 ? cell : cell.padStart(width(column))))
      .join("  "),
  );
}

export class ThreatReporter implements Reporter {
  #vitest: Vitest | null = null;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const vitest = this.#vitest;
    if (vitest === null || !isWhole(vitest, modules)) return;
    const threats = JSON.parse(readFileSync(path.join(vitest.config.root, "test/threats.json"), "utf8")) as readonly Threat[];
    const cases = modules.flatMap((module) => [...module.children.allTests()].map(caseOf));
    const rows = joinThreats(threats, cases);
    vitest.logger.log(`\n${formatThreats(rows).join("\n")}`);
    const lacking = rows.filter(({ missing }) => missing.length > 0);
    for (const { id, missing } of lacking) vitest.logger.error(`✗ threat ${id}: ${missing.join("; ")}`);
    const tried = cases.filter(({ passed }) => passed).length;
    vitest.logger.log(
      `${String(rows.length - lacking.length)} of ${String(rows.length)} threats tried and met, ${String(tried)} tests in all\n`,
    );
    if (lacking.length > 0) process.exitCode = 1;
  }
}

/** Whether every test file ran, whole: a table of one file's tests would only say what was left out. */
function isWhole(vitest: Vitest, modules: readonly TestModule[]): boolean {
  if (vitest.config.testNamePattern !== undefined) return false;
  const ran = new Set(modules.map(({ moduleId }) => path.resolve(moduleId)));
  const test = path.join(vitest.config.root, "test");
  const files = readdirSync(test, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".test.ts"));
  return files.every((file) => ran.has(path.join(test, file)));
}

function caseOf(test: TestCase): CaseOfThreat {
  const name = [test.name];
  for (let parent: TestSuite | TestModule = test.parent; parent.type === "suite"; parent = parent.parent) name.unshift(parent.name);
  return { name, passed: test.result().state === "passed", observed: test.meta().observed ?? [] };
}
