/** Tarballs that at least one client's own reader takes in its own way, or by which a signed package brings unsigned code. */
import { crc32, deflateRawSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { field, modeOf } from "../../scripts/fuzz/tarballs/draft.ts";
import { publishProblems } from "../../src/pack/check.ts";
import { ImprintError } from "../../src/errors.ts";
import { inspectTarball, type TarballFacts } from "../../src/pack/inspect.ts";
import { makePackage, paxEntry, type RawEntry, rawTar, rawTarball } from "../support/tarball.ts";

const PACKAGE_JSON: RawEntry = { path: "package/package.json", content: '{"name":"@alice/hello","version":"1.0.0"}' };
const SHA512 = `sha512-${"A".repeat(86)}==`;
const AT = "https://registry.example.org";

/** Why it is refused: whatever the top folder may be. */
async function refusal(bytes: Uint8Array): Promise<string> {
  const [strict, any] = await Promise.all(
    [false, true].map((anyTopFolder) =>
      inspectTarball(bytes, { anyTopFolder }).then(
        () => "accepted",
        (error: unknown) => error,
      ),
    ),
  );
  expect(strict).toMatchObject({ code: "TARBALL_REFUSED" });
  expect(any).toEqual(strict);
  return strict instanceof ImprintError ? strict.message : "";
}

describe("B4 headers", () => {
  it.each(["0", "5", "x", "g", "L", "\0"])(
    "B4 a header whose first byte is NUL, type %j, which ends the archive for pnpm",
    async (type) => {
      const content = type === "5" ? "" : "13 comment=x\n";
      for (const path of ["", "\0hidden"]) {
        const odd: RawEntry = { path, type, prefix: "package/x", content };
        expect(await refusal(rawTarball([PACKAGE_JSON, odd, { path: "package/late.js" }]))).toContain("begins with a NUL");
      }
    },
  );

  it.each([
    ["set-uid", 0o4755, "set-uid"],
    ["set-gid", 0o2755, "set-uid"],
    ["sticky", 0o1777, "set-uid"],
    ["type bits", 0o100644, "set-uid"],
    ["none at all, which deno keeps", 0, "could not read it"],
    ["executable for others only, which pnpm and yarn 4 spread", 0o611, "its owner could not"],
  ])("B4 a mode: %s", async (_, mode, message) => {
    expect(await refusal(rawTarball([PACKAGE_JSON, { path: "package/a", patch: modeOf(mode) }]))).toContain(message);
  });

  it.each(["", "        ", "0o755\0", "-644\0", "+644\0", "\x80\0\0\0\0\0\x01\xa4", "644\0\x001", "\x00644", "648\0", "0x1a4\0"])(
    "B4 a mode %j, at which deno fails",
    async (form) => {
      expect(await refusal(rawTarball([PACKAGE_JSON, { path: "package/a", patch: field(100, 8, form) }]))).toContain(
        "mode is not a plain octal",
      );
    },
  );

  it.each([
    ["uid", 108, 8],
    ["gid", 116, 8],
    ["mtime", 136, 12],
    ["devmajor", 329, 8],
    ["devminor", 337, 8],
  ] as const)("B4 a %s that is no number, for which bun takes it for no archive", async (what, at, length) => {
    for (const form of ["junk", "-1\0", "0x1\0", "1\x001", "\xff\xff\xff\xff\xff\xff\xff\xff"])
      expect(await refusal(rawTarball([{ ...PACKAGE_JSON, patch: field(at, length, form) }]))).toContain(`${what} is not a plain octal`);
    // Old tars leave them empty, GNU's writes high ones in base 256.
    for (const form of ["", " ".repeat(length), "\x80\0\0\0\0\0\x01\x01", "  644 \0", "0".repeat(length)])
      expect((await inspectTarball(rawTarball([{ ...PACKAGE_JSON, patch: field(at, length, form) }]))).fileCount).toBe(1);
  });

  it("B4 ordinary modes pass: private, group-writable, world-writable, read-only", async () => {
    const modes = [0o400, 0o444, 0o555, 0o600, 0o644, 0o664, 0o666, 0o700, 0o711, 0o744, 0o755, 0o775, 0o777];
    const entries = modes.map((mode): RawEntry => ({ path: `package/${mode.toString(8)}`, patch: modeOf(mode) }));
    expect((await inspectTarball(rawTarball([PACKAGE_JSON, ...entries]))).fileCount).toBe(modes.length + 1);
  });
});

describe("B4 entries", () => {
  const lib: RawEntry = { path: "package/lib/", type: "5" };
  it.each<readonly [string, readonly RawEntry[], string]>([
    ["a folder after its files, at which yarn 4 fails", [{ path: "package/lib/a.js" }, lib], "there twice, or comes after"],
    ["a folder twice", [lib, lib], "there twice, or comes after"],
    ["a folder twice by case", [lib, { ...lib, path: "package/LIB/" }], "there twice, or comes after"],
    ["a file that yarn 1 writes over", [{ path: "package/.yarn-metadata.json" }], "yarn 1"],
    ["a file that yarn 1 moves away", [{ path: "package/.Yarn-tarball.tgz" }], "yarn 1"],
    ["a file __proto__, which pnpm loses", [{ path: "package/__proto__" }], '"__proto__"'],
    ["a folder __proto__", [{ path: "package/a/__proto__/b" }], '"__proto__"'],
  ])("B4 %s", async (_, entries, message) => {
    expect(await refusal(rawTarball([PACKAGE_JSON, ...entries]))).toContain(message);
  });

  it("B4 folders before their files pass, and the top one anywhere", async () => {
    const top: RawEntry = { path: "package/", type: "5" };
    expect((await inspectTarball(rawTarball([PACKAGE_JSON, lib, { path: "package/lib/a.js" }, top, top]))).fileCount).toBe(2);
  });
});

describe("B4 streams", () => {
  const tar = rawTar([PACKAGE_JSON]);
  const member = (flags: number, extra: Uint8Array, bytes: Uint8Array = tar): Uint8Array => {
    const head = Buffer.concat([Buffer.from([0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3]), extra]);
    const sum = crc32(head) & 0xffff;
    const tail = Buffer.alloc(8);
    tail.writeUInt32LE(crc32(bytes), 0);
    tail.writeUInt32LE(bytes.length, 4);
    return Buffer.concat([head, ...((flags & 2) === 0 ? [] : [Buffer.from([sum & 255, sum >> 8])]), deflateRawSync(bytes), tail]);
  };

  it("B4 an empty gzip member before the archive, for which deno installs an empty package", async () => {
    expect(await refusal(Buffer.concat([gzipSync(""), gzipSync(tar)]))).toContain("one gzip member");
  });
  it.each([
    ["reserved flags", member(0x20, Buffer.alloc(0)), "flags that mean nothing"],
    ["a wrong header checksum", Uint8Array.from(member(2, Buffer.alloc(0)), (byte, at) => (at === 10 ? byte ^ 1 : byte)), "wrong checksum"],
    [
      "a wrong size",
      Uint8Array.from(gzipSync(tar), (byte, at) => (at === gzipSync(tar).length - 4 ? byte ^ 1 : byte)),
      "its size is wrong",
    ],
    [
      "a header without an end",
      Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]), Buffer.alloc(5000, 0x41)]),
      "longer than",
    ],
    [
      "a name that fills the file",
      Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]), Buffer.alloc(50, 0x41)]),
      "not a whole gzip",
    ],
    ["half a block at the end, at which yarn 1 and bun fail", gzipSync(tar.subarray(0, -256)), "middle of a block"],
    ["a byte behind the last block", gzipSync(Buffer.concat([tar, Buffer.alloc(1)])), "middle of a block"],
  ])("B4 gzip with %s", async (_, bytes, message) => {
    expect(await refusal(bytes)).toContain(message);
  });
  it("B4 a name, a comment, an extra field and a header checksum pass", async () => {
    const extra = Buffer.from([4, 0, 1, 2, 3, 4]);
    const texts = Buffer.from("name.tar\0a comment\0");
    for (const bytes of [
      member(1, Buffer.alloc(0)),
      member(2, Buffer.alloc(0)),
      member(4, extra),
      member(24, texts),
      member(31, Buffer.concat([extra, texts])),
    ])
      expect((await inspectTarball(bytes)).fileCount).toBe(1);
  });
});

