import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { createGzip, gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { ImprintError } from "../../src/errors.ts";
import { inspectTarball } from "../../src/pack/inspect.ts";
import type { InspectOptions } from "../../src/pack/inspect.ts";
import { gnuLongNameEntry, gzip, makePackage, makeTarball, paxEntry, rawEntry, rawTar, rawTarball } from "../support/tarball.ts";
import type { RawEntry } from "../support/tarball.ts";

const PACKAGE_JSON: RawEntry = { path: "package/package.json", content: '{"name":"@alice/hello","version":"1.0.0"}' };
const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function refusal(source: Uint8Array | string, options: InspectOptions = {}): Promise<string> {
  const error: unknown = await inspectTarball(source, options).then(
    () => "accepted",
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: "TARBALL_REFUSED" });
  return error instanceof ImprintError ? error.message : String(error);
}

async function fileWith(bytes: Uint8Array): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "imprint-test-"));
  folders.push(folder);
  await writeFile(join(folder, "a.tgz"), bytes);
  return join(folder, "a.tgz");
}

describe("facts", () => {
  test("hashes, sizes, files and package.json, from bytes and from a file alike", async () => {
    const bytes = await makePackage({ description: "hi" }, { "lib/a.js": "12345" });
    const facts = await inspectTarball(bytes);
    expect(facts.sha512Hex).toBe(createHash("sha512").update(bytes).digest("hex"));
    expect(facts.integrity).toBe(`sha512-${createHash("sha512").update(bytes).digest("base64")}`);
    expect(facts.shasum).toBe(createHash("sha1").update(bytes).digest("hex"));
    expect(facts.size).toBe(bytes.length);
    expect(facts.files).toEqual(["package.json", "index.js", "lib/a.js"]);
    expect(facts.fileCount).toBe(3);
    expect(facts.topFolder).toBe("package");
    expect(facts.packageJson["description"]).toBe("hi");
    expect(facts.unpackedSize).toBe(
      Buffer.byteLength(`${JSON.stringify({ name: "@alice/hello", version: "1.0.0", description: "hi" }, null, 2)}\n`) + 20 + 5,
    );
    expect(await inspectTarball(await fileWith(bytes))).toEqual(facts);
  });

  test("a file that isn't there is FILE_UNREADABLE", async () => {
    await expect(inspectTarball(join(tmpdir(), "imprint-no-such.tgz"))).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
  });

  test("long and non-ASCII names come through pax and GNU headers, folders through entries of their own", async () => {
    const long = `package/${"d".repeat(60)}/${"f".repeat(60)}.js`;
    const facts = await inspectTarball(
      rawTarball([
        { path: "package/", type: "5" },
        PACKAGE_JSON,
        paxEntry({ path: long, mtime: "1.5" }),
        { path: long },
        gnuLongNameEntry(`${long}.map`),
        { path: `${long}.map`, magic: "ustar  \0" },
        paxEntry({ path: "package/é.js" }),
        { path: "package/_.js" },
        paxEntry({ size: "5" }), // as some packers write it, needlessly
        { path: "package/sized", content: "12345" },
        { path: "e.js", prefix: "package/deep" },
        paxEntry({ comment: "0123" }, "g"),
        { path: "package/old", type: "\0", magic: "\0\0\0\0\0\0\0\0" },
      ]),
    );
    expect(facts.files).toEqual(["package.json", long.slice(8), `${long.slice(8)}.map`, "é.js", "sized", "deep/e.js", "old"]);
  });

  test("import takes any one top folder, publish only `package`", async () => {
    const bytes = await makeTarball({ "package.json": "{}" }, { prefix: "node" });
    expect((await inspectTarball(bytes, { anyTopFolder: true })).topFolder).toBe("node");
    expect(await refusal(bytes)).toContain("not package");
  });
});

