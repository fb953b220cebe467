/** A slice of `npm run fuzz` on every run: one seed that stays, and one that nobody has tried. */
import { randomInt } from "node:crypto";
import { describe, expect, it } from "vitest";
import { fuzz, type FuzzReport } from "../../scripts/fuzz/run.ts";

const FIXED_SEED = 20_260_101;

/** The failure in words, with the command that repeats it. */
function failureOf({ failure }: FuzzReport, seed: number): string | null {
  if (failure === null) return null;
  return `${failure.family}: ${failure.how.join("; ")}: ${String(failure.error)}; npm run fuzz -- --seed ${String(seed)} --case ${String(failure.n)}`;
}

describe("mutations of signed indices, tarballs and packs", () => {
  it.each([
    ["a seed that stays", FIXED_SEED, 4000, 60],
    ["a seed of this run", randomInt(2 ** 32), 1500, 40],
  ])("T1a T1b T5 T6 T8 T11 K8 K9 J1 G3 G5 G6 %s: what is honest or a refusal, nothing else", async (_, seed, count, adapterCount) => {
    process.stdout.write(`fuzz: seed ${String(seed)}\n`);
    const report = await fuzz({ seed, count, adapterCount });
    expect(failureOf(report, seed)).toBeNull();
    expect([report.cases, report.adapterCases]).toEqual([count, adapterCount]);
    // What is never refused, or never accepted, would say that the mutations reach nothing.
    for (const ending of [
      "accepted",
      "HASH_MISMATCH",
      "BAD_SIGNATURE",
      "INVALID_DOCUMENT",
      "MISSING_FILE",
      "ROLLBACK",
      "WRONG_INDEX",
      "TARBALL_MISMATCH",
      "TARBALL_REFUSED",
    ])
      expect(report.endings.get(ending) ?? 0, ending).toBeGreaterThan(0);
    expect(report.families.size).toBe(12);
  });

  it("T1a a case is the same each time", async () => {
    const again = async (): Promise<unknown> => {
      const { families, changes, endings } = await fuzz({ seed: 7, count: 300, adapterCount: 0 });
      return [families, changes, endings];
    };
    expect(await again()).toEqual(await again());
  });
});
