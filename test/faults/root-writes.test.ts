/**
 * C1: a disk that fails each write in turn, in what changes records, roots, keys and trust. (`writes.test.ts` has sync, add,
 * publish and reading.)
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodeFiles } from "../../src/storage/files.ts";
import { failingFiles } from "../storage/failing-files.ts";
import { stride } from "../support/thorough.ts";
import { type World, world } from "../support/world.ts";
import { SCENES, typed } from "./scenes.ts";

const MAX_WRITES = 30;
let w: World;
beforeAll(async () => {
  w = await world({ startMs: Date.now() - 3_600_000 });
});
afterAll(() => w.close());

const RUNS = [
  ...Object.keys(SCENES)
    .filter((name) => name !== "sync" && name !== "publish")
    .map((name) => ({ name, git: "system", when: "before" as const })),
  { name: "root rotate", git: "system", when: "after" as const },
];

describe("C1 each write fails", () => {
  it.each(RUNS)(
    "C1 $name, $when it happened, with $git git: old or new, no key lost, and the same words complete it",
    async ({ name, git, when }) => {
      const scene = await SCENES[name]?.(w, { IMPRINT_GIT: git });
      if (scene === undefined) throw new Error(`no scene ${name}`);
      const { a, words, prepare, check, again } = scene;
      let n = 0;
      for (; n < MAX_WRITES; n += stride(6)) {
        await prepare?.(n);
        const before = a.head();
        const files = failingFiles(nodeFiles(), n, when);
        const ran = await typed(scene, words(n), files);
        if (ran.exit !== 0) expect(ran.stderr).toMatch(/✗ Cannot .+\n {2}STORAGE_FAILED; next: .+\n$/);
        if (!files.failed()) expect([n, ran.exit, ran.stderr]).toEqual([n, 0, expect.any(String)]);
        const isNew = await a.check(before);
        const isDone = (await check?.(n, isNew)) ?? isNew;
        if (ran.exit === 0 && check === undefined) expect(isDone).toBe(true);
        const retried = await typed(scene, words(n));
        const [exit, said] = isDone ? again : ([0, /./] as const);
        expect([n, isDone, retried.exit, retried.stderr]).toEqual([n, isDone, exit, expect.stringMatching(said)]);
        if (!files.failed()) break;
      }
      expect(n).toBeGreaterThan(0);
      expect(n).toBeLessThan(MAX_WRITES);
      await a.check(a.head());
      await a.read();
      console.info(`writes · ${name} · ${git} · ${when} · ${String(n)} failed in turn`);
    },
    400_000,
  );
});