describe("B1 hostile entries", () => {
  const cases: readonly (readonly [string, readonly RawEntry[], string])[] = [
    ["..", [{ path: "package/../evil" }], 'segment ".."'],
    [".. at the start", [{ path: "../package/evil" }], 'segment ".."'],
    [". as a segment", [{ path: "package/./package.json" }], 'segment "."'],
    ["./ at the start", [{ path: "./package/x" }], 'segment "."'],
    ["three dots", [{ path: "package/.../x" }], 'segment "..."'],
    ["empty segment", [{ path: "package//x" }], 'segment ""'],
    ["absolute path", [{ path: "/etc/passwd" }], "absolute"],
    ["backslash", [{ path: "package\\..\\evil" }], "backslash"],
    ["drive letter", [{ path: "package/C:/evil" }], "drive letter"],
    ["drive letter at the start", [{ path: "c:/package/evil" }], "drive letter"],
    ["control character", [{ path: "package/a\u001b[2J" }], "control character"],
    ["line feed", [{ path: "package/a\nb" }], "control character"],
    ["C1 control character", [paxEntry({ path: "package/a\u009bb" }), { path: "package/a" }], "control character"],
    ["NUL in the name field", [{ path: "package/a\0b" }], "hidden behind its name"],
    ["NUL in a pax path", [paxEntry({ path: `package/é\0b` }), { path: "package/a" }], "malformed"],
    ["symbolic link", [{ path: "package/a", type: "2", linkname: "/etc/passwd" }], "symbolic link"],
    ["hard link", [{ path: "package/a", type: "1", linkname: "package/package.json" }], "hard link"],
    ["character device", [{ path: "package/a", type: "3" }], "character device"],
    ["block device", [{ path: "package/a", type: "4" }], "block device"],
    ["FIFO", [{ path: "package/a", type: "6" }], "FIFO"],
    ["contiguous file", [{ path: "package/a", type: "7" }], "unknown type"],
    ["GNU sparse file", [{ path: "package/a", type: "S" }], "unknown type"],
    ["long link name", [{ path: "././@LongLink", type: "K", content: "x\0" }], "long name"],
    ["link name on a file", [{ path: "package/a", linkname: "b" }], "link target"],
    ["duplicate path", [{ path: "package/a" }, { path: "package/a" }], "there twice"],
    ["second package.json", [{ path: "package/package.json", content: "{}" }], "there twice"],
    ["case collision", [{ path: "package/Readme" }, { path: "package/README" }], "there twice"],
    [
      "Unicode collision",
      [paxEntry({ path: "package/\u00e9" }), { path: "package/a" }, paxEntry({ path: "package/e\u0301" }), { path: "package/b" }],
      "there twice",
    ],
    ["collision in upper case only", [paxEntry({ path: "package/\u017f" }), { path: "package/1" }, { path: "package/s" }], "there twice"],
    ["trailing dot", [{ path: "package/a" }, { path: "package/a." }], "there twice"],
    ["Package.json beside package.json", [{ path: "package/Package.json", content: "{}" }], "some file systems only"],
    ["Binding.gyp", [{ path: "package/Binding.gyp" }], "some file systems only"],
    ["file under a file", [{ path: "package/a" }, { path: "package/a/b" }], "folder where there is a file"],
    ["file where a folder is", [{ path: "package/a/b" }, { path: "package/A" }], "both a file and a folder"],
    ["folder where a file is", [{ path: "package/a" }, { path: "package/a/", type: "5" }], "folder where there is a file"],
    ["two top folders", [{ path: "other/x" }], "two top folders"],
    ["top folders by case", [{ path: "Package/x" }], "two top folders"],
    ["a file outside of any folder", [{ path: "package.json" }], "not in a folder"],
    ["a file named as a folder", [{ path: "package/a/" }], "named like a folder"],
    ["a folder with content", [{ path: "package/a/", type: "5", content: "x".repeat(512) }], "has content"],
    ["size in base 256", [{ path: "package/a", size: "\x80\0\0\0\0\0\0\0\0\0\0\x01" }], "size is not a plain octal"],
    ["size with a sign", [{ path: "package/a", size: "-0000000001\0" }], "size is not a plain octal"],
    ["size with junk", [{ path: "package/a", size: "1x\0" }], "size is not a plain octal"],
    ["wrong checksum", [{ path: "package/a", checksum: "000001\0 " }], "checksum"],
    ["prefix under GNU magic", [{ path: "package/a", magic: "ustar  \0", prefix: "x" }], "path prefix"],
    ["prefix under no magic", [{ path: "package/a", magic: "\0\0\0\0\0\0\0\0", prefix: "x" }], "path prefix"],
    [
      "bytes behind the prefix",
      [{ path: "a", patch: (block) => block.write("package\0evil", 345, "latin1") }],
      "hidden behind its path prefix",
    ],
    ["name that is not UTF-8", [{ path: Buffer.from([0x70, 0x2f, 0xff]) }], "not UTF-8"],
  ];
  test.each(cases)("B1 %s", async (_, entries, message) => {
    expect(await refusal(rawTarball([PACKAGE_JSON, ...entries]))).toContain(message);
    expect(await refusal(rawTarball([PACKAGE_JSON, ...entries]), { anyTopFolder: true })).toContain(message);
  });

  test("B1 messages can't carry terminal escapes", async () => {
    expect(await refusal(rawTarball([{ path: "package/\u001b[31m" }]))).not.toMatch(/[^\x20-\x7e]/);
  });
});

