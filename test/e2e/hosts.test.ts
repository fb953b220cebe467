/** Whatever the host is like: its branches, its addresses, what it refuses. One line each, and nothing half published. */
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CATALOGUE, type ErrorCode } from "../../src/errors.ts";
import { commitHosted, createHostedRepository, testGit } from "../support/git-host.ts";
import { BIN, type Outcome, type People, people, type Person } from "../support/people.ts";

let world: People;
let folders = 0;
beforeAll(async () => {
  world = await people();
});
afterAll(() => world.close());

const GITS = ["system", "isomorphic"] as const;
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
    expect((await ok(imprint(who, folder, ["root", "tarballs", `git+${world.host.url(blobs)}`], env))).stderr).toMatch(/; pushed/);
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
