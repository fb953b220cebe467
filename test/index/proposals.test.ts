/** W1 and W2 below the command line: what a proposal may be, judged with keys and states that no honest tool combines. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { signDocument } from "../../src/crypto/documents.ts";
import { generatePrivateKey, type PrivateKey } from "../../src/crypto/ed25519.ts";
import { formatPublicKey } from "../../src/format/keys.ts";
import type { PackageName } from "../../src/format/names.ts";
import { PROPOSALS, proposalPath } from "../../src/format/paths.ts";
import { encodeRecord, type PackageRecord, parseRecord } from "../../src/format/record.ts";
import { encodeRelease, parseRelease, type Release } from "../../src/format/release.ts";
import type { DistTag, Version } from "../../src/format/versions.ts";
import { type Base } from "../../src/index/publish.ts";
import { judgeProposals, proposalBranch, readProposals, writeProposals, writeSeal } from "../../src/index/proposals.ts";
import { readPackage } from "../../src/index/package-reader.ts";
import { commitSource } from "../../src/index/source.ts";
import type { ReleaseRequest } from "../../src/index/writer.ts";
import { LIMITS_OF_TESTS, type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let index: TestIndex;
let names = 0;
let name: PackageName;
beforeAll(async () => {
  w = await world();
  index = await w.index("zoe");
});
afterAll(() => w.close());
beforeEach(async () => {
  name = `@zoe/p${String(++names)}` as PackageName;
  await index.publish(name, "1.0.0");
});

async function base(): Promise<Base> {
  const commit = index.head();
  return { state: await index.state(), snapshot: await commitSource(index.repository, commit, LIMITS_OF_TESTS).open(), commit };
}

async function requestOf(version: string, tag: string | null = null): Promise<ReleaseRequest> {
  const { dist, manifest } = (await index.release(name, "1.0.0")).doc;
  return { name, version: version as Version, dist, manifest, tag: tag as DistTag | null };
}

type Edit = {
  readonly record?: (record: PackageRecord) => Partial<PackageRecord>;
  readonly release?: (release: Release) => Partial<Release>;
  readonly recordKeys?: readonly PrivateKey[];
  readonly releaseKeys?: readonly PrivateKey[];
};

/** An honest proposal of 1.1.0 made on `from`, then changed and signed again. */
async function propose(from: Base, edit: Edit = {}, version = "1.1.0"): Promise<void> {
  const packages = new Map([[name, await readPackage(from.snapshot, from.state, name)]]);
  const keys = { publishers: [index.keys.publisher] };
  const files = writeProposals({ state: from.state, packages, requests: [await requestOf(version, "next")], keys, nowMs: Date.now() });
  const [release, record] = files.map(({ content }) => content as Uint8Array) as [Uint8Array, Uint8Array];
  const { doc: releaseDoc } = parseRelease(release);
  const { doc: recordDoc } = parseRecord(record);
  const put: Record<string, Uint8Array> = {
    [proposalPath(name, version as Version, "release.json")]:
      edit.release === undefined && edit.releaseKeys === undefined
        ? release
        : signDocument("release", encodeRelease({ ...releaseDoc, ...edit.release?.(releaseDoc) }), edit.releaseKeys ?? keys.publishers),
    [proposalPath(name, version as Version, "record.json")]:
      edit.record === undefined && edit.recordKeys === undefined
        ? record
        : signDocument("package", encodeRecord({ ...recordDoc, ...edit.record?.(recordDoc) }), edit.recordKeys ?? keys.publishers),
  };
  await index.put(put);
}

/** A record as if a release had never been, and everything pointed at the proposed one. */
function without({ releases, tags }: PackageRecord, version: string): Pick<PackageRecord, "releases" | "tags"> {
  return {
    releases: new Map([...releases].filter(([v]) => v !== version)),
    tags: new Map([...tags.keys()].map((tag) => [tag, "1.1.0" as Version])),
  };
}

