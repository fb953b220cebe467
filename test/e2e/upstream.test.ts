/** A public registry that goes away, as people at a terminal meet it. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BIN, npmOf, type Outcome, type People, people, type Person } from "../support/people.ts";
import { startUpstream, type TestUpstream } from "../support/upstream.ts";

let world: People;
let upstream: TestUpstream;
let carol: Person;
let shop: string;
const [node, npm] = npmOf(11);

beforeAll(async () => {
  [world, upstream] = [await people(), await startUpstream()];
  const alice = world.person("alice");
  carol = world.person("carol");
  const { address } = await world.init(alice, "@alice/*");
  const folder = world.folderOf("greet", {
    "package.json": { name: "@alice/greet", version: "1.0.0", dependencies: { "is-odd": "^1.0.0" } },
  });
  expect((await world.imprint(alice, folder, "publish")).code).toBe(0);
  await upstream.publish("is-odd", "1.0.0");
  shop = world.folderOf("shop", { "package.json": { name: "shop", version: "1.0.0", private: true } });
  expect((await world.imprint(carol, shop, "add", address, "--yes")).code).toBe(0);
  const file = path.join(shop, "imprint.json");
  const project = JSON.parse(readFileSync(file, "utf8")) as object;
  writeFileSync(file, JSON.stringify({ ...project, upstream: { allow: ["*"], deny: [], registry: upstream.url } }));
});
afterAll(async () => {
  await upstream.close();
  await world.close();
});

const run = (...words: readonly string[]): Promise<Outcome> =>
  world.sh(carol, shop, node, [BIN, "run", ...words], { NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" });

it("what was installed once installs again without it: from the lockfile, and anew", async () => {
  expect((await run(node, npm, "install", "@alice/greet")).code).toBe(0);
  upstream.down();
  for (const words of [["ci"], ["install", "is-odd@^1.0.0"]]) {
    rmSync(path.join(carol.home, "npm-cache"), { recursive: true });
    rmSync(path.join(shop, "node_modules"), { recursive: true });
    const { code, stderr } = await run(node, npm, ...words);
    expect([words, code, stderr]).toEqual([words, 0, expect.any(String)]);
    expect(existsSync(path.join(shop, "node_modules", "is-odd", "package.json"))).toBe(true);
  }
  upstream.up();
});

it("one that never answers does not keep `imprint run` once its command has ended", async () => {
  let open = 0;
  upstream.intercept = () => {
    open++;
    return true;
  };
  const script = "fetch(process.env.npm_config_registry + 'silent', { signal: AbortSignal.timeout(400) }).catch(() => console.log('left'))";
  const begun = performance.now();
  const { code, stdout } = await run(node, "-e", script);
  upstream.intercept = null;
  expect([code, stdout.trim(), open]).toEqual([0, "left", 1]);
  expect(performance.now() - begun).toBeLessThan(20_000);
});
