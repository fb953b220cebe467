/** A slice of `npm run fuzz -- lockfiles` on every run: real clients install what the audit calls good. */
import { describe, expect, it } from "vitest";
import { FORMATS } from "../../scripts/fuzz/lockfiles/install.ts";
import { fuzzLockfiles } from "../../scripts/fuzz/lockfiles/run.ts";

const SEED = 20_261_129;
const CASES = 30;

describe("X12 changed lockfiles of real clients", () => {
  it(
    "X12 nothing lies under a claimed name that was not signed, wherever the audit calls a lockfile good",
    { timeout: 600_000 },
    async () => {
      const { counts, failures } = await fuzzLockfiles({ seed: SEED, cases: CASES });
      const again = (format: string, n: number): string => `npm run fuzz -- lockfiles --seed ${SEED} --format ${format} --case ${n}`;
      expect(failures.map(({ format, n, how, faults }) => [how.join("; "), ...faults, again(format, n)].join("\n"))).toEqual([]);
      for (const format of FORMATS) {
        const { cases = 0, good = 0, refused = 0, installed = 0, attacks } = counts.get(format) ?? {};
        expect([format, cases, good + refused]).toEqual([format, CASES, CASES]);
        expect([format, (attacks?.work ?? 0) > 0]).toEqual([format, true]);
        // What is always refused, or never installed, would say that the changes reach nothing.
        expect([format, installed > 0, refused > CASES / 3]).toEqual([format, true, true]);
      }
    },
  );
});
