/** A machine without git: an author publishes, a consumer installs, and neither sets anything. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startGitHost, testGit } from "../support/git-host.ts";
import { BIN, npmOf, type Outcome, type People, people, type Person } from "../support/people.ts";
import { makePackage } from "../support/tarball.ts";

let world: People;
/** A PATH with node on it and nothing else. */
let bin: string;
beforeAll(async () => {
  world = await people();
  bin = path.join(world.folder, "bin");
  mkdirSync(bin);
  symlinkSync(process.execPath, path.join(bin, "node"));
});
afterAll(() => world.close());

function imprint(who: Person, cwd: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return world.sh(who, cwd, process.execPath, [BIN, ...args], { PATH: bin, ...env });
}

/** An index of that person on the host, with the address to add it by. */
async function published(name: string, who: Person): Promise<string> {
  const repo = world.hosted(`${name}.git`);
  mkdirSync(repo);
  testGit(repo, ["init", "-q", "--bare", "--initial-branch=main", "--template=", repo]);
  const url = world.host.url(`${name}.git`);
  const made = await imprint(who, world.folder, [
    "init",
    `${name}-index`,
    "--name",
    name,
    "--packages",
    `@${name}/*`,
    "--remote",
    url,
    "--url",
    url,
  ]);
  expect(made.stderr).toMatch(/pushed to/);
  return `${url}#${made.stdout.trim()}`;
}

it("an author publishes a .tgz, twice; a consumer adds, syncs, serves, installs with npm, and verifies", async () => {
  const [alice, carol] = [world.person("alice"), world.person("carol")];
  const repo = world.hosted("alice.git");
  const address = await published("alice", alice);
  const publish = async (version: string): Promise<Outcome> => {
    const tgz = path.join(world.folder, `greet-${version}.tgz`);
    writeFileSync(tgz, await makePackage({ name: "@alice/greet", version }));
    return imprint(alice, world.folder, ["publish", tgz]);
  };
  const first = await publish("1.0.0");
  expect([first.code, first.stderr]).toEqual([0, expect.stringMatching(/pushed main and 1 tarball · read back as a stranger would/)]);
  expect((await publish("1.0.0")).stderr).toMatch(/VERSION_EXISTS/);

  const shop = world.folderOf("shop", { "package.json": { name: "shop", version: "1.0.0", private: true } });
  const added = await imprint(carol, shop, ["add", address, "--yes"]);
  expect([added.code, added.stderr]).toEqual([0, expect.stringMatching(/@alice\/greet/)]);

  // the second release, on top of what the author's clone holds; the work tree follows, and git finds nothing amiss
  expect((await publish("1.1.0")).code).toBe(0);
  const clone = path.join(world.folder, "alice-index");
  const gitDir = path.join(clone, ".git");
  expect(testGit(gitDir, ["status", "--porcelain"], { env: { GIT_WORK_TREE: clone } })).toBe("");
  expect(testGit(gitDir, ["fsck", "--full", "--strict"])).not.toMatch(/error|missing/);
  expect(testGit(repo, ["rev-parse", "main"])).toBe(testGit(gitDir, ["rev-parse", "main"]));
  expect((await imprint(carol, shop, ["sync"])).code).toBe(0);

  const [node, npm] = npmOf(11);
  const installed = await imprint(carol, shop, ["run", node, npm, "install", "@alice/greet@1.0.0"]);
  expect([installed.code, installed.stderr]).toEqual([0, expect.stringMatching(/answered .*alice/)]);
  const versionOf = (folder: string): string =>
    (JSON.parse(readFileSync(path.join(folder, "node_modules/@alice/greet/package.json"), "utf8")) as { version: string }).version;
  expect(versionOf(shop)).toBe("1.0.0");

  const server = spawn(process.execPath, [BIN, "serve", "--port", "0"], {
    cwd: shop,
    env: { HOME: carol.home, PATH: bin },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(server, "close");
  try {
    const [line] = (await once(server.stdout.setEncoding("utf8"), "data")) as [string];
    const plain = world.folderOf("plain", { "package.json": { name: "plain", version: "1.0.0", private: true } });
    const outcome = await world.sh(carol, plain, node, [npm, "install", "@alice/greet", "--registry", line.trim()], { PATH: bin });
    expect([outcome.code, versionOf(plain)]).toEqual([0, "1.1.0"]);
  } finally {
    server.kill("SIGTERM");
    await closed;
  }
  expect((await imprint(carol, shop, ["verify", address, "--tarballs"])).stdout).toMatch(/1 packages, 2 releases, .* 2 tarballs, all good/);
  expect(new Set(world.host.requests.map(({ headers }) => headers["user-agent"]))).toEqual(new Set(["git/imprint"]));
});

it("a closed host opens to IMPRINT_GIT_TOKEN, which reaches neither another host nor the wrapped command (THREATS G8)", async () => {
  const who = world.person("tess");
  const address = await published("tess", who);
  const token = "t0ps3cret";
  const wanted = `Basic ${Buffer.from(`x-access-token:${token}`).toString("base64")}`;
  const closed = await startGitHost({
    root: path.dirname(world.hosted("tess.git")),
    intercept: (request, response) => {
      if (request.headers.authorization === wanted) return false;
      response.writeHead(401, { "www-authenticate": "Basic" }).end();
      return true;
    },
  });
  try {
    const shop = world.folderOf("tess-shop", { "package.json": { name: "shop", version: "1.0.0", private: true } });
    const args = ["add", `${closed.url("tess.git")}#${address.split("#")[1] ?? ""}`, "--yes"];
    const refused = await imprint(who, shop, args);
    expect([refused.code, refused.stderr]).toEqual([5, expect.stringMatching(/answers 401; a token for it goes into IMPRINT_GIT_TOKEN/)]);
    const env = { IMPRINT_GIT_TOKEN: `127.0.0.1:${String(closed.port)}=${token}` };
    const added = await imprint(who, shop, args, env);
    expect([added.code, added.stderr.includes(token)]).toEqual([0, false]);
    world.host.requests.length = 0;
    expect((await imprint(who, shop, ["add", address, "--yes", "--as", "tess"], env)).code).toBe(0);
    expect(new Set(world.host.requests.map(({ headers }) => headers.authorization))).toEqual(new Set([undefined]));
    const seen = await imprint(who, shop, ["run", "node", "-p", "JSON.stringify(process.env)"], env);
    expect([seen.code, seen.stdout.includes("npm_config_registry"), seen.stdout.includes(token)]).toEqual([0, true, false]);
  } finally {
    await closed.close();
  }
});

it("what needs git says so: an ssh address, a linked work tree, IMPRINT_GIT=system", async () => {
  const who = world.person("sam");
  const shop = world.folderOf("sam-shop", { "package.json": { name: "shop", version: "1.0.0", private: true } });
  const id = "1".repeat(64);
  const ssh = await imprint(who, shop, ["add", `git@127.0.0.1:alice/index.git#${id}`, "--yes"]);
  expect([ssh.code, ssh.stderr]).toEqual([3, expect.stringMatching(/only https works; install git .*GIT_MISSING/s)]);
  const system = await imprint(who, shop, ["add", `${world.host.url("alice.git")}#${id}`, "--yes"], { IMPRINT_GIT: "system" });
  expect([system.code, system.stderr]).toEqual([3, expect.stringMatching(/GIT_MISSING; next: install git/)]);
  const typo = await imprint(who, shop, ["list"], { IMPRINT_GIT: "sytem" });
  expect([typo.code, typo.stderr]).toEqual([2, expect.stringMatching(/IMPRINT_GIT="sytem": auto, system or isomorphic/)]);
});
