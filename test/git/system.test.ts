/** The system adapter: the contract, and what only it can get wrong. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import type { GitRepository, GitUrl, ObjectId, TransferLimits } from "../../src/git/port.ts";
import { compact } from "../../src/git/system/compact.ts";
import { openObjects } from "../../src/git/system/objects.ts";
import { createBareRepository } from "../../src/git/store/bare.ts";
import { openSystemGit } from "../../src/git/system/repository.ts";
import { createGit } from "../../src/git/system/run.ts";
import { parseGitUrl, parseRefName } from "../../src/git/url.ts";
import { commitHosted, createHostedRepository, startGitHost, testGit, testGitEnv } from "../support/git-host.ts";
import type { GitHost, GitHostOptions } from "../support/git-host.ts";
import { gitContract, LIMITS, noise } from "./contract.ts";

gitContract(
  "system git",
  async (dir) => {
    await createBareRepository(dir);
    return openSystemGit({ gitDir: dir, env: testGitEnv() });
  },
  { filters: true, unknownScheme: "UNREACHABLE" },
);

const MAIN = parseRefName("refs/heads/main");
const KEPT = parseRefName("refs/imprint/kept");

type Bench = {
  root: string;
  bare: string;
  cache: string;
  host: GitHost;
  url: GitUrl;
  repository: GitRepository;
  fetch: (limits?: Partial<TransferLimits>, blobs?: boolean) => Promise<ObjectId | null>;
};

async function bench(options: { env?: NodeJS.ProcessEnv; host?: Partial<GitHostOptions>; objectFormat?: "sha256" } = {}): Promise<Bench> {
  const root = mkdtempSync(join(tmpdir(), "imprint-system-"));
  const bare = createHostedRepository(root, "alice.git");
  const host = await startGitHost({ root, ...options.host });
  const url = parseGitUrl(host.url("alice.git"), { allowFile: false });
  const cache = join(root, "cache.git");
  await createBareRepository(cache, options.objectFormat === undefined ? {} : { objectFormat: options.objectFormat });
  const repository = openSystemGit({ gitDir: cache, env: options.env ?? testGitEnv() });
  onTestFinished(async () => {
    await repository.close();
    await host.close();
    rmSync(root, { recursive: true, force: true });
  });
  const fetch = (limits: Partial<TransferLimits> = {}, blobs = true): Promise<ObjectId | null> =>
    repository.fetch({ url, ref: MAIN, keepAs: KEPT, blobs, limits: { ...LIMITS, ...limits } });
  return { root, bare, cache, host, url, repository, fetch };
}

const read = async (repository: GitRepository, commit: ObjectId | null, path: string, url: GitUrl | null = null): Promise<string> => {
  const [found] = await repository.readFiles({ commit: commit as ObjectId, files: [{ path, maxBytes: 1 << 20 }], url, limits: LIMITS });
  return found?.state === "found" ? Buffer.from(found.bytes).toString() : (found?.state ?? "none");
};

/** Stand-in for git that writes down how it was called. */
function recordingGit(root: string): { program: string; calls: () => string[] } {
  const log = join(root, "calls");
  const program = join(root, "recording-git");
  writeFileSync(program, `#!/bin/sh\n{ printf 'ARGS'; printf ' %s' "$@"; echo; env | sort; } >> '${log}'\nexec git "$@"\n`, {
    mode: 0o755,
  });
  return { program, calls: () => (existsSync(log) ? readFileSync(log, "utf8").split("\n") : []) };
}

