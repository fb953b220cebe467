/** Releases by pull request: a colleague with a publisher key proposes, a reviewer looks, whoever has the checkpoint key seals. */
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { signDocument } from "../../src/crypto/documents.ts";
import { openKeyFile } from "../../src/crypto/key-file.ts";
import { fileHashOf } from "../../src/format/digest.ts";
import { encodeRecord, parseRecord } from "../../src/format/record.ts";
import { encodeRelease, parseRelease, type Release } from "../../src/format/release.ts";
import { createHostedRepository, testGit } from "../support/git-host.ts";
import { BIN, type Outcome, type People, people, type Person } from "../support/people.ts";

let world: People;
beforeAll(async () => {
  world = await people();
});
afterAll(() => world.close());

type Team = {
  readonly owner: Person;
  readonly index: Awaited<ReturnType<People["init"]>>;
  readonly colleague: Person;
  /** The colleague's clone of their fork, with the index as `upstream`. */
  readonly clone: string;
  readonly fork: string;
  propose(name: string, version: string, ...flags: readonly string[]): Promise<Outcome>;
  /** The host's merge button; returns the merge commit. */
  merge(branch: string): string;
  seal(...flags: readonly string[]): Promise<Outcome>;
  /** The reviewer's checkout of a branch of the fork. */
  review(branch: string, ...flags: readonly string[]): Promise<Outcome>;
  readonly hosted: string;
};

const git = (who: Person, cwd: string, ...args: readonly string[]): Promise<Outcome> => world.sh(who, cwd, "git", args);

async function team(name: string): Promise<Team> {
  const [owner, colleague] = [world.person(name), world.person(`${name}s-colleague`)];
  const index = await world.init(owner, `@${name}/*`);
  const hosted = world.hosted(`${name}/index.git`);
  // The colleague holds the publisher key and nothing else.
  const keyFile = path.join(world.folder, `${name}-publisher.json`);
  await world.imprint(owner, world.folder, "key", "export", name, "--only", "publisher", "--out", keyFile);
  await world.imprint(colleague, world.folder, "key", "import", keyFile);
  const repo = `${name}s-colleague/index.git`;
  createHostedRepository(path.join(world.folder, "host"), repo);
  const fork = world.host.url(repo);
  const clone = path.join(world.folder, `${name}-fork`);
  await git(colleague, world.folder, "clone", "-q", index.url, clone);
  await git(colleague, clone, "remote", "rename", "origin", "upstream");
  await git(colleague, clone, "remote", "add", "origin", fork);
  await git(colleague, clone, "push", "-q", "-u", "origin", "main");
  const env = { IMPRINT_PASSPHRASE: `${name}'s passphrase` };
  return {
    owner,
    index,
    colleague,
    clone,
    fork,
    hosted,
    propose(pkg, version, ...flags) {
      const folder = world.folderOf(`${pkg.replace("/", "-")}-${version}`, {
        "package.json": { name: pkg, version, main: "i.js" },
        "i.js": `module.exports = ${JSON.stringify(version)};\n`,
      });
      return world.sh(colleague, folder, process.execPath, [BIN, "publish", "--propose", "--index", clone, ...flags], env);
    },
    merge(branch) {
      testGit(hosted, ["fetch", "-q", world.hosted(repo), branch]);
      const theirs = testGit(hosted, ["rev-parse", "FETCH_HEAD"]);
      const tree = testGit(hosted, ["merge-tree", "--write-tree", "refs/heads/main", theirs]);
      const merged = testGit(hosted, ["commit-tree", tree, "-p", "refs/heads/main", "-p", theirs, "-m", "Merge"]);
      testGit(hosted, ["update-ref", "refs/heads/main", merged]);
      return merged;
    },
    seal: (...flags) => world.imprint(owner, world.folder, "seal", "--index", name, ...flags),
    async review(branch, ...flags) {
      const checkout = path.join(world.folder, `${name}-review-${branch.replaceAll("/", "-")}`);
      rmSync(checkout, { recursive: true, force: true });
      await git(owner, world.folder, "clone", "-q", index.url, checkout);
      await git(owner, checkout, "fetch", "-q", fork, branch);
      await git(owner, checkout, "checkout", "-q", "FETCH_HEAD");
      return world.imprint(owner, checkout, "verify", "--proposal", "--id", index.id, ...flags);
    },
  };
}

