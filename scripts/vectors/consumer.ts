/** Areas `project`, `claims`, `lock`: the two files that a consumer commits. */
import type { JsonObject, JsonValue } from "../../src/format/json.ts";
import { formatPretty } from "../../src/format/json.ts";
import { data, edit, type Edit, HASH, INDEX_ID, INDEX_ID_OTHER, type Outcome, text, type Vector, vector } from "./kit.ts";

const INVALID: Outcome = { error: "CONFIG_INVALID" };
const BEYOND_SCHEMA: Outcome = { error: "CONFIG_INVALID", schemaValid: true };
const NO_JSON: Outcome = { error: "CONFIG_INVALID", schemaValid: null };
const UNSUPPORTED: Outcome = { error: "UNSUPPORTED_FORMAT", schemaValid: false };

const PROJECT: JsonObject = data({
  format: 1,
  indices: data({
    alice: data({
      id: INDEX_ID,
      urls: ["https://git.example.org/alice/index.git"],
      ref: "refs/heads/main",
      packages: ["@alice/*", "left-padder"],
    }),
  }),
  upstream: data({ allow: ["*"], deny: ["@mycorp/*"] }),
});

const LOCK: JsonObject = data({
  format: 1,
  indices: data({ alice: data({ id: INDEX_ID, root: data({ version: 1, digest: INDEX_ID }), seq: 42, checkpoint: HASH }) }),
});

const pretty = (value: JsonValue): string => text(formatPretty(value));

export function consumerVectors(): readonly Vector[] {
  return [...projectVectors(), ...claimVectors(), ...lockVectors()];
}

