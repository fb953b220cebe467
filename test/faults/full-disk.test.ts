/**
 * C1: a disk that takes no more, under git's own files as well as ours: the object store, the index file, the work tree. In publish
 * (both gits), root rotate and sync.
 * A limit on the size of every file that a process and its children write stands for the disk, since it needs no root and
 * fails in as many places: at each size another write is the first that does not fit.
 */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { IS_THOROUGH, some } from "../support/thorough.ts";
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

const PUBLISHES = [
  // A large tarball is the first that does not fit; with a small one it is a pack, the index file or the work tree.
  { git: "system", bytes: 8192 },
  { git: "system", bytes: 0 },
  { git: "isomorphic", bytes: 8192 },
  { git: "isomorphic", bytes: 0 },
];
it.each(some(PUBLISHES, 1))(
  "C1 publish with $git git and $bytes bytes on a disk that is full: all or nothing, said in one line, and the next publish goes on",
  async ({ git, bytes }) => {
    const who = { ...alice, name: `alice-${git}-${String(bytes)}` };
    const { url, address, clone } = await p.init(who, "@alice/*");
    const id = address.slice(address.indexOf("#") + 1);
    const env = { IMPRINT_GIT: git };
    const run = (cwd: string, args: readonly string[]): Promise<Outcome> => p.sh(alice, cwd, process.execPath, [BIN, ...args], env);
    const codes: number[] = [];
    for (const blocks of some(SIZES, 4)) {
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
    expect(codes.filter((code) => code !== 0).length, `some sizes must fail: ${codes.join(" ")}`).toBeGreaterThan(IS_THOROUGH ? 2 : 1);
    expect((await run(p.folder, ["verify", url, "--id", id, "--tarballs"])).code).toBe(0);
  },
  600_000,
);

const limited = (blocks: number, ...words: readonly string[]): readonly string[] => [
  "-c",
  'ulimit -f "$1"; shift; exec "$@"',
  "sh",
  String(blocks),
  process.execPath,
  BIN,
  ...words,
];

it("C1 root rotate on a disk that is full: all or nothing, no key is lost, and the next run goes on", async () => {
  const who = p.person("rita");
  const { url, address, clone } = await p.init(who, "@rita/*");
  const id = address.slice(address.indexOf("#") + 1);
  const folder = p.folderOf("rita-a", { "package.json": { name: "@rita/a", version: "1.0.0" }, "README.md": "x".repeat(4000) });
  expect((await p.imprint(who, folder, "publish")).code).toBe(0);
  const codes: number[] = [];
  for (const blocks of some([0, 1, 2, 4, 16, 4096], 4)) {
    const outcome = await p.sh(who, p.folder, "sh", limited(blocks, "root", "rotate", "--index", clone));
    codes.push(outcome.code);
    expect(outcome.stderr, `${String(blocks)} blocks`).not.toMatch(/^\s+at |Error:/mu);
    if (outcome.code !== 0) expect(outcome.stderr).toMatch(/^✗ Cannot .+\n {2}(?:STORAGE_FAILED|PUSH_FAILED);/mu);
    expect((await p.imprint(who, p.folder, "verify", url, "--id", id)).code, `${String(blocks)} blocks: ${outcome.stderr}`).toBe(0);
    // The keys on disk still sign.
    const again = await p.imprint(who, p.folder, "deprecate", "@rita/a@1.0.0", `with ${String(blocks)} blocks`, "--index", clone);
    expect([again.code, again.stderr]).toEqual([0, expect.any(String)]);
  }
  expect(codes.at(-1)).toBe(0);
  expect(codes.filter((code) => code !== 0).length, codes.join(" ")).toBeGreaterThan(1);
}, 600_000);

it("C1 sync on a disk that is full: the old state or the new one, said in one line, and the next run recovers", async () => {
  const [author, reader] = [p.person("sue"), p.person("sues-reader")];
  const { address, clone } = await p.init(author, "@sue/*");
  const folder = p.folderOf("sue-a", { "package.json": { name: "@sue/a", version: "1.0.0" } });
  expect((await p.imprint(author, folder, "publish")).code).toBe(0);
  const shop = p.folderOf("sues-shop", { "package.json": { name: "shop", private: true } });
  expect((await p.imprint(reader, shop, "add", address, "--yes")).code).toBe(0);
  const codes: number[] = [];
  for (const blocks of some([0, 1, 2, 4, 4096], 3)) {
    await p.imprint(author, p.folder, "deprecate", "@sue/a@1.0.0", `with ${String(blocks)} blocks`, "--index", clone);
    const outcome = await p.sh(reader, shop, "sh", limited(blocks, "sync"));
    codes.push(outcome.code);
    // Here it is a signal that ends git's own writing, and of that its other half only says that the data did not come.
    if (outcome.code !== 0) expect(outcome.stderr).toMatch(/✗ Cannot [^\n]+\n {2}(?:STORAGE_FAILED|UNREACHABLE);/);
    expect((await p.imprint(reader, shop, "why", "@sue/a")).stdout).toMatch(/1\.0\.0 ok/);
    expect((await p.imprint(reader, shop, "sync")).code).toBe(0);
  }
  expect(codes.at(-1)).toBe(0);
  expect(codes[0]).not.toBe(0);
}, 600_000);
