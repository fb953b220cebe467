/** Names as npm's own registry has them, which no index could publish: answered from there, and never as anybody's claim. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { isPackageName, isPublicName } from "../../src/format/names.ts";
import { imprintIn } from "../cli/in-process.ts";
import { type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

const EXIST = [
  "@_ueberdosis/prosemirror-tables",
  "@-xun/fs",
  "@~3/svelte_mount",
  "-",
  "--hepl",
  "@a/_b",
  "it's",
  "(x)",
  "a!b",
  "@x/y~z",
  "JSONStream",
];
const NEVER = [
  "",
  ".",
  "..",
  ".x",
  "@.x/y",
  "@x/.y",
  "@x",
  "@x/",
  "a/b",
  "a b",
  "é",
  "a%b",
  "a?b",
  "a#b",
  "a\\b",
  "node_modules",
  "favicon.ico",
  "x".repeat(215),
];

let w: World;
let alice: TestIndex;
let c: TestConsumer;
beforeAll(async () => {
  w = await world();
  alice = await w.index("alice", { packages: ["*"] });
  await alice.publish("@alice/a", "1.0.0");
  for (const name of EXIST) if (!name.startsWith("-")) await w.upstream.publish(name, "1.0.0");
  c = await w.consumer({ indices: { alice: { index: alice, packages: ["@alice/*"] } } });
  await c.sync();
});
afterAll(() => w.close());

it("are read as the registry spells them, and no others", () => {
  expect(EXIST.filter((name) => !isPublicName(name))).toEqual([]);
  expect(NEVER.filter(isPublicName)).toEqual([]);
  expect(EXIST.filter(isPackageName)).toEqual(["@a/_b", "JSONStream"]);
});

it.each(["@_ueberdosis/prosemirror-tables", "@-xun/fs", "@~3/svelte_mount"])(
  "%s: packument, version, tarball, why and view",
  async (name) => {
    for (const path of [name, name.replace("/", "%2f")]) {
      const { status, json } = await c.get(`/${path}`);
      expect([status, json]).toMatchObject([200, { name }]);
    }
    expect((await c.get(`/${name}/1.0.0`)).status).toBe(200);
    expect((await c.get(`/${name}/-/${name.split("/")[1] ?? ""}-1.0.0.tgz`)).status).toBe(200);
    const cwd = await w.projectFolder(`names-${name.length}`, { indices: { alice: { index: alice, packages: ["@alice/*"] } } });
    expect((await imprintIn({ home: c.home, cwd }, "why", name)).stdout).toContain(`${name} comes from the public registry`);
  },
);

it("a claim of everything covers them, and then they are nobody's: absent, and upstream is not asked", async () => {
  const all = await w.consumer({ indices: { alice: { index: alice, packages: ["*"] } } });
  await all.sync();
  const before = w.upstream.requests.length;
  expect((await all.get("/@_ueberdosis%2fprosemirror-tables")).status).toBe(404);
  expect(w.upstream.requests.length).toBe(before);
});
