/** Guards: a clone that pushes nothing bad, and a bare git server that takes nothing bad and so is a whole registry host. */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testGit } from "../support/git-host.ts";
import { type Outcome, type People, people, type Person } from "../support/people.ts";

let world: People;
beforeAll(async () => {
  world = await people();
});
afterAll(() => world.close());

const git = (who: Person, cwd: string, ...args: readonly string[]): Promise<Outcome> =>
  world.sh(who, cwd, "git", ["-c", "user.name=x", "-c", "user.email=x@example.org", ...args]);

function packageOf(name: string, version: string): string {
  return world.folderOf(`${name.replace("/", "-")}-${version}`, { "package.json": { name, version, main: "i.js" }, "i.js": "" });
}

describe("hook pre-receive", () => {
  let owner: Person;
  let index: Awaited<ReturnType<People["init"]>>;
  let bare: string;
  /** Somebody who may push, and has no key. */
  let stranger: Person;
  beforeAll(async () => {
    [owner, stranger] = [world.person("gus"), world.person("stranger")];
    index = await world.init(owner, "@gus/*");
    bare = world.hosted("gus/index.git");
    const installed = await world.imprint(owner, world.folder, "hook", "install", bare);
    expect([installed.code, installed.stdout.trim()]).toEqual([0, path.join(bare, "hooks/pre-receive")]);
    for (const version of ["1.0.0", "1.0.1"]) {
      const done = await world.imprint(owner, packageOf("@gus/x", version), "publish");
      expect(done.stderr).toMatch(/read back as a stranger would/);
    }
  });

  it("takes what its author publishes, yanks and withdraws, and any change beside the index", async () => {
    expect(statSync(path.join(bare, "hooks/pre-receive")).mode & 0o111).not.toBe(0);
    expect(readFileSync(path.join(bare, "hooks/pre-receive"), "utf8")).toContain(index.id);
    expect((await world.imprint(owner, packageOf("@gus/w", "1.0.0"), "publish")).code).toBe(0);
    expect((await world.imprint(owner, packageOf("@gus/w", "1.1.0"), "publish")).code).toBe(0);
    expect((await world.imprint(owner, world.folder, "yank", "@gus/w@1.0.0")).code).toBe(0);
    const withdrawn = await world.imprint(owner, world.folder, "withdraw", "@gus/w@1.0.0", "--yes");
    expect(withdrawn.stderr).toMatch(/removed its tarball from the host/);
    writeFileSync(path.join(index.clone, "README.md"), "# Mine\n");
    await git(owner, index.clone, "commit", "-qam", "readme");
    expect((await git(owner, index.clone, "push")).code).toBe(0);
    expect((await world.imprint(owner, world.folder, "root", "grant", "gus-tool")).code).toBe(0);
    expect((await world.imprint(owner, packageOf("gus-tool", "1.0.0"), "publish")).code).toBe(0);
    // Another branch is no business of readers.
    expect((await git(owner, index.clone, "push", "origin", "main:refs/heads/backup")).code).toBe(0);
    expect((await world.imprint(owner, world.folder, "verify", index.address, "--tarballs")).stdout).toMatch(/all good/);
  });

  let clones = 0;
  /** What the server says to a push that the stranger prepared; its refs stay as they were. */
  async function refused(prepare: (clone: string) => Promise<readonly string[]>): Promise<string> {
    const clone = path.join(world.folder, `stranger-${String(++clones)}`);
    await git(stranger, world.folder, "clone", "-q", index.url, clone);
    const refs = testGit(bare, ["for-each-ref"]);
    const pushed = await git(stranger, clone, "push", "origin", ...(await prepare(clone)));
    expect(testGit(bare, ["for-each-ref"])).toBe(refs);
    expect(pushed.code).not.toBe(0);
    return pushed.stderr.replaceAll(/^remote: /gm, "").replaceAll(/\s+/g, " ");
  }
  async function commitAll(clone: string): Promise<readonly string[]> {
    await git(stranger, clone, "add", "-A");
    await git(stranger, clone, "commit", "-qm", "forged");
    return ["main"];
  }
  const fileOf = (clone: string, tail: string): string =>
    path.join(
      clone,
      testGit(path.join(clone, ".git"), ["ls-tree", "-r", "--name-only", "HEAD"])
        .split("\n")
        .find((file) => file.endsWith(tail)) ?? "",
    );
  const edit = (file: string, from: RegExp, to: string): void => writeFileSync(file, readFileSync(file, "utf8").replace(from, to));

  it.each<[string, (clone: string) => Promise<readonly string[]>, RegExp]>([
    [
      "a forged release",
      (clone) => (edit(fileOf(clone, "@gus+x/1.0.1.json"), /"fileCount": 2/, '"fileCount": 3'), commitAll(clone)),
      /@gus\+x\/1\.0\.1\.json was changed, though no document of the index lists that/,
    ],
    [
      "a forged record",
      (clone) => (edit(fileOf(clone, "@gus+x/record.json"), /"yanked": \{\}/, '"yanked": {\n      "1.0.0": ""\n    }'), commitAll(clone)),
      /@gus\+x\/record\.json was changed/,
    ],
    [
      "a forged checkpoint",
      (clone) => (edit(path.join(clone, "checkpoint.json"), /"seq": 1/, '"seq": 2'), commitAll(clone)),
      /checkpoint\.json.*BAD_SIGNATURE/,
    ],
    [
      "a file that nothing lists",
      (clone) => (writeFileSync(path.join(clone, "packages/x.json"), "{}"), commitAll(clone)),
      /packages\/x\.json was changed/,
    ],
    [
      "an older state",
      async (clone) => {
        await git(stranger, clone, "checkout", "-q", "HEAD~2", "--", ".");
        return commitAll(clone);
      },
      /ROLLBACK/,
    ],
    ["an older commit", async () => ["--force", "HEAD~2:refs/heads/main"], /ROLLBACK/],
    ["no branch any more", async () => ["--delete", "main"], /may not be deleted/],
    [
      "a commit without the index",
      async (clone) => {
        const tree = testGit(path.join(clone, ".git"), ["mktree"]);
        return ["--force", `${testGit(path.join(clone, ".git"), ["commit-tree", tree, "-m", "empty"])}:refs/heads/main`];
      },
      /NOT_AN_INDEX/,
    ],
    ["a tarball under another's name", async () => [`HEAD:refs/tarballs/${"ab".repeat(32)}`], /is no commit of one package\.tgz/],
    [
      "the deletion of a released tarball",
      async () => {
        const { signed } = JSON.parse(
          testGit(bare, [
            "show",
            `main:${
              testGit(bare, ["ls-tree", "-r", "--name-only", "main"])
                .split("\n")
                .find((file) => file.endsWith("@gus+x/1.0.1.json")) ?? ""
            }`,
          ]),
        ) as { signed: { dist: { integrity: string } } };
        return ["--delete", `refs/tarballs/${Buffer.from(signed.dist.integrity.slice(7), "base64").toString("hex").slice(0, 64)}`];
      },
      /is the tarball of @gus\/x@1\.0\.1, which is released/,
    ],
  ])("refuses %s", async (_, prepare, words) => {
    expect(await refused(prepare)).toMatch(words);
  });

  it("refuses a release whose tarball is not pushed with it", async () => {
    const kept = await world.imprint(owner, packageOf("@gus/x", "1.0.2"), "publish", "--no-push");
    expect(kept.code).toBe(0);
    const alone = await git(owner, index.clone, "push", "origin", "refs/heads/main:refs/heads/main");
    expect([alone.code === 0, alone.stderr]).toEqual([false, expect.stringMatching(/neither there nor pushed with it/)]);
    expect((await git(owner, index.clone, "push")).code).toBe(0);
  });
});

