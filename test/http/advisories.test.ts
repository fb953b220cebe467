/** The one POST: advisories, from clients that may be anybody, to an upstream that must not learn private names. */
import { once } from "node:events";
import type { IncomingMessage, ServerResponse, Server } from "node:http";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { brotliCompressSync, deflateSync, gunzipSync, gzipSync } from "node:zlib";
import { createAdaptorServer } from "@hono/node-server";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Answer, ORIGIN, type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

const BULK = "/-/npm/v1/security/advisories/bulk";
const QUICK = "/-/npm/v1/security/audits/quick";
const FULL = "/-/npm/v1/security/audits";
const FOUND = { lodash: [{ id: 1, title: "Bad", severity: "high", vulnerable_versions: "<5", url: "https://x.example/1" }] };
const JSON_TYPE = { "content-type": "application/json" };

let w: World;
let alice: TestIndex;
let c: TestConsumer;
/** Bodies of POSTs that upstream got. */
let sent: { readonly path: string; readonly body: string; readonly headers: IncomingMessage["headers"] }[] = [];

function answering(respond: (response: ServerResponse) => void): void {
  w.upstream.intercept = (request, response) => {
    if (request.method !== "POST") return false;
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      sent.push({ path: request.url ?? "", body: Buffer.concat(chunks).toString("utf8"), headers: request.headers });
      respond(response);
    });
    return true;
  };
}

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish("@alice/foo", "1.0.0");
  await w.upstream.publish("lodash", "4.0.0");
});
beforeEach(async () => {
  sent = [];
  w.upstream.up();
  w.upstream.requests.length = 0;
  answering((response) => response.writeHead(200, JSON_TYPE).end(JSON.stringify(FOUND)));
  c = await w.consumer({
    indices: { alice: { index: alice } },
    upstream: { deny: ["@corp/*"] },
    bodyLimits: { maxSentBytes: 20_000, maxBytes: 200_000 },
  });
});
afterAll(() => w.close());

const post = (body: Uint8Array | string, headers: Readonly<Record<string, string>> = {}, path = BULK): Promise<Answer> =>
  c.get(path, { ...JSON_TYPE, ...headers }, "POST", body);

const BODY = JSON.stringify({ lodash: ["4.0.0"], "@alice/foo": ["1.0.0"], "@corp/x": ["1.0.0"] });

describe("bodies", () => {
  it.each([
    ["plain", BODY, {}],
    ["gzip", gzipSync(BODY), { "content-encoding": "gzip" }],
    ["x-gzip", gzipSync(BODY), { "content-encoding": "x-gzip" }],
    ["br", brotliCompressSync(BODY), { "content-encoding": "br" }],
    ["deflate", deflateSync(BODY), { "content-encoding": "deflate" }],
    ["identity", BODY, { "content-encoding": "identity" }],
  ])("X6 %s: upstream gets the public names alone, and its answer is passed on", async (_, body, headers) => {
    const { status, json } = await post(body, headers);
    expect([status, json]).toEqual([200, FOUND]);
    expect(sent.map(({ path, body: text }) => [path, JSON.parse(text)])).toEqual([[BULK, { lodash: ["4.0.0"] }]]);
  });

  it("X6 the older endpoints, too", async () => {
    const lock = {
      name: "@alice/app",
      requires: { lodash: "^4.0.0" },
      dependencies: { lodash: { version: "4.0.0" }, "@alice/foo": { version: "1.0.0" } },
    };
    for (const path of [QUICK, FULL])
      expect((await post(gzipSync(JSON.stringify(lock)), { "content-encoding": "gzip" }, path)).json).toEqual(FOUND);
    expect(sent.map(({ path }) => path)).toEqual([QUICK, FULL]);
    for (const { body } of sent) expect(body).not.toContain("alice");
  });

  it("X6 nothing left: answered here, and nobody is asked", async () => {
    expect((await post(JSON.stringify({ "@alice/foo": ["1.0.0"], "@corp/x": ["1.0.0"] }))).json).toEqual({});
    expect((await post("{}")).json).toEqual({});
    const quick = await post(JSON.stringify({ dependencies: { "@alice/foo": { version: "1.0.0" } } }), {}, QUICK);
    expect(quick.json.metadata.vulnerabilities).toEqual({ info: 0, low: 0, moderate: 0, high: 0, critical: 0 });
    expect(w.upstream.requests).toEqual([]);
  });

  it.each([
    ["a bomb", gzipSync(Buffer.alloc(10_000_000, " ")), { "content-encoding": "gzip" }, /inflates to more than/],
    ["a brotli bomb", brotliCompressSync(Buffer.alloc(10_000_000, " ")), { "content-encoding": "br" }, /inflates to more than/],
    ["too much", `{"x":["${"1".repeat(30_000)}"]}`, {}, /30008 bytes|more than/],
    ["too much, announced", "{}", { "content-length": "100000000" }, /100000000 bytes/],
    ["another encoding than it says", "{}", { "content-encoding": "gzip" }, /not encoded as its header says/],
    ["cut in its encoding", gzipSync(BODY).subarray(0, 30), { "content-encoding": "gzip" }, /not encoded as its header says/],
    ["an encoding that nobody knows", "{}", { "content-encoding": "zstd" }, /encoding is not known/],
    ["two encodings", gzipSync(gzipSync(BODY)), { "content-encoding": "gzip, gzip" }, /encoding is not known/],
    ["no JSON", "<html>", {}, /not JSON/],
    ["half of it", '{"lodash":["4', {}, /not JSON/],
    ["nothing", "", {}, /not JSON/],
    ["a list", "[]", {}, /no JSON object/],
    ["deep nesting", "[".repeat(15_000), {}, /nested deeper/],
    ["no UTF-8", new Uint8Array([0x22, 0xff, 0x22]), {}, /not UTF-8/],
  ])("%s: 400, and nobody is asked", async (_, body, headers, reason) => {
    const { status, json } = await post(body, headers);
    expect([status, json.code]).toEqual([400, "BAD_REQUEST"]);
    expect(json.error).toMatch(reason);
    expect(json.error).not.toContain("\n");
    expect(sent).toEqual([]);
  });
});

