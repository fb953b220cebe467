/** Two projects with different policies at once, on one machine: each is answered by its own resolver, and never by a stranger. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BIN, type People, people, type Person } from "../support/people.ts";

let world: People;
let carol: Person;
let address: string;
beforeAll(async () => {
  world = await people();
  carol = world.person("carol");
  const alice = world.person("alice");
  address = (await world.init(alice, "@alice/*")).address;
  const greet = world.folderOf("greet", { "package.json": { name: "@alice/greet", version: "1.0.0", main: "i.js" }, "i.js": "1;\n" });
  expect((await world.imprint(alice, greet, "publish")).code).toBe(0);
});
afterAll(() => world.close());

const ASK = ["node", "-p", "process.env.npm_config_registry"];

async function shopOf(name: string, upstream: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const shop = world.folderOf(name, { "package.json": { name, private: true } });
  expect((await world.imprint(carol, shop, "add", address, "--yes")).code).toBe(0);
  const file = path.join(shop, "imprint.json");
  const project = JSON.parse(readFileSync(file, "utf8")) as { upstream: object };
  writeFileSync(file, JSON.stringify({ ...project, upstream: { ...project.upstream, ...upstream } }));
  return shop;
}

async function serving(
  shop: string,
  ...flags: readonly string[]
): Promise<{ readonly base: string; stop(): Promise<void>; readonly child: ChildProcess }> {
  const child = spawn(process.execPath, [BIN, "serve", ...flags], {
    cwd: shop,
    env: { ...process.env, HOME: carol.home },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const closed = once(child, "close");
  const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  return {
    base: line.trim(),
    child,
    async stop() {
      child.kill("SIGTERM");
      await closed;
    },
  };
}

it("each has its own resolver and policy, and a run in each finds its own", async () => {
  const [open, closed] = [await shopOf("open"), await shopOf("closed", { deny: ["left-pad"] })];
  const [one, two] = [await serving(open, "--port", "0"), await serving(closed, "--port", "0")];
  try {
    expect((await world.imprint(carol, open, "run", ...ASK)).stdout.trim()).toBe(one.base);
    expect((await world.imprint(carol, closed, "run", ...ASK)).stdout.trim()).toBe(two.base);
    const [denied, allowed] = await Promise.all([fetch(`${two.base}left-pad`), fetch(`${one.base}@alice%2fgreet`)]);
    expect([denied.status, allowed.status]).toEqual([403, 200]);
  } finally {
    await Promise.all([one.stop(), two.stop()]);
  }
});

it("S6 a resolver whose project has changed since is not used before it has reloaded", async () => {
  const shop = await shopOf("changed");
  const server = await serving(shop, "--port", "0");
  try {
    // Stopped in its tracks, it can reload nothing: it still serves the old imprint.json.
    server.child.kill("SIGSTOP");
    const file = path.join(shop, "imprint.json");
    const project = JSON.parse(readFileSync(file, "utf8")) as { upstream: object };
    writeFileSync(file, JSON.stringify({ ...project, upstream: { ...project.upstream, deny: ["left-pad"] } }));
    expect((await world.imprint(carol, shop, "run", ...ASK)).stdout.trim()).not.toBe(server.base);
  } finally {
    server.child.kill("SIGCONT");
    await server.stop();
  }
});

it("S6 a stranger on the resolver's port, before it or after it, is never used nor told anything", async () => {
  const shop = await shopOf("stranger");
  const server = await serving(shop, "--port", "0");
  const states = path.join(carol.home, ".local", "share", "imprint", "v1", "resolvers");
  const [state = ""] = readdirSync(states).filter((name) =>
    readFileSync(path.join(states, name), "utf8").includes(`:${new URL(server.base).port},`),
  );
  expect(statSync(path.join(states, state)).mode & 0o777).toBe(0o600);
  const remembered = readFileSync(path.join(states, state));
  const { secret } = JSON.parse(remembered.toString("utf8")) as { secret: string };
  // Killed, so that its state file stays behind; then somebody else takes the port.
  server.child.kill("SIGKILL");
  await once(server.child, "close").catch(() => undefined);
  writeFileSync(path.join(states, state), remembered, { mode: 0o600 });
  const asked: { url: string; headers: string }[] = [];
  const stranger: Server = createServer((request, response) => {
    asked.push({ url: request.url ?? "", headers: JSON.stringify(request.headers) });
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ proof: "0".repeat(64) }));
  });
  stranger.listen(Number(new URL(server.base).port), "127.0.0.1");
  await once(stranger, "listening");
  try {
    expect((stranger.address() as AddressInfo).port).toBe(Number(new URL(server.base).port));
    const ran = await world.imprint(carol, shop, "run", ...ASK);
    expect([ran.code, ran.stdout.trim()]).not.toEqual([0, server.base]);
    expect(asked.map(({ url }) => url.replace(/[0-9a-f]{32}$/, "<nonce>"))).toEqual(["/-/imprint/challenge/<nonce>"]);
    expect(JSON.stringify(asked)).not.toContain(secret);
  } finally {
    stranger.closeAllConnections();
    await new Promise((resolve) => stranger.close(resolve));
  }
});

it("a port that is taken: serve says so, run takes another", async () => {
  const shop = await shopOf("taken");
  const other = createServer(() => {}).listen(0, "127.0.0.1");
  await once(other, "listening");
  const port = String((other.address() as AddressInfo).port);
  try {
    const served = await world.imprint(carol, shop, "serve", "--port", port);
    expect([served.code, served.stderr]).toEqual([
      3,
      expect.stringMatching(/another program has the port\n {2}PORT_IN_USE; next: imprint serve --port/),
    ]);
    const ran = await world.imprint(carol, shop, "run", "--port", port, ...ASK);
    expect([ran.code, ran.stderr]).toEqual([3, expect.stringMatching(/PORT_IN_USE/)]);
  } finally {
    await new Promise((resolve) => other.close(resolve));
  }
});
