/** Consumers anywhere: an index on a real nginx over TLS, no network at all, a folder restored on another machine. */
import { once } from "node:events";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { BIN, npmOf, type Outcome, type People, people, type Person } from "../support/people.ts";
import { type ForwardProxy, startForwardProxy } from "../support/forward-proxy.ts";
import { layOut, type Nginx, startNginx } from "../support/static-host.ts";
import { makePackage } from "../support/tarball.ts";
import { startUpstream, type TestUpstream } from "../support/upstream.ts";

let world: People;
let nginx: Nginx;
let upstream: TestUpstream;
let alice: Person;
let index: { readonly url: string; readonly id: string; readonly address: string; readonly clone: string };
/** `sparse+https://…/alice/#<id>` */
let sparse: string;
let env: NodeJS.ProcessEnv;
const npm = npmOf(11);

const imprint = (who: Person, cwd: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Outcome> =>
  world.sh(who, cwd, process.execPath, [BIN, ...args], { ...env, ...more });
/** What a folder on a web server is after an author's upload. */
const upload = (): void => layOut(world.hosted("alice/index.git"), path.join(nginx.www, "alice"));

async function release(name: string, version: string): Promise<void> {
  const tarball = await makePackage({ name, version }, { "i.js": "" });
  const file = `${name.replace("@", "").replace("/", "-")}-${version}.tgz`;
  mkdirSync(path.join(nginx.www, "t"), { recursive: true });
  writeFileSync(path.join(nginx.www, "t", file), tarball);
  const published = await imprint(alice, index.clone, ["publish", path.join(nginx.www, "t", file), "--index", index.clone]);
  expect(published).toMatchObject({ code: 0 });
  upload();
}

/** A project with that index, and with the test registry behind it. */
async function shopOf(name: string, who: Person, address = sparse): Promise<string> {
  const shop = world.folderOf(name, { "package.json": { name: "shop", version: "1.0.0", private: true } });
  expect(await imprint(who, shop, ["add", address, "--yes"])).toMatchObject({ code: 0 });
  const file = path.join(shop, "imprint.json");
  const project = JSON.parse(readFileSync(file, "utf8")) as { upstream: { registry?: string } };
  project.upstream.registry = upstream.url;
  writeFileSync(file, JSON.stringify(project, null, 2));
  return shop;
}

function asked(): readonly string[] {
  const lines = readFileSync(nginx.log, "utf8").split("\n");
  writeFileSync(nginx.log, "");
  return lines.flatMap((line) => /"GET (\S+) [^"]*" (\d+)/.exec(line)?.slice(1).join(" ") ?? []);
}

beforeAll(async () => {
  world = await people();
  [nginx, upstream] = await Promise.all([startNginx(path.join(world.folder, "nginx")), startUpstream()]);
  env = { NODE_EXTRA_CA_CERTS: nginx.ca, IMPRINT_ALLOW_PRIVATE: "localhost" };
  alice = world.person("alice");
  index = await world.init(alice, "@alice/*");
  sparse = `sparse+${nginx.base}alice/#${index.id}`;
  await upstream.publish("left-padder", "1.0.0");
  await release("@alice/greet", "1.0.0");
  expect(await imprint(alice, index.clone, ["root", "tarballs", `${nginx.base}t/{file}`, "--index", index.clone])).toMatchObject({
    code: 0,
  });
  await release("@alice/other", "1.0.0");
});
afterAll(async () => {
  await Promise.all([nginx?.close(), upstream?.close()]);
  await world?.close();
});

describe("an index on nginx", () => {
  it("serves a whole consumer: add, list, sync, why, run, audit, verify with tarballs; then only the checkpoint is asked for", async () => {
    const carol = world.person("carol");
    const shop = await shopOf("nginx-shop", carol);
    expect(JSON.parse(readFileSync(path.join(shop, "imprint.json"), "utf8"))).toMatchObject({
      indices: { alice: { urls: [sparse.split("#")[0]], packages: ["@alice/*"] } },
    });
    expect((await imprint(carol, shop, ["list"])).stdout).toMatch(/^alice +@alice\/\*/);
    const installed = await imprint(carol, shop, ["run", ...npm, "install", "@alice/greet", "left-padder"]);
    expect(installed).toMatchObject({ code: 0 });
    expect((await imprint(carol, shop, ["why", "@alice/greet"])).stdout).toMatch(/1\.0\.0 ok · signed by ed25519:/);
    expect((await imprint(carol, shop, ["audit"])).stdout).toMatch(/✓ alice 1 signed/);
    const verified = await imprint(carol, shop, ["verify", sparse, "--tarballs"]);
    expect(verified).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/2 packages, 2 releases, \d+ signatures, 2 tarballs, all good/),
    });
    asked();
    expect(await imprint(carol, shop, ["sync"])).toMatchObject({ code: 0 });
    expect(asked().map((line) => line.replace(/ \d+$/, ""))).toEqual(["/alice/checkpoint.json"]);
    await release("@alice/greet", "1.1.0");
    expect((await imprint(carol, shop, ["sync"])).stderr).toMatch(/alice has news/);
    expect((await imprint(carol, shop, ["why", "@alice/greet"])).stdout).toMatch(/1\.1\.0 ok/);
  });

  it("H1 a directory, a missing file and a page of HTML are named as missing", async () => {
    const dora = world.person("dora");
    const shop = world.folderOf("h1-shop", { "package.json": {} });
    mkdirSync(path.join(nginx.www, "html"), { recursive: true });
    writeFileSync(path.join(nginx.www, "html", "checkpoint.json"), "<html>login</html>");
    for (const place of ["nowhere", "html"]) {
      const added = await imprint(dora, shop, ["add", `sparse+${nginx.base}${place}/#${index.id}`, "--yes"]);
      expect(added).toMatchObject({ code: 3, stderr: expect.stringMatching(/checkpoint\.json is missing[^]*NOT_AN_INDEX/) });
    }
    const verified = await imprint(dora, shop, ["verify", `sparse+${nginx.base}alice/#${"0".repeat(64)}`]);
    expect(verified).toMatchObject({ code: 4, stderr: expect.stringContaining("WRONG_ID") });
  });

  it("T6 verify looks at what the host has, not at what was kept of it: a file that is gone is named", async () => {
    const carol = world.person("carol");
    const shop = await shopOf("verify-shop", carol);
    expect(await imprint(carol, shop, ["run", ...npm, "install", "@alice/other"])).toMatchObject({ code: 0 });
    const files = readdirSync(path.join(nginx.www, "alice", "packages"), { recursive: true, encoding: "utf8" });
    const file = path.join(nginx.www, "alice", "packages", files.find((name) => name.endsWith("@alice+other/1.0.0.json")) ?? "");
    const bytes = readFileSync(file);
    rmSync(file);
    const verified = await imprint(carol, shop, ["verify", sparse]);
    expect(verified).toMatchObject({ code: 4, stderr: expect.stringMatching(/@alice\+other\/1\.0\.0\.json \(reading 6\).*MISSING_FILE/) });
    // Whoever read it before goes on.
    expect((await imprint(carol, shop, ["why", "@alice/other"])).stdout).toMatch(/1\.0\.0 ok/);
    writeFileSync(file, bytes);
  });

  it("T9 a first address that says nothing keeps no command from ending", async () => {
    const silent = createServer((socket) => void socket.on("error", () => undefined)).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    try {
      const carol = world.person("carol");
      const shop = await shopOf("silent-shop", carol);
      const file = path.join(shop, "imprint.json");
      const text = readFileSync(file, "utf8");
      for (const dead of [`sparse+http://127.0.0.1:${port}/`, `http://127.0.0.1:${port}/x.git`]) {
        writeFileSync(file, text.replace('"urls": [', `"urls": [ "${dead}",`));
        const started = performance.now();
        const synced = await imprint(carol, shop, ["sync"]);
        expect(synced).toMatchObject({ code: 0, stderr: expect.stringContaining(`alice at ${dead}: Cannot wait for it any longer`) });
        expect(performance.now() - started).toBeLessThan(25_000);
      }
    } finally {
      silent.close();
    }
  });

  it("without a certificate that is trusted nothing is read", async () => {
    const dora = world.person("dora");
    const shop = world.folderOf("tls-shop", { "package.json": {} });
    const added = await imprint(dora, shop, ["add", sparse, "--yes"], { NODE_EXTRA_CA_CERTS: "" });
    expect(added).toMatchObject({
      code: 5,
      stderr: expect.stringMatching(/\([A-Z_]+; an authority of your own goes into NODE_EXTRA_CA_CERTS\)\n.*UNREACHABLE/),
    });
  });

  it("B2 tarballs in git need a git address: said plainly, and enough is to add one", async () => {
    const bob = world.person("bob");
    const bobs = await world.init(bob, "@bob/*");
    const folder = world.folderOf("bob-pkg", { "package.json": { name: "@bob/x", version: "1.0.0" } });
    expect(await imprint(bob, folder, ["publish"])).toMatchObject({ code: 0 });
    layOut(world.hosted("bob/index.git"), path.join(nginx.www, "bob"));
    const erin = world.person("erin");
    const shop = await shopOf("git-tarballs", erin, `sparse+${nginx.base}bob/#${bobs.id}`);
    const refused = await imprint(erin, shop, ["run", ...npm, "install", "@bob/x"]);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/keeps tarballs in git, and imprint\.json has no git address/);
    expect(await imprint(erin, shop, ["add", bobs.address, "--yes"])).toMatchObject({ code: 0 });
    expect(await imprint(erin, shop, ["run", ...npm, "install", "@bob/x"])).toMatchObject({ code: 0 });
  });
});

