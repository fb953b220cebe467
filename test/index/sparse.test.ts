/** An index over plain static files, on hosts that are honest, slow, lying, or replaced while they are read. */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { recordPath, releasePath, shardOf, shardPath } from "../../src/format/paths.ts";
import type { PackageName } from "../../src/format/names.ts";
import type { Version } from "../../src/format/versions.ts";
import { parseIndexAddress, parseMirror } from "../../src/index/address.ts";
import { sparseSource, type SparseOptions } from "../../src/index/sparse.ts";
import { readState } from "../../src/index/sync.ts";
import { readPackage } from "../../src/index/package-reader.ts";
import { openDocumentCache } from "../../src/storage/documents.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { imprintIn } from "../cli/in-process.ts";
import { startStaticHost, type StaticHost, treeOf } from "../support/static-host.ts";
import { type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";
import { join } from "node:path";

const HELLO = "@alice/hello" as PackageName;
const RECORD = recordPath(HELLO);

let w: World;
let alice: TestIndex;
let host: StaticHost;
let before: ReadonlyMap<string, Uint8Array>;
let after: ReadonlyMap<string, Uint8Array>;
let homes = 0;

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish(HELLO, "1.0.0");
  await alice.publish("@alice/other", "1.0.0");
  before = treeOf(alice.gitDir);
  await alice.changeRoot((root) => ({ refreshDays: root.refreshDays + 1 }));
  await alice.publish(HELLO, "1.1.0-Beta.1", { tag: "next" });
  await alice.publish(HELLO, "1.1.0");
  after = treeOf(alice.gitDir);
});
afterAll(() => w.close());
beforeEach(async () => {
  host = await startStaticHost(after);
});
afterEach(() => host.close());

const consumer = (): Promise<TestConsumer> => w.consumer({ indices: { alice: { index: alice, urls: [host.url] } } });

function source(network: Partial<SparseOptions["network"]> = {}, url = host.url): ReturnType<typeof sparseSource> {
  const address = parseIndexAddress(url, { allowFile: false });
  if (address.kind !== "sparse") throw new Error("not sparse");
  return sparseSource({
    url: address.url,
    documents: openDocumentCache(nodeFiles(), join(w.folder, `documents-${String(++homes)}`)),
    validator: { read: async () => null, write: async () => undefined },
    network: { deadlineMs: 3000, idleMs: 2000, allowPrivate: true, ...network },
    offline: false,
  });
}

describe("addresses", () => {
  it.each([
    ["sparse+https://host.example/a/b", "sparse+https://host.example/a/b/"],
    ["sparse+https://host.example", "sparse+https://host.example/"],
    ["SPARSE+HTTPS://Host.example:8443/x/", "sparse+https://host.example:8443/x/"],
    ["sparse+http://127.0.0.1:8080/", "sparse+http://127.0.0.1:8080/"],
  ])("%s is %s", (text, url) => {
    expect(parseIndexAddress(text, { allowFile: false })).toEqual({ kind: "sparse", url });
  });

  it.each([
    "sparse+http://host.example/",
    "sparse+https://user:secret@host.example/",
    "sparse+https://token@host.example/x",
    "sparse+https://host.example/?sig=secret",
    "sparse+ssh://host.example/x",
    "sparse+file:///etc/",
    "sparse+https://",
    "sparse+https:host",
    "sparse+",
    "sparse+https://host.example/a b/",
    "sparse+ext::sh -c date",
  ])("G7 %s is refused, and shows no secret", (text) => {
    expect(() => parseIndexAddress(text, { allowFile: true })).toThrow(expect.objectContaining({ code: "INVALID_URL" }));
    expect(() => parseIndexAddress(text, { allowFile: true })).not.toThrow(/secret|token/);
  });

  it("S1 a root's mirror is https, or nothing that is asked", () => {
    const allowed = (host_: string): boolean => host_ === "127.0.0.1";
    for (const text of [
      "ssh://git@host.example/x",
      "git@host.example:x",
      "http://127.0.0.2/x",
      "sparse+http://localhost/",
      "file:///x",
      "ext::x",
    ])
      expect([text, parseMirror(text, allowed)]).toEqual([text, null]);
    for (const text of ["https://host.example/x", "sparse+https://host.example/", "http://127.0.0.1/x", "sparse+http://127.0.0.1/"])
      expect([text, parseMirror(text, allowed)?.kind]).toEqual([text, text.startsWith("sparse") ? "sparse" : "git"]);
  });
});