describe("B1 extended headers can't smuggle another path", () => {
  const long = `package/${"d".repeat(100)}`;
  const cases: readonly (readonly [string, readonly RawEntry[], string])[] = [
    ["path that the plain header could hold", [paxEntry({ path: "package/b" }), { path: "package/a" }], "where the plain one says"],
    ["GNU name that the plain header could hold", [gnuLongNameEntry("package/b"), { path: "package/a" }], "where the plain one says"],
    [
      "plain header names another file",
      [{ path: "package/binding.gyp" }, paxEntry({ path: long }), { path: "package/binding.gyp" }],
      "a file of its own",
    ],
    ["hostile path in pax", [paxEntry({ path: `package/../${"d".repeat(100)}` }), { path: "package/a" }], 'segment ".."'],
    ["size", [paxEntry({ size: "0" }), { path: "package/a", content: "x" }], 'sets "size"'],
    ["size that is none", [paxEntry({ size: "01" }), { path: "package/a", content: "x" }], 'sets "size"'],
    ["size for all files", [paxEntry({ size: "1" }, "g"), { path: "package/a", content: "x" }], 'sets "size"'],
    ["type", [paxEntry({ type: "SymbolicLink" }), { path: "package/a" }], 'sets "type"'],
    ["linkpath", [paxEntry({ linkpath: "x" }), { path: "package/a" }], 'sets "linkpath"'],
    ["sparse map", [paxEntry({ "GNU.sparse.name": "package/b" }), { path: "package/a" }], "sets"],
    ["vendor size", [paxEntry({ "SCHILY.realsize": "1" }), { path: "package/a" }], "sets"],
    ["path for all files", [paxEntry({ path: long }, "g"), { path: "package/a" }], "global pax header sets a path"],
    ["two pax headers", [paxEntry({ path: long }), paxEntry({ path: `${long}2` }), { path: "package/a" }], "two extended headers"],
    ["pax and GNU name", [paxEntry({ path: long }), gnuLongNameEntry(`${long}2`), { path: "package/a" }], "two extended headers"],
    [
      "global header in between",
      [paxEntry({ path: long }), paxEntry({ comment: "x" }, "g"), { path: "package/a" }],
      "not followed by its entry",
    ],
    [
      "two global headers before an entry",
      [paxEntry({ comment: "x" }, "g"), paxEntry({ comment: "y" }, "g"), { path: "package/a" }],
      "an entry has two global pax headers",
    ],
    [
      "two global headers at the end",
      [{ path: "package/a" }, paxEntry({ comment: "x" }, "g"), paxEntry({ comment: "y" }, "g")],
      "an entry has two global pax headers",
    ],
    ["no entry behind", [paxEntry({ path: long })], "not followed by its entry"],
    ["path twice", [{ path: "p", type: "x", content: "10 path=a\n10 path=b\n" }, { path: "package/a" }], "twice"],
    ["record inside of a value", [paxEntry({ comment: `\n${20} path=package/evil` }), { path: "package/a" }], "malformed"],
    ["length too long", [{ path: "p", type: "x", content: "99 path=a\n" }, { path: "package/a" }], "malformed"],
    ["length too short", [{ path: "p", type: "x", content: "8 path=a\n" }, { path: "package/a" }], "malformed"],
    ["no key", [{ path: "p", type: "x", content: "6 =ab\n" }, { path: "package/a" }], "malformed"],
    ["empty header", [{ path: "p", type: "x" }, { path: "package/a" }], "0 bytes"],
    ["huge header", [{ path: "p", type: "x", content: "1".repeat(70_000) }, { path: "package/a" }], "70000 bytes"],
    ["NUL in a GNU name", [{ path: "././@LongLink", type: "L", content: `${long}\0x\0` }, { path: "package/a" }], "malformed"],
  ];
  test.each(cases)("B1 %s", async (_, entries, message) => {
    expect(await refusal(rawTarball([PACKAGE_JSON, ...entries]))).toContain(message);
  });
});

