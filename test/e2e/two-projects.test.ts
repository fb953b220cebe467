/** Two projects with different policies at once, on one machine: each is answered by its own resolver, and never by a stranger. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort } from "../support/free-port.ts";
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
  expect((await world.imprint(carol, shop, "sync")).code).toBe(0);
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

it("X10 one port answers both, each by its own rules, and a run in each finds its own address", async () => {
  const [open, closed] = [await shopOf("open"), await shopOf("closed", { deny: ["left-pad"] })];
  const port = String(await freePort());
  const [one, two] = [await serving(open, "--port", port), await serving(closed, "--port", port)];
  try {
    expect(new URL(one.base).port).toBe(new URL(two.base).port);
    expect(one.base).not.toBe(two.base);
    expect((await world.imprint(carol, open, "run", "--port", port, ...ASK)).stdout.trim()).toBe(one.base);
    expect((await world.imprint(carol, closed, "run", "--port", port, ...ASK)).stdout.trim()).toBe(two.base);
    const [denied, allowed] = await Promise.all([fetch(`${two.base}left-pad`), fetch(`${one.base}@alice%2fgreet`)]);
    expect([denied.status, allowed.status]).toEqual([403, 200]);
    expect(((await denied.json()) as { error: string }).error).toMatch(/DENIED/);
    // The first goes; the second, which followed it, takes the port over.
    await one.stop();
    await expect
      .poll(
        () =>
          fetch(`${two.base}left-pad`).then(
            ({ status }) => status,
            () => 0,
          ),
        { timeout: 20_000 },
      )
      .toBe(403);
  } finally {
    await Promise.all([one.stop(), two.stop()]);
  }
});

it("X10 an address of another policy, of yesterday's, or of none is refused in a line that says what to do", async () => {
  const shop = await shopOf("changed", { deny: ["yesterday"] });
  const port = String(await freePort());
  const server = await serving(shop, "--port", port);
  const refusal = async (base: string): Promise<string> => {
    const answer = await fetch(`${base}@alice%2fgreet`);
    expect(answer.status).toBe(403);
    return ((await answer.json()) as { error: string }).error;
  };
  try {
    const origin = new URL(server.base).origin;
    expect(await refusal(`${origin}/`)).toMatch(/names no policy; .*imprint sync.*WRONG_ADDRESS/);
    expect(await refusal(`${origin}/~${"0".repeat(20)}/`)).toMatch(/does not serve; .*imprint serve.*WRONG_ADDRESS/);
    expect((await fetch(`${server.base}@alice%2fgreet`)).status).toBe(200);
    const file = path.join(shop, "imprint.json");
    const project = JSON.parse(readFileSync(file, "utf8")) as { upstream: object };
    writeFileSync(file, JSON.stringify({ ...project, upstream: { ...project.upstream, deny: ["today"] } }));
    await expect.poll(() => fetch(`${server.base}@alice%2fgreet`).then(({ status }) => status), { timeout: 20_000 }).toBe(403);
    expect(await refusal(server.base)).toContain(`is of ${shop} before its imprint.json changed; run there imprint sync`);
    // The file of before, as a merge leaves it behind; sync mends it, and the new address is answered.
    expect((await world.imprint(carol, shop, "doctor")).stdout).toMatch(
      /\.npmrc names an address that is not this project's[^]*fix: imprint sync/,
    );
    const synced = await world.imprint(carol, shop, "sync");
    expect([synced.code, synced.stderr]).toEqual([0, expect.stringMatching(/\.npmrc leads to this project's resolver now/)]);
    const [, below = ""] =
      /registry=http:\/\/127\.0\.0\.1:4870\/(~[0-9a-f]{20}\/)/.exec(readFileSync(path.join(shop, ".npmrc"), "utf8")) ?? [];
    expect((await fetch(`${origin}/${below}@alice%2fgreet`)).status).toBe(200);
  } finally {
    await server.stop();
  }
});

it("X10 a colleague's clone is served without an edit, and two worktrees with other claims at once", async () => {
  const shop = await shopOf("mine");
  const theirs = path.join(world.folder, "colleague");
  cpSync(shop, theirs, { recursive: true });
  const dora = world.person("dora");
  const ran = await world.imprint(dora, theirs, "run", "--port", "0", ...ASK);
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringMatching(/~[0-9a-f]{20}\/\n$/)]);
  const [, policy = ""] = /~([0-9a-f]{20})/.exec(readFileSync(path.join(theirs, ".npmrc"), "utf8")) ?? [];
  expect(ran.stdout).toContain(policy);
});

it("S6 X10 a stranger on the resolver's port, before it or after it, is never used nor told anything", async () => {
  const shop = await shopOf("stranger");
  const port = await freePort();
  const server = await serving(shop, "--port", String(port));
  const states = path.join(carol.home, ".local", "share", "imprint", "v1", "resolvers");
  const state = path.join(states, `${String(port)}.json`);
  expect(statSync(state).mode & 0o777).toBe(0o600);
  const remembered = readFileSync(state);
  const { secret } = JSON.parse(remembered.toString("utf8")) as { secret: string };
  // Killed, so that its state file stays behind; then somebody else takes the port.
  server.child.kill("SIGKILL");
  await once(server.child, "close").catch(() => undefined);
  writeFileSync(state, remembered, { mode: 0o600 });
  const asked: string[] = [];
  const stranger: Server = createServer((request, response) => {
    request.setEncoding("utf8").on("data", (body: string) => {
      const { nonce, ask } = JSON.parse(body) as { nonce: string; ask: string };
      asked.push(`${request.url ?? ""} ${nonce.length} ${ask}`, JSON.stringify(request.headers), body);
      response
        .writeHead(200, { "content-type": "application/json" })
        .end(JSON.stringify({ answer: '{"joined":true}', proof: "0".repeat(64) }));
    });
  });
  stranger.listen(port, "127.0.0.1");
  await once(stranger, "listening");
  try {
    const ran = await world.imprint(carol, shop, "run", "--port", String(port), ...ASK);
    expect([ran.code, ran.stderr]).toEqual([3, expect.stringMatching(/PORT_IN_USE/)]);
    expect(asked[0]).toBe('/-/imprint/control 32 {"kind":"hello"}');
    expect(asked).toHaveLength(3);
    expect(JSON.stringify(asked)).not.toContain(secret);
    const served = await world.imprint(carol, shop, "serve", "--port", String(port));
    expect([served.code, served.stderr]).toEqual([
      3,
      expect.stringMatching(/a program that is no resolver of yours has the port.*\n {2}PORT_IN_USE; next: imprint serve --port/),
    ]);
    // Without a port of the user's choice a run takes another.
    const free = await world.imprint(carol, shop, "run", "--port", "0", ...ASK);
    expect([free.code, new URL(free.stdout.trim()).port === String(port)]).toEqual([0, false]);
  } finally {
    stranger.closeAllConnections();
    await new Promise((resolve) => stranger.close(resolve));
  }
});
