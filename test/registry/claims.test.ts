/** Name → source, for every imprint.json that there could be. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DisplayName } from "../../src/format/decode.ts";
import type { IndexId } from "../../src/format/digest.ts";
import { type PackageName, type PackagePattern, patternRank } from "../../src/format/names.ts";
import type { Project, ProjectIndex } from "../../src/format/project.ts";
import { requireNoConflicts, scopeOwners, sourceOf } from "../../src/registry/claims.ts";

/** Few names, so that patterns meet them often. */
const NAMES = [
  "react",
  "left-pad",
  "constructor",
  "@alice/a",
  "@alice/b",
  "@bob/a",
  "@al/ice",
] as readonly string[] as readonly PackageName[];
const PATTERNS = [...NAMES, "@alice/*", "@bob/*", "@al/*", "*"] as readonly string[] as readonly PackagePattern[];
const ALIASES = ["alice", "bob", "carol"] as readonly string[] as readonly DisplayName[];

const patterns = fc.subarray([...PATTERNS]);
const name = fc.constantFrom(...NAMES);

/** Any project whose claims do not conflict: each pattern goes to one index at most. */
const project: fc.Arbitrary<Project> = fc
  .record({
    owners: fc.array(fc.option(fc.constantFrom(...ALIASES)), { minLength: PATTERNS.length, maxLength: PATTERNS.length }),
    allow: patterns,
    deny: patterns,
  })
  .map(({ owners, allow, deny }) => ({
    indices: new Map(ALIASES.map((alias) => [alias, indexOf(PATTERNS.filter((_, i) => owners[i] === alias))])),
    upstream: { allow, deny },
  }));

function indexOf(packages: readonly PackagePattern[]): ProjectIndex {
  return { id: "0".repeat(64) as IndexId, urls: ["https://host/x.git"], ref: "refs/heads/main", packages };
}

function rankOf(list: readonly PackagePattern[], of: PackageName): number {
  return Math.max(0, ...list.map((pattern) => patternRank(pattern, of)));
}

describe("claims", () => {
  it("a claimed name never yields upstream, and never nothing", () => {
    fc.assert(
      fc.property(project, name, (p, n) => {
        const claims = [...p.indices.values()].flatMap(({ packages }) => packages);
        expect(sourceOf(p, n).kind === "index").toBe(rankOf(claims, n) > 0);
      }),
    );
  });

  it("the closest claim decides: exact before scope before *", () => {
    fc.assert(
      fc.property(project, name, (p, n) => {
        const source = sourceOf(p, n);
        fc.pre(source.kind === "index");
        const best = Math.max(...[...p.indices.values()].map(({ packages }) => rankOf(packages, n)));
        expect(patternRank(source.pattern, n)).toBe(best);
        expect(p.indices.get(source.alias)?.packages).toContain(source.pattern);
      }),
    );
  });

  it("upstream by the same ranks; deny wins a tie; without allow, nothing", () => {
    fc.assert(
      fc.property(patterns, patterns, name, (allow, deny, n) => {
        const source = sourceOf({ indices: new Map(), upstream: { allow, deny } }, n);
        expect(source.kind).toBe(rankOf(allow, n) > rankOf(deny, n) ? "upstream" : "denied");
      }),
    );
  });

  it("the order of entries and patterns is irrelevant", () => {
    fc.assert(
      fc.property(project, name, (p, n) => {
        const turned: Project = {
          indices: new Map(
            [...p.indices].toReversed().map(([alias, entry]) => [alias, { ...entry, packages: entry.packages.toReversed() }]),
          ),
          upstream: { allow: p.upstream.allow.toReversed(), deny: p.upstream.deny.toReversed() },
        };
        expect(sourceOf(turned, n)).toEqual(sourceOf(p, n));
      }),
    );
  });

  it("X2 two indices that claim one pattern are refused, both named; otherwise never", () => {
    fc.assert(
      fc.property(project, fc.constantFrom(...PATTERNS), (p, pattern) => {
        expect(() => requireNoConflicts(p)).not.toThrow();
        const doubled: Project = { ...p, indices: new Map(["dora", "emil"].map((alias) => [alias as DisplayName, indexOf([pattern])])) };
        expect(() => requireNoConflicts(doubled)).toThrow(
          expect.objectContaining({ code: "CLAIMS_CONFLICT", exitCode: 3, message: expect.stringMatching(/dora and emil/) }),
        );
      }),
    );
  });

  it("a scope is claimed by any claim within it", () => {
    fc.assert(
      fc.property(project, (p) => {
        const ownerOf = scopeOwners(p);
        for (const n of NAMES.filter((one) => one.startsWith("@"))) {
          const claims = [...p.indices.values()].flatMap(({ packages }) => packages);
          if (rankOf(claims, n) >= 2) expect(ownerOf(n.slice(0, n.indexOf("/")))).not.toBeNull();
        }
        const claims = [...p.indices.values()].flatMap(({ packages }) => packages);
        const isClaimed = claims.some((pattern) => pattern === "*" || pattern.startsWith("@nowhere/"));
        expect(ownerOf("@nowhere") !== null).toBe(isClaimed);
      }),
    );
  });

  it("names that only look alike share nothing: @al/ice is not in @alice, an inherited name is not claimed", () => {
    const p: Project = {
      indices: new Map([["alice" as DisplayName, indexOf(["@alice/*" as PackagePattern])]]),
      upstream: { allow: ["*" as PackagePattern], deny: [] },
    };
    for (const n of ["@al/ice", "@alicea/x", "alice", "constructor"]) expect(sourceOf(p, n as PackageName).kind).toBe("upstream");
  });
});
