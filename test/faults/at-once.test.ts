/**
 * C1, C2: two at once on one home or one index: resolvers on one cache, publishers while a root changes, root commands, one
 * request applied twice. (`test/index/race.test.ts` has publishers on one and two packages.)
 */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Files, nodeFiles } from "../../src/storage/files.ts";
import { testGit } from "../support/git-host.ts";
import { type World, world } from "../support/world.ts";
import type { Ran } from "../cli/in-process.ts";
import { author, type Author } from "./author.ts";
import { mergeBranch, SCENES, typed } from "./scenes.ts";

let w: World;
let a: Author;
beforeAll(async () => {
  w = await world({ startMs: Date.now() - 3_600_000 });
  a = await author(w);
});
afterAll(() => w.close());

/** Whatever raced: every root has a number of its own, the newest one's keys are here and work, readers read everything. */
afterEach(async () => {
  const chains = new Map<string, string>();
  for (const commit of testGit(a.gitDir, ["log", "--format=%H", "main"]).split("\n")) {
    const files = testGit(a.gitDir, ["ls-tree", "--name-only", commit, "trust/"]);
    const tree = testGit(a.gitDir, ["rev-parse", `${commit}:trust`]);
    if ((chains.get(files) ?? tree) !== tree) throw new Error(`two roots of one number: ${files}`);
    chains.set(files, tree);
  }
  await a.check(a.head());
  await a.read();
  await a.requireUsable();
  // The root key, too.
  const { exit, stderr } = await run("root", "set", "--refresh-days", String(++days));
  if (exit !== 0) throw new Error(stderr);
});
let days = 0;

const run = (...words: readonly string[]): Promise<Ran> => typed({ a, who: a }, words);

/** Once, right after a key file was read or written for the first time. */
function onKeys(what: "read" | "write", act: () => Promise<unknown>): Files {
  const inner = nodeFiles();
  let done = false;
  const once = async (path: string): Promise<void> => {
    if (done || !path.endsWith(".daily.json")) return;
    done = true;
    await act();
  };
  return {
    ...inner,
    async read(path, maxBytes) {
      const bytes = await inner.read(path, maxBytes);
      if (what === "read") await once(path);
      return bytes;
    },
    async writeAtomic(path, bytes, options) {
      await inner.writeAtomic(path, bytes, options);
      if (what === "write") await once(path);
    },
  };
}

describe("C2 while a root changes", () => {
  it("C2 a publish that is faster than a rotation: the rotation is made again over it, nothing is lost", async () => {
    const { version } = a.root();
    const files = onKeys("write", () => a.publish("@author/a", "1.1.0"));
    const rotated = await typed({ a, who: a }, ["root", "rotate", "--index", "author"], files);
    expect([rotated.exit, rotated.stderr]).toEqual([0, expect.stringMatching(/committed/)]);
    expect(a.root().version).toBe(version + 1);
    expect((await a.read())["@author/a"]).toMatchObject({ "1.0.0": "ok", "1.1.0": "ok" });
  });

  it("C2 a rotation that is faster than a yank: the yank is signed again with the new keys", async () => {
    const words = ["yank", "@author/a@1.0.0", "--reason", "no", "--index", "author"];
    const files = onKeys("read", async () => expect((await run("root", "rotate", "--index", "author")).exit).toBe(0));
    const late = await typed({ a, who: a }, words, files);
    expect([late.exit, late.stderr]).toEqual([0, expect.stringMatching(/yanked/)]);
    expect((await a.read())["@author/a"]).toMatchObject({ "1.0.0": "yanked" });
  });

  it("C2 a publish during a seal: both are there", async () => {
    await a.publish("@author/b", "1.1.0", a.deps(), { branch: "b11" });
    mergeBranch(a, "b11");
    const files = onKeys("read", () => a.publish("@author/a", "1.2.0"));
    const sealed = await typed({ a, who: a }, ["seal", "--index", "author"], files);
    expect([sealed.exit, sealed.stderr]).toEqual([0, expect.stringMatching(/sealed/)]);
    expect(await a.read()).toMatchObject({ "@author/a": { "1.2.0": "ok" }, "@author/b": { "1.1.0": "ok" } });
  });
});