describe("behind a proxy", () => {
  let proxy: ForwardProxy;
  let behind: NodeJS.ProcessEnv;
  /** As only the proxy knows nginx. */
  let far: string;
  beforeAll(async () => {
    proxy = await startForwardProxy();
    behind = { HTTPS_PROXY: proxy.url };
    far = nginx.base.replace("localhost", "static.invalid");
  });
  afterAll(() => proxy.close());

  it("an index and its tarballs on a host whose name only the proxy knows: published, read back, added, installed, verified", async () => {
    const zoe = world.person("zoe");
    const { id, clone } = await world.init(zoe, "@zoe/*");
    expect(await imprint(zoe, clone, ["root", "tarballs", `${far}t/{file}`, "--index", clone])).toMatchObject({ code: 0 });
    const tarball = path.join(nginx.www, "t", "zoe-x-1.0.0.tgz");
    writeFileSync(tarball, await makePackage({ name: "@zoe/x", version: "1.0.0" }));
    const published = await imprint(zoe, clone, ["publish", tarball, "--index", clone], behind);
    expect(published).toMatchObject({ code: 0, stderr: expect.stringMatching(/read back as a stranger would: signature, tarball/) });
    layOut(world.hosted("zoe/index.git"), path.join(nginx.www, "zoe"));
    const yan = world.person("yan");
    const shop = world.folderOf("proxied-shop", { "package.json": { name: "shop", version: "1.0.0", private: true } });
    const address = `sparse+${far}zoe/#${id}`;
    expect(await imprint(yan, shop, ["add", address, "--yes"])).toMatchObject({ code: 5, stderr: expect.stringMatching(/UNREACHABLE/) });
    expect(await imprint(yan, shop, ["add", address, "--yes"], behind)).toMatchObject({ code: 0 });
    proxy.seen.length = 0;
    const installed = await imprint(yan, shop, ["run", ...npm, "install", "@zoe/x"], behind);
    expect([installed.code, installed.stderr]).toEqual([0, expect.any(String)]);
    expect(new Set(proxy.seen)).toEqual(new Set([`CONNECT ${new URL(far).host}`]));
    const verified = await imprint(yan, shop, ["verify", address, "--tarballs"], behind);
    expect(verified).toMatchObject({ code: 0, stdout: expect.stringMatching(/1 tarballs?, all good/) });
  });

  it("a proxy that refuses, is not there, or is none: one line that names the host, or the setting", async () => {
    const will = world.person("will");
    const shop = world.folderOf("refused-shop", { "package.json": {} });
    const refusing = await startForwardProxy({ refuse: 407 });
    onTestFinished(() => refusing.close());
    for (const [setting, code, words] of [
      [refusing.url, 5, /407[^]*UNREACHABLE/],
      ["http://127.0.0.1:1", 5, /Cannot [^\n]*static\.invalid[^\n]*\n[^\n]*UNREACHABLE/],
      ["gopher://proxy", 3, /HTTPS_PROXY or ALL_PROXY names: it is no address of one/],
    ] as const) {
      const added = await imprint(will, shop, ["add", `sparse+${far}alice/#${index.id}`, "--yes"], { HTTPS_PROXY: setting });
      expect([setting, added.code, added.stderr]).toEqual([setting, code, expect.stringMatching(words)]);
    }
  });
});

