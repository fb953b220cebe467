/** `imprint why`: each answer, and each kind of refusal, as a tree; and `imprint list`. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { recordPath, releasePath } from "../../src/format/paths.ts";
import type { PackageName } from "../../src/format/names.ts";
import type { DistTag, Version } from "../../src/format/versions.ts";
import { imprintIn, type Ran } from "./in-process.ts";
import { type ConsumerOptions, strangerKey, type TestIndex, type World, world } from "../support/world.ts";

let w: World;
const HOUR = 3_600_000;

beforeAll(async () => {
  w = await world({ startMs: Date.now() - 48 * HOUR });
});
afterAll(() => w.close());

let shops = 0;
/** A project that trusts that index, and a person who has synced it. */
async function shopOf(index: TestIndex, options: Pick<ConsumerOptions, "upstream"> & { minAgeHours?: number; synced?: boolean } = {}) {
  const name = `shop-${String(++shops)}`;
  const { minAgeHours, upstream, synced = true } = options;
  const cwd = await w.projectFolder(name, {
    indices: { [index.name]: { index, ...(minAgeHours === undefined ? {} : { minAgeHours }) } },
    ...(upstream === undefined ? {} : { upstream }),
  });
  const home = path.join(w.folder, `${name}-home`);
  const imprint = (...argv: readonly string[]): Promise<Ran> => imprintIn({ home, cwd }, ...argv);
  if (synced) expect((await imprint("sync")).exit).toBe(0);
  return {
    cwd,
    home,
    imprint,
    why: async (of: string): Promise<[number, string]> => {
      const { exit, stdout } = await imprint("why", of);
      return [exit, stdout];
    },
  };
}

async function indexOf(name: string): Promise<{ readonly index: TestIndex; readonly pkg: PackageName }> {
  const index = await w.index(name);
  const pkg = `@${name}/a` as PackageName;
  await index.publish(pkg, "1.0.0");
  return { index, pkg };
}

describe("answers", () => {
  it("an author's, with its claim, state, releases and who signed them", async () => {
    const { index, pkg } = await indexOf("one");
    await index.publish(pkg, "1.1.0");
    await index.publish(pkg, "1.2.0");
    await index.amend(pkg, ({ releases }) => ({
      yanked: new Map([["1.1.0" as Version, "slow"]]),
      deprecated: new Map([["1.0.0" as Version, "old"]]),
      withdrawn: new Map([["1.2.0" as Version, "stolen"]]),
      releases: new Map([...releases].filter(([version]) => version !== "1.2.0")),
      tags: new Map([["latest" as DistTag, "1.0.0" as Version]]),
    }));
    const [exit, tree] = await (await shopOf(index)).why(pkg);
    expect(exit).toBe(0);
    expect(tree.split("\n")).toEqual([
      "@one/a comes from one",
      "├ imprint.json: one claims @one/*; no other source may answer",
      expect.stringMatching(/^├ one: root 1, seq \d+, signed \d{4}-/),
      expect.stringMatching(/^├ record: revision \d+; latest → 1\.0\.0$/),
      "└ releases",
      expect.stringMatching(/^ {2}├ 1\.0\.0 ok · deprecated \(old\) · signed by ed25519:/),
      expect.stringMatching(/^ {2}├ 1\.1\.0 yanked \(slow\) · signed by ed25519:/),
      "  └ 1.2.0 withdrawn (stolen)",
      "",
    ]);
  });

  it("the public registry's, and a package that does not exist", async () => {
    const { index } = await indexOf("two");
    const shop = await shopOf(index);
    expect(await shop.why("react")).toEqual([
      0,
      "react comes from the public registry\n├ no index in imprint.json claims it\n└ upstream.allow has *\n",
    ]);
    expect(await shop.why("@two/nothing")).toEqual([0, expect.stringMatching(/does not exist[\s\S]*signed checkpoint does not list it/)]);
  });
});

