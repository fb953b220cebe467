/** Search over own indices: the HTTP route as npm's search v1, what is searched, and what never goes upstream. */
import { readFile, writeFile } from "node:fs/promises";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { textOf, utf8 } from "../../src/format/bytes.ts";
import { parseSearch } from "../../src/http/search-query.ts";
import { isTimestamp } from "../../src/format/time.ts";
import type { Version } from "../../src/format/versions.ts";
import { createSearch, type SearchStore } from "../../src/registry/search.ts";
import { reasonNotToAsk } from "../../src/registry/public-search.ts";
import { type LooseJson, type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let alice: TestIndex;
let consumer: TestConsumer;

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  const describe_ = (description: unknown, keywords: unknown = [], more: object = {}): { packageJson: Record<string, unknown> } => ({
    packageJson: { description, keywords, ...more },
  });
  await alice.publish("@alice/greet", "1.0.0", describe_("says hello", ["polite"]));
  await alice.publish(
    "@alice/greet",
    "1.1.0",
    describe_("says hello, twice", ["polite", "loud"], {
      homepage: "https://greet.example",
      repository: { type: "git", url: "git+https://git.example/greet.git" },
      bugs: "javascript:alert(1)",
      license: "MIT",
    }),
  );
  await alice.publish("@alice/farewell", "0.1.0", describe_("the opposite of greet", "bye, polite"));
  await alice.publish("@alice/yanked", "1.0.0", describe_("greet"));
  await alice.publish("@alice/yanked", "2.0.0", describe_("greet"));
  await alice.amend("@alice/yanked", () => ({ yanked: new Map([["2.0.0" as Version, "slow"]]) }));
  await alice.publish("@alice/gone", "1.0.0", describe_("greet"));
  await alice.amend("@alice/gone", () => ({ yanked: new Map([["1.0.0" as Version, ""]]) }));
  await alice.publish("@alice/odd", "1.0.0", describe_(5, [1, null, "strange"]));
  consumer = await w.consumer({ indices: { alice: { index: alice } } });
});
afterAll(() => w.close());

const names = ({ json }: { json: LooseJson }): string[] =>
  (json as { objects: { package: { name: string } }[] }).objects.map((one) => one.package.name);

describe("GET /-/v1/search", () => {
  it("by name, description and keywords, the best first, as npm's search v1", async () => {
    const found = await consumer.get("/-/v1/search?text=greet&size=20&from=0&quality=0.65&popularity=0.98&maintenance=0.5");
    expect(found.status).toBe(200);
    expect(names(found)).toEqual(["@alice/greet", "@alice/farewell", "@alice/yanked"]);
    expect(found.json).toMatchObject({ total: 3, time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) });
    const [first] = found.json.objects as { package: Record<string, unknown>; score: { final: number } }[];
    expect(first?.score.final).toBe(1);
    expect(first?.package).toEqual({
      name: "@alice/greet",
      scope: "alice",
      version: "1.1.0",
      description: "says hello, twice",
      keywords: ["polite", "loud"],
      date: expect.any(String),
      links: { homepage: "https://greet.example", repository: "https://git.example/greet" },
      author: { name: "alice" },
      publisher: { username: "alice", email: "" },
      maintainers: [{ username: "alice", email: "" }],
      license: "MIT",
    });
    expect(isTimestamp(first?.package["date"] as string)).toBe(true);
  });

  it("every word must fit; keywords: only keywords; yanked ones are passed over", async () => {
    expect(names(await consumer.get("/-/v1/search?text=hello+loud"))).toEqual(["@alice/greet"]);
    expect(names(await consumer.get("/-/v1/search?text=hello+bye"))).toEqual([]);
    expect(names(await consumer.get("/-/v1/search?text=keywords:bye,strange"))).toEqual(["@alice/farewell", "@alice/odd"]);
    expect(names(await consumer.get("/-/v1/search?text=%40ALICE"))).toHaveLength(4);
    const yanked = await consumer.get("/-/v1/search?text=yanked");
    expect(yanked.json.objects[0].package.version).toBe("1.0.0");
  });

  it("pages: size is clamped to 0–250, from leaves out, total is true", async () => {
    expect(await consumer.get("/-/v1/search?text=alice&size=0")).toMatchObject({ status: 200, json: { objects: [], total: 4 } });
    expect(names(await consumer.get("/-/v1/search?text=alice&size=1&from=1"))).toHaveLength(1);
    expect(names(await consumer.get("/-/v1/search?text=alice&from=100"))).toEqual([]);
    for (const [query, page] of [
      ["size=1000", { from: 0, size: 250 }],
      ["size=-5&from=-5", { from: 0, size: 0 }],
      ["size=many&from=1e3", { from: 0, size: 20 }],
      ["size=&from=7", { from: 7, size: 20 }],
    ] as const)
      expect(parseSearch(new URLSearchParams(`text=x&${query}`))[1]).toEqual(page);
  });

  it("without text, or with too much of it: 400", async () => {
    for (const path of ["/-/v1/search", "/-/v1/search?text=", "/-/v1/search?text=%20", `/-/v1/search?text=${"x".repeat(401)}`])
      expect(await consumer.get(path)).toMatchObject({ status: 400, json: { error: expect.stringMatching(/BAD_REQUEST/) } });
  });

  it("any query at all is answered", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary", maxLength: 60 }), fc.string(), async (text, size) => {
        const { status } = await consumer.get(`/-/v1/search?${new URLSearchParams({ text, size }).toString()}`);
        expect([200, 400]).toContain(status);
      }),
      { numRuns: 50 },
    );
  });

  it("X6 nothing of any search went upstream", () => {
    expect(w.upstream.requests).toEqual([]);
  });

  it("a new release is found, what was read before is not read again, and a broken package hides no other", async () => {
    const other = await w.index("carol");
    await other.publish("@carol/one", "1.0.0", { packageJson: { description: "first" } });
    const reader = await w.consumer({ indices: { carol: { index: other } }, syncAfterMs: 0 });
    expect(names(await reader.get("/-/v1/search?text=carol"))).toEqual(["@carol/one"]);
    const file = reader.layout.search(other.id);
    const { sealed } = w.deps({ home: reader.home, cwd: reader.home });
    const kept = textOf((await sealed.read(file, 1 << 20)) ?? new Uint8Array()) ?? "";
    await sealed.writeAtomic(file, utf8(kept.replace("first", "from the cache")));
    await other.publish("@carol/two", "1.0.0", { packageJson: { description: "second" } });
    const again = await reader.again();
    expect(names(await again.get("/-/v1/search?text=second"))).toEqual(["@carol/two"]);
    expect(names(await again.get("/-/v1/search?text=cache"))).toEqual(["@carol/one"]);
    await other.publish("@carol/three", "1.0.0", { packageJson: { description: "third" } });
    await other.flip(other.paths().find((path) => path.includes("@carol+three/1.0.0")) ?? "");
    expect(names(await again.get("/-/v1/search?text=carol"))).toEqual(["@carol/one", "@carol/two"]);
    for (const damage of ["", "{", "[]", '{"format":1,"root":1,"entries":[]}', kept.replace('"name":', '"nome":')]) {
      await sealed.writeAtomic(file, utf8(damage));
      expect(names(await (await reader.again()).get("/-/v1/search?text=first"))).toEqual(["@carol/one"]);
    }
  });

  it("M2 what somebody else has written into the cache is not found", async () => {
    const other = await w.index("dora");
    await other.publish("@dora/one", "1.0.0", { packageJson: { description: "first" } });
    const reader = await w.consumer({ indices: { dora: { index: other } } });
    expect(names(await reader.get("/-/v1/search?text=dora"))).toEqual(["@dora/one"]);
    const file = reader.layout.search(other.id);
    const written = await readFile(file, "utf8");
    await writeFile(file, written.replace("first", "evil"));
    const again = await reader.again();
    expect(names(await again.get("/-/v1/search?text=evil"))).toEqual([]);
    expect(names(await again.get("/-/v1/search?text=first"))).toEqual(["@dora/one"]);
  });

  it("what an index publishes outside its claim is not found; an unreachable index hides no other", async () => {
    const wide = await w.index("wide", { packages: ["*"] });
    await wide.publish("@alice/greet", "9.0.0", { packageJson: { description: "evil" } });
    await wide.publish("@wide/x", "1.0.0", { packageJson: { description: "good" } });
    const gone = await w.index("gone");
    gone.down();
    const reader = await w.consumer({ indices: { wide: { index: wide, packages: ["@wide/*"] }, gone: { index: gone } } });
    expect(names(await reader.get("/-/v1/search?text=evil"))).toEqual([]);
    expect(names(await reader.get("/-/v1/search?text=good"))).toEqual(["@wide/x"]);
  });
});

