/** `init --ci github`: the shell steps of the workflows that it writes, run as GitHub would. */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { createHostedRepository, testGit } from "../support/git-host.ts";
import { BIN, type Outcome, type People, people, type Person } from "../support/people.ts";

let world: People;
beforeAll(async () => {
  world = await people();
});
afterAll(() => world.close());

type Step = {
  readonly name?: string;
  readonly if?: string;
  readonly uses?: string;
  readonly with?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly run?: string;
};
type Job = { readonly if?: string; readonly env?: Readonly<Record<string, string>>; readonly steps: readonly Step[] };
type Workflow = { readonly on: unknown; readonly permissions: unknown; readonly jobs: Readonly<Record<string, Job>> };

/** The steps of a workflow's only job with a shell, in an own HOME; expressions are looked up, an unknown one fails the test. */
async function runJob(workflow: Workflow, checkout: string, expressions: Readonly<Record<string, string>>): Promise<readonly Outcome[]> {
  const runner = world.person(`runner-${path.basename(checkout)}`);
  const temp = path.join(runner.home, "temp");
  mkdirSync(temp, { recursive: true });
  const look = (text: string): string =>
    text.replaceAll(/\$\{\{ (.+?) \}\}/g, (_, expression: string) => {
      expect(Object.keys(expressions)).toContain(expression);
      return expressions[expression] ?? "";
    });
  const envOf = (env: Readonly<Record<string, string>> = {}): Record<string, string> =>
    Object.fromEntries(Object.entries(env).map(([name, value]) => [name, look(value)]));
  const [job] = Object.values(workflow.jobs) as [Job];
  const outcomes: Outcome[] = [];
  for (const step of job.steps) {
    if (step.run === undefined || (step.if !== undefined && look(`\${{ ${step.if} }}`) !== "true")) continue;
    expect(step.run).not.toContain("${{"); // an expression in a script is code that a stranger may write
    const env = {
      ...envOf(job.env),
      ...envOf(step.env),
      RUNNER_TEMP: temp,
      npm_config_prefix: path.join(runner.home, "prefix"),
      PATH: `${path.join(runner.home, "prefix", "bin")}:${process.env["PATH"] ?? ""}`,
    };
    const outcome = await world.sh(runner, checkout, "bash", ["-e", "-c", step.run], { IMPRINT_PASSPHRASE_FILE: undefined, ...env });
    outcomes.push(outcome);
    if (outcome.code !== 0) break;
  }
  return outcomes;
}

const workflowOf = (folder: string, name: string): Workflow =>
  parse(readFileSync(path.join(folder, ".github/workflows", `imprint-${name}.yml`), "utf8")) as Workflow;

