/** C2 and T14: several publishers, one host, and a host that lies to a publisher. */
import { createHash } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { commitTarball } from "../../src/cli/tarball-refs.ts";
import { ImprintError } from "../../src/errors.ts";
import type { PackageName } from "../../src/format/names.ts";
import type { Version } from "../../src/format/versions.ts";
import type { GitKind } from "../../src/git/choice.ts";
import { buildsOn } from "../../src/git/clone.ts";
import { openIsomorphicGit } from "../../src/git/isomorphic/repository.ts";
import type { GitRepository } from "../../src/git/port.ts";
import { parseGitUrl, parseRefName } from "../../src/git/url.ts";
import { openSystemGit } from "../../src/git/system/repository.ts";
import { type Base, type Change, confirmUpload, PENDING, type Upload, uploadChange } from "../../src/index/publish.ts";
import { readPackage } from "../../src/index/package-reader.ts";
import { openStateStore } from "../../src/index/state.ts";
import { writeReleases } from "../../src/index/writer.ts";
import { openCell } from "../../src/storage/cell.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { testGitAsync } from "../support/git-host.ts";
import { LIMITS_OF_TESTS, type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let team: TestIndex;
let teams = 0;
/** The git of every publisher in turn. */
let kind: GitKind;
const opened: GitRepository[] = [];

type Publisher = {
  readonly upload: Upload;
  release(name: string, version: string, before?: () => Promise<void>): Promise<{ readonly attempts: number }>;
  /** Notes the host's newest commit as the one that this clone signed last. */
  keepPending(): Promise<void>;
};

/** A colleague with a clone of their own and the same keys. */
async function publisher(git = kind): Promise<Publisher> {
  const folder = mkdtempSync(join(w.folder, "clone-"));
  const gitDir = join(folder, ".git");
  await testGitAsync(gitDir, ["clone", "--quiet", "--bare", team.url, gitDir]);
  const url = parseGitUrl(team.url, { allowFile: false });
  const repository = git === "system" ? openSystemGit({ gitDir, history: true }) : openIsomorphicGit({ gitDir, history: true });
  opened.push(repository);
  const upload: Upload = {
    repository,
    id: team.id,
    branch: parseRefName("refs/heads/main"),
    remote: { fetchUrl: url, pushUrl: url, trackingRef: parseRefName("refs/remotes/origin/main") },
    alone: (work) => work(),
    explain: async () => null,
    buildsOn: (commit, ancestor) => buildsOn(gitDir, commit, ancestor, { kind: async () => git }),
    store: openStateStore(openCell(nodeFiles(), join(folder, "state"), { maxBytes: 1 << 24 }), team.id),
    keepEvidence: async () => undefined,
    limits: LIMITS_OF_TESTS,
  };
  return publisherWith(upload, () => testGitAsync(gitDir, ["fetch", "--quiet", team.url, `+main:${PENDING}`]));
}

function publisherWith(upload: Upload, keepPending: () => Promise<unknown>): Publisher {
  return {
    upload,
    keepPending: async () => void (await keepPending()),
    async release(name, version, before) {
      const { dist, manifest } = (await team.release("@team/template", "1.0.0")).doc;
      const request = { name: name as PackageName, version: version as Version, dist, manifest, tag: null };
      let calls = 0;
      const build = async (base: Base): Promise<Change> => {
        // Everything is decided, nothing is pushed: now somebody else is faster.
        if (++calls === 1) await before?.();
        const view = await readPackage(base.snapshot, base.state, request.name);
        const files = await writeReleases({
          state: base.state,
          snapshot: base.snapshot,
          packages: new Map([[request.name, view]]),
          requests: [request],
          keys: { publishers: [team.keys.publisher], checkpoint: [team.keys.checkpoint] },
          nowMs: w.nowMs(),
        });
        return { files, message: `${name}@${version}`, author: { name: "Test", email: "test@example.org" }, timeMs: w.nowMs(), refs: [] };
      };
      const result = await uploadChange(upload, build, { push: true });
      await confirmUpload(upload, result.commit);
      return result;
    },
  };
}

async function released(): Promise<Record<string, string[]>> {
  const c = await w.consumer({ indices: { team: { index: team, packages: ["@team/*"] } } });
  await c.sync();
  const names = ["@team/a", "@team/b"];
  const versions = await Promise.all(
    names.map(async (name) => Object.entries(await c.verdicts(name)).map(([version, verdict]) => `${version} ${verdict}`)),
  );
  return Object.fromEntries(names.map((name, i) => [name, versions[i] ?? []]));
}

beforeAll(async () => {
  w = await world();
});
beforeEach(async () => {
  team = await w.index(`team${String(++teams)}`, { packages: ["@team/*"] });
  await team.publish("@team/template", "1.0.0");
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((repository) => repository.close()));
});
afterAll(() => w.close());

