import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/format/json.ts";
import { inspectTarball } from "../../src/pack/inspect.ts";
import { MANIFEST_FIELDS } from "../../src/format/release.ts";
import { differingFields, equalManifests, manifestOf } from "../../src/pack/manifest.ts";
import { makePackage, makeTarball } from "../support/tarball.ts";

/** Fields that have to be in a shape that every client reads. */
const SHAPED: Readonly<Record<string, unknown>> = {
  dependencies: { a: "1" },
  optionalDependencies: { b: "1" },
  peerDependencies: { c: "1" },
  acceptDependencies: { d: "1" },
  peerDependenciesMeta: { c: { optional: true } },
  bin: { e: "x" },
  bundleDependencies: ["x"],
  bundledDependencies: ["x"],
  os: ["any"],
  cpu: "any",
  libc: ["any"],
};
const NONE = { hasShrinkwrap: false, hasBindingGyp: false, bundlesScripts: false };

async function manifestIn(packageJson: Record<string, unknown>, files: Record<string, string> = {}): Promise<JsonObject> {
  return (await inspectTarball(await makePackage(packageJson, files))).manifest;
}

describe("T10 manifest of a tarball", () => {
  test("T10 the fields of the format, verbatim, and no others", async () => {
    const all = Object.fromEntries(MANIFEST_FIELDS.map((field, i) => [field, SHAPED[field] ?? { [`x${i}`]: [i, "é", null, true] }]));
    expect({ ...(await manifestIn({ ...all, scripts: { test: "x" }, main: "index.js", dist: { tarball: "x" } })) }).toEqual({
      ...all,
      hasShrinkwrap: false,
      hasInstallScript: false,
    });
    expect(MANIFEST_FIELDS).toHaveLength(21);
  });

  test("T10 absent where absent, and never normalised", async () => {
    expect({ ...(await manifestIn({ bin: "./x", license: null, funding: [] })) }).toEqual({
      bin: "./x",
      license: null,
      funding: [],
      hasShrinkwrap: false,
      hasInstallScript: false,
    });
  });

  test.each(["preinstall", "install", "postinstall"])("T10 script %s counts as an install script", async (script) => {
    expect(await manifestIn({ scripts: { [script]: "node x" } })).toMatchObject({ hasInstallScript: true });
    expect(await manifestIn({ scripts: { [script]: "" } })).toMatchObject({ hasInstallScript: false });
    expect(await manifestIn({ scripts: { [script]: ["node x"] } })).toMatchObject({ hasInstallScript: true });
    expect(await manifestIn({ [script]: "node x" })).toMatchObject({ hasInstallScript: false });
  });

  test("T10 binding.gyp and npm-shrinkwrap.json count at the top only", async () => {
    expect(await manifestIn({}, { "binding.gyp": "", "npm-shrinkwrap.json": "{}" })).toMatchObject({
      hasInstallScript: true,
      hasShrinkwrap: true,
    });
    expect(await manifestIn({}, { "a/binding.gyp": "", "a/npm-shrinkwrap.json": "{}" })).toMatchObject({
      hasInstallScript: false,
      hasShrinkwrap: false,
    });
  });

  test("T10 each changed field makes manifests differ, and is named", () => {
    const base = { dependencies: { a: "1", b: "2" }, bin: { x: "./x" } };
    const manifest = manifestOf(base, NONE);
    expect(equalManifests(manifest, manifestOf({ bin: { x: "./x" }, dependencies: { b: "2", a: "1" } }, NONE))).toBe(true);
    const others: readonly (readonly [JsonObject, string])[] = [
      [manifestOf({ ...base, dependencies: { a: "1" } }, NONE), "dependencies"],
      [manifestOf({ ...base, dependencies: { a: "1", b: "2", c: "3" } }, NONE), "dependencies"],
      [manifestOf({ ...base, bin: "./x" }, NONE), "bin"],
      [manifestOf({ ...base, os: ["linux"] }, NONE), "os"],
      [manifestOf({ dependencies: base.dependencies }, NONE), "bin"],
      [manifestOf({ ...base, scripts: { install: "x" } }, NONE), "hasInstallScript"],
      [manifestOf(base, { ...NONE, hasBindingGyp: true }), "hasInstallScript"],
      [manifestOf(base, { ...NONE, bundlesScripts: true }), "hasInstallScript"],
      [manifestOf(base, { ...NONE, hasShrinkwrap: true }), "hasShrinkwrap"],
      [{ ...manifest, extra: 1 }, "extra"],
    ];
    for (const [other, field] of others) {
      expect(equalManifests(manifest, other)).toBe(false);
      expect(differingFields(manifest, other)).toEqual([field]);
    }
    expect(differingFields(manifest, manifest)).toEqual([]);
  });

  test("T10 keys like those of Object are told from absent ones", () => {
    const withKey = manifestOf({ dependencies: JSON.parse('{"__proto__":"1"}') as JsonObject }, NONE);
    expect(equalManifests(withKey, manifestOf({ dependencies: {} }, NONE))).toBe(false);
    expect(differingFields({ constructor: "x" }, {})).toEqual(["constructor"]);
  });

  test("T10 equality is that of the values", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: "grapheme" }), fc.array(fc.nat())),
        fc.dictionary(fc.string({ unit: "grapheme" }), fc.array(fc.nat())),
        (a, b) => {
          const one = manifestOf({ dependencies: a as JsonObject }, NONE);
          const two = manifestOf({ dependencies: b as JsonObject }, NONE);
          const sorted = (from: Record<string, unknown>): string =>
            JSON.stringify(Object.entries(from).sort(([x], [y]) => (x < y ? -1 : 1)));
          expect(equalManifests(one, two)).toBe(sorted(a) === sorted(b));
          expect(equalManifests(one, one)).toBe(true);
        },
      ),
    );
  });
});

describe("J1 what a release document can't carry", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["a fraction", "0.1"],
    ["a negative number", "-1"],
    ["minus zero", "-0"],
    ["2^54", "18014398509481984"],
    ["infinity", "1e400"],
    ["a lone surrogate", '"\\ud800"'],
    ["a lone surrogate as key", '{"\\udc00":1}'],
    ["30 levels", `${"[".repeat(30)}${"]".repeat(30)}`],
  ];
  test.each(cases)("J1 %s is refused in a field that is signed, and nowhere else", async (_, text) => {
    const signed = await makeTarball({ "package.json": `{"author":{"x":[${text}]}}` });
    await expect(inspectTarball(signed)).rejects.toMatchObject({
      code: "TARBALL_REFUSED",
      message: expect.stringContaining("author") as string,
    });
    const other = await makeTarball({ "package.json": `{"config":{"x":[${text}]}}` });
    expect((await inspectTarball(other)).fileCount).toBe(1);
  });

  test("J1 29 levels and big manifests up to a release's size", async () => {
    expect((await inspectTarball(await makeTarball({ "package.json": `{"author":${"[".repeat(29)}${"]".repeat(29)}}` }))).fileCount).toBe(
      1,
    );
    const big = await makeTarball({ "package.json": JSON.stringify({ description: "x".repeat(1_000_000) }) });
    await expect(inspectTarball(big)).rejects.toMatchObject({
      code: "TARBALL_REFUSED",
      message: expect.stringContaining("too many for a release") as string,
    });
  });
});
