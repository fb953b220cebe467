/** Second thoughts, as pure functions: what a record may become. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isImprintError } from "../../src/errors.ts";
import type { FileHash, IndexId } from "../../src/format/digest.ts";
import { encodeRecord, type PackageRecord, parseRecord } from "../../src/format/record.ts";
import { formatEnvelope } from "../../src/format/envelope.ts";
import type { PackageName } from "../../src/format/names.ts";
import { type DistTag, type Version } from "../../src/format/versions.ts";
import { addTag, amendRecord, type Amendment, matchVersions, parsePackageSpec, removeTag } from "../../src/index/amend.ts";
import { requireNoRegress } from "../../src/index/memory.ts";

const NAME = "@alice/x" as PackageName;
const ALL = ["1.0.0", "1.0.1", "1.1.0", "1.2.0-beta.1", "1.2.0"] as const;

function record(more: Partial<Record<"yanked" | "deprecated" | "withdrawn" | "tags", Record<string, string>>> = {}): PackageRecord {
  const map = <K extends string, V extends string>(from: Record<string, string> = {}): ReadonlyMap<K, V> =>
    new Map(Object.entries(from)) as unknown as ReadonlyMap<K, V>;
  return {
    index: "0".repeat(64) as IndexId,
    name: NAME,
    revision: 7,
    releases: new Map(ALL.filter((v) => more.withdrawn?.[v] === undefined).map((v, i) => [v as Version, String(i).repeat(64) as FileHash])),
    withdrawn: map(more.withdrawn),
    yanked: map(more.yanked),
    deprecated: map(more.deprecated),
    tags: map({ latest: "1.2.0", ...more.tags }),
  };
}

const spec = (range: string | null): ReturnType<typeof parsePackageSpec> => parsePackageSpec(range === null ? NAME : `${NAME}@${range}`);
const codeOf = (run: () => unknown): string => {
  try {
    run();
    return "none";
  } catch (error) {
    return isImprintError(error) ? error.code : String(error);
  }
};

describe("specs", () => {
  it.each([
    [null, [...ALL]],
    ["1.0.1", ["1.0.1"]],
    ["<1.2", ["1.0.0", "1.0.1", "1.1.0"]],
    ["<1.2.0", ["1.0.0", "1.0.1", "1.1.0", "1.2.0-beta.1"]],
    ["^1.1.0", ["1.1.0", "1.2.0-beta.1", "1.2.0"]],
    ["1.0.0 || 1.2.0", ["1.0.0", "1.2.0"]],
    ["*", [...ALL]],
  ])("%s means %j", (range, versions) => {
    expect(matchVersions(record(), spec(range))).toEqual(versions);
  });

  it.each([
    ["@alice/x@", "USAGE"],
    ["@alice/x@latest", "USAGE"],
    ["@alice/x@ ", "USAGE"],
    [`@alice/x@${"1 ||".repeat(200)}`, "USAGE"],
    ["@alice", "INVALID_NAME"],
    ["../x@1", "INVALID_NAME"],
  ])("%s is refused (%s)", (text, code) => {
    expect(codeOf(() => parsePackageSpec(text))).toBe(code);
  });

  it("says of a withdrawn version that it is withdrawn", () => {
    const withdrawn = record({ withdrawn: { "1.0.1": "" } });
    expect(() => matchVersions(withdrawn, spec("1.0.1"))).toThrow(/1\.0\.1 is withdrawn/);
    expect(() => matchVersions(withdrawn, spec("9"))).toThrow(/no release matches/);
  });
});

describe("amendments", () => {
  it("yanks, and takes it back", () => {
    const yanked = amendRecord(record(), spec("<1.1"), { kind: "yank", reason: "broken" });
    expect([...yanked.record.yanked]).toEqual([
      ["1.0.0", "broken"],
      ["1.0.1", "broken"],
    ]);
    const back = amendRecord(yanked.record, spec(null), { kind: "unyank" });
    expect([back.versions, back.record.yanked.size]).toEqual([["1.0.0", "1.0.1"], 0]);
    expect(amendRecord(yanked.record, spec("<1.1"), { kind: "yank", reason: "broken" }).versions).toEqual([]);
  });

  it("leaves latest on nothing that is taken back, and says what to move it to", () => {
    for (const kind of ["yank", "withdraw"] as const) {
      expect(codeOf(() => amendRecord(record(), spec("1.2.0"), { kind, reason: "" }))).toBe("TAG_REFUSED");
      expect(() => amendRecord(record(), spec("1.2.0"), { kind, reason: "" })).toThrow(
        /imprint tag add '@alice\/x@1\.2\.0-beta\.1' latest/,
      );
    }
    expect(() => amendRecord(record(), spec("*"), { kind: "yank", reason: "" })).toThrow(/publish another release first/);
    const moved = addTag(record(), "1.1.0" as Version, "latest" as DistTag);
    expect(moved.from).toBe("1.2.0");
    expect(amendRecord(moved.record, spec("1.2.0"), { kind: "yank", reason: "" }).versions).toEqual(["1.2.0"]);
  });

  it("withdraws out of every list, with the tags that pointed there; all of it too", () => {
    const before = record({ yanked: { "1.0.1": "x" }, deprecated: { "1.0.1": "y" }, tags: { old: "1.0.1" } });
    const { record: after, droppedTags } = amendRecord(before, spec("1.0.1"), { kind: "withdraw", reason: "a secret in it" });
    expect([after.releases.has("1.0.1" as Version), after.yanked.size, after.deprecated.size]).toEqual([false, 0, 0]);
    expect([...after.withdrawn]).toEqual([["1.0.1", "a secret in it"]]);
    expect(droppedTags).toEqual(["old"]);
    const nothing = amendRecord(before, spec(null), { kind: "withdraw", reason: "" }).record;
    expect([nothing.releases.size, nothing.tags.size]).toEqual([0, 0]);
  });

  it("deprecates, and an empty message undoes it", () => {
    const deprecated = amendRecord(record(), spec(null), { kind: "deprecate", message: "use y" });
    expect(deprecated.versions).toHaveLength(5);
    const undone = amendRecord(deprecated.record, spec("<1.2"), { kind: "deprecate", message: "" });
    expect([...undone.record.deprecated.keys()]).toEqual(["1.2.0-beta.1", "1.2.0"]);
  });

  it("tags only what is offered, and never removes latest", () => {
    const before = record({ yanked: { "1.0.0": "" }, tags: { beta: "1.2.0-beta.1" } });
    expect(codeOf(() => addTag(before, "1.0.0" as Version, "old" as DistTag))).toBe("TAG_REFUSED");
    expect(codeOf(() => addTag(before, "3.0.0" as Version, "old" as DistTag))).toBe("NOT_FOUND");
    expect(codeOf(() => removeTag(before, "latest" as DistTag))).toBe("TAG_REFUSED");
    expect(codeOf(() => removeTag(before, "gamma" as DistTag))).toBe("NOT_FOUND");
    expect([...removeTag(before, "beta" as DistTag).record.tags.keys()]).toEqual(["latest"]);
  });

  it("whatever is done in whatever order, the record stays valid and no reader sees a regress", () => {
    const amendment: fc.Arbitrary<Amendment> = fc.oneof(
      fc.record({ kind: fc.constantFrom("yank" as const, "withdraw" as const), reason: fc.string({ maxLength: 5 }) }),
      fc.constant({ kind: "unyank" as const }),
      fc.record({ kind: fc.constant("deprecate" as const), message: fc.constantFrom("", "old") }),
    );
    const step = fc.oneof(
      fc.record({ range: fc.constantFrom(null, "1.0.1", "<1.2", "1.2.0", "*", "1.1.0"), amendment }),
      fc.record({ tag: fc.constantFrom("latest", "beta"), to: fc.constantFrom(...ALL, null) }),
    );
    const signed = (doc: PackageRecord): ReturnType<typeof parseRecord> => parseRecord(formatEnvelope(encodeRecord(doc), []));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let now = record();
        for (const [i, todo] of steps.entries()) {
          let next: PackageRecord;
          try {
            next =
              "tag" in todo
                ? todo.to === null
                  ? removeTag(now, todo.tag as DistTag).record
                  : addTag(now, todo.to as Version, todo.tag as DistTag).record
                : amendRecord(now, spec(todo.range), todo.amendment).record;
          } catch (error) {
            if (!isImprintError(error, "TAG_REFUSED", "NOT_FOUND")) throw error;
            continue;
          }
          next = { ...next, revision: 8 + i };
          requireNoRegress(signed(now), signed(next));
          const latest = next.tags.get("latest" as DistTag);
          expect(latest === undefined ? next.releases.size : Number(next.yanked.has(latest))).toBe(0);
          now = next;
        }
      }),
    );
  });
});
