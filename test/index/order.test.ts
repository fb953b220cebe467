/** States in order: what a machine has seen, what a lock has seen, what a package's record has seen. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/errors.ts";
import { signDocument } from "../../src/crypto/documents.ts";
import { encodeCheckpoint } from "../../src/format/checkpoint.ts";
import { fileHashOf } from "../../src/format/digest.ts";
import type { PackageName } from "../../src/format/names.ts";
import { CHECKPOINT_PATH, recordPath, releasePath } from "../../src/format/paths.ts";
import type { LockEntry } from "../../src/format/project.ts";
import type { Version } from "../../src/format/versions.ts";
import type { ObjectId } from "../../src/git/port.ts";
import { sync } from "../../src/cli/commands/sync.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import {
  environmentThrough,
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
const NEXT = "1.1.0" as Version;
const MAX = Number.MAX_SAFE_INTEGER;

let w: World;
/** What consumers read through. */
let through: SourceKind;
let alice: TestIndex;
/** The state before the last release, and the state with it. */
let old: { readonly commit: ObjectId; readonly lock: LockEntry };
let now: { readonly commit: ObjectId; readonly lock: LockEntry };

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish(A, "1.0.0");
  await alice.publish("@alice/b", "1.0.0");
  old = { commit: alice.head(), lock: await alice.lockEntry() };
  await alice.publish(A, NEXT);
  now = { commit: alice.head(), lock: await alice.lockEntry() };
});
afterEach(() => {
  alice.up();
  alice.reset(now.commit);
});
afterAll(() => w.close());

async function consumer(lock?: LockEntry): Promise<TestConsumer> {
  return w.consumer({ through, indices: { alice: { index: alice } }, ...(lock === undefined ? {} : { lock: { alice: lock } }) });
}

async function warm(): Promise<TestConsumer> {
  const c = await consumer();
  await c.sync();
  await c.read(A);
  await c.read("@alice/b");
  return c;
}

function refusal(code: ErrorCode, step: string): object {
  return expect.objectContaining({ code, step });
}

