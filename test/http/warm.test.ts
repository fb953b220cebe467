/** The hot path: a second answer that costs nothing, and is never one that would not be given now. */
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { createListener } from "../../src/http/listener.ts";
import type { Registry } from "../../src/registry/port.ts";
import { publishHostile } from "../support/hostile-package.ts";
import { type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let alice: TestIndex;
let c: TestConsumer;
let server: Server;
let port: number;
let asked: string[];
let seen: string[];
let wall: number;
beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish("@alice/a", "1.0.0", { packageJson: { keywords: ["x".repeat(2000)] } });
  await w.upstream.publish("pub", "1.0.0");
});
afterAll(() => w.close());

beforeEach(async () => {
  wall = Date.now();
  const clock = (): number => wall;
  c = await w.consumer({ indices: { alice: { index: alice } }, syncAfterMs: 60_000, wallMs: clock, nowMs: clock });
  await c.sync();
  [asked, seen] = [[], []];
  const registry: Registry = {
    ...c.registry,
    packument: (...request) => {
      asked.push(request[0]);
      return c.registry.packument(...request);
    },
  };
  const listener = createListener({
    served: async () => ({ registry, observe: (userAgent) => void seen.push(userAgent) }),
    bases: () => ({ list: [`http://127.0.0.1:${port}`], trustProxy: false }),
    control: null,
    version: "0.0.0-test",
    instance: "0".repeat(16),
  });
  server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
  return async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
});

const get = (path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}${path}`, { headers: { "user-agent": "npm/11.0.0", ...headers } });

it("the second answer is the first, header by header, and is counted like it", async () => {
  for (const path of ["/@alice%2fa", "/pub"]) {
    for (const headers of [
      { "accept-encoding": "gzip" },
      { "accept-encoding": "identity" },
      { accept: "application/vnd.npm.install-v1+json" },
    ]) {
      const [first, second] = [await get(path, headers), await get(path, headers)];
      const [a, b] = [await first.text(), await second.text()];
      expect(b).toBe(a);
      const plain = (answer: Response): object =>
        Object.fromEntries([...answer.headers].filter(([name]) => !/^(date|keep-alive|connection)$/.test(name)));
      expect(plain(second)).toEqual(plain(first));
      expect(second.headers.get("x-imprint")).toBe("0.0.0-test");
    }
  }
  expect(asked).toHaveLength(6);
  expect(seen).toHaveLength(12);
  expect(c.told.filter((line) => line === "alice packument @alice/a")).toHaveLength(6);
});

it("what changes the answer is not taken from memory: another host, another resolver's request, an ETag, another method", async () => {
  const { headers } = await get("/@alice%2fa");
  await get("/@alice%2fa");
  expect(asked).toHaveLength(1);
  expect((await get("/@alice%2fa", { via: "1.1 imprint-abcdefabcdefabcd" })).status).toBe(200);
  expect((await get("/@alice%2fa", { "if-none-match": headers.get("etag") ?? "" })).status).toBe(304);
  expect((await fetch(`http://127.0.0.1:${port}/@alice%2fa`, { method: "HEAD" })).status).toBe(200);
  expect(asked).toHaveLength(4);
  const evil = await new Promise<string>((resolve) => {
    const socket = connect(port, "127.0.0.1", () =>
      socket.write("GET /@alice%2fa HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n"),
    );
    let text = "";
    socket
      .setEncoding("utf8")
      .on("data", (chunk: string) => (text += chunk))
      .on("close", () => resolve(text));
  });
  expect(evil).toMatch(/^HTTP\/1\.1 403 /);
});

it("a refusal and a missing package are asked about again", async () => {
  await get("/@alice%2fnothing");
  await get("/@alice%2fnothing");
  expect(asked).toHaveLength(2);
});

it("ends with time: then the host, or the public registry, is asked for news", async () => {
  await alice.publish("@alice/a", `2.${asked.length}.0`);
  await get("/pub");
  await get("/pub");
  expect(asked).toEqual(["pub"]);
  wall += 301_000;
  await get("/pub");
  expect(asked).toEqual(["pub", "pub"]);
  const later = await w.consumer({ indices: { alice: { index: alice } }, syncAfterMs: 0 });
  await later.sync();
  const { again } = await later.registry.packument("@alice/a" as never, false, `http://127.0.0.1:${port}`);
  expect(again?.()).toBe(false);
});

it("R1 an answer of megabytes is not remembered as it went out: a few thousand of them would be all memory", async () => {
  await publishHostile(alice, "@alice/large", { count: 2, textBytes: 900_000 });
  await c.sync();
  for (const _ of "123") expect((await get("/@alice%2flarge", { "accept-encoding": "identity" })).status).toBe(200);
  expect(asked).toEqual(["@alice/large", "@alice/large", "@alice/large"]);
});

it("R1 a large document is held compressed alone, and goes out plain all the same to whoever takes no gzip", async () => {
  await publishHostile(alice, "@alice/large", { count: 3, textBytes: 900_000 });
  await c.sync();
  const [plain, zipped] = [
    await get("/@alice%2flarge", { "accept-encoding": "identity" }),
    await get("/@alice%2flarge", { "accept-encoding": "gzip" }),
  ];
  const text = await plain.text();
  expect([plain.status, plain.headers.get("content-encoding"), plain.headers.get("content-length")]).toEqual([
    200,
    null,
    String(Buffer.byteLength(text)),
  ]);
  expect([zipped.headers.get("content-encoding"), zipped.headers.get("etag")]).toEqual(["gzip", plain.headers.get("etag")]);
  expect(Object.keys((JSON.parse(text) as { versions: object }).versions)).toHaveLength(3);
  expect(await zipped.text()).toBe(text);
  const unchanged = await get("/@alice%2flarge", { "accept-encoding": "identity", "if-none-match": plain.headers.get("etag") ?? "" });
  expect([unchanged.status, await unchanged.text()]).toEqual([304, ""]);
  const head = await fetch(`http://127.0.0.1:${port}/@alice%2flarge`, { method: "HEAD", headers: { "accept-encoding": "identity" } });
  expect([head.status, await head.text()]).toEqual([200, ""]);
});
