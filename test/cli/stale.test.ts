/** T4: a client that is held at an old state, or whose clock is wrong, is told so; what it has locked still installs. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { imprintIn, type Ran } from "./in-process.ts";
import { world } from "../support/world.ts";

const DAY_MS = 86_400_000;

async function shopAt(
  signedMs: number,
  policy: { readonly maxAgeDays?: number; readonly refreshDays?: number },
): Promise<{ run(...argv: readonly string[]): Promise<Ran>; down(): void }> {
  const w = await world({ startMs: signedMs });
  onTestFinished(() => w.close());
  const alice = await w.index("alice", { root: () => ({ refreshDays: policy.refreshDays ?? 0 }) });
  await alice.publish("@alice/a", "1.0.0");
  const { dist } = (await alice.release("@alice/a", "1.0.0")).doc;
  const cwd = await w.projectFolder("shop", { indices: { alice: { index: alice, maxAgeDays: policy.maxAgeDays } } });
  const entry = { version: "1.0.0", resolved: "http://127.0.0.1:4870/@alice/a/-/a-1.0.0.tgz", integrity: dist.integrity };
  writeFileSync(path.join(cwd, "package-lock.json"), JSON.stringify({ lockfileVersion: 3, packages: { "node_modules/@alice/a": entry } }));
  return { run: (...argv) => imprintIn({ home: path.join(w.folder, "home"), cwd }, ...argv), down: () => alice.down() };
}

describe("T4 a checkpoint that is older than it should be, or of the future", () => {
  it.each([
    ["older than the consumer's maxAgeDays", Date.now() - 40 * DAY_MS, { maxAgeDays: 30 }, /more than 30 days ago/],
    ["older than its owner promised", Date.now() - 40 * DAY_MS, { refreshDays: 14 }, /more than 14 days ago/],
    ["of 2036", Date.UTC(2036, 0, 1), {}, /2036-01-01T.*more than a day ahead of this machine's clock/],
  ])("T4 %s: a warning, and a failure under --strict; also offline, and what is locked goes on", async (_, signedMs, policy, words) => {
    const { run, down } = await shopAt(signedMs, policy);
    const synced = await run("sync");
    expect([synced.exit, synced.stderr]).toEqual([0, expect.stringMatching(words)]);
    for (const [argv, exit] of [
      [["audit"], 0],
      [["audit", "--strict"], 1],
      [["run", "true"], 0],
    ] as const) {
      const ran = await run(...argv);
      expect([argv, ran.exit, ran.stderr + ran.stdout]).toEqual([argv, exit, expect.stringMatching(words)]);
    }
    down();
    for (const argv of [["run", "true"], ["audit"], ["--offline", "run", "true"]])
      expect([argv, (await run(...argv)).exit]).toEqual([argv, 0]);
  });

  it.each([
    ["a minute old, under every policy", Date.now() - 60_000, { maxAgeDays: 1, refreshDays: 1 }],
    ["half a day ahead, as clocks are", Date.now() + DAY_MS / 2, { maxAgeDays: 1 }],
    ["years old, where nobody promised or asked anything", Date.UTC(2020, 0, 1), {}],
  ])("T4 %s: nothing is said", async (_, signedMs, policy) => {
    const { run } = await shopAt(signedMs, policy);
    expect((await run("sync")).stderr).not.toMatch(/stale/);
    const strict = await run("audit", "--strict");
    expect([strict.exit, strict.stderr]).toEqual([0, expect.not.stringMatching(/stale/)]);
  });
});