describe.each(SOURCE_KINDS)("through %s", (kind) => {
  beforeAll(() => void (through = kind));

  describe("T2a an older state", () => {
    it("T2a is refused, the last verified one serves, also after a restart, and sync exits with 4", async () => {
      const c = await warm();
      alice.reset(old.commit);
      await expect(c.sync()).rejects.toEqual(refusal("ROLLBACK", "reading 4"));
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", [NEXT]: "ok" });
      const later = await c.again();
      await expect(later.sync()).rejects.toMatchObject({ code: "ROLLBACK", exitCode: 4 });
      expect((await later.get("/@alice/a")).json["dist-tags"].latest).toBe(NEXT);
      alice.reset(now.commit);
      expect((await later.sync()).changed).toBe(false);
    });

    it("T2a an older root is refused before anything else of that state is looked at", async () => {
      await alice.changeRoot(() => ({ refreshDays: 7 }));
      const c = await warm();
      alice.reset(now.commit);
      await expect(c.sync()).rejects.toEqual(refusal("ROLLBACK", "reading 2"));
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", [NEXT]: "ok" });
    });
  });

  describe("T2b two states with one number", () => {
    it("T2b both are kept as evidence, the trusted one stays, a later higher one is accepted", async () => {
      const c = await warm();
      const seen = (await alice.checkpoint()).bytes;
      const { seq, time } = (await alice.checkpoint()).doc;
      await alice.seal({ records: { "@alice/b": null }, checkpoint: () => ({ seq, time }) });
      const fork = (await alice.checkpoint()).bytes;
      await expect(c.sync()).rejects.toEqual(refusal("EQUIVOCATION", "reading 4"));
      expect((await c.reader().current())?.checkpoint.bytes).toEqual(Uint8Array.from(seen));
      expect(await c.verdicts("@alice/b")).toEqual({ "1.0.0": "ok" });
      expect(await c.evidence()).toEqual([seen, fork].map((bytes) => `${fileHashOf(bytes)}.json`).toSorted());

      alice.reset(now.commit);
      await alice.renew();
      expect((await c.sync()).changed).toBe(true);
      expect(await c.verdicts("@alice/b")).toEqual({ "1.0.0": "ok" });
      expect(await c.evidence()).toHaveLength(2);
    });

    it("T2b the same document signed anew is no other state", async () => {
      const c = await warm();
      const { seq, time } = (await alice.checkpoint()).doc;
      await alice.seal({ checkpoint: () => ({ seq, time }) });
      expect((await c.sync()).changed).toBe(false);
      expect(await c.evidence()).toEqual([]);
    });
  });

  describe("T2c a stolen checkpoint key hides what was seen", () => {
    it.each([
      ["drops a package", async (): Promise<void> => alice.seal({ records: { [A]: null } })],
      ["brings back the record without the newest release", async (): Promise<void> => replay(A, old.commit)],
    ])("T2c %s: refused for whoever read it before, others serve; a newcomer is fooled", async (_, attack) => {
      const c = await warm();
      await attack();
      await c.sync();
      await expect(c.read(A)).rejects.toEqual(refusal("RECORD_REGRESSED", "reading 8"));
      expect((await c.get("/@alice/a")).status).toBe(403);
      await expect((await c.again()).read(A)).rejects.toEqual(refusal("RECORD_REGRESSED", "reading 8"));
      expect((await c.get("/@alice/b")).status).toBe(200);
      const newcomer = await consumer();
      await newcomer.sync();
      await expect(newcomer.read(A)).resolves.toMatchObject({ fault: null });
    });

    it("T2c un-yanks by an older record: refused", async () => {
      const before = alice.head();
      await alice.amend(A, () => ({ yanked: new Map([[NEXT, "leaks memory"]]) }));
      const c = await warm();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", [NEXT]: "yanked" });
      await replay(A, before);
      await c.sync();
      await expect(c.read(A)).rejects.toEqual(refusal("RECORD_REGRESSED", "reading 8"));
    });

    it("T2c the publisher's own key rewrites history: a release that vanishes, changes, or returns from withdrawal is refused", async () => {
      const edits: [string, () => Promise<void>][] = [
        [
          "vanishes",
          () =>
            alice.amend(A, ({ releases }) => ({
              releases: new Map([...releases].filter(([version]) => version !== NEXT)),
              tags: new Map([["latest" as never, "1.0.0" as Version]]),
            })),
        ],
        [
          "changes",
          () => alice.forge(A, NEXT, () => ({ manifest: {} }), { release: [alice.keys.publisher], record: [alice.keys.publisher] }),
        ],
        [
          "one revision, two records",
          async () => {
            const { revision } = (await alice.record(A)).doc;
            await alice.amend(A, () => ({ revision, deprecated: new Map([[NEXT, "old"]]) }));
          },
        ],
      ];
      for (const [, edit] of edits) {
        alice.reset(now.commit);
        const c = await warm();
        await edit();
        await c.sync();
        await expect(c.read(A)).rejects.toEqual(refusal("RECORD_REGRESSED", "reading 8"));
      }
      alice.reset(now.commit);
      const withdrawn = (): Promise<void> =>
        alice.amend(A, ({ releases }) => ({
          releases: new Map([...releases].filter(([version]) => version !== NEXT)),
          withdrawn: new Map([[NEXT, "stolen"]]),
          tags: new Map([["latest" as never, "1.0.0" as Version]]),
        }));
      const before = await alice.record(A);
      await withdrawn();
      const c = await warm();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok" });
      await alice.amend(A, () => ({ releases: before.doc.releases, withdrawn: new Map(), tags: before.doc.tags }));
      await c.sync();
      await expect(c.read(A)).rejects.toEqual(refusal("RECORD_REGRESSED", "reading 8"));
    });

    it("T2c withdrawing is no regress; the number is gone for good", async () => {
      const c = await warm();
      await alice.amend(A, ({ releases }) => ({
        releases: new Map([...releases].filter(([version]) => version !== NEXT)),
        withdrawn: new Map([[NEXT, "stolen"]]),
        tags: new Map([["latest" as never, "1.0.0" as Version]]),
      }));
      await alice.remove(releasePath(A, NEXT));
      await c.sync();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok" });
      expect((await c.get("/@alice/a/-/a-1.1.0.tgz")).json.code).toBe("RELEASE_REFUSED");
      await expect(alice.publish(A, NEXT)).rejects.toMatchObject({ code: "VERSION_EXISTS" });
    });

    it("K4 a thief's revision 2^53-1 is forgotten with the revoked key: the author's next record is accepted", async () => {
      await alice.amend(A, () => ({
        revision: MAX,
        yanked: new Map([
          ["1.0.0" as Version, "gone"],
          [NEXT, "gone"],
        ]),
      }));
      const c = await warm();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "yanked", [NEXT]: "yanked" });
      const honest = await alice.record(A);
      const fresh = strangerKey();
      await alice.changeRoot(({ publishers }) => ({ publishers: publishers.map((entry) => ({ ...entry, keys: [publicKeyOf(fresh)] })) }));
      await c.sync();
      await expect(c.read(A)).rejects.toEqual(refusal("BAD_SIGNATURE", "reading 6"));
      await alice.amend(A, () => ({ ...honest.doc, revision: 5_000_000_000_000, yanked: new Map() }), [fresh]);
      await c.sync();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", [NEXT]: "ok" });
    });
  });

  describe("T3 a cold client with a lock", () => {
    it("T3 host behind the lock: refused", async () => {
      alice.reset(old.commit);
      await expect((await consumer(now.lock)).sync()).rejects.toEqual(refusal("ROLLBACK", "reading 4"));
    });

    it("T3 host with a fork of the locked state: refused", async () => {
      const { seq } = (await alice.checkpoint()).doc;
      await alice.seal({ records: { "@alice/b": null }, checkpoint: () => ({ seq }) });
      await expect((await consumer(now.lock)).sync()).rejects.toEqual(refusal("EQUIVOCATION", "reading 4"));
    });

    it("T3 host ahead of the lock: accepted", async () => {
      const c = await consumer(old.lock);
      expect((await c.sync()).changed).toBe(true);
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", [NEXT]: "ok" });
    });

    it("T3 a root chain without the lock's root: refused", async () => {
      await alice.changeRoot(() => ({ refreshDays: 7 }));
      const lock = await alice.lockEntry();
      alice.reset(now.commit);
      await alice.changeRoot(() => ({ refreshDays: 8 }));
      await alice.renew();
      await expect((await consumer(lock)).sync()).rejects.toEqual(refusal("LOCK_MISMATCH", "reading 4"));
    });

    it("T3 a state on this machine that is behind the project's lock does not answer", async () => {
      const c = await consumer();
      alice.reset(old.commit);
      await c.sync();
      await c.read(A);
      const locked = await c.again({ lock: { alice: now.lock } });
      await expect(locked.read(A)).rejects.toEqual(refusal("ROLLBACK", "reading 4"));
      alice.reset(now.commit);
      await locked.sync();
      expect(await locked.verdicts(A)).toEqual({ "1.0.0": "ok", [NEXT]: "ok" });
    });

    it("T3 --frozen without an entry: refused; with one: no network where this machine is there already", async () => {
      const cwd = await w.projectFolder(`frozen-${kind}`, { through, indices: { alice: { index: alice } } });
      const home = `${w.folder}/home-frozen-${kind}`;
      const env = environmentThrough(through);
      await expect(sync({ frozen: true, only: [] }, w.deps({ home, cwd, env }))).rejects.toMatchObject({ code: "NOT_LOCKED" });
      await sync({ frozen: false, only: [] }, w.deps({ home, cwd, env }));
      alice.down();
      await expect(sync({ frozen: true, only: [] }, w.deps({ home, cwd, env }))).resolves.toMatchObject([
        { alias: "alice", changed: false, error: null },
      ]);
      await expect(sync({ frozen: false, only: [] }, w.deps({ home, cwd, env }))).rejects.toMatchObject({ code: "UNREACHABLE" });
    });
  });

  describe("T7 a stolen checkpoint key jumps to the end of numbers", () => {
    it("T7 recoverable by a new root with another key, at any seq; never lower under one root", async () => {
      await alice.seal({ checkpoint: () => ({ seq: MAX }) });
      const c = await warm();
      const jumped = alice.head();
      alice.reset(now.commit);
      await expect(c.sync()).rejects.toEqual(refusal("ROLLBACK", "reading 4"));
      alice.reset(jumped);
      const fresh = strangerKey();
      const before = (await alice.checkpoint()).doc;
      await alice.put({ [CHECKPOINT_PATH]: signDocument("checkpoint", encodeCheckpoint({ ...before, seq: 1 }), [alice.keys.checkpoint]) });
      await alice.changeRoot(({ roles }) => ({ roles: { ...roles, checkpoint: { keys: [publicKeyOf(fresh)], threshold: 1 } } }), {
        checkpoint: () => ({ seq: 7 }),
        checkpointKeys: [fresh],
      });
      expect((await c.sync()).changed).toBe(true);
      expect((await c.reader().current())?.checkpoint.doc).toMatchObject({ seq: 7, root: { version: 2 } });
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", [NEXT]: "ok" });
    });
  });

  describe("hosts that are not there", () => {
    it("G2 a host that goes away between sync and read: what was verified before serves", async () => {
      const c = await warm();
      await alice.publish(A, "1.2.0");
      await c.sync();
      alice.down();
      const { view, fault } = await c.read(A);
      // The embedded git has fetched everything with the sync; the others come back for a package's files.
      expect([...(view?.versions.keys() ?? [])]).toEqual(kind === "isomorphic" ? ["1.0.0", NEXT, "1.2.0"] : ["1.0.0", NEXT]);
      if (kind === "isomorphic") expect(fault).toBeNull();
      else expect(fault).toMatchObject({ code: "UNREACHABLE" });
      alice.up();
      expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", [NEXT]: "ok", "1.2.0": "ok" });
    });

    it("offline, everything that was read serves, also after a restart", async () => {
      const c = await warm();
      alice.down();
      await expect(c.sync()).rejects.toMatchObject({ code: "UNREACHABLE" });
      expect((await (await c.again()).get("/@alice/a")).status).toBe(200);
    });
  });

  describe("trusted state on disk", () => {
    it("a damaged one is refused, never forgotten: that would open the door to a rollback", async () => {
      const c = await warm();
      const cell = c.layout.trustedState(alice.id);
      const files = nodeFiles();
      const newest = (await files.list(cell)).toSorted((a, b) => Number(a) - Number(b)).at(-1) ?? "";
      for (const damage of ["", "{}", '{"roots":[]}', '{"format":1,"at":"x","checkpoint":"{}","roots":["{}"]}']) {
        await files.writeAtomic(`${cell}/${newest}`, Buffer.from(damage));
        await expect((await c.again()).read(A)).rejects.toMatchObject({ code: "STORAGE_FAILED" });
        await expect((await c.again()).sync()).rejects.toMatchObject({ code: "STORAGE_FAILED" });
      }
    });
  });

  describe("G1 a host that rewrites history", () => {
    it("G1 squash and force-push with the same content: accepted without noise", async () => {
      const other = await w.index(`carol-${kind}`, { packages: ["@carol/*"] });
      await other.publish("@carol/a", "1.0.0");
      const c = await w.consumer({ through, indices: { carol: { index: other, packages: ["@carol/*"] } } });
      await c.sync();
      await c.read("@carol/a");
      other.squash();
      expect((await c.sync()).changed).toBe(false);
      expect(await c.read("@carol/a")).toMatchObject({ fault: null });
      await other.publish("@carol/b", "1.0.0");
      other.squash();
      expect((await c.sync()).changed).toBe(true);
      expect(await c.verdicts("@carol/b")).toEqual({ "1.0.0": "ok" });
      // Tarballs that are kept in git are not among the plain files.
      if (kind !== "sparse") expect(await c.tarball("@carol/a", "1.0.0")).toBeInstanceOf(Uint8Array);
      expect(c.warnings).toEqual([]);
    });

    it("C3 squash and garbage collection between sync and read: read again, without noise", async () => {
      const other = await w.index(`dora-${kind}`, { packages: ["@dora/*"] });
      await other.publish("@dora/a", "1.0.0");
      const c = await w.consumer({ through, indices: { dora: { index: other, packages: ["@dora/*"] } } });
      await c.sync();
      await other.publish("@dora/a", "1.1.0");
      other.squash();
      const { view, fault } = await c.read("@dora/a");
      expect(fault).toBeNull();
      // The embedded git has the whole old state, and reads on in it.
      expect(new Set(Object.values(await c.verdicts("@dora/a")))).toEqual(new Set(["ok"]));
      expect(view?.versions.size).toBe(kind === "isomorphic" ? 1 : 2);
      expect(c.warnings).toEqual([]);
    });
  });
});

/** The package's files as they were at another commit, under a new checkpoint by the stolen key. */
async function replay(name: PackageName, commit: ObjectId): Promise<void> {
  const here = alice.head();
  alice.reset(commit);
  const record = await alice.read(recordPath(name));
  alice.reset(here);
  await alice.seal({ records: { [name]: record } });
}