function projectVectors(): readonly Vector[] {
  const make = (name: string, description: string, outcome: Outcome, input: string): Vector =>
    vector("project", name, description, outcome, { input: { text: input } });
  const good = (name: string, description: string, ...edits: readonly Edit[]): Vector =>
    make(name, description, {}, pretty(edit(PROJECT, ...edits)));
  const bad = (name: string, description: string, outcome: Outcome, ...edits: readonly Edit[]): Vector =>
    make(name, description, outcome, pretty(edit(PROJECT, ...edits)));
  const bob = (...packages: readonly string[]): JsonObject =>
    data({ id: INDEX_ID_OTHER, urls: ["sparse+https://bob.example.org/index"], packages });
  const bobIndex: Edit = ["indices/bob", bob("@bob/*")];
  const agreement = data({ names: ["react-x", "@a/b"], of: ["alice", "bob"], threshold: 2 });
  const agreeOn = (...edits: readonly Edit[]): Edit => ["agree", edit(agreement, ...edits)];
  const aliases = (count: number): string[] => Array.from({ length: count }, (_, i) => `i${i}`);
  const indices = (count: number): Edit[] => aliases(count).map((alias) => [`indices/${alias}`, bob(`@${alias}/*`)]);
  const source = pretty(PROJECT);
  return [
    good("ok", "One index"),
    good("ok-empty", "No index and no rule: everything from upstream", ["indices", data({})], ["upstream", undefined]),
    good("ok-without-ref", "ref may be left out", ["indices/alice/ref", undefined]),
    good(
      "ok-full",
      "Every member",
      ["indices/alice/maxAgeDays", 30],
      ["indices/alice/minAgeHours", 0],
      ["upstream/registry", "https://packages.example.org/npm/"],
      ["indices/bob", bob("*")],
    ),
    good("ok-upstream-empty", "allow and deny may be left out", ["upstream", data({})]),
    good("ok-no-claim", "An index that nothing is taken from", ["indices/alice/packages", []]),
    good("ok-constructor", "An index called constructor", ["indices/constructor", bob("@bob/*")]),
    make(
      "ok-other-layout",
      "People may lay it out as they like, with a byte order mark and CRLF",
      {},
      `\ufeff${JSON.stringify(JSON.parse(source), null, 4).replaceAll("\n", "\r\n")}`,
    ),
    bad("unknown-member", "A member that no version knows", INVALID, ["comment", "hello"]),
    good("ok-agree", "Two indices that must agree on a name", bobIndex, agreeOn()),
    good(
      "ok-agree-claimed",
      "A name that is agreed on may be claimed, too: what is agreed on comes first",
      bobIndex,
      agreeOn(["names", ["left-padder"]]),
    ),
    good("ok-agree-16", "Sixteen indices", ...indices(16), agreeOn(["of", aliases(16)], ["threshold", 16])),
    bad("agree-empty", "agree without its members", INVALID, ["agree", data({})]),
    bad("agree-null", "agree is null", INVALID, ["agree", null]),
    bad("agree-no-name", "No name to agree on", INVALID, bobIndex, agreeOn(["names", []])),
    bad(
      "agree-pattern",
      "Exact names only: a scope would take in names that nobody reads",
      INVALID,
      bobIndex,
      agreeOn(["names", ["@x/*"]]),
    ),
    bad("agree-star", "Nor *", INVALID, bobIndex, agreeOn(["names", ["*"]])),
    bad("agree-name-twice", "One name twice", INVALID, bobIndex, agreeOn(["names", ["a", "a"]])),
    bad("agree-of-nobody", "Nobody to agree", INVALID, bobIndex, agreeOn(["of", []])),
    bad("agree-of-17", "Seventeen indices", INVALID, ...indices(17), agreeOn(["of", aliases(17)])),
    bad("agree-of-twice", "One index twice would have two votes", INVALID, bobIndex, agreeOn(["of", ["alice", "alice"]])),
    bad("agree-of-stranger", "An alias that this file does not have", BEYOND_SCHEMA, agreeOn()),
    bad("agree-threshold-0", "A threshold of 0", INVALID, bobIndex, agreeOn(["threshold", 0])),
    bad("agree-threshold-3", "A threshold above the number of indices", BEYOND_SCHEMA, bobIndex, agreeOn(["threshold", 3])),
    bad("agree-threshold-missing", "No threshold", INVALID, bobIndex, agreeOn(["threshold", undefined])),
    bad("agree-unknown-member", "A misspelt member", INVALID, bobIndex, agreeOn(["treshold", 2])),
    bad("agree-list", "Only one agreement", INVALID, ["agree", []]),
    good("ok-overlay", "A name that is claimed by its exact name", ["overlay", ["left-padder"]]),
    good("ok-overlay-empty", "No overlay", ["overlay", []]),
    good("ok-overlay-wider-deny", "A wider denial: the overlay is the closer rule", ["overlay", ["left-padder"]], ["upstream/deny", ["*"]]),
    bad("overlay-unclaimed", "A name that nobody claims", BEYOND_SCHEMA, ["overlay", ["lodash"]]),
    bad("overlay-claimed-by-scope", "A name that only its scope claims", BEYOND_SCHEMA, ["overlay", ["@alice/a"]]),
    bad(
      "overlay-claimed-twice",
      "A name that two indices claim",
      BEYOND_SCHEMA,
      ["indices/bob", bob("left-padder")],
      ["overlay", ["left-padder"]],
    ),
    bad(
      "overlay-denied",
      "A name that upstream may not answer for",
      BEYOND_SCHEMA,
      ["overlay", ["left-padder"]],
      ["upstream/deny", ["left-padder"]],
    ),
    bad(
      "overlay-agreed",
      "A name that is agreed on cannot lie over upstream",
      BEYOND_SCHEMA,
      bobIndex,
      agreeOn(["names", ["left-padder"]]),
      ["overlay", ["left-padder"]],
    ),
    bad("overlay-pattern", "Exact names only", INVALID, ["overlay", ["@alice/*"]]),
    bad("overlay-twice", "One name twice", INVALID, ["overlay", ["left-padder", "left-padder"]]),
    bad("overlay-object", "overlay is an object", INVALID, ["overlay", data({})]),
    bad("misspelt-member", "maxAgeDay: a misspelt member would silently widen what is trusted", INVALID, ["indices/alice/maxAgeDay", 30]),
    bad("unknown-upstream-member", "upstream.denied for deny", INVALID, ["upstream/denied", ["*"]]),
    bad("format-missing", "format is missing", INVALID, ["format", undefined]),
    bad("format-0", "A lower format", INVALID, ["format", 0]),
    bad("format-2", "A higher format needs newer software", UNSUPPORTED, ["format", 2]),
    bad("indices-missing", "indices is missing", INVALID, ["indices", undefined]),
    bad("indices-is-list", "indices is a list", INVALID, ["indices", []]),
    bad("alias-invalid", "An alias with a slash", INVALID, [["indices", "al/ice"], bob("@bob/*")]),
    bad("alias-proto", "__proto__ is no alias", INVALID, ["indices/__proto__", bob("@bob/*")]),
    bad("id-missing", "An index without an id would trust whoever answers first", INVALID, ["indices/alice/id", undefined]),
    bad("id-short", "An id of 63 digits", INVALID, ["indices/alice/id", INDEX_ID.slice(1)]),
    bad("urls-missing", "urls is missing", INVALID, ["indices/alice/urls", undefined]),
    bad("urls-empty", "No address", INVALID, ["indices/alice/urls", []]),
    bad("urls-17", "Seventeen addresses", INVALID, [
      "indices/alice/urls",
      Array.from({ length: 17 }, (_, i) => `https://h${i}.example.org/index.git`),
    ]),
    bad("urls-twice", "One address twice", INVALID, ["indices/alice/urls", ["https://a.example.org/", "https://a.example.org/"]]),
    bad("url-with-newline", "An address with a newline", INVALID, ["indices/alice/urls", ["https://a.example.org/\n"]]),
    bad("ref-short", "A ref that is no full name", INVALID, ["indices/alice/ref", "main"]),
    bad("ref-dots", "Two dots in a ref", INVALID, ["indices/alice/ref", "refs/heads/a..b"]),
    bad("ref-lock", "A ref that ends in .lock", INVALID, ["indices/alice/ref", "refs/heads/a.lock"]),
    bad("ref-trailing-dot", "A part of a ref that ends in a dot", INVALID, ["indices/alice/ref", "refs/heads/a./b"]),
    bad("ref-256", "A ref of 256 characters", INVALID, ["indices/alice/ref", `refs/heads/${"a".repeat(245)}`]),
    bad("packages-missing", "packages is missing", INVALID, ["indices/alice/packages", undefined]),
    bad("pattern-invalid", "A claim that is no pattern", INVALID, ["indices/alice/packages", ["@alice/**"]]),
    bad("pattern-twice", "One claim twice", INVALID, ["indices/alice/packages", ["a", "a"]]),
    bad("two-claims-of-one-name", "Two indices with equal claims to a name", { error: "CLAIMS_CONFLICT", schemaValid: true }, [
      "indices/bob",
      bob("left-padder"),
    ]),
    bad("max-age-0", "maxAgeDays of 0", INVALID, ["indices/alice/maxAgeDays", 0]),
    bad("max-age-36501", "maxAgeDays above 36,500", INVALID, ["indices/alice/maxAgeDays", 36_501]),
    bad("max-age-null", "maxAgeDays is null", INVALID, ["indices/alice/maxAgeDays", null]),
    bad("min-age-876001", "minAgeHours above 876,000", INVALID, ["indices/alice/minAgeHours", 876_001]),
    make("min-age-fraction", "A fraction of an hour", INVALID, source.replace('"id"', '"minAgeHours": 0.5,\n      "id"')),
    bad("upstream-null", "upstream is null", INVALID, ["upstream", null]),
    bad("deny-is-text", "deny is a string", INVALID, ["upstream/deny", "*"]),
    bad("registry-ftp", "An upstream that is no web address", INVALID, ["upstream/registry", "ftp://packages.example.org/"]),
    bad("registry-credentials", "An upstream address with credentials", INVALID, [
      "upstream/registry",
      "https://me:secret@packages.example.org/",
    ]),
    make(
      "duplicate-member",
      "One member twice: two readers could each see another one",
      BEYOND_SCHEMA,
      source.replace('"deny": [', '"deny": [],\n    "deny": ['),
    ),
    make(
      "duplicate-member-escaped",
      "One member twice, once with an escape",
      BEYOND_SCHEMA,
      source.replace('"format"', '"\\u0066ormat": 2,\n  "format"'),
    ),
    make("lone-surrogate", "A lone surrogate", INVALID, source.replace("@mycorp/*", "\\ud800")),
    make("conflict-marker", "A merge that was left unfinished", NO_JSON, source.replace('  "indices"', '<<<<<<< HEAD\n  "indices"')),
    make("trailing-comma", "A trailing comma", NO_JSON, source.replace('"@mycorp/*"\n', '"@mycorp/*",\n')),
    make("comment", "A comment", NO_JSON, `// who may answer\n${source}`),
    make("text-after", "Text after the end", NO_JSON, `${source}{}`),
    make("cut", "A file cut off", NO_JSON, source.slice(0, 60)),
    make("is-list", "A list", INVALID, "[]\n"),
    make("empty", "An empty file", NO_JSON, ""),
    vector("project", "not-utf8", "Bytes that are not UTF-8", NO_JSON, {
      input: { base64: Buffer.from([0x7b, 0xff, 0x7d]).toString("base64") },
    }),
    vector("project", "depth-33", "33 levels", NO_JSON, {
      input: {
        parts: [
          { text: "[", times: 33 },
          { text: "]", times: 33 },
        ],
      },
    }),
    vector("project", "too-large", "1 MiB and one byte", NO_JSON, {
      input: {
        parts: [
          { text: "{}", times: 1 },
          { text: " ", times: 1_048_575 },
        ],
      },
    }),
  ];
}

