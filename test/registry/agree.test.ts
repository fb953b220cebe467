/** X7 `agree`: what several indices must say alike, told at the resolver's door. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ImprintError } from "../../src/errors.ts";
import type { PackageName } from "../../src/format/names.ts";
import { CHECKPOINT_PATH, recordPath } from "../../src/format/paths.ts";
import type { DistTag, Version } from "../../src/format/versions.ts";
import { tallyOf } from "../../src/registry/agree.ts";
import { askBallots, ballotsUntil, ballotsWithin, type ReadBallot } from "../../src/registry/ballots.ts";
import { type ConsumerOptions, type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

const HOUR_MS = 3_600_000;
const NAME = "react-x";
const ALIASES = ["alice", "bob", "carol"] as const;
type Alias = (typeof ALIASES)[number];

let w: World;
let all: Record<Alias, TestIndex>;
let heads: Record<Alias, ReturnType<TestIndex["head"]>>;

beforeAll(async () => {
  w = await world();
  const entries = await Promise.all(ALIASES.map(async (alias) => [alias, await w.index(alias, { packages: ["*"] })] as const));
  all = Object.fromEntries(entries) as typeof all;
  for (const version of ["1.0.0", "1.1.0"]) await everywhere(version);
  await w.upstream.publish(NAME, "99.0.0");
  heads = Object.fromEntries(ALIASES.map((alias) => [alias, all[alias].head()])) as typeof heads;
});
afterEach(() => {
  for (const alias of ALIASES) {
    all[alias].up();
    all[alias].reset(heads[alias]);
  }
});
afterAll(() => w.close());

/** The same package by each of them. */
async function everywhere(version: string, of: readonly Alias[] = ALIASES): Promise<void> {
  for (const alias of of) await all[alias].publish(NAME, version, { packageJson: { main: "i.js" }, files: { "i.js": version } });
}

type Options = Pick<ConsumerOptions, "syncAfterMs" | "wallMs" | "syncWaitMs"> & { readonly ages?: Partial<Record<Alias, number>> };

function consumerOf(threshold: number, of: readonly Alias[], { ages = {}, ...rest }: Options = {}): Promise<TestConsumer> {
  return w.consumer({
    indices: Object.fromEntries(of.map((alias) => [alias, { index: all[alias], packages: [], minAgeHours: ages[alias] }])),
    agree: { names: [NAME], of, threshold },
    ...rest,
  });
}

const both = (options?: Options): Promise<TestConsumer> => consumerOf(2, ["alice", "bob"], options);
const versionsOf = async (c: TestConsumer): Promise<readonly string[]> => Object.keys((await c.get(`/${NAME}`)).json.versions ?? {});
const codeOf = async (c: TestConsumer, path = `/${NAME}`): Promise<readonly [number, string]> => {
  const { status, json } = await c.get(path);
  return [status, json.code];
};