async function installed(address: string, spec: string, who: string): Promise<string> {
  const person = world.person(who);
  const shop = world.folderOf(`shop-${who}`, { "package.json": { name: "shop", version: "1.0.0", private: true } });
  await world.imprint(person, shop, "add", address, "--yes");
  const outcome = await world.imprint(person, shop, "run", "--sync-after", "0", "npm", "install", spec);
  if (outcome.code !== 0) return outcome.stderr;
  return (await world.sh(person, shop, process.execPath, ["-p", `require(${JSON.stringify(spec)})`])).stdout.trim();
}

/** Changes a proposal in the colleague's fork as nobody's tool would. */
async function tamper(t: Team, branch: string, edit: (folder: string) => Promise<void> | void): Promise<void> {
  await git(t.colleague, t.clone, "checkout", "-q", branch);
  await edit(t.clone);
  await git(t.colleague, t.clone, "add", "-A");
  await git(t.colleague, t.clone, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q", "-m", "tampered");
  await git(t.colleague, t.clone, "push", "-q", "origin", branch);
  await git(t.colleague, t.clone, "checkout", "-q", "main");
}

/** A colleague who lies: their own key signs a release, and the record that lists it, as no tool would. */
async function lie(t: Team, place: string, edit: (release: Release) => Partial<Release>): Promise<void> {
  const keys = path.join(t.colleague.home, ".config/imprint/keys");
  const file = readFileSync(path.join(keys, `${t.owner.name}.daily.json`));
  const signers = (await openKeyFile(new Uint8Array(file), `${t.owner.name}'s passphrase`)).keys.map(({ key }) => key);
  const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(path.join(place, name)));
  const { doc } = parseRelease(bytesOf("release.json"));
  const release = signDocument("release", encodeRelease({ ...doc, ...edit(doc) }), signers);
  const { doc: record } = parseRecord(bytesOf("record.json"));
  const releases = new Map([...record.releases, [doc.version, fileHashOf(release)] as const]);
  writeFileSync(path.join(place, "release.json"), release);
  writeFileSync(path.join(place, "record.json"), signDocument("package", encodeRecord({ ...record, releases }), signers));
}

