/** Area `canonical`: the bytes of a file, and of what is signed. */
import { type Outcome, type Vector, vector } from "./kit.ts";

const INVALID: Outcome = { error: "INVALID_DOCUMENT", schemaValid: null };
const VALID: Outcome = { schemaValid: null };

/** @param otherSpelling JSON of the same value, which is no file but has the same canonical bytes */
function good(name: string, description: string, input: string, canonical: string, otherSpelling?: string): Vector {
  return vector("canonical", name, description, VALID, {
    input: { text: input },
    canonical,
    ...(otherSpelling === undefined ? {} : { otherSpelling }),
  });
}

function bad(
  name: string,
  description: string,
  input: string | { readonly base64: string } | { readonly parts: readonly object[] },
  error = "INVALID_DOCUMENT",
): Vector {
  return vector("canonical", name, description, { ...INVALID, error }, { input: typeof input === "string" ? { text: input } : input });
}

const hex = (bytes: string): { base64: string } => ({ base64: Buffer.from(bytes.replaceAll(" ", ""), "hex").toString("base64") });

export function jsonVectors(): readonly Vector[] {
  const deep = (levels: number): string => {
    // Lists in lists, as a file spells them.
    let inner = "[]";
    for (let level = levels - 1; level >= 1; level--) inner = `[\n${"  ".repeat(level)}${inner}\n${"  ".repeat(level - 1)}]`;
    return `${inner}\n`;
  };
  return [
    good("empty-object", "No members: {} on one line", "{}\n", "{}", " { } "),
    good("empty-list", "No items: [] on one line", "[]\n", "[]", "[ ]"),
    good("empty-inside", "Empty objects and lists inside others", '{\n  "a": {},\n  "b": []\n}\n', '{"a":{},"b":[]}'),
    good(
      "nested",
      "Two spaces a level, one item a line",
      '{\n  "a": [\n    1,\n    {\n      "b": true\n    }\n  ],\n  "c": null\n}\n',
      '{"a":[1,{"b":true}],"c":null}',
      '{"c":null,"a":[1,{"b":true}]}',
    ),
    good(
      "order-of-digits",
      'Names are sorted as text: "0a" stands before "10", though some languages list "10" first',
      '{\n  "0a": 2,\n  "10": 1\n}\n',
      '{"0a":2,"10":1}',
      '{"10":1,"0a":2}',
    ),
    good(
      "order-by-utf16",
      "Names are sorted by UTF-16 code units: U+20AC, U+1F600 (first unit D83D), U+FB33",
      '{\n  "\u20ac": 1,\n  "\u{1f600}": 2,\n  "\ufb33": 3\n}\n',
      '{"\u20ac":1,"\u{1f600}":2,"\ufb33":3}',
      '{"\\ufb33":3,"\\ud83d\\ude00":2,"\\u20ac":1}',
    ),
    good(
      "order-of-prefixes",
      "A name stands before the longer ones that start with it; upper case before lower",
      '{\n  "": 0,\n  "A": 1,\n  "a": 2,\n  "a ": 3,\n  "aa": 4\n}\n',
      '{"":0,"A":1,"a":2,"a ":3,"aa":4}',
    ),
    good(
      "escapes",
      "The short escapes, \\u00xx in lower case for other control characters, and no others",
      '{\n  "s": "\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f/\u007f\u2028é"\n}\n',
      '{"s":"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f/\u007f\u2028é"}',
      '{"s":"\\u0022\\u005c\\u0008\\u000C\\u000a\\u000d\\u0009\\u0000\\u001F\\/\\u007f\\u2028\\u00e9"}',
    ),
    good(
      "numbers",
      "The smallest and the largest number",
      "[\n  0,\n  9007199254740991\n]\n",
      "[0,9007199254740991]",
      "[0, 9007199254740991.0]",
    ),
    good(
      "proto-keys",
      "__proto__, constructor and prototype are names like any other",
      '{\n  "__proto__": {\n    "polluted": true\n  },\n  "constructor": {\n    "prototype": 1\n  },\n  "prototype": 2\n}\n',
      '{"__proto__":{"polluted":true},"constructor":{"prototype":1},"prototype":2}',
    ),
    good("depth-32", "32 levels are the most", deep(32), "[".repeat(32) + "]".repeat(32)),
    good(
      "brackets-in-strings",
      "Brackets inside strings are no levels",
      `{\n  "s": "${"[".repeat(40)}\\"${"{".repeat(40)}"\n}\n`,
      `{"s":"${"[".repeat(40)}\\"${"{".repeat(40)}"}`,
    ),
    bad("depth-33", "33 levels", deep(33)),
    bad("depth-100000", "100,000 levels: found before any parser recurses", {
      parts: [
        { text: "[", times: 100_000 },
        { text: "]", times: 100_000 },
        { text: "\n", times: 1 },
      ],
    }),
    bad("duplicate-key", "One name twice in an object", '{\n  "a": 1,\n  "a": 1\n}\n'),
    bad("duplicate-key-escaped", "One name twice, the second time with an escape", '{\n  "a": 1,\n  "\\u0061": 2\n}\n'),
    bad("duplicate-proto", "__proto__ twice", '{\n  "__proto__": 1,\n  "__proto__": 2\n}\n'),
    bad("order", "Names out of order", '{\n  "b": 1,\n  "a": 2\n}\n'),
    bad("order-integers-first", '"10" before "0a", as JavaScript objects list them', '{\n  "10": 1,\n  "0a": 2\n}\n'),
    bad("order-by-code-point", "Names in order of code points, not of UTF-16 code units", '{\n  "\ufb33": 3,\n  "\u{1f600}": 2\n}\n'),
    bad("bom", "A byte order mark", "\ufeff{}\n"),
    bad("utf16", "UTF-16 instead of UTF-8", { base64: Buffer.from("\ufeff{}\n", "utf16le").toString("base64") }),
    bad("invalid-utf8", "The byte FF in a string", hex("22 ff 22 0a")),
    bad("overlong-utf8", "An overlong encoding of NUL", hex("22 c0 80 22 0a")),
    bad("surrogate-utf8", "A surrogate encoded as three bytes", hex("22 ed a0 80 22 0a")),
    bad("cut-utf8", "A character cut off by the end of the file", hex("22 e2 82")),
    bad("lone-surrogate", "An escaped high surrogate alone", '"\\ud800"\n'),
    bad("lone-surrogate-low", "An escaped low surrogate alone", '"\\udc00"\n'),
    bad("lone-surrogate-name", "A lone surrogate in a name", '{\n  "\\ud800": 1\n}\n'),
    bad("fraction", "0.1", "0.1\n"),
    bad("fraction-of-zero", "1.0 is another spelling of 1", "1.0\n"),
    bad("number-2-53", "2^53", "9007199254740992\n"),
    bad("number-2-53-plus-1", "2^53+1, which many parsers read as 2^53", "9007199254740993\n"),
    bad("number-2-54", "2^54 survives a round trip in many languages", "18014398509481984\n"),
    bad("number-1e400", "1e400 becomes infinity", "1e400\n"),
    bad("number-exponent", "1e2 is another spelling of 100", "1e2\n"),
    bad("minus-zero", "-0", "-0\n"),
    bad("negative", "-1", "-1\n"),
    bad("leading-zero", "01 is no JSON", "01\n"),
    bad("nan", "NaN is no JSON", "NaN\n"),
    bad("no-final-newline", "No newline at the end", "{}"),
    bad("two-final-newlines", "Two newlines at the end", "{}\n\n"),
    bad("crlf", "CRLF line ends", '{\r\n  "a": 1\r\n}\r\n'),
    bad("minified", "No white space", '{"a":1}\n'),
    bad("tabs", "Indented by tabs", '{\n\t"a": 1\n}\n'),
    bad("four-spaces", "Indented by four spaces", '{\n    "a": 1\n}\n'),
    bad("space-before-colon", "White space before a colon", '{\n  "a" : 1\n}\n'),
    bad("empty-object-spaced", "{ } for {}", "{ }\n"),
    bad("needless-escape", "\\u0061 for a", '"\\u0061"\n'),
    bad("escaped-slash", "\\/ for /", '"\\/"\n'),
    bad("upper-case-escape", "\\u001F for \\u001f", '"\\u001F"\n'),
    bad("long-escape", "\\u000a for \\n", '"\\u000a"\n'),
    bad("escaped-non-ascii", "\\u00e9 for é", '"\\u00e9"\n'),
    bad("raw-control-character", "A tab inside a string", '"\t"\n'),
    bad("trailing-comma", "A trailing comma", '{\n  "a": 1,\n}\n'),
    bad("comment", "A comment", "// hello\n{}\n"),
    bad("two-values", "Two values in one file", "{}\n{}\n"),
    bad("empty", "An empty file", ""),
    bad("cut", "A file cut off", '{\n  "a": 1'),
    bad(
      "too-large",
      "One byte more than the 1 MiB that these vectors are read under",
      {
        parts: [
          { text: '"', times: 1 },
          { text: "a", times: 1_048_574 },
          { text: '"\n', times: 1 },
        ],
      },
      "TOO_LARGE",
    ),
  ];
}
