/**
 * T4, T14: clocks that are wrong or are set. Numbers grow whatever the author's clock says; a consumer's clock decides what
 * is stale and when to ask, never what is believed. (`test/cli/stale.test.ts` has checkpoints that are old or of the future.)
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { imprintIn, type Ran } from "../cli/in-process.ts";
import { createHostedRepository, startGitHost } from "../support/git-host.ts";
import { makePackage } from "../support/tarball.ts";
import { type TestIndex, type World, world } from "../support/world.ts";
import { author, type Author } from "./author.ts";
import { typed } from "./scenes.ts";

const [HOUR_MS, YEAR_MS] = [3_600_000, 365 * 86_400_000];
let w: World;
beforeEach(async () => {
  w = await world({ startMs: Date.now() - HOUR_MS });
});
afterEach(() => w.close());

describe("the author's clock", () => {
  it.each([
    ["a year ahead", YEAR_MS],
    ["a year back", -YEAR_MS],
  ])("T4 T14 %s for a while: numbers grow, nobody is shown a rollback, and a rotation meanwhile is taken", async (_, moved) => {
    const a: Author = await author(w);
    const index = { id: a.id, url: a.url } as TestIndex;
    const revision = async (): Promise<number> => {
      const c = await w.consumer({ indices: { author: { index, packages: ["@author/*"] } } });
      await c.sync();
      return (await c.read("@author/a")).view?.record.doc.revision ?? 0;
    };
    const places = [[a.root().version, a.seq()]];
    const seen = [await revision()];
    const step = async (): Promise<void> => {
      await a.read();
      places.push([a.root().version, a.seq()]);
      seen.push(await revision());
    };
    w.pass(moved);
    await a.publish("@author/a", "1.1.0");
    await step();
    expect((await typed({ a, who: a }, ["root", "rotate", "--index", "author"], undefined, w.nowMs)).exit).toBe(0);
    await step();
    await a.publish("@author/a", "1.2.0");
    await step();
    w.pass(-moved);
    await a.publish("@author/a", "1.3.0");
    await step();
    expect(await a.read()).toMatchObject({ "@author/a": { "1.0.0": "ok", "1.1.0": "ok", "1.2.0": "ok", "1.3.0": "ok" } });
    // By root, then seq: under a new root it may start lower.
    for (const [i, [root = 0, seq = 0]] of places.entries()) {
      const [rootBefore = 0, seqBefore = 0] = places[i - 1] ?? [];
      expect([i, root > rootBefore || (root === rootBefore && seq > seqBefore)]).toEqual([i, true]);
    }
    expect(seen).toEqual(seen.toSorted((x, y) => x - y));
    // Recovery, too, counts on from what readers have seen.
    expect((await typed({ a, who: a }, ["root", "revoke", "daily", "--since", "0", "--keep", "*"], undefined, w.nowMs)).exit).toBe(0);
    await a.read();
  });

  it("T4 ahead for one release: said while it is the newest, and no longer", async () => {
    const a = await author(w);
    const home = join(w.folder, "reader");
    const cwd = join(home, "shop");
    mkdirSync(cwd, { recursive: true });
    const run = (...words: readonly string[]): Promise<Ran> => imprintIn({ home, cwd }, ...words);
    expect((await run("add", `${a.url}#${a.id}`, "--yes", "--no-npmrc")).exit).toBe(0);
    w.pass(YEAR_MS);
    await a.publish("@author/a", "1.1.0");
    expect((await run("sync")).stderr).toMatch(/more than a day ahead of this machine's clock/);
    w.pass(-YEAR_MS);
    await a.publish("@author/a", "1.2.0");
    expect((await run("sync")).stderr).not.toMatch(/ahead of this machine/);
    expect((await run("why", "@author/a")).stdout).toMatch(/1\.2\.0 ok/);
  });
});

describe("an author's clock that is hours off is noticed before it is signed", () => {
  const words = (tarball: string): readonly (readonly string[])[] => [
    ["publish", tarball, "--index", "author"],
    ["publish", tarball, "--index", "author", "--propose", "--branch", "late"],
    ["deprecate", "@author/a@1.0.0", "old", "--index", "author"],
    ["tag", "add", "@author/a@1.0.0", "beta", "--index", "author"],
    ["seal", "--index", "author"],
    ["root", "rotate", "--index", "author"],
  ];

  it("T4 behind the last checkpoint, where no host tells the time: refused by every command that signs, nothing is pushed", async () => {
    const a = await author(w, { IMPRINT_TRUST_CLOCK: "" });
    const tarball = join(a.cwd, "late.tgz");
    writeFileSync(tarball, await makePackage({ name: "@author/a", version: "1.1.0" }));
    const head = a.head();
    const slow = (): number => w.nowMs() - 2 * HOUR_MS;
    for (const typedWords of words(tarball)) {
      const ran = await typed({ a, who: a }, typedWords, undefined, slow);
      expect([typedWords, ran.exit, ran.stderr]).toEqual([
        typedWords,
        3,
        expect.stringMatching(/Cannot sign: this machine's clock says that it is \S+Z, and the index was signed at \S+Z, which is later/),
      ]);
    }
    expect(a.head()).toBe(head);
    const trusting = { a: { ...a, env: { ...a.env, IMPRINT_TRUST_CLOCK: "1" } }, who: a };
    for (const typedWords of words(tarball).slice(2)) expect((await typed(trusting, typedWords, undefined, slow)).exit).toBe(0);
  });

  it("T4 T14 whatever a thief dated the last checkpoint: recovery is not held up", async () => {
    const a = await author(w);
    w.pass(YEAR_MS);
    await a.publish("@author/a", "6.6.6");
    w.pass(-YEAR_MS);
    const plain = { a: { ...a, env: { IMPRINT_TRUST_CLOCK: "" } }, who: a };
    expect((await typed(plain, ["seal", "--index", "author"], undefined, w.nowMs)).stderr).toMatch(/CLOCK_WRONG/);
    const revoked = ["root", "revoke", "daily", "--since", "0", "--keep", "*", "--index", "author"];
    expect((await typed(plain, revoked, undefined, w.nowMs)).exit).toBe(0);
  });

  it("T4 ahead or behind a host that dates its answers, also for a new index; where host and clock agree, a late checkpoint is only told of", async () => {
    const root = join(w.folder, "dated");
    mkdirSync(root, { recursive: true });
    const host = await startGitHost({ root });
    try {
      createHostedRepository(root, "ada.git");
      const home = join(w.folder, "ada");
      mkdirSync(home);
      const run = (moved: number, env: NodeJS.ProcessEnv, ...typedWords: readonly string[]): Promise<Ran> =>
        imprintIn({ home, cwd: home, env: { IMPRINT_TRUST_CLOCK: "", ...env }, nowMs: () => Date.now() + moved }, ...typedWords);
      const init = ["init", "clone", "--name", "ada", "--packages", "@ada/*", "--remote", host.url("ada.git")];
      for (const moved of [-2 * HOUR_MS, 2 * HOUR_MS, YEAR_MS]) {
        const refused = await run(moved, {}, ...init);
        expect([refused.exit, refused.stderr]).toEqual([3, expect.stringMatching(/ada\.git says that it is \S+Z\n {2}CLOCK_WRONG/)]);
      }
      expect((await run(10 * 60_000, {}, ...init)).exit).toBe(0);
      writeFileSync(join(home, "x.tgz"), await makePackage({ name: "@ada/x", version: "1.0.0" }));
      for (const moved of [-2 * HOUR_MS, 2 * HOUR_MS, YEAR_MS])
        expect((await run(moved, {}, "publish", "x.tgz")).stderr).toMatch(/ada\.git says that it is \S+Z\n {2}CLOCK_WRONG/);
      expect((await run(2 * HOUR_MS, { IMPRINT_TRUST_CLOCK: "1" }, "publish", "x.tgz")).exit).toBe(0);
      const later = await run(0, {}, "seal");
      expect([later.exit, later.stderr]).toEqual([0, expect.stringMatching(/last signed at \S+Z, by a clock that was wrong/)]);
    } finally {
      await host.close();
    }
  });
});

describe("the consumer's clock", () => {
  const fetches = [
    process.execPath,
    "-e",
    `fetch(process.env.npm_config_registry+"@alice/a").then(async(r)=>process.exit(r.status===200?10+Object.keys((await r.json()).versions).length:9))`,
  ];

  it.each([
    ["set back a year after a sync: the mark of the future is not believed", -YEAR_MS, 12],
    ["set ahead a year: the last sync is long ago", YEAR_MS, 12],
    ["as it was: the host is not asked again", 0, 11],
  ])("T4 %s", async (_, moved, exit) => {
    const alice = await w.index("alice");
    await alice.publish("@alice/a", "1.0.0");
    const cwd = await w.projectFolder("shop", { indices: { alice: { index: alice } } });
    const at = { home: join(w.folder, "home"), cwd };
    expect((await imprintIn(at, "sync")).exit).toBe(0);
    await alice.publish("@alice/a", "1.1.0");
    const nowMs = (): number => Date.now() + moved;
    const ran = await imprintIn({ ...at, nowMs }, "run", "--sync-after", "3600", ...fetches);
    expect([ran.exit, ran.stderr]).toEqual([exit, expect.any(String)]);
    // What is believed, it does not decide.
    expect((await imprintIn({ ...at, nowMs }, "sync")).exit).toBe(0);
  });

  it("T4 minAgeHours by a clock that goes back and comes right: held back meanwhile, a locked tarball is not", async () => {
    const alice = await w.index("alice");
    await alice.publish("@alice/a", "1.0.0");
    let now = Date.now() + 48 * HOUR_MS;
    const c = await w.consumer({ indices: { alice: { index: alice, minAgeHours: 24 } }, wallMs: () => now });
    await c.sync();
    expect((await c.get("/@alice/a")).status).toBe(200);
    now -= YEAR_MS;
    const back = await c.again({ wallMs: () => now });
    expect([(await back.get("/@alice/a")).json.code, (await back.get("/@alice/a/-/a-1.0.0.tgz")).status]).toEqual(["TOO_YOUNG", 200]);
    now += YEAR_MS;
    expect((await back.get("/@alice/a")).status).toBe(200);
  });

  it.each([-YEAR_MS, YEAR_MS])("T4 upstream's answers, kept at another time (%s ms): asked about again, and served", async (moved) => {
    await w.upstream.publish("left", "1.0.0");
    let now = Date.now();
    const c = await w.consumer({ indices: {}, nowMs: () => now });
    expect((await c.get("/left")).status).toBe(200);
    now += moved;
    const asked = w.upstream.requests.length;
    expect((await c.get("/left")).status).toBe(200);
    expect(w.upstream.requests.length).toBe(asked + 1);
  });
});
