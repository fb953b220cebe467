/** imprint.lock between branches: a floor that is only ever raised. */
import { describe, expect, it } from "vitest";
import { utf8, textOf } from "../../src/format/bytes.ts";
import { sidesOfConflict } from "../../src/format/conflict.ts";
import type { DisplayName } from "../../src/format/decode.ts";
import type { Digest, IndexId } from "../../src/format/digest.ts";
import { formatLock, type LockEntry, parseLock, raiseLock } from "../../src/format/project.ts";

const ALICE = "alice" as DisplayName;
const entry = (seq: number, version = 1, id = "1"): LockEntry => ({
  id: id.repeat(64) as IndexId,
  root: { version, digest: String(version).repeat(64) as Digest },
  seq,
  checkpoint: "c".repeat(64) as Digest,
});
const textOfLock = (one: LockEntry, alias = ALICE): string => textOf(formatLock(new Map([[alias, one]]))) ?? "";

/** As git writes it: the lines that differ, between markers. */
function conflict(ours: string, theirs: string, base: string | null = null): string {
  const [a, b] = [ours.split("\n"), theirs.split("\n")];
  const start = a.findIndex((line, i) => line !== b[i]);
  let end = 0;
  while (a.at(-1 - end) === b.at(-1 - end)) end++;
  const middle = (lines: readonly string[]): string[] => lines.slice(start, lines.length - end);
  const hunk = [
    "<<<<<<< HEAD",
    ...middle(a),
    ...(base === null ? [] : ["||||||| merged common ancestors", base]),
    "=======",
    ...middle(b),
    ">>>>>>> topic",
  ];
  return [...a.slice(0, start), ...hunk, ...a.slice(a.length - end)].join("\n");
}

describe("L2 locks in conflict", () => {
  it.each([
    ["a higher seq of theirs", entry(5), entry(9), 9],
    ["a higher seq of ours", entry(9), entry(5), 9],
    ["a higher root, whatever its seq", entry(9, 1), entry(5, 2), 5],
  ])("L2 %s: the higher holds", (_, ours, theirs, seq) => {
    for (const base of [null, "  nobody's"])
      expect(parseLock(utf8(conflict(textOfLock(ours), textOfLock(theirs), base))).get(ALICE)?.seq).toBe(seq);
  });

  it("L2 an index that only one side has stays", () => {
    const bob = "bob" as DisplayName;
    expect([...parseLock(utf8(conflict(textOfLock(entry(1)), textOfLock(entry(2), bob)))).keys()]).toEqual([ALICE, bob]);
  });

  it("L2 two ids under one name are for a person to choose", () => {
    expect(() => parseLock(utf8(conflict(textOfLock(entry(1)), textOfLock(entry(1, 1, "2")))), "the.lock")).toThrow(
      /the\.lock: its two sides pin different indices as alice/,
    );
  });

  it("markers that are not git's are refused at their place", () => {
    for (const text of [
      "<<<<<<< a\n{}\n",
      "{\n=======\n}\n",
      "<<<<<<< a\n<<<<<<< b\n=======\n>>>>>>> c\n",
      "|||||||\n",
      ">>>>>>> a\n",
      "{}",
    ])
      expect([text, sidesOfConflict(text)]).toEqual([text, null]);
    expect(() => parseLock(utf8("<<<<<<< ours\n{}\n"))).toThrow(/conflict marker/);
    expect(() => parseLock(new Uint8Array([0xff]))).toThrow(/not UTF-8/);
    expect(() => parseLock(new Uint8Array(16 * 1024 * 1024))).toThrow(/larger than/);
  });

  it("a floor is never lowered", () => {
    const high = new Map([[ALICE, entry(9)]]);
    expect(raiseLock(high, ALICE, entry(5))).toBe(high);
    expect(raiseLock(high, ALICE, entry(10)).get(ALICE)?.seq).toBe(10);
    expect(raiseLock(high, ALICE, entry(1, 1, "2")).get(ALICE)?.seq).toBe(1);
  });
});
