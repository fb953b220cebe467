/** Consumers at a terminal: add, a forgotten `imprint run`, serve and run, refusals. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort } from "../support/free-port.ts";
import { pointNowhere } from "../support/nobody-there.ts";
import { BIN, type People, people, type Person } from "../support/people.ts";

let world: People;
let address: string;
let carol: Person;
beforeAll(async () => {
  world = await people();
  const alice = world.person("alice");
  carol = world.person("carol");
  const index = await world.init(alice, "@alice/*");
  address = index.address;
  const folder = world.folderOf("greet", {
    "package.json": { name: "@alice/greet", version: "1.0.0", main: "i.js" },
    "i.js": "module.exports = 'hi';\n",
  });
  expect((await world.imprint(alice, folder, "publish")).code).toBe(0);
});
afterAll(() => world.close());

const shopOf = async (name: string, who: Person = carol, ...flags: string[]): Promise<string> => {
  const shop = world.folderOf(name, { "package.json": { name: "shop", version: "1.0.0", private: true } });
  expect((await world.imprint(who, shop, "add", address, "--yes", ...flags)).code).toBe(0);
  return shop;
};

it("add writes imprint.json, imprint.lock and .npmrc, keeps a registry that stood there, and remove undoes it", async () => {
  const shop = world.folderOf("add", {
    "package.json": { name: "shop", version: "1.0.0" },
    ".npmrc": "registry=https://corp.example/npm/\nsave-exact=true\n",
  });
  const added = await world.imprint(carol, shop, "add", address, "--yes", "--as", "friends");
  expect(added.stderr).toMatch(/imprint\.json, imprint\.lock, \.npmrc/);
  expect(readFileSync(path.join(shop, ".npmrc"), "utf8")).toMatch(
    /^# imprint .*`imprint serve`.*\nregistry=http:\/\/127\.0\.0\.1:4870\/~[0-9a-f]{20}\/\nfetch-retries=0\nomit-lockfile-registry-resolved=true\nsave-exact=true\n$/,
  );
  expect(JSON.parse(readFileSync(path.join(shop, "imprint.json"), "utf8"))).toMatchObject({
    indices: { friends: { packages: ["@alice/*"] } },
    upstream: { registry: "https://corp.example/npm/" },
  });
  expect((await world.imprint(carol, shop, "list")).stdout).toMatch(/^friends +@alice\/\*/);
  expect((await world.imprint(carol, shop, "why", "@alice/greet")).stdout).toMatch(/1\.0\.0 ok · signed by ed25519:/);
  expect((await world.imprint(carol, shop, "remove", "friends")).code).toBe(0);
  expect(JSON.parse(readFileSync(path.join(shop, "imprint.lock"), "utf8"))).toEqual({ format: 1, indices: {} });
  expect(readFileSync(path.join(shop, ".npmrc"), "utf8")).toBe("registry=https://corp.example/npm/\nsave-exact=true\n");
});

it("add is refused without an id where nobody can answer, and --yes is only for an address with one", async () => {
  const shop = world.folderOf("no-id", { "package.json": {} });
  const bare = address.replace(/#.*/, "");
  for (const words of [[bare], [bare, "--yes"]]) expect((await world.imprint(carol, shop, "add", ...words)).stderr).toMatch(/NEEDS_ID/);
  expect((await world.imprint(carol, shop, "add", address)).stderr).toMatch(/NEEDS_ANSWER/);
  const other = await world.imprint(carol, shop, "add", `${bare}#${"0".repeat(64)}`, "--yes");
  expect([other.code, other.stderr]).toEqual([4, expect.stringMatching(/WRONG_ID/)]);
  expect(() => readFileSync(path.join(shop, "imprint.json"))).toThrow(/ENOENT/);
});

it("X8 npm without imprint fails closed in a project with claims, and asks no public registry", async () => {
  const shop = await shopOf("forgotten");
  const nowhere = await pointNowhere(shop);
  const asked: string[] = [];
  const proxy = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.writeHead(502).end();
  }).on("connect", (request, socket) => {
    asked.push(request.url ?? "");
    socket.destroy();
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const through = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const env = {
    npm_config_proxy: through,
    npm_config_https_proxy: through,
    npm_config_noproxy: "127.0.0.1",
    npm_config_fetch_retries: "0",
  };
  const installed = await world.sh(carol, shop, "npm", ["install", "@alice/greet"], env);
  proxy.close();
  expect(installed.code).not.toBe(0);
  expect(installed.stderr).toContain(nowhere);
  expect(asked).toEqual([]);
});

it("X9 a scope line for a claimed scope stops run and serve, naming file and line", async () => {
  const shop = await shopOf("scope-line");
  appendFileSync(path.join(shop, ".npmrc"), "# ours\n@alice:registry=https://elsewhere.example/\n");
  for (const command of [["run", "true"], ["serve"]]) {
    const refused = await world.imprint(carol, shop, ...command);
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringMatching(/\.npmrc line 6 sends @alice .*SCOPE_REGISTRY/s)]);
  }
});

