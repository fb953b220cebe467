/** Whatever the host is like: its branches, its addresses, what it refuses. One line each, and nothing half published. */
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { CATALOGUE, type ErrorCode } from "../../src/errors.ts";
import { commitHosted, createHostedRepository, type GitHost, type GitHostOptions, startGitHost, testGit } from "../support/git-host.ts";
import { some } from "../support/thorough.ts";
import { BIN, type Outcome, type People, people, type Person } from "../support/people.ts";

let world: People;
let folders = 0;
beforeAll(async () => {
  world = await people();
});
afterAll(() => world.close());

const GITS = some(["system", "isomorphic"] as const, 1);
const root = (): string => path.dirname(world.hosted("x"));
const keysOf = (who: Person): string => path.join(who.home, ".config/imprint/keys");

/** A package folder `@<who>/<name>`. */
function packageOf(who: Person, name: string, version = "1.0.0"): string {
  return world.folderOf(`package-${String(++folders)}`, {
    "package.json": { name: `@${who.name}/${name}`, version, main: "i.js" },
    "i.js": `module.exports = ${JSON.stringify(version)};\n`,
  });
}

function imprint(who: Person, cwd: string, argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return world.sh(who, cwd, process.execPath, [BIN, ...argv], { IMPRINT_PASSPHRASE: "", ...env });
}

async function ok(ran: Promise<Outcome>): Promise<Outcome> {
  const outcome = await ran;
  expect(outcome.code, outcome.stderr).toBe(0);
  return outcome;
}

/** One `✗` line that says it all, the code's exit code, no stack. */
function expectRefused({ code: exit, stderr }: Outcome, code: ErrorCode, words: RegExp): void {
  const lines = stderr.trimEnd().split("\n");
  expect({ exit, next: lines.at(-1) }, stderr).toEqual({ exit: CATALOGUE[code].exit, next: `  ${code}; next: ${CATALOGUE[code].hint}` });
  expect(lines.at(-2)).toMatch(words);
  expect(stderr.split("\n").filter((line) => line.startsWith("✗"))).toHaveLength(1);
  expect(stderr).not.toMatch(/\n {4}at /);
}

