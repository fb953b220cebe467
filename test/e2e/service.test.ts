/** A resolver for a team: tokens, a reverse proxy with a path of its own, and nobody else. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, request as ask, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BIN, type People, people, type Person } from "../support/people.ts";

const TOKEN = "team-token-0123456789abcdef";

let world: People;
let carol: Person;
let team: string;
let tokens: string;
beforeAll(async () => {
  world = await people();
  const alice = world.person("alice");
  carol = world.person("carol");
  const { address } = await world.init(alice, "@alice/*");
  const greet = world.folderOf("greet", { "package.json": { name: "@alice/greet", version: "1.0.0", main: "i.js" }, "i.js": "1;\n" });
  expect((await world.imprint(alice, greet, "publish")).code).toBe(0);
  team = world.folderOf("team", { "package.json": { name: "team", private: true } });
  expect((await world.imprint(carol, team, "add", address, "--yes")).code).toBe(0);
  tokens = path.join(world.folder, "tokens");
  writeFileSync(tokens, `# the team's\n${TOKEN}\n`, { mode: 0o600 });
});
afterAll(() => world.close());

type Serving = { readonly port: number; /** `~<policy>/` */ readonly policy: string; log(): string; stop(): Promise<void> };

async function serving(...flags: readonly string[]): Promise<Serving> {
  const child = spawn(process.execPath, [BIN, "serve", "--port", "0", ...flags], {
    cwd: team,
    env: { ...process.env, HOME: carol.home },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  return {
    port: Number(new URL(line.trim()).port),
    policy: new URL(line.trim()).pathname.slice(1),
    log: () => log,
    async stop() {
      child.kill("SIGTERM");
      await closed;
    },
  };
}

/** As a company's web server: another name and a path in front of it. */
async function proxyTo(
  port: number,
  options: { readonly strips: boolean; readonly forwards: string },
): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((incoming, response) => {
    const target = options.strips ? (incoming.url ?? "").replace(/^\/npm\/team/, "") : (incoming.url ?? "");
    const headers = { ...incoming.headers, host: `127.0.0.1:${port}`, "x-forwarded-host": options.forwards, "x-forwarded-proto": "http" };
    ask({ host: "127.0.0.1", port, path: target, method: incoming.method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    }).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
}

function shopWith(name: string, registry: string, token: string | null): string {
  const auth = token === null ? "" : `${registry.replace("http:", "")}:_authToken=${token}\n`;
  return world.folderOf(name, {
    "package.json": { name, private: true },
    ".npmrc": `registry=${registry}\nfetch-retries=0\n${auth}`,
  });
}

it("with a token npm installs, without one, or with another, it is told so at once", async () => {
  const server = await serving("--token-file", tokens);
  try {
    const registry = `http://127.0.0.1:${server.port}/${server.policy}`;
    const good = shopWith("with-token", registry, TOKEN);
    const installed = await world.sh(carol, good, "npm", ["install", "@alice/greet"]);
    expect([installed.code, installed.stderr]).toEqual([0, expect.any(String)]);
    expect(existsSync(path.join(good, "node_modules", "@alice", "greet", "i.js"))).toBe(true);
    for (const [name, token] of [
      ["no-token", null],
      ["other-token", `${TOKEN}x`],
    ] as const) {
      const refused = await world.sh(carol, shopWith(name, registry, token), "npm", ["install", "@alice/greet"]);
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/E401/)]);
    }
    // Another resolver of this project is not found by `run`, which has no token for it.
    const ran = await world.imprint(carol, team, "run", "node", "-p", "process.env.npm_config_registry");
    expect(ran.stdout.trim()).not.toBe(registry);
    // Tokens come and go while it runs; a file that went bad changes nothing.
    writeFileSync(tokens, "another-token-0123456789abcdef\n");
    const statusOf = async (token: string): Promise<number> =>
      (await fetch(`${registry}@alice%2fgreet`, { headers: { authorization: `Bearer ${token}` } })).status;
    await expect.poll(() => statusOf(TOKEN), { timeout: 10_000 }).toBe(401);
    expect(await statusOf("another-token-0123456789abcdef")).toBe(200);
    writeFileSync(tokens, "short\n");
    await expect.poll(() => server.log(), { timeout: 10_000 }).toMatch(/last good tokens: .*line 1 is none/);
    expect(await statusOf("another-token-0123456789abcdef")).toBe(200);
    expect(server.log()).not.toContain("another-token");
  } finally {
    await server.stop();
    writeFileSync(tokens, `${TOKEN}\n`);
  }
});

