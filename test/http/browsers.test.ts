/** Pages in a browser: those of other sites get nothing, and no answer can be loaded into them. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createListener } from "../../src/http/listener.ts";
import { ORIGIN, type TestConsumer, type World, world } from "../support/world.ts";

let w: World;
let c: TestConsumer;
beforeAll(async () => {
  w = await world();
  const alice = await w.index("alice");
  await alice.publish("@alice/secret", "1.0.0");
  await w.upstream.publish("plain", "1.0.0");
  c = await w.consumer({ indices: { alice: { index: alice } } });
});
afterAll(() => w.close());

const PAGES: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ["a script or an image of another site", { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script" }],
  ["a link on another site", { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" }],
  ["another port of this machine", { "sec-fetch-site": "same-site", origin: "http://127.0.0.1:3000" }],
  ["fetch of another site", { "sec-fetch-site": "cross-site", origin: "https://evil.example" }],
  ["a browser that says no more than Origin", { origin: "https://evil.example" }],
  ["a sandboxed frame", { origin: "null" }],
  ["an origin that begins like ours", { origin: `${ORIGIN}.evil.example` }],
  ["a word that no browser says", { "sec-fetch-site": "friendly" }],
];
const PATHS = [
  "/@alice%2fsecret",
  "/@alice%2fabsent",
  "/plain",
  "/absent",
  "/@alice/secret/-/secret-1.0.0.tgz",
  "/-/v1/search?text=secret",
  "/-/ping",
  "/",
];

it.each(PAGES)("S8 %s: the same refusal for what is there and what is not, and nothing is asked upstream", async (_, headers) => {
  const before = w.upstream.requests.length;
  const answers = await Promise.all(PATHS.map((path) => c.get(path, headers)));
  expect(new Set(answers.map(({ status, text }) => `${String(status)} ${text}`))).toEqual(
    new Set(['403 {"error":"pages on the web may not ask here"}']),
  );
  const writes = await Promise.all(["PUT", "POST", "DELETE", "OPTIONS"].map((method) => c.get("/plain", headers, method)));
  expect(writes.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
  for (const { headers: sent } of [...answers, ...writes]) expect(sent.get("access-control-allow-origin")).toBe(null);
  expect(w.upstream.requests).toHaveLength(before);
  expect(c.told.filter((line) => line.includes("absent"))).toEqual([]);
});

it("S8 no page, one that the user typed, and one of ours are answered", async () => {
  const own = [{}, { "sec-fetch-site": "none", "sec-fetch-mode": "navigate" }, { "sec-fetch-site": "same-origin", origin: ORIGIN }];
  for (const headers of own) expect((await c.get("/@alice%2fsecret", headers)).status).toBe(200);
});

it("S8 every answer, good or bad, is for its own origin and is what its type says", async () => {
  const kinds = [...PATHS, "/-/npm/v1/keys", "/%zz", "/@alice%2fsecret/9.9.9"];
  const answers = [
    ...(await Promise.all(kinds.map((path) => c.get(path)))),
    await c.get("/plain", {}, "PUT"),
    await c.get("/plain", PAGES[0]?.[1]),
    await c.get("http://evil.example/plain", { host: "evil.example" }),
  ];
  for (const { headers } of answers)
    expect([headers.get("x-content-type-options"), headers.get("cross-origin-resource-policy")]).toEqual(["nosniff", "same-origin"]);
});

it("S8 the hot path, too: what a client has warmed is not for a page", async () => {
  let port = 0;
  const server = createServer(
    createListener({ ...c.appDeps, bases: () => ({ list: [`http://127.0.0.1:${String(port)}`], trustProxy: false }) }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
  try {
    const ask = (headers: Readonly<Record<string, string>>): Promise<Response> =>
      fetch(`http://127.0.0.1:${String(port)}/@alice%2fsecret`, { headers });
    for (let i = 0; i < 2; i++) {
      const answer = await ask({});
      expect([answer.status, answer.headers.get("cross-origin-resource-policy")]).toEqual([200, "same-origin"]);
    }
    for (const [, headers] of PAGES.filter(([, { origin }]) => origin !== undefined)) expect((await ask(headers)).status).toBe(403);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
