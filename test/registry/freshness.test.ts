/** Answers that are given again without asking: never one that was read before the news that it is taken for. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { DisplayName } from "../../src/format/decode.ts";
import type { PackageName } from "../../src/format/names.ts";
import type { PackageRead } from "../../src/index/reader.ts";
import { lazySyncer } from "../../src/registry/lazy-sync.ts";
import { createOwnPackages, type OwnPackage } from "../../src/registry/own-packages.ts";
import { type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

const NAME = "@alice/x" as PackageName;
const AGREED = "agreed" as PackageName;

let w: World;
let all: Readonly<Record<"alice" | "bob", TestIndex>>;
beforeAll(async () => {
  w = await world();
  all = { alice: await w.index("alice", { packages: ["@alice/*", AGREED] }), bob: await w.index("bob", { packages: ["@bob/*", AGREED] }) };
  await all.alice.publish(NAME, "1.0.0");
  for (const index of Object.values(all)) await index.publish(AGREED, "1.0.0");
});
afterAll(() => w.close());

/**
 * What indices answer for, with somebody else's request in the middle: while the first one reads, `news` come, and are synced
 * for the other one.
 */
async function slowReader(c: TestConsumer, news: () => Promise<void>): Promise<ReturnType<typeof createOwnPackages>> {
  let nowMs = 1_000_000;
  const lazySync = lazySyncer({ nowMs: () => nowMs, syncAfterMs: 60_000, syncWaitMs: 60_000, warned: () => undefined });
  let isFirst = true;
  const alice = "alice" as DisplayName;
  const { reader, ...others } = c.indices.get(alice) as NonNullable<ReturnType<typeof c.indices.get>>;
  const readPackage = async (name: PackageName): Promise<PackageRead> => {
    const read = await reader.readPackage(name);
    if (isFirst) {
      isFirst = false;
      await news();
      nowMs += 60_001;
      await lazySync(alice, reader);
    }
    return read;
  };
  const indices = new Map([...c.indices, [alice, { ...others, reader: { ...reader, readPackage } }] as const]);
  const deps = { project: c.project, indices, lazySync, syncWaitMs: 60_000, wallMs: w.nowMs, warned: () => undefined };
  return createOwnPackages(deps);
}

const versionsOf = ({ offer }: OwnPackage): readonly string[] => offer.source.versions.map(({ release }) => release.version);

it("news that come while a package is read are not taken for known: one index", async () => {
  const c = await w.consumer({ indices: { alice: { index: all.alice } } });
  await c.sync();
  const packages = await slowReader(c, () => all.alice.publish(NAME, "1.1.0").then(() => undefined));
  const before = (await packages.ofIndex("alice" as DisplayName, NAME, "any")) as OwnPackage;
  expect([versionsOf(before), before.isGood()]).toEqual([["1.0.0"], false]);
  const after = (await packages.ofIndex("alice" as DisplayName, NAME, "any")) as OwnPackage;
  expect([versionsOf(after).toSorted(), after.isGood()]).toEqual([["1.0.0", "1.1.0"], true]);
});

it("the same: several that agree", async () => {
  const agree = { names: [AGREED], of: ["alice", "bob"], threshold: 2 };
  const c = await w.consumer({ indices: { alice: { index: all.alice, packages: [] }, bob: { index: all.bob, packages: [] } }, agree });
  for (const alias of ["alice", "bob"]) await c.sync(alias);
  const packages = await slowReader(c, () => all.alice.amend(AGREED, () => ({ yanked: new Map([["1.0.0" as never, "broken"]]) })));
  const { agree: agreement } = c.project;
  if (agreement === undefined) throw new Error("no agreement");
  const before = await packages.ofAgreement(agreement, AGREED);
  expect([versionsOf(before), before.isGood()]).toEqual([["1.0.0"], false]);
  const after = await packages.ofAgreement(agreement, AGREED);
  expect(versionsOf(after)).toEqual([]);
});

it("a release of a moment ago, which a lockfile has already, is asked for once more; what is not there is not asked for again and again", async () => {
  const c = await w.consumer({ indices: { alice: { index: all.alice } } });
  await c.sync();
  let nowMs = 1_000_000;
  let syncs = 0;
  const { reader } = c.indices.get("alice" as DisplayName) as NonNullable<ReturnType<typeof c.indices.get>>;
  const counting = {
    ...reader,
    sinceSyncMs: async () => 5000,
    sync: () => {
      syncs++;
      return reader.sync();
    },
  };
  const alice = "alice" as DisplayName;
  const lazySync = lazySyncer({ nowMs: () => nowMs, syncAfterMs: 3_600_000, syncWaitMs: 60_000, warned: () => undefined });
  await lazySync(alice, counting);
  expect(syncs).toBe(0);
  expect([await lazySync.again(alice, counting), syncs]).toEqual([true, 1]);
  expect([await lazySync.again(alice, counting), syncs]).toEqual([false, 1]);
  nowMs += 2001;
  expect([await lazySync.again(alice, counting), syncs]).toEqual([true, 2]);
  all.alice.down();
  nowMs += 2001;
  expect(await lazySync.again(alice, counting)).toBe(true);
  all.alice.up();
});

it("through the whole resolver: the tarball of a release that came after the last sync", async () => {
  const index = await w.index("zoe");
  await index.publish("@zoe/x", "1.0.0");
  const c = await w.consumer({ indices: { zoe: { index } }, syncAfterMs: 3_600_000 });
  await c.sync();
  await index.publish("@zoe/x", "2.0.0");
  // At once at best: where it was synced a moment ago, a moment later.
  await expect.poll(async () => (await c.get("/@zoe/x/-/x-2.0.0.tgz")).status, { timeout: 30_000 }).toBe(200);
});
