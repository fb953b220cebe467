/** A slice of `npm run fuzz -- tarballs` on every run: real clients read what the inspection takes. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attacks } from "../../scripts/fuzz/tarballs/attacks.ts";
import { fuzzTarballs, openReaders, type Readers, tryAttacks } from "../../scripts/fuzz/tarballs/run.ts";

const SEED = 20_261_129;
const CASES = 108;
/** Those that come with `npm ci`. */
const CLIENTS = ["npm 10", "npm 11", "pnpm 10", "yarn 1", "yarn 4", "bun", "deno"];

let readers: Readers;
beforeAll(async () => {
  readers = await openReaders(CLIENTS);
});
afterAll(() => readers.close());

describe("B4 changed tarballs and the clients' own readers", () => {
  it("B4 every client reads the signed files, modes and manifest out of what the inspection takes", async () => {
    expect(readers.missing).toEqual([]);
    const { kinds, clients, failures } = await fuzzTarballs(readers, { seed: SEED, cases: CASES });
    const again = (n: number): string => `npm run fuzz -- tarballs --seed ${SEED} --case ${n}`;
    expect(failures.map(({ client, n, how, faults }) => [client, how, ...faults, again(n)].join("\n"))).toEqual([]);
    const taken = [...kinds.values()].reduce((sum, count) => sum + count.taken, 0);
    const refused = [...kinds.values()].reduce((sum, count) => sum + count.refused, 0);
    // What is always refused, or never, would say that the changes reach nothing.
    expect([taken + refused, taken > CASES / 5, refused > CASES / 5]).toEqual([CASES, true, true]);
    expect(Object.fromEntries(clients)).toEqual(Object.fromEntries(CLIENTS.map((id) => [id, taken])));
  });

  it("B4 the inspection takes no attack; without it these readers see most of them in two ways", async () => {
    // In this process, where that takes no time.
    const { made, taken, work } = await tryAttacks({ ...readers, installing: [] }, attacks());
    expect([made, taken]).toEqual([attacks().length, []]);
    expect(work.get("a name that begins with NUL")).toEqual(["pnpm 10"]);
    expect(work.size).toBeGreaterThan(made / 3);
  });
});
