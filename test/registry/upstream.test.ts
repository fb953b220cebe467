/** The public registry as last source: passed on as it came, checked, and not believed where it lies. */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { openUpstreamClient } from "../../src/registry/upstream/client.ts";
import { UPSTREAM_TIMES } from "../../src/registry/upstream/times.ts";
import { freshMsOf } from "../../src/registry/upstream/transfer.ts";
import { createUpstream } from "../../src/registry/upstream/upstream.ts";
import type { Upstream } from "../../src/registry/port.ts";
import type { PackageName } from "../../src/format/names.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { makePackage } from "../support/tarball.ts";
import { ORIGIN, type TestConsumer, type World, world } from "../support/world.ts";

const ABBREVIATED = { accept: "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*" };

let w: World;
let c: TestConsumer;

beforeAll(async () => {
  w = await world();
  await w.upstream.publish("is-odd", "1.0.0");
  await w.upstream.publish("is-odd", "1.1.0");
  await w.upstream.publish("@types/node", "20.0.0");
});
beforeEach(async () => {
  w.upstream.up();
  w.upstream.intercept = null;
  w.upstream.requests.length = 0;
  c = await w.consumer();
});
afterAll(() => w.close());

/** Refused before its first byte, where it was small enough to be checked by then, or broken off before its last. */
async function neverFinishes(consumer: TestConsumer, path: string): Promise<void> {
  const answer = await consumer.get(path).catch(() => null);
  if (answer !== null) expect([answer.status, answer.json?.code]).toEqual([403, "TARBALL_MISMATCH"]);
}

