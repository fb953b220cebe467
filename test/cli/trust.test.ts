/** `imprint trust …` and `--strict`: what people look at, and what a pull request may not do unseen. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { PackageName } from "../../src/format/names.ts";
import type { Version } from "../../src/format/versions.ts";
import { releasePath } from "../../src/format/paths.ts";
import { imprintIn, type Ran, snapshotOf } from "./in-process.ts";
import { publicKeyOf, strangerKey, type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let alice: TestIndex;
let bob: TestIndex;
let shops = 0;
beforeAll(async () => {
  w = await world({ startMs: Date.now() - 3_600_000 });
  [alice, bob] = [await w.index("alice"), await w.index("bob")];
  await alice.publish("@alice/a", "1.0.0");
  await bob.publish("@bob/b", "1.0.0");
});
afterAll(() => w.close());

type Shop = {
  readonly cwd: string;
  readonly home: string;
  run(...argv: readonly string[]): Promise<Ran>;
  git(...args: readonly string[]): string;
};

function newShop(): Shop {
  const cwd = path.join(w.folder, `trust-shop-${String(++shops)}`);
  const home = path.join(w.folder, `trust-home-${String(shops)}`);
  for (const folder of [cwd, home]) mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(cwd, "package.json"), '{ "name": "shop", "version": "1.0.0", "private": true }\n');
  const env = { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };
  const git = (...args: readonly string[]): string =>
    execFileSync("git", ["-C", cwd, "-c", "user.name=x", "-c", "user.email=x@example.org", ...args], { env, encoding: "utf8" }).trim();
  return { cwd, home, run: (...argv) => imprintIn({ home, cwd }, ...argv), git };
}

const address = (index: TestIndex): string => `${index.url}#${index.id}`;

describe("trust show, history, diff, accept", () => {
  it("K6 what changed since one accepted it, in words: keys, thresholds, names, withdrawn releases", async () => {
    const index = await w.index("kim");
    await index.publish("@kim/a", "1.0.0");
    await index.publish("@kim/a", "1.1.0");
    const shop = newShop();
    expect((await shop.run("add", address(index), "--yes")).exit).toBe(0);
    expect((await shop.run("why", "@kim/a")).exit).toBe(0);
    expect((await shop.run("trust", "diff")).stdout).toMatch(/^kim {3}nothing changed since root 1, seq/);
    const shown = await shop.run("trust", "show", "--json");
    expect(JSON.parse(shown.stdout)).toMatchObject([
      {
        alias: "kim",
        id: index.id,
        packages: ["@kim/*"],
        root: { version: 1 },
        now: { root: 1 },
        accepted: { root: 1 },
        locked: { root: 1 },
        stale: null,
      },
    ]);
    // A thief of the root key, or the owner: the words are the same, and whoever reads them asks.
    const second = strangerKey();
    await index.changeRoot(({ roles, publishers }) => ({
      roles: { ...roles, checkpoint: { keys: [...roles.checkpoint.keys, publicKeyOf(second)], threshold: 1 } },
      publishers: publishers.map((entry) => ({ ...entry, packages: [...entry.packages, "kim-tool" as never] })),
    }));
    await index.amend("@kim/a", (record) => ({
      releases: new Map([...record.releases].filter(([version]) => version !== "1.0.0")),
      withdrawn: new Map([["1.0.0" as Version, "a secret in it"]]),
    }));
    const synced = await shop.run("sync");
    expect(synced.stderr).toMatch(/root 2: checkpoint key ed25519:\S+ added, it may publish kim-tool/);
    // Sync is told once; this as often as one asks.
    for (let i = 0; i < 2; i++) {
      const { stdout } = await shop.run("trust", "diff");
      expect(stdout).toMatch(/^kim {3}since root 1, .* now root 2, /);
      expect(stdout).toMatch(/root 2: checkpoint key ed25519:\S+ added, it may publish kim-tool/);
    }
    const history = await shop.run("trust", "history");
    expect(history.stdout).toMatch(/root 1: the first.*\n {2}root 2 \(not accepted yet\): checkpoint key/);
    expect((await shop.run("trust", "accept", "nobody")).stderr).toMatch(/NOT_FOUND/);
    expect((await shop.run("trust", "accept", "kim")).stderr).toMatch(/kim accepted as it is now/);
    expect((await shop.run("trust", "diff")).stdout).toMatch(/nothing changed since root 2/);
    expect((await shop.run("trust", "history")).stdout).not.toMatch(/not accepted/);
    await index.amend("@kim/a", (record) => ({
      releases: new Map(),
      withdrawn: new Map([...record.withdrawn, ["1.1.0" as Version, "too"]]),
      yanked: new Map(),
      tags: new Map(),
    }));
    await shop.run("sync");
    expect((await shop.run("trust", "diff")).stdout).toMatch(/@kim\/a 1\.1\.0 withdrawn|@kim\/a is new|1 more package changed/);
  });

  it("before anything was verified or accepted: said, with the next step", async () => {
    const cwd = await w.projectFolder("never", { indices: { alice: { index: alice } } });
    const home = path.join(w.folder, "never-home");
    const run = (...argv: readonly string[]): Promise<Ran> => imprintIn({ home, cwd }, ...argv);
    expect((await run("trust", "show")).stdout).toMatch(/never verified on this machine: imprint sync/);
    expect((await run("trust", "history")).stdout).toMatch(/never verified on this machine/);
    expect((await run("trust", "diff")).stdout).toMatch(/accepted nothing yet/);
    const early = await run("trust", "accept");
    expect([early.exit, early.stderr]).toEqual([5, expect.stringMatching(/NEVER_SYNCED/)]);
    await run("sync");
    expect((await run("trust", "diff")).stdout).toMatch(/accepted nothing yet: imprint trust show alice, then imprint trust accept alice/);
    expect((await run("trust", "accept")).exit).toBe(0);
    expect((await run("trust", "diff")).stdout).toMatch(/nothing changed/);
  });
});

describe("L1 trust diff <commit>", () => {
  let shop: Shop;
  const file = (name: "imprint.json" | "imprint.lock"): string => path.join(shop.cwd, name);
  type Json = { indices: Record<string, Record<string, unknown>>; upstream: Record<string, unknown> };
  const edit = (name: "imprint.json" | "imprint.lock", change: (json: Json) => void): void => {
    const json = JSON.parse(readFileSync(file(name), "utf8")) as Json;
    change(json);
    writeFileSync(file(name), `${JSON.stringify(json, null, 2)}\n`);
  };
  beforeAll(async () => {
    shop = newShop();
    shop.git("init", "-q", "-b", "main");
    expect((await shop.run("add", address(alice), "--yes")).exit).toBe(0);
    edit("imprint.json", ({ indices, upstream }) => {
      Object.assign(indices["alice"] ?? {}, { maxAgeDays: 30, minAgeHours: 24 });
      upstream["deny"] = ["@mycorp/*", "left-pad"];
    });
    shop.git("add", "-A");
    shop.git("commit", "-q", "-m", "base");
  });
  beforeEach(() => void shop.git("checkout", "-q", "--", "."));

  it("nothing changed, or only narrowed: passes", async () => {
    expect((await shop.run("trust", "diff", "HEAD")).stdout).toBe("nothing changed\n");
    edit("imprint.json", ({ indices, upstream }) => {
      Object.assign(indices["alice"] ?? {}, { maxAgeDays: 7, minAgeHours: 48, urls: ["https://mirror.example.org/alice.git"] });
      upstream["deny"] = ["@mycorp/*", "left-pad", "is-odd"];
    });
    const ran = await shop.run("trust", "diff", "HEAD");
    expect([ran.exit, ran.stdout]).toEqual([0, expect.stringMatching(/is-odd comes from nowhere, before from the public registry/)]);
    expect(ran.stdout).not.toMatch(/^widens/m);
  });

  const OTHER = "b".repeat(64);
  const cases: readonly (readonly [string, () => void, RegExp])[] = [
    [
      "adds an index",
      () =>
        edit(
          "imprint.json",
          ({ indices }) => void (indices["eve"] = { id: OTHER, urls: ["https://eve.example.org/x.git"], packages: ["react"] }),
        ),
      /widens index eve is new: id b{64}.*for react[\s\S]*widens react comes from eve, before from the public registry/,
    ],
    [
      "swaps an id",
      () => edit("imprint.json", ({ indices }) => Object.assign(indices["alice"] ?? {}, { id: OTHER })),
      /widens index alice is another one: id b{64}/,
    ],
    [
      "widens a claim",
      () => edit("imprint.json", ({ indices }) => Object.assign(indices["alice"] ?? {}, { packages: ["@alice/*", "react"] })),
      /widens react comes from alice, before from the public registry/,
    ],
    [
      "claims everything",
      () => edit("imprint.json", ({ indices }) => Object.assign(indices["alice"] ?? {}, { packages: ["*"] })),
      /widens \* comes from alice, before from the public registry[\s\S]*widens @mycorp\/\* comes from alice, before from nowhere/,
    ],
    [
      "drops a claim, so that the names become public",
      () => edit("imprint.json", ({ indices }) => Object.assign(indices["alice"] ?? {}, { packages: ["@alice/a"] })),
      /widens @alice\/\* comes from the public registry, before from alice/,
    ],
    [
      "removes an index",
      () => edit("imprint.json", ({ indices }) => void delete indices["alice"]),
      /widens @alice\/\* comes from the public registry, before from alice/,
    ],
    [
      "lifts a denial",
      () => edit("imprint.json", ({ upstream }) => void (upstream["deny"] = ["left-pad"])),
      /widens @mycorp\/\* comes from the public registry, before from nowhere/,
    ],
    [
      "moves upstream",
      () => edit("imprint.json", ({ upstream }) => void (upstream["registry"] = "https://evil.example.org/")),
      /widens public names come from https:\/\/evil/,
    ],
    [
      "takes younger releases",
      () => edit("imprint.json", ({ indices }) => void delete indices["alice"]?.["minAgeHours"]),
      /widens releases of alice are taken after 0 hours, before after 24/,
    ],
    [
      "takes older states",
      () => edit("imprint.json", ({ indices }) => Object.assign(indices["alice"] ?? {}, { maxAgeDays: 90 })),
      /widens index alice may be 90 days old, before 30/,
    ],
    [
      "takes states of any age",
      () => edit("imprint.json", ({ indices }) => void delete indices["alice"]?.["maxAgeDays"]),
      /widens index alice may be of any age/,
    ],
    [
      "lowers the lock",
      () => edit("imprint.lock", ({ indices }) => Object.assign(indices["alice"] ?? {}, { seq: 1 })),
      /widens imprint\.lock lowers alice to root 1, seq 1/,
    ],
    [
      "rewrites the lock's history",
      () => edit("imprint.lock", ({ indices }) => Object.assign(indices["alice"] ?? {}, { checkpoint: OTHER })),
      /widens imprint\.lock holds another history of alice/,
    ],
    [
      "drops an entry of the lock",
      () => edit("imprint.lock", ({ indices }) => void delete indices["alice"]),
      /widens imprint\.lock no longer holds alice/,
    ],
    ["deletes the lock", () => rmSync(file("imprint.lock")), /widens imprint\.lock no longer holds alice/],
    ["deletes imprint.json", () => rmSync(file("imprint.json")), /widens @alice\/\* comes from the public registry, before from alice/],
  ];
  it.each(cases)(
    "L1 a pull request that %s: named, failed, and passed only by the digest of this very change",
    async (_, change, words) => {
      const before = snapshotOf(path.join(shop.home, "imprint", "state"));
      change();
      const failed = await shop.run("trust", "diff", "HEAD");
      expect([failed.exit, failed.stderr]).toEqual([4, expect.stringMatching(words)]);
      expect(failed.stderr).toContain("TRUST_WIDENED");
      const digest = /nobody accepted ([0-9a-f]{64})/.exec(failed.stderr)?.[1] ?? "";
      expect((await shop.run("trust", "diff", "HEAD", "--accept", OTHER)).exit).toBe(4);
      expect((await shop.run("trust", "diff", "HEAD", "--accept", digest)).exit).toBe(0);
      const env = { IMPRINT_ACCEPT: digest };
      expect((await imprintIn({ home: shop.home, cwd: shop.cwd, env }, "trust", "diff", "HEAD")).exit).toBe(0);
      const json = await shop.run("trust", "diff", "HEAD", "--json");
      expect([json.exit, JSON.parse(json.stdout)]).toEqual([4, expect.objectContaining({ digest, ok: false })]);
      // consent to this change is none to another
      if (_ !== "deletes imprint.json") {
        edit(
          "imprint.json",
          ({ indices }) => void (indices["mallory"] = { id: OTHER, urls: ["https://m.example.org/x.git"], packages: ["zod"] }),
        );
        expect((await shop.run("trust", "diff", "HEAD", "--accept", digest)).exit).toBe(4);
      }
      // and nothing that this machine has seen is touched
      expect(snapshotOf(path.join(shop.home, "imprint", "state"))).toEqual(before);
    },
  );

  it("a commit that is not there, a folder that is in no repository, files that cannot be read", async () => {
    expect((await shop.run("trust", "diff", "origin/main")).stderr).toMatch(
      /there is no such commit here \(in CI, fetch the base branch first\)/,
    );
    const outside = newShop();
    await outside.run("add", address(alice), "--yes");
    expect((await outside.run("trust", "diff", "HEAD")).stderr).toMatch(/is in no git repository/);
    writeFileSync(file("imprint.json"), "{");
    expect((await shop.run("trust", "diff", "HEAD")).stderr).toMatch(/CONFIG_INVALID/);
  });

  it("from a folder below the top, and where neither file was there before", async () => {
    const top = newShop();
    top.git("init", "-q", "-b", "main");
    top.git("commit", "-q", "--allow-empty", "-m", "empty");
    const cwd = path.join(top.cwd, "packages", "web");
    mkdirSync(cwd, { recursive: true });
    writeFileSync(path.join(cwd, "package.json"), "{}");
    const run = (...argv: readonly string[]): Promise<Ran> => imprintIn({ home: top.home, cwd }, ...argv);
    expect((await run("add", address(alice), "--yes")).exit).toBe(0);
    expect((await run("trust", "diff", "HEAD")).stderr).toMatch(/widens in packages\/web: index alice is new/);
    top.git("add", "-A");
    top.git("commit", "-q", "-m", "trust alice");
    expect((await run("trust", "diff", "HEAD")).stdout).toBe("nothing changed\n");
  });
});

describe("--strict: warnings become refusals", () => {
  it("T4 a stale index stops run and sync", async () => {
    const cwd = await w.projectFolder("stale-strict", { indices: { alice: { index: alice, maxAgeDays: 1 } } });
    const home = path.join(w.folder, "stale-strict-home");
    const run = (...argv: readonly string[]): Promise<Ran> => imprintIn({ home, cwd }, ...argv);
    expect((await run("sync", "--strict")).exit).toBe(0);
    const later = { home, cwd, env: {} };
    expect((await imprintIn(later, "run", "--strict", "true")).exit).toBe(0);
    const old = await world({ startMs: Date.now() - 40 * 86_400_000 });
    onTestFinished(() => old.close());
    const index = await old.index("old");
    await index.publish("@old/a", "1.0.0");
    const folder = await old.projectFolder("shop", { indices: { old: { index, maxAgeDays: 30 } } });
    const at = { home: path.join(old.folder, "home"), cwd: folder };
    expect((await imprintIn(at, "sync")).exit).toBe(0);
    for (const argv of [
      ["sync", "--strict"],
      ["run", "--strict", "true"],
      ["serve", "--strict", "--port", "0"],
    ]) {
      const ran = await imprintIn(at, ...argv);
      expect([argv, ran.exit, ran.stderr]).toEqual([argv, 4, expect.stringMatching(/more than 30 days ago[\s\S]*STRICT/)]);
    }
  });

  it("T4 one that grows stale while a resolver runs answers no more", async () => {
    let nowMs = Date.now();
    const index = await w.index("aging");
    await index.publish("@aging/a", "1.0.0");
    const indices = { aging: { index, maxAgeDays: 30 } };
    const signedMs = Date.parse((await index.checkpoint()).doc.time);
    const [strict, lenient] = await Promise.all(
      [true, false].map((isStrict) => w.consumer({ indices, strict: isStrict, syncAfterMs: 60_000, wallMs: () => nowMs })),
    );
    for (const ageDays of [29, 31]) {
      nowMs = signedMs + ageDays * 86_400_000;
      expect((await lenient?.get("/@aging%2fa"))?.status).toBe(200);
      const answer = await strict?.get("/@aging%2fa");
      if (ageDays === 29) expect(answer?.status).toBe(200);
      else
        expect([answer?.status, answer?.json.error]).toEqual([
          403,
          expect.stringMatching(/stale, signed .* more than 30 days ago.*STRICT/),
        ]);
    }
  });

  it("X4 an introduction that nobody settled stops it", async () => {
    const index = await w.index("gil", {
      root: () => ({ introductions: [{ id: bob.id, url: bob.url, packages: ["@bob/*" as never] }] }),
    });
    await index.publish("@gil/a", "1.0.0");
    const cwd = await w.projectFolder("gil-shop", { indices: { gil: { index } } });
    const home = path.join(w.folder, "gil-home");
    expect((await imprintIn({ home, cwd }, "sync")).stderr).toMatch(/gil depends on @bob\/\*/);
    for (const argv of [
      ["sync", "--strict"],
      ["run", "--strict", "true"],
    ]) {
      const ran = await imprintIn({ home, cwd }, ...argv);
      expect([argv, ran.exit, ran.stderr]).toEqual([argv, 4, expect.stringMatching(/gil depends on @bob\/\*[\s\S]*STRICT/)]);
    }
  });

  it("a host that breaks a package, or is gone: what was verified before serves no more", async () => {
    const index = await w.index("liar");
    await index.publish("@liar/a", "1.0.0");
    const cwd = await w.projectFolder("liar-shop", { indices: { liar: { index } } });
    const home = path.join(w.folder, "liar-home");
    const run = (...argv: readonly string[]): Promise<Ran> => imprintIn({ home, cwd }, ...argv);
    const fetches = [process.execPath, "-e", "fetch(process.env.npm_config_registry+'@liar/a').then(r=>process.exit(r.status===200?0:9))"];
    await run("sync");
    expect((await run("run", "--sync-after", "0", ...fetches)).exit).toBe(0);
    await index.publish("@liar/a", "1.0.1");
    await index.flip(releasePath("@liar/a" as PackageName, "1.0.1" as Version));
    expect((await run("run", "--sync-after", "0", ...fetches)).exit).toBe(0);
    const strict = await run("run", "--strict", "--sync-after", "0", ...fetches);
    expect([strict.exit, strict.stderr]).toEqual([9, expect.stringMatching(/HASH_MISMATCH/)]);
    index.down();
    expect((await run("run", "--sync-after", "0", ...fetches)).exit).toBe(0);
    const gone = await run("run", "--strict", "--sync-after", "0", ...fetches);
    index.up();
    // Not a 503, which clients would wait for.
    expect([gone.exit, gone.stderr]).toEqual([9, expect.stringMatching(/under --strict: .*\(UNREACHABLE\) \(STRICT/)]);
  });
});
