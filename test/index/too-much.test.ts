/** A package that is more than a package may be: it fails alone, for a reason that names the limit, and nothing else waits for it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { verifyPackages } from "../../src/audit/verify-packages.ts";
import { fileHashOf } from "../../src/format/digest.ts";
import { jsonObject } from "../../src/format/json.ts";
import { LIMITS } from "../../src/format/limits.ts";
import type { PackageName } from "../../src/format/names.ts";
import { HeavyPackage } from "../../src/index/heavy.ts";
import { requireFewReleases } from "../../src/index/package-reader.ts";
import type { ReleaseRequest } from "../../src/index/writer.ts";
import { publishHostile } from "../support/hostile-package.ts";
import { SOURCE_KINDS, type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

const MANY = LIMITS.packageReleases;
/** Bytes of one release file but for its description. */
const REST = 800;
const TEXT = LIMITS.releaseBytes - REST - 1000;
const WITHIN = Math.floor(LIMITS.packageReleasesBytes / (TEXT + REST));

let w: World;
let mallory: TestIndex;
beforeAll(async () => {
  w = await world();
  mallory = await w.index("mallory");
  await mallory.publish("@mallory/fine", "1.0.0");
  await publishHostile(mallory, "@mallory/heavy", { count: WITHIN + 2, textBytes: TEXT });
});
afterAll(() => w.close());

it("R1 so many releases are a package, and one more are none", () => {
  const name = "@mallory/many" as PackageName;
  const releases = (count: number): never => new Map(Array.from({ length: count }, (_, i) => [`1.0.${String(i)}`, ""])) as never;
  expect(() => requireFewReleases({ name, releases: releases(MANY) })).not.toThrow();
  expect(() => requireFewReleases({ name, releases: releases(MANY + 1) })).toThrow(
    expect.objectContaining({ code: "PACKAGE_TOO_LARGE", message: expect.stringContaining(`${String(MANY + 1)} releases`) }),
  );
});

describe.each(SOURCE_KINDS)("R1 releases of more bytes than a package may have, through %s", (through) => {
  let c: TestConsumer;
  beforeAll(async () => {
    c = await w.consumer({ indices: { mallory: { index: mallory } }, through, syncAfterMs: 600_000 });
    await c.sync();
  });

  it("R1 the package is refused, and the others of the same index are served", async () => {
    await expect(c.read("@mallory/heavy")).rejects.toMatchObject({ code: "PACKAGE_TOO_LARGE" });
    const refused = await c.get("/@mallory/heavy");
    expect([refused.status, refused.text]).toEqual([403, expect.stringMatching(/PACKAGE_TOO_LARGE.*imprint why @mallory\/heavy/)]);
    expect((await c.get("/@mallory/fine")).status).toBe(200);
    expect(await c.verdicts("@mallory/fine")).toEqual({ "1.0.0": "ok" });
  });

  it("R1 it is read to its limit once, and not again for each request", async () => {
    const first: unknown = await c.read("@mallory/heavy").catch((error: unknown) => error);
    const second: unknown = await c.read("@mallory/heavy").catch((error: unknown) => error);
    expect(first).toMatchObject({ code: "PACKAGE_TOO_LARGE" });
    expect(second).toBe(first);
  });

  it("R1 verify says so, once for the package", async () => {
    const hash = fileHashOf((await mallory.record("@mallory/heavy")).bytes);
    const { faults } = await c
      .reader()
      .look((snapshot, state) => verifyPackages(snapshot, state, [{ name: "@mallory/heavy" as PackageName, hash }], false));
    expect(faults).toEqual([expect.objectContaining({ code: "PACKAGE_TOO_LARGE", file: expect.stringContaining("heavy") })]);
  });
});

it("R1 an author is told before it is signed: a package that is full takes no more", async () => {
  await publishHostile(mallory, "@mallory/full", { count: WITHIN, textBytes: TEXT });
  const c = await w.consumer({ indices: { mallory: { index: mallory } } });
  await c.sync();
  expect(Object.values(await c.verdicts("@mallory/full"))).toHaveLength(WITHIN);
  expect((await c.get("/@mallory/full")).status).toBe(200);
  const large = (request: ReleaseRequest): ReleaseRequest => ({
    ...request,
    manifest: jsonObject([...Object.entries(request.manifest), ["description", "x".repeat(TEXT)]]),
  });
  await expect(mallory.publish("@mallory/full", "2.0.0", { edit: large })).rejects.toMatchObject({ code: "PACKAGE_TOO_LARGE" });
});

describe("R1 packages that are much to hold, though within the limits", () => {
  const names = ["@mallory/much-1", "@mallory/much-2", "@mallory/much-3"];
  let c: TestConsumer;
  beforeAll(async () => {
    for (const name of names) await publishHostile(mallory, name, { count: 6, textBytes: TEXT });
    c = await w.consumer({ indices: { mallory: { index: mallory } }, syncAfterMs: 600_000 });
    await c.sync();
  });

  it("R1 are refused to whoever wants light ones alone, also once one is held", async () => {
    const light = (): Promise<unknown> => c.reader().readPackage(names[0] as PackageName, "light");
    await expect(light()).rejects.toBeInstanceOf(HeavyPackage);
    expect((await c.read(names[0] as string)).view?.versions.size).toBe(6);
    await expect(light()).rejects.toBeInstanceOf(HeavyPackage);
    expect((await c.reader().readPackage("@mallory/fine" as PackageName, "light")).view?.versions.size).toBe(1);
  });

  it("R1 are answered as they are alone, however many are asked for at once", async () => {
    const paths = names.flatMap((name) => [`/${name}`, `/${name}/1.0.5`]);
    // Each resolver signs anew for npm.
    const unsigned = (text: string): string => text.replaceAll(/"sig":"[^"]+"/gu, "");
    const together = await Promise.all(paths.map(async (path) => unsigned((await c.get(path)).text)));
    const apart = await c.again();
    for (const [i, path] of paths.entries()) {
      const { status, text } = await apart.get(path);
      expect([path, status, unsigned(text) === together[i]]).toEqual([path, 200, true]);
    }
  });
});