/** Codes and messages of what is refused of this test's package; none: it would be sealed. */
async function verdict(): Promise<string> {
  const now = await base();
  const { proposals, faults } = await readProposals(now.snapshot, await index.repository.listFiles(now.commit, PROPOSALS));
  const judged = await judgeProposals(now, proposals);
  const mine = [...faults, ...judged.faults].filter(({ file }) => file.includes(`@zoe+p${String(names)}/`));
  return mine.length === 0 ? "fits" : mine.map(({ code, message }) => `${code}: ${message}`).join("\n");
}

describe("W1 a proposal is refused", () => {
  it("W1 W2 but not an honest one, and readers see nothing of it", async () => {
    await propose(await base());
    expect(await verdict()).toBe("fits");
    const reader = await w.consumer({ indices: { zoe: { index } } });
    await reader.sync();
    expect(await reader.verdicts(name)).toEqual({ "1.0.0": "ok" });
  });

  const stranger = generatePrivateKey();
  it.each<[string, Edit, RegExp]>([
    ["with a record by the wrong key", { recordKeys: [stranger] }, /^BAD_SIGNATURE.*has 0 of the 1 signatures/],
    ["with a release by the wrong key", { releaseKeys: [stranger] }, /^RELEASE_REFUSED.*untrusted/],
    [
      "that changes the dist of the release after it was listed",
      { release: ({ dist }) => ({ dist: { ...dist, size: dist.size + 1 } }) },
      /other bytes/,
    ],
    ["that yanks in passing", { record: () => ({ yanked: new Map([["1.0.0" as Version, ""]]) }) }, /changes what is yanked/],
    [
      "that deprecates in passing",
      { record: () => ({ deprecated: new Map([["1.0.0" as Version, "old"]]) }) },
      /changes what is deprecated/,
    ],
    ["that drops a release", { record: (record) => without(record, "1.0.0") }, /adds, changes or drops another release/],
    [
      "that withdraws a release",
      {
        record: (record) => ({ ...without(record, "1.0.0"), withdrawn: new Map([["1.0.0" as Version, ""]]) }),
      },
      /another release|withdrawn/,
    ],
    [
      "that moves a tag elsewhere",
      { record: ({ tags }) => ({ tags: new Map([...tags, ["old" as DistTag, "1.0.0" as Version]]) }) },
      /moves tags/,
    ],
    ["with a lower revision", { record: () => ({ revision: 1 }) }, /revision 1, the index is at \d+: propose it again/],
    ["of another index", { record: () => ({ index: "0".repeat(64) as PackageRecord["index"] }) }, /^WRONG_INDEX/],
    ["with a record of another name", { record: () => ({ name: "@zoe/other" as PackageName }) }, /^WRONG_INDEX/],
    ["with a release of another version", { release: () => ({ version: "9.9.9" as Version }) }, /^WRONG_INDEX.*holds @zoe\/p\d+@9\.9\.9/],
  ])("%s", async (_, edit, words) => {
    await propose(await base(), edit);
    expect(await verdict()).toMatch(words);
  });

  it("that was made before the author yanked, though its revision is higher", async () => {
    const before = await base();
    await index.publish(name, "1.0.1");
    const stale = await base();
    await index.amend(name, () => ({ yanked: new Map([["1.0.0" as Version, "bad"]]) }));
    await propose(stale, { record: () => ({ revision: Date.now() + 60_000 }) });
    expect(await verdict()).toMatch(/changes what is yanked: propose it again/);
    expect(before.commit).not.toBe(stale.commit);
  });

  it("of a version that is withdrawn, or that differs from another only by case", async () => {
    const from = await base();
    await propose(from, {}, "2.0.0");
    await index.publish(name, "2.0.0");
    expect(await verdict()).toMatch(/^VERSION_EXISTS/);
    await index.put({
      [proposalPath(name, "2.0.0" as Version, "release.json")]: null,
      [proposalPath(name, "2.0.0" as Version, "record.json")]: null,
    });
    await propose(await base(), {}, "3.0.0-A");
    await propose(await base(), {}, "3.0.0-a");
    expect(await verdict()).toMatch(/3\.0\.0-[Aa].*(only by case|propose it again)/);
  });

  it("signed by a key that the newest root no longer names", async () => {
    const old = index.keys.publisher;
    const next = generatePrivateKey();
    await propose(await base());
    await index.changeRoot((root) => ({
      publishers: root.publishers.map((entry) => ({ ...entry, keys: [formatPublicKey(next.publicKey)] })),
    }));
    expect(await verdict()).toMatch(/^BAD_SIGNATURE/);
    // A release that an old key signed once counts in an old record; it is not how new ones come in.
    await index.put({
      [proposalPath(name, "1.1.0" as Version, "record.json")]: signDocument(
        "package",
        encodeRecord(parseRecord(await index.read(proposalPath(name, "1.1.0" as Version, "record.json"))).doc),
        [next],
      ),
    });
    expect(await verdict()).toMatch(/signed by a key that may no longer publish it|BAD_SIGNATURE/);
    await index.changeRoot((root) => ({
      publishers: root.publishers.map((entry) => ({ ...entry, keys: [formatPublicKey(old.publicKey)] })),
    }));
  });
});