describe("refusals", () => {
  it("denied by a rule, and allowed by none", async () => {
    const { index } = await indexOf("three");
    const denied = await shopOf(index, { upstream: { deny: ["@mycorp/*"] } });
    expect(await denied.why("@mycorp/x")).toEqual([
      1,
      expect.stringMatching(/is refused[\s\S]*upstream\.deny has @mycorp\/\*[\s\S]*edit upstream/),
    ]);
    const closed = await shopOf(index, { upstream: { allow: ["react"] } });
    expect(await closed.why("left-pad")).toEqual([1, expect.stringMatching(/no entry of upstream\.allow names it/)]);
  });

  it("an index that was never verified here", async () => {
    const { index, pkg } = await indexOf("four");
    expect(await (await shopOf(index, { synced: false })).why(pkg)).toEqual([
      1,
      expect.stringMatching(/cannot be served yet[\s\S]*never verified.*imprint sync/),
    ]);
  });

  it.each<[string, (index: TestIndex, pkg: PackageName) => Promise<void>, RegExp]>([
    ["a changed release", (index, pkg) => index.flip(releasePath(pkg, "1.0.0" as Version)), /HASH_MISMATCH \(reading 6\)/],
    ["a withheld record", (index, pkg) => index.remove(recordPath(pkg)), /MISSING_FILE \(reading 6\)/],
    [
      "a record that its publishers did not sign",
      async (index, pkg) => {
        const thief = strangerKey();
        await index.forge(pkg, "1.0.0", () => ({}), { release: [thief], record: [thief] });
      },
      /BAD_SIGNATURE \(reading 6\)/,
    ],
  ])("a package that fails: %s", async (what, spoil, why) => {
    const { index, pkg } = await indexOf(`five-${what.replaceAll(/[^a-z]/g, "").slice(0, 12)}`);
    await spoil(index, pkg);
    const [exit, tree] = await (await shopOf(index)).why(pkg);
    expect([exit, tree]).toEqual([1, expect.stringMatching(why)]);
    expect(tree).toMatch(/is refused[\s\S]*└ next: /);
  });

  it("a package that takes back what this machine has seen", async () => {
    const { index, pkg } = await indexOf("six");
    const shop = await shopOf(index);
    await shop.why(pkg);
    await index.seal({ records: { [pkg]: null } });
    await shop.imprint("sync");
    expect(await shop.why(pkg)).toEqual([1, expect.stringMatching(/RECORD_REGRESSED \(reading 8\): .*vanished/)]);
  });

  it("a state below imprint.lock", async () => {
    const { index, pkg } = await indexOf("seven");
    const shop = await shopOf(index);
    const file = path.join(shop.cwd, "imprint.lock");
    const lock = JSON.parse(await readFile(file, "utf8")) as { indices: { seven: { seq: number } } };
    lock.indices.seven.seq += 1000;
    await writeFile(file, JSON.stringify(lock));
    expect(await shop.why(pkg)).toEqual([1, expect.stringMatching(/(ROLLBACK|LOCK_MISMATCH) \(reading 4\)/)]);
  });

  it("releases that do not count, each with its verdict; where none is left, that is said", async () => {
    const { index, pkg } = await indexOf("eight");
    await index.publish(pkg, "1.1.0");
    await index.forge(pkg, "1.0.0", ({ manifest }) => ({ manifest: { ...manifest, description: "evil" } }), {
      release: [strangerKey()],
      record: [index.keys.publisher],
    });
    const [exit, tree] = await (await shopOf(index)).why(pkg);
    expect([exit, tree]).toEqual([0, expect.stringMatching(/comes from eight\n[\s\S]*1\.0\.0 refused \(untrusted\): .*no good signature/)]);
    const { index: lone, pkg: only } = await indexOf("nine");
    await lone.forge(only, "1.0.0", () => ({ name: "@nine/b" as PackageName }), {
      release: [lone.keys.publisher],
      record: [lone.keys.publisher],
    });
    const answer = await (await shopOf(lone)).why(only);
    expect(answer).toEqual([0, expect.stringMatching(/but nothing of it can be installed[\s\S]*1\.0\.0 refused \(invalid\)/)]);
  });

  it("releases that are too young: one held back, and all of them", async () => {
    const { index, pkg } = await indexOf("ten");
    const shop = await shopOf(index, { minAgeHours: 240 });
    expect(await shop.why(pkg)).toEqual([
      1,
      expect.stringMatching(/is refused until \d{4}-.*: every release is too young[\s\S]*1\.0\.0 held back: younger than the 240 hours/),
    ]);
    const some = await shopOf(index, { minAgeHours: 24 });
    expect(await some.why(pkg)).toEqual([0, expect.stringMatching(/1\.0\.0 ok/)]);
  });

  it("a host that broke a package which this machine had read: served as last verified, and said", async () => {
    const { index, pkg } = await indexOf("eleven");
    const shop = await shopOf(index);
    await shop.why(pkg);
    await index.renew();
    await index.flip(releasePath(pkg, "1.0.0" as Version));
    await shop.imprint("sync");
    expect(await shop.why(pkg)).toEqual([0, expect.stringMatching(/the host broke it \(HASH_MISMATCH: .*served as last verified/)]);
  });

  it("--json has the tree as data", async () => {
    const { index } = await indexOf("twelve");
    const shop = await shopOf(index, { upstream: { deny: ["x"] } });
    expect(JSON.parse((await shop.imprint("why", "x", "--json")).stdout)).toMatchObject({
      name: "x",
      source: "none",
      answer: "refused",
      tree: { text: "x is refused" },
    });
  });
});

it("list says what each index claims, how fresh it is, and what to do where it is not", async () => {
  const { index } = await indexOf("thirteen");
  const shop = await shopOf(index, { synced: false });
  expect((await shop.imprint("list")).stdout).toMatch(
    /^thirteen {2}@thirteen\/\* {2}never synced: imprint sync {2}[0-9a-f]{8}…[0-9a-f]{4}\n$/,
  );
  await shop.imprint("sync");
  expect((await shop.imprint("list")).stdout).toMatch(/^thirteen {2}@thirteen\/\* {2}signed \d+ \w+ ago, root 1 {2}/);
  const file = path.join(shop.cwd, "imprint.json");
  const project = JSON.parse(await readFile(file, "utf8")) as { indices: Record<string, object> };
  project.indices["thirteen"] = { ...project.indices["thirteen"], maxAgeDays: 1 };
  await writeFile(file, JSON.stringify(project));
  expect((await shop.imprint("list")).stdout).toMatch(/ago, root 1, stale: /);
});