describe("running git", () => {
  test("no git, or one that is too old, is GIT_MISSING, and not before it is needed", async () => {
    const { root, cache } = await bench();
    const missing = openSystemGit({ gitDir: cache, git: join(root, "nothing"), env: testGitEnv() });
    await expect(missing.head(MAIN)).rejects.toMatchObject({ code: "GIT_MISSING" });
    const old = join(root, "old-git");
    writeFileSync(old, "#!/bin/sh\necho git version 2.33.9\n", { mode: 0o755 });
    await expect(openSystemGit({ gitDir: cache, git: old, env: testGitEnv() }).head(MAIN)).rejects.toMatchObject({
      code: "GIT_MISSING",
      message: expect.stringContaining("2.33.9") as string,
    });
    // installed meanwhile
    writeFileSync(old, '#!/bin/sh\nexec git "$@"\n', { mode: 0o755 });
    expect(await openSystemGit({ gitDir: cache, git: old, env: testGitEnv() }).head(MAIN)).toBeNull();
  });

  test("its environment holds none of our secrets and nothing that redirects git; terminals are off", async () => {
    const { root, cache } = await bench();
    const { program, calls } = recordingGit(root);
    const env = testGitEnv({
      IMPRINT_PASSPHRASE: "hunter2",
      GIT_DIR: "/nowhere",
      GIT_WORK_TREE: "/nowhere",
      GIT_INDEX_FILE: "/x",
      GIT_ALLOW_PROTOCOL: "ext",
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "core.sshCommand",
      GIT_CONFIG_VALUE_0: "evil",
      GIT_TRACE: "1",
      GIT_ASKPASS: "/my/askpass",
    });
    const repository = openSystemGit({ gitDir: cache, git: program, env });
    expect(await repository.head(MAIN)).toBeNull();
    const gone = { url: parseGitUrl(join(root, "gone.git"), { allowFile: true }), ref: MAIN, keepAs: MAIN, blobs: true, limits: LIMITS };
    await expect(repository.fetch(gone)).rejects.toMatchObject({ code: "UNREACHABLE" });
    await repository.close();
    const lines = calls();
    expect(lines.join("\n")).not.toMatch(/hunter2|nowhere|GIT_ALLOW_PROTOCOL|GIT_CONFIG_COUNT|GIT_CONFIG_KEY|GIT_INDEX_FILE|GIT_TRACE=/u);
    for (const line of [
      "GIT_TERMINAL_PROMPT=0",
      "GIT_NO_LAZY_FETCH=1",
      "LC_ALL=C",
      "GIT_OPTIONAL_LOCKS=0",
      "GIT_ASKPASS=/my/askpass",
      "GIT_SSH_COMMAND=ssh -oBatchMode=yes",
    ])
      expect(lines).toContain(line);
  });

  test("the user's own ssh stays, by environment and by configuration", async () => {
    const { root, cache } = await bench();
    const config = join(root, "config");
    writeFileSync(config, "[core]\n\tsshCommand = my-ssh\n");
    for (const extra of [{ GIT_SSH_COMMAND: "own" }, { GIT_SSH: "/own" }, { GIT_CONFIG_GLOBAL: config }]) {
      const { program, calls } = recordingGit(mkdtempSync(join(root, "x")));
      const repository = openSystemGit({ gitDir: cache, git: program, env: testGitEnv(extra) });
      await repository.head(MAIN);
      await repository.close();
      expect(calls().join("\n")).not.toContain("BatchMode");
    }
  });

  test("an idle repository does not keep a program alive", async () => {
    const { root, cache, fetch } = await bench();
    commitHosted(join(root, "alice.git"), { a: "1" });
    const commit = await fetch();
    const script = `
      import { openSystemGit } from ${JSON.stringify(new URL("../../src/git/system/repository.ts", import.meta.url).href)};
      const repository = openSystemGit({ gitDir: ${JSON.stringify(cache)} });
      const [found] = await repository.readFiles({ commit: ${JSON.stringify(commit)}, files: [{ path: "a", maxBytes: 9 }], url: null, limits: {} });
      console.log(Buffer.from(found.bytes).toString());`;
    const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
      env: testGitEnv(),
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const [status] = (await once(child, "exit")) as [number];
    expect([status, output]).toEqual([0, "1\n"]);
  });

  test("hooks and configuration of a remote on this disk run nothing of ours to read", async () => {
    const { root, bare, cache, repository } = await bench();
    const commit = commitHosted(bare, {
      a: "1",
      ".gitattributes": "* filter=evil diff=evil\n",
      ".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch ran"\n',
    });
    const marker = join(root, "ran");
    const evil = `touch '${marker}'`;
    for (const [key, value] of [
      ["uploadpack.packObjectsHook", evil],
      ["core.fsmonitor", evil],
      ["filter.evil.smudge", evil],
      ["core.sshCommand", evil],
    ])
      testGit(bare, ["config", key ?? "", value ?? ""]);
    mkdirSync(join(cache, "hooks"), { recursive: true });
    for (const hook of ["post-checkout", "reference-transaction", "pre-push", "post-index-change", "proc-receive", "fsmonitor-watchman"])
      writeFileSync(join(cache, "hooks", hook), `#!/bin/sh\n${evil}\n`, { mode: 0o755 });
    const url = parseGitUrl(bare, { allowFile: true });
    expect(await repository.fetch({ url, ref: MAIN, keepAs: KEPT, blobs: true, limits: LIMITS })).toBe(commit);
    expect(await read(repository, commit as ObjectId, "a")).toBe("1");
    const next = await repository.commit({
      base: commit as ObjectId,
      keepAs: parseRefName("refs/imprint/work"),
      changes: [{ path: "b", content: Buffer.from("2") }],
      message: "",
      author: { name: "a", email: "b" },
      timeMs: 0,
    });
    await repository.push({ url, limits: LIMITS, updates: [{ ref: MAIN, expected: commit as ObjectId, to: next }] });
    expect(testGit(bare, ["rev-parse", "main"])).toBe(next);
    expect(existsSync(marker)).toBe(false);
  });

  test("G8 a header for every host goes to none, one for a host to that host", async () => {
    const root = mkdtempSync(join(tmpdir(), "imprint-config-"));
    onTestFinished(() => rmSync(root, { recursive: true, force: true }));
    const config = join(root, "config");
    const { bare, fetch, host } = await bench({ env: testGitEnv({ GIT_CONFIG_GLOBAL: config }) });
    commitHosted(bare, { a: "1" });
    writeFileSync(
      config,
      `[http]\n\textraHeader = Authorization: Bearer all\n[http "http://127.0.0.2:${String(host.port)}/"]\n\textraHeader = Authorization: Bearer other\n`,
    );
    await fetch();
    expect(host.requests.map((request) => request.headers.authorization)).toEqual(host.requests.map(() => undefined));
    writeFileSync(config, `[http]\n\textraHeader = X-All: 1\n[http "http://127.0.0.1:${String(host.port)}/"]\n\textraHeader = X-Own: 1\n`);
    await fetch();
    expect(host.requests.at(-1)?.headers).toMatchObject({ "x-own": "1" });
  });
});

