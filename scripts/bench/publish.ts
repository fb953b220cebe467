/** Publishing into a large index: what it costs beside the push itself, which is git's and the host's. */
import { randomBytes } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { sealKeyFile } from "../../src/crypto/key-file.ts";
import type { DisplayName } from "../../src/format/decode.ts";
import { startGitHost, testGitAsync } from "../../test/support/git-host.ts";
import { makePackage } from "../../test/support/tarball.ts";
import { generateIndex } from "./generate.ts";
import { alternate, budget, line, median, timeCommand } from "./measure.ts";
import { BIN } from "./run.ts";

const SIZE = { packages: 20_000, releasesEach: 5 };
const ROUNDS = 5;

export async function benchPublish(): Promise<void> {
  console.log(`publish: into an index of ${SIZE.packages} packages and ${SIZE.packages * SIZE.releasesEach} releases`);
  const world = mkdtempSync(path.join(tmpdir(), "imprint-bench-publish-"));
  const hosted = path.join(world, "host");
  mkdirSync(hosted);
  const host = await startGitHost({ root: hosted });
  try {
    const { id, keys } = await generateIndex(hosted, "bench.git", SIZE);
    const url = host.url("bench.git");
    const home = path.join(world, "home");
    const folder = path.join(home, "config", "keys");
    mkdirSync(folder, { recursive: true });
    const daily = { kind: "daily", name: "bench" as DisplayName, index: id } as const;
    const stored = (["publisher", "checkpoint"] as const).map((purpose) => ({ purpose, key: keys[purpose] }));
    const sealed = await sealKeyFile({ ...daily, keys: stored }, "", (count) => new Uint8Array(randomBytes(count)));
    writeFileSync(path.join(folder, "bench.daily.json"), sealed, { mode: 0o600 });

    // The keeper's releases stay unpushed, and nobody pushes to its host: all but the push and the reading back.
    cpSync(path.join(hosted, "bench.git"), path.join(hosted, "quiet.git"), { recursive: true });
    const [author, keeper, other] = [path.join(world, "author"), path.join(world, "keeper"), path.join(world, "other")];
    const cloneOf = (from: string, to: string): Promise<string> => testGitAsync(path.join(to, ".git"), ["clone", "--quiet", from, to]);
    await Promise.all([cloneOf(url, author), cloneOf(url, other), cloneOf(host.url("quiet.git"), keeper)]);
    // Another machine of the same author: the first would take the quiet host for one that was rolled back.
    const otherHome = path.join(world, "other-home");
    cpSync(home, otherHome, { recursive: true });
    const imprintAt = (at: string, ...args: readonly string[]): Promise<number> =>
      timeCommand(process.execPath, [BIN, ...args], { env: { ...process.env, IMPRINT_HOME: at, IMPRINT_PASSPHRASE: "" }, cwd: world });
    let serial = 0;
    const tarball = async (): Promise<string> => {
      const file = path.join(world, `new-${String(++serial)}.tgz`);
      writeFileSync(file, await makePackage({ name: `@bench/new-${String(serial)}`, version: "1.0.0" }));
      return file;
    };
    const samples = await alternate(ROUNDS, {
      "imprint publish, read back": async () => imprintAt(home, "publish", await tarball(), "--index", author),
      "imprint publish --no-push": async () => imprintAt(otherHome, "publish", await tarball(), "--index", keeper, "--no-push"),
      "git push of such a commit and tarball": () => pushAlone(other, url, ++serial),
      "imprint key list (start-up alone)": () => imprintAt(home, "key", "list"),
    });
    for (const [label, values] of samples) line(label, values);
    budget("imprint publish --no-push", median(samples.get("imprint publish --no-push") ?? []), 500, "ms");
  } finally {
    await host.close();
    rmSync(world, { recursive: true, force: true });
  }
}

/** What any publisher's push costs here: four files on top of the newest commit, and a tarball, made before the clock starts. */
async function pushAlone(clone: string, url: string, serial: number): Promise<number> {
  const git = (...args: readonly string[]): Promise<string> => testGitAsync(path.join(clone, ".git"), args, { GIT_WORK_TREE: clone });
  await git("fetch", "--quiet", url, "refs/heads/main");
  await git("reset", "--quiet", "--soft", "FETCH_HEAD");
  const tree = await git("rev-parse", "FETCH_HEAD^{tree}");
  const commit = await git("commit-tree", tree, "-p", "FETCH_HEAD", "-m", String(serial));
  const tarball = await git("commit-tree", tree, "-m", String(serial));
  const refs = [`${commit}:refs/heads/main`, `${tarball}:refs/tarballs/${String(serial).padStart(64, "0")}`];
  return timeCommand("git", [`--git-dir=${path.join(clone, ".git")}`, "push", "--quiet", "--atomic", url, ...refs]);
}
