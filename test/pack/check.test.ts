import { describe, expect, test } from "vitest";
import { isImprintError } from "../../src/errors.ts";
import { parsePackageName } from "../../src/format/names.ts";
import { checkPublishable, publishProblems } from "../../src/pack/check.ts";
import type { PublishOptions } from "../../src/pack/check.ts";
import { inspectTarball } from "../../src/pack/inspect.ts";
import { makeTarball } from "../support/tarball.ts";

type Check = { readonly problems: readonly string[]; readonly warnings: readonly string[] };

/** A package of these files, `package.json` made of `fields`. */
async function check(
  fields: Record<string, unknown>,
  files: readonly string[] = ["index.js"],
  options: PublishOptions = {},
): Promise<Check> {
  const packageJson = JSON.stringify({ name: "@alice/hello", version: "1.0.0", ...fields });
  const facts = await inspectTarball(
    await makeTarball({ "package.json": packageJson, ...Object.fromEntries(files.map((file) => [file, ""])) }),
  );
  return publishProblems(facts, options);
}

async function problems(fields: Record<string, unknown>, files?: readonly string[], options?: PublishOptions): Promise<readonly string[]> {
  return (await check(fields, files, options)).problems;
}

describe("name, version, private", () => {
  test("N2 names that are none", async () => {
    const names = [
      "..",
      "a/b",
      "%2f",
      "a\0b",
      "a".repeat(215),
      "é",
      ".a",
      "a.",
      "node_modules",
      "__proto__",
      "@alice",
      "@alice/",
      "@/a",
      "",
      "a b",
      "JSONStream",
      "favicon.ico",
    ];
    for (const name of names) expect(await problems({ name }), name).toHaveLength(1);
    for (const name of [undefined, null, 1, ["a"]]) expect(await problems({ name }), String(name)).toHaveLength(1);
  });

  test("N2 legal names", async () => {
    for (const name of ["constructor", "con", "events", "yarn.lock", "a..b", "@x/_y", "a".repeat(214)])
      expect(await problems({ name }), name).toEqual([]);
    expect(await problems({ name: "JSONStream" }, undefined, { allowUpperCase: true })).toEqual([]);
  });

  test("S5 versions", async () => {
    for (const version of [
      "1.0",
      "v1.0.0",
      "1.0.0+x",
      "01.0.0",
      "",
      " 1.0.0",
      `1.0.0-${"a".repeat(123)}`,
      "9007199254740992.0.0",
      undefined,
      1,
    ]) {
      expect(await problems({ version }), String(version)).toHaveLength(1);
    }
    for (const version of ["1.0.0", "0.0.0-alpha.1", "9007199254740991.0.0"]) expect(await problems({ version })).toEqual([]);
  });

  test("T11 another name than the one asked for", async () => {
    expect(await problems({}, undefined, { name: parsePackageName("@alice/other") })).toEqual([
      'the package is named "@alice/hello", not "@alice/other"',
    ]);
    expect(await problems({}, undefined, { name: parsePackageName("@alice/hello") })).toEqual([]);
  });

  test("private: true, and nothing else that looks like it", async () => {
    expect(await problems({ private: true })).toHaveLength(1);
    for (const value of [false, null, "true", 0]) expect(await problems({ private: value })).toEqual([]);
  });
});

