/** The embedded adapter: the contract, and what only it can get wrong. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { LIMITS as CAPS } from "../../src/format/limits.ts";
import { advanceBranch, describeClone, initClone } from "../../src/git/clone.ts";
import { collect, createTransport } from "../../src/git/isomorphic/http.ts";
import type { EmbeddedCaps } from "../../src/git/isomorphic/intake.ts";
import { openIsomorphicGit } from "../../src/git/isomorphic/repository.ts";
import type { GitRepository, GitUrl, ObjectId, RefUpdate, TransferLimits } from "../../src/git/port.ts";
import { createBareRepository } from "../../src/git/store/bare.ts";
import { openSystemGit } from "../../src/git/system/repository.ts";
import { parseGitUrl, parseRefName } from "../../src/git/url.ts";
import { commitHosted, createHostedRepository, startGitHost, testGit, testGitAsync, testGitEnv } from "../support/git-host.ts";
import type { GitHost, GitHostOptions } from "../support/git-host.ts";
import { formatEntry, formatPack, repeatDelta, sendPack } from "../support/lying-host.ts";
import { gitContract, LIMITS, noise } from "./contract.ts";

gitContract(
  "isomorphic git",
  async (dir) => {
    await createBareRepository(dir);
    return openIsomorphicGit({ gitDir: dir });
  },
  { filters: false, unknownScheme: "GIT_MISSING" },
);

const MAIN = parseRefName("refs/heads/main");
const KEPT = parseRefName("refs/imprint/kept");
const WORK = parseRefName("refs/imprint/work");
const AUTHOR = { name: "Alice <x>\n", email: "alice@example.org" };
const EMBEDDED = { kind: async () => "isomorphic" as const };

type Bench = {
  root: string;
  bare: string;
  cache: string;
  host: GitHost;
  url: GitUrl;
  repository: GitRepository;
  fetch: (limits?: Partial<TransferLimits>, url?: GitUrl) => Promise<ObjectId | null>;
};

async function bench(options: { caps?: EmbeddedCaps; host?: Partial<GitHostOptions> } = {}): Promise<Bench> {
  const root = mkdtempSync(join(tmpdir(), "imprint-embedded-"));
  const bare = createHostedRepository(root, "alice.git");
  const host = await startGitHost({ root, ...options.host });
  const url = parseGitUrl(host.url("alice.git"), { allowFile: false });
  const cache = join(root, "cache.git");
  await createBareRepository(cache);
  const repository = openIsomorphicGit({ gitDir: cache, ...(options.caps === undefined ? {} : { caps: options.caps }) });
  onTestFinished(async () => {
    await repository.close();
    await host.close();
    rmSync(root, { recursive: true, force: true });
  });
  const fetch = (limits: Partial<TransferLimits> = {}, from = url): Promise<ObjectId | null> =>
    repository.fetch({ url: from, ref: MAIN, keepAs: KEPT, blobs: true, limits: { ...LIMITS, ...limits } });
  return { root, bare, cache, host, url, repository, fetch };
}

const read = async (repository: GitRepository, commit: ObjectId | null, path: string, url: GitUrl | null = null): Promise<string> => {
  const [found] = await repository.readFiles({ commit: commit as ObjectId, files: [{ path, maxBytes: 1 << 20 }], url, limits: LIMITS });
  return found?.state === "found" ? Buffer.from(found.bytes).toString() : (found?.state ?? "none");
};

describe("beside system git", () => {
  test("both make the same commits, byte for byte", async () => {
    const { root, repository } = await bench();
    const dir = join(root, "other.git");
    await createBareRepository(dir);
    const system = openSystemGit({ gitDir: dir, env: testGitEnv() });
    const both = async (base: ObjectId | null, changes: Record<string, string | null>): Promise<ObjectId> => {
      const request = {
        base,
        keepAs: WORK,
        message: "release\n\nof ü",
        author: AUTHOR,
        timeMs: 1_767_225_600_999,
        changes: Object.entries(changes).map(([path, content]) => ({ path, content: content === null ? null : Buffer.from(content) })),
      };
      const [ours, theirs] = [await repository.commit(request), await system.commit(request)];
      expect(ours).toBe(theirs);
      return ours;
    };
    const first = await both(null, { "package.tgz": "bytes", "a/b/c": "1", "a-b": "2", "a.b": "3", ab: "4", 'ü/"x\\': "5" });
    const second = await both(first, { "a/b/c": null, "a-b": "new", "a/x": "6", "trust/1.json": "{}" });
    await both(second, { "a/x": null, "a-b": null, "a.b/is/a/folder/now": "7" });
    await both(null, {});
    await system.close();
  });

  test("what git packed, with deltas, packed refs and tags, is read; what we wrote, git finds sound", async () => {
    const { bare, root } = await bench();
    const long = Buffer.from(noise(20_000)).toString("base64");
    let head: string | null = null;
    for (let round = 0; round < 30; round++)
      head = commitHosted(
        bare,
        { "deep/er/file": `${long}${String(round)}`, other: String(round), link: { mode: "120000", target: "other" } },
        { parent: head },
      );
    testGit(bare, ["tag", "-a", "-m", "x", "v1", head ?? ""]);
    testGit(bare, ["gc", "-q", "--prune=now"]);
    const local = openIsomorphicGit({ gitDir: bare });
    expect(await local.head(MAIN)).toBe(head);
    expect(await local.head(parseRefName("refs/tags/v1"))).toBe(head);
    const old = testGit(bare, ["rev-parse", `${head ?? ""}~25`]) as ObjectId;
    expect(await read(local, old, "deep/er/file")).toBe(`${long}4`);
    expect(await read(local, head as ObjectId, "deep/er/file")).toBe(`${long}29`);
    const commit = await local.commit({
      base: head as ObjectId,
      keepAs: MAIN,
      message: "m",
      author: AUTHOR,
      timeMs: 0,
      changes: [{ path: "deep/new", content: Buffer.from("new") }],
    });
    testGit(bare, ["fsck", "--full", "--strict"]);
    expect(testGit(bare, ["show", "main:deep/new"])).toBe("new");
    expect(testGit(bare, ["rev-parse", "main"])).toBe(commit);
    // git repacks under our feet
    testGit(bare, ["repack", "-adfq", "--depth=4000"]);
    expect(await read(local, commit, "deep/er/file")).toBe(`${long}29`);
    await local.close();
    const system = openSystemGit({ gitDir: bare, env: testGitEnv() });
    expect(await read(system, commit, "deep/new")).toBe("new");
    await system.close();
    expect(existsSync(join(root, "cache.git"))).toBe(true);
  });

  test("a cache that it fetched is a good repository for git", async () => {
    const { bare, cache, fetch } = await bench();
    const first = commitHosted(bare, { a: noise(3000), b: "1" }) as ObjectId;
    await fetch();
    const second = commitHosted(bare, { a: noise(3000), b: "2" }, { parent: first }) as ObjectId;
    expect(await fetch()).toBe(second);
    testGit(cache, ["fsck", "--full", "--strict"]);
    for (const name of readdirSync(join(cache, "objects", "pack")).filter((one) => one.endsWith(".idx")))
      testGit(cache, ["verify-pack", join(cache, "objects", "pack", name)]);
  });
});

describe("fetching", () => {
  test("the second brings only what is new; an author's clone brings history", async () => {
    const { bare, cache, root, url, fetch } = await bench();
    const sizes = (dir: string): number =>
      readdirSync(join(dir, "objects", "pack"))
        .filter((name) => name.endsWith(".pack"))
        .reduce((sum, name) => sum + readFileSync(join(dir, "objects", "pack", name)).length, 0);
    const first = commitHosted(bare, { big: noise(300_000), b: "1" }) as ObjectId;
    await fetch();
    const before = sizes(cache);
    const second = commitHosted(bare, { big: noise(300_000), b: "2" }, { parent: first }) as ObjectId;
    await fetch();
    expect(sizes(cache) - before).toBeLessThan(2000);
    const dir = join(root, "author.git");
    await createBareRepository(dir);
    const author = openIsomorphicGit({ gitDir: dir, history: true });
    expect(await author.fetch({ url, ref: MAIN, keepAs: KEPT, blobs: true, limits: LIMITS })).toBe(second);
    expect(testGit(dir, ["rev-list", "--count", KEPT])).toBe("2");
    const third = commitHosted(bare, { big: noise(300_000), b: "3" }, { parent: second }) as ObjectId;
    const whole = sizes(dir);
    expect(await author.fetch({ url, ref: MAIN, keepAs: KEPT, blobs: true, limits: LIMITS })).toBe(third);
    expect(sizes(dir) - whole).toBeLessThan(2000);
    expect(testGit(dir, ["rev-list", "--count", KEPT])).toBe("3");
    expect(existsSync(join(dir, "shallow"))).toBe(false);
    await author.close();
  });

  test("packs don't pile up: past their number all comes anew, and old ones go", async () => {
    const { bare, cache, fetch, repository } = await bench();
    const folder = join(cache, "objects", "pack");
    const packs = (): string[] => readdirSync(folder).filter((name) => name.endsWith(".pack"));
    const first = commitHosted(bare, { a: "0", fixed: "x" }) as ObjectId;
    await fetch();
    const [only = ""] = packs();
    for (let nth = 0; nth < 50; nth++) {
      const stem = join(folder, `pack-${nth.toString(16).padStart(40, "0")}`);
      for (const extension of [".pack", ".idx"]) cpSync(join(folder, only.replace(/\.pack$/u, extension)), stem + extension);
    }
    const old = Date.now() / 1000 - 7200;
    for (const name of readdirSync(folder)) utimesSync(join(folder, name), old, old);
    const next = commitHosted(bare, { a: "1", fixed: "x" }, { parent: first }) as ObjectId;
    expect(await fetch()).toBe(next);
    expect(packs()).toHaveLength(1);
    expect([await read(repository, next, "a"), await read(repository, next, "fixed")]).toEqual(["1", "x"]);
    testGit(cache, ["fsck", "--full"]);
  });

  test("a host without a HEAD, or whose HEAD is another branch", async () => {
    const { bare, fetch } = await bench();
    const head = commitHosted(bare, { a: "1" });
    testGit(bare, ["symbolic-ref", "HEAD", "refs/heads/nothing"]);
    expect(await fetch()).toBe(head);
    const next = commitHosted(bare, { a: "2" }, { parent: head });
    commitHosted(bare, { z: "1" }, { ref: "refs/heads/other" });
    testGit(bare, ["symbolic-ref", "HEAD", "refs/heads/other"]);
    expect(await fetch()).toBe(next);
  });

  test("above its caps it says to install git, and which cap; below them, the caller's limits are named alone", async () => {
    const { bare, fetch, repository } = await bench({ caps: { maxPackBytes: 100_000, maxObjects: 40 } });
    const small = commitHosted(bare, { a: "1" }) as ObjectId;
    await fetch();
    commitHosted(bare, { big: noise(200_000) });
    await expect(fetch()).rejects.toMatchObject({
      code: "TOO_LARGE",
      message: expect.stringMatching(/more than 100000 bytes is too much without git: install git 2\.34 or newer/u) as string,
    });
    commitHosted(bare, Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`f${String(at)}`, String(at)])));
    await expect(fetch()).rejects.toMatchObject({ message: expect.stringMatching(/more than 40 objects .*install git/u) as string });
    await expect(fetch({ maxBytes: 10, maxObjects: 10 })).rejects.toMatchObject({
      code: "TOO_LARGE",
      message: expect.not.stringContaining("install git") as string,
    });
    expect(await repository.head(KEPT)).toBe(small);
  });

  test("G6 a small pack that inflates without end is TOO_LARGE, in flat memory and at once", async () => {
    const { root, fetch } = await bench();
    const zeros = Buffer.alloc(1 << 20);
    const base = { type: "blob", content: zeros } as const;
    const delta = { type: "ofs", content: repeatDelta(1 << 20, 15 << 20), base: formatEntry(base).length } as const;
    const chain = Array.from({ length: 40 }, () => ({
      ...delta,
      base: formatEntry({ ...delta, content: repeatDelta(1 << 20, 15 << 20) }).length,
    }));
    const before = process.memoryUsage().rss;
    for (const entries of [Array.from({ length: 64 }, () => base), [base, delta, delta, delta, delta], [base, ...chain]]) {
      const hostile = await startGitHost({ root, intercept: sendPack("1".repeat(40), formatPack(entries)) });
      onTestFinished(() => hostile.close());
      const url = parseGitUrl(hostile.url("alice.git"), { allowFile: false });
      await expect(fetch({ maxBytes: 1 << 20 }, url)).rejects.toMatchObject({
        code: expect.stringMatching(/TOO_LARGE|UNREACHABLE/u) as string,
      });
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
  });

  test("what a host withheld once is had later, whole, and asked for once", async () => {
    const { bare, cache, fetch, repository, url, host } = await bench();
    const commit = commitHosted(bare, { "dir/a": "1", b: "2" }) as ObjectId;
    await fetch();
    rmSync(join(cache, "objects", "pack"), { recursive: true });
    mkdirSync(join(cache, "objects", "pack"));
    const ids = [commit, testGit(bare, ["rev-parse", `${commit}^{tree}`])];
    testGit(bare, ["pack-objects", "-q", join(cache, "objects", "pack", "pack")], { input: ids.map((id) => `${id}\n`).join("") });
    await repository.close();
    expect(await read(repository, commit, "dir/a")).toBe("unavailable");
    expect(await read(repository, commit, "dir/a", url)).toBe("1");
    host.requests.length = 0;
    expect(await read(repository, commit, "b", url)).toBe("2");
    expect(host.requests).toEqual([]);
  });

  test("a cache with holes is mended by the next fetch, though the host believes it to be whole", async () => {
    const { bare, cache, fetch, repository } = await bench();
    const lines = (change: string): string =>
      Array.from({ length: 400 }, (_, at) => `line ${String(at)} ${at === 200 ? change : ""}`).join("\n");
    const first = commitHosted(bare, { file: lines("one") }) as ObjectId;
    await fetch();
    await repository.close();
    rmSync(join(cache, "objects", "pack"), { recursive: true });
    mkdirSync(join(cache, "objects", "pack"));
    testGit(bare, ["pack-objects", "-q", join(cache, "objects", "pack", "pack")], { input: `${first}\n` });
    const second = commitHosted(bare, { file: lines("two") }, { parent: first }) as ObjectId;
    expect(await fetch()).toBe(second);
    expect(await read(repository, second, "file")).toBe(lines("two"));
  });

  test("a repository named by sha256 is said to need git", async () => {
    const { bare, fetch } = await bench();
    rmSync(bare, { recursive: true });
    mkdirSync(bare);
    testGit(bare, ["init", "-q", "--bare", "--object-format=sha256", "--initial-branch=main", bare]);
    commitHosted(bare, { a: "1" });
    await expect(fetch()).rejects.toMatchObject({
      code: "UNREACHABLE",
      message: expect.stringMatching(/sha256 needs git, install git/u) as string,
    });
  });

  test("a damaged pack or loose file is not there, and nothing else suffers", async () => {
    const { bare, cache, fetch, repository } = await bench();
    const commit = commitHosted(bare, { a: "1", b: noise(5000) }) as ObjectId;
    await fetch();
    const own = await repository.commit({
      base: commit,
      keepAs: WORK,
      message: "m",
      author: AUTHOR,
      timeMs: 0,
      changes: [{ path: "c", content: Buffer.from("mine") }],
    });
    const id = testGit(cache, ["rev-parse", `${own}:c`]);
    const loose = join(cache, "objects", id.slice(0, 2), id.slice(2));
    writeFileSync(loose, readFileSync(loose).subarray(0, 5));
    expect(await read(repository, own, "c")).toBe("unavailable");
    expect(await read(repository, own, "a")).toBe("1");
    await repository.close();
    const pack = join(cache, "objects", "pack", readdirSync(join(cache, "objects", "pack")).find((name) => name.endsWith(".pack")) ?? "");
    const bytes = readFileSync(pack);
    rmSync(pack);
    writeFileSync(pack, bytes.subarray(0, 60));
    expect(["unavailable", "found"]).toContain(
      (await repository.readFiles({ commit: own, files: [{ path: "b", maxBytes: 9000 }], url: null, limits: LIMITS }))[0]?.state,
    );
  });

  test("T9 a host that falls silent in the middle of its answer is given up long before the deadline", async () => {
    const { url } = await bench({
      host: { intercept: (_, response) => (response.writeHead(200, { "content-length": "1000" }).write("0"), true) },
    });
    const what = "fetch from a silent host";
    const transport = createTransport({
      url,
      tokens: new Map(),
      fetch,
      limits: LIMITS,
      what,
      refusedAs: "UNREACHABLE",
      stallMs: 50,
      keepRef: () => true,
    });
    onTestFinished(() => transport.close());
    await expect(transport.post("git-upload-pack", new Uint8Array()).then(collect)).rejects.toMatchObject({
      code: "TIMED_OUT",
      message: expect.stringContaining("silence") as string,
    });
  });

  test("a host that is quiet, but never for so long, is heard to its end", async () => {
    const { url } = await bench({
      host: {
        intercept: (_, response) => {
          let pieces = 0;
          const timer = setInterval(() => {
            if (++pieces < 10) return void response.write("0");
            clearInterval(timer);
            response.end();
          }, 50);
          return true;
        },
      },
    });
    const transport = createTransport({
      url,
      tokens: new Map(),
      fetch,
      limits: LIMITS,
      what: "fetch",
      refusedAs: "UNREACHABLE",
      keepRef: () => true,
      stallMs: 400,
    });
    onTestFinished(() => transport.close());
    expect(String(await transport.post("git-upload-pack", new Uint8Array()).then(collect))).toBe("000000000");
  });

  test("five redirects of the first request are followed, six are not", async () => {
    const { bare, fetch, host } = await bench({
      host: {
        intercept: (request, response) => {
          const [, hops, rest] = /^\/hops-(\d)\.git(.*)$/u.exec(request.url ?? "") ?? [];
          if (hops === undefined) return false;
          const to = hops === "1" ? "alice" : `hops-${String(Number(hops) - 1)}`;
          response.writeHead(302, { location: `/${to}.git${rest ?? ""}` }).end();
          return true;
        },
      },
    });
    const head = commitHosted(bare, { a: "1" });
    const at = (hops: number): GitUrl => parseGitUrl(host.url(`hops-${String(hops)}.git`), { allowFile: false });
    expect(await fetch({}, at(5))).toBe(head);
    await expect(fetch({}, at(6))).rejects.toMatchObject({ code: "UNREACHABLE", message: expect.stringContaining("redirects") as string });
  });

  test("a list of refs may be larger than a pack, up to a cap of its own", async () => {
    const { root, bare, url, host } = await bench();
    const head = commitHosted(bare, { a: "1" }) as ObjectId;
    for (let nth = 0; nth < 100; nth++) testGit(bare, ["update-ref", `refs/tarballs/${String(nth).padStart(3, "0")}`, head]);
    const listing = await sizeOf(`${host.url("alice.git")}/info/refs?service=git-upload-pack`);
    const caps = { maxPackBytes: 1000, maxObjects: 10 };
    const within = async (name: string, maxListingBytes: number): Promise<ObjectId | null> => {
      const gitDir = join(root, name);
      await createBareRepository(gitDir);
      const repository = openIsomorphicGit({ gitDir, caps: { ...caps, maxListingBytes } });
      onTestFinished(() => repository.close());
      return repository.fetch({ url, ref: MAIN, keepAs: KEPT, blobs: true, limits: LIMITS });
    };
    expect(await within("roomy", listing)).toBe(head);
    // a pack may cost twice its cap on the wire: of that, too, the list takes a byte too much
    await expect(within("narrow", listing - 2 * caps.maxPackBytes - 1)).rejects.toMatchObject({ code: "TOO_LARGE" });
  });

  test("an idle repository does not keep a program alive", async () => {
    const { bare, cache, fetch, host } = await bench();
    commitHosted(bare, { a: "1" });
    const commit = await fetch();
    const script = `
      import { openIsomorphicGit } from ${JSON.stringify(new URL("../../src/git/isomorphic/repository.ts", import.meta.url).href)};
      const repository = openIsomorphicGit({ gitDir: ${JSON.stringify(cache)} });
      const limits = { maxBytes: 1e6, maxObjects: 1e6, deadlineMs: 60000 };
      await repository.fetch({ url: ${JSON.stringify(host.url("alice.git"))}, ref: "refs/heads/main", keepAs: "refs/imprint/other", blobs: true, limits });
      const [found] = await repository.readFiles({ commit: ${JSON.stringify(commit)}, files: [{ path: "a", maxBytes: 9 }], url: null, limits });
      console.log(Buffer.from(found.bytes).toString());`;
    const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const [status] = (await once(child, "exit")) as [number];
    expect([status, output]).toEqual([0, "1\n"]);
  });
});

/** Bytes of an answer. */
async function sizeOf(address: string): Promise<number> {
  return (await (await globalThis.fetch(address)).arrayBuffer()).byteLength;
}

