/** Which source answers, counted at a public registry that would love to. */
import { mkdir, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { PackageName } from "../../src/format/names.ts";
import { releasePath } from "../../src/format/paths.ts";
import { formatProject } from "../../src/format/project.ts";
import type { Version } from "../../src/format/versions.ts";
import { openConsumer } from "../../src/cli/consumer.ts";
import { type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let alice: TestIndex;
let bob: TestIndex;

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice", { packages: ["@alice/*", "react"] });
  bob = await w.index("bob");
  await alice.publish("@alice/foo", "1.0.0");
  await alice.publish("@alice/broken", "1.0.0");
  await alice.publish("react", "99.0.0", { packageJson: { description: "not the one you meant" } });
  await bob.publish("@bob/x", "1.0.0");
  for (const name of ["@alice/foo", "@alice/missing", "@alice/broken", "@alice/gone", "react", "@mycorp/secret"])
    await w.upstream.publish(name, "99.0.0", { packageJson: { description: "public" } });
});
beforeEach(() => {
  alice.up();
  w.upstream.requests.length = 0;
});
afterAll(() => w.close());

async function consumer(): Promise<TestConsumer> {
  return w.consumer({ indices: { alice: { index: alice }, bob: { index: bob } }, upstream: { deny: ["@mycorp/*"] } });
}

/** Every door through which a name could leak. */
async function askEverything(c: TestConsumer, name: string): Promise<readonly number[]> {
  const file = name.slice(name.indexOf("/") + 1);
  const paths = [
    `/${name}`,
    `/${name.replace("/", "%2f")}`,
    `/${name.replace("/", "%2F")}`,
    `/${name}/latest`,
    `/${name}/99.0.0`,
    `/${name}/-/${file}-99.0.0.tgz`,
    `/-/package/${name.replace("/", "%2f")}/dist-tags`,
  ];
  const answers = await Promise.all(
    paths.flatMap((path) => [c.get(path), c.get(path, { accept: "application/vnd.npm.install-v1+json" }), c.get(path, {}, "HEAD")]),
  );
  return answers.map(({ status }) => status);
}

describe("X1 a claimed name", () => {
  it("X1 is never requested upstream, and 99.0.0 never offered", async () => {
    const c = await consumer();
    const { json } = await c.get("/@alice/foo");
    expect(Object.keys(json.versions)).toEqual(["1.0.0"]);
    expect(await askEverything(c, "@alice/foo")).not.toContain(500);
    expect((await c.get("/@alice/foo/99.0.0")).status).toBe(404);
    expect((await c.get("/@alice/foo/-/foo-99.0.0.tgz")).status).toBe(404);
    expect(w.upstream.requests).toEqual([]);
  });
});

describe("X2 two indices claim one name", () => {
  it("X2 equally: a configuration error that names both, before anything is opened", async () => {
    const cwd = `${w.folder}/conflict`;
    await mkdir(cwd);
    const { project } = await w.consumer({
      indices: { alice: { index: alice, packages: ["@shared/*"] }, bob: { index: bob, packages: ["@shared/*"] } },
    });
    await writeFile(`${cwd}/imprint.json`, formatProject(project));
    await expect(openConsumer(w.deps({ home: `${w.folder}/home-conflict`, cwd }))).rejects.toMatchObject({
      code: "CLAIMS_CONFLICT",
      exitCode: 3,
      message: expect.stringMatching(/alice and bob/),
    });
  });

  it("X2 unequally: the closer claim decides alone, whatever the other index holds", async () => {
    const c = await w.consumer({
      indices: { alice: { index: alice, packages: ["@alice/*"] }, bob: { index: bob, packages: ["@bob/*", "@alice/foo"] } },
    });
    expect((await c.get("/@alice/foo")).status).toBe(404);
    expect((await c.get("/@alice/broken")).status).toBe(200);
    expect(w.upstream.requests).toEqual([]);
  });
});

describe("X3 a claimed name that cannot be served", () => {
  it("X3 missing from its valid index: 404", async () => {
    const c = await consumer();
    expect(new Set(await askEverything(c, "@alice/missing"))).toEqual(new Set([404]));
    expect((await c.get("/@alice/missing")).json.code).toBe("NOT_FOUND");
    expect(w.upstream.requests).toEqual([]);
  });

  it("X3 refused by verification: 403", async () => {
    const honest = alice.head();
    await alice.flip(releasePath("@alice/broken" as PackageName, "1.0.0" as Version));
    const c = await consumer();
    expect(new Set(await askEverything(c, "@alice/broken"))).toEqual(new Set([403]));
    expect((await c.get("/@alice/broken")).json.code).toBe("HASH_MISMATCH");
    expect(w.upstream.requests).toEqual([]);
    alice.reset(honest);
  });

  it("X3 its index unreachable on first use: 503 with retry-after; the other index is unaffected", async () => {
    alice.down();
    const c = await consumer();
    expect(new Set(await askEverything(c, "@alice/foo"))).toEqual(new Set([503]));
    const { json, headers } = await c.get("/@alice/foo");
    expect(json.code).toBe("NEVER_SYNCED");
    expect(headers.get("retry-after")).toBe("1");
    expect((await c.get("/@bob/x")).status).toBe(200);
    expect(w.upstream.requests).toEqual([]);
    alice.up();
    expect((await c.get("/@alice/foo")).status).toBe(200);
  });

  it("X3 its index refused on first use: 403, and 403 again, though it is not asked again at once", async () => {
    const honest = alice.head();
    await alice.flip("checkpoint.json", '"seq": 17');
    const c = await w.consumer({ indices: { alice: { index: alice } }, syncAfterMs: 60_000 });
    for (let times = 0; times < 3; times++) {
      const { status, json } = await c.get("/@alice/foo");
      expect([status, json.code]).toEqual([403, "BAD_SIGNATURE"]);
    }
    alice.reset(honest);
  });

  it("X3 denied upstream: 403, and nobody is asked", async () => {
    const c = await consumer();
    expect(new Set(await askEverything(c, "@mycorp/secret"))).toEqual(new Set([403]));
    expect((await c.get("/@mycorp/secret")).json.code).toBe("DENIED");
    expect(w.upstream.requests).toEqual([]);
  });
});

describe("X5 what an index publishes outside its claim", () => {
  it("X5 is not looked at: the public react is served", async () => {
    const c = await consumer();
    const { json } = await c.get("/react");
    expect(json.description ?? json.versions["99.0.0"].description).toBe("public");
    const tarball = await c.get(new URL(json.versions["99.0.0"].dist.tarball).pathname);
    expect(tarball.status).toBe(200);
    expect(c.told).toContain("upstream packument react");
  });
});

describe("sync while serving", () => {
  it("the first request syncs, later ones within the time do not; then news are served", async () => {
    const c = await w.consumer({ indices: { bob: { index: bob } }, syncAfterMs: 60_000 });
    w.host.requests.length = 0;
    expect(await c.reader().current()).toBeNull();
    expect(w.host.requests).toEqual([]); // no network before the first request
    expect((await c.get("/@bob/x")).status).toBe(200);
    await bob.publish("@bob/x", "1.1.0");
    w.host.requests.length = 0;
    expect(Object.keys((await c.get("/@bob/x")).json.versions)).toEqual(["1.0.0"]);
    expect(w.host.requests).toEqual([]);
    const eager = await c.again({ syncAfterMs: 0 });
    expect(Object.keys((await eager.get("/@bob/x")).json.versions)).toEqual(["1.0.0", "1.1.0"]);
  });

  it("many requests at once are one flight", async () => {
    const c = await w.consumer({ indices: { bob: { index: bob } }, syncAfterMs: 60_000 });
    w.host.requests.length = 0;
    const answers = await Promise.all(Array.from({ length: 20 }, () => c.get("/@bob/x")));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(w.host.requests.filter(({ path }) => path.endsWith("/info/refs")).length).toBeLessThanOrEqual(4);
  });

  it("a host that fails later is said so, and the last verified state answers", async () => {
    const c = await w.consumer({ indices: { bob: { index: bob } } });
    await c.get("/@bob/x");
    bob.down();
    expect((await c.get("/@bob/x")).status).toBe(200);
    expect(c.told.some((line) => /bob: .*UNREACHABLE.*answering from the state signed 2026-/.test(line))).toBe(true);
    bob.up();
  });
});
