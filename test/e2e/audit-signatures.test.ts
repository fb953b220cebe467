/** `npm audit signatures` by real npms, over a tree of an author's own packages and of a public registry's. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BIN, npmOf, type Outcome, type People, people, type Person } from "../support/people.ts";
import { writeTufStub } from "../support/tuf-stub.ts";
import { registryKey, startUpstream, type TestUpstream } from "../support/upstream.ts";

let world: People;
let upstream: TestUpstream;
let carol: Person;
let address: string;
let stub: string;
const theirs = registryKey();

beforeAll(async () => {
  [world, upstream] = [await people(), await startUpstream()];
  const alice = world.person("alice");
  carol = world.person("carol");
  ({ address } = await world.init(alice, "@alice/*"));
  const folder = world.folderOf("greet", {
    "package.json": { name: "@alice/greet", version: "1.0.0", dependencies: { signed: "^1.0.0" } },
  });
  expect((await world.imprint(alice, folder, "publish")).code).toBe(0);
  upstream.keys = { keys: [theirs.listed] };
  await upstream.publish("signed", "1.0.0", { edit: (entry) => theirs.sign(entry) });
  stub = writeTufStub(world.folderOf("stub", {}));
});
afterAll(async () => {
  await upstream.close();
  await world.close();
});

describe.each([10, 11] as const)("npm %i", (major) => {
  let shop: string;
  const [node, npm] = npmOf(major);
  const run = (...words: readonly string[]): Promise<Outcome> =>
    world.sh(carol, shop, node, [BIN, "run", node, "--require", stub, npm, ...words], { NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" });

  beforeAll(async () => {
    shop = world.folderOf(`shop-${String(major)}`, { "package.json": { name: "shop", version: "1.0.0", private: true } });
    expect((await world.imprint(carol, shop, "add", address, "--yes")).code).toBe(0);
    const file = path.join(shop, "imprint.json");
    const project = JSON.parse(readFileSync(file, "utf8")) as { upstream?: object };
    writeFileSync(file, JSON.stringify({ ...project, upstream: { allow: ["*"], deny: [], registry: upstream.url } }));
    const installed = await run("install", "@alice/greet");
    expect([installed.code, installed.stderr]).toEqual([0, expect.any(String)]);
  });

  it("verifies own packages and public ones, each with its own key", async () => {
    const { code, stdout, stderr } = await run("audit", "signatures");
    expect([code, stdout, stderr]).toEqual([0, expect.stringMatching(/2 packages have verified registry signatures/), expect.any(String)]);
  });

  it("a signature that was changed upstream is found", async () => {
    const before = upstream.packuments.get("signed");
    await upstream.publish("signed", "1.0.0", {
      edit: (entry) => {
        theirs.sign({ ...entry, dist: entry.dist, version: "1.0.1" });
      },
    });
    // The answer is a minute old at most; another machine asks anew.
    const dave = { ...carol, name: "dave", home: world.person(`dave-${String(major)}`).home };
    const { code, stdout, stderr } = await world.sh(dave, shop, node, [BIN, "run", node, "--require", stub, npm, "audit", "signatures"], {
      NO_PROXY: "127.0.0.1",
      no_proxy: "127.0.0.1",
    });
    if (before !== undefined) upstream.packuments.set("signed", before);
    expect([code, `${stdout}${stderr}`]).toEqual([
      1,
      expect.stringMatching(/1 package has an? invalid registry signature[\s\S]*signed@1\.0\.0/),
    ]);
    expect(`${stdout}${stderr}`).not.toMatch(/@alice\/greet/);
  });

  it("a public package that nobody signed is named as such, beside own ones that are", async () => {
    const before = upstream.packuments.get("signed");
    await upstream.publish("signed", "1.0.0", { edit: ({ dist }) => void delete dist.signatures });
    const erin = { ...carol, name: "erin", home: world.person(`erin-${String(major)}`).home };
    const { code, stdout, stderr } = await world.sh(erin, shop, node, [BIN, "run", node, "--require", stub, npm, "audit", "signatures"], {
      NO_PROXY: "127.0.0.1",
      no_proxy: "127.0.0.1",
    });
    if (before !== undefined) upstream.packuments.set("signed", before);
    expect([code, `${stdout}${stderr}`]).toEqual([
      1,
      expect.stringMatching(/1 package has(?: a)? missing registry signature[\s\S]*signed@1\.0\.0/),
    ]);
  });

  it("npm audit tells upstream the public names alone", async () => {
    const bodies: string[] = [];
    upstream.intercept = (request, response) => {
      if (request.method !== "POST") return false;
      request.setEncoding("utf8").on("data", (text: string) => void bodies.push(text));
      request.on("end", () => response.writeHead(200, { "content-type": "application/json" }).end("{}"));
      return true;
    };
    const { code, stdout } = await run("audit");
    upstream.intercept = null;
    expect([code, stdout]).toEqual([0, expect.stringMatching(/found 0 vulnerabilities/)]);
    expect(bodies.map((body) => JSON.parse(body) as unknown)).toEqual([{ signed: ["1.0.0"] }]);
    expect(upstream.requests.filter(({ path: asked }) => asked.includes("alice"))).toEqual([]);
  });
});
