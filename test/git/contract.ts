/**
 * What any adapter of the git port must do, over real repositories and a real host (`git http-backend` on loopback).
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ImprintError } from "../../src/errors.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FileRead, GitRepository, GitUrl, ObjectId, RefName, TransferLimits } from "../../src/git/port.ts";
import { parseGitUrl, parseRefName } from "../../src/git/url.ts";
import { commitHosted, createHostedRepository, startGitHost, testGit } from "../support/git-host.ts";
import type { GitHost, GitHostOptions, HostedFile } from "../support/git-host.ts";
import { commitOf, formatEntry, formatPack, idOf, lie, type PackedEntry, repeatDelta, sendPack, treeOf } from "../support/lying-host.ts";

/** Makes a fresh repository in `dir` and opens it. */
export type OpenAdapter = (dir: string) => Promise<GitRepository>;
/** What an adapter can't do by nature: isomorphic-git knows no partial clones. */
export type AdapterTraits = {
  readonly filters: boolean;
  /** Code for an address of a kind that it doesn't know. */
  readonly unknownScheme: "UNREACHABLE" | "GIT_MISSING";
};

export const LIMITS: TransferLimits = { maxBytes: 64 << 20, maxObjects: 100_000, deadlineMs: 20_000 };
const MAIN = parseRefName("refs/heads/main");
const KEPT = parseRefName("refs/imprint/kept");
const WORK = parseRefName("refs/imprint/work");
const AUTHOR = { name: "Alice", email: "alice@example.org" };
const TIME_MS = 1_767_225_600_000;

/** Bytes that don't compress. */
export function noise(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = seed >>> 0 || 1;
  for (let at = 0; at < size; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state & 0xff;
  }
  return bytes;
}

function text(read: FileRead | undefined): string {
  return read?.state === "found" ? Buffer.from(read.bytes).toString() : (read?.state ?? "none");
}

