/** T12: several sources of one index, some stale, some lying, some gone. The highest that verifies counts. */
import { once } from "node:events";
import { join } from "node:path";
import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { releasePath } from "../../src/format/paths.ts";
import type { PackageName } from "../../src/format/names.ts";
import type { Version } from "../../src/format/versions.ts";
import { imprintIn } from "../cli/in-process.ts";
import { testGitAsync } from "../support/git-host.ts";
import { startStaticHost, type StaticHost, treeOf } from "../support/static-host.ts";
import { type ConsumerOptions, SOURCE_KINDS, type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

const UNUSED_PORT = 1;
const DEAD = `http://127.0.0.1:${String(UNUSED_PORT)}/alice.git`;

let w: World;
let alice: TestIndex;
let pkg: PackageName;
let indices = 0;
const hosts: StaticHost[] = [];
const silent: Server[] = [];

beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.close()));
  for (const server of silent.splice(0)) server.close();
});

/** An index with one release. */
async function start(): Promise<void> {
  const name = `alice${String(++indices)}`;
  alice = await w.index(name);
  pkg = `@${name}/hello` as PackageName;
  await alice.publish(pkg, "1.0.0");
}

async function mirror(files: ReadonlyMap<string, Uint8Array> = treeOf(alice.gitDir)): Promise<StaticHost> {
  const host = await startStaticHost(files);
  hosts.push(host);
  return host;
}

/** The address of the same index in another repository, at the same commit. */
async function gitCopy(): Promise<string> {
  const other = await w.index(`${alice.name}copy`);
  await testGitAsync(other.gitDir, ["fetch", "--quiet", alice.gitDir, "+refs/heads/main:refs/heads/main"]);
  return other.url;
}

/** Takes connections and says nothing. */
async function blackHole(): Promise<string> {
  const server = createServer((socket) => void socket.on("error", () => undefined));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  silent.push(server);
  return `sparse+http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`;
}

const consumer = (urls: readonly string[], options: ConsumerOptions = {}): Promise<TestConsumer> =>
  w.consumer({ indices: { alice: { index: alice, urls } }, ...options });

const codes = (c: TestConsumer): readonly string[] => c.warnings.splice(0).map(({ code }) => code);

function flipped(files: ReadonlyMap<string, Uint8Array>, file: string): ReadonlyMap<string, Uint8Array> {
  const bytes = Buffer.from(files.get(file) ?? "");
  const at = bytes.indexOf('"seq": ') + '"seq": '.length;
  bytes[at] = bytes[at] === 0x31 ? 0x32 : 0x31;
  return new Map([...files, [file, bytes]]);
}