describe("over a socket", () => {
  let server: Server;
  beforeAll(async () => {
    const patient = await w.consumer({ bodyLimits: { deadlineMs: 300, maxSentBytes: 20_000 } });
    server = createAdaptorServer({ fetch: patient.app.fetch }) as Server;
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  async function raw(head: string, write: (send: (text: string) => void) => void): Promise<string> {
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write(`POST ${BULK} HTTP/1.1\r\nHost: ${new URL(ORIGIN).host}\r\nContent-Type: application/json\r\n${head}\r\n\r\n`);
    write((text) => void (socket.destroyed || socket.write(text)));
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("\r\n\r\n")) setTimeout(() => socket.destroy(), 100);
    });
    await once(socket, "close");
    return text;
  }

  it("a body that never ends is ended by a deadline", async () => {
    const begun = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const answer = await raw("Transfer-Encoding: chunked", (send) => (timer = setInterval(() => send("1\r\n \r\n"), 20)));
    clearInterval(timer);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toMatch(/did not end in time/);
    expect(performance.now() - begun).toBeLessThan(20_000);
  });

  it("a body that never comes, too", async () => {
    expect(await raw("Content-Length: 10", () => undefined)).toMatch(/^HTTP\/1\.1 400 [\s\S]*did not end in time/);
  });

  it("a body that is more than it may be is cut at the cap", async () => {
    let total = 0;
    let timer: NodeJS.Timeout | undefined;
    const chunk = " ".repeat(10_000);
    const answer = await raw("Transfer-Encoding: chunked", (send) => {
      timer = setInterval(() => {
        total += chunk.length;
        send(`2710\r\n${chunk}\r\n`);
      }, 5);
    });
    clearInterval(timer);
    expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*more than 20000 bytes/);
    expect(total).toBeLessThan(1_000_000);
  });
});

describe("S2 pages on the web", () => {
  it.each([
    ["an Origin", { ...JSON_TYPE, origin: "https://evil.example" }],
    ["an Origin that is null", { ...JSON_TYPE, origin: "null" }],
    ["our own address as Origin", { ...JSON_TYPE, origin: ORIGIN }],
    ["a browser's own word", { ...JSON_TYPE, "sec-fetch-site": "cross-site" }],
    ["a form", { "content-type": "application/x-www-form-urlencoded" }],
    ["text", { "content-type": "text/plain;charset=UTF-8" }],
    ["a multipart form", { "content-type": "multipart/form-data; boundary=x" }],
    ["JSON that pretends to be text", { "content-type": "text/plain; application/json" }],
    ["no content type", {}],
  ])("S2 with %s: 403, and nobody is asked", async (_, headers: Readonly<Record<string, string>>) => {
    // A Blob without a type, because text would bring one.
    const response = await c.app.request(`${ORIGIN}${BULK}`, {
      method: "POST",
      headers: { host: new URL(ORIGIN).host, ...headers },
      body: Buffer.from(BODY),
    });
    expect(response.status).toBe(403);
    expect(sent).toEqual([]);
  });

  it("S2 asking first whether one may is no way in", async () => {
    const headers = {
      origin: "https://evil.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type",
    };
    const answer = await c.get(BULK, headers, "OPTIONS");
    expect(answer.status).toBe(403);
    expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
  });

  it("S2 another Host is refused before the body is looked at", async () => {
    expect((await post(BODY, { host: "evil.example" })).status).toBe(403);
    expect(sent).toEqual([]);
  });
});

describe("upstream's answer", () => {
  it.each([
    ["HTML", (response: ServerResponse) => response.writeHead(200).end("<html>"), 502],
    ["a list", (response: ServerResponse) => response.writeHead(200).end("[]"), 502],
    ["a failure", (response: ServerResponse) => response.writeHead(500).end("{}"), 502],
    ["no such endpoint", (response: ServerResponse) => response.writeHead(404).end("{}"), 404],
    ["a no", (response: ServerResponse) => response.writeHead(403).end("{}"), 403],
    ["a redirect elsewhere", (response: ServerResponse) => response.writeHead(307, { location: "https://evil.example/" }).end(), 502],
  ])("%s", async (_, respond, status) => {
    answering((response) => void respond(response));
    expect((await post(BODY)).status).toBe(status);
  });

  it("is compressed for who wants it, and a dead upstream is said at once", async () => {
    answering((response) => response.writeHead(200, JSON_TYPE).end(JSON.stringify({ lodash: "x".repeat(5000) })));
    const zipped = await post(BODY, { "accept-encoding": "gzip" });
    expect(JSON.parse(gunzipSync(zipped.bytes).toString("utf8"))).toEqual({ lodash: "x".repeat(5000) });
    w.upstream.down();
    expect((await post(BODY)).json.code).toBe("UPSTREAM_FAILED");
  });
});

describe("other requests there", () => {
  it("GET is no way to ask; other paths are not found; other POSTs are refused as ever", async () => {
    expect((await c.get(BULK)).status).toBe(405);
    expect((await post(BODY, {}, "/-/npm/v1/security/other")).status).toBe(404);
    expect((await post(BODY, {}, "/-/npm/v1/security/advisories/bulk/more")).status).toBe(404);
    expect((await post(BODY, {}, "/-/v1/login")).status).toBe(501);
    expect((await post(BODY, {}, "/-/npm/v1/user")).status).toBe(501);
  });
});