function claimVectors(): readonly Vector[] {
  const project = edit(
    PROJECT,
    ["indices/alice/packages", ["@alice/*", "left-padder"]],
    ["indices/bob", data({ id: INDEX_ID_OTHER, urls: ["https://git.example.org/bob/index.git"], packages: ["@alice/bobs", "@bob/*"] })],
    ["upstream", data({ allow: ["*", "@mycorp/open"], deny: ["@mycorp/*", "evil", "@half/*"] })],
  );
  const several = edit(
    project,
    ["agree", data({ names: ["react-x", "@alice/bobs", "evil"], of: ["alice", "bob"], threshold: 2 })],
    ["overlay", ["left-padder"]],
  );
  const make = (label: string, description: string, name: string, source: string, from: JsonObject = project): Vector =>
    vector("claims", label, description, { schemaValid: null }, { project: pretty(from), name, source });
  return [
    make("exact", "An exact claim", "left-padder", "index:alice"),
    make("scope", "A claimed scope", "@alice/hello", "index:alice"),
    make("exact-beats-scope", "An exact claim beats a scope", "@alice/bobs", "index:bob"),
    make("case-matters", "Names are compared as they are", "@Alice/hello", "upstream"),
    make("scope-is-no-prefix", "A scope is no prefix", "@alice2/hello", "upstream"),
    make("upstream", "What nobody claims", "react", "upstream"),
    make("denied", "A denied name", "evil", "denied"),
    make("denied-scope", "A denied scope beats *", "@mycorp/secret", "denied"),
    make("allowed-name-in-denied-scope", "An allowed name beats a denied scope", "@mycorp/open", "upstream"),
    make("deny-wins-tie", "Of two equal rules deny wins", "react", "denied", edit(project, ["upstream/deny", ["*"]])),
    make(
      "star-before-upstream",
      "A claim of * takes all that no closer claim takes",
      "react",
      "index:bob",
      edit(project, ["indices/bob/packages", ["*"]]),
    ),
    make(
      "claim-beats-deny",
      "A claim comes before every rule of upstream",
      "left-padder",
      "index:alice",
      edit(project, ["upstream/deny", ["left-padder"]]),
    ),
    make("agree", "Agreed on", "react-x", "agree", several),
    make("agree-before-claim", "What is agreed on comes before an exact claim", "@alice/bobs", "agree", several),
    make("agree-before-deny", "And before every rule of upstream", "evil", "agree", several),
    make("agree-is-exact", "Other names of the scope are claimed as ever", "@alice/hello", "index:alice", several),
    make("overlay", "Claimed, over upstream", "left-padder", "overlay:alice", several),
    make("overlay-is-exact", "A name that only begins like it", "left-padder2", "upstream", several),
    make("nothing-allowed", "Where nothing is allowed", "react", "denied", edit(project, ["upstream/allow", []])),
  ];
}

