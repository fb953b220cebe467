/** `search`, `view` and `sync` as people type them. */
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Version } from "../../src/format/versions.ts";
import { imprintIn, type Ran } from "./in-process.ts";
import { type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let alice: TestIndex;
let shop: string;

beforeAll(async () => {
  w = await world({ startMs: Date.now() - 40 * 86_400_000 });
  alice = await w.index("alice");
  await alice.publish("@alice/greet", "1.0.0", { packageJson: { description: "says \u001b[31mhello", keywords: ["polite"] } });
  await alice.publish("@alice/greet", "1.1.0", {
    packageJson: {
      description: "says hello twice",
      license: "MIT",
      dependencies: { "@alice/base": "^1.0.0", react: "^19.0.0", "@mycorp/x": "1", alias: "npm:@alice/base@1", forked: "github:x/forked" },
      peerDependencies: { typescript: "*" },
    },
  });
  await alice.publish("@alice/greet", "2.0.0", { tag: "beta" });
  await alice.amend("@alice/greet", () => ({
    yanked: new Map([["1.0.0" as Version, "slow"]]),
    deprecated: new Map([["1.1.0" as Version, "use 2"]]),
  }));
  await alice.publish("@alice/base", "1.0.0");
  await w.upstream.publish("greeter", "1.0.0", {
    packageJson: { description: "public greeting", license: "ISC", dependencies: { "@alice/base": "1" } },
  });
  shop = await w.projectFolder("shop", { indices: { alice: { index: alice } }, upstream: { deny: ["@mycorp/*"] } });
});
afterAll(() => w.close());

const imprint = (...argv: readonly string[]): Promise<Ran> => imprintIn({ home: path.join(w.folder, "home"), cwd: shop }, ...argv);
const lines = ({ stdout }: Ran): string[] => stdout.trimEnd().split("\n");

describe("imprint search", () => {
  it("a line a package; nothing found is said; --json has it all", async () => {
    const found = await imprint("search", "twice");
    expect([found.exit, lines(found)]).toEqual([0, ["@alice/greet@1.1.0  alice  says hello twice"]]);
    expect(lines(await imprint("search", "nobody", "has", "this"))).toEqual(["nothing found"]);
    const json = JSON.parse((await imprint("search", "alice", "--size", "1", "--json")).stdout) as Record<string, unknown>;
    expect(json).toMatchObject({ total: 2, hits: [{ source: "alice" }], public: null });
    expect(lines(await imprint("search", "alice", "--size", "1"))[1]).toBe("1 of 2; --size and --from show others");
  });

  it("wrong sizes are usage", async () => {
    for (const size of ["0", "251", "x"]) expect((await imprint("search", "x", "--size", size)).exit).toBe(2);
  });

  it("X6 --public shows what would really come from there, and asks nothing that holds a claimed or denied name", async () => {
    const asked: string[] = [];
    w.upstream.intercept = (request, response) => {
      asked.push(request.url ?? "");
      const objects = ["greeter", "@alice/evil", "@mycorp/x", "../x"].map((name) => ({
        package: { name, version: "1.0.0", description: "d\u001b[0m" },
      }));
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ objects: [...objects, 1, {}], total: 4 }));
      return true;
    };
    try {
      const found = await imprint("search", "greet", "--public");
      expect(lines(found)).toEqual(["@alice/greet@1.1.0  alice  says hello twice", "greeter@1.0.0  public registry  d [0m"]);
      expect(asked).toEqual(["/-/v1/search?text=greet&size=20"]);
      for (const text of ["@alice/greet", "alice", "scope:alice", "@mycorp/x"]) {
        const refused = await imprint("search", text, "--public");
        expect([refused.exit, refused.stderr]).toEqual([0, expect.stringMatching(/not asked for that/)]);
      }
      expect(asked).toHaveLength(1);
    } finally {
      w.upstream.intercept = null;
    }
    w.upstream.down();
    const alone = await imprint("search", "greet", "--public");
    w.upstream.up();
    expect([alone.exit, alone.stderr, lines(alone)[0]]).toEqual([
      0,
      expect.stringMatching(/no public results/),
      expect.stringMatching(/greet/),
    ]);
  });
});

describe("imprint view", () => {
  it("an author's package: versions, tags, signers, and where each dependency would come from", async () => {
    const seen = await imprint("view", "@alice/greet");
    expect(seen.exit).toBe(0);
    expect(lines(seen)).toEqual([
      "@alice/greet@1.1.0 from alice · MIT",
      "says hello twice",
      expect.stringMatching(/^integrity {2}sha512-/),
      expect.stringMatching(/^signed by {2}ed25519:/),
      expect.stringMatching(/^size {2}\d+ bytes packed, \d+ unpacked$/),
      "tags  beta → 2.0.0, latest → 1.1.0",
      "versions",
      expect.stringMatching(/^ {2}2\.0\.0 {2}\d{4}-.*Z$/),
      expect.stringMatching(/^ {2}1\.1\.0 {2}\d{4}-.*Z {2}deprecated: use 2$/),
      expect.stringMatching(/^ {2}1\.0\.0 {2}\d{4}-.*Z {2}yanked: slow$/),
      "dependencies",
      "  @alice/base ^1.0.0  alice",
      "  @mycorp/x 1  denied",
      "  alias npm:@alice/base@1  alice",
      "  forked github:x/forked  not from a registry",
      "  react ^19.0.0  the public registry",
      "  typescript *  the public registry (peer)",
    ]);
  });

  it("a version, a tag, and none of them", async () => {
    expect(lines(await imprint("view", "@alice/greet@beta"))[0]).toBe("@alice/greet@2.0.0 from alice");
    const old = await imprint("view", "@alice/greet@1.0.0");
    expect(lines(old)[1]).toBe("says  [31mhello");
    for (const spec of ["@alice/greet@9.9.9", "@alice/nothing"]) {
      const refused = await imprint("view", spec);
      expect([refused.exit, refused.stderr]).toEqual([1, expect.stringMatching(/NOT_FOUND/)]);
    }
    expect((await imprint("view", "@alice/greet@")).exit).toBe(2);
    expect((await imprint("view", "@mycorp/x")).stderr).toMatch(/DENIED/);
  });

  it("a public package: a dependency on a claimed name comes from its index", async () => {
    const seen = await imprint("view", "greeter", "--json");
    expect(JSON.parse(seen.stdout)).toMatchObject({
      name: "greeter",
      source: "upstream",
      tags: { latest: "1.0.0" },
      versions: [{ version: "1.0.0", state: "ok", time: "2020-01-02T00:00:00.000Z" }],
      shown: { version: "1.0.0", license: "ISC", signers: [], dependencies: [{ name: "@alice/base", source: "alice" }] },
    });
    expect((await imprint("view", "greeter@2")).stderr).toMatch(/NOT_FOUND/);
    expect((await imprint("view", "no-such-thing")).stderr).toMatch(/NOT_FOUND/);
  });
});