describe("a bare server with HEAD on master", () => {
  it("is guarded on main, which readers ask for", async () => {
    const owner = world.person("mats");
    const index = await world.init(owner, "@mats/*");
    const bare = world.hosted("mats/index.git");
    testGit(bare, ["symbolic-ref", "HEAD", "refs/heads/master"]);
    expect((await world.imprint(owner, world.folder, "hook", "install", bare, "--id", index.id)).code).toBe(0);
    expect((await world.imprint(owner, packageOf("@mats/x", "1.0.0"), "publish")).code).toBe(0);
    writeFileSync(path.join(index.clone, "checkpoint.json"), "{}\n");
    await git(owner, index.clone, "commit", "-qam", "forged");
    expect((await git(owner, index.clone, "push")).stderr).toMatch(/Cannot take the push/);
  });
});

describe("hook install in a clone", () => {
  it("stops a plain git push of what readers would refuse, and lets the rest through", async () => {
    const owner = world.person("hanna");
    const index = await world.init(owner, "@hanna/*");
    expect((await world.imprint(owner, index.clone, "hook", "install")).stdout.trim()).toBe(path.join(index.clone, ".git/hooks/pre-push"));
    expect((await world.imprint(owner, packageOf("@hanna/x", "1.0.0"), "publish", "--no-push")).code).toBe(0);
    const pushed = await git(owner, index.clone, "push");
    expect([pushed.code, pushed.stderr]).toEqual([0, expect.stringMatching(/imprint: 2 refs verified/)]);

    const record = testGit(path.join(index.clone, ".git"), ["ls-files", "packages/*/record.json"], { env: { GIT_WORK_TREE: index.clone } });
    const before = readFileSync(path.join(index.clone, record), "utf8");
    writeFileSync(path.join(index.clone, record), before.replace('"deprecated": {}', '"deprecated": {\n      "1.0.0": "no"\n    }'));
    // Publishing says so before anything is signed, the hook if it was committed nevertheless.
    const dirty = await world.imprint(owner, packageOf("@hanna/x", "1.1.0"), "publish");
    expect([dirty.code, dirty.stderr]).toEqual([3, expect.stringMatching(/signed files were changed by hand/)]);
    await git(owner, index.clone, "commit", "-qam", "by hand");
    const refused = await git(owner, index.clone, "push");
    expect([refused.code === 0, refused.stderr]).toEqual([false, expect.stringMatching(/record\.json was changed.*VERIFY_FAILED/s)]);
    await git(owner, index.clone, "reset", "-q", "--hard", "HEAD~1");
    expect((await world.imprint(owner, packageOf("@hanna/x", "1.1.0"), "publish")).code).toBe(0);
  });

  it("keeps a hook that is there already, and its own only once", async () => {
    const who = world.person("hook");
    const folder = path.join(world.folder, "hooked");
    await git(who, world.folder, "init", "-q", folder);
    const hook = path.join(folder, ".git/hooks/pre-push");
    mkdirSync(path.dirname(hook), { recursive: true });
    writeFileSync(hook, "#!/bin/sh\nexit 0\n");
    const kept = await world.imprint(who, folder, "hook", "install");
    expect([kept.code, kept.stderr]).toEqual([6, expect.stringMatching(/is there already; call imprint hook pre-push from it/)]);
    rmSync(hook);
    for (let i = 0; i < 2; i++) expect((await world.imprint(who, folder, "hook", "install")).code).toBe(0);
    expect((await world.imprint(who, world.folder, "hook", "install", "nowhere")).code).toBe(3);
  });
});
