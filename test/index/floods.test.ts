/** T8 through each source: more than any honest index has, refused at its cap and in flat memory. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { parseEnvelope } from "../../src/format/envelope.ts";
import type { PackageName } from "../../src/format/names.ts";
import { CHECKPOINT_PATH, recordPath, releasePath, rootPath, shardOf, shardPath } from "../../src/format/paths.ts";
import type { Version } from "../../src/format/versions.ts";
import type { ObjectId } from "../../src/git/port.ts";
import { SOURCE_KINDS, type SourceKind, type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

const A = "@alice/a" as PackageName;
const B = "@alice/b" as PackageName;
/** The host is this very process: what it holds of its 30 MB (twice, with git's answer) is not the reader's. */
const FLAT_BYTES = (64 << 20) + 2 * (30 << 20);

let w: World;
let alice: TestIndex;
let honest: ObjectId;
beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish(A, "1.0.0");
  await alice.publish(B, "1.0.0");
  honest = alice.head();
});
afterEach(() => alice.reset(honest));
afterAll(() => w.close());

const reader = (through: SourceKind): Promise<TestConsumer> => w.consumer({ through, indices: { alice: { index: alice } } });

/** A document with that many signatures, each by a key of its own spelling. */
async function flooded(path: string, count: number): Promise<Uint8Array> {
  const { signed } = JSON.parse(Buffer.from(await alice.read(path)).toString()) as { signed: unknown };
  const signatures = Array.from({ length: count }, (_, at) => ({
    key: `ed25519:${at.toString(36).padStart(42, "A")}A`,
    signature: "A".repeat(86),
  }));
  return Buffer.from(`${JSON.stringify({ signatures, signed }, null, 2)}\n`);
}

describe.each(SOURCE_KINDS)("through %s", (through) => {
  it.each([
    [17, "INVALID_DOCUMENT"],
    [100_000, "TOO_LARGE"],
  ] as const)("T8 a checkpoint of %i signatures: refused, in flat memory; what was verified serves", async (count, code) => {
    const c = await reader(through);
    await c.sync();
    await c.read(A);
    await alice.put({ [CHECKPOINT_PATH]: await flooded(CHECKPOINT_PATH, count) });
    const before = process.memoryUsage().rss;
    await expect(c.sync()).rejects.toMatchObject({ code });
    await expect((await reader(through)).sync()).rejects.toMatchObject({ code });
    expect(process.memoryUsage().rss - before).toBeLessThan(FLAT_BYTES);
    expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok" });
  });

  it("T8 a checkpoint that names root 2,000: refused before anything is fetched for it", async () => {
    const c = await reader(through);
    await alice.seal({ checkpoint: ({ root }) => ({ root: { ...root, version: 2000 } }) });
    await expect(c.sync()).rejects.toMatchObject({ code: "INVALID_DOCUMENT", file: CHECKPOINT_PATH });
  });

  it.each([
    ["root", rootPath(1)],
    ["checkpoint", CHECKPOINT_PATH],
  ])("T8 a %s of 30 MB: refused, in flat memory", async (_, path) => {
    await alice.put({ [path]: Buffer.alloc(30 << 20, "{") });
    const before = process.memoryUsage().rss;
    await expect((await reader(through)).sync()).rejects.toMatchObject({ code: "TOO_LARGE" });
    expect(process.memoryUsage().rss - before).toBeLessThan(FLAT_BYTES);
  });

  it.each([
    ["shard", shardPath(shardOf(A))],
    ["record", recordPath(A)],
    ["release", releasePath(A, "1.0.0" as Version)],
  ])("T8 a %s of 30 MB: that package refused, others serve", async (_, path) => {
    await alice.put({ [path]: Buffer.alloc(30 << 20, "{") });
    const c = await reader(through);
    await c.sync();
    await expect(c.read(A)).rejects.toMatchObject({ code: "TOO_LARGE", file: path });
    expect(await c.verdicts(B)).toEqual({ "1.0.0": "ok" });
  });

  it("T8 a signature list at its cap is read: the cap is where it is said to be", async () => {
    const bytes = await flooded(CHECKPOINT_PATH, 16);
    expect(parseEnvelope("checkpoint", bytes, () => null).signatures).toHaveLength(16);
  });
});