describe("X7 two of two", () => {
  it("X7 what both have alike is offered, by every route, with our address and signature", async () => {
    const c = await both();
    const { status, json } = await c.get(`/${NAME}`);
    expect([status, Object.keys(json.versions), json["dist-tags"]]).toEqual([200, ["1.0.0", "1.1.0"], { latest: "1.1.0" }]);
    expect(json.versions["1.1.0"].dist.tarball).toBe("http://127.0.0.1:4870/react-x/-/react-x-1.1.0.tgz");
    const { keys } = (await c.get("/-/npm/v1/keys")).json;
    expect(json.versions["1.1.0"].dist.signatures).toEqual([{ keyid: keys.at(-1).keyid, sig: expect.any(String) }]);
    expect(w.upstream.requests.splice(0).map(({ path }) => path)).toEqual(["/-/npm/v1/keys"]);
    const abbreviated = await c.get(`/${NAME}`, { accept: "application/vnd.npm.install-v1+json" });
    expect(abbreviated.headers.get("content-type")).toMatch(/install-v1/);
    expect(Object.keys(abbreviated.json.versions)).toEqual(["1.0.0", "1.1.0"]);
    expect((await c.get(`/${NAME}/latest`)).json.version).toBe("1.1.0");
    expect((await c.get(`/${NAME}/1.0.0`)).json.dist.integrity).toBe(json.versions["1.0.0"].dist.integrity);
    expect((await c.get(`/-/package/${NAME}/dist-tags`)).json).toEqual({ latest: "1.1.0" });
    const tarball = await c.get(`/${NAME}/-/react-x-1.0.0.tgz`);
    expect([tarball.status, tarball.bytes.byteLength]).toEqual([200, (await all.alice.release(NAME, "1.0.0")).doc.dist.size]);
    expect(c.told).toContain("alice+bob packument react-x");
    expect(await codeOf(c, `/-/npm/v1/attestations/${NAME}@1.0.0`)).toEqual([404, "NOT_FOUND"]);
  });

  it("X7 one differs in integrity: that version is not offered, its tarball refused; latest falls to what counts", async () => {
    await all.alice.publish(NAME, "1.2.0", { files: { "i.js": "one" } });
    await all.bob.publish(NAME, "1.2.0", { files: { "i.js": "two" } });
    const c = await both();
    expect(await versionsOf(c)).toEqual(["1.0.0", "1.1.0"]);
    expect((await c.get(`/-/package/${NAME}/dist-tags`)).json).toEqual({ latest: "1.1.0" });
    expect(await codeOf(c, `/${NAME}/1.2.0`)).toEqual([404, "NOT_FOUND"]);
    expect(await codeOf(c, `/${NAME}/-/react-x-1.2.0.tgz`)).toEqual([403, "NOT_AGREED"]);
  });

  it("X7 one differs in its manifest alone: not offered", async () => {
    await everywhere("1.2.0");
    await all.bob.forge(NAME, "1.2.0", ({ manifest }) => ({ manifest: { ...manifest, dependencies: { evil: "1" } } }), {
      release: [all.bob.keys.publisher],
      record: [all.bob.keys.publisher],
    });
    expect(await versionsOf(await both())).toEqual(["1.0.0", "1.1.0"]);
  });

  const OTHER = `sha512-${Buffer.alloc(64).toString("base64")}`;
  it.each([
    ["size", 1],
    ["shasum", "0".repeat(40)],
    ["integrity", OTHER],
  ] as const)("X7 one differs in its %s alone: not offered", async (field, value) => {
    await everywhere("1.2.0");
    await all.bob.forge(NAME, "1.2.0", ({ dist }) => ({ dist: { ...dist, [field]: value } }), {
      release: [all.bob.keys.publisher],
      record: [all.bob.keys.publisher],
    });
    expect(await versionsOf(await both())).toEqual(["1.0.0", "1.1.0"]);
  });

  it("X7 one has it alone: not offered; nothing counts at all: 403 with a reason; none has it: 404", async () => {
    const only = await w.index("only", { packages: ["*"] });
    await only.publish("mine", "1.0.0");
    const c = await w.consumer({
      indices: { alice: { index: all.alice, packages: [] }, only: { index: only, packages: [] } },
      agree: { names: ["mine", "nobodys"], of: ["alice", "only"], threshold: 2 },
    });
    const { status, json } = await c.get("/mine");
    expect([status, json.code]).toEqual([403, "NOT_AGREED"]);
    expect(json.error).toMatch(/2 of alice, only must agree on it .*no version of it counts \(1\.0\.0: only in only\).*imprint why mine/);
    expect(await codeOf(c, "/mine/1.0.0")).toEqual([403, "NOT_AGREED"]);
    expect(await codeOf(c, "/mine/-/mine-1.0.0.tgz")).toEqual([403, "NOT_AGREED"]);
    expect(await codeOf(c, "/nobodys")).toEqual([404, "NOT_FOUND"]);
    expect(await codeOf(c, "/nobodys/-/nobodys-1.0.0.tgz")).toEqual([404, "NOT_FOUND"]);
  });

  it("X7 one yanks: not offered; the tarball still goes to who has locked it", async () => {
    await all.bob.amend(NAME, () => ({ yanked: new Map([["1.0.0" as Version, "slow"]]) }));
    const c = await both();
    expect(await versionsOf(c)).toEqual(["1.1.0"]);
    expect((await c.get(`/${NAME}/-/react-x-1.0.0.tgz`)).status).toBe(200);
  });

  it("X7 one withdraws: neither offered nor its tarball served", async () => {
    await all.bob.amend(NAME, ({ releases }) => ({
      releases: new Map([...releases].filter(([version]) => version !== "1.0.0")),
      withdrawn: new Map([["1.0.0" as Version, "stolen"]]),
    }));
    const c = await both();
    expect(await versionsOf(c)).toEqual(["1.1.0"]);
    const { status, json } = await c.get(`/${NAME}/-/react-x-1.0.0.tgz`);
    expect([status, json.code, json.error]).toEqual([403, "RELEASE_REFUSED", expect.stringMatching(/withdrawn by bob \(stolen\)/)]);
  });

  it("X7 a yank that was seen once still counts when its index is replayed without it by a stolen checkpoint key", async () => {
    const record = await all.bob.read(recordPath(NAME as PackageName));
    await all.bob.amend(NAME, () => ({ yanked: new Map([["1.0.0" as Version, ""]]) }));
    const c = await consumerOf(1, ["alice", "bob"]);
    expect(await versionsOf(c)).toEqual(["1.1.0"]);
    await all.bob.seal({ records: { [NAME]: record } });
    expect(await versionsOf(c)).toEqual(["1.1.0"]);
    expect(c.told.some((line) => /bob: has no vote.*RECORD_REGRESSED/.test(line))).toBe(true);
  });
});

