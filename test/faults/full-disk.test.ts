/**
 * C1: a disk that takes no more, under git's own files as well as ours: the object store, the index file, the work tree.
 * A limit on the size of every file that a process and its children write stands for the disk, since it needs no root and
 * fails in as many places: at each size another write is the first that does not fit.
 */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BIN, type Outcome, people, type People, type Person } from "../support/people.ts";

let p: People;
let alice: Person;
beforeAll(async () => {
  p = await people();
  alice = p.person("alice");
});
afterAll(() => p.close());

/** In blocks of 512 bytes, as `ulimit -f` of a POSIX shell counts; the last is enough for everything. */
const SIZES = [0, 1, 4, 6, 16, 32, 4096];

it.each([
  // A large tarball is the first that does not fit; with a small one it is a pack, the index file or the work tree.
  { git: "system", bytes: 8192 },
  { git: "system", bytes: 0 },
  { git: "isomorphic", bytes: 8192 },
  { git: "isomorphic", bytes: 0 },
])(
  "C1 publish with $git git and $bytes bytes on a disk that is full: all or nothing, said in one line, and the next publish goes on",
  async ({ git, bytes }) => {
    const who = { ...alice, name: `alice-${git}-${String(bytes)}` };
    const { url, address, clone } = await p.init(who, "@alice/*");
    const id = address.slice(address.indexOf("#") + 1);
    const env = { IMPRINT_GIT: git, IMPRINT_PASSPHRASE: `${who.name}'s passphrase` };
    const run = (cwd: string, args: readonly string[]): Promise<Outcome> => p.sh(alice, cwd, process.execPath, [BIN, ...args], env);
    const codes: number[] = [];
    for (const blocks of SIZES) {
      const version = `1.0.${String(blocks)}`;
      const folder = p.folderOf(`hello-${who.name}-${String(blocks)}`, {
        "package.json": { name: "@alice/hello", version, main: "index.js", files: ["index.js", "data.txt"] },
        "index.js": "module.exports = 1;\n",
        "data.txt": randomBytes(bytes).toString("hex"),
      });
      const packed = await p.sh(alice, folder, "npm", ["pack", "--silent"]);
      const tarball = packed.stdout.trim();
      const outcome = await p.sh(
        alice,
        folder,
        "sh",
        ["-c", 'ulimit -f "$1"; shift; exec "$@"', "sh", String(blocks), process.execPath, BIN, "publish", tarball, "--index", clone],
        env,
      );
      codes.push(outcome.code);
      expect(outcome.stderr, `${String(blocks)} blocks`).not.toMatch(/^\s+at |Error:/mu);
      if (outcome.code !== 0) expect(outcome.stderr).toMatch(/^✗ Cannot .+\n {2}(?:STORAGE_FAILED|PUSH_FAILED);/mu);
      // Strangers see the whole index as it was, or with the release.
      const seen = await run(p.folder, ["verify", url, "--id", id, "--tarballs"]);
      expect(seen.code, `${String(blocks)} blocks: ${outcome.stderr}${seen.stderr}`).toBe(0);
      // And the author goes on: with the same version where nothing was published.
      const again = await run(folder, ["publish", tarball, "--index", clone]);
      expect([0, 6], `${String(blocks)} blocks: ${again.stderr}`).toContain(again.code);
      if (again.code === 6) expect(again.stderr).toContain("VERSION_EXISTS");
    }
    expect(codes.at(-1), "enough room").toBe(0);
    expect(codes.filter((code) => code !== 0).length, `some sizes must fail: ${codes.join(" ")}`).toBeGreaterThan(2);
    expect((await run(p.folder, ["verify", url, "--id", id, "--tarballs"])).code).toBe(0);
  },
  600_000,
);