describe("ranges that nobody else can install", () => {
  const local = [
    "workspace:*",
    "workspace:^1.0.0",
    "workspace:../x",
    "WORKSPACE:*",
    "catalog:",
    "catalog:react18",
    "file:../x",
    "file:x.tgz",
    "link:../x",
    "portal:../x",
    "patch:x@1#./p",
    "exec:./x.js",
    "../x",
    "./x",
    ".",
    "..",
    "/x",
    "~/x",
    "C:\\x",
    "D:/x",
    "npm:x@workspace:*",
    "npm:@s/x@file:../x",
    " file:x",
  ];
  test.each(local)("%s", async (range) => {
    for (const field of ["dependencies", "optionalDependencies", "peerDependencies"])
      expect(await problems({ [field]: { ok: "1", x: range } })).toHaveLength(1);
    expect(await problems({ devDependencies: { x: range } })).toEqual([]);
  });

  test("ranges that all can install", async () => {
    const ranges = [
      "*",
      "",
      "^1.0.0",
      "~1.2",
      ">=1 <2 || 3.x",
      "latest",
      "npm:x@^1",
      "npm:@s/x@1.0.0",
      "npm:x",
      "git+https://host/x.git#semver:^1",
      "github:a/b",
      "a/b",
      "https://host/x.tgz",
      "git@host:a/b.git",
      "file-like",
      "~1",
      "workspace",
    ];
    expect(await problems({ dependencies: Object.fromEntries(ranges.map((range, i) => [`x${i}`, range])) })).toEqual([]);
  });

  test("what is no range at all", async () => {
    const cannot = { code: "TARBALL_REFUSED", message: expect.stringContaining("not an object of ranges") as string };
    await expect(problems({ dependencies: { x: 1 } })).rejects.toMatchObject(cannot);
    await expect(problems({ peerDependencies: ["x"] })).rejects.toMatchObject(cannot);
  });
});

describe("main, module, types, bin", () => {
  const there: readonly (readonly [Record<string, unknown>, readonly string[]])[] = [
    [{}, []],
    [{ main: "lib/a.js" }, ["lib/a.js"]],
    [{ main: "./lib/a.js" }, ["lib/a.js"]],
    [{ main: "/lib/a.js" }, ["lib/a.js"]],
    [{ main: "lib/a" }, ["lib/a.js"]],
    [{ main: "data" }, ["data.json"]],
    [{ main: "native" }, ["native.node"]],
    [{ main: "lib" }, ["lib/index.js"]],
    [{ main: "./lib/" }, ["lib/index.json"]],
    [{ main: "." }, ["index.js"]],
    [{ main: "" }, []],
    [{ main: 1 }, []],
    [{ main: "missing.js" }, ["index.js"]],
    [{ main: "index.js" }, ["index.d.ts"]],
    [{ module: "es/a" }, ["es/a.mjs"]],
    [{ types: "a" }, ["a.d.ts"]],
    [{ types: "a.js" }, ["a.d.ts"]],
    [{ typings: "./types/" }, ["types/index.d.ts"]],
    [{ types: "x.d.ts", typesVersions: { "*": {} } }, []],
    [{ bin: "bin/x.js" }, ["bin/x.js"]],
    [{ bin: { x: "./bin/x", y: "/bin/x" } }, ["bin/x"]],
    [{ bin: {} }, []],
    [{ bin: "" }, []],
    [{ directories: { bin: "./bin" } }, ["bin/x"]],
  ];
  test.each(there)("accepted: %j with %j", async (fields, files) => {
    expect(await problems(fields, files)).toEqual([]);
  });

  const missing: readonly (readonly [Record<string, unknown>, readonly string[]])[] = [
    [{ main: "lib/a.js" }, ["lib/b.js"]],
    [{ main: "index.js" }, ["a.js", "index.d.ts"]],
    [{ main: "../x.js" }, []],
    [{ main: "Lib/a.js" }, ["lib/a.js"]],
    [{ module: "es/a.js" }, []],
    [{ types: "dist/index.d.ts" }, ["index.d.ts"]],
    [{ typings: "a" }, []],
    [{ bin: "bin/x" }, ["bin/x.js"]],
    [{ bin: { x: "./y" } }, ["x"]],
    [{ bin: "../x" }, ["x"]],
    [{ directories: { bin: "bin" } }, ["bins/x"]],
    [{ directories: { bin: "../bin" } }, ["bin/x"]],
  ];
  test.each(missing)("refused: %j with %j", async (fields, files) => {
    expect(await problems(fields, files)).toHaveLength(1);
  });

  test("an install script may make what is missing: then it is only a warning", async () => {
    const fields = { main: "build/x.node", bin: "bin/x" };
    expect(await problems(fields, ["a.js"])).toHaveLength(2);
    expect(await check({ ...fields, scripts: { postinstall: "x" } }, ["a.js"])).toMatchObject({
      problems: [],
      warnings: [expect.anything(), expect.anything()],
    });
    expect(await problems(fields, ["binding.gyp"])).toEqual([]);
  });
});

