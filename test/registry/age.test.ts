/** Ages of releases: what `minAgeHours` holds back, and what a machine that was there before does not let an author back-date. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { timestampMs } from "../../src/format/time.ts";
import { why } from "../../src/cli/commands/why.ts";
import { type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

const HOUR_MS = 3_600_000;

let w: World;
let alice: TestIndex;
beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish("@alice/a", "1.0.0");
});
afterAll(() => w.close());

const timeOf = async (c: TestConsumer, version: string): Promise<string> => (await c.get("/@alice/a")).json.time[version] as string;

/** Signed by the author now, and said to be of 2020. */
async function publishBackDated(index: TestIndex, name: string, version: string): Promise<void> {
  await index.publish(name, version);
  await index.forge(name, version, () => ({ published: "2020-01-01T00:00:00.000Z" as never }), {
    release: [index.keys.publisher],
    record: [index.keys.publisher],
  });
}

describe("S4 published claims 2020", () => {
  it("S4 a client that read the package before shows the time of the last checkpoint without it", async () => {
    const bob = await w.index("bob");
    await bob.publish("@bob/b", "1.0.0");
    const c = await w.consumer({ indices: { bob: { index: bob } } });
    await c.sync();
    await c.read("@bob/b");
    // A newer checkpoint over the same record, read too: the release cannot be older than that one.
    await bob.renew();
    await c.sync();
    await c.read("@bob/b");
    const without = (await bob.checkpoint()).doc.time;
    await publishBackDated(bob, "@bob/b", "1.1.0");
    await c.sync();
    const { json } = await c.get("/@bob/b");
    expect(json.time["1.1.0"]).toBe(without);
    expect(json.time["1.0.0"]).toBe((await bob.release("@bob/b", "1.0.0")).doc.published);
    expect(json.time.modified).toBe(without);
    // Remembered on disk, and after further releases.
    await bob.publish("@bob/b", "1.2.0");
    const again = await c.again();
    await again.sync();
    expect((await again.get("/@bob/b")).json.time["1.1.0"]).toBe(without);
  });

  it("S4 a client without that memory shows the claim", async () => {
    const carol = await w.index("carol");
    await publishBackDated(carol, "@carol/c", "1.0.0");
    const c = await w.consumer({ indices: { carol: { index: carol } } });
    await c.sync();
    expect((await c.get("/@carol/c")).json.time["1.0.0"]).toBe("2020-01-01T00:00:00.000Z");
  });
});

describe("minAgeHours", () => {
  it("holds back what is younger, counted from the first appearance, and moves latest down meanwhile", async () => {
    const dave = await w.index("dave");
    await dave.publish("@dave/d", "1.0.0");
    await dave.publish("@dave/d", "1.1.0-beta", { tag: "beta" });
    const published = timestampMs((await dave.release("@dave/d", "1.0.0")).doc.published);
    let now = published + 23 * HOUR_MS;
    const c = await w.consumer({ indices: { dave: { index: dave, minAgeHours: 24 } }, wallMs: () => now });
    await c.sync();
    const early = await c.get("/@dave/d");
    expect([early.status, early.json.code]).toEqual([403, "TOO_YOUNG"]);
    expect(early.json.error).toContain(new Date(published + 24 * HOUR_MS).toISOString());
    expect((await c.get("/@dave/d/1.0.0")).status).toBe(403);
    expect((await c.get("/-/package/@dave%2fd/dist-tags")).status).toBe(403);
    // A locked install goes on: the lockfile has chosen.
    expect((await c.get("/@dave/d/-/d-1.0.0.tgz")).status).toBe(200);

    now = published + 25 * HOUR_MS;
    expect(Object.keys((await c.get("/@dave/d")).json.versions)).toEqual(["1.0.0", "1.1.0-beta"]);

    // A release of now that says it is of 2020 is as young as it is for who was there before.
    w.pass(25 * HOUR_MS);
    await dave.renew();
    await c.sync();
    await c.read("@dave/d");
    await publishBackDated(dave, "@dave/d", "2.0.0");
    await c.sync();
    const { json } = await c.get("/@dave/d");
    expect([Object.keys(json.versions), json["dist-tags"]]).toEqual([["1.0.0", "1.1.0-beta"], { latest: "1.0.0", beta: "1.1.0-beta" }]);
    expect((await c.get("/@dave/d/2.0.0")).status).toBe(404);
    now += 48 * HOUR_MS;
    expect((await c.get("/@dave/d")).json["dist-tags"]).toEqual({ latest: "2.0.0", beta: "1.1.0-beta" });
  });

  it("0 holds nothing back, and why says until when", async () => {
    const c = await w.consumer({ indices: { alice: { index: alice, minAgeHours: 0 } } });
    await c.sync();
    expect(await timeOf(c, "1.0.0")).toMatch(/^2026-01-01/);
    const cwd = await w.projectFolder("young", { indices: { alice: { index: alice, minAgeHours: 876_000 } } });
    const deps = w.deps({ home: c.home, cwd });
    expect(JSON.stringify((await why("@alice/a", deps)).tree)).toMatch(
      /1\.0\.0 held back: younger than the 876000 hours of imprint\.json, until 2125-/,
    );
  });
});
