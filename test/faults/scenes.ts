/** What authors, co-owners and readers type while a disk fails or the power goes: each scene can be tried again and again. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Files } from "../../src/storage/files.ts";
import { testGit, testGitAsync } from "../support/git-host.ts";
import { makePackage } from "../support/tarball.ts";
import type { World } from "../support/world.ts";
import { imprintIn, type Ran } from "../cli/in-process.ts";
import { author, type Author } from "./author.ts";

export type Who = { readonly home: string; readonly cwd: string };
export type Scene = {
  readonly a: Author;
  readonly who: Who;
  readonly words: (n: number) => readonly string[];
  /** Before the n-th try, with a disk that works. */
  readonly prepare?: (n: number) => Promise<void>;
  /** After a fault and before the next run: what must hold beside the host's state. @returns whether it is done */
  readonly check?: (n: number, isNew: boolean) => Promise<boolean>;
  /** What the same words lead to when it was done already: exit code and what is said. */
  readonly again: readonly [number, RegExp];
};

/** The command line of somebody here, on a disk of the test's choice. */
export function typed({ a, who }: Pick<Scene, "a" | "who">, words: readonly string[], files?: Files, nowMs?: () => number): Promise<Ran> {
  const env = { ...a.env, IMPRINT_HOME: who.home };
  const given = { ...(files === undefined ? {} : { files }), ...(nowMs === undefined ? {} : { nowMs }) };
  return imprintIn({ ...who, env, ...given }, ...words);
}

async function must(scene: Pick<Scene, "a" | "who">, ...words: readonly string[]): Promise<Ran> {
  const ran = await typed(scene, words);
  expect([words, ran.exit, ran.stderr]).toEqual([words, 0, expect.any(String)]);
  return ran;
}

/** A second holder of keys, on a machine of their own. */
async function ben(a: Author, w: World, purpose: string): Promise<{ who: Who; key: string; clone: string }> {
  const who = { home: join(w.folder, `ben-${a.id.slice(0, 8)}`), cwd: a.cwd };
  const clone = join(who.home, "clone");
  mkdirSync(who.home, { recursive: true });
  const { stdout } = await must({ a, who }, "key", "new", "--index", a.id, "--name", "ben", "--purpose", purpose);
  return { who, key: stdout.trim(), clone };
}

/** Somebody with a project that takes the author's packages. */
async function reader(a: Author, w: World): Promise<Who> {
  const home = join(w.folder, `reader-${a.id.slice(0, 8)}`);
  const who = { home, cwd: join(home, "shop") };
  mkdirSync(who.cwd, { recursive: true });
  writeFileSync(join(who.cwd, "package.json"), "{}\n");
  await must({ a, who }, "add", `${a.url}#${a.id}`, "--yes");
  return who;
}

export function mergeBranch({ gitDir }: Author, branch: string): void {
  const tree = testGit(gitDir, ["merge-tree", "--write-tree", "refs/heads/main", `refs/heads/${branch}`]);
  const merged = testGit(gitDir, ["commit-tree", tree, "-p", "refs/heads/main", "-p", `refs/heads/${branch}`, "-m", "Merge"]);
  testGit(gitDir, ["update-ref", "refs/heads/main", merged]);
}

const keysIn = (a: Author): readonly string[] => a.keysOnDisk().map(({ publicKey }) => publicKey);

type Play = (w: World, env: NodeJS.ProcessEnv) => Promise<Scene>;

