/** Files and folders that other users of the machine may read or write. */
import { chmodSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BIN, type People, people } from "../support/people.ts";

let world: People;
let address: string;
beforeAll(async () => {
  world = await people();
  const alice = world.person("alice");
  address = (await world.init(alice, "@alice/*")).address;
});
afterAll(() => world.close());

const greet = (version: string): string =>
  world.folderOf(`greet-${version}`, { "package.json": { name: "@alice/greet", version, main: "i.js" }, "i.js": "1;\n" });

/** What others may write to, links left out. */
function looseBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => path.join(folder, name))
    .filter((file) => !lstatSync(file).isSymbolicLink() && (lstatSync(file).mode & 0o002) !== 0);
}

it("M3 umask 000: nothing that a command writes is for others to change, and keys are for nobody else to read", async () => {
  const una = world.person("una");
  const sh = (cwd: string, words: string): Promise<{ readonly code: number; readonly stderr: string }> =>
    world.sh(una, cwd, "sh", ["-c", `umask 000; ${words.replaceAll("imprint", `'${process.execPath}' '${BIN}'`)}`]);
  const made = await sh(una.home, "imprint init una-index --name una --packages '@una/*'");
  expect([made.code, made.stderr]).toEqual([0, expect.not.stringContaining("others on this machine")]);
  const shop = world.folderOf("unas-shop", { "package.json": { name: "shop", private: true } });
  expect((await sh(shop, `imprint add '${address}' --yes`)).code).toBe(0);
  expect((await sh(shop, "imprint run --port 0 node -p 1")).code).toBe(0);
  expect(looseBelow(una.home)).toEqual([]);
  expect(looseBelow(shop)).toEqual([]);
  const keys = path.join(una.home, ".config", "imprint", "keys");
  expect(readdirSync(keys).map((name) => lstatSync(path.join(keys, name)).mode & 0o777)).toEqual([0o600, 0o600]);
});

it("M3 a folder of ours that others may write to: every command says so, with the command that mends it, and doctor too", async () => {
  const vic = world.person("vic");
  const shop = world.folderOf("vics-shop", { "package.json": { name: "shop", private: true } });
  expect((await world.imprint(vic, shop, "add", address, "--yes")).code).toBe(0);
  const folder = path.join(vic.home, ".local", "share", "imprint");
  chmodSync(folder, 0o777);
  for (const words of [
    ["list"],
    ["sync"],
    ["why", "@alice/greet"],
    ["run", "--port", "0", "node", "-p", "1"],
    ["cache", "ls"],
    ["key", "list"],
  ]) {
    const { stderr } = await world.imprint(vic, shop, ...words);
    expect(stderr.split(`others on this machine may write to ${folder}: chmod go-w '${folder}'`)).toHaveLength(2);
  }
  expect((await world.imprint(vic, shop, "doctor")).stdout).toContain(`chmod -R go-w '${folder}'`);
  chmodSync(folder, 0o755);
  expect((await world.imprint(vic, shop, "list")).stderr).not.toContain("others on this machine");
});

it("M3 a key file, a passphrase file or a token file that others may read or write is not used", async () => {
  const alice = world.person("alice");
  const key = path.join(alice.home, ".config", "imprint", "keys", "alice.daily.json");
  for (const mode of [0o644, 0o620, 0o602, 0o640]) {
    chmodSync(key, mode);
    const { code, stderr } = await world.imprint(alice, greet("1.0.0"), "publish");
    expect([code, stderr]).toEqual([3, expect.stringMatching(/LOOSE_FILE/)]);
    expect(stderr).toContain(`chmod 600 '${key}'`);
  }
  chmodSync(key, 0o600);
  const secret = path.join(world.folder, "secret");
  writeFileSync(secret, "alice's passphrase\n", { mode: 0o600 });
  const withFile = (version: string): ReturnType<People["sh"]> =>
    world.sh(alice, greet(version), process.execPath, [BIN, "publish"], { IMPRINT_PASSPHRASE_FILE: secret });
  chmodSync(secret, 0o644);
  expect((await withFile("1.0.0")).stderr).toMatch(/LOOSE_FILE/);
  chmodSync(secret, 0o600);
  expect((await withFile("1.0.0")).code).toBe(0);
  // A pipe has no name for others to read it by.
  const piped = await world.sh(alice, greet("1.1.0"), "bash", [
    "-c",
    `env IMPRINT_PASSPHRASE_FILE=<(cat '${secret}') '${process.execPath}' '${BIN}' publish`,
  ]);
  expect([piped.code, piped.stderr]).toEqual([0, expect.stringMatching(/read back as a stranger would/)]);
  const shop = world.folderOf("token-shop", { "package.json": { name: "shop", private: true } });
  expect((await world.imprint(alice, shop, "add", address, "--yes")).code).toBe(0);
  const tokens = path.join(world.folder, "tokens");
  writeFileSync(tokens, `${"t".repeat(32)}\n`, { mode: 0o644 });
  const served = await world.imprint(alice, shop, "serve", "--port", "0", "--token-file", tokens);
  expect([served.code, served.stderr]).toEqual([3, expect.stringMatching(/others may read it.*\n.*LOOSE_FILE/)]);
});

