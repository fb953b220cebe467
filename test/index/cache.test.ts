/** The cache may be deleted at any time, and each git has its own: whatever is missing comes back by itself. */
import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let alice: TestIndex;
beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish("@alice/a", "1.0.0");
});
afterAll(() => w.close());

const GITS = [{ IMPRINT_GIT: "system" }, { IMPRINT_GIT: "isomorphic" }];

describe.each(GITS)("the cache, with %o", (env) => {
  it("deleted after a sync: the next read brings it back, and so does the next sync", async () => {
    const before = await w.consumer({ indices: { alice: { index: alice } }, env });
    await before.sync();
    rmSync(before.layout.cache, { recursive: true });
    const after = await before.again();
    expect(await after.verdicts("@alice/a")).toEqual({ "1.0.0": "ok" });
    rmSync(before.layout.cache, { recursive: true });
    const synced = await after.again();
    await synced.sync();
    expect(await synced.verdicts("@alice/a")).toEqual({ "1.0.0": "ok" });
  });

  it("made by the other git: what that verified is believed, and nothing is asked twice", async () => {
    const before = await w.consumer({ indices: { alice: { index: alice } }, env });
    await before.sync();
    const seq = (await before.reader().current())?.checkpoint.doc.seq;
    const other = GITS.find((one) => one !== env) ?? {};
    const after = await before.again({ env: other });
    expect((await after.reader().current())?.checkpoint.doc.seq).toBe(seq);
    expect(await after.verdicts("@alice/a")).toEqual({ "1.0.0": "ok" });
    expect(await (await after.again({ env })).verdicts("@alice/a")).toEqual({ "1.0.0": "ok" });
  });
});