describe("documents", () => {
  it("come as they are, but for the address of tarballs: signatures, time, attestations untouched", async () => {
    const original = w.upstream.packuments.get("is-odd");
    const { json, status } = await c.get("/is-odd");
    expect(status).toBe(200);
    const versions = Object.fromEntries(
      Object.entries(original?.versions ?? {}).map(([version, entry]) => [
        version,
        { ...entry, dist: { ...entry.dist, tarball: `${ORIGIN}/is-odd/-/is-odd-${version}.tgz` } },
      ]),
    );
    expect(json).toEqual({ ...original, versions });
  });

  it("are asked for once, and the full form stands in for the abbreviated one", async () => {
    for (let times = 0; times < 3; times++) {
      await c.get("/is-odd");
      await c.get("/is-odd/latest");
      await c.get("/is-odd/1.0.0");
      await c.get("/-/package/is-odd/dist-tags");
      await c.get("/is-odd", ABBREVIATED);
    }
    expect(w.upstream.requests.map(({ path }) => path)).toEqual(["/is-odd"]);
  });

  it("one flight for many requests at once", async () => {
    await Promise.all(Array.from({ length: 10 }, () => c.get("/is-odd")));
    expect(w.upstream.requests).toHaveLength(1);
  });

  it("a scope goes encoded, as registries want it", async () => {
    let raw = "";
    w.upstream.intercept = (request) => {
      raw = request.url ?? "";
      return false;
    };
    expect((await c.get("/@types/node")).status).toBe(200);
    expect(raw).toBe("/@types%2fnode");
  });

  it.each([
    ["a missing package", 404, 404, "NOT_FOUND"],
    ["a login that is wanted", 401, 403, "DENIED"],
    ["a package that is forbidden", 403, 403, "DENIED"],
    ["a failure", 500, 502, "UPSTREAM_FAILED"],
  ] as const)("%s: %i becomes %i %s", async (_, theirs, ours, code) => {
    w.upstream.intercept = (_request, response) => {
      response.writeHead(theirs, { "content-type": "application/json" }).end("{}");
      return true;
    };
    const { status, json } = await c.get("/no-such-package");
    expect([status, json.code]).toEqual([ours, code]);
  });

  it.each([
    ["HTML", "<!doctype html><title>Log in to the hotel</title>"],
    ["another package", JSON.stringify({ name: "is-even", versions: {}, "dist-tags": {} })],
    ["a list", "[]"],
    ["nothing", ""],
    ["deep nesting", "[".repeat(100_000)],
    ["no versions", JSON.stringify({ name: "fresh" })],
  ])("%s with status 200 is no answer", async (_, body) => {
    w.upstream.intercept = (_request, response) => {
      response.writeHead(200, { "content-type": "application/json" }).end(body);
      return true;
    };
    for (const path of ["/fresh", "/fresh/latest", "/fresh/-/fresh-1.0.0.tgz", "/-/package/fresh/dist-tags"]) {
      const { status, json } = await c.get(path);
      expect([path, status, json.code]).toEqual([path, 502, "UPSTREAM_FAILED"]);
    }
  });

  it("a name of every object is a name like any other", async () => {
    await w.upstream.publish("constructor", "1.0.0");
    expect((await c.get("/constructor")).json.name).toBe("constructor");
    expect((await c.get("/is-odd/constructor")).status).toBe(404);
    expect((await c.get("/is-odd/__proto__")).status).toBe(404);
  });

  it("__proto__ among the versions stays a key", async () => {
    w.upstream.intercept = (_request, response) => {
      response.end('{"name":"polluter","dist-tags":{},"versions":{"__proto__":{"polluted":true}}}');
      return true;
    };
    expect((await c.get("/polluter")).status).toBe(200);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

describe("stale", () => {
  /** An upstream whose clock the test turns. */
  async function aged(): Promise<{ upstream: Upstream; later: (ms?: number) => void }> {
    let now = 0;
    const times = { ...UPSTREAM_TIMES, deadMs: 0 };
    const client = openUpstreamClient({
      settings: async () => ({ registry: w.upstream.url, options: { fetchRetries: 0, noProxy: "127.0.0.1" } }),
      instance: "0".repeat(16),
      times,
    });
    const { upstream: folder } = (await w.consumer()).layout;
    return {
      upstream: createUpstream({ client, files: nodeFiles(), sealed: nodeFiles(), folder, nowMs: () => now, times }),
      later: (ms = 301_000) => void (now += ms),
    };
  }

  it("while upstream is down or talks nonsense the last good answer is served; a definite no is believed", async () => {
    const { upstream, later } = await aged();
    const name = "is-odd" as PackageName;
    const good = await upstream.packument(name, false, ORIGIN);
    w.upstream.down();
    later();
    expect((await upstream.packument(name, false, ORIGIN)).document.etag).toBe(good.document.etag);
    w.upstream.up();
    w.upstream.intercept = (_request, response) => response.writeHead(200).end("<html>log in</html>") !== undefined;
    for (let times = 0; times < 2; times++) {
      later();
      expect((await upstream.packument(name, false, ORIGIN)).document.etag).toBe(good.document.etag);
      expect(await upstream.version(name, "1.0.0", ORIGIN)).toMatchObject({ contentType: "application/json" });
    }
    w.upstream.intercept = (_request, response) => response.writeHead(404).end("{}") !== undefined;
    later();
    await expect(upstream.packument(name, false, ORIGIN)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("down from the start: 502 at once", async () => {
    w.upstream.down();
    const { status, json } = await c.get("/is-odd");
    expect([status, json.code]).toEqual([502, "UPSTREAM_FAILED"]);
  });

  it("news are taken up after five minutes where upstream says nothing, and an unchanged answer is not made again", async () => {
    const { upstream, later } = await aged();
    const name = "fast-moving" as PackageName;
    await w.upstream.publish(name, "1.0.0");
    const first = await upstream.packument(name, true, ORIGIN);
    later();
    expect((await upstream.packument(name, true, ORIGIN)).document).toBe(first.document);
    await w.upstream.publish(name, "1.1.0");
    later();
    expect((await upstream.packument(name, true, ORIGIN)).document.etag).not.toBe(first.document.etag);
  });

  const name = "cacheable" as PackageName;
  it.each([
    ["max-age=120", 119_000, 121_000],
    ["public, max-age=7200", 3_599_000, 3_601_000],
    ["s-maxage=9, MAX-AGE=60", 59_000, 61_000],
    ["private", 299_000, 301_000],
  ])("cache-control: %s is believed, for an hour at most", async (header, freshMs, staleMs) => {
    const { upstream, later } = await aged();
    const asked = await askedWith(header, upstream);
    expect(asked()).toBe(1);
    later(freshMs);
    await upstream.packument(name, true, ORIGIN);
    expect(asked()).toBe(1);
    later(staleMs - freshMs);
    await upstream.packument(name, true, ORIGIN);
    expect(asked()).toBe(2);
  });

  it("no-cache, and an age that a cache on the way gave it, leave nothing of it", async () => {
    for (const header of ["no-cache", "max-age=0", "no-store, max-age=300"]) {
      const { upstream } = await aged();
      const asked = await askedWith(header, upstream);
      await upstream.packument(name, true, ORIGIN);
      expect([header, asked()]).toEqual([header, 2]);
    }
    expect(freshMsOf({ "cache-control": "max-age=300", age: "290" })).toBe(10_000);
    expect(freshMsOf({ "cache-control": "max-age=300", age: "900" })).toBe(0);
    expect(freshMsOf({ "cache-control": "max-age=-1" })).toBeNull();
    expect(freshMsOf({})).toBeNull();
  });

  it("an upstream without ETags costs a download, and no second rewrite of equal bytes", async () => {
    const { upstream, later } = await aged();
    const asked = await askedWith(null, upstream);
    const before = await upstream.packument(name, true, ORIGIN);
    later();
    const after = await upstream.packument(name, true, ORIGIN);
    expect(asked()).toBe(2);
    expect(after.document).toBe(before.document);
  });

  /** Upstream with this header and no ETag, asked once. @returns how often it was asked */
  async function askedWith(header: string | null, upstream: Upstream): Promise<() => number> {
    let count = 0;
    await w.upstream.publish(name, "1.0.0");
    const body = JSON.stringify(w.upstream.packuments.get(name));
    w.upstream.intercept = (_request, response) => {
      count++;
      response.writeHead(200, { "content-type": "application/json", ...(header === null ? {} : { "cache-control": header }) }).end(body);
      return true;
    };
    onTestFinished(() => void (w.upstream.intercept = null));
    await upstream.packument(name, true, ORIGIN);
    return () => count;
  }
});

describe("tarballs", () => {
  it("come whole, with their length", async () => {
    const { status, headers, bytes } = await c.get("/is-odd/-/is-odd-1.0.0.tgz");
    expect(status).toBe(200);
    expect(headers.get("content-length")).toBe(String(bytes.byteLength));
    expect(headers.get("content-encoding")).toBeNull();
    expect(Buffer.from(bytes).equals(Buffer.from(w.upstream.tarballs.get("/is-odd/-/is-odd-1.0.0.tgz") as Uint8Array))).toBe(true);
  });

  it.each([
    ["small", 100],
    ["large", 3_000_000],
  ])("a %s one with another integrity never finishes, nor enters the cache", async (size, padding) => {
    const name = `liar-${size}`;
    await w.upstream.publish(name, "1.0.0", { files: { "pad.bin": new Uint8Array(padding).map((_, i) => (i * 7919) >> 3) } });
    const other = await makePackage({ name, version: "1.0.0" }, { "pad.bin": new Uint8Array(padding).map((_, i) => (i * 104_729) >> 5) });
    w.upstream.tarballs.set(`/${name}/-/${name}-1.0.0.tgz`, other);
    for (let times = 0; times < 2; times++) {
      await neverFinishes(c, `/${name}/-/${name}-1.0.0.tgz`);
    }
    expect(w.upstream.requests.filter(({ path }) => path.endsWith(".tgz"))).toHaveLength(2);
    const sha512 = createHash("sha512").update(other).digest("hex");
    const cached = readdirSync(c.layout.upstream, { recursive: true }).map(String);
    expect(cached.some((path) => path.replaceAll("/", "").includes(sha512.slice(4)))).toBe(false);
  });

  it("with sha1 only, as old ones have it, are checked by that", async () => {
    await w.upstream.publish("ancient", "0.0.1", { edit: ({ dist }) => void delete dist.integrity });
    expect((await c.get("/ancient/-/ancient-0.0.1.tgz")).status).toBe(200);
    await w.upstream.publish("ancient", "0.0.2", {
      edit: ({ dist }) => {
        delete dist.integrity;
        dist.shasum = "0".repeat(40);
      },
    });
    const fresh = await w.consumer();
    await neverFinishes(fresh, "/ancient/-/ancient-0.0.2.tgz");
  });

  it("without any hash are not served", async () => {
    await w.upstream.publish("bare", "1.0.0", {
      edit: ({ dist }) => {
        delete dist.integrity;
        delete dist.shasum;
      },
    });
    const { status } = await c.get("/bare/-/bare-1.0.0.tgz");
    expect(status).toBe(404);
    expect(w.upstream.requests.some(({ path }) => path.endsWith(".tgz"))).toBe(false);
  });

  it("in a content encoding have the length of what comes out", async () => {
    const bytes = await w.upstream.publish("wrapped", "1.0.0");
    w.upstream.intercept = (request, response) => {
      if (!(request.url ?? "").endsWith(".tgz")) return false;
      const body = gzipSync(bytes);
      response.writeHead(200, { "content-encoding": "gzip", "content-length": body.byteLength }).end(body);
      return true;
    };
    const answer = await c.get("/wrapped/-/wrapped-1.0.0.tgz");
    expect(answer.headers.get("content-length")).toBe(String(bytes.byteLength));
    expect(answer.headers.get("content-encoding")).toBeNull();
    expect(Buffer.from(answer.bytes).equals(Buffer.from(bytes))).toBe(true);
  });

  it("without a length are counted first", async () => {
    const bytes = await w.upstream.publish("chunked", "1.0.0");
    w.upstream.intercept = (request, response) => {
      if (!(request.url ?? "").endsWith(".tgz")) return false;
      response.write(bytes.subarray(0, 10));
      response.end(bytes.subarray(10));
      return true;
    };
    expect((await c.get("/chunked/-/chunked-1.0.0.tgz")).headers.get("content-length")).toBe(String(bytes.byteLength));
  });

  it("that their version does not name are not found, whatever the address looks like", async () => {
    for (const file of ["is-odd-9.9.9.tgz", "is-even-1.0.0.tgz", "..%2f..%2fetc%2fpasswd", "is-odd-1.0.0.tgz%00"])
      expect((await c.get(`/is-odd/-/${file}`)).status).toBe(404);
    expect(w.upstream.requests.some(({ path }) => path.includes("/-/"))).toBe(false);
  });

  it("with an address that is no web address are not fetched", async () => {
    await w.upstream.publish("filed", "1.0.0", { edit: ({ dist }) => void (dist.tarball = "file:///etc/passwd") });
    expect((await c.get("/filed/-/filed-1.0.0.tgz")).status).toBe(404);
  });

  it("a HEAD, or a client that leaves, ends the download behind it", async () => {
    // never ends by itself
    let gone = 0;
    await w.upstream.publish("endless", "1.0.0");
    w.upstream.intercept = (request, response) => {
      if (!(request.url ?? "").endsWith(".tgz")) return false;
      response.writeHead(200, { "content-length": 100_000_000 });
      response.write(Buffer.alloc(100_000));
      response.once("close", () => gone++);
      return true;
    };
    const head = await c.get("/endless/-/endless-1.0.0.tgz", {}, "HEAD");
    expect([head.status, head.bytes.byteLength, head.headers.get("content-length")]).toEqual([200, 0, "100000000"]);
    const response = await c.app.request(`${ORIGIN}/endless/-/endless-1.0.0.tgz`, { headers: { host: new URL(ORIGIN).host } });
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    for (let tries = 0; gone < 2 && tries < 1000; tries++) await delay(50);
    expect(gone).toBe(2);
  });
});