describe("B4 package.json", () => {
  it.each<readonly [string, string, string]>([
    ["programs in a list, for which deno sees no such version", '"bin":["a.js"]', "not a path or an object"],
    ["programs that are a number", '"bin":1', "not a path or an object"],
    ["a program that is a number, at which yarn 1, pnpm 11 and deno fail", '"bin":{"x":1}', "not a path or an object"],
    ["programs that are nothing", '"bin":null', "not a path or an object"],
    ["dependencies in a list", '"dependencies":["a"]', "not an object of ranges"],
    ["a range that is a number, at which yarn 1 fails", '"optionalDependencies":{"a":1}', "not an object of ranges"],
    ["peer dependencies that are false, at which pnpm 12 fails", '"peerDependencies":false', "not an object of ranges"],
    ["peers in a list", '"peerDependenciesMeta":[]', "not an object of objects"],
    ["a system that is an object, at which npm 12 fails", '"os":{"x":1}', "not a list of names"],
    ["a processor that is a number", '"cpu":[1]', "not a list of names"],
    ["a program named by a path, at which yarn 4 fails", '"bin":{"../x":"a.js"}', "no name of a program"],
    ["a program named ..", '"bin":{"..":"a.js"}', "no name of a program"],
    ["a program without a name", '"bin":{"":"a.js"}', "no name of a program"],
    ["main twice", '"main":"a.js","main":"b.js"', '"main" twice'],
    ["a condition of exports twice", '"exports":{"import":"./a.js","import":"./b.js"}', '"import" twice'],
    ["type twice", '"type":"module","type":"commonjs"', '"type" twice'],
    ["__proto__", '"__proto__":{"scripts":{"postinstall":"x"}}', "__proto__"],
    ["everything bundled, at which yarn 1 fails", '"bundleDependencies":true', "not a list of names"],
  ])("B4 %s", async (_, inner, message) => {
    const content = `{"name":"@alice/hello","version":"1.0.0",${inner}}`;
    expect(await refusal(rawTarball([{ ...PACKAGE_JSON, content }, { path: "package/a.js" }]))).toContain(message);
  });
});