describe("hostile transfers", () => {
  test("G6 a small pack that inflates without end: a blob is streamed past, anything else is TOO_LARGE", async () => {
    const { bare, fetch, repository } = await bench();
    const before = process.memoryUsage().rss;
    const bomb = commitHosted(bare, { bomb: Buffer.alloc(64 << 20), a: "1" }) as ObjectId;
    expect(await fetch({ maxBytes: 1 << 20 })).toBe(bomb);
    const reads = await repository.readFiles({
      commit: bomb,
      files: [
        { path: "bomb", maxBytes: 1 << 20 },
        { path: "a", maxBytes: 1 },
      ],
      url: null,
      limits: LIMITS,
    });
    expect(reads.map((one) => one.state)).toEqual(["tooLarge", "found"]);
    testGit(bare, ["fast-import", "--quiet", "--force"], {
      input: `commit refs/heads/main\ncommitter T <t@e> 0 +0000\ndata ${String(136 << 20)}\n${"a".repeat(136 << 20)}\n`,
    });
    await expect(fetch({ maxBytes: 1 << 20, maxObjects: 1000 })).rejects.toMatchObject({ code: "TOO_LARGE" });
    expect(await repository.head(KEPT)).toBe(bomb);
    expect(process.memoryUsage().rss - before).toBeLessThan(1 << 30); // the test itself makes the bombs in memory
  });

  test("a host that forbids our filter is fetched from without", async () => {
    const { bare, fetch, repository } = await bench();
    testGit(bare, ["config", "uploadpackfilter.allow", "false"]);
    const commit = commitHosted(bare, { a: "1" }) as ObjectId;
    expect(await fetch()).toBe(commit);
    const next = commitHosted(bare, { a: "2" }, { parent: commit }) as ObjectId;
    expect(await fetch({}, false)).toBe(next);
    expect(await read(repository, next, "a")).toBe("2");
  });

  test("a tree or file that one host withheld is had from another, and nothing is lost for good", async () => {
    const { bare, root, fetch, repository, url } = await bench();
    const commit = commitHosted(bare, { "dir/a": "1", b: "2" }) as ObjectId;
    const tree = testGit(bare, ["rev-parse", `${commit}:dir`]);
    await fetch({}, false);
    // as if the host had left the tree out: a cache that lacks it
    const holed = join(root, "holed.git");
    await createBareRepository(holed);
    const ids = [commit, testGit(bare, ["rev-parse", `${commit}^{tree}`])];
    const pack = testGit(bare, ["pack-objects", "-q", join(holed, "objects", "pack", "pack")], {
      input: ids.map((id) => `${id}\n`).join(""),
    });
    expect(pack).toMatch(/^[0-9a-f]{40}$/u);
    writeFileSync(join(holed, "shallow"), `${commit}\n`);
    testGit(holed, ["update-ref", KEPT, commit]);
    const other = openSystemGit({ gitDir: holed, env: testGitEnv() });
    expect(await read(other, commit, "dir/a")).toBe("unavailable");
    expect(await read(other, commit, "dir/a", url)).toBe("1");
    expect(testGit(holed, ["cat-file", "-t", tree])).toBe("tree");
    await other.close();
    expect(await read(repository, commit, "b", url)).toBe("2");
  });

  test("a ref that is no commit is INVALID_DOCUMENT, a tag is its commit", async () => {
    const { bare, fetch } = await bench();
    const commit = commitHosted(bare, { a: "1" }, { ref: "refs/heads/other" });
    writeFileSync(join(bare, "refs", "heads", "main"), `${testGit(bare, ["rev-parse", `${commit}:a`])}\n`);
    await expect(fetch()).rejects.toMatchObject({ code: "INVALID_DOCUMENT" });
    testGit(bare, ["tag", "-a", "-m", "x", "v1", commit]);
    writeFileSync(join(bare, "refs", "heads", "main"), `${testGit(bare, ["rev-parse", "v1"])}\n`);
    expect(await fetch()).toBe(commit);
  });

  test("sha256 repositories", async () => {
    const { root, fetch, repository } = await bench({ objectFormat: "sha256" });
    const bare = join(root, "alice.git");
    rmSync(bare, { recursive: true });
    mkdirSync(bare);
    testGit(bare, ["init", "-q", "--bare", "--object-format=sha256", "--initial-branch=main", bare]);
    const first = commitHosted(bare, { "d/a": "1" }) as ObjectId;
    expect(first).toHaveLength(64);
    expect(await fetch()).toBe(first);
    const next = commitHosted(bare, { "d/a": "2" }, { parent: first }) as ObjectId;
    expect(await fetch()).toBe(next);
    expect(await read(repository, next, "d/a")).toBe("2");
  });
});

