/**
 * Every cap of the flat table, at its edge: what is just within it is taken (or refused for another reason), what is just beyond
 * it is refused for it. A key that is in neither list fails; so does a test that is named here and is not there.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FORMAT_LIMITS, LIMITS } from "../src/format/limits.ts";
import { DOCUMENTS } from "./limits/documents.ts";
import { type Edges, verdict } from "./limits/edge.ts";
import { GIT } from "./limits/git.ts";
import { PACKAGES } from "./limits/packages.ts";
import { REQUESTS } from "./limits/requests.ts";

const DIRECT: Edges = { ...DOCUMENTS, ...GIT, ...PACKAGES, ...REQUESTS };

/** Where an edge needs a host or a clock: the test that has them, with the cap lowered. */
const ELSEWHERE: Partial<Record<keyof typeof LIMITS, readonly [file: string, title: string]>> = {
  packageReleases: ["./index/too-much.test.ts", "R1 so many releases are a package, and one more are none"],
  packageReleasesBytes: ["./index/too-much.test.ts", "R1 an author is told before it is signed: a package that is full takes no more"],
  transferMs: ["./git/contract.ts", "T9 a host that trickles meets the deadline, and another host is not held up"],
  pushReportBytes: ["./git/isomorphic.test.ts", "T8 a report of the most bytes that it may have, and %i more"],
  refListingBytes: ["./git/isomorphic.test.ts", "a list of refs may be larger than a pack, up to a cap of its own"],
  keptRefBytes: ["./git/hostile-hosts.test.ts", "T15 a list of refs without end, by %s: cut off before it is stored"],
  gitListingBytes: ["./git/hostile-hosts.test.ts", "T15 a look at branches and at HEAD, by %s"],
  gitTalkResidentBytes: ["./git/hostile-hosts.test.ts", "T15 refs without end once they were listed well"],
  gitPackResidentBytes: ["./git/hostile-hosts.test.ts", "T15 a reader's sync takes no more memory than a reader's sync needs"],
  importPackages: ["./registry/import-hostile.test.ts", "I2 as many packages as the limit are taken, one more is not"],
  importDocumentBytes: [
    "./registry/import-hostile.test.ts",
    "I2 a document of as many bytes and values as the limits are taken, one more is not",
  ],
  importDocumentValues: [
    "./registry/import-hostile.test.ts",
    "I2 a document of as many bytes and values as the limits are taken, one more is not",
  ],
  importDependencies: ["./registry/import-hostile.test.ts", "I2 one version with thousands of dependencies"],
  importHeldBytes: ["./registry/import-hostile.test.ts", "I2 what is held of packuments has a bound; others are read again from the disk"],
  importUnpackedBytes: ["./registry/import-hostile.test.ts", "I2 a tarball that the resolver opens unpacks to too much"],
  importBytes: ["./registry/import-hostile.test.ts", "I2 everything together"],
  importResolveMs: ["./registry/import-hostile.test.ts", "I2 a resolver that does not end is given up"],
  gitRedirects: ["./git/isomorphic.test.ts", "five redirects of the first request are followed, six are not"],
  gitStallMs: ["./git/isomorphic.test.ts", "T9 a host that falls silent in the middle of its answer is given up long before the deadline"],
  downloadRedirects: ["./storage/download.test.ts", "redirects are followed, five at most"],
  sparseDocumentMs: ["./index/sparse.test.ts", "T9 one byte a second ends at the deadline, in the checkpoint and in a file"],
  sparseIdleMs: ["./storage/download.test.ts", "silence before the headers, silence in the body, and a trickle are TIMED_OUT"],
  tarballMs: ["./storage/download.test.ts", "silence before the headers, silence in the body, and a trickle are TIMED_OUT"],
  tarballIdleMs: ["./storage/download.test.ts", "silence before the headers, silence in the body, and a trickle are TIMED_OUT"],
  validatorBytes: ["./storage/cell.test.ts", "a value over maxBytes is TOO_LARGE"],
  memoryBytes: ["./storage/cell.test.ts", "a value over maxBytes is TOO_LARGE"],
  stateBytes: ["./storage/cell.test.ts", "a value over maxBytes is TOO_LARGE"],
  mirrorWaitMs: ["./index/mirrors.test.ts", "T9 a first address that never answers costs two seconds"],
  mirrors: ["./index/mirrors.test.ts", "T8 are eight at most, whatever the root names"],
  upstreamConnectMs: ["./registry/upstream-times.test.ts", "T9 a connection that does not stand in time is given up"],
  upstreamIdleMs: ["./registry/upstream-times.test.ts", "T9 silence before the headers or in the body ends an answer"],
  upstreamDocumentMs: ["./registry/upstream-times.test.ts", "T9 a document that comes piece by piece ends at its deadline"],
  upstreamTarballMs: ["./registry/upstream-times.test.ts", "T9 a tarball has a deadline of its own"],
  upstreamRedirects: ["./registry/upstream-places.test.ts", "redirects within upstream's own origin are followed, five at most"],
  resolvers: ["./registry/upstream-proxy.test.ts", "eight resolvers in a row are one too many"],
};

describe("every cap", () => {
  it.each(Object.entries(DIRECT))(
    "%s: what is within it is not refused for it, what is one more is",
    async (_, { at, within = /^ok$/, beyond, says }) => {
      const taken = await verdict(at);
      expect(taken).toMatch(within);
      expect(taken).not.toMatch(says);
      expect(await verdict(beyond)).toMatch(says);
    },
  );

  it.each(Object.entries(ELSEWHERE))("%s: its test is there", (_, [file, title]) => {
    expect(readFileSync(new URL(file, import.meta.url), "utf8")).toContain(title);
  });

  it("is used", () => {
    const src = new URL("../src/", import.meta.url);
    const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
    const text = files.map((file) => readFileSync(new URL(file, src), "utf8")).join("\n");
    expect(Object.keys(LIMITS).filter((limit) => !new RegExp(`\\bLIMITS\\.${limit}\\b`).test(text))).toEqual([]);
  });

  it("is in one of the two lists", () => {
    const covered = [...Object.keys(DIRECT), ...Object.keys(ELSEWHERE)];
    expect(Object.keys(LIMITS).filter((limit) => !covered.includes(limit))).toEqual([]);
    expect(Object.keys(FORMAT_LIMITS).every((limit) => limit in LIMITS)).toBe(true);
  });
});