describe.each<GitKind>(["system", "isomorphic"])("publishers with %s git", (each) => {
  beforeAll(() => {
    kind = each;
  });

  describe("C2 two publishers race", () => {
    it("C2 on two packages: the loser redoes and re-signs, both releases are there", async () => {
      const [ann, ben] = [await publisher(), await publisher()];
      const { attempts } = await ann.release("@team/a", "1.0.0", async () => void (await ben.release("@team/b", "1.0.0")));
      expect(attempts).toBe(2);
      expect(await released()).toEqual({ "@team/a": ["1.0.0 ok"], "@team/b": ["1.0.0 ok"] });
    });

    it("C2 on one package: both versions are there", async () => {
      const [ann, ben] = [await publisher(), await publisher()];
      const { attempts } = await ann.release("@team/a", "1.1.0", async () => void (await ben.release("@team/a", "1.0.0")));
      expect(attempts).toBe(2);
      expect(await released()).toEqual({ "@team/a": ["1.0.0 ok", "1.1.0 ok"], "@team/b": [] });
    });

    it("C2 one with git, one without, on one package", async () => {
      const others = kind === "system" ? "isomorphic" : "system";
      const [ann, ben] = [await publisher(), await publisher(others)];
      const { attempts } = await ann.release("@team/a", "1.1.0", async () => void (await ben.release("@team/a", "1.0.0")));
      await ben.release("@team/b", "1.0.0");
      expect([attempts, await released()]).toEqual([2, { "@team/a": ["1.0.0 ok", "1.1.0 ok"], "@team/b": ["1.0.0 ok"] }]);
    });

    it("C2 on one version: the second is told that it exists, and nothing of theirs is there", async () => {
      const [ann, ben] = [await publisher(), await publisher()];
      await expect(ann.release("@team/a", "1.0.0", async () => void (await ben.release("@team/a", "1.0.0")))).rejects.toMatchObject({
        code: "VERSION_EXISTS",
        exitCode: 6,
      });
      expect(await released()).toEqual({ "@team/a": ["1.0.0 ok"], "@team/b": [] });
    });

    it("C2 five at once, for real: all five are there, and every checkpoint has a number of its own", async () => {
      const all = await Promise.all(Array.from({ length: 5 }, publisher));
      await Promise.all(all.map((one, i) => one.release(`@team/p${String(i)}`, "1.0.0")));
      const c = await w.consumer({ indices: { team: { index: team, packages: ["@team/*"] } } });
      await c.sync();
      for (const i of all.keys()) expect(await c.verdicts(`@team/p${String(i)}`)).toEqual({ "1.0.0": "ok" });
      const log = await testGitAsync(team.gitDir, ["log", "--format=%H", "refs/heads/main"]);
      const seqs = await Promise.all(
        log
          .split("\n")
          .map(
            async (commit) =>
              (JSON.parse(await testGitAsync(team.gitDir, ["show", `${commit}:checkpoint.json`])) as { signed: { seq: number } }).signed
                .seq,
          ),
      );
      expect(new Set(seqs).size).toBe(seqs.length);
    });

    it("G1 a squash on the host between two publishes changes nothing", async () => {
      const ann = await publisher();
      await ann.release("@team/a", "1.0.0");
      team.squash();
      expect((await ann.release("@team/a", "1.1.0")).attempts).toBe(1);
      expect(await released()).toEqual({ "@team/a": ["1.0.0 ok", "1.1.0 ok"], "@team/b": [] });
    });
  });

  describe("a clone that is behind its host", () => {
    it("is no clone with releases of its own, also where nobody remembers having seen its commit", async () => {
      const [ann, ben] = [await publisher(), await publisher()];
      await ben.release("@team/a", "1.0.0");
      // ann has looked at the host (a dry run, a push that failed), but her branch stayed where it was
      await expect(ann.release("@team/b", "1.0.0", () => Promise.reject(new Error("the network is gone")))).rejects.toThrow(
        "the network is gone",
      );
      expect((await ann.release("@team/b", "1.0.0")).attempts).toBe(1);
      expect(await released()).toEqual({ "@team/a": ["1.0.0 ok"], "@team/b": ["1.0.0 ok"] });
    });

    describe("C1 killed behind the push of its own unyank", () => {
      const look = (ann: Publisher): Promise<void> =>
        expect(ann.release("@team/b", "1.0.0", () => Promise.reject(new Error("so already")))).rejects.toThrow("so already");
      const amendYanked = (...versions: Version[]): Promise<void> =>
        team.amend("@team/a", () => ({ yanked: new Map(versions.map((version) => [version, "no"])) }));
      const version = "1.0.0" as Version;

      /** Her clone as such a kill leaves it: the host has her commit, her branch is one behind, the last commit is noted. */
      async function killed(): Promise<Publisher> {
        await team.publish("@team/a", "1.0.0");
        await amendYanked(version);
        const ann = await publisher();
        await amendYanked();
        await ann.keepPending();
        return ann;
      }

      it("goes on from the host's state, also after a look at the host", async () => {
        const ann = await killed();
        await look(ann);
        expect((await ann.release("@team/b", "1.0.0")).attempts).toBe(1);
        expect(await released()).toEqual({ "@team/a": ["1.0.0 ok"], "@team/b": ["1.0.0 ok"] });
      });

      it("and killed again before the next push", async () => {
        const ann = await killed();
        const { repository } = ann.upload;
        const killing = { ...repository, push: () => Promise.reject(new Error("killed")) };
        const dying = publisherWith({ ...ann.upload, repository: killing }, ann.keepPending);
        await expect(dying.release("@team/b", "1.0.0")).rejects.toThrow("killed");
        await look(ann);
        expect((await ann.release("@team/b", "1.0.0")).attempts).toBe(1);
      });

      it("and a colleague released on top", async () => {
        const ann = await killed();
        await (await publisher()).release("@team/b", "0.1.0");
        await look(ann);
        expect((await ann.release("@team/b", "1.0.0")).attempts).toBe(1);
      });

      it("T2 but what somebody took away on top stops it", async () => {
        const ann = await killed();
        await team.publish("@team/a", "1.1.0");
        await amendYanked(version);
        await ann.keepPending();
        await amendYanked();
        await expect(ann.release("@team/b", "1.0.0")).rejects.toMatchObject({ code: "DIVERGED" });
      });
    });

    it("T2 a commit on top of it that takes back what it held stops it: a stolen key did that, or a colleague", async () => {
      await team.publish("@team/a", "1.0.0");
      await team.amend("@team/a", () => ({ yanked: new Map([["1.0.0" as Version, "no"]]) }));
      const ann = await publisher();
      await team.amend("@team/a", () => ({ yanked: new Map() }));
      for (const _ of "12") await expect(ann.release("@team/b", "1.0.0")).rejects.toMatchObject({ code: "DIVERGED" });
    });

    it("with a release that was never pushed it is refused: nothing of the author's gets lost", async () => {
      const [ann, ben] = [await publisher(), await publisher()];
      // committed to her branch, not pushed
      const { repository, branch } = ann.upload;
      const kept: Upload = {
        ...ann.upload,
        repository: { ...repository, commit: (request) => repository.commit({ ...request, keepAs: branch }) },
      };
      const build = async (base: Base): Promise<Change> => {
        const { dist, manifest } = (await team.release("@team/template", "1.0.0")).doc;
        const request = { name: "@team/a" as PackageName, version: "1.0.0" as Version, dist, manifest, tag: null };
        const files = await writeReleases({
          state: base.state,
          snapshot: base.snapshot,
          packages: new Map(),
          requests: [request],
          keys: { publishers: [team.keys.publisher], checkpoint: [team.keys.checkpoint] },
          nowMs: w.nowMs(),
        });
        return { files, message: "unpushed", author: { name: "Test", email: "test@example.org" }, timeMs: w.nowMs(), refs: [] };
      };
      await uploadChange(kept, build, { push: false });
      await ben.release("@team/b", "1.0.0");
      await expect(ann.release("@team/b", "1.1.0")).rejects.toMatchObject({ code: "DIVERGED" });
      await ben.release("@team/a", "2.0.0");
      await expect(ann.release("@team/b", "1.1.0")).rejects.toMatchObject({ code: "DIVERGED" });
    });
  });

  describe("T14 a host that lies to a publisher", () => {
    it("T14 an older state: refuses to build on it", async () => {
      const ann = await publisher();
      const old = team.head();
      await ann.release("@team/a", "1.0.0");
      team.reset(old);
      await expect(ann.release("@team/a", "1.1.0")).rejects.toMatchObject({ code: "ROLLBACK" });
    });

    it("T14 each push is called lost, and each look shows another commit of one state: given up", async () => {
      const ann = await publisher();
      const { repository } = ann.upload;
      let pushes = 0;
      const push = async (): Promise<never> => {
        pushes++;
        team.squash();
        throw new ImprintError("LOST_RACE", "Cannot push: lost, says the host");
      };
      const lied = publisherWith({ ...ann.upload, repository: { ...repository, push } }, ann.keepPending);
      await expect(lied.release("@team/a", "1.0.0")).rejects.toMatchObject({ code: "LOST_RACE" });
      expect(pushes).toBe(5);
    });

    it("T14 a push that is kept but reported lost: the second try sees it and never signs its number again", async () => {
      const ann = await publisher();
      const { repository } = ann.upload;
      let pushes = 0;
      const lying: Upload = {
        ...ann.upload,
        repository: {
          ...repository,
          push: async (request) => {
            await repository.push(request);
            if (++pushes === 1) throw new ImprintError("LOST_RACE", "Cannot push: lost, says the host");
          },
        },
      };
      const seqs: number[] = [];
      const build = async (base: Base): Promise<Change> => {
        seqs.push(base.state.checkpoint.doc.seq);
        const files = await writeReleases({
          state: base.state,
          snapshot: base.snapshot,
          packages: new Map(),
          requests: [],
          keys: { publishers: [team.keys.publisher], checkpoint: [team.keys.checkpoint] },
          nowMs: 0,
        });
        return { files, message: "renew", author: { name: "Test", email: "test@example.org" }, timeMs: 0, refs: [] };
      };
      expect((await uploadChange(lying, build, { push: true })).attempts).toBe(2);
      expect(seqs[1]).toBe((seqs[0] ?? 0) + 1);
      expect((await team.checkpoint()).doc.seq).toBe((seqs[0] ?? 0) + 2);
    });
  });
});

