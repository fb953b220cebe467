/** P1: what opening an index costs in signature checks, counted where they are made, in node:crypto. */
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { PackageName } from "../../src/format/names.ts";
import type { DistTag, Version } from "../../src/format/versions.ts";
import { parseRefName } from "../../src/git/url.ts";
import { commitSource } from "../../src/index/source.ts";
import { writeReleases } from "../../src/index/writer.ts";
import { LIMITS_OF_TESTS, publicKeyOf, SOURCE_KINDS, strangerKey, type TestIndex, type World, world } from "../support/world.ts";

const PACKAGES = 300;
const VERSIONS = 4;

let w: World;
let big: TestIndex;
const real = crypto.verify;
let checks = 0;

beforeAll(async () => {
  w = await world();
  big = await w.index("big");
  await big.publish("@big/template", "1.0.0");
  const { dist, manifest } = (await big.release("@big/template", "1.0.0")).doc;
  const requests = Array.from({ length: PACKAGES * VERSIONS }, (_, i) => ({
    name: `@big/p${String(i % PACKAGES)}` as PackageName,
    version: `1.0.${String(Math.floor(i / PACKAGES))}` as Version,
    dist,
    manifest,
    tag: null as DistTag | null,
  }));
  const state = await big.state();
  const snapshot = await commitSource(big.repository, big.head(), LIMITS_OF_TESTS).open();
  const changes = await writeReleases({
    state,
    snapshot,
    packages: new Map(),
    requests,
    keys: { publishers: [big.keys.publisher], checkpoint: [big.keys.checkpoint] },
    nowMs: w.nowMs(),
  });
  await big.repository.commit({
    base: big.head(),
    changes,
    message: "many",
    author: { name: "Test", email: "test@example.org" },
    timeMs: w.nowMs(),
    keepAs: parseRefName("refs/heads/main"),
  });
});
beforeEach(() => {
  checks = 0;
  const counted = (...args: unknown[]): unknown => {
    checks++;
    return (real as unknown as (...all: unknown[]) => unknown)(...args);
  };
  crypto.verify = counted as typeof crypto.verify;
  syncBuiltinESMExports();
});
afterEach(() => {
  crypto.verify = real;
  syncBuiltinESMExports();
});
afterAll(() => w.close());

describe.each(SOURCE_KINDS)("through %s", (through) => {
  it("P1 a cold open costs the root and the checkpoint; the first package its record and one a release", async () => {
    const c = await w.consumer({ through, indices: { big: { index: big } } });
    await c.sync();
    expect(checks).toBeGreaterThan(0); // or nothing is counted
    expect(checks).toBeLessThanOrEqual(3 + 1);
    checks = 0;
    expect(Object.keys(await c.verdicts("@big/p7"))).toHaveLength(VERSIONS);
    expect(checks).toBeLessThanOrEqual(1 + VERSIONS);
    checks = 0;
    await c.verdicts("@big/p7");
    expect(checks).toBe(0);
  });

  it("P1 a restart from disk costs as much as the chain, not as the index; news cost one checkpoint", async () => {
    const c = await w.consumer({ through, indices: { big: { index: big } } });
    await c.sync();
    const again = await c.again();
    checks = 0;
    expect(await again.reader().current()).not.toBeNull();
    expect(checks).toBeLessThanOrEqual(3 + 1);
    await big.publish("@big/p8", `1.0.${String(10 + SOURCE_KINDS.indexOf(through))}`);
    checks = 0;
    await again.sync();
    expect(checks).toBeLessThanOrEqual(3);
  });

  it("P1 each root of a chain costs its predecessor's threshold and its own", async () => {
    const honest = big.head();
    for (let days = 1; days <= 4; days++) await big.changeRoot(() => ({ refreshDays: days }));
    const c = await w.consumer({ through, indices: { big: { index: big } } });
    checks = 0;
    await c.sync();
    expect(checks).toBeLessThanOrEqual(3 + 1 + 4 * 2);
    big.reset(honest);
  });

  it("P1 a flood of signatures costs no more than the threshold and the keys", async () => {
    const strangers = Array.from({ length: 15 }, strangerKey);
    const honest = big.head();
    await big.seal({ signers: [...strangers, big.keys.checkpoint] });
    expect((await big.checkpoint()).signatures).toHaveLength(16);
    expect((await big.checkpoint()).signatures.some(({ key }) => key === publicKeyOf(big.keys.checkpoint))).toBe(true);
    const c = await w.consumer({ through, indices: { big: { index: big } } });
    checks = 0;
    await c.sync();
    expect(checks).toBeLessThanOrEqual(3 + 1);
    big.reset(honest);
  });
});