describe("X7 one is not there", () => {
  it("X7 down and never verified: 503, and the reason; nothing of the other one alone", async () => {
    all.bob.down();
    const c = await both();
    expect(await codeOf(c)).toEqual([503, "NEVER_SYNCED"]);
    expect(await codeOf(c, `/${NAME}/1.0.0`)).toEqual([503, "NEVER_SYNCED"]);
    expect(await codeOf(c, `/${NAME}/-/react-x-1.0.0.tgz`)).toEqual([503, "NEVER_SYNCED"]);
  });

  it("X7 down and verified before: it has no vote, so 403; a locked install goes on; afterwards all is as before", async () => {
    const c = await both();
    expect(await versionsOf(c)).toEqual(["1.0.0", "1.1.0"]);
    all.bob.down();
    const { status, json } = await c.get(`/${NAME}`);
    expect([status, json.code]).toEqual([403, "NOT_AGREED"]);
    expect(json.error).toMatch(/bob has no vote: Cannot/);
    expect((await c.get(`/${NAME}/-/react-x-1.0.0.tgz`)).status).toBe(200);
    all.bob.up();
    expect(await versionsOf(c)).toEqual(["1.0.0", "1.1.0"]);
  });

  it("X7 rolled back: no vote, and said so; refused on first use: that refusal", async () => {
    await all.bob.renew();
    const c = await both();
    expect(await versionsOf(c)).toEqual(["1.0.0", "1.1.0"]);
    all.bob.reset(heads.bob);
    expect(await codeOf(c)).toEqual([403, "ROLLBACK"]);
    expect(c.told.some((line) => /bob: has no vote on what is agreed: .*ROLLBACK/.test(line))).toBe(true);
    await all.bob.flip(CHECKPOINT_PATH);
    const stranger = await both();
    expect((await codeOf(stranger))[0]).toBe(403);
    expect(await codeOf(stranger)).not.toEqual([403, "NOT_AGREED"]);
  });

  it("X7 a slow host has no vote until it has answered", async () => {
    const c = await both({ syncWaitMs: 0 });
    await Promise.all([c.sync("alice"), c.sync("bob")]);
    expect(await codeOf(c)).toEqual([403, "NOT_AGREED"]);
  });

  it("X7 who was asked a moment ago, and whoever works offline, has a vote", async () => {
    const c = await both({ syncAfterMs: 60_000 });
    expect(await versionsOf(c)).toEqual(["1.0.0", "1.1.0"]);
    all.alice.down();
    all.bob.down();
    expect(await versionsOf(c)).toEqual(["1.0.0", "1.1.0"]);
    const offline = await c.again({ env: { IMPRINT_OFFLINE: "1" }, syncAfterMs: 0 });
    expect(await versionsOf(offline)).toEqual(["1.0.0", "1.1.0"]);
  });

  it("X7 a package that its host breaks has no vote", async () => {
    await all.bob.flip(recordPath(NAME as PackageName));
    expect((await codeOf(await both()))[0]).toBe(403);
    const three = await consumerOf(2, ALIASES);
    expect(await versionsOf(three)).toEqual(["1.0.0", "1.1.0"]);
    expect(three.told.some((line) => /bob: has no vote/.test(line))).toBe(true);
  });
});

