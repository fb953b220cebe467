/** `imprint root revoke` on a terminal: each thing that the stolen key did is asked about, and nothing is signed before the last answer. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { revoke } from "../../src/cli/commands/root-revoke.ts";
import type { Deps } from "../../src/cli/deps.ts";
import { ImprintError } from "../../src/errors.ts";
import { layoutFrom } from "../../src/storage/layout.ts";
import { testGit } from "../support/git-host.ts";
import { makePackage } from "../support/tarball.ts";
import { type World, world } from "../support/world.ts";
import { environmentIn, imprintIn } from "./in-process.ts";

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

it("K1 asks about each release and change, and does as it is told", async () => {
  const home = path.join(w.folder, "sam");
  mkdirSync(home);
  const run = async (...argv: readonly string[]): Promise<string> => {
    const ran = await imprintIn({ home, cwd: home }, ...argv);
    expect([argv, ran.exit, ran.stderr]).toEqual([argv, 0, expect.anything()]);
    return ran.stdout;
  };
  const release = async (name: string, version: string): Promise<void> => {
    const file = path.join(home, `${name.replace("/", "-")}-${version}.tgz`);
    writeFileSync(file, await makePackage({ name, version }));
    await run("publish", file, "--index", "sam", "--no-push");
  };
  await run("init", "index", "--name", "sam", "--packages", "@sam/*");
  const clone = path.join(home, "index", ".git");
  await release("@sam/a", "1.0.0");
  const since = testGit(clone, ["rev-parse", "main"]);
  await release("@sam/a", "1.1.0");
  await release("@sam/a", "6.6.6");
  await run("deprecate", "@sam/a@1.0.0", "never", "--no-push");

  const env = environmentIn(home);
  const base = w.deps({ home, cwd: home, env });
  const asked: string[] = [];
  const answering = (answer: (question: string) => boolean): Deps => ({
    ...base,
    env,
    nowMs: Date.now,
    layout: layoutFrom(env, { config: home, cache: home, data: home }),
    terminal: {
      ...base.terminal,
      interactive: true,
      askYes: async (question) => {
        asked.push(question);
        return answer(question);
      },
    },
  });
  const options = { keys: ["daily"], since, keep: [], withdraw: [], list: false, index: "sam" };

  // Given up at the second question: nothing was signed.
  const before = testGit(clone, ["rev-parse", "main"]);
  const givenUp = answering(() => {
    if (asked.length > 1) throw new ImprintError("NEEDS_ANSWER", "Cannot go on: no answer was given");
    return true;
  });
  await expect(revoke(options, givenUp)).rejects.toMatchObject({ code: "NEEDS_ANSWER" });
  expect(testGit(clone, ["rev-parse", "main"])).toBe(before);

  asked.splice(0);
  const result = await revoke(
    options,
    answering((question) => question.startsWith("@sam/a@1.1.0")),
  );
  expect(asked.map((question) => question.replace(/:.*/, ""))).toEqual(["@sam/a@1.1.0", "@sam/a@6.6.6", "@sam/a"]);
  expect(asked.every((question) => question.endsWith("Was that you, and does it stay?"))).toBe(true);
  expect(result.suspects.map(({ spec, stays }) => [spec, stays])).toEqual([
    ["@sam/a@1.1.0", true],
    ["@sam/a@6.6.6", false],
    ["@sam/a", false],
  ]);
  expect(await run("verify", path.join(home, "index"))).toMatch(/2 roots, 1 packages, 2 releases/);
  const record = testGit(clone, ["ls-tree", "-r", "--name-only", "main"])
    .split("\n")
    .find((file) => file.endsWith("record.json"));
  expect(JSON.parse(testGit(clone, ["show", `main:${record ?? ""}`]))).toMatchObject({
    signed: { deprecated: {}, tags: { latest: "1.1.0" }, withdrawn: { "6.6.6": "signed by a stolen key" } },
  });
});