/** `imprint init` of that person at that address; the clone and the id. */
async function init(
  who: Person,
  remote: string,
  more: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<{ readonly clone: string; readonly id: string; readonly said: string }> {
  const clone = path.join(world.folder, `${who.name}-index`);
  const argv = ["init", clone, "--name", who.name, "--packages", `@${who.name}/*`, "--remote", remote, ...more];
  const made = await ok(imprint(who, world.folder, argv, env));
  expect(made.stderr).not.toMatch(/not pushed yet/);
  return { clone, id: made.stdout.trim(), said: made.stderr };
}

/** A consumer with empty hands adds the index and reads a release. */
async function consumes(address: string, spec: string, more: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const who = world.person(`cold-${String(++folders)}`);
  const shop = world.folderOf(`shop-${String(folders)}`, { "package.json": { name: "shop", version: "1.0.0", private: true } });
  const added = await ok(imprint(who, shop, ["add", address, "--yes", ...more], env));
  await ok(imprint(who, shop, ["sync"], env));
  const name = spec.replace(/(?<=.)@.*$/, "");
  expect((await imprint(who, shop, ["why", name], env)).stdout).toContain(spec.slice(name.length + 1));
  return { ...added, stdout: readFileSync(path.join(shop, "imprint.json"), "utf8") };
}

/** A colleague's key file. */
function shareKeys(from: Person, to: Person): void {
  mkdirSync(keysOf(to), { recursive: true });
  cpSync(path.join(keysOf(from), `${from.name}.daily.json`), path.join(keysOf(to), `${from.name}.daily.json`));
}

function script(name: string, text: string): string {
  const file = path.join(world.folder, name);
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
  return file;
}

describe.each(GITS)("branches, by %s git", (git) => {
  const env = { IMPRINT_GIT: git };

  it("--ref: a branch of another name is made, pushed, added, verified and published to", async () => {
    const who = world.person(`ref-${git}`);
    const repo = `${who.name}/index.git`;
    createHostedRepository(root(), repo);
    const url = world.host.url(repo);
    const { clone, id, said } = await init(who, url, ["--ref", "packages", "--url", url], env);
    expect(said).toContain(`imprint add '${url}#${id}' --ref packages`);
    expect(readFileSync(path.join(clone, "README.md"), "utf8")).toContain(`'${url}#${id}' --ref packages`);
    await ok(imprint(who, packageOf(who, "x"), ["publish"], env));
    expect(testGit(world.hosted(repo), ["for-each-ref", "--format=%(refname)", "refs/heads"])).toBe("refs/heads/packages");
    const read = await consumes(`${url}#${id}`, `@${who.name}/x@1.0.0`, ["--ref", "packages"], env);
    expect(JSON.parse(read.stdout)).toMatchObject({ indices: { [who.name]: { ref: "refs/heads/packages" } } });
    expect(
      (await ok(imprint(who, world.folder, ["verify", `${url}#${id}`, "--ref", "refs/heads/packages", "--tarballs"], env))).stdout,
    ).toMatch(/1 releases/);
    expectRefused(
      await imprint(who, world.folder, ["verify", `${url}#${id}`], env),
      "NOT_AN_INDEX",
      /no refs\/heads\/main; --ref chooses one of packages/,
    );
    expectRefused(await imprint(who, world.folder, ["verify", `${url}#${id}`, "--ref", "a..b"], env), "INVALID_URL", /a\.\.b/);
  });

  it("a host whose default branch is another: it is found, and said", async () => {
    const who = world.person(`trunk-${git}`);
    const repo = `${who.name}/index.git`;
    testGit(createHostedRepository(root(), repo), ["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    const url = world.host.url(repo);
    const { id } = await init(who, url, ["--ref", "trunk"], env);
    await ok(imprint(who, packageOf(who, "x"), ["publish"], env));
    const read = await consumes(`${url}#${id}`, `@${who.name}/x@1.0.0`, [], env);
    expect(read.stderr).toMatch(/has no main; its default branch is trunk/);
    expect(JSON.parse(read.stdout)).toMatchObject({ indices: { [who.name]: { ref: "refs/heads/trunk" } } });
    expect((await ok(imprint(who, world.folder, ["verify", `${url}#${id}`], env))).stderr).toMatch(/trunk/);
  });

  it("a bare server with HEAD on master, where main is pushed; a colleague's clone of it is told what to do", async () => {
    const [who, colleague] = [world.person(`bare-${git}`), world.person(`bare-friend-${git}`)];
    const repo = `${who.name}/index.git`;
    const dir = createHostedRepository(root(), repo);
    testGit(dir, ["symbolic-ref", "HEAD", "refs/heads/master"]);
    const url = world.host.url(repo);
    const { id } = await init(who, url, [], env);
    await ok(imprint(who, packageOf(who, "x"), ["publish"], env));
    await consumes(`${url}#${id}`, `@${who.name}/x@1.0.0`, [], env);
    expect((await ok(imprint(who, world.folder, ["verify", dir], env))).stdout).toMatch(/1 releases/);
    const clone = path.join(world.folder, `${colleague.name}-clone`);
    await ok(world.sh(colleague, world.folder, "git", ["clone", "-q", url, clone]));
    shareKeys(who, colleague);
    const unborn = await imprint(colleague, packageOf(who, "y"), ["publish", "--index", clone], env);
    expectRefused(unborn, "WORK_TREE", new RegExp(`its branch master has no commits; git -C '${clone}' checkout main$`));
    await ok(world.sh(colleague, clone, "git", ["checkout", "-q", "main"]));
    await ok(imprint(colleague, packageOf(who, "y"), ["publish", "--index", clone], env));
    await consumes(`${url}#${id}`, `@${who.name}/y@1.0.0`, [], env);
  });
});

describe.each(GITS)("a repository that is not empty, by %s git", (git) => {
  const env = { IMPRINT_GIT: git };

  it.each(["main", "master"])("with a README on %s: the index is built on it, and other files are kept", async (branch) => {
    const who = world.person(`readme-${branch}-${git}`);
    const repo = `${who.name}/index.git`;
    const dir = createHostedRepository(root(), repo);
    testGit(dir, ["symbolic-ref", "HEAD", `refs/heads/${branch}`]);
    const files = { "README.md": "theirs\n", LICENSE: "MIT\n", ".gitattributes": "*.png binary", "docs/a.md": "a\n" };
    const first = commitHosted(dir, files, { ref: `refs/heads/${branch}` });
    const url = world.host.url(repo);
    const { clone, id, said } = await init(who, url, [], env);
    expect(said).toMatch(/4 files kept, README\.md among them/);
    await ok(imprint(who, packageOf(who, "x"), ["publish"], env));
    expect(testGit(dir, ["rev-list", "--count", `${first}..refs/heads/${branch}`])).toBe("2");
    for (const [file, text] of Object.entries(files).filter(([name]) => name !== ".gitattributes")) {
      expect(testGit(dir, ["show", `refs/heads/${branch}:${file}`])).toBe(text.trim());
      expect(readFileSync(path.join(clone, file), "utf8")).toBe(text);
    }
    expect(readFileSync(path.join(clone, ".gitattributes"), "utf8")).toMatch(/^\*\.png binary\n\/trust\/\*\* -text\n/);
    expect((await world.sh(who, clone, "git", ["status", "--porcelain"])).stdout).toBe("");
    expect((await ok(imprint(who, clone, ["verify"], env))).stdout).toContain(id);
    await consumes(`${url}#${id}`, `@${who.name}/x@1.0.0`, [], env);
  });

  it("with an index, or with files where an index has its own: refused before keys are made, and the host is as it was", async () => {
    const who = world.person(`second-${git}`);
    const repo = `${who.name}/index.git`;
    const dir = createHostedRepository(root(), repo);
    const url = world.host.url(repo);
    const packages = commitHosted(dir, { "packages/a/index.js": "1\n" });
    const argv = ["init", `${who.name}-index`, "--name", who.name, "--packages", "*", "--remote", url];
    expectRefused(await imprint(who, world.folder, argv, env), "FOLDER_NOT_EMPTY", /packages\/a\/index\.js .* --ref <branch>/);
    const { clone } = await init(who, url, ["--ref", "index"], env);
    expect([testGit(dir, ["rev-parse", "refs/heads/main"]), existsSync(path.join(clone, "checkpoint.json"))]).toEqual([packages, true]);
    const head = testGit(dir, ["rev-parse", "refs/heads/index"]);
    const again = ["init", `${who.name}-again`, "--name", `${who.name}-again`, "--packages", "*", "--remote", url, "--ref", "index"];
    expectRefused(await imprint(who, world.folder, again, env), "NAME_TAKEN", /there is one already; git clone it/);
    expect(testGit(dir, ["rev-parse", "refs/heads/index"])).toBe(head);
    expect(existsSync(path.join(world.folder, `${who.name}-again`))).toBe(false);
    expect(existsSync(path.join(keysOf(who), `${who.name}-again.root.json`))).toBe(false);
  });
});

describe("addresses", () => {
  it("insteadOf and pushInsteadOf: the author's aliases work in init and publish, and are refused where others read them", async () => {
    const who = world.person("alias");
    createHostedRepository(root(), "alias/index.git");
    const base = world.host.url("");
    const config = script(
      "alias.config",
      `[url "${base}"]\n\tinsteadOf = gh:\n[url "${base.replace("127.0.0.1", "localhost")}"]\n\tpushInsteadOf = gh:\n`,
    );
    writeFileSync(config, readFileSync(config, "utf8").replace("#!/bin/sh\n", ""));
    const env = { GIT_CONFIG_GLOBAL: config };
    const { clone, id, said } = await init(who, "gh:alias/index.git", [], env);
    expect(said).toContain(`imprint add '${base}alias/index.git#${id}'`);
    const configured = testGit(path.join(clone, ".git"), ["config", "--get-regexp", "^remote.origin.(url|pushurl)$"]);
    expect(configured).toMatch(/url http:\/\/127.*\nremote\.origin\.pushurl http:\/\/localhost/);
    // a clone that has the alias itself, as `git clone gh:…` leaves it
    testGit(path.join(clone, ".git"), ["config", "--unset", "remote.origin.pushurl"]);
    testGit(path.join(clone, ".git"), ["config", "remote.origin.url", "gh:alias/index.git"]);
    world.host.requests.length = 0;
    await ok(imprint(who, packageOf(who, "x"), ["publish"], env));
    const hosts = new Set(world.host.requests.filter(({ query }) => query.includes("receive-pack")).map(({ headers }) => headers.host));
    expect([...hosts]).toEqual([expect.stringContaining("localhost:")]);
    const shop = world.folderOf("alias-shop", { "package.json": { name: "shop", version: "1.0.0" } });
    const added = await imprint(who, shop, ["add", `gh:alias/index.git#${id}`, "--yes"], env);
    expectRefused(added, "INVALID_URL", /only your own git knows that alias \(insteadOf\); .*127\.0\.0\.1:\d+\/alias\/index\.git/);
    expect(existsSync(path.join(shop, "imprint.json"))).toBe(false);
    await consumes(`${base}alias/index.git#${id}`, "@alias/x@1.0.0");
  });
});

describe.each(GITS)("a host that takes only branches and tags, by %s git", (git) => {
  const env = { IMPRINT_GIT: git };

  it.each([
    [
      "an update hook",
      (dir: string): void => {
        mkdirSync(path.join(dir, "hooks"), { recursive: true });
        writeFileSync(path.join(dir, "hooks/update"), '#!/bin/sh\ncase "$1" in refs/tarballs/*) exit 1;; esac\n', { mode: 0o755 });
      },
    ],
    ["hidden refs", (dir: string): void => void testGit(dir, ["config", "receive.hideRefs", "refs/tarballs"])],
  ])("by %s: refused whole, in one line with a way out, which works", async (label, refuse) => {
    const who = world.person(`plain-${label.replaceAll(" ", "-")}-${git}`);
    const [repo, blobs] = [`${who.name}/index.git`, `${who.name}/tarballs.git`];
    const dir = createHostedRepository(root(), repo);
    refuse(dir);
    const other = createHostedRepository(root(), blobs);
    const url = world.host.url(repo);
    const { clone, id } = await init(who, url, [], env);
    const head = testGit(dir, ["rev-parse", "refs/heads/main"]);
    const folder = packageOf(who, "x");
    expectRefused(
      await imprint(who, folder, ["publish"], env),
      "PUSH_FAILED",
      /it takes only branches and tags, not refs\/tarballs\/.*; imprint root tarballs 'git\+<url>' puts tarballs into a repository that does/,
    );
    expect(testGit(dir, ["for-each-ref", "--format=%(objectname) %(refname)"])).toBe(`${head} refs/heads/main`);
    expect((await ok(imprint(who, folder, ["root", "tarballs", `git+${world.host.url(blobs)}`], env))).stderr).toMatch(/pushed main/);
    expect((await ok(imprint(who, folder, ["publish", "--dry-run"], env))).stderr).toMatch(/tarballs go to .*tarballs\.git first/);
    await ok(imprint(who, folder, ["publish"], env));
    expect(testGit(other, ["for-each-ref", "--format=%(refname)"])).toMatch(/^refs\/tarballs\/[0-9a-f]{64}$/);
    expect(testGit(dir, ["for-each-ref", "--format=%(refname)"])).toBe("refs/heads/main");
    await consumes(`${url}#${id}`, `@${who.name}/x@1.0.0`, [], env);
    expect((await ok(imprint(who, world.folder, ["verify", `${url}#${id}`, "--tarballs"], env))).stdout).toMatch(/1 tarballs, all good/);
    // nothing is left in the clone that a plain push would offer to a host that refuses it
    await ok(world.sh(who, clone, "git", ["push"]));
    const withdrawn = await ok(imprint(who, folder, ["withdraw", `@${who.name}/x@1.0.0`, "--yes"], env));
    expect(withdrawn.stderr).toMatch(/removed its tarball from the host/);
    expect(testGit(other, ["for-each-ref"])).toBe("");
  });
});

describe("tarballs elsewhere", () => {
  it("init --tarballs git+<url>; a repository that refuses them stops the release; --no-push says what goes first", async () => {
    const who = world.person("elsewhere");
    const dir = createHostedRepository(root(), "elsewhere/index.git");
    const other = createHostedRepository(root(), "elsewhere/tarballs.git");
    const [url, blobs] = [world.host.url("elsewhere/index.git"), world.host.url("elsewhere/tarballs.git")];
    const { clone, id } = await init(who, url, ["--tarballs", `git+${blobs}`]);
    const head = testGit(dir, ["rev-parse", "refs/heads/main"]);
    testGit(other, ["config", "receive.hideRefs", "refs/tarballs"]);
    const folder = packageOf(who, "x");
    expectRefused(await imprint(who, folder, ["publish"]), "PUSH_FAILED", /elsewhere\/tarballs\.git: it takes only branches and tags/);
    expect(testGit(dir, ["rev-parse", "refs/heads/main"])).toBe(head);
    testGit(other, ["config", "--unset", "receive.hideRefs"]);
    const kept = await ok(imprint(who, folder, ["publish", "--no-push"]));
    const [, command] = /Before that, its tarballs +(git .*)/.exec(kept.stderr) ?? [];
    await ok(world.sh(who, clone, "sh", ["-c", command ?? "exit 1"]));
    await ok(world.sh(who, clone, "git", ["push"]));
    await consumes(`${url}#${id}`, "@elsewhere/x@1.0.0");
    expect((await ok(imprint(who, world.folder, ["verify", `${url}#${id}`, "--tarballs"]))).stdout).toMatch(/1 tarballs, all good/);
  });

  it("a proposal carries its tarballs, and its seal puts them where the root says", async () => {
    const who = world.person("sealed");
    const dir = createHostedRepository(root(), "sealed/index.git");
    const other = createHostedRepository(root(), "sealed/tarballs.git");
    const [url, blobs] = [world.host.url("sealed/index.git"), world.host.url("sealed/tarballs.git")];
    const { id } = await init(who, url, ["--tarballs", `git+${blobs}`]);
    const folder = packageOf(who, "x");
    await ok(imprint(who, folder, ["publish", "--propose", "--branch", "next"]));
    testGit(dir, ["update-ref", "refs/heads/main", "refs/heads/next"]);
    expect((await ok(imprint(who, folder, ["seal"]))).stdout.trim()).toBe("@sealed/x@1.0.0");
    expect(testGit(other, ["for-each-ref", "--format=%(refname)"])).toMatch(/^refs\/tarballs\/[0-9a-f]{64}$/);
    await consumes(`${url}#${id}`, "@sealed/x@1.0.0");
    expect((await ok(imprint(who, world.folder, ["verify", `${url}#${id}`, "--tarballs"]))).stdout).toMatch(/1 tarballs, all good/);
  });

  it("https templates only: what is not uploaded is named before anything is signed", async () => {
    const who = world.person("files");
    const dir = createHostedRepository(root(), "files/index.git");
    await init(who, world.host.url("files/index.git"), ["--tarballs", "https://files.invalid/{name}/{file}"]);
    const head = testGit(dir, ["rev-parse", "refs/heads/main"]);
    const folder = packageOf(who, "x");
    const dry = await ok(imprint(who, folder, ["publish", "--dry-run"]));
    expect(dry.stderr).toMatch(/first upload files-x-1\.0\.0\.tgz to https:\/\/files\.invalid\/x\/files-x-1\.0\.0\.tgz/);
    expectRefused(
      await imprint(who, folder, ["publish"]),
      "PUSH_FAILED",
      /its tarball is not at https:\/\/files\.invalid\/x\/files-x-1\.0\.0\.tgz \(.*\); pack it, upload files-x-1\.0\.0\.tgz there, then imprint publish/,
    );
    expect(testGit(dir, ["rev-parse", "refs/heads/main"])).toBe(head);
  });

  it.each(["https://files.example.org/no-placeholder", "ftp://x/{file}", "git+ext::sh -c date", "git+https://user:secret@h/x.git"])(
    "%s is no source",
    async (source) => {
      const who = world.person("nosource");
      const refused = await imprint(who, world.folder, [
        "init",
        "no-source",
        "--name",
        "nosource",
        "--packages",
        "*",
        "--tarballs",
        source,
      ]);
      expect([2, expect.not.stringMatching(/secret/)]).toEqual([refused.code, refused.stderr]);
      expect(existsSync(path.join(world.folder, "no-source"))).toBe(false);
    },
  );
});

describe("protected branches", () => {
  const hook = (dir: string, lines: readonly string[]): void => {
    mkdirSync(path.join(dir, "hooks"), { recursive: true });
    const refuse = lines.map((line) => `echo '${line}' >&2`).join("; ");
    const text = `#!/bin/sh\nwhile read old new ref; do case $ref in refs/heads/main) ${refuse}; exit 1;; esac; done\n`;
    writeFileSync(path.join(dir, "hooks/pre-receive"), text, { mode: 0o755 });
  };

  it.each<[string, (dir: string) => void]>([
    [
      "GitHub",
      (dir) =>
        hook(dir, [
          "error: GH006: Protected branch update failed for refs/heads/main.",
          "error: Changes must be made through a pull request.",
        ]),
    ],
    ["GitLab", (dir) => hook(dir, ["GitLab: You are not allowed to push code to protected branches on this project."])],
    [
      "a repository with a work tree",
      (dir) => {
        testGit(dir, ["config", "core.bare", "false"]);
        testGit(dir, ["config", "receive.denyCurrentBranch", "refuse"]);
        testGit(dir, ["config", "core.worktree", dir]);
      },
    ],
  ])("%s: one line advises a proposal, which goes through", async (label, protect) => {
    for (const git of GITS) {
      const who = world.person(`protected-${label.replaceAll(/\W/g, "").toLowerCase()}-${git}`);
      const dir = createHostedRepository(root(), `${who.name}/index.git`);
      const { clone } = await init(who, world.host.url(`${who.name}/index.git`), [], { IMPRINT_GIT: git });
      // the first release is behind it: what is tested is the branch, not the first look
      await ok(imprint(who, packageOf(who, "first"), ["publish"], { IMPRINT_GIT: git }));
      const refs = testGit(dir, ["for-each-ref"]);
      protect(dir);
      const folder = packageOf(who, "x");
      const refused = await imprint(who, folder, ["publish"], { IMPRINT_GIT: git });
      expectRefused(refused, "PUSH_FAILED", /: the branch is protected there; imprint publish --propose makes a pull request of it \(/);
      expect(testGit(dir, ["for-each-ref"])).toBe(refs);
      expect((await world.sh(who, clone, "git", ["status", "--porcelain"])).stdout).toBe("");
      await ok(imprint(who, folder, ["publish", "--propose"], { IMPRINT_GIT: git }));
      expect(testGit(dir, ["for-each-ref", "--format=%(refname)", "refs/heads"])).toContain("refs/heads/propose-");
    }
  });
});

describe("who is let in", () => {
  const BASIC = `Basic ${Buffer.from("alice:right").toString("base64")}`;

  /** The same repositories behind a door. */
  async function guarded(status: number): Promise<GitHost> {
    const host = await startGitHost({
      root: root(),
      intercept: (request, response) => {
        if (request.headers.authorization === BASIC) return false;
        response.writeHead(status, status === 401 ? { "www-authenticate": 'Basic realm="git"' } : {}).end();
        return true;
      },
    });
    onTestFinished(() => host.close());
    return host;
  }

  const configOf = (name: string, text: string): NodeJS.ProcessEnv => {
    const file = path.join(world.folder, `${name}.config`);
    writeFileSync(file, text);
    return { GIT_CONFIG_GLOBAL: file };
  };

  it("system git: without a helper, with a wrong one, with the right one; nothing ever asks", async () => {
    const who = world.person("door");
    createHostedRepository(root(), "door/index.git");
    const host = await guarded(401);
    const url = host.url("door/index.git");
    const right = script("right-helper", 'case "$*" in *get) printf "username=alice\\npassword=right\\n";; esac');
    const wrong = script("wrong-helper", 'case "$*" in *get) printf "username=alice\\npassword=hunter2\\n";; esac');
    const helped = configOf("right", `[credential]\n\thelper = ${right} --flag secret\n`);
    const { id } = await init(who, url, [], helped);
    await ok(imprint(who, packageOf(who, "x"), ["publish"], helped));
    await consumes(`${url}#${id}`, "@door/x@1.0.0", [], helped);
    const shop = world.folderOf("door-shop", { "package.json": { name: "shop", version: "1.0.0" } });
    const cases: readonly (readonly [NodeJS.ProcessEnv, RegExp])[] = [
      [{}, /the host wants credentials, and no credential helper is configured/],
      [configOf("wrong", `[credential]\n\thelper = ${wrong} --token secret\n`), /credential helper wrong-helper gave none that it takes/],
      [
        configOf("inline", '[credential]\n\thelper = "!f() { echo password=secret; }; f"\n'),
        /credential helper \(a shell command\) gave none/,
      ],
      [configOf("other", `[credential "https://elsewhere.example"]\n\thelper = ${wrong}\n`), /no credential helper is configured/],
      [configOf("own", `[credential "${host.url("")}"]\n\thelper = ${wrong}\n`), /credential helper wrong-helper/],
    ];
    for (const [env, words] of cases) {
      const added = await imprint(who, shop, ["add", `${url}#${id}`, "--yes"], env);
      expectRefused(added, "UNREACHABLE", words);
      expect(added.stderr).toContain(url);
      const published = await imprint(who, packageOf(who, "y"), ["publish"], env);
      expectRefused(published, "UNREACHABLE", words);
      expect(added.stderr + published.stderr).not.toMatch(/secret|hunter2|right-helper/);
    }
    expect(existsSync(path.join(shop, "imprint.json"))).toBe(false);
  });

  it("403 likewise, and the embedded git names the host and IMPRINT_GIT_TOKEN", async () => {
    const who = world.person("gate");
    createHostedRepository(root(), "gate/index.git");
    const { id } = await init(who, world.host.url("gate/index.git"));
    const shop = world.folderOf("gate-shop", { "package.json": { name: "shop", version: "1.0.0" } });
    for (const status of [401, 403]) {
      const host = await guarded(status);
      const url = host.url("gate/index.git");
      const address = `127.0.0.1:${String(host.port)}`;
      const add = (env: NodeJS.ProcessEnv): Promise<Outcome> =>
        imprint(who, shop, ["add", `${url}#${id}`, "--yes", "--packages", "@gate/*"], env);
      if (status === 403) expectRefused(await add({}), "UNREACHABLE", /forbids it \(403\), and no credential helper is configured/);
      const none = await add({ IMPRINT_GIT: "isomorphic", IMPRINT_GIT_TOKEN: "elsewhere.example=hunter2" });
      expectRefused(
        none,
        "UNREACHABLE",
        new RegExp(`${url}: the host ${address} answers ${String(status)}; .*IMPRINT_GIT_TOKEN \\(${address}=<token>\\)`),
      );
      const wrong = await add({ IMPRINT_GIT: "isomorphic", IMPRINT_GIT_TOKEN: `${address}=alice:hunter2` });
      expectRefused(wrong, "UNREACHABLE", /it does not take the token that IMPRINT_GIT_TOKEN has for it/);
      expect(none.stderr + wrong.stderr).not.toContain("hunter2");
    }
    const host = await guarded(401);
    const env = { IMPRINT_GIT: "isomorphic", IMPRINT_GIT_TOKEN: `127.0.0.1:${String(host.port)}=alice:right` };
    await ok(imprint(who, shop, ["add", `${host.url("gate/index.git")}#${id}`, "--yes", "--packages", "@gate/*"], env));
  });
});

describe("ssh and local paths", () => {
  /** An ssh that runs the command here, in the folder of the repositories, and notes how it was called. */
  const localSsh = (): string =>
    script("local-ssh", `echo "$@" >> '${world.folder}/ssh.log'\nfor last; do :; done\ncd '${root()}' && exec sh -c "$last"`);

  it.each<[string, (repo: string) => string]>([
    ["ssh://", (repo) => `ssh://git@git.invalid${world.hosted(repo)}`],
    ["git@host:path", (repo) => `git@git.invalid:${repo}`],
  ])("%s: init, publish, add, sync", async (label, address) => {
    const who = world.person(label.startsWith("ssh") ? "sshd" : "scp");
    const repo = `${who.name}/index.git`;
    createHostedRepository(root(), repo);
    const env = { GIT_SSH_COMMAND: localSsh() };
    const url = address(repo);
    const { id } = await init(who, url, ["--url", url], env);
    await ok(imprint(who, packageOf(who, "x"), ["publish"], env));
    const config = path.join(world.folder, "ssh.config");
    writeFileSync(config, `[core]\n\tsshCommand = ${localSsh()}\n`);
    await consumes(`${url}#${id}`, `@${who.name}/x@1.0.0`, [], { GIT_CONFIG_GLOBAL: config });
    expect(readFileSync(path.join(world.folder, "ssh.log"), "utf8")).toMatch(/git@git\.invalid git-receive-pack/);
    const embedded = await imprint(who, packageOf(who, "y"), ["publish"], { IMPRINT_GIT: "isomorphic" });
    expectRefused(embedded, "GIT_MISSING", /without git: only https works/);
  });

  it("an ssh that is refused: one line with the address and what was tried, and nothing is asked", async () => {
    const who = world.person("nokey");
    const shop = world.folderOf("nokey-shop", { "package.json": { name: "shop", version: "1.0.0" } });
    const add = (env: NodeJS.ProcessEnv): Promise<Outcome> =>
      imprint(who, shop, ["add", `ssh://git@git.invalid/alice/index.git#${"1".repeat(64)}`, "--yes"], env);
    const text = 'echo "$@" > called; echo "git@git.invalid: Permission denied (publickey)." >&2; exit 255';
    const own = await add({ GIT_SSH_COMMAND: script("refused-ssh", text) });
    expectRefused(
      own,
      "UNREACHABLE",
      /ssh:\/\/git@git\.invalid\/alice\/index\.git: .*Permission denied \(publickey\).*; tried the ssh command of your environment/,
    );
    // ours: found on the PATH, and told never to ask
    const bin = path.join(world.folder, "ssh-bin");
    mkdirSync(bin, { recursive: true });
    writeFileSync(path.join(bin, "ssh"), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    expectRefused(await add({ PATH: `${bin}:${process.env["PATH"] ?? ""}` }), "UNREACHABLE", /tried ssh without prompts \(BatchMode\)/);
    expect(readFileSync(path.join(shop, "called"), "utf8")).toContain("BatchMode=yes");
  });

  it("a path as the remote; consumers say --allow-file", async () => {
    const who = world.person("local");
    const dir = createHostedRepository(root(), "local/index.git");
    const { id, clone } = await init(who, dir);
    await ok(imprint(who, packageOf(who, "x"), ["publish"]));
    await consumes(`file://${dir}#${id}`, "@local/x@1.0.0", ["--allow-file"], { IMPRINT_ALLOW_FILE: "1" });
    await consumes(`${dir}#${id}`, "@local/x@1.0.0", [], { IMPRINT_ALLOW_FILE: "1" });
    const shop = world.folderOf("local-shop", { "package.json": { name: "shop", version: "1.0.0" } });
    expectRefused(await imprint(who, shop, ["add", `file://${dir}#${id}`, "--yes"]), "INVALID_URL", /only read with --allow-file/);
    expect((await ok(imprint(who, clone, ["verify", "--tarballs"]))).stdout).toMatch(/1 tarballs, all good/);
  });
});

describe.each(GITS)("a host that vanishes, by %s git", (git) => {
  const env = { IMPRINT_GIT: git };
  const isPush = (request: IncomingMessage): boolean => request.method === "POST" && request.url?.endsWith("/git-receive-pack") === true;

  async function vanishing(name: string, intercept: GitHostOptions["intercept"]): Promise<{ who: Person; dir: string; url: string }> {
    const who = world.person(`${name}-${git}`);
    const dir = createHostedRepository(root(), `${who.name}/index.git`);
    const { clone } = await init(who, world.host.url(`${who.name}/index.git`), [], env);
    await ok(imprint(who, packageOf(who, "first"), ["publish"], env));
    const host = await startGitHost({ root: root(), ...(intercept === undefined ? {} : { intercept }) });
    onTestFinished(() => host.close());
    const url = host.url(`${who.name}/index.git`);
    testGit(path.join(clone, ".git"), ["config", "remote.origin.url", url]);
    return { who, dir, url };
  }

  it("before it takes the push: nothing is published, and the next run goes on", async () => {
    let isGone = true;
    const { who, dir } = await vanishing("gone", (request) => {
      if (!isPush(request) || !isGone) return false;
      request.socket.destroy();
      return true;
    });
    const refs = testGit(dir, ["for-each-ref"]);
    const folder = packageOf(who, "x");
    const failed = await imprint(who, folder, ["publish"], env);
    expect([5, expect.stringMatching(/^✗ Cannot push to http.*index\.git: /m)]).toEqual([failed.code, failed.stderr]);
    expect(testGit(dir, ["for-each-ref"])).toBe(refs);
    isGone = false;
    await ok(imprint(who, folder, ["publish"], env));
    expect((await ok(imprint(who, world.folder, ["verify", dir, "--tarballs"]))).stdout).toMatch(/2 releases.* 2 tarballs, all good/);
  });

  it("after it took the push, its answer lost: what is there counts, and it is published once", async () => {
    const { who, dir } = await vanishing("mute", (request, response) => {
      if (!isPush(request)) return false;
      // git's answer is made, and never sent
      response.write = () => true;
      response.end = () => response.destroy();
      return false;
    });
    const said = await ok(imprint(who, packageOf(who, "x"), ["publish"], env));
    expect(said.stderr).toMatch(/read back as a stranger would/);
    expect((await ok(imprint(who, world.folder, ["verify", dir, "--tarballs"]))).stdout).toMatch(/2 releases.* 2 tarballs, all good/);
  });
});

describe("a clone that is not ready", () => {
  let who: Person;
  let clone: string;
  let host: string;
  const git = async (...args: readonly string[]): Promise<string> =>
    (await world.sh(who, clone, "git", ["-c", "user.name=t", "-c", "user.email=t@example.org", ...args])).stdout.trim();
  beforeAll(async () => {
    who = world.person("unready");
    host = createHostedRepository(root(), "unready/index.git");
    ({ clone } = await init(who, world.host.url("unready/index.git")));
    await ok(imprint(who, packageOf(who, "first"), ["publish"]));
  });

  it.each<[string, () => Promise<() => Promise<unknown>>, RegExp]>([
    [
      "a detached HEAD",
      async () => {
        await git("checkout", "-q", "--detach");
        return () => git("checkout", "-q", "main");
      },
      /no branch is checked out; git -C '.*' checkout main$/,
    ],
    [
      "an edited signed file",
      async () => {
        writeFileSync(path.join(clone, "checkpoint.json"), "mine");
        return () => git("checkout", "-q", "--", "checkpoint.json");
      },
      /changed by hand \(checkpoint\.json\); git -C '.*' checkout -- trust packages checkpoint\.json undoes that$/,
    ],
    [
      "a merge in progress",
      async () => {
        const head = await git("rev-parse", "HEAD");
        await git("checkout", "-q", "-b", "side");
        writeFileSync(path.join(clone, "README.md"), "side\n");
        await git("commit", "-qam", "side");
        await git("checkout", "-q", "main");
        writeFileSync(path.join(clone, "README.md"), "main\n");
        await git("commit", "-qam", "main");
        await git("merge", "-q", "side");
        return async () => {
          await git("merge", "--abort");
          await git("reset", "-q", "--hard", head);
        };
      },
      /a merge is in progress there; git -C '.*' merge --continue, or --abort, first$/,
    ],
    [
      "a rebase in progress",
      async () => {
        const head = await git("rev-parse", "HEAD");
        writeFileSync(path.join(clone, "README.md"), "main\n");
        await git("commit", "-qam", "main");
        await git("rebase", "-q", "side");
        return async () => {
          await git("rebase", "--abort");
          await git("reset", "-q", "--hard", head);
        };
      },
      /a rebase is in progress there; git -C '.*' rebase --continue, or --abort, first$/,
    ],
  ])("%s: one line says how to go on, and nothing is lost or published", async (_, spoil, words) => {
    const mend = await spoil();
    const folder = packageOf(who, "x");
    const [refs, status, head] = [testGit(host, ["for-each-ref"]), await git("status", "--porcelain"), await git("rev-parse", "HEAD")];
    for (const kind of GITS) expectRefused(await imprint(who, folder, ["publish"], { IMPRINT_GIT: kind }), "WORK_TREE", words);
    expect([testGit(host, ["for-each-ref"]), await git("status", "--porcelain"), await git("rev-parse", "HEAD")]).toEqual([
      refs,
      status,
      head,
    ]);
    await mend();
    expect(await git("status", "--porcelain")).toBe("");
  });

  it.each(GITS)("behind its host, with local changes to other files: published, and the changes stay (%s git)", async (kind) => {
    const other = path.join(world.folder, `unready-other-${kind}`);
    await ok(world.sh(who, world.folder, "git", ["clone", "-q", world.host.url("unready/index.git"), other]));
    await ok(imprint(who, packageOf(who, `theirs-${kind}`), ["publish", "--index", other], { IMPRINT_GIT: kind }));
    writeFileSync(path.join(clone, "README.md"), "not committed\n");
    writeFileSync(path.join(clone, "notes.txt"), "mine\n");
    await ok(imprint(who, packageOf(who, `mine-${kind}`), ["publish"], { IMPRINT_GIT: kind }));
    expect((await git("status", "--porcelain")).split("\n").toSorted()).toEqual(["?? notes.txt", "M README.md"]);
    expect(await git("rev-parse", "HEAD")).toBe(testGit(host, ["rev-parse", "refs/heads/main"]));
    await git("checkout", "-q", "--", "README.md");
  });
});