it("run passes on exit codes and arguments, and starts nothing when an index was never verified and is unreachable", async () => {
  const shop = await shopOf("exit-codes");
  expect((await world.imprint(carol, shop, "run", "node", "-e", "process.exit(7)")).code).toBe(7);
  expect(
    (await world.imprint(carol, shop, "run", "node", "-p", "process.argv.slice(1).join()", "--", "--json", "-C", "x")).stdout.trim(),
  ).toBe("--json,-C,x");
  const missing = await world.imprint(carol, shop, "run", "no-such-command-here");
  expect([missing.code, missing.stderr]).toEqual([1, expect.stringMatching(/COMMAND_NOT_FOUND/)]);
  const lost = world.folderOf("unreachable", {
    "imprint.json": { format: 1, indices: { gone: { id: "1".repeat(64), urls: ["http://127.0.0.1:9/gone.git"], packages: ["@gone/*"] } } },
  });
  const stopped = await world.imprint(carol, lost, "run", "node", "-e", "require('fs').writeFileSync('ran', '')");
  expect([stopped.code, stopped.stderr]).toEqual([5, expect.stringMatching(/UNREACHABLE/)]);
  expect(() => readFileSync(path.join(lost, "ran"))).toThrow(/ENOENT/);
});

it("--frozen needs a lock entry, and accepts what is locked", async () => {
  const shop = await shopOf("frozen");
  expect((await world.imprint(carol, shop, "sync", "--frozen")).code).toBe(0);
  expect((await world.imprint(carol, shop, "run", "--frozen", "true")).code).toBe(0);
  rmSync(path.join(shop, "imprint.lock"));
  for (const command of [
    ["sync", "--frozen"],
    ["run", "--frozen", "true"],
    ["audit", "--frozen"],
  ]) {
    if (command[0] === "audit") writeFileSync(path.join(shop, "package-lock.json"), JSON.stringify({ lockfileVersion: 3, packages: {} }));
    const refused = await world.imprint(carol, shop, ...command);
    expect([command[0], refused.code, refused.stderr]).toEqual([command[0], 4, expect.stringMatching(/NOT_LOCKED/)]);
  }
});

it("run uses the project's running resolver, lists what that refused, and serve reloads a changed imprint.json", async () => {
  const shop = await shopOf("attached");
  const port = String(await freePort());
  const server = spawn(process.execPath, [BIN, "serve", "--port", port], {
    cwd: shop,
    env: { ...process.env, HOME: carol.home },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(server, "close");
  let log = "";
  server.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  try {
    const [line] = (await once(server.stdout.setEncoding("utf8"), "data")) as [string];
    const registry = line.trim();
    const seen = await world.imprint(carol, shop, "run", "--port", port, "node", "-p", "process.env.npm_config_registry");
    expect(seen.stdout.trim()).toBe(registry);
    // Another address of an index changes nothing of who answers for what.
    const lock = path.join(shop, "imprint.lock");
    writeFileSync(lock, readFileSync(lock, "utf8").replaceAll("\n", "\n "));
    await expect.poll(() => log, { timeout: 15_000 }).toMatch(/reloaded/);
    const project = JSON.parse(readFileSync(path.join(shop, "imprint.json"), "utf8")) as { upstream: { deny: string[] } };
    project.upstream.deny = ["left-pad"];
    writeFileSync(path.join(shop, "imprint.json"), JSON.stringify(project));
    await expect.poll(() => log, { timeout: 15_000 }).toMatch(/imprint\.json changed, and the address with it/);
    const refused = await world.imprint(carol, shop, "run", "--port", port, "npm", "view", "left-pad");
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/imprint refused one package:\n.*left-pad.*DENIED/s);
  } finally {
    server.kill("SIGTERM");
    await closed;
  }
});

it("L2 a trusted state that is newer than the lock of another branch works, and does not lower what sync writes", async () => {
  const shop = await shopOf("branches");
  const file = path.join(shop, "imprint.lock");
  const old = readFileSync(file, "utf8");
  const folder = world.folderOf("greet-2", {
    "package.json": { name: "@alice/greet", version: "1.1.0", main: "i.js" },
    "i.js": "module.exports = 'hi';\n",
  });
  expect((await world.imprint(world.person("alice"), folder, "publish")).code).toBe(0);
  expect((await world.imprint(carol, shop, "sync")).code).toBe(0);
  const high = readFileSync(file, "utf8");
  expect(high).not.toBe(old);
  // The other branch is checked out.
  writeFileSync(file, old);
  expect((await world.imprint(carol, shop, "run", "--frozen", "true")).code).toBe(0);
  expect((await world.imprint(carol, shop, "why", "@alice/greet")).stdout).toMatch(/1\.1\.0 ok/);
  // And merged with markers: both commands work, and sync leaves the higher of the two.
  const lines = (text: string): string => text.split("\n").slice(3, -3).join("\n");
  const [top, bottom] = [high.split("\n").slice(0, 3).join("\n"), high.split("\n").slice(-3).join("\n")];
  writeFileSync(file, `${top}\n<<<<<<< HEAD\n${lines(old)}\n=======\n${lines(high)}\n>>>>>>> topic\n${bottom}`);
  expect((await world.imprint(carol, shop, "run", "--frozen", "true")).code).toBe(0);
  expect((await world.imprint(carol, shop, "sync")).code).toBe(0);
  expect(readFileSync(file, "utf8")).toBe(high);
});