it.each([{ strips: true }, { strips: false }])(
  "behind a reverse proxy with a path (it takes it away: $strips) tarballs are where clients asked",
  async ({ strips }) => {
    const server = await serving("--public-url", "http://npm.team.example/npm/team/", "--trust-proxy");
    const proxy = await proxyTo(server.port, { strips, forwards: "npm.team.example" });
    try {
      const answer = await fetch(`http://127.0.0.1:${proxy.port}/npm/team/${server.policy}@alice%2fgreet`);
      const { versions } = (await answer.json()) as { versions: Record<string, { dist: { tarball: string } }> };
      expect(versions["1.0.0"]?.dist.tarball).toBe(`http://npm.team.example/npm/team/${server.policy}@alice/greet/-/greet-1.0.0.tgz`);
      const tarball = await fetch(`http://127.0.0.1:${proxy.port}/npm/team/${server.policy}@alice/greet/-/greet-1.0.0.tgz`);
      expect([tarball.status, (await tarball.arrayBuffer()).byteLength > 0]).toEqual([200, true]);
    } finally {
      proxy.server.closeAllConnections();
      await new Promise((resolve) => proxy.server.close(resolve));
      await server.stop();
    }
  },
);

it("S2 a proxy's words are not believed from anybody, nor beyond the list", async () => {
  const server = await serving("--public-url", "https://npm.team.example/");
  try {
    const headers = { "x-forwarded-host": "npm.team.example" };
    const answer = await fetch(`http://127.0.0.1:${server.port}/${server.policy}@alice%2fgreet`, { headers });
    expect(JSON.stringify(await answer.json())).not.toContain("npm.team.example");
  } finally {
    await server.stop();
  }
  const trusting = await serving("--public-url", "https://npm.team.example/", "--trust-proxy");
  try {
    const headers = { "x-forwarded-host": "evil.example" };
    expect((await fetch(`http://127.0.0.1:${trusting.port}/${trusting.policy}@alice%2fgreet`, { headers })).status).toBe(403);
  } finally {
    await trusting.stop();
  }
});

it.each([
  [["--host", "0.0.0.0"], 2, /others could reach it; give --token-file/],
  [["--host", "0.0.0.0", "--token-file", "nowhere"], 3, /there is no such file/],
  [["--host", "not a host", "--token-file", "tokens"], 2, /give an address/],
  [["--host", "192.0.2.7", "--token-file", "TOKENS"], 2, /no such address/],
  [["--trust-proxy"], 2, /chooses from --public-url/],
  [["--public-url", "ftp://x"], 2, /neither https nor http/],
  [["--public-url", "https://a:b@x/"], 2, /only host, port and path/],
])("serve %j is refused in one line", async (flags, code, words) => {
  const refused = await world.imprint(carol, team, "serve", "--port", "0", ...flags.map((flag) => (flag === "TOKENS" ? tokens : flag)));
  expect([refused.code, refused.stderr]).toEqual([code, expect.stringMatching(words)]);
});

it("a file of tokens that others may read is refused", async () => {
  const open = path.join(world.folder, "open-tokens");
  writeFileSync(open, readFileSync(tokens));
  chmodSync(open, 0o644);
  const refused = await world.imprint(carol, team, "serve", "--port", "0", "--token-file", open);
  expect([refused.code, refused.stderr]).toEqual([3, expect.stringMatching(/others may read it; chmod 600/)]);
});

it("beyond this machine it listens with tokens only, and other processes of its user have no say in it", async () => {
  const server = await serving("--host", "0.0.0.0", "--token-file", tokens);
  try {
    const base = `http://127.0.0.1:${server.port}`;
    const control = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
    expect((await fetch(`${base}/-/imprint/control`, control)).status).toBe(401);
    const shown = { ...control, headers: { ...control.headers, authorization: `Bearer ${TOKEN}` } };
    expect((await fetch(`${base}/-/imprint/control`, shown)).status).toBe(404);
    expect((await fetch(`${base}/${server.policy}@alice%2fgreet`)).status).toBe(401);
    expect((await fetch(`${base}/${server.policy}@alice%2fgreet`, { headers: { authorization: `Bearer ${TOKEN}` } })).status).toBe(200);
  } finally {
    await server.stop();
  }
});
