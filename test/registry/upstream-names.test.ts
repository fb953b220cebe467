/** X6, X4, X1: which names upstream ever hears. Every route that there is, in every spelling, for names that are not its own. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { CHECKPOINT_PATH, recordPath } from "../../src/format/paths.ts";
import type { PackageName } from "../../src/format/names.ts";
import { type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

/** A name each: claimed and there, claimed and missing, claimed and broken, its index never reached, introduced only to be denied, denied. */
const NAMES = ["@alice/foo", "@alice/missing", "@alice/broken", "@gone/x", "@bob/x", "@corp/tool", "internal", "exact"] as const;

let w: World;
let alice: TestIndex;
let gone: TestIndex;
let c: TestConsumer;

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice", { packages: ["@alice/*", "exact"] });
  await alice.publish("@alice/foo", "1.0.0", { packageJson: { dependencies: { "@bob/x": "^1.0.0" } } });
  await alice.publish("@alice/broken", "1.0.0");
  await alice.flip(recordPath("@alice/broken" as PackageName));
  gone = await w.index("gone");
  gone.down();
  // The public registry has them all, newer: X1.
  for (const name of NAMES) await w.upstream.publish(name, "99.0.0");
  await w.upstream.publish("lodash", "4.0.0");
  c = await w.consumer({
    indices: { alice: { index: alice, packages: ["@alice/*", "exact"] }, gone: { index: gone } },
    // An introduction that was not accepted becomes a denial.
    upstream: { deny: ["@bob/*", "@corp/*", "internal"] },
  });
});
beforeEach(() => {
  w.upstream.requests.length = 0;
});
afterAll(() => w.close());

function spellings(name: string): readonly string[] {
  if (!name.startsWith("@")) return [name];
  const [scope, base] = name.split("/") as [string, string];
  return [name, `${scope}%2f${base}`, `${scope}%2F${base}`, `%40${scope.slice(1)}%2f${base}`];
}

function routesOf(name: string): readonly (readonly [method: string, path: string, body?: string])[] {
  const base = name.split("/").at(-1) ?? "";
  const tarball = `${base}-99.0.0.tgz`;
  const gets = spellings(name).flatMap((at) => [
    `/${at}`,
    `/${at}/latest`,
    `/${at}/99.0.0`,
    `/${at}/-/${tarball}`,
    `/${at}/-/${name.split("/")[0] ?? ""}/${tarball}`,
    `/-/package/${at}/dist-tags`,
    `/-/npm/v1/attestations/${at}@99.0.0`,
    `/-/v1/search?text=${at}`,
  ]);
  const tree = { name, requires: { [name]: "*" }, dependencies: { [name]: { version: "1.0.0" } }, install: [`${name}@1.0.0`] };
  return [
    ...gets.flatMap((path) => [["GET", path] as const, ["HEAD", path] as const]),
    ["POST", "/-/npm/v1/security/advisories/bulk", JSON.stringify({ [name]: ["1.0.0"] })],
    ["POST", "/-/npm/v1/security/audits/quick", JSON.stringify(tree)],
    ["POST", "/-/npm/v1/security/audits", JSON.stringify(tree)],
  ];
}

describe("X6", () => {
  it.each(NAMES)("X6 %s: no route, spelling, form or method asks upstream for it", async (name) => {
    for (const [method, path, body] of routesOf(name)) {
      const { status } = await c.get(path, { accept: "application/json", "content-type": "application/json" }, method, body);
      expect([method, path, status, w.upstream.requests]).toEqual([method, path, status, []]);
    }
    const { status } = await c.get(`/${name}`, { accept: "application/vnd.npm.install-v1+json" });
    expect(w.upstream.requests).toEqual([]);
    expect(status).toBe({ "@alice/foo": 200, "@alice/missing": 404, "@gone/x": 503, exact: 404 }[name as string] ?? 403);
  });

  it("X6 beside public names in one request, too: upstream hears the public ones", async () => {
    const bodies: string[] = [];
    w.upstream.intercept = (request, response) => {
      if (request.method !== "POST") return false;
      request.setEncoding("utf8").on("data", (text: string) => void bodies.push(text));
      request.on("end", () => response.end("{}"));
      return true;
    };
    const body = JSON.stringify(Object.fromEntries([...NAMES, "lodash"].map((name) => [name, ["1.0.0"]])));
    await c.get("/-/npm/v1/security/advisories/bulk", { "content-type": "application/json" }, "POST", body);
    w.upstream.intercept = null;
    expect(bodies).toEqual(['{"lodash":["1.0.0"]}']);
  });

  it("X6 nor after the host breaks, rolls back or vanishes", async () => {
    const mended = alice.head();
    for (const breakIt of [() => alice.flip(CHECKPOINT_PATH), () => alice.remove(CHECKPOINT_PATH), async () => alice.down()]) {
      await breakIt();
      for (const name of ["@alice/foo", "@alice/missing", "exact"]) await c.get(`/${name}`);
      alice.up();
      alice.reset(mended);
    }
    expect(w.upstream.requests).toEqual([]);
  });
});

describe("X4", () => {
  it("X4 a dependency on an index that is not trusted: never requested upstream, and the error names the rule", async () => {
    expect((await c.get("/@alice/foo")).json.versions["1.0.0"].dependencies).toEqual({ "@bob/x": "^1.0.0" });
    const { status, json } = await c.get("/@bob/x");
    expect([status, json.code]).toEqual([403, "DENIED"]);
    expect(json.error).toMatch(/denies @bob\/\* upstream/);
    expect(w.upstream.requests).toEqual([]);
  });
});

describe("own upstream.registry, allow and deny", () => {
  it("with an allow-list nothing else is asked for; a deny wins a tie, a narrower allow wins over a deny", async () => {
    const strict = await w.consumer({ upstream: { allow: ["lodash", "@types/*", "@corp/open", "both"], deny: ["@corp/*", "both"] } });
    await w.upstream.publish("@corp/open", "1.0.0");
    for (const name of ["left-pad", "@corp/tool", "both", "internal"])
      for (const [method, path, body] of routesOf(name)) await strict.get(path, { "content-type": "application/json" }, method, body);
    expect(w.upstream.requests).toEqual([]);
    expect((await strict.get("/lodash")).status).toBe(200);
    expect((await strict.get("/@corp/open")).status).toBe(200);
    expect(w.upstream.requests.map(({ path }) => path)).toEqual(["/lodash", "/@corp/open"]);
  });
});