describe("pushing", () => {
  const pushed = async (b: Bench, over: { refs?: number } = {}): Promise<{ updates: RefUpdate[]; push: () => Promise<void> }> => {
    const commit = await b.repository.commit({
      base: null,
      keepAs: WORK,
      message: "m",
      author: AUTHOR,
      timeMs: 0,
      changes: [{ path: "a", content: Buffer.from("1") }],
    });
    const refs = [MAIN, parseRefName("refs/tarballs/aa")].slice(0, over.refs ?? 2);
    const updates = refs.map((ref) => ({ ref, expected: null, to: commit }));
    return { updates, push: () => b.repository.push({ url: b.url, updates, limits: LIMITS }) };
  };

  test("a host that cannot take all refs or none is refused for two, and does for one", async () => {
    const b = await bench();
    testGit(b.bare, ["config", "receive.advertiseAtomic", "false"]);
    const { push, updates } = await pushed(b);
    await expect(push()).rejects.toMatchObject({ code: "PUSH_FAILED", message: expect.stringContaining("by git push") as string });
    expect(testGit(b.bare, ["for-each-ref"])).toBe("");
    await b.repository.push({ url: b.url, updates: updates.slice(0, 1), limits: LIMITS });
    expect(testGit(b.bare, ["for-each-ref", "--format=%(refname)"])).toBe("refs/heads/main");
  });

  const line = (text: string): string => (text.length + 4).toString(16).padStart(4, "0") + text;
  const banded = (text: string): string => `${line(`\u0001${text}`)}0000`;
  const ALL = `${line("unpack ok\n")}${line("ok refs/heads/main\n")}${line("ok refs/tarballs/aa\n")}0000`;
  test.each([
    ["nothing", "PUSH_FAILED", ""],
    ["an empty report", "PUSH_FAILED", banded("0000")],
    ["one ref unconfirmed", "PUSH_FAILED", banded(`${line("unpack ok\n")}${line("ok refs/heads/main\n")}0000`)],
    ["another ref confirmed", "PUSH_FAILED", banded(ALL.replace("tarballs/aa", "tarballs/ab"))],
    ["a failed unpack, and refs that are fine", "PUSH_FAILED", banded(ALL.replace(line("unpack ok\n"), line("unpack no!\n")))],
    ["refs before the unpacking", "PUSH_FAILED", banded(`${line("ok refs/heads/main\n")}${line("unpack ok\n")}0000`)],
    ["a report that is none", "PUSH_FAILED", banded(line("hello\n"))],
    ["no side-band", "PUSH_FAILED", ALL],
    ["no packet lines", "PUSH_FAILED", "<html>"],
    [
      "a race",
      "LOST_RACE",
      banded(`${line("unpack ok\n")}${line("ng refs/heads/main fetch first\n")}${line("ng refs/tarballs/aa atomic push failure\n")}0000`),
    ],
    ["all of it", null, banded(ALL)],
  ])("a report with %s means %s", async (_, code, report) => {
    const b = await bench({
      host: {
        intercept: async (request, response) => {
          if (request.method !== "POST") return false;
          request.resume();
          await once(request, "end");
          response.setHeader("content-type", "application/x-git-receive-pack-result").end(report);
          return true;
        },
      },
    });
    const { push } = await pushed(b);
    if (code === null) await expect(push()).resolves.toBeUndefined();
    else await expect(push()).rejects.toMatchObject({ code });
  });

  test.each([0, 1])("T8 a report of the most bytes that it may have, and %i more", async (more) => {
    const lines = ["unpack ok\n", "ok refs/heads/main\n", "ok refs/tarballs/aa\n"];
    for (let rest = CAPS.pushReportBytes + more - lines.join("").length; rest > 0; rest -= 60_000)
      lines.push(`ok ${"x".repeat(Math.min(rest, 60_000) - 4)}\n`);
    const b = await bench({
      host: {
        intercept: async (request, response) => {
          if (request.method !== "POST") return false;
          request.resume();
          await once(request, "end");
          response
            .setHeader("content-type", "application/x-git-receive-pack-result")
            .write(lines.map((one) => banded(line(one)).slice(0, -4)).join(""));
          response.end(`${banded("0000")}`);
          return true;
        },
      },
    });
    const { push } = await pushed(b);
    if (more === 0) await expect(push()).resolves.toBeUndefined();
    else
      await expect(push()).rejects.toMatchObject({ code: "TOO_LARGE", message: expect.stringContaining("a report without end") as string });
  });
});

