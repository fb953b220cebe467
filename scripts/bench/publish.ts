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

type Author = { readonly clone: string; imprint(...args: readonly string[]): Promise<number> };

const envOf = (home: string): NodeJS.ProcessEnv => ({ ...process.env, IMPRINT_HOME: home, IMPRINT_PASSPHRASE: "" });

export async function benchPublish(): Promise<void> {
  console.log(`publish: into an index of ${SIZE.packages} packages and ${SIZE.packages * SIZE.releasesEach} releases`);
  const world = mkdtempSync(path.join(tmpdir(), "imprint-bench-publish-"));
  const hosted = path.join(world, "host");
  mkdirSync(hosted);
  const host = await startGitHost({ root: hosted });
  try {
    const { id, keys } = await generateIndex(hosted, "bench.git", SIZE);
    const url = host.url("bench.git");
    const daily = { kind: "daily", name: "bench" as DisplayName, index: id } as const;
    const stored = (["publisher", "checkpoint"] as const).map((purpose) => ({ purpose, key: keys[purpose] }));
    const sealed = await sealKeyFile({ ...daily, keys: stored }, "", (count) => new Uint8Array(randomBytes(count)));
    /** An author with the keys, and a clone of that repository. */
    const author = async (name: string, from: string, ...flags: readonly string[]): Promise<Author> => {
      const [home, clone] = [path.join(world, `home-${name}`), path.join(world, name)];
      mkdirSync(path.join(home, "config", "keys"), { recursive: true });
      writeFileSync(path.join(home, "config", "keys", "bench.daily.json"), sealed, { mode: 0o600 });
      const known = { format: 1, indices: [{ id, name: "bench", path: clone }] };
      writeFileSync(path.join(home, "config", "indices.json"), `${JSON.stringify(known, null, 2)}\n`);
      await testGitAsync(clone, ["clone", "--quiet", ...flags, from, clone]);
      return { clone, imprint: (...args) => timeCommand(process.execPath, [BIN, ...args], { env: envOf(home), cwd: world }) };
    };
    // Releases that stay unpushed, on hosts that nobody else pushes to: all but the push and the reading back.
    for (const quiet of ["quiet-bare.git", "quiet-tree.git"])
      cpSync(path.join(hosted, "bench.git"), path.join(hosted, quiet), { recursive: true });
    const pushing = await author("author", url, "--bare");
    const bare = await author("bare", host.url("quiet-bare.git"), "--bare");
    const tree = await author("tree", host.url("quiet-tree.git"));
    const other = await author("other", url, "--bare");

    let serial = 0;
    const tarball = async (): Promise<string> => {
      const file = path.join(world, `new-${String(++serial)}.tgz`);
      writeFileSync(file, await makePackage({ name: `@bench/new-${String(serial)}`, version: "1.0.0" }));
      return file;
    };
    const samples = await alternate(ROUNDS, {
      "imprint publish --no-push, bare clone": async () => bare.imprint("publish", await tarball(), "--no-push"),
      "imprint publish --no-push, with a work tree": async () => tree.imprint("publish", await tarball(), "--no-push"),
      "imprint publish, read back as a stranger": async () => pushing.imprint("publish", await tarball()),
      "git push of such a commit and tarball": () => pushAlone(other.clone, url, ++serial),
      "imprint key list (start-up alone)": () => pushing.imprint("key", "list"),
    });
    for (const [label, values] of samples) line(label, values);
    const start = median(samples.get("imprint key list (start-up alone)") ?? []);
    const whole = median(samples.get("imprint publish --no-push, bare clone") ?? []);
    console.log(`  of which ${start.toFixed(0)} ms are the command's start, ${(whole - start).toFixed(0)} ms its work`);
    budget("imprint publish without the push", whole, 500, "ms");
  } finally {
    await host.close();
    rmSync(world, { recursive: true, force: true });
  }
}

/** What any publisher's push costs here: four files on top of the newest commit, and a tarball, made before the clock starts. */
async function pushAlone(clone: string, url: string, serial: number): Promise<number> {
  const git = (...args: readonly string[]): Promise<string> => testGitAsync(clone, args);
  await git("fetch", "--quiet", url, "refs/heads/main");
  const tree = await git("rev-parse", "FETCH_HEAD^{tree}");
  const commit = await git("commit-tree", tree, "-p", "FETCH_HEAD", "-m", String(serial));
  const tarball = await git("commit-tree", tree, "-m", String(serial));
  const refs = [`${commit}:refs/heads/main`, `${tarball}:refs/tarballs/${String(serial).padStart(64, "0")}`];
  return timeCommand("git", [`--git-dir=${clone}`, "push", "--quiet", "--atomic", url, ...refs]);
}
