/** P1 at its full size, over plain files. Through git the same is counted by `npm run bench open`. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { costOfOpening } from "../support/count-checks.ts";
import { type LargeIndex, makeLargeIndex } from "../support/large-index.ts";
import { startStaticHost, type StaticHost } from "../support/static-host.ts";
import { environmentThrough, type World, world } from "../support/world.ts";

const RELEASES_EACH = 5;

let w: World;
let large: LargeIndex;
let host: StaticHost;

beforeAll(async () => {
  w = await world();
  large = makeLargeIndex({ packages: 200_000, releasesEach: RELEASES_EACH });
  host = await startStaticHost(large);
});
afterAll(async () => {
  await host.close();
  await w.close();
});

it("P1 1,000,000 releases (sparse): a cold open costs a root and a checkpoint, the first package its threshold and one a release", async () => {
  expect(large.releases).toBe(1_000_000);
  const home = join(w.folder, "reader");
  const deps = w.deps({ home, cwd: home, env: environmentThrough("sparse") });
  const cost = await costOfOpening(deps, { id: large.id, url: host.url, packages: "@large/*", sample: large.sample });
  expect(cost.verdicts).toEqual(Array.from({ length: RELEASES_EACH }, () => "ok"));
  expect(cost.sync).toBeGreaterThan(0); // or nothing is counted
  expect(cost.sync).toBeLessThanOrEqual(3 + 1);
  expect(cost.firstPackage).toBe(1 + RELEASES_EACH);
  expect(cost.again).toBe(0);
  // Two files, then a shard, a record and its releases; no walk.
  expect(host.asked).toHaveLength(2 + 2 + RELEASES_EACH);
  expect(cost.grownBytes).toBeLessThan(64 << 20);
  const { sync, firstPackage, grownBytes, syncMs } = cost;
  console.log(
    `P1: ${String(sync)} checks to open 1,000,000 releases in ${syncMs.toFixed(0)} ms, ${String(firstPackage)} for a package of ${String(RELEASES_EACH)}; ${(grownBytes / 2 ** 20).toFixed(1)} MiB more resident`,
  );
});