export const SCENES: Readonly<Record<string, Play>> = {
  async sync(w, env) {
    const a = await author(w, env);
    const who = await reader(a, w);
    const place = async (): Promise<readonly [number, number]> => {
      const { stdout } = await must({ a, who }, "trust", "show", "--json");
      const [shown] = JSON.parse(stdout) as readonly { now: { seq: number }; locked: { seq: number } }[];
      return [shown?.now.seq ?? 0, shown?.locked.seq ?? 0];
    };
    let before = 0;
    return {
      a,
      who,
      words: () => ["sync"],
      async prepare(n) {
        before = a.seq();
        // What was interrupted before was made good.
        expect(await place()).toEqual([before, before]);
        await must({ a, who: a }, "deprecate", "@author/b@1.0.0", `${String(n)} times`);
      },
      async check() {
        const [now, locked] = await place();
        for (const seq of [now, locked]) expect([before, a.seq()]).toContain(seq);
        expect(locked).toBeLessThanOrEqual(now);
        return false;
      },
      again: [0, /./],
    };
  },

  async publish(w, env) {
    const a = await author(w, env);
    const tarball = (n: number): string => join(a.cwd, `again-${String(n)}.tgz`);
    return {
      a,
      who: a,
      words: (n) => ["publish", tarball(n), "--index", "author"],
      prepare: async (n) => writeFileSync(tarball(n), await makePackage({ name: "@author/b", version: `1.1.${String(n)}` })),
      again: [6, /VERSION_EXISTS/],
    };
  },

  async yank(w, env) {
    const a = await author(w, env);
    await a.publish("@author/a", "1.1.0");
    // In turn, whichever steps are looked at.
    const tried: number[] = [];
    const turn = (n: number): number => (tried.includes(n) ? tried.indexOf(n) : tried.push(n) - 1);
    return {
      a,
      who: a,
      words: (n) => (turn(n) % 2 === 0 ? ["yank", "@author/a@1.0.0", "--reason", "no"] : ["unyank", "@author/a@1.0.0"]),
      again: [0, /it is so already/],
    };
  },

  async seal(w, env) {
    const a = await author(w, env);
    return {
      a,
      who: a,
      words: () => ["seal", "--index", "author"],
      async prepare(n) {
        await a.publish("@author/a", `1.1.${String(n)}`, a.deps(), { branch: `p${String(n)}` });
        mergeBranch(a, `p${String(n)}`);
      },
      again: [0, /nothing to seal/],
    };
  },

  async cosign(w, env) {
    const a = await author(w, env);
    const { who, key, clone } = await ben(a, w, "publisher");
    const joined = join(a.cwd, "join.json");
    await must({ a, who: a }, "root", "add-key", key, "--threshold", "2", "--out", joined);
    await must({ a, who }, "root", "sign", joined, "--yes");
    await must({ a, who: a }, "root", "apply", joined);
    testGit(join(clone, ".git"), ["init", "-q", "-b", "main", clone]);
    await testGitAsync(join(clone, ".git"), ["remote", "add", "origin", a.url]);
    await testGitAsync(join(clone, ".git"), ["fetch", "-q", "origin", "main"]);
    await testGitAsync(join(clone, ".git"), ["--work-tree", clone, "checkout", "-q", "-B", "main", "origin/main"]);
    let before = "";
    const branch = (n: number): string => `p${String(n)}`;
    return {
      a,
      who,
      words: (n) => ["cosign", "--branch", branch(n), "--index", clone],
      async prepare(n) {
        await a.publish("@author/a", `1.1.${String(n)}`, a.deps(), { branch: branch(n) });
        before = testGit(a.gitDir, ["rev-parse", branch(n)]);
      },
      // It is the branch of the proposal that changes, and readers see nothing of it.
      async check(n, isNew) {
        expect(isNew).toBe(false);
        const now = testGit(a.gitDir, ["rev-parse", branch(n)]);
        if (now !== before) expect(testGit(a.gitDir, ["rev-parse", `${branch(n)}^`])).toBe(before);
        return now !== before;
      },
      again: [0, /your signature is there already/],
    };
  },

  async "root rotate"(w, env) {
    const a = await author(w, env);
    let [before, waiting]: [readonly string[], readonly string[]] = [[], []];
    return {
      a,
      who: a,
      words: () => ["root", "rotate", "--index", "author"],
      async prepare() {
        const { roles, publishers } = a.root();
        before = [...roles.checkpoint.keys, ...publishers.flatMap(({ keys }) => keys)];
        // What was made before, and pushed nowhere, is what the next root named.
        if (waiting.length > 0) expect(before).toEqual(expect.arrayContaining([...waiting]));
        waiting = [];
        // Nothing is left of keys that ever counted.
        expect(keysIn(a).toSorted()).toEqual([...before, ...roles.root.keys].toSorted());
      },
      async check(_, isNew) {
        const made = keysIn(a).filter((key) => !before.includes(key) && !a.root().roles.root.keys.includes(key as never));
        if (!isNew) waiting = made;
        return false; // rotating again is another rotation
      },
      again: [0, /./],
    };
  },

  async "root add-key --out"(w, env) {
    const a = await author(w, env);
    const { key } = await ben(a, w, "root");
    const file = (n: number): string => join(a.cwd, `request-${String(n)}.json`);
    return {
      a,
      who: a,
      words: (n) => ["root", "add-key", key, "--role", "root", "--out", file(n), "--index", "author"],
      async check(n, isNew) {
        expect(isNew).toBe(false);
        return a.isRequest(file(n));
      },
      again: [6, /NAME_TAKEN/],
    };
  },

  async "root sign"(w, env) {
    const a = await author(w, env);
    const { who, key } = await ben(a, w, "root");
    const file = (n: number): string => join(a.cwd, `request-${String(n)}.json`);
    return {
      a,
      who,
      words: (n) => ["root", "sign", file(n), "--yes"],
      async prepare(n) {
        await must({ a, who: a }, "root", "add-key", key, "--role", "root", "--out", file(n), "--index", "author");
      },
      async check(n, isNew) {
        expect([isNew, a.isRequest(file(n))]).toEqual([false, true]);
        return a.signers(file(n)) === 2;
      },
      again: [7, /has not signed it yet/],
    };
  },

  async "root apply"(w, env) {
    const a = await author(w, env);
    const file = (n: number): string => join(a.cwd, `request-${String(n)}.json`);
    return {
      a,
      who: a,
      words: (n) => ["root", "apply", file(n), "--index", "author"],
      async prepare(n) {
        await must({ a, who: a }, "root", "set", "--refresh-days", String(n + 1), "--out", file(n), "--index", "author");
      },
      async check(n, isNew) {
        expect(a.isRequest(file(n))).toBe(true);
        return isNew;
      },
      again: [1, /may be applied already.*REQUEST_REFUSED/s],
    };
  },

  async "root revoke"(w, env) {
    const a = await author(w, env);
    const since = String(a.seq());
    await a.publish("@author/a", "1.1.0");
    let stolen = "";
    return {
      a,
      who: a,
      words: () => ["root", "revoke", stolen, "--since", since, "--keep", "*", "--index", "author"],
      async prepare() {
        // Whatever was interrupted: no key that was revoked is on the disk, or counts again.
        if (stolen !== "") expect([...keysIn(a), ...(a.root().publishers[0]?.keys ?? [])]).not.toContain(stolen);
        stolen = a.root().publishers[0]?.keys[0] ?? "";
      },
      again: [1, /it may be revoked already/],
    };
  },

  async "trust accept"(w, env) {
    const a = await author(w, env);
    const who = await reader(a, w);
    return {
      a,
      who,
      words: () => ["trust", "accept"],
      async prepare(n) {
        await must({ a, who: a }, "deprecate", "@author/b@1.0.0", `${String(n)} times`);
        await must({ a, who }, "sync");
      },
      async check(_, isNew) {
        expect(isNew).toBe(false);
        const { stdout } = await must({ a, who }, "trust", "diff");
        expect(stdout).toMatch(/nothing changed since|since root 1, .* now root 1/);
        return /nothing changed since/.test(stdout);
      },
      again: [0, /accepted as it is now/],
    };
  },
};
