/** `-g`: the user's own imprint.json, which counts where no project has one, and is never merged with a project's. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type People, people, type Person } from "../support/people.ts";

let world: People;
let alice: Awaited<ReturnType<People["init"]>>;
let eve: Awaited<ReturnType<People["init"]>>;
beforeAll(async () => {
  world = await people();
  const author = world.person("alice");
  alice = await world.init(author, "@alice/*");
  eve = await world.init(world.person("eve"), "@eve/*");
  const greet = world.folderOf("greet", { "package.json": { name: "@alice/greet", version: "1.0.0", main: "i.js" }, "i.js": "1;\n" });
  expect((await world.imprint(author, greet, "publish")).code).toBe(0);
});
afterAll(() => world.close());

const configOf = ({ home }: Person): string => path.join(home, ".config", "imprint");
const manifestIn = (folder: string): { indices: object } =>
  JSON.parse(readFileSync(path.join(folder, "imprint.json"), "utf8")) as { indices: object };

it("add -g writes the user's own files and no project's, and says what to put into ~/.npmrc", async () => {
  const carol = world.person("carol");
  const shop = world.folderOf("shop", { "package.json": { name: "shop" } });
  const added = await world.imprint(carol, shop, "add", alice.address, "--yes", "-g");
  expect([added.code, existsSync(path.join(shop, "imprint.json")), existsSync(path.join(shop, ".npmrc"))]).toEqual([0, false, false]);
  expect(Object.keys(manifestIn(configOf(carol)).indices)).toEqual(["alice"]);
  expect(added.stderr).toMatch(/npm config set registry http:\/\/127\.0\.0\.1:4870\/~[0-9a-f]{20}\/ --location=user/);
  expect(existsSync(path.join(carol.home, ".npmrc"))).toBe(false);
});

it("counts where no imprint.json is above: list, sync, why, run and a real install", async () => {
  const dave = world.person("dave");
  const nowhere = path.join(world.folder, "nowhere");
  mkdirSync(nowhere);
  expect((await world.imprint(dave, nowhere, "list")).stderr).toMatch(/CONFIG_MISSING/);
  expect((await world.imprint(dave, nowhere, "add", alice.address, "--yes", "--global")).code).toBe(0);
  expect((await world.imprint(dave, nowhere, "list")).stdout).toMatch(/^alice +@alice\/\*/);
  expect((await world.imprint(dave, nowhere, "sync", "-g")).code).toBe(0);
  expect((await world.imprint(dave, nowhere, "why", "@alice/greet")).stdout).toMatch(/comes from alice/);
  const app = world.folderOf("app", { "package.json": { name: "app" } });
  const installed = await world.imprint(dave, app, "run", "npm", "install", "@alice/greet");
  expect([installed.code, installed.stderr]).toEqual([0, expect.stringMatching(/from alice/)]);
  expect((await world.imprint(dave, app, "audit")).stdout).toMatch(/alice 1 signed/);
});

it("a project's imprint.json counts alone, -g looks past it, and remove -g leaves it", async () => {
  const erin = world.person("erin");
  const shop = world.folderOf("alone", { "package.json": { name: "alone" } });
  expect((await world.imprint(erin, shop, "add", alice.address, "--yes", "-g")).code).toBe(0);
  expect((await world.imprint(erin, shop, "add", eve.address, "--yes")).code).toBe(0);
  expect((await world.imprint(erin, shop, "list")).stdout).toMatch(/^eve [^\n]*\n$/);
  expect((await world.imprint(erin, shop, "list", "-g")).stdout).toMatch(/^alice [^\n]*\n$/);
  expect((await world.imprint(erin, shop, "why", "@alice/greet")).stdout).toMatch(/public registry/);
  expect((await world.imprint(erin, shop, "remove", "-g", "alice")).code).toBe(0);
  expect([manifestIn(configOf(erin)).indices, Object.keys(manifestIn(shop).indices)]).toEqual([{}, ["eve"]]);
});

it("add without -g outside any project writes the user's own and says which file; beside a package.json it does not", async () => {
  const frank = world.person("frank");
  const loose = path.join(world.folder, "loose");
  mkdirSync(loose);
  const added = await world.imprint(frank, loose, "add", alice.address, "--yes");
  expect([added.code, existsSync(path.join(loose, "imprint.json")), existsSync(path.join(loose, ".npmrc"))]).toEqual([0, false, false]);
  expect(added.stderr).toContain(configOf(frank));
  const shop = world.folderOf("with-package", { "package.json": { name: "with-package" }, "src/x.js": "" });
  expect((await world.imprint(frank, path.join(shop, "src"), "add", alice.address, "--yes")).code).toBe(0);
  expect([existsSync(path.join(shop, "imprint.json")), existsSync(path.join(shop, ".npmrc"))]).toEqual([true, true]);
});
