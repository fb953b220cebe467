/** `imprint cache ls|prune`: sizes, the least recently used first, never state, beside a resolver that is running. */
import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cacheLines, type CacheList, listCache, parseSize, pruneCache, sizeText } from "../../src/cli/commands/cache.ts";
import type { Deps } from "../../src/cli/deps.ts";
import { startStaticHost, type StaticHost, treeOf } from "../support/static-host.ts";
import { type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";
import { imprintIn, snapshotOf } from "./in-process.ts";

const HELLO = "@alice/hello";
const DAY_MS = 86_400_000;

let w: World;
let alice: TestIndex;
let bob: TestIndex;
let host: StaticHost;
let c: TestConsumer;
let deps: Deps;

beforeAll(async () => {
  w = await world();
  [alice, bob] = [await w.index("alice"), await w.index("bob")];
  await alice.publish(HELLO, "1.0.0", { files: { "large.bin": Buffer.alloc(20_000, 7) } });
  await alice.publish("@alice/other", "1.0.0");
  await bob.publish("@bob/x", "1.0.0");
  host = await startStaticHost(treeOf(bob.gitDir));
  await w.upstream.publish("left-padder", "1.0.0");
});
afterAll(async () => {
  await host.close();
  await w.close();
});
beforeEach(async () => {
  c = await w.consumer({ indices: { alice: { index: alice }, bob: { index: bob, urls: [host.url] } } });
  await Promise.all([c.sync("alice"), c.sync("bob")]);
  await c.tarball(HELLO, "1.0.0", "alice");
  await c.read("@bob/x", "bob");
  expect((await c.get("/left-padder")).status).toBe(200);
  deps = { ...w.deps({ home: c.home, cwd: c.home }), nowMs: Date.now };
});

const groupsOf = ({ groups }: CacheList): readonly string[] => groups.map(({ kind }) => kind);

/** As if a file had not been touched for so long. */
function age(file: string, days: number): void {
  const at = new Date(Date.now() - days * DAY_MS);
  for (const name of statSync(file).isDirectory() ? readdirSync(file, { recursive: true, encoding: "utf8" }) : [""])
    utimesSync(path.join(file, name), at, at);
}

describe("cache ls", () => {
  it("counts every byte once, by kind, with the last use", async () => {
    const list = await listCache(deps);
    expect(groupsOf(list)).toEqual(["git", "sparse", "tarballs", "public registry", "other"]);
    expect(list.groups.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(list.bytes);
    const onDisk = readdirSync(list.folder, { recursive: true, encoding: "utf8" }).map((name) => statSync(path.join(list.folder, name)));
    expect(list.bytes).toBe(onDisk.filter((info) => info.isFile()).reduce((sum, { size }) => sum + size, 0));
    const lines = cacheLines(list, Date.now() + 3_600_000);
    expect(lines[0]).toMatch(new RegExp(`^git {2}${alice.id} {2}[0-9.]+ KB {2}used (?:1 hour|60 minutes) ago$`));
    expect(lines.at(-1)).toBe(`${sizeText(list.bytes)} in ${list.folder}`);
  });

  it("names an index as this project does, and prints JSON", async () => {
    const shop = await w.projectFolder("shop-cache", { indices: { friends: { index: alice } } });
    const home = path.join(w.folder, "cache-home");
    expect((await imprintIn({ home, cwd: shop }, "sync")).exit).toBe(0);
    const { stdout } = await imprintIn({ home, cwd: shop }, "cache", "ls", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ groups: [{ kind: "git", name: "friends", items: 1 }, { kind: "other" }] });
    expect((await imprintIn({ home, cwd: shop }, "cache", "prune", "--max-size", "0")).stdout).toMatch(/removed, .* freed, 0 B kept/);
    expect((await imprintIn({ home, cwd: shop }, "cache", "prune", "--max-size", "lots")).exit).toBe(2);
    expect((await imprintIn({ home: path.join(w.folder, "nobody"), cwd: shop }, "cache", "ls")).stdout).toMatch(/^0 B in /);
  });
});

describe("cache prune", () => {
  it("removes the least recently used first, until the rest fits; never state", async () => {
    const { layout } = c;
    const before = await listCache(deps);
    const state = snapshotOf(layout.state);
    age(layout.blobs, 30);
    const documents = before.groups.find(({ kind }) => kind === "sparse");
    age(layout.documents, 60);
    const first = await pruneCache(before.bytes - 1, deps);
    // One document is enough: the oldest go first, and no more than must.
    expect([first.removed, groupsOf(await listCache(deps))]).toEqual([1, groupsOf(before)]);
    const second = await pruneCache(before.bytes - (documents?.bytes ?? 0), deps);
    expect(second.bytes).toBeLessThanOrEqual(before.bytes - (documents?.bytes ?? 0));
    expect(groupsOf(await listCache(deps))).toContain("git");
    const all = await pruneCache(0, deps);
    expect([all.bytes, (await listCache(deps)).bytes]).toEqual([0, 0]);
    expect(snapshotOf(layout.state)).toEqual(state);
    expect(await pruneCache(0, deps)).toMatchObject({ removed: 0, freed: 0 });
  });

  it("removes what a kill left behind, but not what may still be written", async () => {
    const { layout } = c;
    const old = [path.join(layout.blobs, "ab", ".imprint-tmp-1-aaaaaaaaaaaa"), path.join(layout.repositories, ".0123456789ab.new")];
    // A download that is under way, ours or npm's.
    const young = [path.join(layout.blobs, ".imprint-tmp-1-bbbbbbbbbbbb"), path.join(layout.upstream, "tmp", "cccccccc")];
    mkdirSync(path.join(layout.upstream, "tmp"), { recursive: true });
    mkdirSync(path.dirname(old[0] as string), { recursive: true });
    mkdirSync(old[1] as string);
    writeFileSync(path.join(old[1] as string, "HEAD"), "x");
    for (const file of [old[0] as string, ...young]) writeFileSync(file, "half");
    for (const file of old) age(file, 1);
    const { removed } = await pruneCache(Number.MAX_SAFE_INTEGER, deps);
    expect([removed, ...[...old, ...young].map((file) => existsSync(file))]).toEqual([2, false, false, true, true]);
    await pruneCache(0, deps);
    expect(young.map((file) => existsSync(file))).toEqual([true, true]);
  });

  it("C1 beside a resolver that is running: everything is had again, from git, static files, and upstream", async () => {
    await pruneCache(0, deps);
    expect((await c.get("/@alice%2fother")).status).toBe(200);
    expect((await c.get("/@alice/hello/-/hello-1.0.0.tgz")).status).toBe(200);
    expect((await c.get("/@bob%2fx")).status).toBe(200);
    expect((await c.get("/left-padder/-/left-padder-1.0.0.tgz")).status).toBe(200);
    await alice.publish(HELLO, `1.${String(Date.now())}.0`);
    expect((await c.sync("alice")).changed).toBe(true);
    expect(Object.values(await c.verdicts(HELLO, "alice"))).not.toContain("invalid");
  });
});

it.each([
  ["500MB", 500e6],
  ["2GiB", 2 * 1024 ** 3],
  ["1.5 kb", 1500],
  ["0", 0],
])("%s is %i bytes", (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});
it.each(["", "MB", "-1", "1e9", "5 parsecs", "1.2.3MB", "constructor"])("%j is no size", (text) => {
  expect(() => parseSize(text)).toThrow(expect.objectContaining({ code: "USAGE" }));
});