describe("B1 streams", () => {
  const tar = rawTar([PACKAGE_JSON]);
  const good = gzip(tar);
  const cases: readonly (readonly [string, () => Uint8Array, string])[] = [
    ["nothing", () => new Uint8Array(0), "not a whole gzip"],
    ["no gzip", () => tar, "not a whole gzip"],
    ["cut short", () => good.subarray(0, good.length - 5), "not a whole gzip"],
    [
      "flipped byte in the trailer",
      () => Uint8Array.from(good, (byte, i) => (i === good.length - 8 ? byte ^ 1 : byte)),
      "not a whole gzip",
    ],
    ["garbage behind", () => Buffer.concat([good, Buffer.from("garbage")]), "gzip"],
    ["zeros behind", () => Buffer.concat([good, Buffer.alloc(100)]), "nothing behind it"],
    ["much garbage behind", () => Buffer.concat([good, Buffer.alloc(300_000)]), "nothing behind it"],
    ["an empty member behind", () => Buffer.concat([good, gzipSync("")]), "one gzip member"],
    ["two members, one archive", () => Buffer.concat([gzipSync(tar.subarray(0, 512)), gzipSync(tar.subarray(512))]), "one gzip member"],
    ["a second archive in a member of its own", () => Buffer.concat([good, good]), "one gzip member"],
    ["gzip in gzip", () => gzip(good), "ends before"],
    ["a long gzip in gzip", () => gzip(gzipSync(randomBytes(4096))), "header"],
    ["data behind the end", () => gzip(Buffer.concat([tar, rawEntry({ path: "package/evil" })])), "behind the end"],
    [
      "data behind the first zero block",
      () => gzip(Buffer.concat([tar.subarray(0, -512), rawEntry({ path: "package/evil" }), Buffer.alloc(1024)])),
      "behind the end",
    ],
    ["no end", () => gzip(tar.subarray(0, 1024)), "ends before"],
    ["end in the middle of a file", () => gzip(tar.subarray(0, 700)), "ends before"],
    ["not a tar", () => gzip(Buffer.alloc(2048, 0x41)), "header"],
  ];
  test.each(cases)("B1 %s", async (_, make, message) => {
    expect(await refusal(make())).toContain(message);
    expect(await refusal(await fileWith(make()))).toContain(message);
  });

  test("B1 padding of zeros inside of the tar is fine", async () => {
    expect((await inspectTarball(gzip(Buffer.concat([tar, Buffer.alloc(10_240)])))).fileCount).toBe(1);
  });
});

describe("B1 T8 caps", () => {
  test("B1 too many files and folders", async () => {
    const many = rawTarball([PACKAGE_JSON, ...Array.from({ length: 20 }, (_, i): RawEntry => ({ path: `package/${i}` }))]);
    expect((await inspectTarball(many, { limits: { maxEntries: 22 } })).fileCount).toBe(21);
    expect(await refusal(many, { limits: { maxEntries: 21 } })).toContain("more than 21 files and folders");
    const deep = rawTarball([PACKAGE_JSON, { path: `package/${"a/".repeat(30)}x` }]);
    expect(await refusal(deep, { limits: { maxEntries: 30 } })).toContain("more than 30 files and folders");
  });

  test("B1 10^6 entries are dropped early", async () => {
    const entries = Buffer.concat([
      rawEntry(PACKAGE_JSON),
      ...Array.from({ length: 100_001 }, (_, i) => rawEntry({ path: `package/${i}` })),
    ]);
    expect(await refusal(gzipSync(entries, { level: 1 }))).toContain("more than 100000 files and folders");
  }, 60_000);

  test("B1 long paths, alone and together", async () => {
    const one = await makeTarball({ "package.json": "{}", ["d".repeat(300)]: "" });
    expect(await refusal(one, { limits: { maxPathBytes: 300 } })).toContain("longer than 300 bytes");
    expect(await refusal(one, { limits: { maxPathsBytes: 320 } })).toContain("add up to more than 320 bytes");
  });

  test("T8 sizes, compressed and unpacked; memory stays flat on a bomb", async () => {
    const bytes = await makePackage();
    expect(await refusal(bytes, { limits: { maxCompressedBytes: 100 } })).toContain("larger than 100 bytes");
    expect(await refusal(bytes, { limits: { maxUnpackedBytes: 2000 } })).toContain("unpacks to more than 2000 bytes");
    // 256 MiB of zeros, made as a stream too: a buffer of that size would hide what the reader takes.
    const header = rawEntry({ path: "package/zeros", size: (256 * 1024 * 1024).toString(8) });
    const mebibyte = Buffer.alloc(1024 * 1024);
    const bomb = await buffer(
      Readable.from([rawEntry(PACKAGE_JSON), header, ...Array.from({ length: 256 }, () => mebibyte), Buffer.alloc(1024)]).pipe(
        createGzip(),
      ),
    );
    await inspectTarball(bytes);
    const before = process.memoryUsage.rss();
    expect((await inspectTarball(bomb)).unpackedSize).toBeGreaterThan(256 * 1024 * 1024);
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024);
    expect(await refusal(bomb, { limits: { maxUnpackedBytes: 64 * 1024 * 1024 } })).toContain("unpacks to more");
  }, 60_000);
});

