/** The author's clone: what publishing does to it, and must never do. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  advanceBranch,
  changedPaths,
  configureRemote,
  deleteRef,
  describeClone,
  initClone,
  mergeBase,
  remoteUrl,
  resolveCommit,
} from "../../src/git/clone.ts";
import type { GitRepository, ObjectId } from "../../src/git/port.ts";
import type { GitKind } from "../../src/git/choice.ts";
import { openIsomorphicGit } from "../../src/git/isomorphic/repository.ts";
import { openSystemGit } from "../../src/git/system/repository.ts";
import { parseGitUrl, parseRefName } from "../../src/git/url.ts";
import { commitHosted, createHostedRepository, startGitHost, testGit, testGitAsync, testGitEnv } from "../support/git-host.ts";
import { LIMITS } from "./contract.ts";

const GIT_ENV = testGitEnv();
const MAIN = parseRefName("refs/heads/main");
const URL_OF_ALICE = parseGitUrl("https://git.example.org/alice/index.git", { allowFile: false });
const FIRST = {
  branch: "main",
  message: "index",
  author: { name: "Alice", email: "alice@example.org" },
  timeMs: 1_767_225_600_000,
  files: [
    { path: "trust/1.json", content: Buffer.from("root\n") },
    { path: "checkpoint.json", content: Buffer.from("c1\n") },
    { path: ".gitattributes", content: Buffer.from("* -text\n") },
  ],
};

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), "imprint-clone-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

describe.each<GitKind>(["system", "isomorphic"])("the author's clone by %s", (kind) => {
  const ENV = { env: GIT_ENV, kind: async () => kind };
  const openClone = (gitDir: string): GitRepository =>
    kind === "system" ? openSystemGit({ gitDir, env: GIT_ENV, history: true }) : openIsomorphicGit({ gitDir, history: true });

  async function made(bare = false): Promise<{
    dir: string;
    gitDir: string;
    head: ObjectId;
    repository: GitRepository;
    next: (base: ObjectId | null, files: Record<string, string>) => Promise<ObjectId>;
  }> {
    const dir = join(folder(), "index");
    const { gitDir, head } = await initClone(dir, { ...FIRST, bare }, ENV);
    const repository = openClone(gitDir);
    onTestFinished(() => repository.close());
    const next = (base: ObjectId | null, files: Record<string, string>): Promise<ObjectId> =>
      repository.commit({
        base,
        keepAs: parseRefName("refs/imprint/work"),
        message: "next",
        author: FIRST.author,
        timeMs: 0,
        changes: Object.entries(files).map(([path, content]) => ({ path, content: Buffer.from(content) })),
      });
    return { dir, gitDir, head, repository, next };
  }

  describe("initClone", () => {
    test.each([false, true])("makes a clone with its first commit (bare: %s), no hooks", async (bare) => {
      const { dir, gitDir, head } = await made(bare);
      expect(await describeClone(dir, ENV)).toEqual({
        gitDir,
        bare,
        branch: "main",
        remoteName: null,
        fetchUrl: null,
        pushUrl: null,
        head,
        dirty: [],
        inProgress: null,
      });
      expect(testGit(gitDir, ["show", "main:checkpoint.json"])).toBe("c1");
      expect(existsSync(join(dir, "trust", "1.json"))).toBe(!bare);
      expect(existsSync(join(gitDir, "hooks"))).toBe(false);
    });

    test("a folder with anything in it is FOLDER_NOT_EMPTY", async () => {
      const dir = folder();
      writeFileSync(join(dir, "x"), "");
      await expect(initClone(dir, FIRST, ENV)).rejects.toMatchObject({ code: "FOLDER_NOT_EMPTY" });
    });
  });

  describe("configureRemote", () => {
    test("idempotent, replaces the old address, and a plain git push publishes tarballs too", async () => {
      const root = folder();
      const bare = createHostedRepository(root, "alice.git");
      const host = await startGitHost({ root });
      onTestFinished(() => host.close());
      const { dir, gitDir, head, next } = await made();
      const url = parseGitUrl(host.url("alice.git"), { allowFile: false });
      await configureRemote(dir, { name: "origin", url: URL_OF_ALICE, pushUrl: URL_OF_ALICE, branch: "main" }, ENV);
      for (let round = 0; round < 2; round++) await configureRemote(dir, { name: "origin", url, branch: "main" }, ENV);
      expect(testGit(gitDir, ["config", "--get-all", "remote.origin.push"])).toBe(
        "refs/heads/main:refs/heads/main\nrefs/tarballs/*:refs/tarballs/*",
      );
      expect(testGit(gitDir, ["config", "--get-all", "remote.origin.url"])).toBe(url);
      expect(await describeClone(dir, ENV)).toMatchObject({ remoteName: "origin", fetchUrl: url, pushUrl: url });
      const tarball = await next(null, { "package.tgz": "x" });
      testGit(gitDir, ["update-ref", "refs/tarballs/00", tarball]);
      await testGitAsync(gitDir, ["push", "-q"]);
      expect(testGit(bare, ["for-each-ref", "--format=%(refname) %(objectname)"])).toBe(
        `refs/heads/main ${head}\nrefs/tarballs/00 ${tarball}`,
      );
    });

    test("a remote's name can't be an option or another section", async () => {
      const { dir } = await made();
      for (const name of ["-x", "a b", "", "a\nb"])
        await expect(configureRemote(dir, { name, url: URL_OF_ALICE, branch: "main" }, ENV)).rejects.toMatchObject({ code: "USAGE" });
    });
  });

  describe("describeClone", () => {
    test("looks only where it is told to", async () => {
      const { dir, head, next } = await made();
      const to = await next(head, { "packages/aa/@a+x/record.json": "1", "packages/aa/shard.json": "1", "packages/bb/shard.json": "1" });
      await advanceBranch(dir, { to, from: head, force: false }, ENV);
      const look = ["trust", "checkpoint.json", "packages/aa/shard.json", "packages/aa/@a+x", "packages/cc/@a+new"];
      const dirty = async (): Promise<readonly string[]> => (await describeClone(dir, { ...ENV, look })).dirty;
      expect(await dirty()).toEqual([]);
      writeFileSync(join(dir, "packages/bb/shard.json"), "of another package");
      expect(await dirty()).toEqual([]);
      expect((await describeClone(dir, { ...ENV, look: [] })).dirty).toEqual([]);
      expect((await describeClone(dir, ENV)).dirty).toEqual(["packages/bb/shard.json"]);
      writeFileSync(join(dir, "packages/aa/@a+x/record.json"), "edited");
      writeFileSync(join(dir, "packages/aa/@a+x/2.0.0.json"), "added");
      expect([...(await dirty())].toSorted()).toEqual(["packages/aa/@a+x/2.0.0.json", "packages/aa/@a+x/record.json"]);
    });

    test("names what was changed of the index, and nothing else", async () => {
      const { dir } = await made();
      mkdirSync(join(dir, "packages", "3f"), { recursive: true });
      writeFileSync(join(dir, "packages", "3f", "ü x.json"), "");
      writeFileSync(join(dir, "checkpoint.json"), "edited");
      writeFileSync(join(dir, "README.md"), "");
      expect((await describeClone(dir, ENV)).dirty.toSorted()).toEqual(["checkpoint.json", "packages/3f/ü x.json"]);
      mkdirSync(join(dir, "deep"));
      expect((await describeClone(join(dir, "deep"), ENV)).dirty).toHaveLength(2);
    });

    test("looks only where it is told to, as deep as that is", async () => {
      const { dir } = await made();
      const look = ["trust/1.json", "packages/3f/ü x.json", "packages/3f/a"];
      expect((await describeClone(dir, { ...ENV, look })).dirty).toEqual([]);
      writeFileSync(join(dir, "checkpoint.json"), "edited");
      mkdirSync(join(dir, "packages", "3f", "a"), { recursive: true });
      for (const file of ["packages/3f/ü x.json", "packages/3f/a/1.json", "packages/3f/b.json"]) writeFileSync(join(dir, file), "");
      expect((await describeClone(dir, { ...ENV, look })).dirty.toSorted()).toEqual(["packages/3f/a/1.json", "packages/3f/ü x.json"]);
      writeFileSync(join(dir, "trust/1.json"), "edited");
      expect((await describeClone(dir, { ...ENV, look: ["trust/1.json"] })).dirty).toEqual(["trust/1.json"]);
    });

    test("a detached head, a merge and a rebase in progress, a linked work tree", async () => {
      const { dir, gitDir, head } = await made();
      const linked = join(folder(), "linked");
      testGit(gitDir, ["worktree", "add", "-q", "-b", "side", linked]);
      if (kind === "system") expect(await describeClone(linked, ENV)).toMatchObject({ gitDir, branch: "side", bare: false });
      else await expect(describeClone(linked, ENV)).rejects.toMatchObject({ code: "GIT_MISSING" });
      writeFileSync(join(gitDir, "MERGE_HEAD"), `${head}\n`);
      expect(await describeClone(dir, ENV)).toMatchObject({ inProgress: "merge" });
      rmSync(join(gitDir, "MERGE_HEAD"));
      mkdirSync(join(gitDir, "rebase-merge"));
      expect(await describeClone(dir, ENV)).toMatchObject({ inProgress: "rebase" });
      rmSync(join(gitDir, "rebase-merge"), { recursive: true });
      testGit(gitDir, ["update-ref", "--no-deref", "HEAD", head]);
      writeFileSync(join(gitDir, "HEAD"), `${head}\n`);
      expect(await describeClone(dir, ENV)).toMatchObject({ branch: null, head });
    });

    test("no repository is NO_OWN_INDEX; an empty one has no head", async () => {
      const dir = folder();
      await expect(describeClone(dir, { env: { ...ENV.env, GIT_CEILING_DIRECTORIES: dir } })).rejects.toMatchObject({
        code: "NO_OWN_INDEX",
      });
      testGit(join(dir, ".git"), ["init", "-q", "--initial-branch=trunk", dir]);
      expect(await describeClone(dir, ENV)).toMatchObject({ head: null, branch: "trunk" });
    });
  });

  describe("advanceBranch", () => {
    test.each([false, true])("forward (bare: %s), twice, and not from a stale head", async (bare) => {
      const { dir, gitDir, head, next } = await made(bare);
      const to = await next(head, { "checkpoint.json": "c2\n", "packages/00/+a/record.json": "{}" });
      await advanceBranch(dir, { to, from: head, force: false }, ENV);
      await advanceBranch(dir, { to, from: head, force: false }, ENV);
      expect(testGit(gitDir, ["rev-parse", "main"])).toBe(to);
      if (!bare) expect(readFileSync(join(dir, "checkpoint.json"), "utf8")).toBe("c2\n");
      expect((await describeClone(dir, ENV)).dirty).toEqual([]);
      const third = await next(to, { x: "" });
      await expect(advanceBranch(dir, { to: third, from: head, force: true }, ENV)).rejects.toMatchObject({ code: "STATE_CHANGED" });
    });

    test("local changes elsewhere stay, in the way they stop it, and nothing is lost", async () => {
      const { dir, gitDir, head, next } = await made();
      writeFileSync(join(dir, "trust", "1.json"), "mine");
      writeFileSync(join(dir, "notes"), "mine");
      const to = await next(head, { "checkpoint.json": "c2\n" });
      await advanceBranch(dir, { to, from: head, force: false }, ENV);
      expect(readFileSync(join(dir, "trust", "1.json"), "utf8")).toBe("mine");
      for (const [files, force] of [
        [{ "trust/1.json": "theirs" }, false],
        [{ notes: "theirs" }, false],
        [{ "trust/1.json": "theirs" }, true],
      ] as const) {
        const blocked = await next(to, files);
        await expect(advanceBranch(dir, { to: blocked, from: to, force }, ENV)).rejects.toMatchObject({ code: "WORK_TREE" });
      }
      writeFileSync(join(gitDir, "info-exclude"), "");
      mkdirSync(join(gitDir, "info"), { recursive: true });
      writeFileSync(join(gitDir, "info", "exclude"), "ignored\n");
      writeFileSync(join(dir, "ignored"), "mine");
      for (const base of [to, null]) {
        const blocked = await next(base, { ignored: "theirs" });
        await expect(advanceBranch(dir, { to: blocked, from: to, force: true }, ENV)).rejects.toMatchObject({ code: "WORK_TREE" });
      }
      expect(testGit(gitDir, ["rev-parse", "main"])).toBe(to);
      expect(["trust/1.json", "notes", "ignored"].map((path) => readFileSync(join(dir, path), "utf8"))).toEqual(["mine", "mine", "mine"]);
      expect(readFileSync(join(dir, "checkpoint.json"), "utf8")).toBe("c2\n");
    });

    test.each([false, true])("to a squashed branch only by force (bare: %s)", async (bare) => {
      const { dir, gitDir, head, next } = await made(bare);
      const squashed = await next(null, { "checkpoint.json": "c9\n", "trust/1.json": "root\n" });
      await expect(advanceBranch(dir, { to: squashed, from: head, force: false }, ENV)).rejects.toMatchObject({ code: "DIVERGED" });
      if (!bare) writeFileSync(join(dir, "trust", "1.json"), "mine");
      await advanceBranch(dir, { to: squashed, from: head, force: true }, ENV);
      expect(testGit(gitDir, ["rev-parse", "main"])).toBe(squashed);
      if (!bare) expect(["trust/1.json", "checkpoint.json"].map((path) => readFileSync(join(dir, path), "utf8"))).toEqual(["mine", "c9\n"]);
    });

    test("the first commit of a clone of an empty repository; a detached head is WORK_TREE", async () => {
      const dir = join(folder(), "x");
      testGit(join(dir, ".git"), ["init", "-q", "--initial-branch=main", dir]);
      const repository = openClone(join(dir, ".git"));
      const to = await repository.commit({
        base: null,
        keepAs: parseRefName("refs/imprint/work"),
        message: "m",
        author: FIRST.author,
        timeMs: 0,
        changes: FIRST.files,
      });
      await repository.close();
      await advanceBranch(dir, { to, from: null, force: false }, ENV);
      expect(readFileSync(join(dir, "checkpoint.json"), "utf8")).toBe("c1\n");
      writeFileSync(join(dir, ".git", "HEAD"), `${to}\n`);
      await expect(advanceBranch(dir, { to, from: to, force: false }, ENV)).rejects.toMatchObject({ code: "WORK_TREE" });
    });

    test("a clone with history fetches ancestors, keeps its own, and goes forward over others' commits", async () => {
      const root = folder();
      const bare = createHostedRepository(root, "alice.git");
      const host = await startGitHost({ root });
      onTestFinished(() => host.close());
      const { dir, gitDir, head, repository } = await made();
      const url = parseGitUrl(host.url("alice.git"), { allowFile: false });
      await repository.push({ url, limits: LIMITS, updates: [{ ref: MAIN, expected: null, to: head }] });
      let theirs: string = head;
      for (let at = 0; at < 3; at++)
        theirs = commitHosted(bare, { "checkpoint.json": `t${String(at)}`, "trust/1.json": "root\n" }, { parent: theirs });
      const fetched = await repository.fetch({ url, ref: MAIN, keepAs: parseRefName("refs/imprint/remote"), blobs: false, limits: LIMITS });
      expect(fetched).toBe(theirs);
      await advanceBranch(dir, { to: fetched as ObjectId, from: head, force: false }, ENV);
      expect(testGit(gitDir, ["rev-list", "--count", "main"])).toBe("4");
      expect(existsSync(join(gitDir, "shallow"))).toBe(false);
      testGit(gitDir, ["fsck", "--full"]);
    });
  });
});

describe.each<GitKind>(["system", "isomorphic"])("questions about a clone by %s", (kind) => {
  const ENV = { env: GIT_ENV, kind: async () => kind };

  test("refs deleted, remotes named, commits resolved, changed paths since the merge base", async () => {
    const dir = join(folder(), "index");
    const { gitDir, head } = await initClone(dir, FIRST, ENV);
    testGit(gitDir, ["update-ref", "refs/tarballs/aa", head]);
    testGit(gitDir, ["update-ref", "refs/tarballs/bb", head]);
    testGit(gitDir, ["pack-refs", "--all"]);
    for (const name of ["refs/tarballs/aa", "refs/tarballs/nothing"]) await deleteRef(dir, parseRefName(name), ENV);
    expect(testGit(gitDir, ["for-each-ref", "--format=%(refname)"])).toBe("refs/heads/main\nrefs/tarballs/bb");

    await configureRemote(
      dir,
      { name: "upstream", url: parseGitUrl("https://example.org/a.git", { allowFile: false }), branch: "main" },
      ENV,
    );
    expect([await remoteUrl(dir, "upstream", ENV), await remoteUrl(dir, "origin", ENV)]).toEqual(["https://example.org/a.git", null]);

    const main = commitHosted(gitDir, { "checkpoint.json": "c2\n", "trust/1.json": "root\n" }, { parent: head });
    const side = commitHosted(
      gitDir,
      { "checkpoint.json": "c1\n", "trust/1.json": "root\n", "proposals/x": "1" },
      {
        ref: "refs/heads/side",
        parent: head,
      },
    );
    testGit(gitDir, ["update-ref", "refs/remotes/upstream/main", main]);
    for (const name of ["HEAD", "upstream/main", "refs/heads/main", "main", main]) expect(await resolveCommit(dir, name, ENV)).toBe(main);
    for (const name of ["nothing", "refs/heads/nothing", "1".repeat(40)]) expect(await resolveCommit(dir, name, ENV)).toBe(null);
    expect(await mergeBase(dir, main as ObjectId, side as ObjectId, ENV)).toBe(head);
    expect(await mergeBase(dir, commitHosted(gitDir, { x: "" }, { ref: "refs/heads/alone" }) as ObjectId, head, ENV)).toBe(null);
    expect(await changedPaths(dir, main as ObjectId, side as ObjectId, ENV)).toEqual(["checkpoint.json", "proposals/x"]);
    expect(await changedPaths(dir, head, main as ObjectId, ENV)).toEqual([".gitattributes", "checkpoint.json"]);
  });
});

describe("only with git", () => {
  const madeBySystem = async (): Promise<{ dir: string; gitDir: string; repository: GitRepository }> => {
    const dir = join(folder(), "index");
    const { gitDir } = await initClone(dir, FIRST, { env: GIT_ENV });
    const repository = openSystemGit({ gitDir, env: GIT_ENV, history: true });
    onTestFinished(() => repository.close());
    return { dir, gitDir, repository };
  };

  test("settings of the clone itself reach its fetches", async () => {
    const root = folder();
    createHostedRepository(root, "alice.git");
    const host = await startGitHost({ root });
    onTestFinished(() => host.close());
    commitHosted(join(root, "alice.git"), { a: "1" });
    const { gitDir, repository } = await madeBySystem();
    testGit(gitDir, ["config", `http.http://127.0.0.1:${String(host.port)}/.extraHeader`, "X-Job: token"]);
    await repository.fetch({
      url: parseGitUrl(host.url("alice.git"), { allowFile: false }),
      ref: MAIN,
      keepAs: parseRefName("refs/imprint/remote"),
      blobs: true,
      limits: LIMITS,
    });
    expect(host.requests.map((request) => request.headers["x-job"])).toEqual(host.requests.map(() => "token"));
  });

  test.each<[string, (gitDir: string) => void]>([
    ["borrowed objects", (gitDir) => writeFileSync(join(gitDir, "objects", "info", "alternates"), `${gitDir}/objects\n`)],
    ["a newer format", (gitDir) => void testGit(gitDir, ["config", "core.repositoryformatversion", "1"])],
    ["refs that are no files", (gitDir) => mkdirSync(join(gitDir, "reftable"))],
    ["a sparse work tree", (gitDir) => void testGit(gitDir, ["config", "core.sparseCheckout", "true"])],
    ["a work tree elsewhere", (gitDir) => void testGit(gitDir, ["config", "core.worktree", "/elsewhere"])],
    ["an index of version 4", (gitDir) => void testGit(gitDir, ["update-index", "--index-version", "4"])],
    ["a split index", (gitDir) => void testGit(gitDir, ["update-index", "--split-index"], { env: { GIT_WORK_TREE: join(gitDir, "..") } })],
  ])("%s is GIT_MISSING for the embedded git, which leaves it alone", async (_, change) => {
    const { dir, gitDir } = await madeBySystem();
    change(gitDir);
    await expect(describeClone(dir, { kind: async () => "isomorphic" })).rejects.toMatchObject({
      code: "GIT_MISSING",
      message: expect.stringContaining("install git") as string,
    });
  });
});
