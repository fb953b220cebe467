/** X13: aliases in a claimed name's place, in own releases and in public packages; and what is no such thing. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { aliasTarget, oddDependencies } from "../../src/format/dependencies.ts";
import { imprintIn } from "../cli/in-process.ts";
import { type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let alice: TestIndex;
let bob: TestIndex;
let c: TestConsumer;
beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  bob = await w.index("bob");
  await bob.publish("@bob/x", "1.0.0");
  await alice.publish("@alice/evil", "1.0.0");
  await alice.publish("@alice/b", "1.0.0");
  await alice.publish("@alice/b", "1.1.0", { packageJson: { dependencies: { "@bob/x": "npm:@alice/evil@1" } } });
  await alice.publish("@alice/all", "1.0.0", { packageJson: { optionalDependencies: { "@bob/x": "npm:left-pad@1.0.0" } } });
  await alice.publish("@alice/own", "1.0.0", {
    packageJson: { dependencies: { "@alice/b": "npm:@alice/evil@1", padded: "npm:left-pad@1" } },
  });
  await w.upstream.publish("left-pad", "1.0.0");
  for (const [version, dependencies] of [
    ["1.0.0", {}],
    ["1.1.0", { "left-pad": "^1.0.0", cjs: "npm:left-pad@^1.0.0" }],
    ["1.2.0", { "@bob/x": "npm:left-pad@1" }],
    ["2.0.0", { "@alice/b": "git+https://example.org/b.git" }],
  ] as const)
    await w.upstream.publish("pub", version, { packageJson: { dependencies } });
  c = await w.consumer({ indices: { alice: { index: alice }, bob: { index: bob } } });
  await Promise.all([c.sync("alice"), c.sync("bob")]);
});
afterAll(() => w.close());

type Doc = { readonly versions: Readonly<Record<string, object>>; readonly "dist-tags": Readonly<Record<string, string>> };
const offered = async (path: string, headers = {}): Promise<readonly [readonly string[], string | undefined]> => {
  const { json } = (await c.get(path, headers)) as { readonly json: Doc };
  return [Object.keys(json.versions).toSorted(), json["dist-tags"]["latest"]];
};
const CORGI = { accept: "application/vnd.npm.install-v1+json" };

describe("X13 a version that puts an alias in a claimed name's place", () => {
  it("X13 of an author is not offered: not in either packument, not alone, not as a tarball; latest falls below it", async () => {
    for (const headers of [{}, CORGI]) expect(await offered("/@alice%2fb", headers)).toEqual([["1.0.0"], "1.0.0"]);
    expect((await c.get("/@alice%2fb/1.1.0")).status).toBe(404);
    const tarball = await c.get("/@alice/b/-/b-1.1.0.tgz");
    expect([tarball.status, tarball.json]).toMatchObject([
      403,
      { code: "RELEASE_REFUSED", error: expect.stringContaining("its dependency @bob/x is npm:@alice/evil@1, but bob answers for @bob/x") },
    ]);
    expect((await c.get("/@alice/b/-/b-1.0.0.tgz")).status).toBe(200);
  });

  it("X13 a package that has nothing else is refused, with the reason", async () => {
    const { status, json } = await c.get("/@alice%2fall");
    expect([status, json]).toMatchObject([
      403,
      { code: "RELEASE_REFUSED", error: expect.stringContaining("@bob/x is npm:left-pad@1.0.0") },
    ]);
  });

  it("X13 of the public registry is not offered either; other aliases are", async () => {
    for (const headers of [{}, CORGI]) expect(await offered("/pub", headers)).toEqual([["1.0.0", "1.1.0"], "1.1.0"]);
    expect((await c.get("/pub/1.2.0")).status).toBe(404);
    expect((await c.get("/-/package/pub/dist-tags")).json).toEqual({ latest: "1.1.0" });
    for (const version of ["1.2.0", "2.0.0"]) {
      const tarball = await c.get(`/pub/-/pub-${version}.tgz`);
      expect([tarball.status, tarball.json]).toMatchObject([403, { code: "RELEASE_REFUSED" }]);
    }
    expect((await c.get("/pub/-/pub-1.1.0.tgz")).status).toBe(200);
  });

  it("an author's alias between his own names, or in a public name's place, is his own affair", async () => {
    expect(await offered("/@alice%2fown")).toEqual([["1.0.0"], "1.0.0"]);
  });

  it("X13 why says so", async () => {
    const cwd = await w.projectFolder("why-places", { indices: { alice: { index: alice }, bob: { index: bob } } });
    const ran = await imprintIn({ home: c.home, cwd }, "sync");
    expect(ran.exit).toBe(0);
    const why = await imprintIn({ home: c.home, cwd }, "why", "@alice/b");
    expect(why.stdout).toMatch(/1\.1\.0 not offered: its dependency @bob\/x is npm:@alice\/evil@1, but bob answers for @bob\/x/);
  });
});

it("what a spec is: a range or a tag is plain, all else is odd, and an alias names what it stands for", () => {
  const odd = (spec: string): boolean => oddDependencies({ dependencies: { x: spec } }).length > 0;
  for (const plain of ["", "*", "latest", "^1.0.0", ">=1 <2 || 3.x", "1.0.0 - 2.0.0", "~1.2", "v1.0.0", "next-1", " ^1.0.0 "])
    expect([plain, odd(plain)]).toEqual([plain, false]);
  for (const spec of [
    "npm:y@1",
    "NPM:y",
    "git+ssh://h/x",
    "github:a/b",
    "a/b",
    "https://h/x.tgz",
    "file:../x",
    "./x",
    "link:x",
    "workspace:*",
    "jsr:@a/b",
  ])
    expect([spec, odd(spec)]).toEqual([spec, true]);
  const target = (spec: string): string | null => aliasTarget({ name: "x", spec });
  expect(["npm:y@1", "NPM:@s/y@^1", "npm:y", "npm:^1.0.0", "git+https://h/x", " npm:y@1 "].map(target)).toEqual([
    "y",
    "@s/y",
    "y",
    "x",
    null,
    "y",
  ]);
  for (const none of [undefined, null, [], "x", { dependencies: [] }, { dependencies: { x: 1 } }])
    expect(oddDependencies(none as never)).toEqual([]);
});
