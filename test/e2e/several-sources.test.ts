/** X7 agreed and overlaid packages, installed by a real npm at a terminal. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BIN, npmOf, type Outcome, type People, people, type Person } from "../support/people.ts";
import { startUpstream, type TestUpstream } from "../support/upstream.ts";

let world: People;
let upstream: TestUpstream;
let carol: Person;
let alice: Person;
let bob: Person;
let shop: string;
const [node, npm] = npmOf(11);

beforeAll(async () => {
  [world, upstream] = [await people(), await startUpstream()];
  [alice, bob, carol] = [world.person("alice"), world.person("bob"), world.person("carol")];
  const [ofAlice, ofBob] = [await world.init(alice, "*"), await world.init(bob, "*")];
  // One tarball, which both of them looked at; and a patch that alice lays over what is public.
  for (const who of [alice, bob]) await publish(who, "shared", "1.0.0", "agreed");
  await publish(alice, "patched", "1.1.0", "alice");
  for (const name of ["shared", "patched"]) await upstream.publish(name, "9.0.0", { files: { "i.js": "module.exports = 'public';\n" } });
  for (const version of ["1.0.0", "1.1.0"])
    await upstream.publish("patched", version, { packageJson: { main: "i.js" }, files: { "i.js": "module.exports = 'public';\n" } });
  shop = world.folderOf("shop", {
    "package.json": { name: "shop", version: "1.0.0", private: true },
    "imprint.json": {
      format: 1,
      indices: {
        alice: { id: ofAlice.id, urls: [ofAlice.url], packages: ["patched"] },
        bob: { id: ofBob.id, urls: [ofBob.url], packages: [] },
      },
      upstream: { registry: upstream.url },
      agree: { names: ["shared"], of: ["alice", "bob"], threshold: 2 },
      overlay: ["patched"],
    },
  });
  expect((await world.imprint(carol, shop, "sync")).code).toBe(0);
});
afterAll(async () => {
  await upstream.close();
  await world.close();
});

async function publish(who: Person, name: string, version: string, says: string): Promise<void> {
  const folder = world.folderOf(`${who.name}-${name}-${version}`, {
    "package.json": { name, version, main: "i.js" },
    "i.js": `module.exports = '${says}';\n`,
  });
  const { code, stderr } = await world.imprint(who, folder, "publish");
  expect([code, stderr]).toEqual([0, expect.any(String)]);
}

const run = (...words: readonly string[]): Promise<Outcome> =>
  world.sh(carol, shop, node, [BIN, "run", node, npm, ...words], { NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" });
const installed = (name: string, of: "version" | "text"): string =>
  of === "text"
    ? readFileSync(path.join(shop, "node_modules", name, "i.js"), "utf8")
    : (JSON.parse(readFileSync(path.join(shop, "node_modules", name, "package.json"), "utf8")) as { version: string }).version;

it("X7 npm install takes what both agree on, the patch over the public versions, and a public version beside it", async () => {
  const first = await run("install", "shared", "patched");
  expect([first.code, first.stderr]).toEqual([0, expect.any(String)]);
  expect([installed("shared", "version"), installed("shared", "text")]).toEqual(["1.0.0", "module.exports = 'agreed';\n"]);
  expect([installed("patched", "version"), installed("patched", "text")]).toEqual(["1.1.0", "module.exports = 'alice';\n"]);
  expect((await run("install", "patched@1.0.0")).code).toBe(0);
  expect(installed("patched", "text")).toBe("module.exports = 'public';\n");
  expect((await run("install", "patched@1.1.0")).code).toBe(0);
  expect(upstream.requests.filter(({ path: asked }) => asked.includes("shared"))).toEqual([]);
});

it("X7 npm ci installs them again, and imprint audit holds the lockfile against both", async () => {
  rmSync(path.join(shop, "node_modules"), { recursive: true });
  rmSync(path.join(carol.home, "npm-cache"), { recursive: true });
  expect((await run("ci")).code).toBe(0);
  expect(existsSync(path.join(shop, "node_modules", "shared", "i.js"))).toBe(true);
  const { code, stdout } = await world.imprint(carol, shop, "audit");
  expect([code, stdout]).toEqual([0, expect.stringMatching(/alice\+bob 1 signed/)]);
});

it("X7 one of them yanks, and other versions are published by one alone: a new install is refused, and says why", async () => {
  await publish(alice, "shared", "2.0.0", "alice alone");
  await publish(bob, "shared", "1.0.1", "bob alone");
  expect((await world.imprint(bob, world.folder, "yank", "shared@1.0.0", "--reason", "slow")).code).toBe(0);
  writeFileSync(path.join(shop, "package.json"), JSON.stringify({ name: "shop", private: true }));
  rmSync(path.join(shop, "package-lock.json"));
  rmSync(path.join(shop, "node_modules"), { recursive: true });
  expect((await world.imprint(carol, shop, "sync")).code).toBe(0);
  const { code, stderr } = await run("install", "shared");
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/shared: Cannot serve shared: 2 of alice, bob must agree on it .*\(NOT_AGREED\)/);
  const why = await world.imprint(carol, shop, "why", "shared");
  expect(why.stdout).toMatch(/1\.0\.0 not offered: yanked by bob \(slow\)[\s\S]*2\.0\.0 not offered: only in alice/);
});
