/** What a host can do to the files of an index, and what comes of it. Ids are those of THREATS. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/errors.ts";
import { fileHashOf } from "../../src/format/digest.ts";
import type { PackageName } from "../../src/format/names.ts";
import { CHECKPOINT_PATH, recordPath, releasePath, rootPath, shardOf, shardPath } from "../../src/format/paths.ts";
import type { Version } from "../../src/format/versions.ts";
import type { ObjectId } from "../../src/git/port.ts";
import { commitHosted } from "../support/git-host.ts";
import {
  publicKeyOf,
  SOURCE_KINDS,
  type SourceKind,
  strangerKey,
  type TestConsumer,
  type TestIndex,
  type World,
  world,
} from "../support/world.ts";

const A = "@alice/a" as PackageName;
const B = "@alice/b" as PackageName;
const FILES = {
  release: releasePath(A, "1.1.0" as Version),
  record: recordPath(A),
  shard: shardPath(shardOf(A)),
  checkpoint: CHECKPOINT_PATH,
} as const;

let w: World;
/** What consumers read through. */
let through: SourceKind;
let alice: TestIndex;
/** What she published; every test begins with it. */
let honest: ObjectId;

/** Somebody who trusts alice and has read `@alice/a` and `@alice/b` as they are now. */
async function warmConsumer(): Promise<TestConsumer> {
  const c = await w.consumer({ through, indices: { alice: { index: alice } } });
  await c.sync();
  for (const name of [A, B]) await c.read(name);
  return c;
}

async function coldConsumer(): Promise<TestConsumer> {
  return w.consumer({ through, indices: { alice: { index: alice } } });
}

/** Syncs and reads as somebody who has never seen the index. */
async function readCold(name: string = A): Promise<unknown> {
  const c = await coldConsumer();
  await c.sync();
  return c.read(name);
}

function refusal(code: ErrorCode, step: string, file?: string): object {
  return expect.objectContaining({ code, step, ...(file === undefined ? {} : { file }) });
}

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish(A, "1.0.0");
  await alice.publish(A, "1.1.0");
  await alice.publish(B, "1.0.0");
  honest = alice.head();
});
afterEach(() => alice.reset(honest));
afterAll(() => w.close());