describe("C2 a proposal that two publishers sign at once", () => {
  it("C2 the slower one signs again on top of what the other pushed", async () => {
    const scene = await (SCENES["cosign"] as NonNullable<(typeof SCENES)[string]>)(w, {});
    await scene.prepare?.(1);
    const { gitDir } = scene.a;
    let other = "";
    const files = onKeys("read", async () => {
      other = testGit(gitDir, ["commit-tree", "p1^{tree}", "-p", "p1", "-m", "another publisher"]);
      testGit(gitDir, ["update-ref", "refs/heads/p1", other]);
    });
    const { exit, stderr } = await typed(scene, scene.words(1), files);
    expect([exit, stderr]).toEqual([0, expect.stringMatching(/signed @author\/a@1\.1\.1 · committed/)]);
    expect(testGit(gitDir, ["rev-parse", "p1^"])).toBe(other);
  });
});

describe("C2 two root commands at once", () => {
  it.each([
    [
      ["root", "rotate"],
      ["root", "rotate"],
    ],
    [
      ["root", "rotate", "root"],
      ["root", "rotate", "root"],
    ],
    [
      ["root", "rotate", "publisher"],
      ["root", "rotate", "checkpoint"],
    ],
    [
      ["root", "rotate", "root"],
      ["root", "rotate", "daily"],
    ],
  ])("C2 %j and %j: one is done, the other made again or refused in one line, no key is lost", async (...both) => {
    const { version } = a.root();
    const ran = await Promise.all(both.map((words) => run(...words, "--index", "author")));
    const done = ran.filter(({ exit }) => exit === 0).length;
    expect([done, ran.map(({ stderr }) => stderr)]).not.toEqual([0, expect.anything()]);
    for (const { exit, stderr } of ran) if (exit !== 0) expect(stderr).toMatch(/\n?✗ Cannot [^\n]+\n {2}[A-Z_]+; next: [^\n]+\n$/);
    expect(a.root().version).toBe(version + done);
  });

  it("C2 new keys of two commands in one file: both are there", async () => {
    const ran = await Promise.all([1, 2, 3].map(() => run("key", "new", "--index", "author", "--purpose", "publisher")));
    const here = a.keysOnDisk().map(({ publicKey }) => publicKey);
    expect(here).toEqual(expect.arrayContaining(ran.map(({ stdout }) => stdout.trim())));
  });

  it("C2 one request applied twice at once: one root", async () => {
    const { version } = a.root();
    const file = join(a.cwd, "twice.json");
    expect((await run("root", "grant", "author-tool", "--out", file, "--index", "author")).exit).toBe(0);
    const ran = await Promise.all([1, 2].map(() => run("root", "apply", file, "--index", "author")));
    expect(ran.map(({ exit }) => exit).toSorted((x, y) => x - y)).toEqual([0, 1]);
    expect(ran.find(({ exit }) => exit === 1)?.stderr).toMatch(/applied already|root was changed since/);
    expect(a.root().version).toBe(version + 1);
  });
});

describe("C1 two resolvers on one home", () => {
  it("C1 sync, read and fetch at once while the author publishes: neither is refused anything, both see the newest", async () => {
    const alice = await w.index("alice");
    await alice.publish("@alice/a", "1.0.0");
    const home = join(w.folder, "home-of-two");
    const both = [
      await w.consumer({ indices: { alice: { index: alice } }, home }),
      await w.consumer({ indices: { alice: { index: alice } }, home }),
    ];
    for (let i = 1; i <= 5; i++) {
      await alice.publish("@alice/a", `1.${String(i)}.0`);
      const answers = await Promise.all(
        both.map(async (c) => {
          await c.sync();
          const { status, json } = await c.get("/@alice/a");
          const tarball = await c.get(`/@alice/a/-/a-1.${String(i)}.0.tgz`);
          return [status, Object.keys(json.versions).length, tarball.status];
        }),
      );
      expect(answers).toEqual([
        [200, i + 1, 200],
        [200, i + 1, 200],
      ]);
    }
    expect(both.flatMap(({ warnings, refused }) => [...warnings, ...refused])).toEqual([]);
    const later = await w.consumer({ indices: { alice: { index: alice } }, home });
    expect(Object.values(await later.verdicts("@alice/a"))).toEqual(Array.from({ length: 6 }, () => "ok"));
  });
});