describe("init --ci github", () => {
  let owner: Person;
  let hosted: string;
  let id: string;
  let clone: string;
  let url: string;
  let secrets: Record<string, string>;
  beforeAll(async () => {
    owner = world.person("gita");
    const root = path.join(world.folder, "host");
    hosted = createHostedRepository(root, "gita/index.git");
    createHostedRepository(root, "fork/index.git");
    url = world.host.url("gita/index.git");
    const words = ["init", "gita-index", "--name", "gita", "--packages", "@gita/*", "--remote", url, "--url", url, "--ci", "github"];
    const builtAt = statSync(BIN).mtimeMs;
    const made = await world.imprint(owner, world.folder, ...words);
    // It packs what is there: npm 10 runs some of its scripts whatever it is told, and would build anew under whoever runs it.
    expect(statSync(BIN).mtimeMs).toBe(builtAt);
    expect(made.stderr).toMatch(/IMPRINT_KEY +imprint key export gita --only checkpoint/);
    id = made.stdout.trim();
    clone = path.join(world.folder, "gita-index");
    const key = await world.imprint(owner, world.folder, "key", "export", "gita", "--only", "checkpoint");
    secrets = { "secrets.IMPRINT_KEY": key.stdout.trim(), "secrets.IMPRINT_PASSPHRASE": "gita's passphrase" };
  });

  it("writes workflows with the least rights, the tool and the id in them", async () => {
    expect(testGit(hosted, ["ls-tree", "-r", "--name-only", "refs/heads/main"]).split("\n")).toEqual(
      expect.arrayContaining([".github/workflows/imprint-verify.yml", ".github/workflows/imprint-seal.yml", "tools/imprint.tgz"]),
    );
    const [verify, seal] = [workflowOf(clone, "verify"), workflowOf(clone, "seal")];
    expect([verify.permissions, seal.permissions]).toEqual([{ contents: "read" }, { contents: "write" }]);
    expect(JSON.stringify(verify)).not.toMatch(/secrets\./);
    expect(JSON.stringify(verify)).toContain(id);
    // Again, into the index that is there: nothing changes; over somebody's edit: refused.
    const again = await world.imprint(owner, clone, "init", "--ci", "github");
    expect([again.code, again.stdout]).toEqual([0, `${id}\n`]);
    expect((await world.sh(owner, clone, "git", ["status", "--porcelain", ".github"])).stdout).toBe("");
    await world.sh(owner, clone, "git", ["checkout", "-q", "--", "tools"]);
  });

  it("a pull request passes verify, and merged it is sealed; a schedule signs anew", { timeout: 400_000 }, async () => {
    // A colleague with a fork and a publisher key.
    const colleague = world.person("gitas-colleague");
    const fork = path.join(world.folder, "gita-fork");
    const forkUrl = world.host.url("fork/index.git");
    const keyFile = path.join(world.folder, "gita-publisher.json");
    await world.imprint(owner, world.folder, "key", "export", "gita", "--only", "publisher", "--out", keyFile);
    await world.imprint(colleague, world.folder, "key", "import", keyFile);
    await world.sh(colleague, world.folder, "git", ["clone", "-q", "-o", "upstream", url, fork]);
    await world.sh(colleague, fork, "git", ["remote", "add", "origin", forkUrl]);
    await world.sh(colleague, fork, "git", ["push", "-q", "-u", "origin", "main"]);
    const folder = world.folderOf("gita-tool", { "package.json": { name: "@gita/tool", version: "1.0.0", main: "i.js" }, "i.js": "" });
    const proposed = await world.sh(
      colleague,
      folder,
      process.execPath,
      [BIN, "publish", "--propose", "--branch", "tool", "--index", fork],
      { IMPRINT_PASSPHRASE: "gita's passphrase" },
    );
    expect(proposed.stderr).toMatch(/open a pull request from tool/);

    // GitHub's merge of it, checked out with two commits of history.
    testGit(hosted, ["fetch", "-q", world.hosted("fork/index.git"), "tool"]);
    const theirs = testGit(hosted, ["rev-parse", "FETCH_HEAD"]);
    const tree = testGit(hosted, ["merge-tree", "--write-tree", "refs/heads/main", theirs]);
    const merge = testGit(hosted, ["commit-tree", tree, "-p", "refs/heads/main", "-p", theirs, "-m", "Merge"]);
    testGit(hosted, ["update-ref", "refs/pull/1/merge", merge]);
    const checkout = path.join(world.folder, "pull-checkout");
    await world.sh(owner, world.folder, "git", ["init", "-q", checkout]);
    await world.sh(owner, checkout, "git", ["remote", "add", "origin", url]);
    await world.sh(owner, checkout, "git", ["fetch", "-q", "--depth=2", "origin", "refs/pull/1/merge"]);
    await world.sh(owner, checkout, "git", ["checkout", "-q", "FETCH_HEAD"]);
    const pull = {
      "github.event_name == 'pull_request' && 'HEAD^1' || 'HEAD'": "HEAD^1",
      "github.event_name == 'pull_request'": "true",
      "github.event.pull_request.head.repo.clone_url": forkUrl,
    };
    const verified = await runJob(workflowOf(checkout, "verify"), checkout, pull);
    expect(verified.map(({ code, stderr }) => [code, code === 0 ? "" : stderr])).toEqual([
      [0, ""],
      [0, ""],
      [0, ""],
    ]);
    expect(verified[1]?.stdout).toBe("✓ @gita/tool@1.0.0 may be sealed\n");
    // The tool that was packed packs itself in turn, where nothing is there to build it with.
    const installed = path.join(world.person("runner-pull-checkout").home, "prefix/bin/imprint");
    const words = ["init", "other-index", "--name", "other", "--packages", "@other/*", "--ci", "github"];
    expect(await world.sh(world.person("other"), world.folder, installed, words)).toMatchObject({ code: 0 });

    testGit(hosted, ["update-ref", "refs/heads/main", merge]);
    const main = path.join(world.folder, "main-checkout");
    await world.sh(owner, world.folder, "git", ["clone", "-q", url, main]);
    const sealed = await runJob(workflowOf(main, "seal"), main, { ...secrets, "github.event.pull_request.head.repo.clone_url": forkUrl });
    expect(sealed.at(-1)).toMatchObject({ code: 0, stdout: "@gita/tool@1.0.0\n" });
    expect((await world.imprint(owner, world.folder, "verify", `${url}#${id}`, "--tarballs")).stdout).toMatch(/1 releases.*all good/);

    const later = path.join(world.folder, "scheduled-checkout");
    await world.sh(owner, world.folder, "git", ["clone", "-q", url, later]);
    const renewed = await runJob(workflowOf(later, "seal"), later, { ...secrets, "github.event.pull_request.head.repo.clone_url": "" });
    expect(renewed.at(-1)?.stderr).toMatch(/signed anew, nothing to seal/);
  });
});
