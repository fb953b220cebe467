/**
 * Chains of roots as hosts serve them: every vector of `index-schema/vectors/chain` as a whole index, synced from its
 * pinned id through both gits and over plain files.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isImprintError } from "../../src/errors.ts";
import type { DisplayName } from "../../src/format/decode.ts";
import type { IndexId } from "../../src/format/digest.ts";
import type { JsonObject } from "../../src/format/json.ts";
import { parsePackageName, parsePackagePattern } from "../../src/format/names.ts";
import type { Version } from "../../src/format/versions.ts";
import { parseRefName } from "../../src/git/url.ts";
import { openIndex } from "../../src/cli/open.ts";
import { digest, edit, file } from "../../scripts/vectors/kit.ts";
import { readVectors, SCHEMA_FOLDER, textMember, type Vector } from "../format/vectors.ts";
import { commitHosted, createHostedRepository } from "../support/git-host.ts";
import { CHAIN_PACKAGE, indexOver, signedOf } from "../support/root-chain.ts";
import { startStaticHost, type StaticHost } from "../support/static-host.ts";
import { SOURCE_KINDS, type SourceKind, type World, world } from "../support/world.ts";

const VECTORS = readVectors("chain");

let w: World;
let web: StaticHost;
let homes = 0;

beforeAll(async () => {
  w = await world();
  web = await startStaticHost(new Map());
  for (const vector of VECTORS)
    commitHosted(createHostedRepository(join(w.folder, "hosted"), `${vector.label}.git`), indexOver(rootsOf(vector)));
}, 60_000);
afterAll(async () => {
  await web.close();
  await w.close();
});

function rootsOf(vector: Vector): readonly string[] {
  return vector["roots"] as readonly string[];
}

type Synced =
  | { readonly roots: number; readonly verdict: string | undefined }
  | { readonly code: string; readonly file: string | undefined; readonly step: string | undefined };
type Person = { sync(url?: string): Promise<Synced> };

/** Somebody with a memory of their own who pinned `id` and reads through one kind of source. */
function reader(source: SourceKind, repo: string, id: string): Person {
  const home = join(w.folder, `reader-${String(++homes)}`);
  const deps = w.deps({
    home,
    cwd: home,
    env: source === "sparse" ? { IMPRINT_ALLOW_PRIVATE: "127.0.0.1" } : { IMPRINT_GIT: source },
  });
  const url = source === "sparse" ? web.url : w.host.url(repo);
  return {
    async sync() {
      const entry = { id: id as IndexId, urls: [url], ref: parseRefName("refs/heads/main"), packages: [parsePackagePattern("@alice/*")] };
      const index = await openIndex(deps, "alice" as DisplayName, entry, null, () => undefined);
      try {
        const { roots } = (await index.reader.sync()).stored.state;
        const { view } = await index.reader.readPackage(parsePackageName(CHAIN_PACKAGE));
        return { roots: roots.length, verdict: view?.versions.get("1.0.0" as Version)?.verdict };
      } catch (error) {
        if (!isImprintError(error)) throw error;
        return { code: error.code, file: error.file, step: error.step };
      } finally {
        await index.close();
      }
    },
  };
}

/** What every host serves from now on. */
function serve(repo: string, files: Readonly<Record<string, string>>): void {
  web.files = new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)]));
  commitHosted(createHostedRepository(join(w.folder, "hosted"), repo), files);
}