function lockVectors(): readonly Vector[] {
  const make = (name: string, description: string, outcome: Outcome, input: string): Vector =>
    vector("lock", name, description, outcome, { input: { text: input } });
  const good = (name: string, description: string, ...edits: readonly Edit[]): Vector =>
    make(name, description, {}, pretty(edit(LOCK, ...edits)));
  const bad = (name: string, description: string, outcome: Outcome, ...edits: readonly Edit[]): Vector =>
    make(name, description, outcome, pretty(edit(LOCK, ...edits)));
  const missing = (...members: readonly string[]): readonly Vector[] =>
    members.map((member) =>
      bad(`missing-${member.replaceAll("/", "-")}`, `${member} is missing`, INVALID, [`indices/alice/${member}`, undefined]),
    );
  const source = pretty(LOCK);
  return [
    good("ok", "One index"),
    good("ok-empty", "No index", ["indices", data({})]),
    make("ok-other-layout", "Layout does not matter", {}, JSON.stringify(JSON.parse(source))),
    ...missing("id", "root", "root/version", "root/digest", "seq", "checkpoint"),
    bad("indices-missing", "indices is missing", INVALID, ["indices", undefined]),
    bad("format-0", "A lower format", INVALID, ["format", 0]),
    bad("format-2", "A higher format needs newer software", UNSUPPORTED, ["format", 2]),
    bad("unknown-member", "An unknown member", INVALID, ["comment", "hello"]),
    bad("unknown-entry-member", "An unknown member of an entry", INVALID, ["indices/alice/time", "x"]),
    bad("unknown-root-member", "An unknown member of root", INVALID, ["indices/alice/root/name", "x"]),
    bad("alias-invalid", "An alias that starts with a dot", INVALID, [["indices", ".a"], data({})]),
    bad("seq-is-text", "seq is a string", INVALID, ["indices/alice/seq", "42"]),
    bad("root-version-0", "A root version of 0", INVALID, ["indices/alice/root/version", 0]),
    bad("checkpoint-upper-case", "A digest in upper-case hex", INVALID, ["indices/alice/checkpoint", HASH.toUpperCase()]),
    make("seq-negative", "A negative seq", INVALID, source.replace('"seq": 42', '"seq": -1')),
    make("seq-2-53", "A seq above 2^53-1", INVALID, source.replace('"seq": 42', '"seq": 9007199254740992')),
    make(
      "duplicate-member",
      "One member twice: the lower floor would win somewhere",
      BEYOND_SCHEMA,
      source.replace('"seq": 42', '"seq": 1,\n      "seq": 42'),
    ),
    make("conflict-marker", "A merge that was left unfinished", NO_JSON, source.replace('      "seq"', '=======\n      "seq"')),
  ];
}