describe("J1 package.json", () => {
  const withText = (text: string | Uint8Array): Promise<Uint8Array> => makeTarball({ "package.json": text });

  const cases: readonly (readonly [string, string | Uint8Array, string])[] = [
    ["not UTF-8", Buffer.from([0x7b, 0xff, 0x7d]), "not UTF-8"],
    ["not JSON", "{name:1}", "not JSON"],
    ["trailing comma", '{"a":1,}', "not JSON"],
    ["no object", "[]", "not a JSON object"],
    ["null", "null", "not a JSON object"],
    ["two byte order marks", "\uFEFF\uFEFF{}", "not JSON"],
    ["100,000 levels", `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, "deeper than 100 levels"],
    ["a key twice", '{"name":"a","name":"b"}', '"name" twice'],
    ["a key twice, once escaped", '{"name":"a","n\\u0061me":"b"}', '"name" twice'],
    ["a dependency twice", '{"dependencies":{"a":"1","b":"1","a":"2"}}', '"a" twice'],
    ["a key twice far inside", '{"repository":{"x":[{"y":1,"y":2}]}}', '"y" twice'],
    ["an install script twice", '{"scripts":{"install":"","install":"evil"}}', '"install" twice'],
    ["scripts twice", '{"scripts":{},"x":{"scripts":1},"scripts":{}}', '"scripts" twice'],
  ];
  test.each(cases)("J1 %s", async (_, text, message) => {
    expect(await refusal(await withText(text))).toContain(message);
  });

  const fine: readonly (readonly [string, string])[] = [
    ["a byte order mark", '\uFEFF{"name":"a"}'],
    ["keys of fields that nobody reads, twice", '{"x":{"a":1,"a":2},"eslintConfig":1,"eslintConfig":2}'],
    ["another script twice", '{"scripts":{"test":"a","test":"b"}}'],
    ["equal keys in different objects", '{"dependencies":{"a":"1"},"peerDependencies":{"a":"1"}}'],
    ["strings that look like keys", '{"keywords":["name","name"],"description":"{\\"name\\":1,\\"name\\":2}","name":"\\\\"}'],
  ];
  test.each(fine)("J1 accepts %s", async (_, text) => {
    expect((await inspectTarball(await withText(text))).fileCount).toBe(1);
  });

  test("J1 __proto__ in a decisive place is refused, elsewhere it is data", async () => {
    for (const text of [
      '{"__proto__":{"scripts":{"install":"x"}}}',
      '{"dependencies":{"__proto__":"1.0.0"}}',
      '{"bin":{"\\u005f_proto__":"x"}}',
    ])
      expect(await refusal(await withText(text))).toContain("__proto__");
    const facts = await inspectTarball(await withText('{"eslintConfig":{"__proto__":{"install":"x"}}}'));
    expect(facts.manifest["hasInstallScript"]).toBe(false);
    expect(({} as Record<string, unknown>)["install"]).toBeUndefined();
  });

  test("J1 missing, too large, only in a folder below", async () => {
    expect(await refusal(await makeTarball({ "index.js": "" }))).toContain("no package.json");
    expect(await refusal(await makeTarball({ "a/package.json": "{}" }))).toContain("no package.json");
    expect(await refusal(await withText("{}  "), { limits: { maxPackageJsonBytes: 3 } })).toContain("larger than 3 bytes");
  });
});