describe("crashes and time", () => {
  const leftovers = (cache: string): string[] =>
    existsSync(join(cache, "imprint-quarantine")) ? readdirSync(join(cache, "imprint-quarantine")) : [];

  test("C1 kill -9 in the middle of a fetch: the repository is as it was, the next fetch sweeps and works", async () => {
    let stall = false;
    const { bare, cache, host, fetch, repository } = await bench({
      host: {
        intercept: async (request, response) => {
          if (!stall || request.method !== "POST") return false;
          const chunks: Buffer[] = [];
          for await (const chunk of request) chunks.push(chunk as Buffer);
          const body = Buffer.concat(chunks).toString("latin1");
          if (body.includes("want ")) return true;
          const text = `${testGit(bare, ["rev-parse", "main"])} refs/heads/main\n`;
          response.setHeader("content-type", "application/x-git-upload-pack-result");
          response.end(`${(text.length + 4).toString(16).padStart(4, "0")}${text}0000`);
          return true;
        },
      },
    });
    const first = commitHosted(bare, { a: "1" }) as ObjectId;
    await fetch();
    commitHosted(bare, { a: "2", big: noise(1 << 20) }, { parent: first });
    stall = true;
    const script = `
      import { openIsomorphicGit } from ${JSON.stringify(new URL("../../src/git/isomorphic/repository.ts", import.meta.url).href)};
      const repository = openIsomorphicGit({ gitDir: ${JSON.stringify(cache)} });
      await repository.fetch({ url: ${JSON.stringify(host.url("alice.git"))}, ref: "refs/heads/main", keepAs: "refs/imprint/other", blobs: true, limits: { maxBytes: 1e9, maxObjects: 1e6, deadlineMs: 60000 } });`;
    const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], { stdio: "ignore" });
    for (let tries = 0; leftovers(cache).length === 0 && tries < 500; tries++) await delay(20);
    await delay(100);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(leftovers(cache)).toHaveLength(1);
    stall = false;
    expect(await read(repository, first, "a")).toBe("1");
    const head = await fetch();
    expect(await read(repository, head, "a")).toBe("2");
    expect(leftovers(cache)).toEqual([]);
  });

  test("lock files of a killed process are got past once they are old", async () => {
    const { bare, cache, fetch } = await bench();
    const first = commitHosted(bare, { a: "1" });
    mkdirSync(join(cache, "refs", "imprint"), { recursive: true });
    const old = Date.now() / 1000 - 120;
    for (const name of ["refs/imprint/kept.lock", "shallow.lock"]) {
      writeFileSync(join(cache, name), "");
      utimesSync(join(cache, name), old, old);
    }
    expect(await fetch()).toBe(first);
    writeFileSync(join(cache, "refs/imprint/kept.lock"), "");
    commitHosted(bare, { a: "2" }, { parent: first });
    await expect(fetch()).rejects.toMatchObject({ code: "STORAGE_FAILED" });
  });
});

