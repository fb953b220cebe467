/** Bad input: one clear line (what, why, what next), the right exit code, and every file as it was. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CATALOGUE, type ErrorCode, isImprintError } from "../../src/errors.ts";
import { createBareRepository } from "../../src/git/store/bare.ts";
import { openSystemGit } from "../../src/git/system/repository.ts";
import { parseGitUrl, parseRefName } from "../../src/git/url.ts";
import { gitSource } from "../../src/index/source.ts";
import { snapshotOf } from "../cli/in-process.ts";
import { commitHosted, createHostedRepository, startGitHost } from "../support/git-host.ts";
import { BIN, type Outcome, type People, people, type Person } from "../support/people.ts";

const ID = "1".repeat(64);
const NOWHERE = "http://127.0.0.1:9/gone.git";

let world: People;
let carol: Person;
beforeAll(async () => {
  world = await people();
  carol = world.person("carol");
});
afterAll(() => world.close());

let folders = 0;
/** A project with these files and a package.json. */
function project(files: Readonly<Record<string, unknown>> = {}): string {
  return world.folderOf(`bad-${String(++folders)}`, { "package.json": { name: "shop", version: "1.0.0", private: true }, ...files });
}

function indices(entries: Readonly<Record<string, unknown>>): unknown {
  return { format: 1, indices: entries };
}

function entry(more: Readonly<Record<string, unknown>> = {}): unknown {
  return { id: ID, urls: [NOWHERE], packages: ["@gone/*"], ...more };
}

/** One `✗` line and one `CODE; next: hint` line, the code's exit code, nothing on stdout, no stack. */
function expectRefused({ code: exit, stdout, stderr }: Outcome, code: ErrorCode, words: RegExp): void {
  const lines = stderr.trimEnd().split("\n");
  expect({ exit, stdout, next: lines.at(-1) }, stderr).toEqual({
    exit: CATALOGUE[code].exit,
    stdout: "",
    next: `  ${code}; next: ${CATALOGUE[code].hint}`,
  });
  expect(lines.at(-2)).toMatch(/^✗ Cannot /);
  expect(lines.at(-2)).toMatch(words);
  expect(stderr).not.toMatch(/\n {4}at /);
}

/** Runs the command in `folder`, where it must be refused, and returns the files that it changed there all the same. */
async function changedThough(
  folder: string,
  argv: readonly string[],
  code: ErrorCode,
  words: RegExp,
  env: NodeJS.ProcessEnv = {},
  who: Person = carol,
): Promise<readonly string[]> {
  const before = snapshotOf(folder);
  expectRefused(await world.sh(who, folder, process.execPath, [BIN, ...argv], env), code, words);
  const after = snapshotOf(folder);
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((file) => before[file] !== after[file]);
}

/** An index's files and branches; what git keeps for itself, and objects that nothing names, are no state of it. */
function publishedIn(folder: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(snapshotOf(folder)).filter(
      ([file]) => !/(^|\/)(config|FETCH_HEAD|index)$|refs\/imprint\/|refs\/tarballs\/|objects\//.test(file),
    ),
  );
}

