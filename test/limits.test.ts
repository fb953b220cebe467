/**
 * Every cap of the flat table, at its edge: what is just within it is taken (or refused for another reason), what is just beyond
 * it is refused for it. A key that is in neither list fails; so does a test that is named here and is not there.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FORMAT_LIMITS, LIMITS } from "../src/format/limits.ts";
import { DOCUMENTS } from "./limits/documents.ts";
import { type Edges, verdict } from "./limits/edge.ts";
import { GIT } from "./limits/git.ts";
import { PACKAGES } from "./limits/packages.ts";
import { REQUESTS } from "./limits/requests.ts";

const DIRECT: Edges = { ...DOCUMENTS, ...GIT, ...PACKAGES, ...REQUESTS };

/** Where an edge needs a host or a clock: the test that has them, with the cap lowered. */
const ELSEWHERE: Partial<Record<keyof typeof LIMITS, readonly [file: string, title: string]>> = {};

describe("every cap", () => {
  it.each(Object.entries(DIRECT))("%s: what is within it is not refused for it, what is one more is", async (_, { at, within = /^ok$/, beyond, says }) => {
    const taken = await verdict(at);
    expect(taken).toMatch(within);
    expect(taken).not.toMatch(says);
    expect(await verdict(beyond)).toMatch(says);
  });

  it.each(Object.entries(ELSEWHERE))("%s: its test is there", (_, [file, title]) => {
    expect(readFileSync(new URL(file, import.meta.url), "utf8")).toContain(title);
  });

  it("is in one of the two lists", () => {
    const covered = [...Object.keys(DIRECT), ...Object.keys(ELSEWHERE)];
    expect(Object.keys(LIMITS).filter((limit) => !covered.includes(limit))).toEqual([]);
    expect(Object.keys(FORMAT_LIMITS).every((limit) => limit in LIMITS)).toBe(true);
  });
});
