/** What nobody should sign by mistake: refused in one line with the next step, nothing written. (More in `test/e2e/{roots,recovery}.test.ts`.) */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { imprintIn, type Ran, snapshotOf } from "../cli/in-process.ts";
import { type World, world } from "../support/world.ts";
import { author, type Author } from "./author.ts";
import { typed } from "./scenes.ts";

let w: World;
let a: Author;
let since: number;
beforeAll(async () => {
  w = await world({ startMs: Date.now() - 3_600_000 });
  a = await author(w);
  since = a.seq();
  await a.publish("@author/a", "1.1.0");
});
afterAll(() => w.close());

const run = (...words: readonly string[]): Promise<Ran> => typed({ a, who: a }, words);
const written = (): unknown => [a.head(), snapshotOf(join(a.home, "config"))];
let before: unknown;
beforeEach(() => void (before = written()));
const key = (): string => a.root().publishers[0]?.keys[0] ?? "";

/** What was said, where it was refused in one line and nothing was written. */
function refusal({ exit, stderr }: Ran): string {
  if (exit === 0 || !/✗ Cannot [^\n]+\n {2}[A-Z_]+; next: [^\n]+\n$/.test(stderr)) throw new Error(`exit ${String(exit)}: ${stderr}`);
  if (JSON.stringify(written()) !== JSON.stringify(before)) throw new Error(`something was written: ${stderr}`);
  return stderr;
}

describe("a recovery that cannot be meant", () => {
  it.each([
    ["a seq of the future, which would trust the thief's own state", () => String(a.seq() + 1), "NOT_FOUND", /ends before it, at seq \d+/],
    ["the end of all numbers", () => String(Number.MAX_SAFE_INTEGER), "NOT_FOUND", /ends before it/],
    ["a seq from before the index", () => "12", "NOT_FOUND", /begins later .* oldest seq \d+/],
    ["a commit of no history", () => "0123456789012345678901234567890123456789", "NOT_FOUND", /no such commit/],
    ["a commit of another kind", () => "HEAD:checkpoint.json", "NOT_FOUND", /no such commit/],
  ])("K1 --since %s: refused, nothing signed", async (_, seq, code, words) => {
    const said = refusal(await run("root", "revoke", key(), "--since", seq(), "--withdraw", "*"));
    expect(said).toMatch(words);
    expect(said).toContain(code);
  });

  it("K1 contradictory, unknown and missing answers", async () => {
    const revoke = (...words: readonly string[]): Promise<Ran> => run("root", "revoke", key(), "--since", String(since), ...words);
    expect(refusal(await revoke("--keep", "@author/a@1.1.0", "--withdraw", "@author/a@1.1.0"))).toMatch(/stands in both lists[\s\S]*USAGE/);
    expect(refusal(await revoke("--keep", "*", "--withdraw", "*"))).toMatch(/stands in both lists[\s\S]*USAGE/);
    expect(refusal(await revoke("--keep", "@author/a@9.9.9"))).toMatch(/did nothing to it since[\s\S]*NOT_FOUND/);
    expect(refusal(await revoke())).toMatch(/name each with --keep or --withdraw[\s\S]*NEEDS_ANSWER/);
  });

  it("K1 of a key that is none, and of one that no root names", async () => {
    expect(refusal(await run("root", "revoke", "ed25519:xyz", "--since", "0"))).toMatch(/as a key[\s\S]*USAGE/);
    const stranger = `ed25519:${"B".repeat(43)}`;
    expect(refusal(await run("root", "revoke", stranger, "--since", "0"))).toMatch(/Cannot/);
  });

  it("K1 a seq that verify is given from the future is no earlier state either", async () => {
    expect(refusal(await run("verify", join(a.cwd, "clone"), "--since", String(a.seq() + 1)))).toMatch(/ends before it[\s\S]*NOT_FOUND/);
  });
});

it("K1 a recovery that ends between its answers and its push has signed nothing; run again it takes the key that it made", async () => {
  const stolen = key();
  const words = ["root", "revoke", stolen, "--since", String(since), "--keep", "*", "--index", "author"];
  // The host takes nothing.
  const hook = join(a.gitDir, "hooks", "pre-receive");
  mkdirSync(join(a.gitDir, "hooks"), { recursive: true });
  writeFileSync(hook, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  const head = a.head();
  const cut = await run(...words);
  expect([cut.exit === 0, cut.stderr]).toEqual([false, expect.stringMatching(/✗ Cannot .*\n {2}(?:PUSH_FAILED|DENIED|LOST_RACE)/)]);
  expect(a.head()).toBe(head);
  const made = a.keysOnDisk().map(({ publicKey }) => publicKey as string);
  expect(made).toContain(stolen);
  rmSync(hook);
  const again = await run(...words);
  expect([again.exit, again.stderr]).toEqual([0, expect.any(String)]);
  expect(made).toContain(key());
  expect(a.keysOnDisk().map(({ publicKey }) => publicKey)).not.toContain(stolen);
  // And once more: it is done, and says so.
  before = written();
  expect(refusal(await run(...words))).toMatch(/it may be revoked already[\s\S]*NOT_FOUND/);
  expect(written()).toEqual(before);
  await a.read();
  await a.requireUsable();
});

it("K8 a request for another root of the same index, and keys of the wrong role: nothing is signed", async () => {
  const file = join(a.cwd, "old.json");
  expect((await run("root", "set", "--refresh-days", "3", "--out", file)).exit).toBe(0);
  expect((await run("root", "set", "--refresh-days", "4")).exit).toBe(0);
  const bytes = readFileSync(file);
  before = written();
  expect(refusal(await run("root", "sign", file, "--yes"))).toMatch(/was made on root[\s\S]*REQUEST_REFUSED/);
  expect(refusal(await run("root", "apply", file))).toMatch(/was made on root[\s\S]*REQUEST_REFUSED/);
  // A machine that has a publisher's key of the index and no more.
  const ben = { home: join(w.folder, "ben"), cwd: a.cwd };
  const asBen = (...words: readonly string[]): Promise<Ran> => imprintIn(ben, ...words);
  expect((await asBen("key", "new", "--index", a.id, "--name", "ben", "--purpose", "publisher")).exit).toBe(0);
  const fresh = join(a.cwd, "fresh.json");
  expect((await run("root", "set", "--refresh-days", "5", "--out", fresh)).exit).toBe(0);
  const unsigned = readFileSync(fresh);
  expect(refusal(await asBen("root", "sign", fresh, "--yes"))).toMatch(/none of the keys here[\s\S]*KEY_MISSING/);
  expect([readFileSync(file), readFileSync(fresh)]).toEqual([bytes, unsigned]);
  expect(written()).toEqual(before);
});

it("a key file of another index is never written over", async () => {
  const names = (): readonly string[] => a.keysOnDisk().map(({ publicKey }) => publicKey);
  const here = names();
  expect(refusal(await run("key", "new", "--index", "c".repeat(64), "--name", "author"))).toMatch(
    /holds keys of another index[\s\S]*NAME_TAKEN/,
  );
  expect(names()).toEqual(here);
});