describe("X7 a host that breaks a package which this machine had read", () => {
  it("X7 takes its vote away, even on what is remembered; a locked install goes on", async () => {
    const c = await both();
    expect(await versionsOf(c)).toEqual(["1.0.0", "1.1.0"]);
    await all.bob.flip(recordPath(NAME as PackageName));
    await all.bob.renew();
    expect(await codeOf(c)).toEqual([403, "HASH_MISMATCH"]);
    expect((await c.get(`/${NAME}/-/react-x-1.0.0.tgz`)).status).toBe(200);
  });
});

describe("X7 T9 one that does not come in time", () => {
  it("X7 T9 has no vote, but what is remembered of it still denies", async () => {
    await all.bob.amend(NAME, () => ({ yanked: new Map([["1.1.0" as Version, ""]]) }));
    const c = await both();
    expect(await versionsOf(c)).toEqual(["1.0.0"]);
    const name = NAME as PackageName;
    const { agree: agreement } = c.project;
    if (agreement === undefined) throw new Error("there is an agreement");
    const deps = { project: c.project, indices: c.indices };
    const [ofAlice] = askBallots(name, agreement, deps);
    const never = new Promise<ReadBallot>(() => {});
    const ballots = await ballotsWithin(20, [ofAlice ?? never, never], { name, agreement, indices: c.indices });
    expect(ballots.map(({ failure }) => failure?.code ?? null)).toEqual([null, "TIMED_OUT"]);
    expect([...tallyOf({ ...agreement, threshold: 1 }, ballots)].map(([version, { standing }]) => `${version} ${standing}`)).toEqual([
      "1.0.0 agreed",
      "1.1.0 yanked",
    ]);
  });
});

