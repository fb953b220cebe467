/** `audit`: is what the lockfile pins what the authors signed? */
import { mkdir, truncate, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { audit, type AuditOptions, type AuditResult } from "../../src/cli/commands/audit.ts";
import { auditAnnotations, auditLines } from "../../src/cli/views/audit.ts";
import type { Version } from "../../src/format/versions.ts";
import { releasePath } from "../../src/format/paths.ts";
import type { PackageName } from "../../src/format/names.ts";
import { imprintIn, type Ran } from "../cli/in-process.ts";
import { type TestIndex, type World, world } from "../support/world.ts";

type Entry = { version?: string; resolved?: string; integrity?: string; name?: string; link?: boolean; inBundle?: boolean };

let w: World;
let alice: TestIndex;
let cwd: string;
let good: Record<string, Entry>;
const integrity = new Map<string, string>();

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  for (const version of ["1.0.0", "1.1.0", "1.2.0", "1.3.0"]) {
    await alice.publish("@alice/a", version);
    integrity.set(version, (await alice.release("@alice/a", version)).doc.dist.integrity);
  }
  await alice.amend("@alice/a", ({ releases }) => ({
    yanked: new Map([["1.1.0" as Version, "slow"]]),
    deprecated: new Map([["1.1.0" as Version, "old"]]),
    withdrawn: new Map([["1.3.0" as Version, "stolen"]]),
    releases: new Map([...releases].filter(([version]) => version !== "1.3.0")),
    tags: new Map([["latest" as never, "1.2.0" as Version]]),
  }));
  cwd = await w.projectFolder("shop", { indices: { alice: { index: alice } }, upstream: { deny: ["@mycorp/*"] } });
});
beforeEach(() => {
  good = {
    "node_modules/@alice/a": {
      version: "1.0.0",
      resolved: "http://127.0.0.1:4870/@alice/a/-/a-1.0.0.tgz",
      integrity: integrity.get("1.0.0") ?? "",
    },
  };
});
afterAll(() => w.close());

async function audited(packages: Record<string, Entry>, home = "home-audit", options: Partial<AuditOptions> = {}): Promise<AuditResult> {
  await writeFile(
    `${cwd}/package-lock.json`,
    JSON.stringify({ name: "shop", lockfileVersion: 3, packages: { "": { name: "shop" }, ...packages } }),
  );
  return audit({ frozen: false, strict: false, lockfile: undefined, ...options }, w.deps({ home: `${w.folder}/${home}`, cwd }));
}

async function reasonOf(entry: Entry): Promise<string | null> {
  const { packages, refused, signed } = await audited({ "node_modules/@alice/a": entry });
  expect([refused, signed]).toEqual([1, 0]);
  return packages[0]?.reason ?? null;
}

