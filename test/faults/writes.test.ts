/**
 * C1: a disk that fails each write in turn, before it or just after it, in add, sync, publish and reading, with both gits.
 * (`root-writes.test.ts`: yank, seal, cosign, root commands, trust.)
 */
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { add } from "../../src/cli/commands/add.ts";
import { init } from "../../src/cli/commands/init.ts";
import { publish } from "../../src/cli/commands/publish.ts";
import { sync } from "../../src/cli/commands/sync.ts";
import { verify } from "../../src/cli/commands/verify.ts";
import { isImprintError } from "../../src/errors.ts";
import { parseLock, parseProject } from "../../src/format/project.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { createHostedRepository } from "../support/git-host.ts";
import { failingFiles } from "../storage/failing-files.ts";
import { makePackage } from "../support/tarball.ts";
import { some, stride } from "../support/thorough.ts";
import { type TestIndex, type World, world } from "../support/world.ts";

const MAX_WRITES = 60;
const TIMEOUT_MS = 400_000;

let w: World;
beforeEach(async () => {
  w = await world();
});
afterEach(() => w.close());

/** Runs `attempt` with a disk that fails at its n-th write, for n of all that there are; `check` knows how often it ran before. */
async function failEachWrite(
  when: "before" | "after",
  prepare: (n: number) => Promise<void>,
  attempt: (files: ReturnType<typeof failingFiles>, n: number) => Promise<unknown>,
  check: (n: number, rounds: number) => Promise<void>,
): Promise<number> {
  let rounds = 0;
  for (let n = 0; n < MAX_WRITES; n += stride(3)) {
    await prepare(n);
    const files = failingFiles(nodeFiles(), n, when);
    try {
      await attempt(files, n);
    } catch (error) {
      // A disk that is full must be said, and nothing else may come of it.
      if (!isImprintError(error, "STORAGE_FAILED")) throw error;
    }
    await check(n, rounds++);
    if (!files.failed()) return n;
  }
  throw new Error(`no end after ${String(MAX_WRITES)} writes`);
}

/** Both cases of a file that is written whole. */
async function contentOf(path: string): Promise<string | null> {
  return existsSync(path) ? readFile(path, "utf8") : null;
}

const FAULTS = [
  { when: "before", git: "system" },
  { when: "after", git: "system" },
  { when: "before", git: "isomorphic" },
  { when: "after", git: "isomorphic" },
] as const;