describe("an honest host", () => {
  it("is read along one path, with names percent-encoded; a warm reader asks for the checkpoint and for what changed", async () => {
    host.files = before;
    const c = await consumer();
    await c.sync();
    expect(host.asked).toEqual(["checkpoint.json", "trust/1.json"]);
    expect(await c.verdicts(HELLO)).toEqual({ "1.0.0": "ok" });
    const encode = (file: string): string => file.replace("@", "%40").replaceAll("+", "%2B").replaceAll("!", "%21");
    expect(host.asked.slice(2)).toEqual([shardPath(shardOf(HELLO)), RECORD, releasePath(HELLO, "1.0.0" as Version)].map(encode));

    const warm = await c.again();
    host.asked.length = 0;
    await warm.sync();
    expect(await warm.verdicts(HELLO)).toEqual({ "1.0.0": "ok" });
    expect(host.asked).toEqual(["checkpoint.json"]);

    host.files = after;
    host.asked.length = 0;
    expect((await warm.sync()).changed).toBe(true);
    expect(await warm.verdicts(HELLO)).toEqual({ "1.0.0": "ok", "1.1.0-Beta.1": "ok", "1.1.0": "ok" });
    // The releases of a package are asked for together.
    expect([...host.asked.slice(0, 4), ...host.asked.slice(4).toSorted()]).toEqual([
      "checkpoint.json",
      "trust/2.json",
      ...[shardPath(shardOf(HELLO)), RECORD, releasePath(HELLO, "1.1.0-Beta.1" as Version), releasePath(HELLO, "1.1.0" as Version)].map(
        encode,
      ),
    ]);
  });

  it("asks for the checkpoint by its validator, unless it changed so lately that it may change again unseen", async () => {
    let modified = new Date(Date.now() - 60_000).toUTCString();
    host.intercept = (request, response) => {
      if (request.url !== "/checkpoint.json") return false;
      const etag = `"${createHash("sha1")
        .update(host.files.get("checkpoint.json") ?? "")
        .digest("hex")}"`;
      const same = request.headers["if-none-match"] === etag;
      response.writeHead(same ? 304 : 200, { etag, "last-modified": modified }).end(same ? undefined : host.files.get("checkpoint.json"));
      return true;
    };
    host.files = before;
    const c = await consumer();
    await c.sync();
    await c.sync();
    expect(host.headers.filter((headers) => headers["if-none-match"] !== undefined)).toHaveLength(1);
    modified = new Date().toUTCString();
    host.files = after;
    expect((await c.sync()).changed).toBe(true);
    host.headers.length = 0;
    await c.sync();
    expect(host.headers.map((headers) => headers["if-none-match"])).toEqual([undefined]);
  });

  it("a damaged or pruned document of the cache is asked for again", async () => {
    const c = await consumer();
    await c.sync();
    await c.read(HELLO);
    rmSync(c.layout.documents, { recursive: true });
    expect(Object.keys(await (await c.again()).verdicts(HELLO))).toHaveLength(3);
  });

  it("T2 one that goes back to an older state is a ROLLBACK, and what was verified still serves", async () => {
    const c = await consumer();
    await c.sync();
    host.files = before;
    await expect(c.sync()).rejects.toMatchObject({ code: "ROLLBACK", exitCode: 4 });
    expect(Object.keys(await c.verdicts("@alice/other"))).toEqual(["1.0.0"]);
  });
});