describe("T12 mirrors", () => {
  it.each(SOURCE_KINDS)(
    "T12 (%s) A is stale, B fresh, C corrupt, D gone: B is used whatever its place, the others are reported",
    async (through) => {
      await start();
      const fresh = through === "sparse" ? alice.filesUrl : alice.url;
      const stale = through === "sparse" ? await mirror() : { url: await gitCopy() };
      await alice.publish(pkg, "1.1.0");
      const corrupt = await mirror(flipped(treeOf(alice.gitDir), "checkpoint.json"));
      const urls = [stale.url, corrupt.url, DEAD];
      for (const at of [0, 1, 3]) {
        const c = await consumer(urls.toSpliced(at, 0, fresh), { through });
        expect((await c.sync()).stored.state.checkpoint.digest).toBe((await alice.checkpoint()).digest);
        expect(codes(c).toSorted()).toEqual(["BAD_SIGNATURE", "ROLLBACK", "UNREACHABLE"]);
        expect(await c.verdicts(pkg)).toEqual({ "1.0.0": "ok", "1.1.0": "ok" });
        // The same person on another day: the files are still those of the source that gave the state.
        expect(await (await c.again()).verdicts(pkg)).toEqual({ "1.0.0": "ok", "1.1.0": "ok" });
      }
    },
  );

  it("T12 all stale is a ROLLBACK, also where one of them is gone; what was verified serves", async () => {
    await start();
    const old = treeOf(alice.gitDir);
    const [one, two] = [await mirror(old), await mirror(old)];
    await alice.publish(pkg, "1.1.0");
    const c = await consumer([one.url, alice.url, two.url]);
    await c.sync();
    await c.read(pkg);
    alice.down();
    codes(c);
    await expect(c.sync()).rejects.toMatchObject({ code: "ROLLBACK", exitCode: 4 });
    expect(codes(c)).toEqual(["ROLLBACK", "UNREACHABLE", "ROLLBACK"]);
    expect(Object.keys(await c.verdicts(pkg))).toEqual(["1.0.0", "1.1.0"]);
    alice.up();
  });

  it("T12 a mirror that is behind while the first address is down has no news: nobody is told of a rollback", async () => {
    await start();
    const old = treeOf(alice.gitDir);
    const stale = await mirror(old);
    await alice.publish(pkg, "1.1.0");
    const c = await consumer([alice.url, stale.url]);
    await c.sync();
    await c.read(pkg);
    alice.down();
    codes(c);
    await expect(c.sync()).rejects.toMatchObject({
      code: "UNREACHABLE",
      exitCode: 5,
      message: expect.stringContaining(`${alice.url}`),
    });
    // What the mirror did is named all the same, and nothing older is believed.
    expect(codes(c)).toEqual(["UNREACHABLE", "ROLLBACK"]);
    expect(Object.keys(await c.verdicts(pkg))).toEqual(["1.0.0", "1.1.0"]);
    // Anything worse than being behind is still what counts.
    const corrupt = await mirror(flipped(treeOf(alice.gitDir), "checkpoint.json"));
    const d = await consumer([DEAD, stale.url, corrupt.url], { lock: { alice: await alice.lockEntry() } });
    await expect(d.sync()).rejects.toMatchObject({ code: "BAD_SIGNATURE", message: expect.stringContaining(`, at ${corrupt.url}`) });
    alice.up();
  });

  it("T12 two that serve validly signed checkpoints of one number are an EQUIVOCATION, both kept, neither believed", async () => {
    await start();
    const base = alice.head();
    const { seq } = (await alice.checkpoint()).doc;
    await alice.seal({ checkpoint: () => ({ seq: seq + 10 }) });
    const one = await mirror();
    alice.reset(base);
    await alice.seal({ checkpoint: () => ({ seq: seq + 10, time: "2030-01-01T00:00:00.000Z" as never }) });
    const two = await mirror();
    const c = await consumer([one.url, two.url]);
    await expect(c.sync()).rejects.toMatchObject({ code: "EQUIVOCATION" });
    expect(await c.evidence()).toHaveLength(2);
    expect(await c.reader().current()).toBeNull();
    // A later, higher one is accepted.
    await alice.publish(pkg, "1.1.0");
    two.files = treeOf(alice.gitDir);
    expect((await c.sync()).changed).toBe(true);
  });

  it.each([
    ["sparse", "system", (url: string) => url],
    ["system git", "system", (url: string) => url.replace("sparse+", "").concat("x.git")],
    ["isomorphic git", "isomorphic", (url: string) => url.replace("sparse+", "").concat("x.git")],
  ])("T9 a first address that never answers costs two seconds, is named, and is given up: %s", async (_, kind, hole) => {
    await start();
    const c = await consumer([hole(await blackHole()), alice.url], { env: { IMPRINT_GIT: kind } });
    const started = performance.now();
    await c.sync();
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(codes(c)).toEqual(["TIMED_OUT"]);
    expect(await c.verdicts(pkg)).toEqual({ "1.0.0": "ok" });
    const closing = performance.now();
    await c.close();
    expect(performance.now() - closing).toBeLessThan(10_000);
  });

  it.each(["missing", "changed"])(
    "T12 (sparse) a file that is %s at the source of the state is taken from another one, and that is said",
    async (how) => {
      await start();
      const file = releasePath(pkg, "1.0.0" as Version);
      const good = treeOf(alice.gitDir);
      const bad = await mirror(
        how === "missing" ? new Map([...good].filter(([name]) => name !== file)) : new Map([...good, [file, Buffer.from("{}")]]),
      );
      for (const urls of [
        [bad.url, alice.url],
        [bad.url, (await mirror(good)).url],
      ]) {
        const c = await consumer(urls);
        await c.sync();
        expect((await c.read(pkg)).fault).toBeNull();
        expect(c.warnings).toMatchObject([
          { code: how === "missing" ? "MISSING_FILE" : "HASH_MISMATCH", message: expect.stringContaining(urls[1] ?? "") },
        ]);
      }
    },
  );

  it.each(["system", "isomorphic"])("T12 %s git twice: a package that the first one withholds comes from the second", async (kind) => {
    await start();
    const other = await gitCopy();
    await alice.remove(releasePath(pkg, "1.0.0" as Version));
    const c = await consumer([alice.url, other], { env: { IMPRINT_GIT: kind } });
    await c.sync();
    expect(await c.verdicts(pkg)).toEqual({ "1.0.0": "ok" });
    expect(codes(c)).toEqual(["MISSING_FILE"]);
  });
});