describe("X7 two of three", () => {
  const three = (options?: Options): Promise<TestConsumer> => consumerOf(2, ALIASES, options);

  it("X7 one down: what the others agree on is served, and who is missing is said once", async () => {
    all.carol.down();
    const c = await three();
    expect(await versionsOf(c)).toEqual(["1.0.0", "1.1.0"]);
    await c.get(`/${NAME}`);
    expect(c.told.filter((line) => line.startsWith("carol: has no vote"))).toHaveLength(1);
    // Whoever has it must still be two.
    all.bob.down();
    expect((await codeOf(c))[0]).toBe(403);
  });

  // With 1 ms no index answers in time, so that the ballots are awaited one at a time.
  it.each([1000, 1])(
    "X7 T9 one that was never verified and never answers: waited for %i ms, and then the others decide",
    async (syncWaitMs) => {
      const open: Socket[] = [];
      const silent = createServer((socket) => void open.push(socket)).listen(0, "127.0.0.1");
      await once(silent, "listening");
      const url = `http://127.0.0.1:${String((silent.address() as AddressInfo).port)}/carol.git`;
      const indices = Object.fromEntries(
        ALIASES.map((alias) => [alias, { index: all[alias], packages: [], ...(alias === "carol" ? { urls: [url] } : {}) }]),
      );
      const c = await w.consumer({ indices, agree: { names: [NAME], of: ["carol", "alice", "bob"], threshold: 2 }, syncWaitMs });
      const begun = performance.now();
      expect(await versionsOf(c)).toEqual(["1.0.0", "1.1.0"]);
      expect(performance.now() - begun).toBeLessThan(20_000);
      expect(c.told.some((line) => /carol: has no vote.*its host is slow/.test(line))).toBe(true);
      for (const socket of open) socket.destroy();
      silent.close();
    },
  );

  it("X7 T9 a vote that comes in while the others are counted is counted, and the one that never answers is not waited for", async () => {
    const vote = (alias: string, failure: ImprintError | null): ReadBallot =>
      ({ alias, failure, view: null, record: null, since: new Map(), key: alias, minAgeHours: 0, isSynced: () => true }) as never;
    let arrive: (ballot: ReadBallot) => void = () => {};
    const bob = new Promise<ReadBallot>((resolve) => (arrive = resolve));
    // It is late, and its vote comes in the moment in which what is remembered of it is looked at.
    const remembered = async (): Promise<null> => {
      arrive(vote("bob", null));
      return null;
    };
    const readers = new Map(ALIASES.map((alias) => [alias, { reader: { remembered, current: async () => null } }]));
    const ballots = await ballotsUntil(
      (counted) => counted.filter(({ failure }) => failure === null).length >= 2,
      0,
      [new Promise<never>(() => {}), Promise.resolve(vote("alice", null)), bob],
      { name: NAME, agreement: { of: ["carol", "alice", "bob"] }, indices: readers } as never,
    );
    expect(ballots.map(({ alias, failure }) => [alias, failure?.code ?? "votes"])).toEqual([
      ["carol", "NEVER_SYNCED"],
      ["alice", "votes"],
      ["bob", "votes"],
    ]);
  });

  it("X7 what is remembered of one that is down denies: its yanks hold without its vote", async () => {
    await all.carol.amend(NAME, () => ({ yanked: new Map([["1.1.0" as Version, ""]]) }));
    const c = await three();
    expect(await versionsOf(c)).toEqual(["1.0.0"]);
    all.carol.down();
    expect(await versionsOf(c)).toEqual(["1.0.0"]);
  });

  it("X7 a hostile one adds nothing: not alone, not with other bytes, not by its tags", async () => {
    await all.alice.publish(NAME, "9.0.0", { files: { "i.js": "evil" } });
    await everywhere("1.2.0", ["bob", "carol"]);
    await all.alice.publish(NAME, "1.2.0", { files: { "i.js": "evil" }, tag: "next" });
    const c = await three();
    const { json } = await c.get(`/${NAME}`);
    expect(Object.keys(json.versions)).toEqual(["1.0.0", "1.1.0", "1.2.0"]);
    expect(json.versions["1.2.0"].dist.integrity).toBe((await all.bob.release(NAME, "1.2.0")).doc.dist.integrity);
    // Its latest leads to 9.0.0; never above what it names, never to what does not count.
    expect(json["dist-tags"]).toEqual({ latest: "1.2.0", next: "1.2.0" });
    const evil = await c.get(`/${NAME}/-/react-x-9.0.0.tgz`);
    expect([evil.status, evil.json.code]).toEqual([403, "NOT_AGREED"]);
  });

  it("X7 two camps that both reach the threshold: not offered", async () => {
    await all.alice.publish(NAME, "1.2.0", { files: { "i.js": "one" } });
    await all.bob.publish(NAME, "1.2.0", { files: { "i.js": "two" } });
    expect(await versionsOf(await consumerOf(1, ["alice", "bob"]))).toEqual(["1.0.0", "1.1.0"]);
  });

  it("X7 tags are those of the first that has the package and can be read, in the order of `of`", async () => {
    const tag = (alias: Alias, version: string): Promise<void> =>
      all[alias].amend(NAME, ({ tags }) => ({ tags: new Map([...tags, ["beta" as DistTag, version as Version]]) }));
    await tag("alice", "1.0.0");
    await tag("bob", "1.1.0");
    const tags = async (c: TestConsumer): Promise<unknown> => (await c.get(`/-/package/${NAME}/dist-tags`)).json;
    expect(await tags(await three())).toEqual({ latest: "1.1.0", beta: "1.0.0" });
    expect(await tags(await consumerOf(2, ["bob", "alice", "carol"]))).toEqual({ latest: "1.1.0", beta: "1.1.0" });
    const c = await three();
    expect(await tags(c)).toEqual({ latest: "1.1.0", beta: "1.0.0" });
    all.alice.down();
    expect(await tags(c)).toEqual({ latest: "1.1.0", beta: "1.1.0" });
  });

  it("X7 deprecated by any is deprecated; the time shown is the latest of the votes", async () => {
    await all.carol.amend(NAME, () => ({ deprecated: new Map([["1.0.0" as Version, "use 1.1"]]) }));
    const { json } = await (await three()).get(`/${NAME}`);
    expect(json.versions["1.0.0"].deprecated).toBe("use 1.1");
    const times = await Promise.all(ALIASES.map(async (alias) => (await all[alias].release(NAME, "1.0.0")).doc.published));
    expect(json.time["1.0.0"]).toBe(times.toSorted().at(-1));
  });

  it("X7 minAgeHours: the largest of those who vote", async () => {
    const times = await Promise.all(ALIASES.map(async (alias) => Date.parse((await all[alias].release(NAME, "1.0.0")).doc.published)));
    let now = Math.max(...times) + 24 * HOUR_MS;
    const c = await three({ ages: { alice: 1, bob: 48 }, wallMs: () => now });
    expect(await codeOf(c)).toEqual([403, "TOO_YOUNG"]);
    expect((await c.get(`/${NAME}/-/react-x-1.0.0.tgz`)).status).toBe(200);
    all.bob.down();
    expect(await versionsOf(c)).toEqual(["1.0.0", "1.1.0"]);
    all.bob.up();
    expect(await codeOf(c)).toEqual([403, "TOO_YOUNG"]);
    now += 25 * HOUR_MS;
    expect(await versionsOf(c)).toEqual(["1.0.0", "1.1.0"]);
  });

  it("X7 a tarball that the first voter's sources lack comes from the next; a wrong one is never served", async () => {
    const { doc } = await all.alice.release(NAME, "1.1.0");
    const ref = `refs/tarballs/${Buffer.from(doc.dist.integrity.slice(7), "base64").toString("hex").slice(0, 64)}`;
    const { testGit } = await import("../support/git-host.ts");
    const kept = testGit(all.alice.gitDir, ["rev-parse", ref]);
    testGit(all.alice.gitDir, ["update-ref", "-d", ref]);
    const c = await three();
    expect((await c.get(`/${NAME}/-/react-x-1.1.0.tgz`)).status).toBe(200);
    for (const alias of ALIASES) testGit(all[alias].gitDir, ["update-ref", "-d", ref]);
    const stranger = await three();
    expect((await stranger.get(`/${NAME}/-/react-x-1.1.0.tgz`)).status).toBe(403);
    for (const alias of ALIASES) testGit(all[alias].gitDir, ["update-ref", ref, kept]);
  });
});

describe("X7 an answer that is warm", () => {
  it("X7 holds only while each of them does", async () => {
    const c = await both({ syncAfterMs: 60_000 });
    const { again } = await c.registry.packument(NAME as PackageName, false, "http://127.0.0.1:4870");
    expect(again?.()).toBe(true);
    const eager = await both({ syncAfterMs: 0 });
    expect((await eager.registry.packument(NAME as PackageName, false, "http://127.0.0.1:4870")).again?.()).toBe(false);
  });

  it("X7 a document that was made before is not given again after one of them has news", async () => {
    const c = await both();
    expect(await versionsOf(c)).toEqual(["1.0.0", "1.1.0"]);
    await all.bob.amend(NAME, () => ({ yanked: new Map([["1.1.0" as Version, ""]]) }));
    expect(await versionsOf(c)).toEqual(["1.0.0"]);
    await everywhere("1.2.0");
    expect(await versionsOf(c)).toEqual(["1.0.0", "1.2.0"]);
  });
});

it("X7 in all of that upstream, which has the name, was never asked", () => {
  expect(w.upstream.requests).toEqual([]);
});
