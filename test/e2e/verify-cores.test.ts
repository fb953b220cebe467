/** `imprint verify` on several cores: the same verdict as on one, wherever the files come from. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generateIndex } from "../../scripts/bench/generate.ts";
import { LIMITS } from "../../src/format/limits.ts";
import { parsePackageName } from "../../src/format/names.ts";
import { recordPath, releasePath } from "../../src/format/paths.ts";
import { parseVersion } from "../../src/format/versions.ts";
import { testGit } from "../support/git-host.ts";
import { BIN, type People, people, type Person } from "../support/people.ts";
import { startStaticHost } from "../support/static-host.ts";
import { environmentThrough } from "../support/world.ts";

const PACKAGES = 60;
const release = (i: number): string => releasePath(parsePackageName(`@bench/package-${i}`), parseVersion("1.1.0"));
const record = (i: number): string => recordPath(parsePackageName(`@bench/package-${i}`));

let world: People;
let carol: Person;
let id: string;
let gitDir: string;
beforeAll(async () => {
  world = await people();
  carol = world.person("carol");
  const made = await generateIndex(path.dirname(world.hosted("bench.git")), "bench.git", { packages: PACKAGES, releasesEach: 2 });
  ({ id, gitDir } = made);
});
afterAll(() => world.close());

type Report = {
  readonly ok: boolean;
  readonly packages: number;
  readonly releases: number;
  readonly signatures: number;
  readonly faults: readonly { readonly file: string; readonly code: string }[];
};

/** Without how long it took. */
async function verify(target: string, jobs: number, env: NodeJS.ProcessEnv = {}): Promise<Report> {
  const args = ["verify", target, "--id", id, "--json", "--jobs", String(jobs)];
  const { stdout, stderr } = await world.sh(carol, world.folder, process.execPath, [BIN, ...args], env);
  expect(stdout, stderr).toMatch(/^\{/);
  const { seconds, ...report } = JSON.parse(stdout) as Report & { readonly seconds: number };
  expect(seconds).toBeGreaterThan(0);
  return report;
}

/** The tree of `commit` with other files (null: without), on a branch of its own. */
function commitWith(branch: string, changes: Readonly<Record<string, Uint8Array | string | null>>): void {
  const env = { GIT_INDEX_FILE: path.join(world.folder, `${branch}.index`) };
  testGit(gitDir, ["read-tree", "refs/heads/main"], { env });
  const lines = Object.entries(changes).map(([file, content]) =>
    content === null
      ? `0 ${"0".repeat(40)}\t${file}`
      : `100644 ${testGit(gitDir, ["hash-object", "-w", "--stdin"], { input: Buffer.from(content) })}\t${file}`,
  );
  testGit(gitDir, ["update-index", "--index-info"], { env, input: Buffer.from(`${lines.join("\n")}\n`) });
  const commit = testGit(gitDir, ["commit-tree", "-m", "changed", testGit(gitDir, ["write-tree"], { env })]);
  testGit(gitDir, ["update-ref", `refs/heads/${branch}`, commit]);
}

function checkOut(branch: string): string {
  const folder = path.join(world.folder, `tree-${branch}`);
  mkdirSync(folder, { recursive: true });
  testGit(gitDir, [`--work-tree=${folder}`, "checkout", "-q", "-f", branch, "--", "."], {
    env: { GIT_INDEX_FILE: path.join(world.folder, `${branch}.checkout`) },
  });
  return folder;
}

/** A place for each kind of source, all with the files of one branch. */
async function places(branch: string): Promise<{
  readonly list: readonly (readonly [place: string, target: string, env: NodeJS.ProcessEnv])[];
  close(): Promise<void>;
}> {
  const folder = checkOut(branch);
  const bare = path.join(world.folder, `bare-${branch}.git`);
  testGit(gitDir, ["clone", "-q", "--bare", "--branch", branch, gitDir, bare]);
  const hosted = `hosted-${branch}.git`;
  testGit(gitDir, ["clone", "-q", "--bare", "--single-branch", "--branch", branch, gitDir, world.hosted(hosted)]);
  testGit(world.hosted(hosted), ["branch", "-M", branch, "main"]);
  const statics = await startStaticHost({
    get: (file) => (existsSync(path.join(folder, file)) ? readFileSync(path.join(folder, file)) : undefined),
  });
  return {
    list: [
      ["a bare repository", bare, {}],
      ["a bare repository without git", bare, environmentThrough("isomorphic")],
      ["a folder", folder, {}],
      ["a git host", world.host.url(hosted), {}],
      ["a git host without git", world.host.url(hosted), environmentThrough("isomorphic")],
      ["static files", statics.url, environmentThrough("sparse")],
    ],
    close: () => statics.close(),
  };
}

describe("verify on one core and on three", () => {
  it("passes a good index", async () => {
    const { list, close } = await places("main");
    for (const [place, target, env] of list) {
      const one = await verify(target, 1, env);
      expect(one, place).toMatchObject({ ok: true, packages: PACKAGES, releases: 2 * PACKAGES, signatures: 3 * PACKAGES + 2, faults: [] });
      expect(await verify(target, 3, env), place).toEqual(one);
    }
    await close();
  });

  it("finds what is wrong in any part of it, in the order of files", async () => {
    const flipped = (file: string): Buffer => {
      const bytes = Buffer.from(`${testGit(gitDir, ["cat-file", "blob", `refs/heads/main:${file}`])}\n`);
      bytes[100] = (bytes[100] ?? 0) ^ 1;
      return bytes;
    };
    const unlisted = release(7).replace("1.1.0", "9.9.9");
    commitWith("bad", {
      [release(3)]: flipped(release(3)),
      [release(20)]: null,
      [release(59)]: "x".repeat(LIMITS.releaseBytes + 1),
      [record(11)]: flipped(record(11)),
      [record(30)]: null,
      [unlisted]: "{}\n",
    });
    const { list, close } = await places("bad");
    const codes = new Map([
      [release(3), "HASH_MISMATCH"],
      [release(20), "MISSING_FILE"],
      [release(59), "TOO_LARGE"],
      [record(11), "HASH_MISMATCH"],
      [record(30), "MISSING_FILE"],
    ]);
    for (const [place, target, env] of list) {
      const one = await verify(target, 1, env);
      const found = one.faults.filter(({ code }) => code !== "INVALID_DOCUMENT");
      expect(
        found.map(({ file, code }) => [file, code]),
        place,
      ).toEqual([...codes].toSorted(([a], [b]) => (a < b ? -1 : 1)));
      if (place !== "static files")
        expect(
          one.faults.map(({ file }) => file),
          place,
        ).toContain(unlisted);
      expect(await verify(target, 3, env), place).toEqual(one);
    }
    await close();
  });
});
