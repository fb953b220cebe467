/** Packages of a workspace among themselves: order, and what nobody could install. */
import { expect, test } from "vitest";
import fc from "fast-check";
import { inDependencyOrder, type Sibling, siblingGaps } from "../../src/pack/order.ts";
import type { JsonObject } from "../../src/format/json.ts";

const NAMES = ["a", "b", "c", "d", "e", "f"];
const one = (name: string, packageJson: JsonObject = {}): { name: string; packageJson: JsonObject } => ({ name, packageJson });
const order = (...packages: ReturnType<typeof one>[]): string =>
  inDependencyOrder(packages)
    .map(({ name }) => name)
    .join("");

test("what is needed comes first, by any field and behind any alias; else as given", () => {
  expect(order(one("a", { dependencies: { b: "^1" } }), one("b"))).toBe("ba");
  expect(order(one("a", { optionalDependencies: { c: "^1" } }), one("b"), one("c"))).toBe("cab");
  expect(order(one("a", { peerDependencies: { b: "^1" } }), one("b", { devDependencies: { c: "^1" } }), one("c"))).toBe("cba");
  expect(order(one("a", { dependencies: { x: "npm:b@^1" } }), one("b"))).toBe("ba");
  expect(order(one("a", { dependencies: { elsewhere: "^1", b: 5 }, devDependencies: 7 }), one("b"))).toBe("ab");
});

test("a circle is no reason to hang or to lose one", () => {
  expect(order(one("a", { dependencies: { b: "^1" } }), one("b", { dependencies: { a: "^1" } }))).toBe("ba");
  expect(order(one("a", { dependencies: { a: "^1" } }))).toBe("a");
  const name = fc.constantFrom(...NAMES);
  fc.assert(
    fc.property(fc.array(fc.tuple(name, name), { maxLength: 30 }), (edges) => {
      const packages = NAMES.map((from) =>
        one(from, { dependencies: Object.fromEntries(edges.filter(([edge]) => edge === from).map(([, to]) => [to, "*"])) }),
      );
      const ordered = inDependencyOrder(packages).map((entry) => entry.name);
      expect(ordered.toSorted().join("")).toBe(NAMES.join(""));
      // Where no circle can be, nothing comes before what it needs.
      const forward = packages.map((entry) =>
        one(entry.name, {
          dependencies: Object.fromEntries(edges.filter(([from, to]) => from === entry.name && to < from).map(([, to]) => [to, "*"])),
        }),
      );
      const sorted = inDependencyOrder(forward).map((entry) => entry.name);
      for (const [from, to] of edges) if (to < from) expect(sorted.indexOf(to)).toBeLessThan(sorted.indexOf(from));
    }),
  );
});

const sibling = (version: string | null, available: readonly string[] = []): Sibling => ({
  version,
  available,
  why: "it is private",
  isElsewhere: false,
});
const gaps = (packageJson: JsonObject, b: Sibling): readonly string[] =>
  siblingGaps([one("a", packageJson)], new Map([["b", b]])).map(({ text }) => text);

test.each<readonly [string, JsonObject, Sibling, number]>([
  ["not there", { dependencies: { b: "^1.2.0" } }, sibling("1.2.0"), 1],
  ["an optional one not there", { optionalDependencies: { b: "^1.2.0" } }, sibling("1.2.0"), 1],
  ["a peer not there", { peerDependencies: { b: "^1.2.0" } }, sibling("1.2.0"), 1],
  ["behind an alias, not there", { dependencies: { x: "npm:b@^1.2.0" } }, sibling("1.2.0"), 1],
  ["only older ones there", { dependencies: { b: "^1.2.0" } }, sibling("1.2.0", ["1.1.0"]), 1],
  ["there", { dependencies: { b: "^1.2.0" } }, sibling("1.2.0", ["1.2.0"]), 0],
  ["another that does", { dependencies: { b: "^1.2.0" } }, sibling("1.2.1", ["1.2.0"]), 0],
  ["a range that the workspace does not meet", { dependencies: { b: "^0.9.0" } }, sibling("1.2.0"), 0],
  ["no version in the workspace", { dependencies: { b: "^1.2.0" } }, sibling(null), 0],
  ["no range at all", { dependencies: { b: "next" } }, sibling("1.2.0"), 0],
  ["only for development", { devDependencies: { b: "^1.2.0" } }, sibling("1.2.0"), 0],
  [
    "a peer that may be missing",
    { peerDependencies: { b: "^1.2.0" }, peerDependenciesMeta: { b: { optional: true } } },
    sibling("1.2.0"),
    0,
  ],
  ["packed along", { dependencies: { b: "^1.2.0" }, bundleDependencies: ["b"] }, sibling("1.2.0"), 0],
  ["all packed along", { dependencies: { b: "^1.2.0" }, bundledDependencies: true }, sibling("1.2.0"), 0],
  ["another name", { dependencies: { c: "^1.2.0" } }, sibling("1.2.0"), 0],
])("siblings: %s", (_, packageJson, b, count) => {
  expect(gaps(packageJson, b)).toHaveLength(count);
  if (count === 1) expect(gaps(packageJson, b)).toEqual(["a depends on b@^1.2.0: it is private"]);
});