/** Runs the suite for one adapter. */
export function gitContract(name: string, openAdapter: OpenAdapter, traits: AdapterTraits): void {
  describe(`git port: ${name}`, () => {
    let root: string;
    let host: GitHost;
    let bare: string;
    let url: GitUrl;
    let repository: GitRepository;
    const open: { close(): Promise<void> }[] = [];

    const serve = async (options: Partial<GitHostOptions> = {}): Promise<GitHost> => {
      const served = await startGitHost({ root, ...options });
      open.push(served);
      return served;
    };
    const address = (served: GitHost, repo = "alice.git"): GitUrl => parseGitUrl(served.url(repo), { allowFile: false });
    const another = async (dir: string): Promise<GitRepository> => {
      const made = await openAdapter(join(root, dir));
      open.push(made);
      return made;
    };
    const put = (files: Record<string, HostedFile>, parent: string | null = null, ref = MAIN as string): ObjectId =>
      commitHosted(bare, files, { parent, ref }) as ObjectId;
    const fetch = (
      options: {
        blobs?: boolean;
        ref?: RefName;
        keepAs?: RefName;
        limits?: Partial<TransferLimits>;
        url?: GitUrl;
        into?: GitRepository;
      } = {},
    ): Promise<ObjectId | null> =>
      (options.into ?? repository).fetch({
        url: options.url ?? url,
        ref: options.ref ?? MAIN,
        keepAs: options.keepAs ?? KEPT,
        blobs: options.blobs ?? true,
        limits: { ...LIMITS, ...options.limits },
      });
    const read = async (
      commit: ObjectId,
      paths: string[],
      options: { maxBytes?: number; url?: GitUrl | null; from?: GitRepository; limits?: Partial<TransferLimits> } = {},
    ): Promise<string[]> => {
      const files = paths.map((path) => ({ path, maxBytes: options.maxBytes ?? 1 << 20 }));
      const reads = await (options.from ?? repository).readFiles({
        commit,
        files,
        url: options.url === undefined ? url : options.url,
        limits: { ...LIMITS, ...options.limits },
      });
      return reads.map(text);
    };
    const write = (base: ObjectId | null, changes: Record<string, string | null>, keepAs = WORK): Promise<ObjectId> =>
      repository.commit({
        base,
        keepAs,
        message: "publish",
        author: AUTHOR,
        timeMs: TIME_MS,
        changes: Object.entries(changes).map(([path, content]) => ({ path, content: content === null ? null : Buffer.from(content) })),
      });

    beforeEach(async () => {
      root = mkdtempSync(join(tmpdir(), "imprint-git-"));
      bare = createHostedRepository(root, "alice.git");
      host = await serve();
      url = address(host);
      repository = await another("cache.git");
    });
    afterEach(async () => {
      for (const one of open.splice(0)) await one.close();
      rmSync(root, { recursive: true, force: true });
    });

    describe("fetch", () => {
      test("brings a head and its files, and no history", async () => {
        const first = put({ "a.json": "old" });
        const second = put({ "a.json": "1", "trust/1.json": "2", "packages/3f/@a+b/record.json": "3" }, first);
        expect(await fetch()).toBe(second);
        expect(await repository.head(KEPT)).toBe(second);
        expect(await read(second, ["packages/3f/@a+b/record.json", "a.json", "trust/1.json"], { url: null })).toEqual(["3", "1", "2"]);
        await expect(read(first, ["a.json"], { url: null })).rejects.toMatchObject({ code: "INVALID_DOCUMENT" });
      });

      test("a ref that isn't there is null, in a repository that is empty too", async () => {
        expect(await fetch()).toBeNull();
        put({ a: "1" });
        expect(await fetch({ ref: parseRefName("refs/tarballs/00") })).toBeNull();
        expect(await repository.head(KEPT)).toBeNull();
      });

      test("an unmoved head costs one listing", async () => {
        const head = put({ a: "1" });
        await fetch();
        host.requests.length = 0;
        expect(await fetch()).toBe(head);
        expect(host.requests.length).toBeLessThanOrEqual(2);
      });

      test("a ref that vanished is null, and what was kept stays", async () => {
        const head = put({ a: "1" });
        await fetch();
        testGit(bare, ["update-ref", "-d", "refs/heads/main"]);
        expect(await fetch()).toBeNull();
        expect(await repository.head(KEPT)).toBe(head);
      });

      test.each([true, false])("moved many times, squashed, force-pushed back and forth (blobs: %s)", async (blobs) => {
        const files: Record<string, string> = {};
        for (let at = 0; at < 50; at++) files[`packages/${String(at % 7)}/f${String(at)}`] = `content ${String(at)}`;
        let head: ObjectId | null = null;
        const seen: ObjectId[] = [];
        for (let round = 0; round < 8; round++) {
          files[`packages/${String(round)}/new`] = `round ${String(round)}`;
          const parent: ObjectId | null = round % 3 === 2 ? null : head;
          head = put(files, parent);
          seen.push(head);
          expect(await fetch({ blobs })).toBe(head);
          expect(await read(head, [`packages/${String(round)}/new`, "packages/0/f49"])).toEqual([`round ${String(round)}`, "content 49"]);
        }
        // back to an old state, after the host collected what it no longer refers to
        testGit(bare, ["update-ref", "refs/heads/main", seen[1] ?? ""]);
        testGit(bare, ["gc", "-q", "--prune=now"]);
        expect(await fetch({ blobs })).toBe(seen[1]);
        expect(await read(seen[1] as ObjectId, ["packages/1/new", "packages/7/new"])).toEqual(["round 1", "missing"]);
        // the newest is still here, and readable without the host
        expect(await read(head as ObjectId, ["packages/7/new"], { url: null })).toEqual(["round 7"]);
      });

      test("the same tree in a squashed commit is a new commit and nothing else", async () => {
        const first = put({ a: "1", b: "2" });
        await fetch();
        const squashed = commitHosted(bare, { a: "1", b: "2" }, { parent: null, message: "squashed" }) as ObjectId;
        expect(squashed).not.toBe(first);
        expect(await fetch()).toBe(squashed);
        expect(await read(squashed, ["a", "b"], { url: null })).toEqual(["1", "2"]);
      });

      test("a tarball ref, by itself", async () => {
        put({ a: "1" });
        await fetch();
        const ref = parseRefName(`refs/tarballs/${"ab".repeat(32)}`);
        const tarball = put({ "package.tgz": noise(200_000) }, null, ref);
        const keepAs = parseRefName(`refs/imprint/tarballs/${"ab".repeat(32)}`);
        expect(await fetch({ ref, keepAs })).toBe(tarball);
        expect(await repository.head(keepAs)).toBe(tarball);
        const [found] = await repository.readFiles({
          commit: tarball,
          files: [{ path: "package.tgz", maxBytes: 200_000 }],
          url: null,
          limits: LIMITS,
        });
        expect(found?.state === "found" && Buffer.from(found.bytes).equals(noise(200_000))).toBe(true);
      });

      test("two at once, of one ref", async () => {
        const head = put({ a: "1" });
        expect(await Promise.all([fetch(), fetch()])).toEqual([head, head]);
        const next = put({ a: "2" }, head);
        expect(await Promise.all([fetch(), fetch(), fetch()])).toEqual([next, next, next]);
        expect(await read(next, ["a"])).toEqual(["2"]);
      });
    });

    describe("limits", () => {
      test("over maxBytes is TOO_LARGE, in flat memory, and changes nothing", async () => {
        const head = put({ a: "1" });
        await fetch();
        put({ a: "1", big: noise(12 << 20) }, head);
        const before = process.memoryUsage().rss;
        await expect(fetch({ limits: { maxBytes: 1 << 20 } })).rejects.toMatchObject({ code: "TOO_LARGE" });
        expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
        expect(await repository.head(KEPT)).toBe(head);
        expect(await read(head, ["a"], { url: null })).toEqual(["1"]);
      });

      test("T8 over maxObjects is TOO_LARGE", async () => {
        const files = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`f${String(at)}`, String(at)]));
        put(files);
        await expect(fetch({ limits: { maxObjects: 100 } })).rejects.toMatchObject({ code: "TOO_LARGE" });
        expect(await repository.head(KEPT)).toBeNull();
      });

      test("T9 a host that trickles meets the deadline, and another host is not held up", async () => {
        put({ a: "1" });
        const slow = await serve({
          intercept: (_, response) => {
            response.setHeader("content-type", "application/x-git-upload-pack-advertisement");
            response.write("001e# service=git-upload-pack\n0000");
            const timer = setInterval(() => response.write("0"), 200);
            response.on("close", () => clearInterval(timer));
            return true;
          },
        });
        const other = await another("other.git");
        const slowFetch = fetch({ url: address(slow), into: other, limits: { deadlineMs: 6000 } }).catch((error: unknown) => error);
        // The other index answers first, however slow this machine is: it does not wait for the deadline of the slow one.
        expect(typeof (await Promise.race([slowFetch, fetch()]))).toBe("string");
        expect(await slowFetch).toMatchObject({ code: "TIMED_OUT" });
      });

      test("an unreachable host, an error page, an unknown repository are UNREACHABLE; a message shows no secret", async () => {
        const gone = await serve();
        const goneUrl = address(gone);
        await gone.close();
        await expect(fetch({ url: goneUrl })).rejects.toMatchObject({ code: "UNREACHABLE" });
        const broken = await serve({ intercept: (_, response) => (response.writeHead(500).end("<h1>no</h1>"), true) });
        await expect(fetch({ url: address(broken) })).rejects.toMatchObject({ code: "UNREACHABLE" });
        const page = await serve({
          intercept: (_, response) => (response.setHeader("content-type", "text/html").end("<h1>hello</h1>"), true),
        });
        // git takes a page for a host of the oldest kind, with no refs
        expect([null, "UNREACHABLE"]).toContain(await fetch({ url: address(page) }).catch((error: ImprintError) => error.code));
        await expect(fetch({ url: address(host, "nobody.git") })).rejects.toMatchObject({ code: "UNREACHABLE" });
      });

      test("T8 endless data is stopped", async () => {
        const endless = await serve({
          intercept: lie("1".repeat(40), ({ write, response }) => {
            // a pack of ten blobs, the first of them 200 MB of stored, incompressible data
            write(Buffer.from([0x50, 0x41, 0x43, 0x4b, 0, 0, 0, 2, 0, 0, 0, 10, 0xb0, 0x80, 0xd0, 0xfa, 0x0b, 0x78, 0x01]));
            const block = Buffer.concat([Buffer.from([0, 0x00, 0x80, 0xff, 0x7f]), Buffer.from(noise(0x8000))]);
            const timer = setInterval(() => {
              for (let at = 0; at < 32 && !response.writableNeedDrain; at++) write(block);
            }, 1);
            response.on("close", () => clearInterval(timer));
          }),
        });
        const before = process.memoryUsage().rss;
        await expect(fetch({ url: address(endless), limits: { maxBytes: 4 << 20, deadlineMs: 60_000 } })).rejects.toMatchObject({
          code: "TOO_LARGE",
        });
        expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
      });

      test.runIf(process.platform === "linux")("T8 refs without end are TOO_LARGE before the machine is full", async () => {
        const line = (at: number): string => {
          const content = `${at.toString(16).padStart(40, "1")} refs/heads/${"x".repeat(200)}${String(at)}\n`;
          return (content.length + 4).toString(16).padStart(4, "0") + content;
        };
        const host = await serve({
          intercept: (request, response) => {
            if (request.method !== "POST") return false;
            request.resume();
            response.setHeader("content-type", "application/x-git-upload-pack-result");
            let at = 0;
            const more = (): void => {
              for (let ok = true; ok && !response.destroyed;) ok = response.write(Array.from({ length: 500 }, () => line(at++)).join(""));
            };
            response.on("drain", more);
            more();
            return true;
          },
        });
        put({ a: "1" });
        await fetch();
        await expect(fetch({ url: address(host), limits: { maxObjects: 10, deadlineMs: 50_000 } })).rejects.toMatchObject({
          code: "TOO_LARGE",
        });
      });
    });

    describe("hostile packs", () => {
      const file = Buffer.from("content");
      const tree = treeOf([["100644", "a", idOf("blob", file)]]);
      const commit = commitOf(idOf("tree", tree));
      const head = idOf("commit", commit) as ObjectId;
      const good: readonly PackedEntry[] = [
        { type: "commit", content: commit },
        { type: "tree", content: tree },
        { type: "blob", content: file },
      ];
      const fetchPack = async (pack: Uint8Array, limits: Partial<TransferLimits> = {}): Promise<ObjectId | null> =>
        fetch({ url: address(await serve({ intercept: sendPack(head, pack) })), limits });

      test("one that is as it should be is taken", async () => {
        expect(await fetchPack(formatPack(good))).toBe(head);
        expect(await read(head, ["a"], { url: null })).toEqual(["content"]);
      });

      test("deltas, from near and far, before and after their base", async () => {
        const base = Buffer.from(noise(2000));
        const twice = Buffer.concat([base, base]);
        const four = Buffer.concat([twice, twice]);
        const top = treeOf([
          ["100644", "base", idOf("blob", base)],
          ["100644", "four", idOf("blob", four)],
          ["100644", "twice", idOf("blob", twice)],
        ]);
        const topCommit = commitOf(idOf("tree", top));
        const id = idOf("commit", topCommit) as ObjectId;
        const toFour: PackedEntry = { type: "ref", content: repeatDelta(4000, 8000), base: idOf("blob", twice) };
        const first: PackedEntry = { type: "blob", content: base };
        const toTwice: PackedEntry = { type: "ofs", content: repeatDelta(2000, 4000), base: formatEntry(first).length };
        const pack = formatPack([{ type: "commit", content: topCommit }, { type: "tree", content: top }, toFour, first, toTwice]);
        const served = await serve({ intercept: sendPack(id, pack) });
        expect(await fetch({ url: address(served) })).toBe(id);
        const reads = await repository.readFiles({
          commit: id,
          files: ["base", "twice", "four"].map((path) => ({ path, maxBytes: 8000 })),
          url: null,
          limits: LIMITS,
        });
        expect(reads.map((one) => (one.state === "found" ? Buffer.from(one.bytes) : one.state))).toEqual([base, twice, four]);
      });

      test("G3 objects that were left out are unavailable, and what is there is read", async () => {
        const more = treeOf([
          ["100644", "a", idOf("blob", file)],
          ["40000", "gone", "2".repeat(40)],
          ["100644", "lost", "1".repeat(40)],
        ]);
        const id = idOf("commit", commitOf(idOf("tree", more))) as ObjectId;
        const pack = formatPack([
          { type: "commit", content: commitOf(idOf("tree", more)) },
          { type: "tree", content: more },
          { type: "blob", content: file },
        ]);
        const served = await serve({ intercept: sendPack(id, pack) });
        expect(await fetch({ url: address(served) })).toBe(id);
        expect(await read(id, ["a", "gone/x", "lost", "nothing"], { url: null })).toEqual([
          "content",
          "unavailable",
          "unavailable",
          "missing",
        ]);
      });

      const lies: [string, () => Uint8Array][] = [
        ["a checksum that isn't its own", () => formatPack(good, { trailer: new Uint8Array(20) })],
        ["fewer objects than it declares", () => formatPack(good, { count: 4 })],
        ["more objects than it declares", () => formatPack(good, { count: 2 })],
        ["no pack at all", () => Buffer.from("<html>")],
        ["a pack that breaks off", () => formatPack(good).subarray(0, 100)],
        ["an object longer than declared", () => formatPack([...good, { type: "blob", content: file, size: 3 }])],
        ["an object shorter than declared", () => formatPack([...good, { type: "blob", content: file, size: 30 }])],
        ["an object that does not inflate", () => formatPack([...good, { type: "blob", content: file, compressed: noise(40) }])],
        ["a delta whose base is nowhere", () => formatPack([...good, { type: "ref", content: repeatDelta(7, 14), base: "3".repeat(40) }])],
        [
          "a delta whose base lies before the pack",
          () => formatPack([...good, { type: "ofs", content: repeatDelta(7, 14), base: 100_000 }]),
        ],
        ["a delta for another base", () => formatPack([...good, { type: "ref", content: repeatDelta(9, 18), base: idOf("blob", file) }])],
        [
          "a delta that reads past its base",
          () => formatPack([...good, { type: "ref", content: Buffer.from([7, 9, 0x90, 9]), base: idOf("blob", file) }]),
        ],
        [
          "a delta that makes less than it declares",
          () => formatPack([...good, { type: "ref", content: Buffer.from([7, 9, 0x90, 7]), base: idOf("blob", file) }]),
        ],
      ];
      test.each(lies)("G3 %s is UNREACHABLE, and changes nothing", async (_, make) => {
        const before = put({ a: "1" });
        await fetch();
        await expect(fetchPack(make())).rejects.toMatchObject({ code: "UNREACHABLE" });
        expect(await repository.head(KEPT)).toBe(before);
        expect(await read(before, ["a"], { url: null })).toEqual(["1"]);
        await expect(read(head, ["a"], { url: null })).rejects.toMatchObject({ code: "INVALID_DOCUMENT" });
      });

      const bombs: [string, () => Uint8Array][] = [
        ["a tree that declares 4 GB", () => formatPack([...good, { type: "tree", content: file, size: 4 * 2 ** 30 }])],
        ["a commit that declares 2^52 bytes", () => formatPack([...good, { type: "commit", content: file, size: 2 ** 52 }])],
        [
          "a delta to 4 GB",
          () => {
            const base = Buffer.alloc(1 << 20);
            const entry: PackedEntry = { type: "blob", content: base };
            return formatPack([...good, entry, { type: "ofs", content: repeatDelta(1 << 20, 2 ** 32), base: formatEntry(entry).length }]);
          },
        ],
      ];
      test.each(bombs)("G6 %s is TOO_LARGE, in flat memory", async (_, make) => {
        const pack = make();
        const before = process.memoryUsage().rss;
        await expect(fetchPack(pack, { maxBytes: 1 << 20, maxObjects: 1000 })).rejects.toMatchObject({ code: "TOO_LARGE" });
        expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
        expect(await repository.head(KEPT)).toBeNull();
      });

      test("G5 folders a thousand deep, and names that are git's own, are only names", async () => {
        const entries: PackedEntry[] = [{ type: "blob", content: file }];
        let id = idOf("blob", file);
        for (let depth = 0; depth < 1000; depth++) {
          const content = treeOf([depth === 0 ? ["100644", "config", id] : ["40000", depth === 1 ? ".git" : "..", id]]);
          entries.push({ type: "tree", content });
          id = idOf("tree", content);
        }
        const content = commitOf(id);
        const deep = idOf("commit", content) as ObjectId;
        const outside = readdirSync(root);
        const served = await serve({ intercept: sendPack(deep, formatPack([...entries, { type: "commit", content }])) });
        expect(await fetch({ url: address(served) })).toBe(deep);
        expect(await read(deep, [".git/config", "../x", `${"../".repeat(998)}.git/config`], { url: null })).toEqual([
          "missing",
          "missing",
          "content",
        ]);
        expect(readdirSync(root)).toEqual(outside);
      });
    });

    describe("readFiles", () => {
      test("only regular files are there: no symbolic link, submodule, folder; and nothing is read past one", async () => {
        const commit = put({
          file: "content",
          run: { mode: "100755", target: "script" },
          link: { mode: "120000", target: "file" },
          "real/inner": "inner",
          folderlink: { mode: "120000", target: "real" },
          module: { mode: "160000", target: "1".repeat(40) },
        });
        await fetch();
        const paths = [
          "file",
          "run",
          "link",
          "real",
          "real/inner",
          "folderlink/inner",
          "module",
          "module/x",
          "nothing",
          "file/x",
          "",
          "/file",
          "real//inner",
          "../file",
          "./file",
          ".git/config",
        ];
        expect(await read(commit, paths)).toEqual([
          "content",
          "script",
          "missing",
          "missing",
          "inner",
          "missing",
          "missing",
          "missing",
          "missing",
          "missing",
          "missing",
          "missing",
          "missing",
          "missing",
          "missing",
          "missing",
        ]);
      });

      test("a file over its maxBytes is tooLarge, others in the request are read", async () => {
        const commit = put({ big: noise(5000), small: "s", exact: "12345" });
        await fetch();
        const reads = await repository.readFiles({
          commit,
          files: [
            { path: "big", maxBytes: 4999 },
            { path: "small", maxBytes: 10 },
            { path: "exact", maxBytes: 5 },
            { path: "exact", maxBytes: 4 },
          ],
          url,
          limits: LIMITS,
        });
        expect(reads.map(text)).toEqual(["tooLarge", "s", "12345", "tooLarge"]);
      });

      test("one folder with entries that differ by case, another with a name twice", async () => {
        const blob = (content: string): string => testGit(bare, ["hash-object", "-w", "--stdin"], { input: content });
        const entry = (mode: string, entryName: string, id: string): Buffer =>
          Buffer.concat([Buffer.from(`${mode} ${entryName}\0`), Buffer.from(id, "hex")]);
        const tree = (...entries: Buffer[]): string =>
          testGit(bare, ["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], { input: Buffer.concat(entries) });
        const [one, two] = [blob("one"), blob("two")];
        const cases = tree(entry("100644", "A", one), entry("100644", "a", two));
        const twice = tree(entry("100644", "x", one), entry("100644", "x", two), entry("100644", "y", two));
        const git = tree(entry("100644", "config", one));
        const top = tree(entry("40000", ".git", git), entry("40000", "cases", cases), entry("40000", "twice", twice));
        const commit = testGit(bare, ["commit-tree", top, "-m", "odd"]) as ObjectId;
        testGit(bare, ["update-ref", MAIN, commit]);
        expect(await fetch()).toBe(commit);
        expect(await read(commit, ["cases/A", "cases/a", "twice/x", "twice/y"])).toEqual(["one", "two", "missing", "two"]);
      });

      test("a thousand files of one folder", async () => {
        const names = Array.from({ length: 1000 }, (_, at) => `dir/file-${String(at)}`);
        const commit = put(Object.fromEntries(names.map((path) => [path, `content of ${path}`])));
        await fetch();
        expect(await read(commit, names)).toEqual(names.map((path) => `content of ${path}`));
      });

      test("a commit that isn't there is INVALID_DOCUMENT", async () => {
        await expect(read("1".repeat(40) as ObjectId, ["a"])).rejects.toMatchObject({ code: "INVALID_DOCUMENT" });
      });

      test("what a filtered fetch left behind comes in one request, once", async () => {
        const names = Array.from({ length: 200 }, (_, at) => `packages/aa/folder/file-${String(at)}`);
        const commit = put(Object.fromEntries(names.map((path) => [path, `content of ${path}`])));
        await fetch({ blobs: false });
        expect(new Set(await read(commit, names, { url: null }))).toEqual(
          new Set(traits.filters ? ["unavailable"] : names.map((path) => `content of ${path}`)),
        );
        host.requests.length = 0;
        expect(await read(commit, names)).toEqual(names.map((path) => `content of ${path}`));
        expect(host.requests.filter((request) => request.method === "POST").length).toBeLessThanOrEqual(2);
        host.requests.length = 0;
        expect(await read(commit, names)).toHaveLength(200);
        expect(host.requests).toHaveLength(0);
      });

      test("a file that the host collected is unavailable unless it is here, the others are read", async () => {
        const [a, b, c] = ["x/y/a/f", "x/y/b/f", "x/y/c/f"];
        const commit = put({ [a]: "1", [b]: "2", [c]: "3" });
        await fetch({ blobs: false });
        testGit(bare, ["repack", "-adq"]);
        const gone = testGit(bare, ["rev-parse", `${commit}:${b}`]);
        put({ [a]: "1", [c]: "3" });
        testGit(bare, ["reflog", "expire", "--expire=now", "--all"]);
        testGit(bare, ["gc", "-q", "--prune=now"]);
        expect(() => testGit(bare, ["cat-file", "-e", gone])).toThrow();
        expect(await read(commit, [a, b, c])).toEqual(["1", traits.filters ? "unavailable" : "2", "3"]);
      });

      test("files beyond the limits are TOO_LARGE when they come; what is here needs no host", async () => {
        const commit = put({ "x/y/z/big": noise(6 << 20), "x/y/a/f": "1" });
        const limits = { maxBytes: 1 << 20 };
        const fetched = fetch({ blobs: false, limits: traits.filters ? {} : limits });
        await expect(traits.filters ? fetched.then(() => read(commit, ["x/y/z/big"], { limits })) : fetched).rejects.toMatchObject({
          code: "TOO_LARGE",
        });
        if (!traits.filters) await fetch();
        await host.close();
        const reading = read(commit, ["x/y/a/f"]);
        if (traits.filters) await expect(reading).rejects.toMatchObject({ code: "UNREACHABLE" });
        else expect(await reading).toEqual(["1"]);
      });

      test("hundreds of files at once: whole, as deltas, loose, too large, none; also when packs were joined meanwhile", async () => {
        const files = Object.fromEntries(
          Array.from({ length: 300 }, (_, at) => [`d/${String(at)}`, `${"text ".repeat(100)}${String(at)}`]),
        );
        const base = put({ ...files, big: noise(5000), link: { mode: "120000", target: "d/1" } });
        await fetch();
        const commit = await write(base, { "d/1": "new", "d/300": "newer" });
        const odd = { big: "tooLarge", link: "missing", absent: "missing", d: "missing" };
        const wanted = { ...files, "d/1": "new", "d/300": "newer", ...odd };
        const readAll = (): Promise<string[]> => read(commit, Object.keys(wanted), { maxBytes: 1000, url: null });
        expect(await readAll()).toEqual(Object.values(wanted));
        testGit(join(root, "cache.git"), ["update-ref", "refs/heads/all", commit]);
        testGit(join(root, "cache.git"), ["repack", "-adfq", "--depth=50"]);
        testGit(join(root, "cache.git"), ["prune-packed"]);
        expect(await readAll()).toEqual(Object.values(wanted));
        if (!traits.filters) return;
        // An index file of a kind that only git reads.
        testGit(join(root, "cache.git"), ["-c", "pack.indexVersion=1", "repack", "-adfq"]);
        const reopened = await another("cache.git");
        expect(await read(commit, Object.keys(wanted), { maxBytes: 1000, url: null, from: reopened })).toEqual(Object.values(wanted));
      });

      test("many folders that were left behind come in one request", async () => {
        const names = Array.from({ length: 50 }, (_, at) => `packages/aa/folder-${String(at)}/file`);
        const commit = put(Object.fromEntries(names.map((path) => [path, path])));
        await fetch({ blobs: false });
        host.requests.length = 0;
        expect(await read(commit, names)).toEqual(names);
        expect(host.requests.filter((request) => request.method === "POST").length).toBeLessThanOrEqual(2);
      });

      test("a host that cannot filter sends everything", async () => {
        const plain = await serve({ filter: false });
        const commit = put({ a: "1" });
        expect(await fetch({ blobs: false, url: address(plain) })).toBe(commit);
        expect(await read(commit, ["a"], { url: null })).toEqual(["1"]);
      });
    });

    test("listFiles: paths and modes of everything", async () => {
      const commit = put({ "b c/ü": "1", a: { mode: "120000", target: "x" }, m: { mode: "160000", target: "1".repeat(40) } });
      await fetch();
      expect(await repository.listFiles(commit)).toEqual([
        { path: "a", mode: "120000" },
        { path: "b c/ü", mode: "100644" },
        { path: "m", mode: "160000" },
      ]);
    });

    test("listFiles of one folder: nothing else, and nothing where there is none", async () => {
      const commit = put({ "proposals/a/b": "1", "proposals-not": "2", "packages/proposals/c": "3" });
      await fetch();
      expect(await repository.listFiles(commit, "proposals")).toEqual([{ path: "proposals/a/b", mode: "100644" }]);

      expect(await repository.listFiles(commit, "absent")).toEqual([]);
    });

    describe("commit", () => {
      test.each([true, false])("on a fetched head (blobs: %s): changes, removals, odd names; the rest as it was", async (blobs) => {
        const base = put({ "keep/a": "a", "keep/b": "b", gone: "x" });
        await fetch({ blobs });
        const commit = await write(base, { "keep/b": "new", gone: null, 'odd "name"\\ü': "odd", "deep/er/x.json": "{}" });
        expect(await repository.head(WORK)).toBe(commit);
        expect(await read(commit, ["keep/a", "keep/b", "gone", 'odd "name"\\ü', "deep/er/x.json"])).toEqual([
          "a",
          "new",
          "missing",
          "odd",
          "{}",
        ]);
        expect(await repository.head(KEPT)).toBe(base);
      });

      test("an orphan is the same commit each time, whatever keepAs held", async () => {
        const first = await write(null, { "package.tgz": "bytes" });
        await write(first, { other: "x" });
        expect(await write(null, { "package.tgz": "bytes" })).toBe(first);
        expect(await repository.listFiles(first)).toEqual([{ path: "package.tgz", mode: "100644" }]);
      });

      test.each(["../x", "/x", "a//b", "a/./b", ".git/config", "a/.GIT/hooks", "", "a\0b"])("refuses the path %j", async (path) => {
        await expect(write(null, { [path]: "x" })).rejects.toMatchObject({ code: "INVALID_DOCUMENT" });
      });
    });

    describe("push", () => {
      const hosted = (ref: string): string => testGit(bare, ["rev-parse", "--verify", "-q", ref]);

      test.each([true, false])("branch and tarball ref together (blobs: %s)", async (blobs) => {
        const base = put({ "keep/a": "a", "keep/b": "b" });
        await fetch({ blobs });
        const tarball = await write(null, { "package.tgz": "bytes" }, parseRefName("refs/imprint/tarball"));
        const commit = await write(base, { "keep/b": "new" });
        const ref = parseRefName(`refs/tarballs/${"cd".repeat(32)}`);
        await repository.push({
          url,
          limits: LIMITS,
          updates: [
            { ref: MAIN, expected: base, to: commit },
            { ref, expected: null, to: tarball },
          ],
        });
        expect(hosted(MAIN)).toBe(commit);
        expect(hosted(ref)).toBe(tarball);
        expect(testGit(bare, ["show", `${MAIN}:keep/a`])).toBe("a");
        testGit(bare, ["fsck", "--connectivity-only"]);
        // a stranger reads it back, and so do we
        const stranger = await another("stranger.git");
        expect(await fetch({ into: stranger })).toBe(commit);
        expect(await fetch()).toBe(commit);
        expect(await read(commit, ["keep/b"], { from: stranger })).toEqual(["new"]);
      });

      test("deletes a ref that holds what is expected, and only then; again is no fault", async () => {
        const ref = parseRefName(`refs/tarballs/${"ef".repeat(32)}`);
        const tarball = await write(null, { "package.tgz": "bytes" });
        await repository.push({ url, limits: LIMITS, updates: [{ ref, expected: null, to: tarball }] });
        const other = await write(null, { "package.tgz": "other" });
        const wrong = repository.push({ url, limits: LIMITS, updates: [{ ref, expected: other, to: null }] });
        await expect(wrong).rejects.toMatchObject({ code: "LOST_RACE" });
        expect(hosted(ref)).toBe(tarball);
        await repository.push({ url, limits: LIMITS, updates: [{ ref, expected: tarball, to: null }] });
        expect(() => hosted(ref)).toThrow();
      });

      test("into an empty repository", async () => {
        const commit = await write(null, { a: "1" });
        await repository.push({ url, limits: LIMITS, updates: [{ ref: MAIN, expected: null, to: commit }] });
        expect(hosted(MAIN)).toBe(commit);
      });

      test("a lost race is LOST_RACE and changes nothing, not even the refs that would fit", async () => {
        const base = put({ a: "1" });
        await fetch();
        const ours = await write(base, { a: "ours" });
        const theirs = put({ a: "theirs" }, base);
        const ref = parseRefName("refs/tarballs/aa");
        await expect(
          repository.push({
            url,
            limits: LIMITS,
            updates: [
              { ref: MAIN, expected: base, to: ours },
              { ref, expected: null, to: ours },
            ],
          }),
        ).rejects.toMatchObject({ code: "LOST_RACE" });
        await expect(repository.push({ url, limits: LIMITS, updates: [{ ref: MAIN, expected: null, to: ours }] })).rejects.toMatchObject({
          code: "LOST_RACE",
        });
        expect(hosted(MAIN)).toBe(theirs);
        expect(() => hosted(ref)).toThrow();
        // the loser redoes its work on top
        expect(await fetch()).toBe(theirs);
        const redone = await write(theirs, { b: "ours" });
        await repository.push({ url, limits: LIMITS, updates: [{ ref: MAIN, expected: theirs, to: redone }] });
        expect(hosted(MAIN)).toBe(redone);
      });

      test("C2 a race that is lost in the last moment, after the host listed its refs, is LOST_RACE too", async () => {
        const base = put({ a: "1" });
        await fetch();
        const ours = await write(base, { a: "ours" });
        let theirs = "";
        const racing = await serve({
          intercept: (request) => {
            if (request.method === "POST" && request.url?.endsWith("/git-receive-pack") === true && theirs === "")
              theirs = commitHosted(bare, { a: "theirs" }, { parent: base });
            return false;
          },
        });
        const ref = parseRefName("refs/tarballs/aa");
        await expect(
          repository.push({
            url: address(racing),
            limits: LIMITS,
            updates: [
              { ref, expected: null, to: ours },
              { ref: MAIN, expected: base, to: ours },
            ],
          }),
        ).rejects.toMatchObject({ code: "LOST_RACE" });
        expect(hosted(MAIN)).toBe(theirs);
        expect(() => hosted(ref)).toThrow();
      });

      test("a refused push is PUSH_FAILED with the host's words; without write access too; unreachable is UNREACHABLE", async () => {
        const commit = await write(null, { a: "1" });
        const updates = [{ ref: MAIN, expected: null, to: commit }];
        testGit(bare, ["config", "receive.denyCreates", "x"]);
        const { mkdirSync, writeFileSync } = await import("node:fs");
        mkdirSync(join(bare, "hooks"), { recursive: true });
        writeFileSync(join(bare, "hooks", "pre-receive"), "#!/bin/sh\necho 'only \u001b[31mcarol may' >&2\nexit 1\n", { mode: 0o755 });
        const refused = repository.push({ url, limits: LIMITS, updates });
        await expect(refused).rejects.toMatchObject({ code: "PUSH_FAILED", message: expect.stringContaining("may") as string });
        // eslint-disable-next-line no-control-regex
        await refused.catch((error: Error) => expect(error.message).not.toMatch(/[\u0000-\u001f]/u));
        const closed = await serve({ allowPush: false });
        await expect(repository.push({ url: address(closed), limits: LIMITS, updates })).rejects.toMatchObject({ code: "PUSH_FAILED" });
        await closed.close();
        await expect(repository.push({ url: address(closed), limits: LIMITS, updates })).rejects.toMatchObject({ code: "UNREACHABLE" });
      });

      test("the same push again, after the first was reported lost, is fine", async () => {
        const commit = await write(null, { a: "1" });
        const request = { url, limits: LIMITS, updates: [{ ref: MAIN, expected: null, to: commit }] };
        await repository.push(request);
        await repository.push(request);
        expect(hosted(MAIN)).toBe(commit);
      });
    });

    test("G7 addresses that parseGitUrl would refuse get nowhere even past it", async () => {
      const marker = join(root, "ran");
      for (const odd of [
        `ext::sh -c touch% ${marker}`,
        `--upload-pack=touch ${marker}`,
        `file://${join(root, "x")}`,
        "git://127.0.0.1:1/x",
      ]) {
        await expect(fetch({ url: odd as GitUrl })).rejects.toMatchObject({ code: traits.unknownScheme });
        const updates = [{ ref: MAIN, expected: null, to: "1".repeat(40) as ObjectId }];
        await expect(repository.push({ url: odd as GitUrl, limits: LIMITS, updates })).rejects.toBeInstanceOf(ImprintError);
      }
      expect(existsSync(marker)).toBe(false);
      expect(
        existsSync(join(root, "cache.git", "imprint-quarantine")) ? readdirSync(join(root, "cache.git", "imprint-quarantine")) : [],
      ).toEqual([]);
    });

    test("closed, it can be used again", async () => {
      const commit = put({ a: "1" });
      await fetch();
      expect(await read(commit, ["a"])).toEqual(["1"]);
      await repository.close();
      await repository.close();
      expect(await read(commit, ["a"])).toEqual(["1"]);
    });
  });
}