it("T12 imprint sync says which address disagreed, and how", async () => {
  await start();
  const stale = await mirror();
  await alice.publish(pkg, "1.1.0");
  const shop = await w.projectFolder(alice.name, { indices: { alice: { index: alice, urls: [stale.url, DEAD, alice.url] } } });
  const ran = await imprintIn({ home: w.folder, cwd: shop }, "sync");
  expect(ran).toMatchObject({ exit: 0, stderr: expect.stringContaining("alice has news") });
  expect(ran.stderr).toMatch(
    new RegExp(`alice at ${stale.url.replace("+", "[+]")}: Cannot use its root 1, seq \\d+: another source serves root 1.*ROLLBACK`),
  );
  expect(ran.stderr).toMatch(new RegExp(`alice at ${DEAD}: .*UNREACHABLE`));
  const { stdout } = await imprintIn({ home: w.folder, cwd: shop }, "sync", "--json");
  expect(JSON.parse(stdout)).toMatchObject([
    {
      error: null,
      disagreed: [
        { url: stale.url, code: "ROLLBACK" },
        { url: DEAD, code: "UNREACHABLE" },
      ],
    },
  ]);
});

it("T9 other indices are unaffected by one whose host says one byte a second", async () => {
  await start();
  const slow = await w.index(`slow${String(indices)}`);
  await slow.publish(`@${slow.name}/x`, "1.0.0");
  const host = await mirror(treeOf(slow.gitDir));
  const c = await w.consumer({ indices: { alice: { index: alice }, slow: { index: slow, urls: [host.url] } }, syncWaitMs: 300 });
  await Promise.all([c.sync("alice"), c.sync("slow")]);
  await c.get(`/${slow.name.replace("slow", "@slow")}%2fx`);
  host.intercept = (_, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write("{"), 1000);
    response.once("close", () => clearInterval(timer));
    return true;
  };
  const started = performance.now();
  expect((await c.get(`/${pkg.replace("/", "%2f")}`)).status).toBe(200);
  expect((await c.get(`/@${slow.name}%2fx`)).status).toBe(200);
  expect(performance.now() - started).toBeLessThan(15_000);
});

it("S1 a template of tarballs that leads to a private address is not asked: 403, naming the release", async () => {
  await start();
  await alice.changeRoot(() => ({ tarballs: ["https://10.0.0.1/{file}", "https://localhost:1/{file}"] }));
  const c = await consumer([alice.url]);
  await c.sync();
  const answer = await c.get(`/${pkg}/-/hello-1.0.0.tgz`);
  expect(answer).toMatchObject({
    status: 403,
    json: { code: "MISSING_FILE", error: expect.stringMatching(/hello@1\.0\.0: .*IMPRINT_ALLOW_PRIVATE/) },
  });
});

it("S1 nor is a git+ address of a root, over http or ssh, unless it is the index's own host or allowed", async () => {
  await start();
  const { url } = await w.index(`${alice.name}blobs`);
  for (const place of [url.replace("127.0.0.1", "localhost"), "https://10.0.0.1/x.git", "ssh://git@[::1]/x", "git@localhost:x.git"]) {
    await alice.changeRoot(() => ({ tarballs: [`git+${place}`] }));
    const c = await consumer([alice.url]);
    await c.sync();
    await expect(c.tarball(pkg, "1.0.0")).rejects.toMatchObject({ code: "MISSING_FILE", message: expect.stringContaining("is not asked") });
  }
  await alice.changeRoot(() => ({ tarballs: [`git+${alice.url}`] }));
  const c = await consumer([alice.url]);
  await c.sync();
  expect((await c.tarball(pkg, "1.0.0")).byteLength).toBeGreaterThan(0);
  await alice.changeRoot(() => ({ tarballs: [`git+${alice.url.replace("127.0.0.1", "localhost")}`] }));
  const allowed = await consumer([alice.url], { env: { IMPRINT_ALLOW_PRIVATE: "localhost" } });
  await allowed.sync();
  expect((await allowed.tarball(pkg, "1.0.0")).byteLength).toBeGreaterThan(0);
});

