/**
 * C1: a cache or a state that cannot be written: what is there is served, one line says so, and nothing is changed by halves.
 * Once with real permissions (as nobody, where the tests run as root), once with a port that refuses, which no user id passes.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ImprintError } from "../../src/errors.ts";
import { type Files, nodeFiles } from "../../src/storage/files.ts";
import { environmentIn, imprintIn, snapshotOf } from "../cli/in-process.ts";
import { BIN } from "../support/people.ts";
import { type World, world } from "../support/world.ts";

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
/** A checkout below root's own folder is closed to nobody: then the port must do. */
const permits = !isRoot || spawnSync(process.execPath, [BIN, "--version"], { uid: NOBODY, gid: NOBODY }).status === 0;

let w: World;
beforeAll(async () => {
  w = await world({ startMs: Date.now() - 3_600_000 });
  chmodSync(w.folder, 0o755);
});
afterAll(() => w.close());

type Ran = { readonly exit: number | null; readonly stderr: string };

function refusing(folder: string): Files {
  const inner = nodeFiles();
  const guard = <T>(path: string, act: () => Promise<T>): Promise<T> =>
    path.startsWith(folder) ? Promise.reject(new ImprintError("STORAGE_FAILED", `Cannot write ${path}: EROFS`)) : act();
  return {
    ...inner,
    writeAtomic: (path, bytes, options) => guard(path, () => inner.writeAtomic(path, bytes, options)),
    writeStream: (path, source) => guard(path, () => inner.writeStream(path, source)),
    createExclusive: (path, bytes) => guard(path, () => inner.createExclusive(path, bytes)),
    remove: (path) => guard(path, () => inner.remove(path)),
  };
}

/** Exit 10 and the number of versions that are served. */
const LOOK = `fetch(process.env.npm_config_registry+"@alice/a").then(async(r)=>process.exit(r.status===200?10+Object.keys((await r.json()).versions).length:9))`;
const look = ["run", "--sync-after", "0", process.execPath, "-e", LOOK];

it.each([
  { what: "cache", how: "permissions" },
  { what: "state", how: "permissions" },
  { what: "cache", how: "port" },
  { what: "state", how: "port" },
] as const)("C1 a read-only $what ($how): serves what it has, says so, changes nothing, and recovers", async ({ what, how }) => {
  const name = `${what}${how}`;
  const alice = await w.index(name, { packages: ["@alice/*"] });
  await alice.publish("@alice/a", "1.0.0");
  const cwd = await w.projectFolder(`shop-${name}`, { indices: { alice: { index: alice, packages: ["@alice/*"] } } });
  const home = join(w.folder, `home-${name}`);
  mkdirSync(home);
  const locked = join(home, what);
  const byChild = how === "permissions" && permits;
  const modes = (mode: string): void => void spawnSync("chmod", ["-R", mode, locked]);
  if (byChild && isRoot) spawnSync("chown", ["-R", `${String(NOBODY)}:${String(NOBODY)}`, home, cwd]);
  let closed = false;
  const run = async (words: readonly string[]): Promise<Ran> => {
    if (!byChild) return imprintIn({ home, cwd, env: { IMPRINT_HOME: home }, ...(closed ? { files: refusing(locked) } : {}) }, ...words);
    const child = spawn(process.execPath, [BIN, ...words], {
      cwd,
      ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}),
      stdio: ["ignore", "ignore", "pipe"],
      env: environmentIn(home, { IMPRINT_HOME: home }),
    });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const [exit] = (await once(child, "close")) as [number | null];
    return { exit, stderr };
  };
  expect((await run(["sync"])).exit).toBe(0);
  expect((await run(look)).exit).toBe(11);
  closed = true;
  if (byChild) modes("a-w");
  // What it has, before and after there is news.
  expect((await run(look)).exit).toBe(11);
  await alice.publish("@alice/a", "1.1.0");
  const before = [snapshotOf(join(home, "state")), readFileSync(join(cwd, "imprint.lock"), "utf8")];
  const held = await run(look);
  if (what === "state" || byChild) {
    expect([held.exit, held.stderr]).toEqual([
      11,
      expect.stringMatching(/alice: Cannot .+ \(STORAGE_FAILED\); answering from the state signed/),
    ]);
    expect(held.stderr.match(/answering from/g)).toHaveLength(1);
    const synced = await run(["sync"]);
    expect([synced.exit, synced.stderr]).toEqual([3, expect.stringMatching(/✗ Cannot [^\n]+\n {2}STORAGE_FAILED; next: [^\n]+\n$/)]);
    expect([snapshotOf(join(home, "state")), readFileSync(join(cwd, "imprint.lock"), "utf8")]).toEqual(before);
  } else expect([11, 12]).toContain(held.exit); // of the cache, git writes most
  closed = false;
  if (byChild) modes("u+w");
  expect((await run(["sync"])).exit).toBe(0);
  expect((await run(look)).exit).toBe(12);
});
