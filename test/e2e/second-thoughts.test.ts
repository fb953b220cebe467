/** An author's second thoughts, and what npm makes of them. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testGit } from "../support/git-host.ts";
import { type Outcome, type People, people, type Person } from "../support/people.ts";

let world: People;
let uma: Person;
let index: Awaited<ReturnType<People["init"]>>;
beforeAll(async () => {
  world = await people();
  uma = world.person("uma");
  index = await world.init(uma, "@uma/*");
});
afterAll(() => world.close());

const imprint = (...words: readonly string[]): Promise<Outcome> => world.imprint(uma, world.folder, ...words);

async function publish(name: string, versions: readonly string[], ...flags: readonly string[]): Promise<void> {
  for (const version of versions) {
    const folder = world.folderOf(`${name.replace("/", "-")}-${version}`, {
      "package.json": { name, version, main: "i.js" },
      "i.js": `module.exports = ${JSON.stringify(version)};\n`,
    });
    const done = await world.imprint(uma, folder, "publish", ...flags);
    expect(done.stderr).toMatch(/read back/);
  }
}

type Shop = { readonly folder: string; npm(...words: readonly string[]): Promise<Outcome>; installed(name: string): string | null };

async function shopOf(name: string): Promise<Shop> {
  const who = world.person(name);
  const folder = world.folderOf(name, { "package.json": { name: "shop", version: "1.0.0", private: true } });
  expect((await world.imprint(who, folder, "add", index.address, "--yes")).code).toBe(0);
  return {
    folder,
    npm: (...words) => world.imprint(who, folder, "run", "--sync-after", "0", "npm", ...words),
    installed(pkg) {
      const file = path.join(folder, "node_modules", pkg, "package.json");
      return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version : null;
    },
  };
}

const tarballRefs = (gitDir: string): readonly string[] =>
  testGit(gitDir, ["for-each-ref", "--format=%(refname)", "refs/tarballs"]).split("\n").filter(Boolean);

describe("yank and unyank", () => {
  it("latest first moves; then no new install finds it, and a locked one goes on", async () => {
    await publish("@uma/y", ["1.0.0", "1.0.1", "1.1.0"]);
    const [locked, fresh] = [await shopOf("locked"), await shopOf("fresh")];
    await locked.npm("install", "@uma/y@1.1.0");
    const refused = await imprint("yank", "@uma/y@1.1.0");
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/latest points at it; move it first: imprint tag add '@uma\/y@1\.0\.1' latest/),
    ]);
    const dry = await imprint("yank", "@uma/y@<1.1", "--dry-run");
    expect([dry.stdout, dry.stderr]).toEqual([
      "@uma/y@1.0.0\n@uma/y@1.0.1\n",
      expect.stringMatching(/would yank @uma\/y: 1\.0\.0, 1\.0\.1/),
    ]);

    const moved = await imprint("tag", "add", "@uma/y@1.0.1", "latest");
    expect([moved.code, moved.stderr]).toEqual([0, expect.stringMatching(/latest of @uma\/y moves down, from 1\.1\.0 to 1\.0\.1/)]);
    const yanked = await imprint("yank", "@uma/y@1.1.0", "--reason", "eats files", "--json");
    expect(JSON.parse(yanked.stdout)).toEqual([
      { name: "@uma/y", version: "1.1.0", index: "uma", commit: expect.stringMatching(/^[0-9a-f]{40}$/) },
    ]);
    expect((await fresh.npm("install", "@uma/y@^1.1.0")).stderr).toMatch(/ETARGET/);
    await fresh.npm("install", "@uma/y");
    expect(fresh.installed("@uma/y")).toBe("1.0.1");
    const ci = await locked.npm("ci");
    expect([ci.code, locked.installed("@uma/y")]).toEqual([0, "1.1.0"]);
    expect((await world.imprint(world.person("locked"), locked.folder, "sync")).code).toBe(0);
    const why = await world.imprint(world.person("locked"), locked.folder, "why", "@uma/y");
    expect(why.stdout).toMatch(/1\.1\.0.*yanked.*eats files/);

    expect((await imprint("unyank", "@uma/y@1.1.0")).code).toBe(0);
    await fresh.npm("install", "@uma/y@^1.1.0");
    expect(fresh.installed("@uma/y")).toBe("1.1.0");
    expect((await imprint("unyank", "@uma/y")).stderr).toMatch(/nothing to unyank/);
  });
});

describe("deprecate", () => {
  it("npm warns; an empty message takes it back", async () => {
    await publish("@uma/d", ["1.0.0"]);
    const shop = await shopOf("deprecating");
    expect((await imprint("deprecate", "@uma/d", "use @uma/y instead")).code).toBe(0);
    expect((await shop.npm("install", "@uma/d")).stderr).toMatch(/deprecated.*use @uma\/y instead/);
    expect((await imprint("deprecate", "@uma/d", "")).stderr).toMatch(/no longer deprecated/);
    const view = await shop.npm("view", "@uma/d", "deprecated");
    expect([view.code, view.stdout.trim()]).toEqual([0, ""]);
  });
});

describe("withdraw", () => {
  it("asks, removes the tarball on the host, and neither serves it nor takes its number again", async () => {
    await publish("@uma/w", ["1.0.0", "1.0.1"]);
    const shop = await shopOf("withdrawing");
    await shop.npm("install", "@uma/w@1.0.0");
    const before = tarballRefs(world.hosted("uma/index.git"));
    const nobody = await imprint("withdraw", "@uma/w@1.0.0");
    expect([nobody.code, nobody.stderr]).toEqual([2, expect.stringMatching(/never served again.*nobody is here to say yes/)]);
    const done = await imprint("withdraw", "@uma/w@1.0.0", "--yes", "--reason", "a key in it");
    expect(done.stderr).toMatch(/removed its tarball from the host/);
    expect(done.stderr).toMatch(/Copies may exist/);
    expect(tarballRefs(world.hosted("uma/index.git"))).toHaveLength(before.length - 1);
    // A plain push brings nothing back.
    expect((await world.sh(uma, index.clone, "git", ["push"])).code).toBe(0);
    expect(tarballRefs(world.hosted("uma/index.git"))).toHaveLength(before.length - 1);

    // npm's own cache may have a copy; whoever has none gets none.
    const other = await shopOf("withdrawn-late");
    cpSync(path.join(shop.folder, "package-lock.json"), path.join(other.folder, "package-lock.json"));
    cpSync(path.join(shop.folder, "package.json"), path.join(other.folder, "package.json"));
    const ci = await other.npm("ci");
    expect([ci.code, ci.stderr]).toEqual([
      1,
      expect.stringMatching(/withdrawn by uma: @uma\/w 1\.0\.0 \(a key in it\), and package-lock\.json has it/),
    ]);
    const again = world.folderOf("again", { "package.json": { name: "@uma/w", version: "1.0.0", main: "i.js" }, "i.js": "" });
    const republished = await world.imprint(uma, again, "publish");
    expect([republished.code, republished.stderr]).toEqual([6, expect.stringMatching(/withdrawn, and its number is never used again/)]);
    expect((await imprint("verify", index.clone, "--tarballs")).stdout).toMatch(/all good/);
  });

  it("stands where the host lets nobody delete refs, and says what is left to do", async () => {
    await publish("@uma/stuck", ["1.0.0", "1.0.1"]);
    const hook = path.join(world.hosted("uma/index.git"), "hooks", "update");
    mkdirSync(path.dirname(hook), { recursive: true });
    writeFileSync(hook, '#!/bin/sh\ncase "$3" in *[!0]*) exit 0;; esac\necho "no deletes here" >&2\nexit 1\n', { mode: 0o755 });
    const done = await imprint("withdraw", "@uma/stuck@1.0.0", "--yes");
    rmSync(hook);
    expect([done.code, done.stderr]).toEqual([
      0,
      expect.stringMatching(/withdrawn, but the host keeps its tarball .*delete there refs\/tarballs\//),
    ]);
  });
});

describe("tags", () => {
  it("add, ls, rm; publish never moves latest down or to a prerelease by itself", async () => {
    await publish("@uma/t", ["1.0.0", "2.0.0"]);
    const older = world.folderOf("uma-t-old", { "package.json": { name: "@uma/t", version: "1.0.1", main: "i.js" }, "i.js": "" });
    expect((await world.imprint(uma, older, "publish")).stderr).toMatch(/lower than 2\.0\.0; name a tag with --tag/);
    expect((await world.imprint(uma, older, "publish", "--tag", "old")).code).toBe(0);
    const beta = world.folderOf("uma-t-beta", { "package.json": { name: "@uma/t", version: "3.0.0-beta.1", main: "i.js" }, "i.js": "" });
    expect((await world.imprint(uma, beta, "publish")).stderr).toMatch(/it is a prerelease/);
    expect((await imprint("tag", "add", "@uma/t@1.0.0", "lts")).code).toBe(0);
    expect((await imprint("tag", "ls", "@uma/t")).stdout).toBe("latest: 2.0.0\nlts: 1.0.0\nold: 1.0.1\n");
    const shop = await shopOf("tagged");
    await shop.npm("install", "@uma/t@lts");
    expect(shop.installed("@uma/t")).toBe("1.0.0");
    expect((await imprint("tag", "rm", "@uma/t", "lts")).code).toBe(0);
    expect(JSON.parse((await imprint("tag", "ls", "@uma/t", "--json")).stdout)).toEqual({ latest: "2.0.0", old: "1.0.1" });
    expect((await imprint("tag", "rm", "@uma/t", "latest")).code).toBe(1);
  });

  it("--no-push leaves it to git push; a package or version that is not there is NOT_FOUND", async () => {
    await publish("@uma/n", ["1.0.0"]);
    const kept = await imprint("deprecate", "@uma/n", "later", "--no-push");
    expect(kept.stderr).toMatch(/committed .* in .*Publish it with/s);
    const shop = await shopOf("not-pushed");
    expect((await shop.npm("install", "@uma/n")).stderr).not.toMatch(/deprecated/);
    expect((await world.sh(uma, index.clone, "git", ["push"])).code).toBe(0);
    expect((await shop.npm("view", "@uma/n", "deprecated")).stdout.trim()).toBe("later");
    for (const words of [
      ["yank", "@uma/nothing@1.0.0"],
      ["yank", "@uma/n@9"],
      ["tag", "ls", "@uma/nothing"],
    ])
      expect((await imprint(...words)).stderr).toMatch(/NOT_FOUND/);
    expect((await imprint("yank", "@uma/n")).stderr).toMatch(/say which versions/);
  });
});