it("of a very large index the names are searched, and what is shown is read", async () => {
  const reader = await w.consumer({ indices: { alice: { index: alice } } });
  await reader.sync();
  const warned: string[] = [];
  const store: SearchStore = { read: async () => null, write: async () => expect.unreachable("nothing was read whole") };
  const search = createSearch({
    project: reader.project,
    indices: reader.indices,
    store,
    wallMs: Date.now,
    maxRead: 2,
    events: { progress: () => {}, warned: (alias, message) => void warned.push(`${alias} ${message}`) },
  });
  const { hits, total } = await search("greet", { from: 0, size: 20 });
  expect([total, hits.map(({ name, description }) => [name, description])]).toEqual([1, [["@alice/greet", "says hello, twice"]]]);
  expect(await search("polite", { from: 0, size: 20 })).toEqual({ hits: [], total: 0 });
  expect(warned).toEqual(["alice has 5 packages: their names are searched, not their descriptions"]);
});

describe("X6 what may be asked of the public registry", () => {
  const project = {
    upstream: { allow: ["*"], deny: ["@mycorp/*"] },
    indices: new Map([["alice", { packages: ["@alice/*", "left-padder"] }]]),
  };
  const reason = (text: string): string | null => reasonNotToAsk(project as unknown as Parameters<typeof reasonNotToAsk>[0], text);

  it.each([
    "@alice",
    "@alice/x",
    "@ALICE/x",
    "foo @alice/x",
    "alice",
    "alice/x",
    "scope:alice",
    "keywords:x,@alice/y",
    "x@alice/y",
    "@alicexyz",
  ])("not a claimed scope: %s", (text) => expect(reason(text)).toBe("alice claims @alice/*"));
  it.each(["left-padder", "left-padder-extra", "a LEFT-PADDER"])("not a claimed name: %s", (text) =>
    expect(reason(text)).toBe("alice claims left-padder"),
  );
  it("nor a denied one, nor anything where one index answers for all", () => {
    expect(reason("@mycorp/x")).toBe("imprint.json denies @mycorp/*");
    const all = { ...project, indices: new Map([["alice", { packages: ["*"] }]]) };
    expect(reasonNotToAsk(all as unknown as Parameters<typeof reasonNotToAsk>[0], "x")).toBe("alice claims every name");
  });
  it.each(["left-pad", "react", "malice", "alicent", "@bob/x"])("all else: %s", (text) => expect(reason(text)).toBeNull());
});