it("B3 a secret in the environment: run and publish name it and the better way; what they start is given none", async () => {
  const eve = world.person("eve");
  await world.init(eve, "@eve/*");
  const spoken = { IMPRINT_PASSPHRASE: "eve's passphrase", IMPRINT_GIT_TOKEN: "git.example.org=t0ken", IMPRINT_KEY: "k3y" };
  const names = /IMPRINT_(?:PASSPHRASE|GIT_TOKEN|KEY) is in the environment, where every program of yours can read it: /gu;
  const show = "console.log(Object.keys(process.env).filter((name) => /^IMPRINT_/.test(name)).join())";
  const shop = world.folderOf("eves-shop", { "package.json": { name: "shop", private: true } });
  expect((await world.imprint(eve, shop, "add", address, "--yes")).code).toBe(0);
  const run = await world.sh(eve, shop, process.execPath, [BIN, "run", "--port", "0", "node", "-e", show], spoken);
  expect([run.code, run.stdout, run.stderr.match(names)]).toEqual([0, "IMPRINT_REGISTRY\n", expect.objectContaining({ length: 3 })]);
  const built = world.folderOf("eves-x", {
    "package.json": { name: "@eve/x", version: "1.0.0", main: "i.js", scripts: { prepack: `node -e '${show}'` } },
    "i.js": "1;\n",
  });
  for (const words of [["publish"], ["publish", "--workspaces", "--dry-run"]]) {
    const published = await world.sh(eve, built, process.execPath, [BIN, ...words], spoken);
    expect([words, published.stderr.match(names)]).toEqual([words, expect.objectContaining({ length: 3 })]);
    expect(published.stderr).not.toMatch(/^\s*IMPRINT_[A-Z_,]+$/mu);
  }
  for (const words of [
    ["run", "--port", "0", "node", "-p", "1"],
    ["publish", built, "--dry-run"],
  ])
    expect((await world.imprint(eve, shop, ...words)).stderr).not.toMatch(names);
});

it("M3 a resolver's secret that others may read proves nothing, and a signing key that they may read is made anew", async () => {
  const wes = world.person("wes");
  const shop = world.folderOf("wess-shop", { "package.json": { name: "shop", private: true } });
  expect((await world.imprint(wes, shop, "add", address, "--yes")).code).toBe(0);
  const state = path.join(wes.home, ".local", "share", "imprint", "v1");
  mkdirSync(path.join(state, "resolvers"), { recursive: true });
  writeFileSync(path.join(state, "resolvers", "4870.json"), JSON.stringify({ port: 4870, pid: 1, secret: "0".repeat(64) }), {
    mode: 0o644,
  });
  const key = path.join(state, "bridge-key.pem");
  writeFileSync(key, "known to others", { mode: 0o644 });
  const script =
    "fetch(process.env.npm_config_registry + '@alice%2fgreet').then((r) => r.json()).then((d) => console.log(d.versions['1.0.0'].dist.signatures.length))";
  const ran = await world.imprint(wes, shop, "run", "--port", "0", "node", "-e", script);
  expect([ran.code, ran.stdout.trim()]).toEqual([0, "1"]);
  expect(lstatSync(key).mode & 0o777).toBe(0o600);
});