describe("B5 bundled packages", () => {
  const bundle = (scripts: Readonly<Record<string, unknown>> = {}, more: Readonly<Record<string, string>> = {}): Promise<Uint8Array> =>
    makePackage(
      { dependencies: { dep: "1.0.0" }, bundleDependencies: ["dep"] },
      {
        "node_modules/dep/package.json": JSON.stringify({ name: "dep", version: "1.0.0", dependencies: { inner: "1" } }),
        "node_modules/inner/package.json": JSON.stringify({ name: "inner", version: "1.0.0", scripts }),
        ...more,
      },
    );
  const runs = ({ manifest }: TarballFacts): unknown => manifest["hasInstallScript"];

  it("B5 an install script of a bundled package is one of the package, and named when it is published", async () => {
    for (const script of ["preinstall", "install", "postinstall"]) {
      const facts = await inspectTarball(await bundle({ [script]: "node x" }));
      expect([runs(facts), facts.bundledScripts]).toEqual([true, ["node_modules/inner"]]);
      expect(publishProblems(facts).warnings).toContainEqual(expect.stringMatching(/"node_modules\/inner" is bundled, and runs a script/));
    }
    for (const scripts of [{}, { install: "" }, { test: "x", prepare: "x" }]) {
      const facts = await inspectTarball(await bundle(scripts));
      expect([runs(facts), facts.bundledScripts]).toEqual([false, []]);
      expect(publishProblems(facts).warnings).toEqual([expect.stringMatching(/yarn 4 fetches these anew/)]);
    }
  });

  it("B5 a bundled binding.gyp counts, one deeper in a package does not", async () => {
    expect(runs(await inspectTarball(await bundle({}, { "node_modules/inner/binding.gyp": "{}" })))).toBe(true);
    expect(runs(await inspectTarball(await bundle({}, { "node_modules/inner/src/binding.gyp": "{}" })))).toBe(false);
    const scoped = { "node_modules/inner/node_modules/@a/b/package.json": '{"name":"@a/b","scripts":{"install":"x"}}' };
    expect(await refusal(await bundle({}, scoped))).toContain("nothing in bundleDependencies needs it");
  });

  it.each<readonly [string, Readonly<Record<string, string>>, string]>([
    [
      "that nothing needs, which npm removes",
      { "node_modules/other/package.json": '{"name":"other"}' },
      "nothing in bundleDependencies needs it",
    ],
    ["without a package.json", { "node_modules/dep/node_modules/x/index.js": "" }, "no package with a name"],
    ["whose package.json is broken", { "node_modules/dep/node_modules/x/package.json": "{" }, "not JSON"],
    [
      "with an install script twice",
      { "node_modules/dep/node_modules/x/package.json": '{"scripts":{"install":"","install":"x"}}' },
      "twice",
    ],
    ["under no name", { "node_modules/.bin/x": "" }, "no package has such a name"],
    ["that is a file", { "node_modules/x.js": "" }, "in no package there"],
    ["by another case", { "Node_Modules/dep/index.js": "" }, "on some file systems only"],
    ["with a manifest by another case", { "node_modules/dep/Package.json": "{}" }, "on some file systems only"],
    ["with a gyp file by another case", { "node_modules/dep/Binding.gyp": "{}" }, "on some file systems only"],
  ])("B5 a bundled package %s is refused", async (_, files, message) => {
    expect(await refusal(await bundle({}, files))).toContain(message);
  });

  it("B5 what a bundled package finds above itself is needed, and node_modules deeper in the package are files like others", async () => {
    const facts = await inspectTarball(await bundle({}, { "lib/node_modules/x/package.json": "{" }));
    expect(facts.fileCount).toBe(5);
  });
});

