import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { equalBytes, textOf } from "../../src/format/bytes.ts";
import { integrityHex, isDisplayName, isIntegrity, list, text as textDecoder } from "../../src/format/decode.ts";
import { isFileHash } from "../../src/format/digest.ts";
import { parseJsonText } from "../../src/format/json-text.ts";
import { shortKey } from "../../src/format/keys.ts";
import { parseNewPackageName, parsePackageName } from "../../src/format/names.ts";
import { parseLock, parseProject } from "../../src/format/project.ts";
import { parseRoot, publishersFor } from "../../src/format/root.ts";
import { packFileName, readTarballSource } from "../../src/format/tarball-source.ts";
import { clean, jsonLine } from "../../src/format/text.ts";
import { isPrerelease, parseVersion } from "../../src/format/versions.ts";
import { codeOf, inputOf, outcomeOf, readVectors } from "./vectors.ts";

const messageOf = (run: () => unknown): string => {
  const outcome = outcomeOf(run);
  return "error" in outcome ? outcome.error.message : "nothing was refused";
};

describe("JSON that people edit", () => {
  it.each([
    ['{\n  "a": 1,\n  "a": 2\n}', '"a" stands twice in one object at line 3, column 3'],
    ['{"a" 1}', 'expected : but found "1" at line 1, column 6'],
    ['{"a"', "expected : but the file ends at line 1, column 5"],
    ['{"a": 1', "expected } but the file ends at line 1, column 8"],
    ["[1", "expected ] but the file ends at line 1, column 3"],
    ["{a: 1}", "expected a string in double quotes at line 1, column 2"],
    ['{"a": tru}', 'unexpected "t" at line 1, column 7'],
    ["", "the file ends too early at line 1, column 1"],
    ['"\\x"', "a string with a bad escape or control character at line 1, column 1"],
    ['"\\ud800"', "a lone surrogate in a string at line 1, column 1"],
    ["{}\n{}", "text after the end at line 2, column 1"],
    ["{\n=======\n}", "a conflict marker of git at line 2, column 1"],
    ["[1,]", 'unexpected "]" at line 1, column 4'],
    ["[".repeat(33), "nested too deeply at line 1, column 1"],
  ])("names the place in %j", (source, message) => {
    expect(messageOf(() => parseJsonText(source))).toBe(message);
  });

  it("knows where each value stands", () => {
    const { value, placeOf } = parseJsonText('\ufeff{\r\n  "a": [ 1, {"b": "x"} ], "e": {}, "l": []\r\n}\n');
    expect(JSON.stringify(value)).toBe('{"a":[1,{"b":"x"}],"e":{},"l":[]}');
    expect(placeOf("a[1].b")).toBe("line 2, column 19");
    expect(placeOf("nowhere")).toBe("line 1, column 1");
  });

  it("a string of a megabyte is no recursion", () => {
    expect(parseJsonText(`"${"a\\n".repeat(300_000)}"`).value).toHaveLength(600_000);
  });

  it("errors of imprint.json name file, member and place", () => {
    const bad = `{\n  "format": 1,\n  "indices": {\n    "alice": { "id": "x", "urls": ["u"], "packages": [] }\n  }\n}\n`;
    expect(messageOf(() => parseProject(Buffer.from(bad)))).toMatch(
      /^Cannot read imprint\.json: indices\.alice\.id is not an index id .* at line 4, column 22$/,
    );
    expect(messageOf(() => parseProject(Buffer.from('{"format": 1}'), "x.json"))).toBe(
      "Cannot read x.json: indices is missing at line 1, column 1",
    );
    expect(messageOf(() => parseLock(Buffer.from('{"format": 2}')))).toBe("Cannot read imprint.lock: format 2 needs a newer imprint");
  });
});

describe("small parts of the format", () => {
  it("N2 new names are lower case; old ones may not be", () => {
    expect(parseNewPackageName("@alice/hello")).toBe("@alice/hello");
    expect(codeOf(outcomeOf(() => parseNewPackageName("JSONStream")))).toBe("INVALID_NAME");
    expect(parsePackageName("JSONStream")).toBe("JSONStream");
    expect(messageOf(() => parsePackageName(`${"x".repeat(300)}!`)).length).toBeLessThan(140);
  });

  it("tarball sources say what they are", () => {
    expect(readTarballSource("git")).toEqual({ kind: "git", url: null });
    expect(readTarballSource("git+ssh://h/x")).toEqual({ kind: "git", url: "ssh://h/x" });
    expect(readTarballSource("https://h/{file}")).toEqual({ kind: "https", template: "https://h/{file}" });
    expect(packFileName(parsePackageName("@alice/hello"), parseVersion("1.0.0"))).toBe("alice-hello-1.0.0.tgz");
  });

  it("the closest entry decides alone, whatever the order", () => {
    const vector = readVectors("root").find(({ label }) => label === "ok-full");
    const { doc } = parseRoot(inputOf(vector as NonNullable<typeof vector>));
    expect(publishersFor(doc, parsePackageName("@alice/x"))?.threshold).toBe(2);
    expect(publishersFor(doc, parsePackageName("left-padder"))?.threshold).toBe(2);
    expect(publishersFor(doc, parsePackageName("react"))?.threshold).toBe(1);
    expect(publishersFor({ ...doc, publishers: [...doc.publishers].reverse() }, parsePackageName("left-padder"))?.threshold).toBe(2);
    expect(publishersFor({ ...doc, publishers: [] }, parsePackageName("react"))).toBeNull();
  });

  it("bytes and digests", () => {
    expect(textOf(new Uint8Array([0xff]))).toBeNull();
    expect(equalBytes(new Uint8Array([1]), new Uint8Array([1, 2]))).toBe(false);
    expect(isFileHash("A".repeat(64))).toBe(false);
    const integrity = `sha512-${Buffer.alloc(64, 1).toString("base64")}`;
    expect(isIntegrity(integrity) && integrityHex(integrity)).toBe("01".repeat(64));
    expect(isDisplayName("constructor")).toBe(true);
    expect(shortKey("ed25519:h81cAAAA0xE" as never)).toBe("ed25519:h81c…0xE");
    expect(isPrerelease(parseVersion("1.0.0-a"))).toBe(true);
    expect(isPrerelease(parseVersion("1.0.0"))).toBe(false);
    expect(list(textDecoder)(["a"], "x")).toEqual(["a"]);
  });
});

