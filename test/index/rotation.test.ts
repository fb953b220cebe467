/** Keys of publishers that come and go, and the signatures that a record needs: K5 and K7, through each source. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { PackageName } from "../../src/format/names.ts";
import { recordPath, releasePath } from "../../src/format/paths.ts";
import type { Version } from "../../src/format/versions.ts";
import type { ObjectId } from "../../src/git/port.ts";
import { publicKeyOf, SOURCE_KINDS, strangerKey, type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

const A = "@alice/a" as PackageName;
const NEXT = "1.1.0" as Version;

let w: World;
let alice: TestIndex;
let honest: ObjectId;

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish(A, "1.0.0");
  await alice.publish("@alice/b", "1.0.0");
  await alice.publish(A, NEXT);
  honest = alice.head();
});
afterEach(() => alice.reset(honest));
afterAll(() => w.close());

describe.each(SOURCE_KINDS)("through %s", (through) => {
  const consumer = (): Promise<TestConsumer> => w.consumer({ through, indices: { alice: { index: alice } } });
  const warm = async (): Promise<TestConsumer> => {
    const c = await consumer();
    await c.sync();
    for (const name of [A, "@alice/b"]) await c.read(name);
    return c;
  };

  describe("K7 rotation", () => {
    it("K7 a planned rotation: the record is re-signed, no release changes, no reader sees a gap", async () => {
      const c = await warm();
      const fresh = strangerKey();
      const before = await alice.read(releasePath(A, NEXT));
      // signed by both before the root changes: until then the new signature is skipped
      await alice.amend(A, () => ({}), [alice.keys.publisher, fresh]);
      await alice.amend("@alice/b", () => ({}), [alice.keys.publisher, fresh]);
      await c.sync();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", [NEXT]: "ok" });
      await alice.changeRoot(({ publishers }) => ({ publishers: publishers.map((entry) => ({ ...entry, keys: [publicKeyOf(fresh)] })) }));
      await c.sync();
      for (const name of [A, "@alice/b"]) expect(Object.values(await c.verdicts(name)).every((verdict) => verdict === "ok")).toBe(true);
      expect(await alice.read(releasePath(A, NEXT))).toEqual(before);
    });

    it("K5 one of two required signatures: refused; both: accepted", async () => {
      const second = strangerKey();
      await alice.changeRoot(({ publishers }) => ({
        publishers: publishers.map((entry) => ({ ...entry, keys: [...entry.keys, publicKeyOf(second)], threshold: 2 })),
      }));
      const c = await consumer();
      await c.sync();
      await expect(c.read(A)).rejects.toMatchObject({ code: "BAD_SIGNATURE", file: recordPath(A) });
      await alice.amend(A, () => ({}), [alice.keys.publisher, second]);
      await c.sync();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", [NEXT]: "ok" });
    });

    it("K5 a release by a key that comes into the root later is untrusted until then, in packuments, too", async () => {
      const second = strangerKey();
      await alice.forge(A, NEXT, () => ({}), { release: [second], record: [alice.keys.publisher] });
      const c = await consumer();
      await c.sync();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", [NEXT]: "untrusted" });
      expect(Object.keys((await c.get("/@alice/a")).json.versions)).toEqual(["1.0.0"]);
      await alice.changeRoot(({ publishers }) => ({
        publishers: publishers.map((entry) => ({ ...entry, keys: [...entry.keys, publicKeyOf(second)] })),
      }));
      expect(Object.keys((await c.get("/@alice/a")).json.versions)).toEqual(["1.0.0", NEXT]);
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", [NEXT]: "ok" });
    });
  });

  it("K5 a record by a key of the broader entry: refused, whatever that one may sign elsewhere", async () => {
    const broad = strangerKey();
    await alice.changeRoot(({ publishers }) => ({
      publishers: [...publishers, { packages: ["*" as never], keys: [publicKeyOf(broad)], threshold: 1 }],
    }));
    const c = await warm();
    await alice.amend(A, () => ({ deprecated: new Map([[NEXT, "by another"]]) }), [broad]);
    await c.sync();
    await expect(c.read(A)).rejects.toMatchObject({ code: "BAD_SIGNATURE", file: recordPath(A) });
    expect(await c.verdicts("@alice/b")).toEqual({ "1.0.0": "ok" });
  });
});
