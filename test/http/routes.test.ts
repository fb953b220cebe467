/** Every spelling of a path, every route, every header that clients care about. */
import { once } from "node:events";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import type { Server } from "node:http";
import { gunzipSync } from "node:zlib";
import { createAdaptorServer } from "@hono/node-server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { releasePath } from "../../src/format/paths.ts";
import type { PackageName } from "../../src/format/names.ts";
import type { Version } from "../../src/format/versions.ts";
import { parseRegistryPath } from "../../src/http/path.ts";
import { type Files, nodeFiles } from "../../src/storage/files.ts";
import { commitHosted, testGit } from "../support/git-host.ts";
import { type LooseJson, ORIGIN, type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

const ABBREVIATED = "application/vnd.npm.install-v1+json";

let w: World;
let s: TestIndex;
let c: TestConsumer;
let tarball: Uint8Array;
/** Files of the consumer that are open now. */
let open = 0;

function countingFiles(): Files {
  const inner = nodeFiles();
  return {
    ...inner,
    async open(path) {
      const file = await inner.open(path);
      if (file === null) return null;
      open++;
      return {
        ...file,
        close: async () => {
          open--;
          await file.close();
        },
      };
    },
  };
}

beforeAll(async () => {
  w = await world();
  s = await w.index("s");
  await s.publish("@s/p", "1.0.0", {
    packageJson: { dependencies: { react: "^19.0.0" }, bin: "cli.js", keywords: ["x"], scripts: { postinstall: "node x" } },
  });
  tarball = await s.publish("@s/p", "1.1.0", { packageJson: { description: "a package ".repeat(100), license: "MIT" } });
  await s.publish("@s/p", "2.0.0-rc.1", { tag: "next" });
  await s.publish("@s/broken", "1.0.0");
  await s.flip(releasePath("@s/broken" as PackageName, "1.0.0" as Version));
  await w.upstream.publish("plain", "1.0.0");
  c = await w.consumer({ indices: { s: { index: s } }, files: countingFiles(), syncAfterMs: 600_000 });
  await c.get("/@s/p");
});
afterAll(() => w.close());

const SPELLINGS = ["/@s%2fp", "/@s%2Fp", "/@s/p", "/%40s%2fp", "/%40s/p", "//@s/p", "/@s/p/"];

describe("spellings × routes", () => {
  for (const spelling of SPELLINGS) {
    const at = (rest: string): string => `${spelling.replace(/\/$/, "")}${rest}`;
    it.each([
      ["packument", spelling, (json: LooseJson) => json.name, "@s/p"],
      ["version", at("/1.0.0"), (json: LooseJson) => json.version, "1.0.0"],
      ["tag", at("/latest"), (json: LooseJson) => json.version, "1.1.0"],
      ["other tag", at("/next"), (json: LooseJson) => json.version, "2.0.0-rc.1"],
      ["dist-tags", `/-/package${at("/dist-tags").replace("//", "/")}`, (json: LooseJson) => json, { latest: "1.1.0", next: "2.0.0-rc.1" }],
    ])(`${spelling}: %s`, async (_, path, pick, expected) => {
      const { status, json } = await c.get(path);
      expect([status, json === null ? null : pick(json)]).toEqual([200, expected]);
    });

    it(`${spelling}: tarball, as npm and as yarn 1 and bun write it`, async () => {
      for (const path of [at("/-/p-1.1.0.tgz"), at("/-/@s/p-1.1.0.tgz")]) {
        const { status, bytes } = await c.get(path);
        expect([path, status, bytes.byteLength]).toEqual([path, 200, tarball.byteLength]);
      }
    });
  }

  it("plain names, ping and home", async () => {
    expect((await c.get("/plain")).json.name).toBe("plain");
    expect((await c.get("/plain/latest")).json.version).toBe("1.0.0");
    expect((await c.get("/-/package/plain/dist-tags")).json).toEqual({ latest: "1.0.0" });
    expect((await c.get("/-/ping")).json).toEqual({});
    expect((await c.get("/")).json).toEqual({ imprint: "0.0.0-test" });
    expect((await c.get("/-/v1/search?text=@s/p")).json).toMatchObject({
      total: 1,
      objects: [{ package: { name: "@s/p", version: "1.1.0" } }],
    });
    expect((await c.get("/-/v1/search/more?text=x")).status).toBe(404);
    expect((await c.get("/-/v1/login")).status).toBe(404);
    expect((await c.get("/@s/p/1.0.0/extra")).status).toBe(404);
    expect((await c.get("/@s/p/-/p-1.1.0.tgz/extra")).status).toBe(404);
    expect((await c.get("/@s/p/-/@other/p-1.1.0.tgz")).status).toBe(404);
  });
});

describe("documents", () => {
  it("full and abbreviated, by Accept", async () => {
    const full = await c.get("/@s%2fp");
    const short = await c.get("/@s%2fp", { accept: `${ABBREVIATED}; q=1.0, application/json; q=0.8, */*` });
    expect(full.headers.get("content-type")).toBe("application/json");
    expect(short.headers.get("content-type")).toBe(ABBREVIATED);
    expect(full.json.versions["1.0.0"]).toMatchObject({
      _id: "@s/p@1.0.0",
      dependencies: { react: "^19.0.0" },
      bin: { p: "cli.js" },
      hasInstallScript: true,
      keywords: ["x"],
      maintainers: [{ name: "s" }],
    });
    expect(short.json.versions["1.0.0"]).toMatchObject({
      dependencies: { react: "^19.0.0" },
      bin: { p: "cli.js" },
      hasInstallScript: true,
    });
    expect(short.json.versions["1.0.0"].keywords).toBeUndefined();
    for (const { json } of [full, short]) expect(Object.keys(json.versions)).toEqual(["1.0.0", "1.1.0", "2.0.0-rc.1"]);
    expect(full.headers.get("vary")).toMatch(/accept/i);
  });

  it("time, modified and latest", async () => {
    const { json } = await c.get("/@s%2fp");
    const short = (await c.get("/@s%2fp", { accept: ABBREVIATED })).json;
    const published = (await s.release("@s/p", "2.0.0-rc.1")).doc.published;
    expect(json["dist-tags"]).toEqual({ latest: "1.1.0", next: "2.0.0-rc.1" });
    expect(json.time.modified).toBe(published);
    expect(json.time["2.0.0-rc.1"]).toBe(published);
    expect(json.time.created).toBe(json.time["1.0.0"]);
    expect(short.modified).toBe(published);
  });

  it("dist names the hashes that were signed, and the tarball on the request's own origin", async () => {
    const { doc } = await s.release("@s/p", "1.1.0");
    const { dist } = (await c.get("/@s%2fp")).json.versions["1.1.0"];
    expect(dist).toMatchObject({
      integrity: doc.dist.integrity,
      shasum: doc.dist.shasum,
      fileCount: doc.dist.fileCount,
      unpackedSize: doc.dist.unpackedSize,
      tarball: `${ORIGIN}/@s/p/-/p-1.1.0.tgz`,
    });
    expect((await c.get(new URL(dist.tarball).pathname)).status).toBe(200);
  });

  it("ETag and 304; another document has another", async () => {
    const { headers } = await c.get("/@s%2fp");
    const etag = headers.get("etag") ?? "";
    expect(etag).toMatch(/^"[A-Za-z0-9_-]{27}"$/);
    for (const given of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      const again = await c.get("/@s%2fp", { "if-none-match": given });
      expect([given, again.status, again.bytes.byteLength, again.headers.get("etag")]).toEqual([given, 304, 0, etag]);
    }
    expect((await c.get("/@s%2fp", { "if-none-match": '"other"' })).status).toBe(200);
    expect((await c.get("/@s%2fp", { accept: ABBREVIATED })).headers.get("etag")).not.toBe(etag);
    expect((await c.get("/@s%2fp", { "if-none-match": etag }, "HEAD")).status).toBe(304);
  });

  it("gzip where it is wanted, identity where it is not", async () => {
    const plain = await c.get("/@s%2fp");
    expect(plain.headers.get("content-encoding")).toBeNull();
    for (const accept of ["gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8"]) {
      const zipped = await c.get("/@s%2fp", { "accept-encoding": accept });
      expect([accept, zipped.headers.get("content-encoding")]).toEqual([accept, "gzip"]);
      expect(zipped.headers.get("content-length")).toBe(String(zipped.bytes.byteLength));
      expect(gunzipSync(zipped.bytes).equals(Buffer.from(plain.bytes))).toBe(true);
    }
    for (const accept of ["identity", "gzip;q=0", "br", ""])
      expect((await c.get("/@s%2fp", { "accept-encoding": accept })).headers.get("content-encoding")).toBeNull();
  });
});

describe("HEAD", () => {
  it.each([
    "/@s%2fp",
    "/@s/p/latest",
    "/-/package/@s%2fp/dist-tags",
    "/@s/p/-/p-1.1.0.tgz",
    "/@s/p/-/p-9.9.9.tgz",
    "/plain",
    "/plain/-/plain-1.0.0.tgz",
    "/-/ping",
  ])("%s: no body, the headers of GET", async (path) => {
    const [get, head] = [await c.get(path), await c.get(path, {}, "HEAD")];
    expect([head.status, head.bytes.byteLength]).toEqual([get.status, 0]);
    for (const name of ["content-type", "content-length", "etag", "cache-control"])
      expect([name, head.headers.get(name)]).toEqual([name, get.headers.get(name)]);
  });

  it("no file stays open: after HEAD, after GET, after a client that leaves", async () => {
    for (let times = 0; times < 20; times++) expect((await c.get("/@s/p/-/p-1.1.0.tgz", {}, "HEAD")).status).toBe(200);
    await c.get("/@s/p/-/p-1.1.0.tgz");
    const left = await c.app.request(`${ORIGIN}/@s/p/-/p-1.1.0.tgz`, { headers: { host: new URL(ORIGIN).host } });
    await left.body?.cancel();
    expect(open).toBe(0);
  });
});

describe("tarballs", () => {
  it("Content-Length, no Content-Encoding, kept for ever, the signed bytes", async () => {
    const { headers, bytes } = await c.get("/@s/p/-/p-1.1.0.tgz", { "accept-encoding": "gzip" });
    expect(headers.get("content-length")).toBe(String(tarball.byteLength));
    expect(headers.get("content-encoding")).toBeNull();
    expect(headers.get("cache-control")).toMatch(/immutable/);
    expect(Buffer.from(bytes).equals(Buffer.from(tarball))).toBe(true);
  });

  it("B2 replaced on the host: 403, no byte served; withheld: 403; mended: served", async () => {
    const index = await w.index("b");
    const bytes = await index.publish("@b/x", "1.0.0");
    const ref = testGit(index.gitDir, ["for-each-ref", "--format=%(refname)", "refs/tarballs"]);
    const honest = testGit(index.gitDir, ["rev-parse", ref]);
    const b = await w.consumer({ indices: { b: { index } } });
    for (const lie of [Buffer.from("x"), Buffer.concat([bytes, Buffer.from("more")]), Buffer.from(bytes).reverse()]) {
      commitHosted(index.gitDir, { "package.tgz": lie }, { ref });
      const { status, json } = await b.get("/@b/x/-/x-1.0.0.tgz");
      expect([status, json.code]).toEqual([403, "TARBALL_MISMATCH"]);
    }
    testGit(index.gitDir, ["update-ref", "-d", ref]);
    expect((await b.get("/@b/x/-/x-1.0.0.tgz")).json.code).toBe("MISSING_FILE");
    testGit(index.gitDir, ["update-ref", ref, honest]);
    expect((await b.get("/@b/x/-/x-1.0.0.tgz")).status).toBe(200);
  });

  it("of a yanked release are served, of a withdrawn one not; neither is in packuments", async () => {
    const index = await w.index("y");
    for (const version of ["1.0.0", "1.1.0", "1.2.0"]) await index.publish("@y/x", version);
    await index.amend("@y/x", ({ releases }) => ({
      yanked: new Map([["1.1.0" as Version, "slow"]]),
      deprecated: new Map([["1.0.0" as Version, "use 1.2"]]),
      withdrawn: new Map([["1.2.0" as Version, "stolen key"]]),
      releases: new Map([...releases].filter(([version]) => version !== "1.2.0")),
      tags: new Map([
        ["latest" as never, "1.1.0" as Version],
        ["old" as never, "1.0.0" as Version],
      ]),
    }));
    const y = await w.consumer({ indices: { y: { index } } });
    const { json } = await y.get("/@y/x");
    expect(Object.keys(json.versions)).toEqual(["1.0.0"]);
    expect(json.versions["1.0.0"].deprecated).toBe("use 1.2");
    expect(Object.values(json["dist-tags"])).toEqual(["1.0.0"]);
    expect((await y.get("/@y/x/-/x-1.1.0.tgz")).status).toBe(200);
    expect((await y.get("/@y/x/-/x-1.2.0.tgz")).json).toMatchObject({
      code: "RELEASE_REFUSED",
      error: expect.stringContaining("stolen key"),
    });
  });
});

describe("refusals", () => {
  it.each([
    ["/@s/missing", 404, "NOT_FOUND"],
    ["/@s/p/9.9.9", 404, "NOT_FOUND"],
    ["/@s/p/-/p-9.9.9.tgz", 404, "NOT_FOUND"],
    ["/@s/broken", 403, "HASH_MISMATCH"],
    ["/no-such-name", 404, "NOT_FOUND"],
    ["/.hidden", 400, "INVALID_NAME"],
  ])("%s: %i in one line with %s and imprint why", async (path, status, code) => {
    const answer = await c.get(path);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const why = code === "INVALID_NAME" ? "" : "; run: imprint why \\S+";
    expect(answer.json.error).toMatch(new RegExp(`^[^\\n]+ \\(${code}\\)${why}$`));
  });

  it("503 with retry-after", async () => {
    const index = await w.index("late");
    index.down();
    const late = await w.consumer({ indices: { late: { index } } });
    const { status, headers, json } = await late.get("/@late/x");
    expect([status, headers.get("retry-after"), json.code]).toEqual([503, "1", "NEVER_SYNCED"]);
    expect(json.error).toMatch(/^@late\/x: .*\(NEVER_SYNCED\); run: imprint why @late\/x$/);
  });

  it.each([
    [
      "PUT",
      "/@s%2fp",
      403,
      /^@s\/p: this registry only reads; imprint publish in the package's folder; imprint deprecate '@s\/p@<version>'/,
    ],
    ["PUT", "/@s%2fp/-rev/1-x", 403, /imprint yank/],
    ["DELETE", "/@s%2fp/-rev/1-x", 403, /imprint yank .*imprint withdraw/],
    ["DELETE", "/@s/p/-/p-1.0.0.tgz/-rev/1-x", 403, /imprint yank/],
    ["PUT", "/-/package/@s%2fp/dist-tags/beta", 403, /^@s\/p: .*imprint tag add @s\/p@<version> <tag>$/],
    ["DELETE", "/-/package/@s%2fp/dist-tags/beta", 403, /imprint tag rm @s\/p <tag>$/],
    ["POST", "/-/v1/login", 501, /no accounts and no logins/],
    ["PUT", "/-/user/org.couchdb.user:x", 501, /no accounts and no logins/],
    ["POST", "/-/npm/v1/tokens", 501, /no accounts and no logins/],
    ["POST", "/", 403, /imprint publish, yank, deprecate and tag/],
    ["PATCH", "/x", 403, /only reads/],
    ["OPTIONS", "/@s%2fp", 403, /only reads/],
  ])("%s %s is refused with %i at once, and says what there is instead", async (method, path, status, words) => {
    const answer = await c.get(path, {}, method);
    expect([answer.status, answer.json.error]).toEqual([status, expect.stringMatching(words)]);
    expect(answer.json.error).not.toContain("-rev");
  });

  it("a browser's question for an icon is a plain 404", async () => {
    expect((await c.get("/favicon.ico")).status).toBe(404);
  });

  it.each([
    "/%00",
    "/a%00b",
    "/@s%2f..%2fp",
    "/..%2f..%2fetc%2fpasswd",
    "/%252e%252e",
    "/@s%252fp",
    "/@s%2fp%2f..%2f..",
    "/a%2fb%2fc",
    "/%",
    "/%zz",
    "/@s/%ff",
    "/%E2%80%AEevil",
    `/${"a".repeat(100_000)}`,
    `/@s/p/${"1".repeat(3000)}`,
  ])("%.40s is a bad request, and nobody is asked", async (path) => {
    w.upstream.requests.length = 0;
    const { status, json } = await c.get(path);
    expect(status).toBe(400);
    expect(json.error.length).toBeLessThan(1000);
    // eslint-disable-next-line no-control-regex
    expect(json.error).not.toMatch(/[\u0000-\u001f\u202e]/);
    expect(w.upstream.requests).toEqual([]);
  });

  it("dots within a name or a version are what they are", () => {
    expect(parseRegistryPath("/a..b")).toEqual({ kind: "packument", name: "a..b" });
    expect(parseRegistryPath("/a/..")).toEqual({ kind: "version", name: "a", versionOrTag: ".." });
    expect(() => parseRegistryPath("/../a")).toThrow(expect.objectContaining({ code: "INVALID_NAME" }));
  });
});

describe("S2 hosts", () => {
  it.each([
    "evil.example",
    "evil.example:4870",
    "127.0.0.1",
    "127.0.0.1:80",
    "127.0.0.1:4870.evil.example",
    "localhost.evil.example:4870",
    "",
    "[::ffff:127.0.0.1]:4870",
  ])("S2 Host: %s is not served", async (host) => {
    for (const path of ["/@s%2fp", "/~0123456789abcdef0123/@s%2fp", "/-/ping", "/"]) {
      const { status, json } = await c.get(path, { host });
      expect([path, status, Object.keys(json)]).toEqual([path, 403, ["error"]]);
    }
  });

  it("S7 10,000 of them leave nothing behind", async () => {
    const before = c.told.length;
    for (let i = 0; i < 10_000; i++)
      expect((await c.app.request(`${ORIGIN}/@s%2fp`, { headers: { host: `h${String(i)}.example` } })).status).toBe(403);
    expect(c.told.length).toBe(before);
  });
});

describe("over a socket, where no client tidies up the path", () => {
  let server: Server;
  let port: number;
  beforeAll(async () => {
    server = createAdaptorServer({ fetch: c.app.fetch }) as Server;
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
  });
  afterAll(() => void server.close());

  async function raw(path: string): Promise<string> {
    const socket = connect(port, "127.0.0.1");
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${new URL(ORIGIN).host}\r\nConnection: close\r\n\r\n`);
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
    await once(socket, "close");
    return text;
  }

  it.each([
    "/../../etc/passwd",
    "/@s/../../x",
    "/%2e%2e/%2e%2e/x",
    "/@s/p/..%2f..",
    "//evil.example/x",
    "http://evil.example/x",
    "/\\..\\x",
    "/@s/p/\\",
    "/?",
    "/#",
  ])("%s is answered calmly, and upstream sees no odd path", async (path) => {
    w.upstream.requests.length = 0;
    const answer = await raw(path);
    expect(answer).toMatch(/^HTTP\/1\.1 (200|400|403|404) /);
    for (const { path: asked } of w.upstream.requests) expect(asked).toMatch(/^\/[a-z@][^/\\]*(\/[^/\\]+)?$/);
  });

  it("a packument as a client gets it", async () => {
    expect(await raw("/@s%2fp")).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*"name":"@s\/p"/);
  });
});