describe.each(SOURCE_KINDS)("through %s", (kind) => {
  beforeAll(() => void (through = kind));

  describe("T1a one byte flipped", () => {
    it.each(["release", "record", "shard"] as const)("T1a in a %s: cold, that package is refused and named; others serve", async (part) => {
      await alice.flip(FILES[part]);
      await expect(readCold()).rejects.toEqual(refusal("HASH_MISMATCH", "reading 6", FILES[part]));
      const c = await coldConsumer();
      await c.sync();
      expect(shardOf(A)).not.toBe(shardOf(B));
      expect(await c.verdicts(B)).toEqual({ "1.0.0": "ok" });
    });

    it.each(["release", "record", "shard"] as const)(
      "T1a in a %s: warm, the last verified state serves and the fault is named",
      async (part) => {
        const c = await warmConsumer();
        await alice.flip(FILES[part]);
        await c.sync();
        const { view, fault } = await c.read(A);
        expect([...(view?.versions.keys() ?? [])]).toEqual(["1.0.0", "1.1.0"]);
        expectWarm(fault, "HASH_MISMATCH", FILES[part]);
        expect(c.warnings).toEqual(fault === null ? [] : [fault]);
        // and after a restart
        expect((await (await c.again()).read(A)).view?.versions.size).toBe(2);
      },
    );

    it("T1a in the checkpoint: cold, the index is refused; warm, the last verified state serves", async () => {
      const c = await warmConsumer();
      await alice.flip(CHECKPOINT_PATH, '"seq": 17');
      await expect(readCold()).rejects.toEqual(refusal("BAD_SIGNATURE", "reading 3", CHECKPOINT_PATH));
      await expect(c.sync()).rejects.toEqual(refusal("BAD_SIGNATURE", "reading 3", CHECKPOINT_PATH));
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", "1.1.0": "ok" });
    });

    it("T1a in the first root: cold, it is not the pinned index; warm, it is not looked at again", async () => {
      const c = await warmConsumer();
      await alice.flip(rootPath(1), '"refreshDays": ');
      await expect(readCold()).rejects.toEqual(refusal("WRONG_ID", "reading 2", rootPath(1)));
      await c.sync();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", "1.1.0": "ok" });
    });

    it("T1a in a new root: cold and warm, refused at that root; the last verified state serves", async () => {
      const c = await warmConsumer();
      await alice.changeRoot(() => ({ refreshDays: 30 }));
      await alice.flip(rootPath(2), '"refreshDays": ');
      await expect(readCold()).rejects.toEqual(refusal("BAD_SIGNATURE", "reading 2", rootPath(2)));
      await expect(c.sync()).rejects.toEqual(refusal("BAD_SIGNATURE", "reading 2", rootPath(2)));
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", "1.1.0": "ok" });
    });

    it.each([
      ["checkpoint", CHECKPOINT_PATH, "BAD_SIGNATURE", "reading 3"],
      ["new root", rootPath(2), "BAD_SIGNATURE", "reading 2"],
    ] as const)("T1a in the signature of a %s: refused, cold and warm", async (_, file, code, step) => {
      const c = await warmConsumer();
      await alice.changeRoot(() => ({ refreshDays: 30 }));
      await alice.flip(file, '"signature": "');
      await expect(readCold()).rejects.toEqual(refusal(code, step, file));
      await expect(c.sync()).rejects.toEqual(refusal(code, step, file));
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", "1.1.0": "ok" });
    });

    it("T1a in a record's signature that its threshold needs, the tree hashed again over it: that package is refused", async () => {
      const c = await warmConsumer();
      await alice.flip(FILES.record, '"signature": "');
      const bytes = await alice.read(FILES.record);
      await alice.seal({ records: { [A]: bytes } });
      await expect(readCold()).rejects.toEqual(refusal("BAD_SIGNATURE", "reading 6", FILES.record));
      await c.sync();
      await expect(c.read(A)).rejects.toEqual(refusal("BAD_SIGNATURE", "reading 6", FILES.record));
      expect(await c.verdicts(B)).toEqual({ "1.0.0": "ok" });
    });

    it("T1a in a release's only signature, the record signed over it: that release alone is untrusted", async () => {
      await alice.flip(FILES.release, '"signature": "');
      const bytes = await alice.read(FILES.release);
      await alice.amend(A, ({ releases }) => ({ releases: new Map([...releases, ["1.1.0" as Version, fileHashOf(bytes)]]) }));
      await alice.put({ [FILES.release]: bytes });
      const c = await coldConsumer();
      await c.sync();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", "1.1.0": "untrusted" });
    });
  });

  describe("T1b a stolen checkpoint key", () => {
    it("T1b re-signs a tree with a forged release: the update is accepted, the forged package refused, others serve", async () => {
      const c = await warmConsumer();
      await alice.forge(A, "1.1.0", ({ manifest }) => ({ manifest: { ...manifest, description: "forged" } }));
      for (const reader of [c, await coldConsumer()]) {
        expect((await reader.sync()).changed).toBe(true);
        await expect(reader.read(A)).rejects.toEqual(refusal("BAD_SIGNATURE", "reading 6", FILES.record));
        expect(await reader.verdicts(B)).toEqual({ "1.0.0": "ok" });
      }
    });

    it("T1b signs the release with a key of its own, too: refused all the same", async () => {
      const thief = strangerKey();
      await alice.forge(A, "1.1.0", () => ({ manifest: {} }), { release: [thief], record: [thief] });
      await expect(readCold()).rejects.toEqual(refusal("BAD_SIGNATURE", "reading 6", FILES.record));
    });

    it("T1b signs a record with the checkpoint key itself: roles are separate", async () => {
      await alice.forge(A, "1.1.0", () => ({ manifest: {} }), { release: [alice.keys.checkpoint], record: [alice.keys.checkpoint] });
      await expect(readCold()).rejects.toEqual(refusal("BAD_SIGNATURE", "reading 6", FILES.record));
    });
  });

  describe("T5 parts of another state", () => {
    it.each([
      ["a shard", FILES.shard],
      ["a record", FILES.record],
    ])("T5 %s of the state before: refused", async (_, file) => {
      const before = await alice.read(file);
      await alice.publish(A, "1.2.0");
      await alice.put({ [file]: before });
      await expect(readCold()).rejects.toEqual(refusal("HASH_MISMATCH", "reading 6", file));
    });

    it("T5 a checkpoint that names a root which is not there: refused, the last verified state serves", async () => {
      const c = await warmConsumer();
      await alice.changeRoot(() => ({ refreshDays: 30 }));
      await alice.remove(rootPath(2));
      await expect(readCold()).rejects.toEqual(refusal("MISSING_FILE", "reading 2", rootPath(2)));
      await expect(c.sync()).rejects.toEqual(refusal("MISSING_FILE", "reading 2", rootPath(2)));
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", "1.1.0": "ok" });
    });

    it("T5 a checkpoint that names another root: refused", async () => {
      const c = await warmConsumer();
      await alice.seal({
        checkpoint: ({ root, shards }) => ({ root: { ...root, digest: [...shards.values()][0] as unknown as typeof root.digest } }),
      });
      await expect(readCold()).rejects.toEqual(refusal("WRONG_INDEX", "reading 3", CHECKPOINT_PATH));
      await expect(c.sync()).rejects.toEqual(refusal("WRONG_INDEX", "reading 3", CHECKPOINT_PATH));
    });

    it("T5b a root that no checkpoint names is not looked at", async () => {
      await alice.put({ [rootPath(2)]: "not even JSON" });
      const c = await coldConsumer();
      await c.sync();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", "1.1.0": "ok" });
    });
  });

  describe("T6 files removed", () => {
    it.each(["release", "record", "shard"] as const)(
      "T6 a %s: cold, that package is refused and named, others serve; warm, as last verified",
      async (part) => {
        const c = await warmConsumer();
        await alice.remove(FILES[part]);
        await expect(readCold()).rejects.toEqual(refusal("MISSING_FILE", "reading 6", FILES[part]));
        await expect(readCold(B)).resolves.toMatchObject({ fault: null });
        await c.sync();
        const { view, fault } = await c.read(A);
        expect(view?.versions.size).toBe(2);
        expectWarm(fault, "MISSING_FILE", FILES[part]);
      },
    );

    it("T6 the root: cold, refused; warm, everything serves", async () => {
      const c = await warmConsumer();
      await alice.remove(rootPath(1));
      await expect(readCold()).rejects.toEqual(refusal("MISSING_FILE", "reading 2", rootPath(1)));
      await c.sync();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", "1.1.0": "ok" });
    });

    it("T6 the checkpoint: no index; warm, everything serves", async () => {
      const c = await warmConsumer();
      await alice.remove(CHECKPOINT_PATH);
      await expect(readCold()).rejects.toEqual(refusal("NOT_AN_INDEX", "reading 2", CHECKPOINT_PATH));
      await expect(c.sync()).rejects.toEqual(refusal("NOT_AN_INDEX", "reading 2", CHECKPOINT_PATH));
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", "1.1.0": "ok" });
    });
  });

  describe("T11 files in each other's place", () => {
    const one = releasePath(A, "1.0.0" as Version);

    it("T11 two releases swapped: refused", async () => {
      const [first, second] = [await alice.read(one), await alice.read(FILES.release)];
      await alice.put({ [one]: second, [FILES.release]: first });
      await expect(readCold()).rejects.toEqual(refusal("HASH_MISMATCH", "reading 6", one));
    });

    it("T11 their integrities swapped by a thief of the checkpoint key: refused", async () => {
      const [first, second] = [await alice.release(A, "1.0.0"), await alice.release(A, "1.1.0")];
      await alice.forge(A, "1.0.0", () => ({ dist: second.doc.dist }));
      await alice.forge(A, "1.1.0", () => ({ dist: first.doc.dist }));
      await expect(readCold()).rejects.toEqual(refusal("BAD_SIGNATURE", "reading 6", FILES.record));
    });

    it("T11 two releases swapped under a record that its publisher signed: each is invalid", async () => {
      const [first, second] = [await alice.read(one), await alice.read(FILES.release)];
      await alice.amend(A, ({ releases }) => ({
        releases: new Map([
          ["1.0.0" as Version, releases.get("1.1.0" as Version) as never],
          ["1.1.0" as Version, releases.get("1.0.0" as Version) as never],
        ]),
      }));
      await alice.put({ [one]: second, [FILES.release]: first });
      const c = await coldConsumer();
      await c.sync();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "invalid", "1.1.0": "invalid" });
    });

    it("T11 the record of one package in the place of another's: refused", async () => {
      await alice.seal({ records: { [A]: await alice.read(recordPath(B)) } });
      await expect(readCold()).rejects.toEqual(refusal("WRONG_INDEX", "reading 6", FILES.record));
    });

    it("T11 a shard in the place of another: refused", async () => {
      const other = await alice.read(shardPath(shardOf(B)));
      await alice.seal({
        files: { [FILES.shard]: other },
        checkpoint: ({ shards }) => ({ shards: new Map([...shards, [shardOf(A), fileHashOf(other)]]) }),
      });
      await expect(readCold()).rejects.toEqual(refusal("INVALID_DOCUMENT", "reading 6", FILES.shard));
    });
  });

  describe("T13 exactly the newest release is hidden", () => {
    it.each([
      ["broken", (): Promise<void> => alice.flip(FILES.release), "HASH_MISMATCH"],
      ["withheld", (): Promise<void> => alice.remove(FILES.release), "MISSING_FILE"],
      ["stripped of its signatures", (): Promise<void> => alice.strip(FILES.release), "HASH_MISMATCH"],
      ["replaced by a symbolic link", (): Promise<void> => linkInstead(FILES.release), "MISSING_FILE"],
    ] as const)(
      "T13 %s: cold, the package is refused; warm, served as last verified; never a packument that lacks it",
      async (_, attack, code) => {
        const c = await warmConsumer();
        await attack();
        const cold = await coldConsumer();
        const refused = await cold.get("/@alice%2fa");
        expect(refused.status).toBe(403);
        expect(refused.json.code).toBe(code);
        const warm = await c.get("/@alice%2fa");
        expect(warm.status).toBe(200);
        expect(Object.keys(warm.json.versions)).toEqual(["1.0.0", "1.1.0"]);
        expect(warm.json["dist-tags"]).toEqual({ latest: "1.1.0" });
        expect((await cold.get("/@alice%2fb")).status).toBe(200);
      },
    );

    it("T13 somebody who read the package before that release appeared is served as last verified, and told", async () => {
      const c = await warmConsumer();
      await alice.publish(A, "1.2.0");
      await alice.remove(releasePath(A, "1.2.0" as Version));
      const warm = await c.get("/@alice%2fa");
      expect(Object.keys(warm.json.versions)).toEqual(["1.0.0", "1.1.0"]);
      expect(c.warnings).toContainEqual(refusal("MISSING_FILE", "reading 6", releasePath(A, "1.2.0" as Version)));
    });
  });

  describe("K8 documents of elsewhere", () => {
    it("K8 a release of index A in index B: invalid, though it is signed and B's record lists it", async () => {
      const bob = await w.index(`bob1-${kind}`, { packages: ["@alice/*", "@bob/*"] });
      await bob.publish(A, "1.0.0");
      const foreign = await alice.read(releasePath(A, "1.0.0" as Version));
      await bob.amend(A, ({ releases }) => ({ releases: new Map([...releases, ["1.0.0" as Version, fileHashOf(foreign)]]) }));
      await bob.put({ [releasePath(A, "1.0.0" as Version)]: foreign });
      const c = await w.consumer({ through, indices: { bob: { index: bob, packages: ["@alice/*"] } } });
      await c.sync();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "invalid" });
      expect((await c.get("/@alice/a")).json.versions).toEqual({});
    });

    it("K8 a record of index A in index B: refused, though one key serves both", async () => {
      const bob = await w.index(`bob2-${kind}`, {
        packages: ["@bob/*"],
        root: ({ publishers }) => ({
          publishers: [...publishers, { packages: ["@alice/*" as never], keys: alicePublisher(), threshold: 1 }],
        }),
      });
      await bob.seal({ records: { [A]: await alice.read(FILES.record) } });
      const c = await w.consumer({ through, indices: { bob: { index: bob, packages: ["@alice/*"] } } });
      await c.sync();
      await expect(c.read(A)).rejects.toEqual(refusal("WRONG_INDEX", "reading 6", FILES.record));
    });

    it("K8 a root's bytes as a release, a record, a checkpoint: refused by type", async () => {
      const root = await alice.read(rootPath(1));
      await alice.amend(A, ({ releases }) => ({ releases: new Map([...releases, ["1.1.0" as Version, fileHashOf(root)]]) }));
      await alice.put({ [FILES.release]: root });
      const c = await coldConsumer();
      await c.sync();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", "1.1.0": "invalid" });
      await alice.seal({ records: { [A]: root } });
      await expect(readCold()).rejects.toEqual(refusal("INVALID_DOCUMENT", "reading 6", FILES.record));
      await alice.put({ [CHECKPOINT_PATH]: root });
      await expect(readCold()).rejects.toEqual(refusal("INVALID_DOCUMENT", "reading 2", CHECKPOINT_PATH));
    });

    it("K8 A's checkpoint for B: refused", async () => {
      const bob = await w.index(`bob3-${kind}`);
      await bob.put({ [CHECKPOINT_PATH]: await alice.read(CHECKPOINT_PATH) });
      const c = await w.consumer({ through, indices: { bob: { index: bob } } });
      await expect(c.sync()).rejects.toEqual(refusal("WRONG_INDEX", "reading 3", CHECKPOINT_PATH));
    });

    it("K8 A's checkpoint for B where B's checkpoint role has A's key: refused by its index", async () => {
      const bob = await w.index(`bob4-${kind}`, {
        root: ({ roles }) => ({ roles: { ...roles, checkpoint: { keys: aliceCheckpoint(), threshold: 1 } } }),
      });
      await bob.put({ [CHECKPOINT_PATH]: await alice.read(CHECKPOINT_PATH) });
      const c = await w.consumer({ through, indices: { bob: { index: bob } } });
      await expect(c.sync()).rejects.toEqual(refusal("WRONG_INDEX", "reading 3", CHECKPOINT_PATH));
    });
  });
});

/** Over plain files what was read before is kept by its hash, so that the host is not even asked; git reads its objects anew. */
function expectWarm(fault: unknown, code: ErrorCode, file: string): void {
  expect(fault).toEqual(through === "sparse" ? null : refusal(code, "reading 6", file));
}

function alicePublisher() {
  return [publicKeyOf(alice.keys.publisher)];
}

function aliceCheckpoint() {
  return [publicKeyOf(alice.keys.checkpoint)];
}

/** The file's own bytes behind a link: content that would pass, at an entry that is no file. */
async function linkInstead(path: string): Promise<void> {
  const bytes = await alice.read(path);
  const files = Object.fromEntries(await Promise.all(alice.paths().map(async (other) => [other, await alice.read(other)] as const)));
  commitHosted(alice.gitDir, {
    ...files,
    [`${path}.real`]: bytes,
    [path]: { mode: "120000", target: `${path.split("/").at(-1) ?? ""}.real` },
  });
}