describe("audit", () => {
  it("signed, public and refused are counted, and who signed is named", async () => {
    const result = await audited({
      ...good,
      "node_modules/react": { version: "19.0.0", resolved: "https://registry.example/react/-/react-19.0.0.tgz", integrity: "sha512-x" },
      "node_modules/@mycorp/x": { version: "1.0.0" },
    });
    expect(result).toMatchObject({ signed: 1, public: 1, refused: 1 });
    expect(result.packages.map(({ name, source, status }) => [name, source, status])).toEqual([
      ["@alice/a", "alice", "signed"],
      ["react", "upstream", "public"],
      ["@mycorp/x", "none", "refused"],
    ]);
    expect(result.packages[0]?.signers).toHaveLength(1);
    expect(auditLines(result)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/alice 1 signed/),
        expect.stringMatching(/public registry 1/),
        expect.stringMatching(/✗ @mycorp\/x@1\.0\.0/),
      ]),
    );
  });

  it("refused: the integrity of another version, none, another, a weaker one beside it", async () => {
    const entry = good["node_modules/@alice/a"] as Entry;
    expect(await reasonOf({ ...entry, integrity: integrity.get("1.1.0") ?? "" })).toMatch(/not the signed one/);
    expect(await reasonOf({ ...entry, integrity: `${integrity.get("1.0.0") ?? ""} sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=` })).toMatch(
      /not the signed one/,
    );
    const { integrity: _, ...without } = entry;
    expect(await reasonOf(without)).toMatch(/no integrity/);
  });

  it.each([
    "git+ssh://git@host/alice/a.git#abc",
    "file:../a",
    "https://evil.example/a.tgz",
    "https://evil.example/@alice/a.tgz",
    "https://evil.example/%",
    "http://127.0.0.1:4870/@alice/ab/-/a-1.0.0.tgz",
  ])("refused: a claimed name from elsewhere, %s", async (resolved) => {
    expect(await reasonOf({ ...good["node_modules/@alice/a"], resolved })).toMatch(/takes it from elsewhere/);
  });

  it("refused: a version that was never there, and one that was withdrawn", async () => {
    expect(await reasonOf({ ...good["node_modules/@alice/a"], version: "9.9.9" })).toMatch(/does not have that version/);
    expect(await reasonOf({ ...good["node_modules/@alice/a"], version: "1.3.0", integrity: integrity.get("1.3.0") ?? "" })).toMatch(
      /withdrew it: stolen/,
    );
    const { packages } = await audited({ "node_modules/@alice/nope": { version: "1.0.0", integrity: "sha512-x" } });
    expect(packages[0]?.reason).toMatch(/does not have it/);
  });

  it("yanked and deprecated: signed, and said", async () => {
    const { packages, signed } = await audited({ "node_modules/@alice/a": { version: "1.1.0", integrity: integrity.get("1.1.0") ?? "" } });
    expect([signed, packages[0]?.yanked, packages[0]?.deprecated]).toEqual([1, true, "old"]);
  });

  it("an alias is judged by the package's own name, a nested copy like any other; links under free names are nobody's", async () => {
    const entry = good["node_modules/@alice/a"] as Entry;
    const { packages } = await audited({
      "node_modules/renamed": { ...entry, name: "@alice/a" },
      "node_modules/x/node_modules/@alice/a": { ...entry, integrity: "sha512-other" },
      "node_modules/linked": { link: true, resolved: "packages/x" },
      "packages/x": { version: "1.0.0" },
    });
    expect(packages.map(({ path, status }) => [path, status])).toEqual([
      ["node_modules/renamed", "signed"],
      ["node_modules/x/node_modules/@alice/a", "refused"],
    ]);
  });

  it("X13 an alias in a public name's place is named, and refuses nothing, under strict neither", async () => {
    const entry = good["node_modules/@alice/a"] as Entry;
    const result = await audited({ ...good, "node_modules/lodash": { ...entry, name: "@alice/a" } }, "home-audit", { strict: true });
    expect(result.packages.map(({ status, standsFor }) => [status, standsFor])).toEqual([
      ["signed", null],
      ["signed", "lodash"],
    ]);
    expect(auditLines(result)).toContainEqual("· under another name by an alias: lodash is @alice/a@1.0.0");
    expect(result.refused).toBe(0);
  });

  it("refused: another package in the place of a claimed name", async () => {
    const evil = { name: "evil", version: "1.0.0", resolved: "https://registry.example/evil/-/evil-1.0.0.tgz", integrity: "sha512-x" };
    expect(await reasonOf(evil)).toMatch(/in the place of @alice\/a, which alice answers for/);
  });

  it("a lying host: what was verified still counts; without anything, each package is refused with its reason", async () => {
    await audited(good);
    const honest = alice.head();
    await alice.flip(releasePath("@alice/a" as PackageName, "1.0.0" as Version));
    expect(await audited(good)).toMatchObject({ signed: 1, refused: 0 });
    expect((await audited(good, "home-cold")).packages[0]?.reason).toMatch(/HASH_MISMATCH/);
    alice.reset(honest);
    alice.down();
    expect((await audited(good, "home-colder")).packages[0]?.reason).toMatch(/NEVER_SYNCED/);
    alice.up();
  });

  it("strict: yanked and deprecated refuse, and so does a public package whose signature could not be checked", async () => {
    const yanked = { "node_modules/@alice/a": { version: "1.1.0", integrity: integrity.get("1.1.0") ?? "" } };
    const { packages, refused } = await audited(yanked, "home-audit", { strict: true });
    expect([refused, packages[0]?.reason]).toEqual([1, "yanked: slow; deprecated: old"]);
    const react = { version: "19.0.0", resolved: "https://registry.example/react/-/react-19.0.0.tgz", integrity: "sha512-x" };
    expect(await audited({ "node_modules/react": react })).toMatchObject({ public: 1, refused: 0, npmSigned: 0 });
    expect(await audited({ "node_modules/react": react }, "home-audit", { strict: true })).toMatchObject({ public: 0, refused: 1 });
    expect(await audited(good, "home-audit", { strict: true })).toMatchObject({ signed: 1, refused: 0 });
  });

  it("strict: an index that could not be asked for news refuses", async () => {
    await audited(good, "home-news");
    alice.down();
    expect(await audited(good, "home-news")).toMatchObject({ signed: 1, refused: 0, warnings: [expect.stringMatching(/UNREACHABLE/)] });
    expect(await audited(good, "home-news", { strict: true })).toMatchObject({ signed: 1, refused: 1 });
    alice.up();
  });

  it("a public name from git or an address is nobody's, and said", async () => {
    const result = await audited({ "node_modules/forked": { version: "1.0.0", resolved: "git+ssh://git@host/x/forked.git#abc" } });
    expect(result).toMatchObject({ elsewhere: 1, public: 0, refused: 0 });
    expect(auditLines(result)).toEqual(["! forked@1.0.0: from git, a file or an address, not from a registry: nobody vouches for it"]);
  });

  it("annotations name file and line, and nothing in them is a command of its own", async () => {
    await alice.publish("@alice/loud", "1.0.0");
    await alice.amend("@alice/loud", () => ({
      deprecated: new Map([["1.0.0" as Version, "x\n::set-output name=a::b\r##[add-mask]c 100% ,::"]]),
    }));
    const loud = (await alice.release("@alice/loud", "1.0.0")).doc.dist.integrity;
    const result = await audited({
      "node_modules/@alice/loud": { version: "1.0.0", integrity: loud },
      "node_modules/@mycorp/x": { version: "1.0.0" },
    });
    const lines = auditAnnotations(result, (file) => `apps/a,b:c/${file}`);
    expect(lines).toEqual(
      [
        "::error file=apps/a%2Cb%3Ac/package-lock.json,line=1,title=imprint audit::@mycorp/x@1.0.0: imprint.json lets no source answer for it",
        "::warning file=apps/a%2Cb%3Ac/package-lock.json,line=1,title=imprint audit::@alice/loud@1.0.0: deprecated: x ::set-output name=a::b # #[add-mask]c 100%25 ,::",
      ].map((line) => line.replace(",line=1", "")),
    );
    for (const line of [...lines, ...auditLines(result)]) expect(line).not.toMatch(/[\n\r]|##\[/);
  });

  it("yarn 1: every hash must be the author's; a sha1 alone counts, is said, and is refused under --strict", async () => {
    const { integrity: sha512, shasum } = (await alice.release("@alice/a", "1.0.0")).doc.dist;
    const sha1 = `sha1-${Buffer.from(shasum, "hex").toString("base64")}`;
    const run = async (fragment: string, line: string, strict = false): Promise<unknown> => {
      const entry = `  version "1.0.0"\n  resolved "http://127.0.0.1:4870/@alice/a/-/a-1.0.0.tgz${fragment}"\n${line === "" ? "" : `  integrity ${line}\n`}`;
      await mkdir(`${w.folder}/yarn`, { recursive: true });
      await writeFile(`${w.folder}/yarn/yarn.lock`, `# yarn lockfile v1\n\n\n"@alice/a@^1.0.0":\n${entry}`);
      const options = { frozen: false, strict, lockfile: `${w.folder}/yarn/yarn.lock` };
      const { packages } = await audit(options, w.deps({ home: `${w.folder}/home-audit`, cwd }));
      const [one] = packages;
      return [one?.status, one?.reason ?? one?.warnings[0] ?? null, one?.line];
    };
    const [good_, weak, other] = [
      ["signed", null, null],
      ["signed", expect.stringMatching(/only a sha1/), 4],
      ["refused", "the locked integrity is not the signed one", 4],
    ];
    expect(await run(`#${shasum}`, sha512)).toEqual(good_);
    expect(await run("", `"${sha1} ${sha512}"`)).toEqual(good_);
    expect(await run(`#${shasum}`, "")).toEqual(weak);
    expect(await run("", sha1)).toEqual(weak);
    expect(await run("", sha1, true)).toEqual(["refused", expect.stringMatching(/only a sha1/), 4]);
    expect(await run(`#${"0".repeat(40)}`, "")).toEqual(other);
    expect(await run(`#${"0".repeat(40)}`, sha512)).toEqual(other);
    expect(await run(`#${shasum}`, "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=")).toEqual(other);
    expect(await run("", "")).toEqual(["refused", "the lockfile has no integrity for it", 4]);
  });

  it("in GitHub Actions each finding is an annotation on stderr, and stdout stays what it was", async () => {
    await audited({ "node_modules/@mycorp/x": { version: "1.0.0" } });
    const run = (...flags: readonly string[]): Promise<Ran> =>
      imprintIn({ home: `${w.folder}/home-ci`, cwd, env: { GITHUB_ACTIONS: "true", GITHUB_WORKSPACE: w.folder } }, "audit", ...flags);
    const annotation =
      "::error file=shop/package-lock.json,title=imprint audit::@mycorp/x@1.0.0: imprint.json lets no source answer for it";
    const { exit, stdout, stderr } = await run();
    expect([exit, stdout]).toEqual([1, "✗ @mycorp/x@1.0.0 (node_modules/@mycorp/x): imprint.json lets no source answer for it\n"]);
    expect(stderr.split("\n")).toContain(annotation);
    const json = await run("--json");
    expect([json.exit, JSON.parse(json.stdout)]).toEqual([1, expect.objectContaining({ refused: 1 })]);
    expect(json.stderr.split("\n")).toContain(annotation);
  });

  it("a lockfile of 100 MB is refused before it is read", async () => {
    const file = `${w.folder}/large/package-lock.json`;
    await mkdir(`${w.folder}/large`, { recursive: true });
    await writeFile(file, "{");
    await truncate(file, 100 * 1024 * 1024);
    const { exit, stderr } = await imprintIn({ home: `${w.folder}/home-ci`, cwd }, "audit", "--lockfile", file);
    expect([exit, stderr]).toEqual([3, expect.stringMatching(/larger than 67108864 bytes, more than any client writes/)]);
  });
});