describe("sealing", () => {
  it("moves files into place byte for byte; with none it only renews", async () => {
    await propose(await base());
    const now = await base();
    const { proposals } = await readProposals(now.snapshot, await index.repository.listFiles(now.commit, PROPOSALS));
    const { accepted } = await judgeProposals(
      now,
      proposals.filter((proposal) => proposal.name === name),
    );
    const keys = { checkpoint: [index.keys.checkpoint] };
    const files = await writeSeal({ ...now, accepted, keys, nowMs: Date.now() });
    expect(files.map(({ path, content }) => `${content === null ? "-" : "+"} ${path.replace(/^packages\/..\//, "packages/hh/")}`)).toEqual([
      `- proposals/@zoe+p${String(names)}/1.1.0/release.json`,
      `- proposals/@zoe+p${String(names)}/1.1.0/record.json`,
      `+ packages/hh/@zoe+p${String(names)}/1.1.0.json`,
      `+ packages/hh/@zoe+p${String(names)}/record.json`,
      "+ packages/hh/shard.json",
      "+ checkpoint.json",
    ]);
    await index.put(Object.fromEntries(files.map(({ path, content }) => [path, content])));
    const reader = await w.consumer({ indices: { zoe: { index } } });
    await reader.sync();
    expect(await reader.verdicts(name)).toEqual({ "1.0.0": "ok", "1.1.0": "ok" });
    const renewal = await writeSeal({ ...(await base()), accepted: [], keys, nowMs: Date.now() });
    expect(renewal.map(({ path }) => path)).toEqual(["checkpoint.json"]);
  });

  it("two releases of one package in one proposal build on each other", async () => {
    const now = await base();
    const packages = new Map([[name, await readPackage(now.snapshot, now.state, name)]]);
    const requests = [await requestOf("1.1.0"), await requestOf("1.2.0")];
    const files = writeProposals({ state: now.state, packages, requests, keys: { publishers: [index.keys.publisher] }, nowMs: Date.now() });
    await index.put(Object.fromEntries(files.map(({ path, content }) => [path, content])));
    expect(await verdict()).toBe("fits");
  });

  it("names branches that every git takes", () => {
    const branch = (label: string): string => proposalBranch([{ name: label as PackageName, version: "1.0.0" as Version }]);
    expect(branch("@alice/x")).toBe("propose-alice-x-1.0.0");
    expect(branch("JSONStream")).toBe("propose-j-s-o-n-stream-1.0.0");
    expect(branch("_x")).toMatch(/^propose-[A-Za-z0-9._-]+$/);
    const two = { name: "a" as PackageName, version: "1.0.0" as Version };
    expect(proposalBranch([two, two])).toBe("propose-a-1.0.0-and-1-more");
  });
});