describe("exports", () => {
  const there: readonly (readonly [unknown, readonly string[]])[] = [
    ["./a.js", ["a.js"]],
    [null, []],
    [{ ".": "./a.js", "./b": { import: "./b.mjs", require: "./b.cjs" }, "./internal/*": null }, ["a.js", "b.mjs", "b.cjs"]],
    [{ import: { node: { default: "./a.js" } }, default: ["./a.js", "./none.js"] }, ["a.js"]],
    [{ ".": ["not:legal", "./a.js"] }, ["a.js"]],
    [{ "./*": "./lib/*.js" }, ["lib/deep/a.js"]],
    [{ "./*": "./lib/*/*.js" }, ["lib/a/a.js"]],
    [{ "./lib/": "./lib/" }, ["lib/a.js"]],
    [{ "./": "./" }, ["a.js"]],
    [{ ".": { bun: "./src/a.ts", "@alice/dev": "./src/a.ts", default: "./a.js" } }, ["a.js"]],
    [{ "./package.json": "./package.json" }, []],
    [{}, []],
  ];
  test.each(there)("accepted: %j with %j", async (exports, files) => {
    expect(await check({ exports }, files)).toMatchObject({ problems: [], warnings: [] });
  });

  const missing: readonly (readonly [unknown, readonly string[]])[] = [
    ["./a.js", ["b.js"]],
    ["./a", ["a.js"]],
    ["a.js", ["a.js"]],
    ["./../a.js", ["a.js"]],
    ["./node_modules/a.js", []],
    [{ ".": { import: { default: "./none.js" }, require: "./a.js" } }, ["a.js"]],
    [{ ".": ["./none.js", "./none2.js"] }, ["a.js"]],
    [{ "./*": "./lib/*.js" }, ["lib/.js", "lib/a.mjs"]],
    [{ "./*": "./lib/*/*.js" }, ["lib/a/b.js"]],
    [{ "./lib/": "./lib/" }, ["a.js"]],
    [{ ".": "./package.json", import: "./package.json" }, []],
    [1, []],
    [{ ".": true }, []],
    [{ types: "./index.d.ts" }, ["a.js"]],
  ];
  test.each(missing)("refused: %j with %j", async (exports, files) => {
    expect(await problems({ exports }, files)).toHaveLength(1);
  });

  test("declarations and patterns without files, and older fields beside exports, are only warned of", async () => {
    const fields = { main: "old.js", types: "old.d.ts", exports: { ".": { types: "./a.d.ts", default: "./a.js" }, "./src/*": "./src/*" } };
    expect(await check(fields, ["a.js"])).toMatchObject({ problems: [], warnings: { length: 4 } });
  });

  test("too many targets", async () => {
    const exports = Object.fromEntries(Array.from({ length: 20_001 }, (_, i) => [`./${i}`, "./a.js"]));
    expect(await problems({ exports }, ["a.js"])).toEqual(["exports has more than 20000 targets"]);
  });
});

describe("checkPublishable", () => {
  const facts = (packageJson: unknown): Promise<Awaited<ReturnType<typeof inspectTarball>>> =>
    makeTarball({ "package.json": JSON.stringify(packageJson) }).then((bytes) => inspectTarball(bytes));

  test("gives name, version and warnings", async () => {
    expect(checkPublishable(await facts({ name: "a", version: "1.0.0" }))).toEqual({ name: "a", version: "1.0.0", warnings: [] });
  });

  test("says everything at once, one line each, without terminal escapes", async () => {
    const bad = await facts({ name: "A\u001b[31m", private: true, main: "x.js", dependencies: { "\u001b]0;x": "workspace:*" } });
    let thrown: unknown;
    try {
      checkPublishable(bad);
    } catch (error) {
      thrown = error;
    }
    if (!isImprintError(thrown, "PACKAGE_REFUSED")) throw thrown;
    expect(thrown.message.split("\n")).toHaveLength(6);
    expect(thrown.message).toContain("5 problems");
    expect(thrown.message).not.toMatch(/[^\x20-\x7e\n]/);
  });

  test("a long list is cut", async () => {
    const dependencies = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`x${i}`, "workspace:*"]));
    const bad = await facts({ name: "a", version: "1.0.0", dependencies });
    expect(() => checkPublishable(bad)).toThrow(/50 problems[^]*and 30 more$/);
  });
});