describe("H1 (sparse) hosts that do not say 404", () => {
  it.each([
    [200, "<!doctype html><title>Not found</title>"],
    [200, ""],
    [403, "<Error><Code>AccessDenied</Code></Error>"],
    [404, "{}"],
    [410, ""],
  ] as const)("H1 %i %s in a file's place is a missing file, named; other packages serve", async (status, body) => {
    const hidden = releasePath(HELLO, "1.1.0" as Version);
    const c = await consumer();
    await c.sync();
    host.intercept = (request, response) => {
      if (decodeURIComponent(request.url ?? "") !== `/${hidden}`) return false;
      response.writeHead(status, { "content-type": "text/html" }).end(body);
      return true;
    };
    await expect(c.read(HELLO)).rejects.toMatchObject({ code: "MISSING_FILE", file: hidden, step: "reading 6" });
    expect(await c.verdicts("@alice/other")).toEqual({ "1.0.0": "ok" });
    host.intercept = (_, response) => {
      response.writeHead(status, { "content-type": "text/html" }).end(body);
      return true;
    };
    const stranger = await consumer();
    await expect(stranger.sync()).rejects.toMatchObject({
      code: "NOT_AN_INDEX",
      message: expect.stringContaining("checkpoint.json is missing"),
    });
  });

  it("H1 a host that reads + as a space is asked for %2B, and works", async () => {
    host.intercept = (request) => {
      request.url = (request.url ?? "").replaceAll("+", " ");
      return false;
    };
    const c = await consumer();
    await c.sync();
    expect(await c.verdicts("@alice/other")).toEqual({ "1.0.0": "ok" });
  });

  it.each([500, 503, 429, 401])("a %i is no missing file: the host failed, and what was read before serves", async (status) => {
    const c = await consumer();
    await c.sync();
    await c.read(HELLO);
    rmSync(c.layout.documents, { recursive: true });
    host.intercept = (_, response) => {
      response.writeHead(status).end();
      return true;
    };
    const again = await c.again();
    expect((await again.read(HELLO)).fault).toMatchObject({ code: "UNREACHABLE" });
    expect(Object.keys(await again.verdicts(HELLO))).toHaveLength(3);
    await expect(again.sync()).rejects.toMatchObject({
      code: "UNREACHABLE",
      message: expect.stringContaining(`answered ${String(status)}`),
    });
  });
});

describe("C3 (sparse) the tree is replaced while it is read", () => {
  /** Reads everything of a stranger's first look, or of a reader who knows the old state. */
  const look = async (c: TestConsumer): Promise<readonly string[]> => {
    await c.sync();
    const versions = Object.keys(await c.verdicts(HELLO));
    const state = await c.reader().current();
    return [String(state?.roots.length), ...versions];
  };
  const OLD = ["1", "1.0.0"];
  const NEW = ["2", "1.0.0", "1.1.0", "1.1.0-Beta.1"];

  it.each([...Array(9).keys()])("C3 before request %i: the old state or the new one, never a mixture, and no error", async (n) => {
    host.files = before;
    host.intercept = (_request, _response, at) => {
      if (at >= n) host.files = after;
      return false;
    };
    const got = await look(await consumer());
    expect([OLD, NEW].map((state) => state.toSorted())).toContainEqual(got.toSorted());
    host.files = after;
    const c = await consumer();
    expect((await look(c)).toSorted()).toEqual(NEW.toSorted());
  });

  it.each([...Array(10).keys()])("C3 add and verify, too: before request %i", async (n) => {
    for (const words of [
      ["add", `${host.url}#${alice.id}`, "--yes"],
      ["verify", `${host.url}#${alice.id}`],
    ]) {
      const home = join(w.folder, `replaced-${String(++homes)}`);
      mkdirSync(home);
      let seen = 0;
      host.files = before;
      host.intercept = () => {
        if (seen++ === n) host.files = after;
        return false;
      };
      expect(await imprintIn({ home, cwd: home }, ...words)).toMatchObject({ exit: 0 });
    }
  });

  it.each([...Array(7).keys()])("C3 file by file, the checkpoint last, %i files before each request", async (step) => {
    const changed = [...after].filter(([file, bytes]) => Buffer.compare(bytes, before.get(file) ?? new Uint8Array()) !== 0);
    const order = changed.toSorted(([a], [b]) => Number(a === "checkpoint.json") - Number(b === "checkpoint.json"));
    host.files = before;
    host.intercept = (_request, _response, at) => {
      host.files = new Map([...before, ...order.slice(0, at * (step + 1))]);
      return false;
    };
    const c = await consumer();
    const got = await look(c).catch((error: unknown) => error);
    // An upload that is half done for as long as we look is no lie that we could tell from one: refused, never mixed.
    if (got instanceof Error) expect(got).toMatchObject({ code: expect.stringMatching(/^(MISSING_FILE|HASH_MISMATCH)$/) });
    host.intercept = null;
    host.files = after;
    expect((await look(c)).toSorted()).toEqual(NEW.toSorted());
  });
});