describe("--offline", () => {
  it("T4 M2 a warm cache installs with every host gone; on another machine, too, with the secret that vouches for it; what is not there is refused at once", async () => {
    const frank = world.person("frank");
    const home = path.join(world.folder, "frank-imprint");
    const shop = await shopOf("offline-shop", frank);
    const warm = await imprint(frank, shop, ["run", ...npm, "install", "@alice/greet", "left-padder"], { IMPRINT_HOME: home });
    expect(warm).toMatchObject({ code: 0 });

    const grace = world.person("grace");
    const restored = path.join(world.folder, "grace-imprint");
    const elsewhere = path.join(world.folder, "offline-elsewhere");
    cpSync(home, restored, { recursive: true });
    cpSync(shop, elsewhere, { recursive: true });
    rmSync(path.join(elsewhere, "node_modules"), { recursive: true });
    asked();
    upstream.down();
    const gitAsked = world.host.requests.length;
    const upstreamAsked = upstream.requests.length;
    try {
      const machine = { IMPRINT_HOME: restored };
      // Without it, what no signature proves could be anybody's; what one proves installs.
      const unproven = await imprint(grace, elsewhere, ["--offline", "run", ...npm, "ci"], machine);
      expect([unproven.code, unproven.stderr]).toEqual([expect.any(Number), expect.stringMatching(/✗ left-padder: .*\(OFFLINE/)]);
      expect(unproven.code).not.toBe(0);
      expect(unproven.stderr).not.toMatch(/✗ @alice\/greet/);
      const secret = path.join(".local", "share", "imprint", "v1", "machine-secret");
      cpSync(path.join(frank.home, secret), path.join(grace.home, secret));
      const installed = await imprint(grace, elsewhere, ["--offline", "run", ...npm, "ci"], machine);
      expect(installed).toMatchObject({ code: 0 });
      for (const name of ["@alice/greet", "left-padder"])
        expect(JSON.parse(readFileSync(path.join(elsewhere, "node_modules", name, "package.json"), "utf8"))).toMatchObject({
          version: expect.any(String),
        });
      expect(installed.stderr).not.toMatch(/slow|OFFLINE/);
      expect(await imprint(grace, elsewhere, ["audit", "--frozen"], { ...machine, IMPRINT_OFFLINE: "1" })).toMatchObject({ code: 0 });

      for (const name of ["@alice/other", "right-padder"]) {
        const started = performance.now();
        const refused = await imprint(grace, elsewhere, ["run", "--offline", ...npm, "install", name], machine);
        expect(refused.code).not.toBe(0);
        expect(refused.stderr).toMatch(new RegExp(`✗ ${name}: .*\\(OFFLINE`));
        expect(performance.now() - started).toBeLessThan(30_000);
      }
      const never = await imprint(grace, elsewhere, ["--offline", "run", ...npm, "ci"], { IMPRINT_HOME: path.join(world.folder, "empty") });
      expect(never).toMatchObject({ code: 5, stderr: expect.stringMatching(/OFFLINE; next:/) });
      for (const words of [["sync"], ["add", sparse, "--yes"], ["verify", index.url], ["verify", sparse.split("#")[0] ?? ""]])
        expect(await imprint(grace, elsewhere, ["--offline", ...words], machine)).toMatchObject({
          code: 5,
          stderr: expect.stringContaining("OFFLINE"),
        });
    } finally {
      upstream.up();
    }
    expect([asked(), world.host.requests.length - gitAsked, upstream.requests.length - upstreamAsked]).toEqual([[], 0, 0]);
  });

  it.each(["system", "isomorphic"])("an index in git, %s, too: what was read installs, what was not is OFFLINE", async (kind) => {
    const heidi = world.person(`heidi-${kind}`);
    env["IMPRINT_GIT"] = kind;
    onTestFinished(() => void delete env["IMPRINT_GIT"]);
    const shop = await shopOf(`offline-${kind}`, heidi, index.address);
    expect(await imprint(heidi, shop, ["run", ...npm, "install", "@alice/greet"])).toMatchObject({ code: 0 });
    rmSync(path.join(shop, "node_modules"), { recursive: true });
    const before = world.host.requests.length;
    expect(await imprint(heidi, shop, ["--offline", "run", ...npm, "ci"])).toMatchObject({ code: 0 });
    const refused = await imprint(heidi, shop, ["--offline", "run", ...npm, "install", "@alice/other"]);
    expect(refused.stderr).toMatch(/✗ @alice\/other: .*\(OFFLINE/);
    expect(world.host.requests.length).toBe(before);
  });
});

describe("set-url", () => {
  it("moves an index from git to static files and back, checked first, and prints what changed", async () => {
    const ivan = world.person("ivan");
    const shop = await shopOf("moving", ivan, index.address);
    const file = path.join(shop, "imprint.json");
    const urlsOf = (): unknown => (JSON.parse(readFileSync(file, "utf8")) as { indices: { alice: { urls: unknown } } }).indices.alice.urls;
    const moved = await imprint(ivan, shop, ["set-url", "alice", sparse, index.url]);
    expect(moved).toMatchObject({ code: 0, stderr: expect.stringMatching(/\+ sparse\+https:[^]*✓ imprint\.json/) });
    expect(urlsOf()).toEqual([sparse.split("#")[0], index.url]);
    expect(await imprint(ivan, shop, ["run", ...npm, "install", "@alice/other"])).toMatchObject({ code: 0 });

    const before = readFileSync(file, "utf8");
    const dead = `sparse+${nginx.base.replace(/:\d+\/$/, ":1/")}`;
    for (const [words, code, what] of [
      [[`${index.url}#${"0".repeat(64)}`], 4, "WRONG_ID"],
      [[dead], 5, "UNREACHABLE"],
      [[index.url, dead], 5, "UNREACHABLE"],
      [["ext::sh -c date"], 2, "INVALID_URL"],
    ] as const)
      expect(await imprint(ivan, shop, ["set-url", "alice", ...words])).toMatchObject({ code, stderr: expect.stringContaining(what) });
    expect(await imprint(ivan, shop, ["set-url", "bob", index.url])).toMatchObject({ code: 1 });
    // Another index at the new address, and an older state of this one.
    layOut(world.hosted("bob/index.git"), path.join(nginx.www, "imposter"));
    cpSync(path.join(nginx.www, "alice"), path.join(nginx.www, "old"), { recursive: true });
    await release("@alice/greet", "2.0.0");
    expect(await imprint(ivan, shop, ["sync"])).toMatchObject({ code: 0 });
    for (const [place, what] of [
      ["imposter", "WRONG_ID"],
      ["old", "ROLLBACK"],
    ] as const)
      expect(await imprint(ivan, shop, ["set-url", "alice", `sparse+${nginx.base}${place}/`])).toMatchObject({
        code: 4,
        stderr: expect.stringContaining(what),
      });
    expect(readFileSync(file, "utf8")).toBe(before);
    expect(await imprint(ivan, shop, ["set-url", "alice", index.address])).toMatchObject({ code: 0 });
    expect(urlsOf()).toEqual([index.url]);
  });
});
