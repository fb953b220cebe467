/**
 * C1: kill -9 at a dozen moments of sync, add and publish, and at a few without git. Needs the build in dist/.
 * (`root-kill.test.ts`: before each step of sync, publish, yank, seal, cosign, root commands, trust.)
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseLock, parseProject } from "../../src/format/project.ts";
import { createHostedRepository, testGitEnv } from "../support/git-host.ts";
import { makePackage } from "../support/tarball.ts";
import { some } from "../support/thorough.ts";
import { type World, world } from "../support/world.ts";

const BIN = fileURLToPath(new URL("../../dist/bin.js", import.meta.url));
/** The embedded git runs in the killed process itself: fewer moments tell as much. */
const GITS = [
  { git: "system", kills: 12 },
  { git: "isomorphic", kills: 4 },
] as const;
const TIMEOUT_MS = 400_000;

let w: World;
let env: NodeJS.ProcessEnv = {};
beforeAll(() => {
  if (!existsSync(BIN)) throw new Error("dist/bin.js is not there: npm run build");
});
beforeEach(async () => {
  w = await world();
});
afterEach(() => w.close());

type Ending = { readonly code: number | null; readonly killed: boolean; readonly ms: number; readonly stderr: string };

/** The command line in a process group of its own; `killAfterMs`: SIGKILL to it, with or without the gits it started. */
async function imprint(
  home: string,
  cwd: string,
  args: readonly string[],
  kill?: { readonly afterMs: number; readonly group: boolean },
): Promise<Ending> {
  const started = performance.now();
  const inherited = Object.fromEntries(Object.entries(testGitEnv()).filter(([name]) => !/^(npm_|IMPRINT_|XDG_)/i.test(name)));
  const child = spawn(process.execPath, [BIN, ...args], {
    cwd,
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...inherited, HOME: home, IMPRINT_HOME: home, IMPRINT_PASSPHRASE: "", NO_COLOR: "1", ...env },
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const closed = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  if (kill !== undefined) {
    await Promise.race([delay(kill.afterMs), closed]);
    const { pid } = child;
    if (child.exitCode === null && child.signalCode === null && pid !== undefined) process.kill(kill.group ? -pid : pid, "SIGKILL");
  }
  const [code, signal] = await closed;
  return { code, killed: signal === "SIGKILL", ms: performance.now() - started, stderr };
}

type Kill = NonNullable<Parameters<typeof imprint>[3]>;

/**
 * Runs that are killed at moments spread over what a whole one takes; its first part, where nothing but Node starts, gets none.
 * What comes through tells anew how long that is: this machine may be busier now than it was, or less so.
 */
function killing({ ms }: Ending, kills: number): { readonly rounds: readonly number[]; readonly killed: () => number; run: Run } {
  let [whole, killed] = [ms, 0];
  return {
    rounds: some(
      Array.from({ length: kills }, (_, i) => i),
      4,
    ),
    killed: () => killed,
    async run(round, work) {
      const ending = await work({ afterMs: whole * (0.25 + (0.7 * round) / kills), group: round % 2 === 0 });
      if (ending.killed) killed++;
      else whole = ending.ms;
    },
  };
}
type Run = (round: number, work: (kill: Kill) => Promise<Ending>) => Promise<void>;

describe.each(GITS)("C1 kill -9 with $git git", ({ git, kills }) => {
  beforeEach(() => {
    env = { IMPRINT_GIT: git };
  });

  it(
    "C1 in sync: the old state or the new one; the next run recovers by itself",
    async () => {
      const alice = await w.index("alice");
      await alice.publish("@alice/a", "1.0.0");
      const cwd = await w.projectFolder("shop", { indices: { alice: { index: alice } } });
      const home = join(w.folder, "home");
      expect(await imprint(home, cwd, ["sync"])).toMatchObject({ code: 0 });
      await alice.publish("@alice/a", "1.0.1");
      const whole = await imprint(home, cwd, ["sync"]);
      expect(whole.code).toBe(0);
      const { rounds, killed, run } = killing(whole, kills);
      for (const [ran, i] of rounds.entries()) {
        const before = (await alice.checkpoint()).doc.seq;
        await alice.publish("@alice/a", `1.1.${String(i)}`);
        const after = (await alice.checkpoint()).doc.seq;
        await run(i, (kill) => imprint(home, cwd, ["sync"], kill));
        const locked = async (): Promise<number | undefined> => [...parseLock(await readFile(join(cwd, "imprint.lock"))).values()][0]?.seq;
        const c = await w.consumer({ indices: { alice: { index: alice } }, home, env });
        const state = (await c.reader().current())?.checkpoint.doc.seq;
        expect([before, after]).toContain(state);
        expect([before, after]).toContain(await locked());
        const next = await imprint(home, cwd, ["sync"]);
        expect([next.code, next.stderr.includes("✗")]).toEqual([0, false]);
        expect(await locked()).toBe(after);
        const again = await w.consumer({ indices: { alice: { index: alice } }, home, env });
        expect(Object.keys(await again.verdicts("@alice/a"))).toHaveLength(3 + ran);
      }
      expect(killed()).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  it(
    "C1 in add: each file as it was or as it should be; the next run completes it",
    async () => {
      const alice = await w.index("alice");
      await alice.publish("@alice/a", "1.0.0");
      const project = async (name: string): Promise<string> => {
        const cwd = await w.projectFolder(name);
        await rm(join(cwd, "imprint.json"));
        return cwd;
      };
      const args = ["add", `${alice.url}#${alice.id}`, "--yes"];
      const files = ["imprint.json", "imprint.lock", ".npmrc"];
      const contents = (cwd: string): Promise<(string | null)[]> =>
        Promise.all(files.map(async (file) => (existsSync(join(cwd, file)) ? readFile(join(cwd, file), "utf8") : null)));
      const done = await project("done");
      const whole = await imprint(join(w.folder, "home-done"), done, args);
      expect(whole.code).toBe(0);
      const { rounds, killed, run } = killing(whole, kills);
      const wanted = await contents(done);
      for (const i of rounds) {
        const [cwd, home] = [await project(`shop-${String(i)}`), join(w.folder, `home-${String(i)}`)];
        await run(i, (kill) => imprint(home, cwd, args, kill));
        const found = await contents(cwd);
        for (const [at, content] of found.entries()) expect([null, wanted[at]]).toContain(content);
        if (found[0] !== null && found[0] !== undefined) expect(parseProject(Buffer.from(found[0])).indices.size).toBe(1);
        expect(await imprint(home, cwd, args)).toMatchObject({ code: 0 });
        expect(await contents(cwd)).toEqual(wanted);
      }
      expect(killed()).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  it(
    "C1 in publish: released or not, a good index in any case; the next run goes on",
    async () => {
      createHostedRepository(join(w.folder, "hosted"), "author.git");
      const url = w.host.url("author.git");
      const [cwd, home] = [await w.projectFolder("author"), join(w.folder, "home-author")];
      expect(
        await imprint(home, cwd, ["init", "author-index", "--name", "author", "--packages", "@author/*", "--remote", url, "--url", url]),
      ).toMatchObject({ code: 0 });
      const publish = async (version: string, kill?: { afterMs: number; group: boolean }): Promise<Ending> => {
        await writeFile(join(cwd, "x.tgz"), await makePackage({ name: "@author/x", version }));
        return imprint(home, cwd, ["publish", "x.tgz", "--index", "author"], kill);
      };
      const whole = await publish("1.0.0");
      expect([whole.code, whole.stderr]).toEqual([0, expect.stringContaining("read back")]);
      const { rounds, killed, run } = killing(whole, kills);
      for (const i of rounds) {
        const version = `1.1.${String(i)}`;
        await run(i, (kill) => publish(version, kill));
        const verified = await imprint(home, cwd, ["verify", url]);
        expect([version, verified.code, verified.stderr]).toEqual([version, 0, expect.any(String)]);
        const again = await publish(version);
        // 6: it had been released before the kill
        expect([0, 6], again.stderr).toContain(again.code);
        if (again.code === 6) expect(again.stderr).toContain("VERSION_EXISTS");
      }
      expect(await publish("2.0.0")).toMatchObject({ code: 0 });
      const verified = await imprint(home, cwd, ["verify", url, "--tarballs"]);
      expect(verified.code).toBe(0);
      expect(killed()).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
});
