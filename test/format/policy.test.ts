/** What a policy's digest depends on, and what it does not. */
import { expect, it } from "vitest";
import { isPolicy, policyOf } from "../../src/format/policy.ts";
import { EMPTY_PROJECT, type Project } from "../../src/format/project.ts";

const entry = (id: string, ...packages: string[]): object => ({
  id: id.repeat(64),
  urls: ["https://git.example.org/x.git"],
  ref: "main",
  packages,
});
const project = (indices: readonly (readonly [string, object])[], rest: object = {}): Project =>
  ({ ...EMPTY_PROJECT, indices: new Map(indices), ...rest }) as unknown as Project;
const [a, b] = [entry("a", "@a/*", "a"), entry("b", "@b/*")];

it("the order and the aliases of indices are each project's own", () => {
  const policy = policyOf(
    project([
      ["one", a],
      ["two", b],
    ]),
  );
  expect(isPolicy(policy)).toBe(true);
  expect(
    policyOf(
      project([
        ["two", b],
        ["one", a],
      ]),
    ),
  ).toBe(policy);
  expect(
    policyOf(
      project([
        ["x", entry("a", "a", "@a/*")],
        ["y", b],
      ]),
    ),
  ).toBe(policy);
  expect(policyOf(project([["one", a]]))).not.toBe(policy);
});

it("agreements, overlays and rules of the public registry count; an alias that no index has stands for itself", () => {
  const agree = (of: readonly string[]): object => ({ agree: { names: ["x"], of, threshold: 1 } });
  const policies = [
    {},
    agree(["one"]),
    agree(["two"]),
    agree(["nobody"]),
    { overlay: ["x"] },
    { upstream: { allow: [], deny: ["x"], registry: "https://registry.example.org/" } },
  ].map((rest) =>
    policyOf(
      project(
        [
          ["one", a],
          ["two", b],
        ],
        rest,
      ),
    ),
  );
  expect(new Set(policies).size).toBe(policies.length);
});

it("nothing but 20 lower-case hex digits is one", () => {
  for (const text of ["", "0".repeat(19), "0".repeat(21), "A".repeat(20), `${"0".repeat(19)}g`]) expect(isPolicy(text)).toBe(false);
});
