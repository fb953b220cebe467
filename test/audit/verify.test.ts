/** `verify` looks at everything, and names each fault by file and step. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { verify, type VerifyResult } from "../../src/cli/commands/verify.ts";
import type { PackageName } from "../../src/format/names.ts";
import { formatPublicKey } from "../../src/format/keys.ts";
import { CHECKPOINT_PATH, recordPath, releasePath, rootPath, shardOf, shardPath } from "../../src/format/paths.ts";
import type { Version } from "../../src/format/versions.ts";
import type { ObjectId } from "../../src/git/port.ts";
import { commitHosted, testGit } from "../support/git-host.ts";
import { strangerKey, type TestIndex, type World, world } from "../support/world.ts";

const A = "@alice/a" as PackageName;
const RELEASE = releasePath(A, "1.0.0" as Version);

let w: World;
let alice: TestIndex;
let honest: ObjectId;

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish(A, "1.0.0", { packageJson: { dependencies: { react: "1" } } });
  await alice.publish(A, "1.1.0");
  await alice.publish("@alice/b", "1.0.0");
  honest = alice.head();
});
afterEach(() => alice.reset(honest));
afterAll(() => w.close());

async function verified(options: { tarballs?: boolean; target?: string; id?: string } = {}): Promise<VerifyResult> {
  return verify(
    { target: options.target ?? alice.url, id: options.id ?? alice.id, tarballs: options.tarballs ?? false },
    w.deps({ home: join(w.folder, "home-verify"), cwd: w.folder }),
  );
}

function faultsOf({ faults }: VerifyResult): string[] {
  return faults.map(({ file, step, code }) => `${file} (${step}) ${code}`);
}

describe("verify", () => {
  it("a good index: counted, with and without tarballs, by address and by folder", async () => {
    const counts = { ok: true, faults: [], roots: 1, packages: 2, releases: 3, signatures: 1 + 1 + 2 + 3 };
    expect(await verified({ tarballs: true })).toMatchObject({ ...counts, tarballs: 3 });
    expect(await verified({ target: alice.gitDir })).toMatchObject({ ...counts, tarballs: null });
  });

  const edits: readonly (readonly [string, () => Promise<void>, readonly string[]])[] = [
    ["T1a a byte of a release", () => alice.flip(RELEASE), [`${RELEASE} (reading 6) HASH_MISMATCH`]],
    ["T1a a byte of a record", () => alice.flip(recordPath(A)), [`${recordPath(A)} (reading 6) HASH_MISMATCH`]],
    ["T1a a byte of a shard", () => alice.flip(shardPath(shardOf(A))), [`${shardPath(shardOf(A))} (reading 6) HASH_MISMATCH`]],
    ["T1a a byte of the checkpoint", () => alice.flip(CHECKPOINT_PATH, '"seq": 17'), [`${CHECKPOINT_PATH} (reading 3) BAD_SIGNATURE`]],
    ["T1a a byte of the root", () => alice.flip(rootPath(1), '"refreshDays": '), [`${rootPath(1)} (reading 2) WRONG_ID`]],
    ["T6 a release", () => alice.remove(RELEASE), [`${RELEASE} (reading 6) MISSING_FILE`]],
    ["T6 a record", () => alice.remove(recordPath(A)), [`${recordPath(A)} (reading 6) MISSING_FILE`]],
    ["T6 a shard", () => alice.remove(shardPath(shardOf(A))), [`${shardPath(shardOf(A))} (reading 6) MISSING_FILE`]],
    ["T6 the root", () => alice.remove(rootPath(1)), [`${rootPath(1)} (reading 2) MISSING_FILE`]],
    ["T6 the checkpoint", () => alice.remove(CHECKPOINT_PATH), [`${CHECKPOINT_PATH} (reading 2) NOT_AN_INDEX`]],
    [
      "T5b a root that no checkpoint names",
      async () => alice.put({ [rootPath(2)]: await alice.read(rootPath(1)) }),
      [`${rootPath(2)} (writing 4) INVALID_DOCUMENT`],
    ],
    [
      "an unlisted release",
      async () => alice.put({ [releasePath(A, "9.9.9" as Version)]: await alice.read(RELEASE) }),
      [`${releasePath(A, "9.9.9" as Version)} (writing 4) INVALID_DOCUMENT`],
    ],
    ["an unlisted file under trust/", () => alice.put({ "trust/notes.txt": "x" }), ["trust/notes.txt (writing 4) INVALID_DOCUMENT"]],
    ["an unlisted shard", () => alice.put({ "packages/zz/shard.json": "{}" }), ["packages/zz/shard.json (writing 4) INVALID_DOCUMENT"]],
  ];

  it.each(edits)("%s: named by file and step", async (_, edit, expected) => {
    await edit();
    const report = await verified();
    expect(report.ok).toBe(false);
    for (const fault of expected) expect(faultsOf(report)).toContain(fault);
    // one broken file does not hide the others, and breaks no others' judgement
    expect(faultsOf(report).filter((fault) => fault.includes("@alice+b"))).toEqual([]);
  });

  it("two faults at once are both named", async () => {
    await alice.flip(RELEASE);
    await alice.remove(recordPath("@alice/b" as PackageName));
    expect(faultsOf(await verified())).toEqual(
      expect.arrayContaining([`${RELEASE} (reading 6) HASH_MISMATCH`, `${recordPath("@alice/b" as PackageName)} (reading 6) MISSING_FILE`]),
    );
  });

  it("other files are nobody's business", async () => {
    await alice.put({ "README.md": "# hello", ".github/x.yml": "x", "proposals/@alice+a/2.0.0/release.json": "{}" });
    expect(await verified()).toMatchObject({ ok: true });
  });

  it("a bad signature beside a full threshold: readers skip it, verify names it", async () => {
    const stranger = strangerKey();
    await alice.amend(A, () => ({}), [alice.keys.publisher, stranger]);
    // Signatures are sorted by key, and keys are random: the stranger's may come first or last.
    await alice.flip(recordPath(A), `${formatPublicKey(stranger.publicKey)}",\n      "signature": "`);
    const bytes = await alice.read(recordPath(A));
    await alice.seal({ records: { [A]: bytes } });
    const report = await verified();
    expect(faultsOf(report)).toEqual([`${recordPath(A)} (reading 6) BAD_SIGNATURE`]);
  });

  it("T1b a forged release under a stolen checkpoint key", async () => {
    await alice.forge(A, "1.0.0", () => ({ manifest: {} }));
    expect(faultsOf(await verified())).toContain(`${recordPath(A)} (reading 6) BAD_SIGNATURE`);
  });

  it("another id than the pinned one", async () => {
    expect(faultsOf(await verified({ id: "0".repeat(64) }))).toContain(`${rootPath(1)} (reading 2) WRONG_ID`);
  });

  it.each([
    ["a release", RELEASE],
    ["a folder that nobody lists", "packages/extra"],
    ["under trust/", "trust/7.json"],
  ])("a symbolic link instead of %s", async (_, path) => {
    const files = Object.fromEntries(await Promise.all(alice.paths().map(async (other) => [other, await alice.read(other)] as const)));
    commitHosted(alice.gitDir, { ...files, [path]: { mode: "120000", target: "../../README.md" } }, { parent: honest });
    expect(faultsOf(await verified())).toContain(`${path} (reading 6) INVALID_DOCUMENT`);
  });

  it("a submodule under packages/", async () => {
    const files = Object.fromEntries(await Promise.all(alice.paths().map(async (other) => [other, await alice.read(other)] as const)));
    commitHosted(alice.gitDir, { ...files, "packages/sub": { mode: "160000", target: honest } }, { parent: honest });
    expect(faultsOf(await verified())).toContain("packages/sub (reading 6) INVALID_DOCUMENT");
  });

  it("a plain folder, as it lies there: links are not followed", async () => {
    const folder = join(w.folder, "plain");
    for (const path of alice.paths()) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), await alice.read(path));
    }
    expect(await verified({ target: folder })).toMatchObject({ ok: true, releases: 3 });
    const elsewhere = join(w.folder, "elsewhere.json");
    writeFileSync(elsewhere, await alice.read(RELEASE));
    rmSync(join(folder, RELEASE));
    symlinkSync(elsewhere, join(folder, RELEASE));
    expect(faultsOf(await verified({ target: folder }))).toEqual(
      expect.arrayContaining([`${RELEASE} (reading 6) MISSING_FILE`, `${RELEASE} (reading 6) INVALID_DOCUMENT`]),
    );
  });
});

describe("verify --tarballs", () => {
  it("T10 a manifest that differs from the tarball: the field is named", async () => {
    await alice.publish("@alice/liar", "1.0.0", {
      packageJson: { dependencies: { evil: "1.0.0" }, scripts: { postinstall: "node evil.js" } },
      edit: (request) => ({ ...request, manifest: { ...request.manifest, dependencies: {}, hasInstallScript: false } }),
    });
    expect(await verified()).toMatchObject({ ok: true });
    const { faults } = await verified({ tarballs: true });
    expect(faults).toEqual([
      expect.objectContaining({
        file: releasePath("@alice/liar" as PackageName, "1.0.0" as Version),
        step: "tarballs",
        code: "TARBALL_MISMATCH",
        message: expect.stringMatching(/dependencies, hasInstallScript/),
      }),
    ]);
  });

  it("a tarball of another package, or with other counts", async () => {
    const { dist } = (await alice.release("@alice/b", "1.0.0")).doc;
    await alice.publish("@alice/other", "1.0.0", { edit: (request) => ({ ...request, dist }) });
    await alice.publish("@alice/counts", "1.0.0", {
      edit: (request) => ({ ...request, dist: { ...request.dist, fileCount: 99, unpackedSize: 1 } }),
    });
    const { faults } = await verified({ tarballs: true });
    expect(faults.map(({ message }) => message)).toEqual(
      expect.arrayContaining([expect.stringMatching(/says it is "@alice\/b"/), expect.stringMatching(/unpackedSize, fileCount/)]),
    );
  });

  it("B2 a tarball that is gone, or replaced", async () => {
    const refs = testGit(alice.gitDir, ["for-each-ref", "--format=%(refname)", "refs/tarballs"]).split("\n");
    const before = new Map(refs.map((ref) => [ref, testGit(alice.gitDir, ["rev-parse", ref])]));
    const bytes = (await alice.release("@alice/b", "1.0.0")).doc.dist.integrity;
    const ref = `refs/tarballs/${Buffer.from(bytes.slice(7), "base64").toString("hex").slice(0, 64)}`;
    commitHosted(alice.gitDir, { "package.tgz": "x" }, { ref });
    const home = { tarballs: true };
    const replaced = await verify(
      { target: alice.url, id: alice.id, ...home },
      w.deps({ home: join(w.folder, "home-fresh"), cwd: w.folder }),
    );
    expect(faultsOf(replaced)).toEqual([`${releasePath("@alice/b" as PackageName, "1.0.0" as Version)} (tarballs) TARBALL_MISMATCH`]);
    testGit(alice.gitDir, ["update-ref", "-d", ref]);
    const gone = await verify({ target: alice.url, id: alice.id, ...home }, w.deps({ home: join(w.folder, "home-fresh2"), cwd: w.folder }));
    expect(faultsOf(gone)).toEqual([`${releasePath("@alice/b" as PackageName, "1.0.0" as Version)} (tarballs) MISSING_FILE`]);
    testGit(alice.gitDir, ["update-ref", ref, before.get(ref) ?? ""]);
  });
});