for (const source of SOURCE_KINDS) {
  describe(`root chains through ${source}`, () => {
    for (const vector of VECTORS) {
      it(`K2 E2 ${vector.label}: ${vector.description}`, async () => {
        const roots = rootsOf(vector);
        web.files = new Map(Object.entries(indexOver(roots)).map(([path, text]) => [path, Buffer.from(text)]));
        const synced = await reader(source, `${vector.label}.git`, textMember(vector, "id")).sync();
        expect(synced).toEqual(
          vector.valid ? { roots: roots.length, verdict: "ok" } : { code: vector.error, file: vector["file"], step: vector["step"] },
        );
      });
    }

    it("K3 five roots behind: the whole chain is walked; a root withheld or replaced on the way is refused", async () => {
      const chain = longChain();
      const repo = `k3-${source}.git`;
      serve(repo, indexOver(chain.slice(0, 1)));
      const behind = reader(source, repo, digest(signedOf(chain[0] as string)));
      expect(await behind.sync()).toEqual({ roots: 1, verdict: "ok" });

      const whole = indexOver(chain);
      const withheld = Object.fromEntries(Object.entries(whole).filter(([path]) => path !== "trust/3.json"));
      serve(repo, withheld);
      expect(await behind.sync()).toEqual({ code: "MISSING_FILE", file: "trust/3.json", step: "reading 2" });

      // Signed by the same root key, and yet not the one that root 3 follows.
      serve(repo, { ...whole, "trust/2.json": otherSecond(chain[0] as string) });
      expect(await behind.sync()).toEqual({ code: "WRONG_INDEX", file: "trust/3.json", step: "reading 2" });

      serve(repo, whole);
      expect(await behind.sync()).toEqual({ roots: 6, verdict: "ok" });
    });

    it("K3 a root that was believed and is replaced on the host by another is not looked at again; its checkpoint is refused", async () => {
      const chain = longChain().slice(0, 2);
      const repo = `k3-known-${source}.git`;
      serve(repo, indexOver(chain));
      const known = reader(source, repo, digest(signedOf(chain[0] as string)));
      expect(await known.sync()).toEqual({ roots: 2, verdict: "ok" });
      serve(repo, indexOver([chain[0] as string, otherSecond(chain[0] as string)]));
      expect(await known.sync()).toEqual({ code: "WRONG_INDEX", file: "checkpoint.json", step: "reading 3" });
    });
  });
}

/** Root 1 and five that follow it, one change of key among them. */
function longChain(): readonly string[] {
  const vector = VECTORS.find(({ label }) => label === "ok-keys-replaced") as Vector;
  const chain = [...rootsOf(vector)];
  while (chain.length < 6) chain.push(next(chain.at(-1) as string, { refreshDays: chain.length }, "root new"));
  return chain;
}

function next(before: string, changes: JsonObject, ...signers: readonly string[]): string {
  const signed = signedOf(before);
  const edits = Object.entries(changes).map(([member, value]) => [member, value] as const);
  return file("root", edit(signed, ["version", (signed["version"] as number) + 1], ["previous", digest(signed)], ...edits), ...signers);
}

function otherSecond(first: string): string {
  const signed = signedOf(first);
  return file("root", edit(signed, ["index", digest(signed)], ["version", 2], ["previous", digest(signed)], ["refreshDays", 99]), "root");
}

describe("the fifteen kinds of root chain", () => {
  const readme = readFileSync(new URL("vectors/README.md", SCHEMA_FOLDER), "utf8");
  const section = readme.slice(readme.indexOf("## Root chains"));
  const rows = [...section.matchAll(/^\| (\d+) \| ([^|]+) \|([^|]*)\|([^|]*)\|$/gmu)];
  const listed = (cell: string): readonly string[] => [...cell.matchAll(/`([^`]+)`/gu)].map(([, label]) => label as string);

  it("K2 are all in the table of the vectors, each with its accepted and refused chains", () => {
    expect(rows.map(([, kind]) => Number(kind))).toEqual(Array.from({ length: 15 }, (_, at) => at + 1));
    for (const [, kind, , accepted, refused] of rows) {
      const of = VECTORS.filter((vector) => vector["kind"] === Number(kind));
      const labels = (valid: boolean): readonly string[] => of.filter((vector) => vector.valid === valid).map(({ label }) => label);
      expect(of.length, `kind ${String(kind)}`).toBeGreaterThan(0);
      expect(listed(accepted as string).toSorted(), `kind ${String(kind)}`).toEqual(labels(true).toSorted());
      expect(listed(refused as string).toSorted(), `kind ${String(kind)}`).toEqual(labels(false).toSorted());
    }
  });
});