describe("T8, T9 limits (sparse)", () => {
  it("T9 one byte a second ends at the deadline, in the checkpoint and in a file", async () => {
    for (const slow of ["/checkpoint.json", "/trust/1.json"]) {
      host.intercept = (request, response) => {
        if (request.url !== slow) return false;
        response.writeHead(200);
        const timer = setInterval(() => response.write("{"), 100);
        response.once("close", () => clearInterval(timer));
        return true;
      };
      const started = performance.now();
      await expect(
        source()
          .open()
          .then((snapshot) => readState(snapshot, alice.id, null)),
      ).rejects.toMatchObject({ code: "TIMED_OUT" });
      expect(performance.now() - started).toBeLessThan(20_000);
    }
  });

  it("T8 a file without end is too large, named, at its cap", async () => {
    host.intercept = (request, response) => {
      if (decodeURIComponent(request.url ?? "") !== `/${RECORD}`) return false;
      response.writeHead(200);
      const timer = setInterval(() => response.writableNeedDrain || response.write(Buffer.alloc(1 << 20, "{")), 1);
      response.once("close", () => clearInterval(timer));
      return true;
    };
    const snapshot = await source({ deadlineMs: 20_000 }).open();
    const state = await readState(snapshot, alice.id, null);
    await expect(readPackage(snapshot, state, HELLO)).rejects.toMatchObject({ code: "TOO_LARGE", file: RECORD });
  });
});

describe("S1 where a host sends us", () => {
  const redirectTo = (location: string): void => {
    host.intercept = (request, response) => {
      if (request.url !== "/checkpoint.json") return false;
      response.writeHead(302, { location }).end();
      return true;
    };
  };

  it.each([
    "http://169.254.169.254/latest",
    "https://10.0.0.1/",
    "https://[::1]/",
    "http://host.example/",
    "https://user:pw@host.example/",
  ])("S1 a redirect to %s is not followed", async (location) => {
    redirectTo(location);
    const own = source({ allowPrivate: (name) => name === "127.0.0.1" });
    await expect(own.open()).rejects.toMatchObject({ code: "UNREACHABLE", message: expect.not.stringContaining("pw") });
  });

  it("S1 an address in a private range is asked only where it is allowed", async () => {
    await expect(source({ allowPrivate: false }).open()).rejects.toMatchObject({
      code: "UNREACHABLE",
      message: expect.stringContaining("IMPRINT_ALLOW_PRIVATE"),
    });
    const intranet = source({ allowPrivate: () => false, resolveHost: async () => ["10.1.2.3"] }, "sparse+https://index.corp.example/");
    await expect(intranet.open()).rejects.toMatchObject({ code: "UNREACHABLE", message: expect.stringContaining("private") });
    expect(host.asked).toEqual([]);
  });

  it("a redirect on the same host is followed", async () => {
    redirectTo(`http://127.0.0.1:${String(host.port)}/moved/checkpoint.json`);
    host.files = new Map([...after, ["moved/checkpoint.json", after.get("checkpoint.json") as Uint8Array]]);
    await expect(source().open()).resolves.toMatchObject({ at: expect.stringMatching(/^sparse:[0-9a-f]{64}$/) });
  });
});