describe("crashes and time", () => {
  const leftovers = (cache: string): string[] =>
    existsSync(join(cache, "imprint-quarantine")) ? readdirSync(join(cache, "imprint-quarantine")) : [];

  test("C1 kill -9 in the middle of a fetch: the repository is as it was, the next fetch sweeps and works", async () => {
    let stall = false;
    const { bare, cache, host, fetch, repository } = await bench({
      host: {
        intercept: (request) => stall && request.method === "POST",
      },
    });
    const first = commitHosted(bare, { a: "1" }) as ObjectId;
    await fetch();
    commitHosted(bare, { a: "2", big: noise(1 << 20) }, { parent: first });
    testGit(cache, ["update-ref", "-d", KEPT]);
    stall = true;
    const script = `
      import { openSystemGit } from ${JSON.stringify(new URL("../../src/git/system/repository.ts", import.meta.url).href)};
      const repository = openSystemGit({ gitDir: ${JSON.stringify(cache)} });
      await repository.fetch({ url: ${JSON.stringify(host.url("alice.git"))}, ref: "refs/heads/main", keepAs: "refs/imprint/other", blobs: true, limits: { maxBytes: 1e9, maxObjects: 1e6, deadlineMs: 60000 } });`;
    const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], { env: testGitEnv(), stdio: "ignore" });
    for (let tries = 0; leftovers(cache).length === 0 && tries < 500; tries++) await delay(20);
    await delay(100);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(leftovers(cache)).toHaveLength(1);
    stall = false;
    expect(await read(repository, first, "a")).toBe("1");
    const head = await fetch();
    expect(await read(repository, head, "a")).toBe("2");
    expect(leftovers(cache)).toEqual([]);
  });

  test("a quarantine of another host goes after an hour, not before", async () => {
    const { bare, cache, fetch } = await bench();
    commitHosted(bare, { a: "1" });
    const dir = join(cache, "imprint-quarantine", "00000000-1-aa");
    mkdirSync(dir, { recursive: true });
    await fetch();
    expect(existsSync(dir)).toBe(true);
    const old = Date.now() / 1000 - 4000;
    utimesSync(dir, old, old);
    await fetch();
    expect(existsSync(dir)).toBe(false);
  });

  test("lock files of a killed git are got past once they are old", async () => {
    const { bare, cache, fetch } = await bench();
    const first = commitHosted(bare, { a: "1" });
    mkdirSync(join(cache, "refs", "imprint"), { recursive: true });
    const old = Date.now() / 1000 - 120;
    for (const name of ["refs/imprint/kept.lock", "shallow.lock"]) {
      writeFileSync(join(cache, name), "");
      utimesSync(join(cache, name), old, old);
    }
    expect(await fetch()).toBe(first);
    writeFileSync(join(cache, "refs/imprint/kept.lock"), "");
    commitHosted(bare, { a: "2" }, { parent: first });
    await expect(fetch()).rejects.toMatchObject({ code: "STORAGE_FAILED" });
  });

  test("packs don't pile up, and nothing is lost when they are joined", async () => {
    const { bare, cache, fetch, repository, url } = await bench();
    const commits: ObjectId[] = [];
    for (let round = 0; round < 6; round++) {
      commits.push(
        commitHosted(
          bare,
          { "x/y/d/a": String(round), "x/y/d/fixed": "x", late: `late ${String(round)}` },
          { parent: commits.at(-1) ?? null },
        ) as ObjectId,
      );
      await fetch({}, round % 2 === 0);
      await read(repository, commits.at(-1) as ObjectId, "x/y/d/a", url);
    }
    const packs = (): string[] => readdirSync(join(cache, "objects", "pack")).filter((name) => name.endsWith(".pack"));
    expect(packs().length).toBeGreaterThan(5);
    const git = createGit({ program: "git", env: testGitEnv(), gitDir: cache });
    const objects = openObjects(git, cache);
    await compact({ git, gitDir: cache, objects, history: false }, 4);
    expect(packs()).toHaveLength(1);
    for (const [round, commit] of commits.entries()) {
      expect(await read(repository, commit, "x/y/d/a")).toBe(String(round));
      expect(await read(repository, commit, "late", url)).toBe(`late ${String(round)}`);
    }
    commits.push(commitHosted(bare, { "x/y/d/a": "new" }, { parent: commits.at(-1) ?? null }) as ObjectId);
    expect(await fetch({}, false)).toBe(commits.at(-1));
    expect(await read(repository, commits.at(-1) as ObjectId, "x/y/d/a", url)).toBe("new");
  });

  test("hundreds of syncs: the shallow file stays short, the newest is readable", async () => {
    const { cache, fetch, bare } = await bench();
    const ids = Array.from({ length: 300 }, (_, at) => at.toString(16).padStart(40, "a"));
    writeFileSync(join(cache, "shallow"), ids.map((id) => `${id}\n`).join(""));
    const head = commitHosted(bare, { a: "1" }, { parent: commitHosted(bare, { a: "0" }) });
    expect(await fetch()).toBe(head);
    const lines = readFileSync(join(cache, "shallow"), "utf8").trim().split("\n");
    expect(lines).toHaveLength(256);
    expect(lines.at(-1)).toBe(head);
  });
});