/** What no line and no JSON of ours may hold, spelled out as ranges: not the property classes that the code uses. */
const HIDDEN: readonly (readonly [string, number, number])[] = [
  ["C0 controls", 0x00, 0x1f],
  ["DEL and C1 controls", 0x7f, 0x9f],
  ["soft hyphen", 0xad, 0xad],
  ["grapheme joiner", 0x34f, 0x34f],
  ["arabic letter mark", 0x61c, 0x61c],
  ["fillers of Hangul", 0x115f, 0x1160],
  ["inherent vowels of Khmer", 0x17b4, 0x17b5],
  ["selectors of Mongolian", 0x180b, 0x180f],
  ["widths of zero, marks of direction", 0x200b, 0x200f],
  ["line ends, embeddings and overrides", 0x2028, 0x202e],
  ["word joiner, operators, isolates", 0x2060, 0x206f],
  ["blank of Braille", 0x2800, 0x2800],
  ["filler of Hangul", 0x3164, 0x3164],
  ["variation selectors", 0xfe00, 0xfe0f],
  ["byte order mark", 0xfeff, 0xfeff],
  ["half filler of Hangul", 0xffa0, 0xffa0],
  ["interlinear marks", 0xfff0, 0xfffb],
  ["shorthand controls", 0x1bca0, 0x1bca3],
  ["musical controls", 0x1d173, 0x1d17a],
  ["tags and further selectors", 0xe0000, 0xe0fff],
];
const isHidden = (character: string): boolean =>
  HIDDEN.some(([, from, to]) => (character.codePointAt(0) ?? 0) >= from && (character.codePointAt(0) ?? 0) <= to);
const hidden = fc.oneof(...HIDDEN.map(([, from, to]) => fc.integer({ min: from, max: to }).map((code) => String.fromCodePoint(code))));
const hostile = fc
  .array(fc.oneof(hidden, fc.string({ unit: "binary" }), fc.constantFrom("❤", "a", "é", "漢", " ")), { maxLength: 20 })
  .map((parts) => parts.join(""));

describe("D1 text from an index", () => {
  it.each(HIDDEN)("D1 %s", (_, from, to) => {
    for (let code = from; code <= to; code++) {
      const text = `a${String.fromCodePoint(code)}b`;
      expect([code, clean(text)]).toEqual([code, "a b"]);
      expect([code, jsonLine(text)]).toEqual([code, expect.stringMatching(/^"a(\\u[0-9a-f]{4}|\\[bfnrt])+b"$/u)]);
      expect(JSON.parse(jsonLine(text))).toBe(text);
    }
  });

  it("D1 any text: no hidden character is printed, what can be seen stays, and once is enough", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const shown = clean(text);
        for (const [at, character] of Array.from(shown).entries())
          if (isHidden(character))
            expect([character, Array.from(shown)[at - 1]]).toEqual(["\uFE0F", expect.stringMatching(/\p{Extended_Pictographic}/u)]);
        expect(clean(shown)).toBe(shown);
        const seen = (whole: string): string =>
          Array.from(whole)
            .filter((one) => !isHidden(one) && one !== " " && one.isWellFormed())
            .join("");
        expect(seen(shown)).toBe(seen(text));
      }),
    );
  });

  it("D1 any data: JSON of the same value on one line, in which nothing is hidden", () => {
    fc.assert(
      fc.property(fc.dictionary(hostile, fc.oneof(hostile, fc.array(hostile), fc.dictionary(hostile, fc.double()))), (value) => {
        const line = jsonLine(value);
        expect(line).not.toContain("\n");
        expect(Array.from(line).filter(isHidden)).toEqual([]);
        expect(line).toBe(line.toWellFormed());
        expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it("D1 an emoji keeps its colours, where nothing follows that hides", () => {
    expect(clean("I ❤\uFE0F it")).toBe("I ❤\uFE0F it");
    expect(clean("1\uFE0F 2\uFE0F")).toBe("1  2 ");
    expect(clean("❤\uFE0F\uFE0F\u200D❤")).toBe("❤ ❤");
    expect([jsonLine("❤\uFE0F"), jsonLine(undefined)]).toEqual(['"❤\\ufe0f"', "null"]);
  });
});
