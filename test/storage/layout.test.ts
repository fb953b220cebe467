import { join } from "node:path";
import { expect, test } from "vitest";
import { layoutFrom } from "../../src/storage/layout.ts";

const platform = { config: "/c", cache: "/k", data: "/d" };

test("IMPRINT_HOME holds everything", () => {
  const layout = layoutFrom({ IMPRINT_HOME: "/home/i" }, platform);
  expect(layout.keyFile("alice", "root")).toBe(join("/home/i/config/keys/alice.root.json"));
  expect(layout.repository("ab")).toBe(join("/home/i/cache/v1/git/ab.git"));
  expect(layout.wholeRepository("ab")).toBe(join("/home/i/cache/v1/git/ab.whole.git"));
  expect(layout.recordMemory("ab", "3f/@alice+foo")).toBe(join("/home/i/state/v1/records/ab/3f/@alice+foo"));
});

test.each([{}, { IMPRINT_HOME: "" }])("without it, the platform's folders: %j", (env) => {
  const layout = layoutFrom(env, platform);
  expect(layout.keyFile("alice", "daily")).toBe(join("/c/keys/alice.daily.json"));
  expect(layout.ownIndicesFile).toBe(join("/c/indices.json"));
  expect(layout.trustedState("ab")).toBe(join("/d/v1/trust/ab"));
  expect(layout.evidence("ab")).toBe(join("/d/v1/evidence/ab"));
  expect(layout.resolvers).toBe(join("/d/v1/resolvers"));
  expect([layout.blobs, layout.upstream]).toEqual([join("/k/v1/blobs"), join("/k/v1/upstream")]);
});
