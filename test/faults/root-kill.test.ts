/**
 * C1: kill -9 before each step that changes something outside the process (`kill-at.mjs`), in sync, publish, and in what changes
 * records, roots, keys and trust. (`kill.test.ts`: at any moment of sync, add and publish.) Needs the build in dist/.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BIN } from "../support/people.ts";
import { testGitEnv } from "../support/git-host.ts";
import { IS_THOROUGH, stride } from "../support/thorough.ts";
import { type World, world } from "../support/world.ts";
import { type Scene, SCENES, typed } from "./scenes.ts";

const MAX_STEPS = 40;
const TIMEOUT_MS = 400_000;
const KILLER = new URL("kill-at.mjs", import.meta.url).href;
let w: World;
beforeAll(async () => {
  if (!existsSync(BIN)) throw new Error("dist/bin.js is not there: npm run build");
  w = await world({ startMs: Date.now() - 3_600_000 });
});
afterAll(() => w.close());

/** @returns whether it was killed */
async function killedAt(at: number, { a, who }: Scene, words: readonly string[]): Promise<boolean> {
  const inherited = Object.fromEntries(Object.entries(testGitEnv()).filter(([name]) => !/^(npm_|IMPRINT_|XDG_)/i.test(name)));
  const child = spawn(process.execPath, ["--import", `${KILLER}?at=${String(at)}`, BIN, ...words], {
    cwd: who.cwd,
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...inherited, HOME: who.home, IMPRINT_HOME: who.home, IMPRINT_PASSPHRASE: "", NO_COLOR: "1", ...a.env },
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  if (signal !== "SIGKILL") expect([words, code, stderr]).toEqual([words, 0, expect.any(String)]);
  return signal === "SIGKILL";
}

const RUNS = [
  ...Object.keys(SCENES).map((name) => ({ name, git: "system" })),
  { name: "yank", git: "isomorphic" },
  ...(IS_THOROUGH ? [{ name: "root rotate", git: "isomorphic" }] : []),
];

describe("C1 kill -9 before each step", () => {
  it.each(RUNS)(
    "C1 $name with $git git: old or new, no key lost, and the same words complete it",
    async ({ name, git }) => {
      const scene = await SCENES[name]?.(w, { IMPRINT_GIT: git });
      if (scene === undefined) throw new Error(`no scene ${name}`);
      const { a, words, prepare, check, again } = scene;
      let n = 0;
      for (; n < MAX_STEPS; n += stride(5)) {
        await prepare?.(n);
        const before = a.head();
        const killed = await killedAt(n, scene, words(n));
        const isNew = await a.check(before);
        const isDone = (await check?.(n, isNew)) ?? isNew;
        if (!killed) break;
        const retried = await typed(scene, words(n));
        const [exit, said] = isDone ? again : ([0, /./] as const);
        expect([n, isDone, retried.exit, retried.stderr]).toEqual([n, isDone, exit, expect.stringMatching(said)]);
      }
      expect(n).toBeGreaterThan(0);
      expect(n).toBeLessThan(MAX_STEPS);
      await a.read();
      if (name !== "cosign") await a.requireUsable(); // there, it takes two
      console.info(`kills · ${name} · ${git} · ${String(n)} steps`);
    },
    TIMEOUT_MS,
  );
});