describe("wrong arguments", () => {
  it.each<[string, readonly string[], RegExp]>([
    ["an unknown command", ["frobnicate"], /frobnicate/],
    ["a misspelt command", ["publsh"], /Did you mean publish/],
    ["no command", [], /Say what to do/],
    ["an unknown flag", ["list", "--bogus"], /bogus/],
    ["an unknown flag of run", ["run", "--bogus", "true"], /--bogus/],
    ["a flag without its value", ["serve", "--port"], /port/],
    ["a flag of run without its value", ["run", "--port"], /--port/],
    ["-C without a folder", ["list", "-C"], /following: C/],
    ["a flag given twice", ["serve", "--port", "1", "--port", "2"], /--port is given twice/],
    ["a port that is no number", ["serve", "--port", "abc"], /port abc/],
    ["a port that is no number, of run", ["run", "--port", "abc", "true"], /port abc/],
    ["a port beyond 65535", ["serve", "--port", "65536"], /port 65536/],
    ["--sync-after that is no number", ["serve", "--sync-after", "x"], /--sync-after/],
    ["--sync-after that is no number, of run", ["run", "--sync-after", "x", "true"], /--sync-after/],
    ["a missing argument", ["add"], /got 0, need at least 1/],
    ["run without a command", ["run"], /no command/],
    ["root without a verb", ["root"], /grant/],
    ["an --id that is none", ["verify", "--id", "zz"], /--id/],
  ])("%s is a usage error", async (_, argv, words) => {
    expect(await changedThough(project({ "imprint.json": indices({}) }), argv, "USAGE", words)).toEqual([]);
  });

  it.each<[string, readonly string[], ErrorCode, RegExp]>([
    ["an address that is none", ["add", `nope#${ID}`, "--yes"], "INVALID_URL", /nope/],
    ["an address that would run a program", ["add", `ext::sh -c date#${ID}`, "--yes"], "INVALID_URL", /ext/],
    ["an address with a cut-off id", ["add", `${NOWHERE}#1234`, "--yes"], "INVALID_URL", /64 lower-case hex/],
    ["an address without an id", ["add", NOWHERE, "--yes"], "NEEDS_ID", /no #<id>/],
    ["an address with nobody to say yes", ["add", `${NOWHERE}#${ID}`], "NEEDS_ANSWER", /nobody is here/],
    ["a name that is none", ["why", "two words"], "INVALID_NAME", /two words/],
    ["an index that the project does not have", ["sync", "bob"], "NOT_FOUND", /bob/],
    ["removing an index that the project does not have", ["remove", "bob"], "NOT_FOUND", /bob/],
  ])("%s is refused before anything is asked", async (_, argv, code, words) => {
    expect(await changedThough(project({ "imprint.json": indices({}) }), argv, code, words)).toEqual([]);
  });
});

describe("missing files", () => {
  it.each<[string, readonly string[], ErrorCode, RegExp]>([
    ["-C into a folder that is not there", ["-C", "nowhere", "list"], "FILE_UNREADABLE", /nowhere: there is no such folder/],
    ["-C into a file", ["-C", "package.json", "list"], "FILE_UNREADABLE", /package\.json: there is no such folder/],
    ["publishing a folder that is not there", ["publish", "nowhere"], "FILE_UNREADABLE", /no such folder or file/],
    ["publishing a folder without package.json", ["publish", "empty"], "FILE_UNREADABLE", /package\.json/],
    ["publishing a .tgz that is none", ["publish", "empty/x.tgz"], "TARBALL_REFUSED", /gzip/],
    ["auditing without package-lock.json", ["audit"], "FILE_UNREADABLE", /package-lock\.json/],
    ["verifying a folder that is no index", ["verify", "empty"], "VERIFY_FAILED", /1 fault/],
  ])("%s says which", async (_, argv, code, words) => {
    expect(await changedThough(project({ "imprint.json": indices({}), "empty/x.tgz": "" }), argv, code, words)).toEqual([]);
  });

  it("no imprint.json says where it was looked for", async () => {
    expect(await changedThough(project(), ["list"], "CONFIG_MISSING", /imprint\.json in .*bad-\d+/)).toEqual([]);
  });

  it("a passphrase file that is not there is named", async () => {
    expect(
      await changedThough(project(), ["init", "--name", "nobody"], "FILE_UNREADABLE", /IMPRINT_PASSPHRASE_FILE .*secret/, {
        IMPRINT_PASSPHRASE: undefined,
        IMPRINT_PASSPHRASE_FILE: "secret",
      }),
    ).toEqual([]);
  });
});

describe("keys", () => {
  it("a wrong passphrase, none, a damaged key file and a lost one each say so, and nothing is signed", async () => {
    const who = world.person("kay");
    const { clone } = await world.init(who, "@kay/*");
    const folder = world.folderOf("kay-x", { "package.json": { name: "@kay/x", version: "1.0.0", main: "i.js" }, "i.js": "" });
    const before = [publishedIn(clone), publishedIn(world.hosted("kay/index.git"))];
    const daily = path.join(who.home, ".config/imprint/keys/kay.daily.json");
    expect(
      await changedThough(
        folder,
        ["publish"],
        "PASSPHRASE_WRONG",
        /kay\.daily\.json: wrong passphrase/,
        { IMPRINT_PASSPHRASE: "wrong" },
        who,
      ),
    ).toEqual([]);
    expect(
      await changedThough(
        folder,
        ["publish"],
        "PASSPHRASE_NEEDED",
        /nobody is here to type it/,
        { IMPRINT_PASSPHRASE_FILE: undefined },
        who,
      ),
    ).toEqual([]);
    writeFileSync(daily, "{}\n");
    expect(await changedThough(folder, ["publish"], "KEY_INVALID", /key file/, {}, who)).toEqual([]);
    rmSync(daily);
    expect(await changedThough(folder, ["publish"], "KEY_MISSING", /no daily key file/, {}, who)).toEqual([]);
    expect([publishedIn(clone), publishedIn(world.hosted("kay/index.git"))]).toEqual(before);
  });
});

describe("imprint.json and imprint.lock", () => {
  const good = JSON.stringify(indices({ gone: entry() }), null, 2);
  it.each<[string, string, RegExp]>([
    ["an empty file", "", /line 1, column 1/],
    ["a missing comma", '{\n  "format": 1\n  "indices": {}\n}\n', /line 3, column 3/],
    ["a file that breaks off", '{ "format": 1,', /line 1, column 15/],
    ["text after the end", `{"format":1,"indices":{}}\n}`, /line 2, column 1/],
    [
      "conflict markers of git",
      `{\n<<<<<<< ours\n  "format": 1,\n=======\n  "format": 1,\n>>>>>>> theirs\n  "indices": {}\n}\n`,
      /conflict marker of git at line 2, column 1/,
    ],
    [
      "a duplicate member",
      '{\n  "format": 1,\n  "indices": {},\n  "format": 1\n}\n',
      /"format" stands twice in one object at line 4, column 3/,
    ],
    ["an unknown member", '{\n  "format": 1,\n  "indices": {},\n  "denny": []\n}\n', /denny.*line 4, column 12/],
    ["an unknown member of an index", good.replace('"packages"', '"minAgeDays": 1,\n      "packages"'), /minAgeDays.*line \d+, column \d+/],
    ["an id that is none", good.replace(ID, "abc"), /indices\.gone\.id.*line 5, column 13/],
    ["a list", "[]", /not a JSON object/],
  ])("%s in imprint.json is refused at its place, by every command that reads it", async (_, text, words) => {
    const folder = project({ "imprint.json": text });
    for (const argv of [["list"], ["run", "true"]])
      expect(await changedThough(folder, argv, "CONFIG_INVALID", new RegExp(`imprint\\.json: .*${words.source}`))).toEqual([]);
  });

  it.each<[string, string, RegExp]>([
    ["conflict markers of git", `<<<<<<< ours\n{}\n`, /conflict marker of git at line 1, column 1/],
    ["an entry that lacks a member", `{\n  "format": 1,\n  "indices": { "gone": { "id": "${ID}" } }\n}\n`, /root.*line \d, column \d+/],
    ["a duplicate member", '{ "format": 1, "format": 1, "indices": {} }', /stands twice in one object at line 1, column 16/],
  ])("%s in imprint.lock is refused, and the lock is not begun anew", async (_, text, words) => {
    const folder = project({ "imprint.json": indices({ gone: entry() }), "imprint.lock": text });
    for (const argv of [["sync"], ["add", `${NOWHERE}#${ID}`, "--yes"]])
      expect(await changedThough(folder, argv, "CONFIG_INVALID", new RegExp(`imprint\\.lock: .*${words.source}`))).toEqual([]);
  });

  it("a format of tomorrow needs a newer imprint instead of being ignored", async () => {
    expect(
      await changedThough(project({ "imprint.json": { format: 2, indices: {} } }), ["list"], "UNSUPPORTED_FORMAT", /format 2/),
    ).toEqual([]);
  });

  it("a name that two indices claim is a conflict that names both", async () => {
    const folder = project({ "imprint.json": indices({ left: entry({ packages: ["@x/*", "y"] }), right: entry({ packages: ["y"] }) }) });
    for (const argv of [["list"], ["why", "y"], ["run", "true"]])
      expect(await changedThough(folder, argv, "CLAIMS_CONFLICT", /left and right both claim y/)).toEqual([]);
  });

  it("a name that nobody claims and upstream does not allow is refused, and why says so", async () => {
    const folder = project({ "imprint.json": { format: 1, indices: {}, upstream: { allow: [] } } });
    const before = snapshotOf(folder);
    const { code, stdout } = await world.imprint(carol, folder, "why", "left-pad");
    expect(code).toBe(1);
    expect(stdout).toMatch(/left-pad is refused\n.*no entry of upstream\.allow names it/);
    expect(snapshotOf(folder)).toEqual(before);
  });
});

describe("hosts", () => {
  it.each<[string, Readonly<Record<string, string>> | null, ErrorCode, RegExp]>([
    ["an empty repository", null, "NOT_AN_INDEX", /has no refs\/heads\/main/],
    ["a repository that is no index", { "README.md": "hello\n" }, "NOT_AN_INDEX", /no checkpoint\.json/],
    ["an oversized checkpoint.json", { "checkpoint.json": " ".repeat(70_000) }, "TOO_LARGE", /checkpoint\.json is larger than 65536 bytes/],
    ["a malformed checkpoint.json", { "checkpoint.json": "<html>\n" }, "INVALID_DOCUMENT", /checkpoint\.json: not JSON/],
    ["a checkpoint.json of another kind", { "checkpoint.json": "{}\n" }, "INVALID_DOCUMENT", /checkpoint\.json/],
  ])("%s is not added, nor synced", async (_, files, code, words) => {
    const repo = `bad/${String(++folders)}.git`;
    const dir = createHostedRepository(path.dirname(world.hosted("x")), repo);
    if (files !== null) commitHosted(dir, files);
    const url = world.host.url(repo);
    expect(await changedThough(project(), ["add", `${url}#${ID}`, "--yes"], code, words)).toEqual([]);
    expect(
      await changedThough(project({ "imprint.json": indices({ bad: entry({ urls: [url] }) }) }), ["run", "true"], code, words),
    ).toEqual([]);
  });

  it("an unreachable host, and a repository that is not there, stop add and run", async () => {
    for (const url of [NOWHERE, world.host.url("no/such.git")]) {
      expect(await changedThough(project(), ["add", `${url}#${ID}`, "--yes"], "UNREACHABLE", new RegExp(url))).toEqual([]);
      expect(
        await changedThough(
          project({ "imprint.json": indices({ gone: entry({ urls: [url] }) }) }),
          ["run", "true"],
          "UNREACHABLE",
          new RegExp(url),
        ),
      ).toEqual([]);
    }
  });

  it("a host that never answers is given up at the deadline, and its git with it", async () => {
    const root = path.join(world.folder, "silent");
    mkdirSync(root);
    const host = await startGitHost({ root, intercept: () => true });
    const gitDir = path.join(world.folder, "silent-cache", "repo.git");
    await createBareRepository(gitDir);
    const repository = openSystemGit({ gitDir });
    try {
      const before = snapshotOf(gitDir);
      const source = gitSource({
        repository,
        url: parseGitUrl(host.url("x.git"), { allowFile: false }),
        ref: parseRefName("refs/heads/main"),
        keepAs: parseRefName("refs/imprint/head"),
        limits: { maxBytes: 1e6, maxObjects: 100, deadlineMs: 500 },
      });
      const started = performance.now();
      const error = await source.open().catch((thrown: unknown) => thrown);
      if (!isImprintError(error, "TIMED_OUT")) throw error;
      expect([error.exitCode, error.message]).toEqual([5, expect.stringMatching(/^Cannot .*x\.git: no end after [0-9.]+ ms$/)]);
      expect(performance.now() - started).toBeLessThan(20_000);
      expect(snapshotOf(gitDir)).toEqual(before);
    } finally {
      await repository.close();
      await host.close();
    }
  });
});