describe("mirrors that the root names", () => {
  it("are asked once the root is known: the first address may then be gone", async () => {
    await start();
    const host = await mirror(new Map());
    await alice.changeRoot(() => ({ mirrors: [host.url, "ssh://git@host.example/x", "nonsense"] }));
    host.files = treeOf(alice.gitDir);
    const c = await consumer([alice.url], { env: { IMPRINT_ALLOW_PRIVATE: "127.0.0.1" } });
    await c.sync();
    expect(host.asked).toEqual([]);
    alice.down();
    const fresh = await c.sync();
    expect([fresh.changed, codes(c)]).toEqual([false, ["UNREACHABLE"]]);
    expect(await c.verdicts(pkg)).toEqual({ "1.0.0": "ok" });
    expect(await (await c.again()).verdicts(pkg)).toEqual({ "1.0.0": "ok" });
    alice.up();
  });

  it("T8 are eight at most, whatever the root names", async () => {
    await start();
    const host = await mirror(new Map());
    const names = Array.from({ length: 10 }, (_, nth) => `m${String(nth)}`);
    await alice.changeRoot(() => ({ mirrors: names.map((name) => `${host.url}${name}/`) }));
    const c = await consumer([alice.url], { env: { IMPRINT_ALLOW_PRIVATE: "127.0.0.1" } });
    await c.sync();
    await c.sync();
    expect(new Set(host.asked.map((path) => path.split("/")[0]))).toEqual(new Set(names.slice(0, 8)));
  });

  it("that are never asked are named by imprint sync, each with its reason", async () => {
    await start();
    const host = await mirror(new Map());
    const names = ["ssh://git@host.example/x", "nonsense", host.url, "http://host.example/x.git"];
    await alice.changeRoot(() => ({
      mirrors: [...names, ...Array.from({ length: 5 }, (_, nth) => `https://m${String(nth)}.invalid/x.git`)],
    }));
    const cwd = await w.projectFolder("with-mirrors", { indices: { alice: { index: alice } } });
    const home = join(w.folder, "home-with-mirrors");
    const { exit, stdout, stderr } = await imprintIn({ home, cwd }, "sync", "--json");
    expect(exit).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject([
      {
        skipped: [
          { url: names[0], reason: "a mirror is asked by https only" },
          { url: names[1], reason: expect.stringMatching(/./) },
          { url: host.url, reason: "it is not https (IMPRINT_ALLOW_PRIVATE=127.0.0.1 allows it)" },
          { url: names[3], reason: expect.stringMatching(/http/) },
          { url: "https://m4.invalid/x.git", reason: "it is one of more than 8" },
        ],
      },
    ]);
    expect(stderr.match(/! alice: its mirror \S+ is not asked: /g)).toHaveLength(5);
  });

  it("are waited for, though another one has answered, and the higher state counts", async () => {
    await start();
    const old = await mirror();
    await alice.publish(pkg, "1.1.0");
    const slow = await mirror();
    slow.intercept = (_, response, n) => {
      if (n > 0) return false;
      setTimeout(() => response.end(slow.files.get("checkpoint.json")), 500);
      return true;
    };
    const c = await consumer([old.url, slow.url]);
    await c.sync();
    expect(codes(c)).toEqual(["ROLLBACK"]);
    expect(Object.keys(await c.verdicts(pkg))).toEqual(["1.0.0", "1.1.0"]);
  });

  it("S1 lead to no machine that only we can reach, unless that is allowed", async () => {
    await start();
    const host = await mirror(new Map());
    await alice.changeRoot(() => ({
      mirrors: [host.url, host.url.replace("sparse+http", "sparse+https"), `https://127.0.0.1:${String(host.port)}/x.git`],
    }));
    host.files = treeOf(alice.gitDir);
    const c = await consumer([alice.url]);
    await c.sync();
    await c.sync();
    expect(host.asked).toEqual([]);
    expect(codes(c).every((code) => code === "UNREACHABLE" || code === "INVALID_URL")).toBe(true);
  });
});