describe("B5 npm-shrinkwrap.json", () => {
  const good = { version: "1.0.0", resolved: `${AT}/x/-/x-1.0.0.tgz`, integrity: SHA512 };
  const v3 = (entry: unknown, more: object = {}): string =>
    JSON.stringify({ lockfileVersion: 3, packages: { "": { name: "@alice/hello" }, "node_modules/x": entry, ...more } });
  const v1 = (entry: object): string =>
    JSON.stringify({ lockfileVersion: 1, dependencies: { y: { ...good, resolved: undefined, dependencies: { x: entry } } } });
  const withIt = (text: string, more: Readonly<Record<string, string>> = {}): Promise<Uint8Array> =>
    makePackage({}, { "npm-shrinkwrap.json": text, ...more });

  it.each<readonly [string, object, string]>([
    ["without a hash", { version: "1.0.0", resolved: good.resolved }, "without a sha512"],
    ["with a sha1", { ...good, integrity: "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=" }, "without a sha512"],
    ["with a sha1 beside the sha512", { ...good, integrity: `${SHA512} sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=` }, "without a sha512"],
    ["from an address", { version: "1.0.0", resolved: "http://127.0.0.1:9/x.tgz" }, "no registry's tarball of x"],
    ["from an address, with a hash", { ...good, resolved: "http://127.0.0.1:9/x.tgz" }, "no registry's tarball of x"],
    ["from another package's address", { ...good, resolved: `${AT}/y/-/y-1.0.0.tgz` }, "no registry's tarball of x"],
    ["from git", { ...good, resolved: "git+ssh://git@example.org/x.git#1" }, "no registry's tarball of x"],
    ["from a file", { ...good, resolved: "file:x.tgz" }, "no registry's tarball of x"],
    ["of a version that is an address", { ...good, version: "http://127.0.0.1:9/x.tgz" }, "without an exact version"],
    ["of no version", { resolved: good.resolved, integrity: SHA512 }, "without an exact version"],
    ["that is a link", { resolved: "../x", link: true }, "is a link"],
    ["that says it is bundled, and is not there", { version: "1.0.0", inBundle: true, bundled: true }, "without a sha512"],
  ])("B5 an entry %s is refused, in each version of the format", async (_, entry, message) => {
    expect(await refusal(await withIt(v3(entry)))).toContain(message);
    expect(await refusal(await withIt(v1(entry)))).toContain(message);
  });

  it.each<readonly [string, string, string]>([
    ["not JSON", "{", "not JSON"],
    ["a list", "[]", "not a JSON object"],
    ["packages in a list", '{"packages":[]}', "no object"],
    ["an entry that is no object", v3(1), "no object"],
    ["an entry outside of node_modules", v3(good, { x: good }), "not in node_modules"],
    ["a name that no package has", v3(good, { "node_modules/..": good }), "no package has"],
    ["an alias of no package", v3({ ...good, name: ".." }), "no package has"],
  ])("B5 %s", async (_, text, message) => {
    expect(await refusal(await withIt(text))).toContain(message);
  });

  it("B5 one with a sha512 and a registry's release in each entry passes, and is named when it is published", async () => {
    const alias = { ...good, name: "real", resolved: `${AT}/real/-/real-1.0.0.tgz` };
    const texts = [
      "{}",
      v3(good),
      v1(good),
      v3({ ...good, resolved: undefined }),
      v3(alias),
      v1({ ...alias, name: undefined, version: "npm:real@1.0.0" }),
    ];
    for (const text of texts) {
      const facts = await inspectTarball(await withIt(text));
      expect(facts.manifest["hasShrinkwrap"]).toBe(true);
      expect(publishProblems(facts).warnings).toContainEqual(expect.stringMatching(/^npm-shrinkwrap\.json: npm installs/));
    }
  });

  it("B5 an entry that is bundled needs no hash where it is there", async () => {
    const bundled = { dependencies: { x: "1" }, bundleDependencies: ["x"] };
    const files = { "node_modules/x/package.json": '{"name":"x","version":"1.0.0"}' };
    const text = v3({ version: "1.0.0", inBundle: true });
    expect((await inspectTarball(await makePackage(bundled, { ...files, "npm-shrinkwrap.json": text }))).fileCount).toBe(4);
    // One of the bundled package is held to the same.
    const theirs = { ...files, "node_modules/x/npm-shrinkwrap.json": v3({ version: "1.0.0", resolved: "http://127.0.0.1:9/x.tgz" }) };
    expect(await refusal(await makePackage(bundled, theirs))).toContain("no registry's tarball");
    // Deeper in the package it is a file like any other.
    const deep = { "lib/npm-shrinkwrap.json": v3({ version: "1.0.0", resolved: "http://127.0.0.1:9/x.tgz" }) };
    expect((await inspectTarball(await makePackage({}, deep))).manifest["hasShrinkwrap"]).toBe(false);
  });

  it("B5 long pax paths reach the same checks", async () => {
    const long = `package/node_modules/${"x".repeat(100)}/index.js`;
    expect(await refusal(rawTarball([PACKAGE_JSON, paxEntry({ path: long }), { path: long }]))).toContain("no package with a name");
  });
});