describe("propose, verify --proposal, seal", () => {
  it("W2 goes from a fork to a release, and readers see nothing of it before the seal", async () => {
    const t = await team("vera");
    const proposed = await t.propose("@vera/tool", "1.0.0");
    expect(proposed.stderr).toMatch(/pushed propose-vera-tool-1\.0\.0 and 1 tarball to .*Now open a pull request/s);
    expect((await git(t.colleague, t.clone, "status", "--porcelain")).stdout).toBe("");
    const reviewed = await t.review("propose-vera-tool-1.0.0", "--from", t.fork);
    expect([reviewed.code, reviewed.stdout]).toEqual([0, "✓ @vera/tool@1.0.0 may be sealed\n"]);

    t.merge("propose-vera-tool-1.0.0");
    expect(await installed(t.index.address, "@vera/tool", "before-seal")).toMatch(/E404/);
    const dry = await t.seal("--from", t.fork, "--dry-run");
    expect([dry.stdout, dry.stderr]).toEqual(["@vera/tool@1.0.0\n", expect.stringMatching(/would seal @vera\/tool@1\.0\.0/)]);
    const sealed = await t.seal("--from", t.fork);
    expect([sealed.code, sealed.stdout]).toEqual([0, "@vera/tool@1.0.0\n"]);
    expect(await installed(t.index.address, "@vera/tool", "after-seal")).toBe("1.0.0");
    expect(testGit(t.hosted, ["ls-tree", "-r", "--name-only", "refs/heads/main"])).not.toMatch(/proposals/);
    expect((await world.imprint(t.owner, world.folder, "verify", t.index.address, "--tarballs")).stdout).toMatch(/1 releases.*all good/);

    // The next one, on a fork whose main lags behind: the index itself is read.
    expect((await t.propose("@vera/tool", "1.1.0")).code).toBe(0);
    t.merge("propose-vera-tool-1.1.0");
    expect((await t.seal("--from", t.fork)).stdout).toBe("@vera/tool@1.1.0\n");
    expect((await t.propose("@vera/tool", "1.1.0")).stderr).toMatch(/VERSION_EXISTS/);
  });

  it("with nothing to seal it signs anew; names seal some; two of one package in a row", async () => {
    const t = await team("wim");
    const seqOf = (): number =>
      (JSON.parse(testGit(t.hosted, ["show", "refs/heads/main:checkpoint.json"])) as { signed: { seq: number } }).signed.seq;
    const before = seqOf();
    const renewed = await t.seal();
    expect([renewed.code, renewed.stderr]).toEqual([0, expect.stringMatching(/signed anew, nothing to seal/)]);
    expect(seqOf()).toBeGreaterThan(before);
    await t.propose("@wim/a", "1.0.0");
    await t.propose("@wim/b", "1.0.0");
    t.merge("propose-wim-a-1.0.0");
    t.merge("propose-wim-b-1.0.0");
    expect((await t.seal("--renew")).stderr).toMatch(/signed anew/);
    const unknown = await t.seal();
    expect([unknown.code, unknown.stderr]).toEqual([4, expect.stringMatching(/Cannot seal the tarballs: 2 faults/)]);
    expect((await t.seal("@wim/c@1.0.0", "--from", t.fork)).stderr).toMatch(/nobody proposed it/);
    expect((await t.seal("@wim/b@1.0.0", "--from", t.fork)).stdout).toBe("@wim/b@1.0.0\n");
    expect((await t.seal("--from", t.fork, "--json")).stdout).toMatch(/"sealed":\[\{"name":"@wim\/a","version":"1.0.0"\}\]/);
    // Of two that were made on one state only the first fits; the other must be proposed again.
    await t.propose("@wim/a", "2.0.0");
    await t.propose("@wim/a", "3.0.0");
    t.merge("propose-wim-a-2.0.0");
    t.merge("propose-wim-a-3.0.0");
    const both = await t.seal("--from", t.fork);
    expect([both.code, both.stderr]).toEqual([4, expect.stringMatching(/@wim\/a@3\.0\.0: its record .*propose it again/)]);
    expect((await t.seal("@wim/a@2.0.0", "--from", t.fork)).stdout).toBe("@wim/a@2.0.0\n");
  });

  it("one commit with a workspace's packages is one proposal", async () => {
    const t = await team("willa");
    const workspace = world.folderOf("willa-workspace", {
      "package.json": { name: "root", private: true, workspaces: ["packages/*"] },
      "packages/a/package.json": { name: "@willa/a", version: "1.0.0", main: "i.js" },
      "packages/a/i.js": "module.exports = 'a';\n",
      "packages/b/package.json": { name: "@willa/b", version: "1.0.0", main: "i.js", dependencies: { "@willa/a": "^1.0.0" } },
      "packages/b/i.js": "module.exports = require('@willa/a') + 'b';\n",
    });
    const words = ["publish", "--workspaces", "--propose", "--branch", "both", "--index", t.clone];
    const done = await world.sh(t.colleague, workspace, process.execPath, [BIN, ...words], { IMPRINT_PASSPHRASE: "willa's passphrase" });
    expect(done.stderr).toMatch(/pushed both and 2 tarballs/);
    t.merge("both");
    expect((await t.seal("--from", t.fork)).stdout).toBe("@willa/a@1.0.0\n@willa/b@1.0.0\n");
    expect(await installed(t.index.address, "@willa/b", "willas-user")).toBe("ab");
  });
});

