/** What thieves of keys get, and what is left to them once the root has been changed: K1, K4, K6, through each source. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { recordPath, releasePath, rootPath } from "../../src/format/paths.ts";
import type { PackageName } from "../../src/format/names.ts";
import { formatTimestamp } from "../../src/format/time.ts";
import type { DistTag, Version } from "../../src/format/versions.ts";
import { publicKeyOf, SOURCE_KINDS, strangerKey, type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

const V1 = "1.0.0" as Version;
const STOLEN = "1.0.1" as Version;
const MAX = Number.MAX_SAFE_INTEGER;

let w: World;
let indices = 0;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

describe.each(SOURCE_KINDS)("through %s", (through) => {
  /** An index of its own with one release, and somebody who has read it. */
  async function start(): Promise<{ readonly index: TestIndex; readonly pkg: PackageName; readonly reader: TestConsumer }> {
    const name = `owner${String(++indices)}`;
    const index = await w.index(name);
    const pkg = `@${name}/a` as PackageName;
    await index.publish(pkg, V1);
    const reader = await w.consumer({ through, indices: { [name]: { index } } });
    await reader.sync();
    await reader.read(pkg);
    return { index, pkg, reader };
  }

  it("K1 a stolen publisher's key: its back-dated release is refused from the cache, too, once the key is revoked; the author's own serve", async () => {
    const { index, pkg, reader } = await start();
    const honest = await index.record(pkg);
    await index.publish(pkg, STOLEN);
    // Back-dated to long before the theft, and signed with the stolen key over again.
    await index.forge(pkg, STOLEN, () => ({ published: formatTimestamp(Date.UTC(2020, 0, 1)) }), {
      release: [index.keys.publisher],
      record: [index.keys.publisher],
    });
    await reader.sync();
    expect(await reader.verdicts(pkg)).toEqual({ [V1]: "ok", [STOLEN]: "ok" });
    // Tarballs that are kept in git are not among the plain files: there the list of versions stands for them.
    const pathOf = (version: Version): string => (through === "sparse" ? `/${pkg}/${version}` : `/${pkg}/-/a-${version}.tgz`);
    const path = pathOf(STOLEN);
    expect((await reader.get(path)).status).toBe(200);

    const fresh = strangerKey();
    await index.changeRoot(({ publishers }) => ({ publishers: publishers.map((entry) => ({ ...entry, keys: [publicKeyOf(fresh)] })) }));
    await reader.sync();
    for (const who of [reader, await reader.again()]) {
      await expect(who.read(pkg)).rejects.toMatchObject({ code: "BAD_SIGNATURE", step: "reading 6", file: recordPath(pkg) });
      const refused = await who.get(path);
      expect([refused.status, refused.json.code]).toEqual([403, "BAD_SIGNATURE"]);
    }
    const { revision } = (await index.record(pkg)).doc;
    await index.amend(pkg, () => ({ ...honest.doc, revision: revision + 1, withdrawn: new Map([[STOLEN, "stolen key"]]) }), [fresh]);
    const after = await reader.again();
    await after.sync();
    // Signed by the old key, which the new one vouches for: not a byte of the release has changed.
    expect(await after.verdicts(pkg)).toEqual({ [V1]: "ok" });
    expect([403, 404]).toContain((await after.get(path)).status);
    expect((await after.get(pathOf(V1))).status).toBe(200);
  });

  it("K1 the revoked key goes on signing: nothing of it is believed, by newcomers either", async () => {
    const { index, pkg, reader } = await start();
    const fresh = strangerKey();
    await index.changeRoot(({ publishers }) => ({ publishers: publishers.map((entry) => ({ ...entry, keys: [publicKeyOf(fresh)] })) }));
    await index.amend(pkg, () => ({}), [fresh]);
    await reader.sync();
    expect(await reader.verdicts(pkg)).toEqual({ [V1]: "ok" });
    await index.forge(pkg, V1, () => ({ manifest: {} }), { release: [index.keys.publisher], record: [index.keys.publisher] });
    const newcomer = await w.consumer({ through, indices: { owner: { index, packages: [pkg] } } });
    await newcomer.sync();
    await reader.sync();
    for (const who of [reader, newcomer])
      await expect(who.read(pkg)).rejects.toMatchObject({ code: "BAD_SIGNATURE", file: recordPath(pkg) });
  });

  it("K4 a thief withdraws everything at the last revision; revoked, the author's next record brings it back", async () => {
    const { index, pkg, reader } = await start();
    const honest = await index.record(pkg);
    await index.amend(pkg, () => ({
      revision: MAX,
      releases: new Map(),
      withdrawn: new Map([[V1, "mine now"]]),
      tags: new Map<DistTag, Version>(),
    }));
    await reader.sync();
    expect(await reader.verdicts(pkg)).toEqual({});
    const fresh = strangerKey();
    await index.changeRoot(({ publishers }) => ({ publishers: publishers.map((entry) => ({ ...entry, keys: [publicKeyOf(fresh)] })) }));
    await index.amend(pkg, () => ({ ...honest.doc, revision: honest.doc.revision + 1 }), [fresh]);
    await reader.sync();
    expect(await reader.verdicts(pkg)).toEqual({ [V1]: "ok" });
    expect(await index.read(releasePath(pkg, V1))).toBeInstanceOf(Uint8Array);
  });

  it("K6 stolen root keys, fewer than the threshold: refused; as many: accepted, and sync's answer says which keys changed", async () => {
    const { index, pkg, reader } = await start();
    const [second, thief] = [strangerKey(), strangerKey()];
    const both = [index.keys.root, second];
    await index.changeRoot(({ roles }) => ({ roles: { ...roles, root: { keys: both.map(publicKeyOf), threshold: 2 } } }), {
      signers: both,
    });
    await reader.sync();
    const before = index.head();
    const steal = (signers: readonly (typeof thief)[]): Promise<void> =>
      index.changeRoot(({ publishers }) => ({ publishers: publishers.map((entry) => ({ ...entry, keys: [publicKeyOf(thief)] })) }), {
        signers,
      });
    await steal([second]);
    await expect(reader.sync()).rejects.toMatchObject({ code: "BAD_SIGNATURE", step: "reading 2", file: rootPath(3) });
    expect(await reader.verdicts(pkg)).toEqual({ [V1]: "ok" });
    index.reset(before);
    await steal(both);
    expect((await reader.sync()).changed).toBe(true);
    expect((await reader.reader().current())?.roots.at(-1)?.doc.publishers[0]?.keys).toEqual([publicKeyOf(thief)]);
    await index.forge(pkg, V1, () => ({ manifest: {} }), { release: [thief], record: [thief] });
    await reader.sync();
    // What was seen stays a promise even then: the release may not change under its number.
    await expect(reader.read(pkg)).resolves.toMatchObject({ fault: null });
  });
});