describe("the work tree", () => {
  const FIRST = {
    branch: "main",
    message: "index",
    author: AUTHOR,
    timeMs: 0,
    files: [
      { path: "checkpoint.json", content: Buffer.from("c1\n") },
      { path: "trust/1.json", content: Buffer.from("root\n") },
    ],
  };
  const made = async (): Promise<{
    dir: string;
    gitDir: string;
    head: ObjectId;
    next: (files: Record<string, string | null>) => Promise<ObjectId>;
  }> => {
    const dir = join(mkdtempSync(join(tmpdir(), "imprint-tree-")), "index");
    onTestFinished(() => rmSync(join(dir, ".."), { recursive: true, force: true }));
    const { gitDir, head } = await initClone(dir, FIRST, EMBEDDED);
    const repository = openIsomorphicGit({ gitDir, history: true });
    onTestFinished(() => repository.close());
    const next = (files: Record<string, string | null>): Promise<ObjectId> =>
      repository.commit({
        base: head,
        keepAs: WORK,
        message: "next",
        author: AUTHOR,
        timeMs: 0,
        changes: Object.entries(files).map(([path, content]) => ({ path, content: content === null ? null : Buffer.from(content) })),
      });
    return { dir, gitDir, head, next };
  };
  const status = (dir: string): string =>
    testGit(join(dir, ".git"), ["status", "--porcelain", "--untracked-files=all"], { env: { GIT_WORK_TREE: dir } });

  test("files come, change and go, a file becomes a folder, and git sees a clean work tree", async () => {
    const { dir, gitDir, head, next } = await made();
    expect(status(dir)).toBe("");
    const to = await next({ "trust/1.json": null, trust: "now a file", "packages/00/+a/record.json": "{}", "checkpoint.json": "c2\n" });
    await advanceBranch(dir, { to, from: head, force: false }, EMBEDDED);
    expect(status(dir)).toBe("");
    expect(readFileSync(join(dir, "trust"), "utf8")).toBe("now a file");
    expect(testGit(gitDir, ["rev-parse", "main"])).toBe(to);
    await advanceBranch(dir, { to: head, from: to, force: true }, EMBEDDED);
    expect(status(dir)).toBe("");
    expect([existsSync(join(dir, "packages")), readFileSync(join(dir, "trust/1.json"), "utf8")]).toEqual([false, "root\n"]);
    testGit(gitDir, ["fsck", "--full", "--strict"]);
  });

  test("G5 a host's commit writes nothing outside: .git and its aliases, links on the way", async () => {
    const { dir, gitDir, head } = await made();
    const outside = join(dir, "..", "outside");
    mkdirSync(outside);
    const blob = testGit(gitDir, ["hash-object", "-w", "--stdin"], { input: "evil" });
    const tree = (mode: string, name: string, id: string): string =>
      testGit(gitDir, ["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], {
        input: Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(id, "hex")]),
      });
    const commitOf = (top: string): ObjectId => testGit(gitDir, ["commit-tree", top, "-p", head, "-m", "x"]) as ObjectId;
    const before = readFileSync(join(gitDir, "config"), "utf8");
    for (const name of [".git", ".GIT", "git~1", ".git ", ".git::$INDEX_ALLOCATION", ".g\u200cit", "..", "."]) {
      const to = commitOf(tree("40000", name, tree("100644", "config", blob)));
      await expect(advanceBranch(dir, { to, from: head, force: true }, EMBEDDED)).rejects.toMatchObject({
        code: expect.stringMatching(/WORK_TREE|INVALID_DOCUMENT/u) as string,
      });
    }
    const target = testGit(gitDir, ["hash-object", "-w", "--stdin"], { input: outside });
    const linked = commitOf(tree("120000", "packages", target));
    await expect(advanceBranch(dir, { to: linked, from: head, force: true }, EMBEDDED)).rejects.toMatchObject({ code: "WORK_TREE" });
    // a link that the author put there
    symlinkSync(outside, join(dir, "packages"));
    const through = commitOf(tree("40000", "packages", tree("100644", "x", blob)));
    await expect(advanceBranch(dir, { to: through, from: head, force: true }, EMBEDDED)).rejects.toMatchObject({ code: "WORK_TREE" });
    expect(readdirSync(outside)).toEqual([]);
    expect(readFileSync(join(gitDir, "config"), "utf8")).toBe(before);
    expect(testGit(gitDir, ["rev-parse", "main"])).toBe(head);
  });

  test("C1 a move that a kill left half done is completed by the next look", async () => {
    const { dir, gitDir, head, next } = await made();
    const to = await next({ "checkpoint.json": "c2\n", "packages/00/+a/record.json": "{}", "trust/1.json": null });
    writeFileSync(join(gitDir, "imprint-move"), `${head} ${to} refs/heads/main\n`);
    writeFileSync(join(dir, "checkpoint.json"), "c2\n");
    expect(await describeClone(dir, EMBEDDED)).toMatchObject({ head: to, dirty: [] });
    expect([status(dir), existsSync(join(gitDir, "imprint-move"))]).toEqual(["", false]);
  });

  test("a half-done move over which the author wrote is shown as it is", async () => {
    const { dir, gitDir, head, next } = await made();
    const to = await next({ "checkpoint.json": "c2\n" });
    writeFileSync(join(gitDir, "imprint-move"), `${head} ${to} refs/heads/main\n`);
    writeFileSync(join(dir, "checkpoint.json"), "mine\n");
    expect(await describeClone(dir, EMBEDDED)).toMatchObject({ head, dirty: ["checkpoint.json"] });
    expect(readFileSync(join(dir, "checkpoint.json"), "utf8")).toBe("mine\n");
  });

  test("staged changes of a file in the way stop a move", async () => {
    const { dir, gitDir, head, next } = await made();
    const to = await next({ "checkpoint.json": "c2\n" });
    writeFileSync(join(dir, "checkpoint.json"), "staged\n");
    await testGitAsync(gitDir, ["add", "checkpoint.json"], { GIT_WORK_TREE: dir });
    writeFileSync(join(dir, "checkpoint.json"), "c1\n");
    await expect(advanceBranch(dir, { to, from: head, force: true }, EMBEDDED)).rejects.toMatchObject({ code: "WORK_TREE" });
  });
});