describe.each(some(FAULTS, 2))("C1 each write fails, $when it happened, with $git git", ({ when, git }) => {
  const env = { IMPRINT_GIT: git };

  it(
    "C1 sync: the old state or the new one, and the next run recovers",
    async () => {
      const alice = await w.index("alice");
      await alice.publish("@alice/a", "1.0.0");
      const cwd = await w.projectFolder("shop", { indices: { alice: { index: alice } } });
      const home = join(w.folder, "home");
      const honest = w.deps({ home, cwd, env });
      await sync({ frozen: false, only: [] }, honest);
      let seqs: readonly number[] = [];
      const trusted = async (): Promise<number | undefined> => {
        const c = await w.consumer({ indices: { alice: { index: alice } }, home });
        return (await c.reader().current())?.checkpoint.doc.seq;
      };
      const locked = async (): Promise<number | undefined> => [...parseLock(await readFile(join(cwd, "imprint.lock"))).values()][0]?.seq;
      const writes = await failEachWrite(
        when,
        async (n) => {
          const before = (await alice.checkpoint()).doc.seq;
          await alice.publish("@alice/a", `1.0.${String(n + 1)}`);
          seqs = [before, (await alice.checkpoint()).doc.seq];
        },
        (files) => sync({ frozen: false, only: [] }, w.deps({ home, cwd, files, env })),
        async () => {
          const [state, lock] = [await trusted(), await locked()];
          expect(seqs).toContain(state);
          expect(seqs).toContain(lock);
          // never a floor that this machine has not seen
          expect(lock ?? 0).toBeLessThanOrEqual(state ?? 0);
          await expect(sync({ frozen: false, only: [] }, honest)).resolves.toMatchObject([{ error: null }]);
          expect([await trusted(), await locked()]).toEqual([seqs[1], seqs[1]]);
        },
      );
      expect(writes).toBeGreaterThan(1);
    },
    TIMEOUT_MS,
  );

  it(
    "C1 add: each file as it was or as it should be, and the next run completes it",
    async () => {
      const alice = await w.index("alice");
      await alice.publish("@alice/a", "1.0.0");
      const options = { url: `${alice.url}#${alice.id}`, as: undefined, packages: [], yes: true, npmrc: true };
      const done = w.deps({ home: join(w.folder, "home-done"), cwd: await emptyProject("done"), env });
      await add(options, done);
      const files = ["imprint.json", "imprint.lock", ".npmrc"];
      const wanted = await Promise.all(files.map((file) => contentOf(join(done.cwd, file))));
      expect(wanted).not.toContain(null);
      let cwd = "";
      let home = "";
      const writes = await failEachWrite(
        when,
        async (n) => {
          cwd = await emptyProject(`shop-${String(n)}`);
          home = join(w.folder, `home-${String(n)}`);
        },
        (failing) => add(options, w.deps({ home, cwd, files: failing, env })),
        async () => {
          for (const [i, file] of files.entries()) expect([null, wanted[i]]).toContain(await contentOf(join(cwd, file)));
          const manifest = await contentOf(join(cwd, "imprint.json"));
          if (manifest !== null) expect(parseProject(Buffer.from(manifest)).indices.size).toBe(1);
          // what points at us must be there before what makes us claim: a half-done add fails closed
          if (manifest !== null) expect(await contentOf(join(cwd, ".npmrc"))).toBe(wanted[2]);
          await expect(add(options, w.deps({ home, cwd, env }))).resolves.toMatchObject({ added: true });
          expect(await Promise.all(files.map((file) => contentOf(join(cwd, file))))).toEqual(wanted);
        },
      );
      expect(writes).toBeGreaterThan(3);
    },
    TIMEOUT_MS,
  );

  it(
    "C1 publish: released or not, a good index in any case, and the next run goes on",
    async () => {
      createHostedRepository(join(w.folder, "hosted"), "author.git");
      const url = w.host.url("author.git");
      const cwd = await emptyProject("author");
      const home = join(w.folder, "home-author");
      const honest = w.deps({ home, cwd, env });
      const { id } = await init({ dir: "author-index", name: "author", packages: ["@author/*"], remote: url, url, ci: undefined }, honest);
      const tarballOf = async (n: number): Promise<string> => {
        const path = join(cwd, `x-1.0.${String(n)}.tgz`);
        await writeFile(path, await makePackage({ name: "@author/x", version: `1.0.${String(n)}` }));
        return path;
      };
      const request = async (n: number) => ({
        inputs: [await tarballOf(n)],
        index: "author",
        tag: undefined,
        dryRun: false,
        push: true,
        propose: null,
      });
      let tried = 0;
      const writes = await failEachWrite(
        when,
        async () => undefined,
        async (files, n) => publish(await request(n), w.deps({ home, cwd, files, env })),
        async (n, rounds) => {
          const after = await verify({ target: url, id, tarballs: false }, honest);
          expect(after).toMatchObject({ ok: true });
          expect([rounds, rounds + 1]).toContain(after.releases);
          tried = rounds + 1;
          const again = publish(await request(n), honest);
          if (after.releases === rounds) await expect(again).resolves.toMatchObject([{ version: `1.0.${String(n)}`, pushed: true }]);
          else await expect(again).rejects.toMatchObject({ code: "VERSION_EXISTS" });
        },
      );
      expect(writes).toBeGreaterThan(3);
      await expect(publish(await request(writes + 1), honest)).resolves.toHaveLength(1);
      expect(await verify({ target: url, id, tarballs: true }, honest)).toMatchObject({ ok: true, releases: tried + 1 });
    },
    TIMEOUT_MS,
  );
});

async function emptyProject(name: string): Promise<string> {
  const folder = await w.projectFolder(name);
  await rm(join(folder, "imprint.json"));
  return folder;
}

/** Reading, too, writes: what it has seen of a package. */
describe("C1 reading a package", () => {
  it.each(["before", "after"] as const)(
    "C1 where the memory cannot be kept (%s), nothing is mixed and the next read recovers",
    async (when) => {
      const alice: TestIndex = await w.index("alice");
      const home = join(w.folder, "home-reader");
      await failEachWrite(
        when,
        async (n) => void (await alice.publish("@alice/a", `1.0.${String(n)}`)),
        async (files) => {
          const c = await w.consumer({ indices: { alice: { index: alice } }, home, files });
          await c.sync();
          await c.read("@alice/a");
        },
        async (_, rounds) => {
          const c = await w.consumer({ indices: { alice: { index: alice } }, home });
          await c.sync();
          expect(Object.keys(await c.verdicts("@alice/a"))).toHaveLength(rounds + 1);
        },
      );
    },
    TIMEOUT_MS,
  );
});
