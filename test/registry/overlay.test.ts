/** X7 `overlay`: an index over upstream, and never upstream without it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { PackageName } from "../../src/format/names.ts";
import { CHECKPOINT_PATH, recordPath } from "../../src/format/paths.ts";
import type { DistTag, Version } from "../../src/format/versions.ts";
import { type ConsumerOptions, type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

const ABBREVIATED = { accept: "application/vnd.npm.install-v1+json" };

let w: World;
let alice: TestIndex;
let honest: ReturnType<TestIndex["head"]>;

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice", { packages: ["*"] });
  for (const version of ["4.0.0", "4.1.0", "4.2.0", "5.0.0"])
    await w.upstream.publish("lodash", version, { packageJson: { description: "public" }, files: { "i.js": "public" } });
  await w.upstream.publish("other", "1.0.0");
  await alice.publish("lodash", "4.1.0", { packageJson: { description: "patched" }, files: { "i.js": "alice" } });
  await alice.publish("lodash", "4.2.0");
  await alice.publish("lodash", "4.2.1-alice.1", { files: { "i.js": "alice" }, tag: "alice" });
  await alice.amend("lodash", ({ tags }) => ({
    yanked: new Map([["4.2.0" as Version, "hole"]]),
    tags: new Map([...tags, ["latest" as DistTag, "4.1.0" as Version]]),
  }));
  await alice.publish("mine", "1.0.0");
  honest = alice.head();
});
beforeEach(() => {
  alice.up();
  alice.reset(honest);
  w.upstream.up();
  w.upstream.requests.length = 0;
});
afterAll(() => w.close());

type Options = Pick<ConsumerOptions, "syncAfterMs" | "wallMs" | "upstream" | "times" | "nowMs"> & { readonly minAgeHours?: number };

function consumerOf({ minAgeHours, ...options }: Options = {}): Promise<TestConsumer> {
  return w.consumer({
    indices: { alice: { index: alice, packages: ["lodash", "mine", "other", "nothing"], minAgeHours } },
    overlay: ["lodash", "mine", "other", "nothing"],
    ...options,
  });
}

async function everyRoute(c: TestConsumer, name = "lodash"): Promise<readonly (readonly [number, string])[]> {
  const paths = [
    `/${name}`,
    `/${name}/latest`,
    `/${name}/4.0.0`,
    `/-/package/${name}/dist-tags`,
    `/${name}/-/${name}-4.0.0.tgz`,
    `/${name}/-/${name}-4.1.0.tgz`,
    `/-/npm/v1/attestations/${name}@4.0.0`,
  ];
  const seen: (readonly [number, string])[] = [];
  for (const path of paths) {
    for (const headers of [{}, ABBREVIATED]) {
      const { status, json } = await c.get(path, headers);
      seen.push([status, json?.code]);
    }
  }
  return seen;
}

describe("X7 an overlaid name", () => {
  it.each([
    ["full", {}],
    ["abbreviated", ABBREVIATED],
  ] as const)("X7 its versions are added to upstream's or replace them, the yanked one is hidden: %s", async (_, headers) => {
    const c = await consumerOf();
    const { json, headers: answered } = await c.get("/lodash", headers);
    expect(Object.keys(json.versions).toSorted()).toEqual(["4.0.0", "4.1.0", "4.2.1-alice.1", "5.0.0"]);
    expect(json["dist-tags"]).toEqual({ latest: "4.1.0", alice: "4.2.1-alice.1" });
    const { dist } = (await alice.release("lodash", "4.1.0")).doc;
    expect(json.versions["4.1.0"].dist.integrity).toBe(dist.integrity);
    expect(json.versions["4.0.0"].dist.integrity).toBe(w.upstream.packuments.get("lodash")?.versions["4.0.0"]?.dist.integrity);
    for (const version of Object.keys(json.versions))
      expect(json.versions[version].dist.tarball).toBe(`http://127.0.0.1:4870/lodash/-/lodash-${version}.tgz`);
    // Upstream's signatures as they came, ours on what is the index's.
    expect(json.versions["4.0.0"].dist.signatures).toEqual([{ keyid: "SHA256:test", sig: "MEUC" }]);
    if (headers === ABBREVIATED) expect(answered.get("content-type")).toMatch(/install-v1/);
    else expect(json.versions["4.1.0"].dist.signatures[0].keyid).not.toBe("SHA256:test");
    expect(Object.keys(json.time).toSorted()).toEqual(["4.0.0", "4.1.0", "4.2.1-alice.1", "5.0.0", "created", "modified"]);
    expect(json.time.modified).toBe((await alice.release("lodash", "4.2.1-alice.1")).doc.published);
    expect(c.told).toContain("alice+upstream packument lodash");
  });

  it("X7 one version, by number and by tag, from whoever has it; tags merged", async () => {
    const c = await consumerOf();
    expect((await c.get("/lodash/latest")).json.description).toBe("patched");
    expect((await c.get("/lodash/4.1.0")).json.description).toBe("patched");
    expect((await c.get("/lodash/5.0.0")).json.description).toBe("public");
    expect((await c.get("/lodash/alice")).json.version).toBe("4.2.1-alice.1");
    for (const gone of ["4.2.0", "9.9.9", "nope"]) expect((await c.get(`/lodash/${gone}`)).status).toBe(404);
    expect((await c.get("/-/package/lodash/dist-tags")).json).toEqual({ latest: "4.1.0", alice: "4.2.1-alice.1" });
  });

  it("X7 tarballs: its own from the index, the others from upstream; the yanked one is the index's, too", async () => {
    const c = await consumerOf();
    const bytes = async (version: string): Promise<Uint8Array> => (await c.get(`/lodash/-/lodash-${version}.tgz`)).bytes;
    const theirs = (version: string): Uint8Array | undefined => w.upstream.tarballs.get(`/lodash/-/lodash-${version}.tgz`);
    const sizeOf = async (version: string): Promise<number> => (await alice.release("lodash", version)).doc.dist.size;
    expect(Buffer.from(await bytes("4.0.0"))).toEqual(Buffer.from(theirs("4.0.0") ?? []));
    w.upstream.requests.length = 0;
    for (const version of ["4.1.0", "4.2.0", "4.2.1-alice.1"]) {
      const own = await bytes(version);
      expect(own.byteLength).toBe(await sizeOf(version));
      expect(Buffer.from(own)).not.toEqual(Buffer.from(theirs(version) ?? []));
    }
    expect(w.upstream.requests).toEqual([]);
  });

  it("X7 withdrawn, or a release that does not verify: hidden, its tarball refused, though upstream has both", async () => {
    await alice.amend("lodash", ({ releases, yanked }) => ({
      yanked: new Map([...yanked].filter(([version]) => version !== "4.2.0")),
      releases: new Map([...releases].filter(([version]) => version !== "4.2.0")),
      withdrawn: new Map([["4.2.0" as Version, "stolen"]]),
    }));
    await alice.forge("lodash", "4.1.0", ({ manifest }) => ({ manifest: { ...manifest, description: "forged" } }), {
      record: [alice.keys.publisher],
    });
    const c = await consumerOf();
    expect(Object.keys((await c.get("/lodash")).json.versions).toSorted()).toEqual(["4.0.0", "4.2.1-alice.1", "5.0.0"]);
    w.upstream.requests.length = 0;
    for (const version of ["4.1.0", "4.2.0"]) {
      const { status, json } = await c.get(`/lodash/-/lodash-${version}.tgz`);
      expect([status, json.code]).toEqual([403, "RELEASE_REFUSED"]);
    }
    expect(w.upstream.requests).toEqual([]);
  });

  it("X7 no attestations of what is the index's own are asked for", async () => {
    const c = await consumerOf();
    expect((await c.get("/-/npm/v1/attestations/lodash@4.1.0")).status).toBe(404);
    expect(w.upstream.requests).toEqual([]);
    await c.get("/-/npm/v1/attestations/lodash@4.0.0");
    expect(w.upstream.requests.map(({ path }) => path)).toEqual(["/-/npm/v1/attestations/lodash@4.0.0"]);
  });

  it("X7 too young by minAgeHours: held back, and upstream's of that number is not served instead", async () => {
    const published = Date.parse((await alice.release("lodash", "4.1.0")).doc.published);
    const c = await consumerOf({ minAgeHours: 24, wallMs: () => published + 3_600_000 });
    const { json } = await c.get("/lodash");
    expect(Object.keys(json.versions)).toEqual(["4.0.0", "5.0.0"]);
    expect(json["dist-tags"]).toEqual({ latest: "5.0.0" });
  });

  it("X7 upstream's own latest, where the index took that version back, falls to the highest below it", async () => {
    const bob = await w.index("bob", { packages: ["*"] });
    await bob.publish("lodash", "5.0.0");
    await bob.amend("lodash", () => ({ releases: new Map(), tags: new Map(), withdrawn: new Map([["5.0.0" as Version, ""]]) }));
    const c = await w.consumer({ indices: { bob: { index: bob, packages: ["lodash"] } }, overlay: ["lodash"] });
    expect((await c.get("/-/package/lodash/dist-tags")).json).toEqual({ latest: "4.2.0" });
  });

  it("X7 in one of them alone: what that has; in neither: 404", async () => {
    const c = await consumerOf();
    expect(Object.keys((await c.get("/mine")).json.versions)).toEqual(["1.0.0"]);
    expect((await c.get("/mine/latest")).json.version).toBe("1.0.0");
    expect((await c.get("/mine/-/mine-1.0.0.tgz")).status).toBe(200);
    expect(Object.keys((await c.get("/other")).json.versions)).toEqual(["1.0.0"]);
    expect((await c.get("/other/-/other-1.0.0.tgz")).status).toBe(200);
    expect(new Set((await everyRoute(c, "nothing")).map(([status]) => status))).toEqual(new Set([404]));
  });
});

describe("X7 its index cannot be believed", () => {
  it("X7 refused on first use: 403, and upstream is never asked", async () => {
    await alice.flip(CHECKPOINT_PATH, '"seq": 17');
    for (const [status, code] of await everyRoute(await consumerOf())) expect([status, code]).toEqual([403, "BAD_SIGNATURE"]);
    expect(w.upstream.requests).toEqual([]);
  });

  it("X7 the package is broken: 403, and upstream is never asked", async () => {
    await alice.flip(recordPath("lodash" as PackageName));
    for (const [status, code] of await everyRoute(await consumerOf())) expect([status, code]).toEqual([403, "HASH_MISMATCH"]);
    expect(w.upstream.requests).toEqual([]);
  });

  it("X7 unreachable and never verified: 503, and upstream is never asked; not for audit either", async () => {
    alice.down();
    const c = await consumerOf();
    for (const [status, code] of await everyRoute(c)) expect([status, code]).toEqual([503, "NEVER_SYNCED"]);
    const body = JSON.stringify({ lodash: ["4.0.0"] });
    expect((await c.get("/-/npm/v1/security/advisories/bulk", { "content-type": "application/json" }, "POST", body)).status).toBe(200);
    expect(w.upstream.requests).toEqual([]);
  });

  it("X7 down or rolled back later: as last verified, over upstream", async () => {
    const c = await consumerOf();
    const before = (await c.get("/lodash")).json;
    alice.down();
    expect((await c.get("/lodash")).json).toEqual(before);
  });
});

describe("X7 upstream fails", () => {
  it("X7 with nothing kept: an error, never the index's versions as if they were all; its tarballs still go out", async () => {
    const c = await consumerOf();
    w.upstream.down();
    const { status, json } = await c.get("/lodash");
    expect([status, json.code]).toEqual([502, "UPSTREAM_FAILED"]);
    expect((await c.get("/lodash/-/lodash-4.1.0.tgz")).status).toBe(200);
  });

  it("X7 with something kept: that, stale", async () => {
    let now = Date.now();
    const c = await consumerOf({ nowMs: () => now });
    const before = (await c.get("/lodash")).json;
    now += 24 * 3_600_000;
    w.upstream.down();
    expect((await c.get("/lodash")).json).toEqual(before);
  });

  it("X7 a refusal of upstream is one", async () => {
    w.upstream.intercept = (_, response) => {
      response.writeHead(403).end();
      return true;
    };
    const { status } = await (await consumerOf()).get("/lodash");
    w.upstream.intercept = null;
    expect(status).toBe(403);
  });
});

describe("X7 warm answers and rules", () => {
  it("X7 a warm answer holds while the index and upstream do, and news of either show", async () => {
    let now = Date.now();
    const c = await consumerOf({ syncAfterMs: 60_000, wallMs: () => now });
    const { again } = await c.registry.packument("lodash" as PackageName, true, "http://127.0.0.1:4870");
    expect(again?.()).toBe(true);
    now += 24 * 3_600_000; // upstream's answer has aged
    expect(again?.()).toBe(false);
    // Upstream's is fresh, but the index is asked each time.
    expect((await (await consumerOf()).registry.packument("lodash" as PackageName, true, "http://127.0.0.1:4870")).again?.()).toBe(false);
    const eager = await consumerOf({ times: { freshMs: 0 } });
    expect((await eager.registry.packument("lodash" as PackageName, true, "http://127.0.0.1:4870")).again?.()).toBe(false);
    await eager.get("/lodash");
    await alice.amend("lodash", () => ({
      yanked: new Map(["4.2.0", "4.1.0"].map((version) => [version as Version, ""])),
      tags: new Map([["latest" as DistTag, "4.2.1-alice.1" as Version]]),
    }));
    expect(Object.keys((await eager.get("/lodash")).json.versions)).not.toContain("4.1.0");
    await w.upstream.publish("lodash", "4.0.1");
    expect(Object.keys((await eager.get("/lodash")).json.versions)).toContain("4.0.1");
  });

  it("X7 the forms are kept apart where upstream answers both with the same bytes", async () => {
    const c = await consumerOf();
    const abbreviated = await c.get("/lodash", ABBREVIATED);
    const full = await c.get("/lodash");
    expect(abbreviated.headers.get("content-type")).toMatch(/install-v1/);
    expect(full.headers.get("content-type")).toMatch(/^application\/json/);
    expect(full.json.versions["4.1.0"].description).toBe("patched");
    expect(abbreviated.json.versions["4.1.0"].description).toBeUndefined();
  });

  it("X7 a wider deny does not take an overlay back", async () => {
    const c = await consumerOf({ upstream: { deny: ["*"] } });
    expect((await c.get("/lodash")).status).toBe(200);
    expect((await c.get("/react")).status).toBe(403);
  });
});

describe("X7 X6 advisories", () => {
  it("X7 X6 public versions of an overlaid name are asked for; the index's own, and ranges, do not leave", async () => {
    const bodies: string[] = [];
    w.upstream.intercept = (request, response) => {
      if (request.method !== "POST") return false;
      request.setEncoding("utf8").on("data", (text: string) => void bodies.push(text));
      request.on("end", () => response.end("{}"));
      return true;
    };
    const c = await consumerOf();
    const post = (endpoint: string, body: unknown): Promise<unknown> =>
      c.get(`/-/npm/v1/security/${endpoint}`, { "content-type": "application/json" }, "POST", JSON.stringify(body));
    await post("advisories/bulk", { lodash: ["4.0.0", "4.1.0", "4.2.0", "4.2.1-alice.1"], mine: ["1.0.0"] });
    await post("audits/quick", {
      requires: { lodash: "^4.2.1-alice.1", ms: "1" },
      dependencies: {
        lodash: { version: "4.2.1-alice.1", dependencies: { ms: { version: "1.0.0" } } },
        x: { version: "1.0.0", requires: { lodash: "4.2.1-alice.1" }, dependencies: { lodash: { version: "4.0.0" } } },
      },
      install: ["lodash@4.2.1-alice.1"],
    });
    w.upstream.intercept = null;
    expect(JSON.parse(bodies[0] ?? "")).toEqual({ lodash: ["4.0.0"] });
    expect(JSON.parse(bodies[1] ?? "")).toEqual({
      requires: { ms: "1" },
      dependencies: {
        ms: { version: "1.0.0" },
        x: { version: "1.0.0", requires: {}, dependencies: { lodash: { version: "4.0.0" } } },
      },
      install: [],
      remove: [],
    });
    expect(bodies.join("")).not.toContain("alice.1");
  });
});
