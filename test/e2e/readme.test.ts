/** The first words of README, as somebody types them who has nothing but a clone. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { testGitEnv } from "../support/git-host.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

it("what README says first installs the command, from a clone in which nothing was built", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "imprint-readme-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const clone = path.join(folder, "clone");
  const { stdout: files } = spawnSync("git", ["ls-files", "-z"], { cwd: ROOT, encoding: "utf8" });
  for (const file of files.split("\0").filter((name) => /^(src|package|tsconfig|README|LICENSE|index-schema|scripts)/u.test(name))) {
    mkdirSync(path.dirname(path.join(clone, file)), { recursive: true });
    cpSync(path.join(ROOT, file), path.join(clone, file));
  }
  const first = /^(npm ci && .*?) +#/mu.exec(readFileSync(path.join(clone, "README.md"), "utf8"))?.[1] ?? "no such line";
  // What `npm ci` would bring is here already; what it would run as scripts of ours is not.
  symlinkSync(path.join(ROOT, "node_modules"), path.join(clone, "node_modules"));
  const script = first.replace(/^npm ci /u, "npm run --if-present prepare ");
  const env = { ...testGitEnv(), HOME: folder, npm_config_prefix: path.join(folder, "prefix"), npm_config_install_links: "false" };
  const ran = spawnSync("sh", ["-ec", `${script}\ncd "$HOME"\n"$HOME/prefix/bin/imprint" --version`], {
    cwd: clone,
    env,
    encoding: "utf8",
  });
  const { version } = JSON.parse(readFileSync(path.join(clone, "package.json"), "utf8")) as { version: string };
  expect([ran.status, ran.stdout.trim().split("\n").at(-1)], ran.stderr).toEqual([0, version]);
});
