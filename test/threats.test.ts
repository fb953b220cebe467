/** The table of threats itself: its rows, and the reporter that fails where a row has nothing to show. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CATALOGUE } from "../src/errors.ts";
import { type CaseOfThreat, formatThreats, idsOf, joinThreats, type Threat } from "./support/threat-reporter.ts";
import { SOURCE_KINDS } from "./support/world.ts";

const THREATS = JSON.parse(readFileSync(new URL("threats.json", import.meta.url), "utf8")) as readonly Threat[];
const STATUSES = new Set(Object.values(CATALOGUE).map(({ http }) => String(http)));
const VERDICTS = ["ok", "yanked", "unsigned", "untrusted", "unsupported", "invalid"];

describe("threats.json", () => {
  it("has each id once, in words of its own, with codes and sources that exist", () => {
    expect(new Set(THREATS.map(({ id }) => id)).size).toBe(THREATS.length);
    for (const { id, attack, must, codes, sources } of THREATS) {
      expect(idsOf(`${id} x`)).toEqual([id]);
      expect([id, attack.length > 10, must.length > 3]).toEqual([id, true, true]);
      for (const code of codes)
        expect([id, code, Object.hasOwn(CATALOGUE, code) || STATUSES.has(code) || VERDICTS.includes(code)]).toEqual([id, code, true]);
      for (const source of sources) expect(SOURCE_KINDS).toContain(source);
    }
  });
});

describe("ids at the start of a name", () => {
  it.each([
    ["T1a one byte", ["T1a"]],
    ["K2 E2 a chain", ["K2", "E2"]],
    ["T8, T9 limits", ["T8", "T9"]],
    ["G1: squash", ["G1"]],
    ["a release of T1a", []],
    ["T1ab nothing", []],
    ["", []],
  ] as const)("%j has %j", (name, ids) => {
    expect(idsOf(name)).toEqual(ids);
  });
});

describe("the join", () => {
  const row: Threat = { id: "T1a", attack: "a flipped byte", must: "refused", codes: ["HASH_MISMATCH"], sources: ["system", "sparse"] };
  const one = (name: readonly string[], observed: readonly string[] = ["HASH_MISMATCH"], passed = true): CaseOfThreat => ({
    name,
    passed,
    observed,
  });
  const missing = (...cases: readonly CaseOfThreat[]): readonly string[] => joinThreats([row], cases)[0]?.missing ?? [];

  it("is content with a test through each source that saw the code", () => {
    expect(missing(one(["through system", "T1a x"]), one(["through sparse", "T1a x"], []))).toEqual([]);
    expect(missing(one(["T1a in a group (system, sparse)", "some case"]))).toEqual([]);
  });

  it("misses a row without a test, a source without one, a code that none saw, a test that failed", () => {
    expect(missing()).toEqual(["no test passed", "no test through system", "no test through sparse", "no test saw HASH_MISMATCH"]);
    expect(missing(one(["through system", "T1a x"]))).toEqual(["no test through sparse"]);
    expect(missing(one(["system sparse", "T1a x"], ["ROLLBACK"]))).toEqual(["no test saw HASH_MISMATCH"]);
    expect(missing(one(["system sparse", "T1a x"], ["HASH_MISMATCH"], false))).toContain("no test passed");
    expect(missing(one(["system sparse", "not at the start: T1a"]))).toContain("no test passed");
  });

  it("takes a test's own ids before those of its group, and the nearest group's", () => {
    expect(missing(one(["T1a system sparse", "T9 slow"]))).toContain("no test passed");
    expect(missing(one(["T9 system sparse", "T1a group", "x"]))).toEqual([]);
  });

  it("prints a line a row", () => {
    const lines = formatThreats(joinThreats([row], [one(["system sparse", "T1a x"])]));
    expect(lines).toEqual(["id   cases  system  isomorphic  sparse  refused by", "T1a      1       1                   1  HASH_MISMATCH"]);
  });
});

describe("what a test observed", () => {
  const seen = (task: { readonly meta: { readonly observed?: readonly string[] } }): readonly string[] | undefined => task.meta.observed;

  // Meta is written when a test has ended: each of these is looked at by the next one.
  let before: (() => readonly string[] | undefined) | null = null;
  const remember = (task: Parameters<typeof seen>[0]): void => {
    before = () => seen(task);
  };

  it("is a code that an assertion expected and saw", async ({ task }) => {
    remember(task);
    await expect(Promise.reject(Object.assign(new Error("x"), { code: "ROLLBACK" }))).rejects.toMatchObject({ code: "ROLLBACK" });
  });
  it("is no code that was only denied", ({ task }) => {
    expect(before?.()).toEqual(["ROLLBACK"]);
    remember(task);
    expect("all is well (really)").not.toContain("EQUIVOCATION");
    expect({ code: "fine" }).not.toMatchObject({ code: "TOO_LARGE" });
    // Two may be meant, one is there.
    expect("refused (TIMED_OUT)").toMatch(/TIMED_OUT|UNREACHABLE/u);
  });
  it("is the one of several that was there, and words in an answer's text", () => {
    expect(before?.()).toContain("TIMED_OUT");
    for (const code of ["EQUIVOCATION", "TOO_LARGE", "UNREACHABLE"]) expect(before?.()?.includes(code)).toBe(false);
  });
});