describe("W1 refused, by name", () => {
  let t: Team;
  beforeAll(async () => {
    t = await team("xena");
    await t.propose("@xena/first", "1.0.0");
    t.merge("propose-xena-first-1.0.0");
    expect((await t.seal("--from", t.fork)).code).toBe(0);
  });
  let serial = 0;

  /** What reviewer and sealer say of a proposal that was tampered with; the merge is undone afterwards. */
  async function refusals(edit: (folder: string, place: string) => Promise<void> | void): Promise<readonly string[]> {
    const [name, version] = ["@xena/p", `1.0.${String(++serial)}`];
    const branch = `propose-xena-p-${version}`;
    expect((await t.propose(name, version)).code).toBe(0);
    await tamper(t, branch, (folder) => edit(folder, path.join(folder, "proposals", "@xena+p", version)));
    const reviewed = await t.review(branch, "--from", t.fork);
    const main = testGit(t.hosted, ["rev-parse", "refs/heads/main"]);
    t.merge(branch);
    const sealed = await t.seal("--from", t.fork);
    const after = testGit(t.hosted, ["rev-parse", "refs/heads/main^1"]);
    expect(after).toBe(main); // nothing was pushed on top of the merge
    testGit(t.hosted, ["update-ref", "refs/heads/main", main]);
    expect([reviewed.code, sealed.code]).toEqual([4, 4]);
    return [reviewed.stderr, sealed.stderr];
  }
  const edit = (file: string, from: RegExp, to: string): void => writeFileSync(file, readFileSync(file, "utf8").replace(from, to));

  it.each<[string, (folder: string, place: string) => Promise<void> | void, RegExp]>([
    [
      "a byte of the release",
      (_, at) => edit(path.join(at, "release.json"), /"fileCount": 2/, '"fileCount": 3'),
      /release\.json.*(untrusted|other bytes)/,
    ],
    [
      "a byte of the record",
      (_, at) => edit(path.join(at, "record.json"), /"tags": \{/, '"tags": {\n      "beta": "0.0.1",'),
      /record\.json/,
    ],
    [
      "a record of another package",
      (folder, at) => cpSync(path.join(folder, "packages/"), path.join(at, "stray"), { recursive: true }),
      /no part of a proposal/,
    ],
    ["half a proposal", (_, at) => rmSync(path.join(at, "record.json")), /half a proposal/],
    ["a file among the packages", (folder) => writeFileSync(path.join(folder, "packages/00.json"), "{}"), /packages\/00\.json/],
    ["another root", (folder) => cpSync(path.join(folder, "trust/1.json"), path.join(folder, "trust/2.json")), /trust\/2\.json/],
    [
      "a changed record in place",
      (folder) => {
        const file = testGit(path.join(folder, ".git"), ["ls-files", "packages/*/@xena+first/record.json"], {
          env: { GIT_WORK_TREE: folder },
        });
        edit(path.join(folder, file), /"yanked": \{\}/, '"yanked": {\n      "1.0.0": ""\n    }');
      },
      /@xena\+first\/record\.json/,
    ],
    [
      "a symbolic link",
      (folder, at) => {
        rmSync(path.join(at, "record.json"));
        symlinkSync(path.join(folder, "checkpoint.json"), path.join(at, "record.json"));
      },
      /record\.json is no part of a proposal/,
    ],
    [
      "W1 T10 a manifest that is not the tarball's, well signed",
      (_, at) => lie(t, at, ({ manifest }) => ({ manifest: { ...manifest, dependencies: { "left-pad": "*" } } })),
      /the tarball's package\.json differs from the signed manifest in dependencies/,
    ],
    [
      "a size that is not the tarball's, well signed",
      (_, at) => lie(t, at, ({ dist }) => ({ dist: { ...dist, fileCount: 9 } })),
      /differs from the signed fileCount/,
    ],
    [
      "a tarball that is nowhere",
      () => {
        const fork = world.hosted("xenas-colleague/index.git");
        const refs = testGit(fork, ["for-each-ref", "--format=%(refname)", "refs/tarballs"]).split("\n");
        for (const ref of refs) testGit(fork, ["update-ref", "-d", ref]);
      },
      /refs\/tarballs\//,
    ],
  ])("%s", async (_, change, words) => {
    for (const said of await refusals(change)) expect(said).toMatch(words);
  });
});