describe("more tarballs than one push can name", () => {
  it("go ahead of the branch, and again after a lost race, when the host has them already", async () => {
    const [ann, ben] = [await publisher(), await publisher()];
    const { repository } = ann.upload;
    const pushes: number[] = [];
    const counted: Upload = {
      ...ann.upload,
      repository: {
        ...repository,
        push: async (request) => {
          pushes.push(request.updates.length);
          if (pushes.length === 2) await ben.release("@team/b", "1.0.0");
          await repository.push(request);
        },
      },
    };
    const contents = [1, 2, 3, 4, 5].map((byte) => new Uint8Array(10).fill(byte));
    const refs = await Promise.all(
      contents.map((content) => commitTarball(repository, createHash("sha512").update(content).digest("hex"), content, false)),
    );
    const build = async (base: Base): Promise<Change> => {
      const files = await writeReleases({
        state: base.state,
        snapshot: base.snapshot,
        packages: new Map(),
        requests: [],
        keys: { publishers: [team.keys.publisher], checkpoint: [team.keys.checkpoint] },
        nowMs: w.nowMs(),
      });
      return { files, message: "many", author: { name: "Test", email: "test@example.org" }, timeMs: w.nowMs(), refs };
    };
    expect((await uploadChange(counted, build, { push: true, refsAPush: 2 })).attempts).toBe(2);
    expect(pushes).toEqual([2, 2, 2, 2, 2, 2]);
    const there = await testGitAsync(w.folder, ["ls-remote", team.url, "refs/tarballs/*"]);
    for (const { ref, to } of refs) expect(there).toContain(`${to ?? ""}\t${ref}`);
    expect((await released())["@team/b"]).toEqual(["1.0.0 ok"]);
  });
});
