/** What a push may change: thieves with one key, owners with a new root, and the push that mends what a host broke. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type ChangeReport, verifyChange } from "../../src/audit/verify-change.ts";
import { generatePrivateKey } from "../../src/crypto/ed25519.ts";
import { formatPublicKey } from "../../src/format/keys.ts";
import type { PackageName } from "../../src/format/names.ts";
import { recordPath, releasePath } from "../../src/format/paths.ts";
import type { Version } from "../../src/format/versions.ts";
import type { ObjectId } from "../../src/git/port.ts";
import { commitSource } from "../../src/index/source.ts";
import { readState } from "../../src/index/sync.ts";
import { testGit } from "../support/git-host.ts";
import { LIMITS_OF_TESTS, type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let index: TestIndex;
let indices = 0;
let [a, b] = ["", ""];
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());
beforeEach(async () => {
  const name = `guard${String(++indices)}`;
  index = await w.index(name);
  [a, b] = [`@${name}/a`, `@${name}/b`];
  await index.publish(a, "1.0.0");
  await index.publish(a, "1.1.0");
  await index.publish(b, "1.0.0");
});

async function changeFrom(from: ObjectId): Promise<ChangeReport> {
  const to = index.head();
  const before = await commitSource(index.repository, from, LIMITS_OF_TESTS).open();
  const after = await commitSource(index.repository, to, LIMITS_OF_TESTS).open();
  const changed = testGit(index.gitDir, ["diff-tree", "-r", "--no-renames", "--name-only", from, to]);
  return verifyChange({
    before: { state: await readState(before, index.id, null), snapshot: before },
    after: { snapshot: after, listFiles: () => index.repository.listFiles(to) },
    changedPaths: changed.split("\n").filter(Boolean),
    pinned: index.id,
  });
}
const said = ({ faults }: ChangeReport): readonly string[] => faults.map(({ code, message }) => `${code} ${message}`);

describe("a change of an index", () => {
  it("is good when its author releases, yanks, withdraws or renews, and says what came in", async () => {
    const from = index.head();
    await index.publish(b, "2.0.0");
    await index.amend(a, () => ({ yanked: new Map([["1.0.0" as Version, ""]]) }));
    await index.amend(a, ({ releases }) => ({
      releases: new Map([...releases].filter(([version]) => version !== "1.0.0")),
      withdrawn: new Map([["1.0.0" as Version, ""]]),
      yanked: new Map(),
    }));
    await index.renew();
    const report = await changeFrom(from);
    expect(said(report)).toEqual([]);
    expect(report.added.map(({ name, version }) => `${name}@${version}`)).toEqual([`${b}@2.0.0`]);
  });

  it("is refused when a stolen checkpoint key drops a package, a release, or brings an older record back (T2c)", async () => {
    const from = index.head();
    const old = await index.read(recordPath(a as PackageName));
    await index.seal({ records: { [b]: null } });
    expect(said(await changeFrom(from))).toEqual(expect.arrayContaining([`RECORD_REGRESSED package ${b} vanished`]));
    index.reset(from);
    await index.publish(a, "1.2.0");
    const middle = index.head();
    await index.seal({ records: { [a]: old } });
    expect(said(await changeFrom(middle)).join()).toMatch(/RECORD_REGRESSED.*revision/);
  });

  it("is refused when a record is forged under a valid checkpoint (T1b), and names the file", async () => {
    const from = index.head();
    await index.forge(b, "1.0.0", () => ({ published: "2020-01-01T00:00:00.000Z" as never }));
    const report = await changeFrom(from);
    expect(report.faults.map(({ file }) => file).join()).toContain("record.json");
  });

  it("under a new root it is the whole index that is verified, and a revoked key's record binds nobody (K4)", async () => {
    const from = index.head();
    const next = generatePrivateKey();
    await index.changeRoot((root) => ({
      publishers: root.publishers.map((entry) => ({ ...entry, keys: [formatPublicKey(next.publicKey)] })),
    }));
    // The records are still those of the old key: a reader would refuse every package.
    expect(said(await changeFrom(from)).filter((one) => one.startsWith("BAD_SIGNATURE"))).toHaveLength(2);
    await index.amend(a, () => ({}), [next]);
    await index.amend(b, () => ({}), [next]);
    expect(said(await changeFrom(from))).toEqual([]);
  });

  it("may mend what was broken before it", async () => {
    const good = index.head();
    await index.flip(recordPath(a as PackageName));
    const broken = index.head();
    const mended = testGit(index.gitDir, ["commit-tree", `${good}^{tree}`, "-p", broken, "-m", "mended"]);
    index.reset(mended as ObjectId);
    await index.publish(a, "1.3.0");
    const report = await changeFrom(broken);
    expect(said(report)).toEqual([]);
    await index.flip(releasePath(a as PackageName, "1.3.0" as Version));
    expect(said(await changeFrom(mended as ObjectId)).join()).toMatch(/HASH_MISMATCH/);
  });
});
