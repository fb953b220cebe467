/** Areas `root`, `checkpoint`, `shard`, `record`, `release`: every member, and every rule between members. */
import type { Kind } from "../../src/format/envelope.ts";
import { formatPretty, type JsonObject, type JsonValue } from "../../src/format/json.ts";
import {
  CHECKPOINT,
  data,
  digest,
  DIST,
  edit,
  type Edit,
  file,
  HASH,
  INDEX_ID,
  INDEX_ID_OTHER,
  type Outcome,
  publicKeys,
  publishers,
  RECORD,
  RELEASE,
  role,
  ROOT_1,
  ROOT_2,
  sha256,
  text,
  type Vector,
  vector,
} from "./kit.ts";

const INVALID: Outcome = { error: "INVALID_DOCUMENT" };
const BEYOND_SCHEMA: Outcome = { error: "INVALID_DOCUMENT", schemaValid: true };

type Makers = {
  readonly good: (name: string, description: string, ...edits: readonly Edit[]) => Vector;
  readonly bad: (name: string, description: string, outcome: Outcome, ...edits: readonly Edit[]) => Vector;
};

function makers(area: string, kind: Kind, base: JsonObject, signer: string): Makers {
  return {
    good(name, description, ...edits) {
      const signed = edit(base, ...edits);
      const source = file(kind, signed, signer);
      return vector(area, name, description, {}, { input: { text: source }, digest: digest(signed), fileHash: sha256(source) });
    },
    bad: (name, description, outcome, ...edits) =>
      vector(area, name, description, outcome, { input: { text: file(kind, edit(base, ...edits), signer) } }),
  };
}

/** One vector a member that is left out. */
function missing({ bad }: Makers, ...members: readonly string[]): readonly Vector[] {
  return members.map((member) =>
    bad(`missing-${member.replaceAll("/", "-")}`, `${member.replaceAll("/", ".")} is missing`, INVALID, [member, undefined]),
  );
}

export function documentVectors(): readonly Vector[] {
  return [...rootVectors(), ...checkpointVectors(), ...shardVectors(), ...recordVectors(), ...releaseVectors()];
}

function rootVectors(): readonly Vector[] {
  const make = makers("root", "root", ROOT_1, "root");
  const second = makers("root", "root", ROOT_2, "root");
  const { good, bad } = make;
  const introduction = data({ id: INDEX_ID_OTHER, url: "https://git.example.org/bob/index.git", packages: ["@bob/*"] });
  const labels = (count: number): string[] => Array.from({ length: count }, (_, i) => `root ${i}`);
  return [
    good("ok", "The first root of an index with one key a role"),
    second.good("ok-version-2", "A later root names the index and the root before it"),
    good(
      "ok-full",
      "Every list filled",
      [
        "publishers",
        [publishers(["@alice/*", "left-padder"], 2, "publisher", "publisher 2", "publisher 3"), publishers(["*"], 1, "publisher 4")],
      ],
      ["tarballs", ["git", "git+https://git.example.org/alice/tarballs.git", "https://cdn.example.org/alice/{name}/{file}"]],
      ["mirrors", ["https://mirror.example.org/alice/index.git"]],
      ["introductions", [introduction]],
      ["refreshDays", 36_500],
    ),
    good("ok-key-of-two-entries", "One key in two entries of publishers: it is one role", [
      "publishers",
      [publishers(["@alice/*"], 1, "publisher"), publishers(["left-padder"], 1, "publisher")],
    ]),
    good("ok-eight-keys", "Eight keys of one role, all of which must sign", ["roles/root", role(8, ...labels(8))]),
    good("ok-no-publishers", "Nobody may publish anything yet", ["publishers", []]),
    good(
      "ok-unknown-members",
      "Unknown members at every level are ignored",
      ["comment", "hello"],
      ["roles/mirror", role(1, "checkpoint")],
      ["publishers/0/note", "x"],
      ["roles/root/note", "x"],
    ),
    ...missing(
      make,
      "index",
      "version",
      "previous",
      "name",
      "roles",
      "roles/root",
      "roles/checkpoint",
      "roles/root/keys",
      "roles/root/threshold",
      "publishers",
      "publishers/0/packages",
      "publishers/0/keys",
      "publishers/0/threshold",
      "tarballs",
      "mirrors",
      "introductions",
      "refreshDays",
    ),
    bad("threshold-0", "A threshold of 0 would need no signature", INVALID, ["roles/root/threshold", 0]),
    bad("threshold-above-keys", "A threshold that its keys cannot meet", BEYOND_SCHEMA, ["roles/checkpoint/threshold", 2]),
    bad("threshold-above-publishers", "A threshold of publishers that their keys cannot meet", BEYOND_SCHEMA, [
      "publishers/0/threshold",
      2,
    ]),
    bad("threshold-9", "A threshold above the most keys of a role", INVALID, ["roles/root/threshold", 9]),
    bad("no-keys", "A role without keys", INVALID, ["roles/root/keys", []]),
    bad("nine-keys", "Nine keys in one role", INVALID, ["roles/root/keys", publicKeys(...labels(9))]),
    bad("key-twice", "One key twice in a role", INVALID, ["roles/root/keys", publicKeys("root", "root")]),
    bad("key-malformed", "A key that is no key", INVALID, ["roles/root/keys", ["ed25519:AAAA"]]),
    bad("key-in-root-and-checkpoint", "One key in the roles root and checkpoint", BEYOND_SCHEMA, [
      "roles/checkpoint/keys",
      publicKeys("root"),
    ]),
    bad("key-in-root-and-publishers", "One key in the role root and among publishers", BEYOND_SCHEMA, [
      "publishers/0/keys",
      publicKeys("root"),
    ]),
    bad("key-in-checkpoint-and-publishers", "One key in the role checkpoint and among publishers", BEYOND_SCHEMA, [
      "publishers/0/keys",
      publicKeys("checkpoint"),
    ]),
    bad("pattern-in-two-entries", "One pattern in two entries of publishers", BEYOND_SCHEMA, [
      "publishers",
      [publishers(["@alice/*"], 1, "publisher"), publishers(["a", "@alice/*"], 1, "publisher 2")],
    ]),
    bad("pattern-twice", "One pattern twice in one entry", INVALID, ["publishers/0/packages", ["@alice/*", "@alice/*"]]),
    bad("no-patterns", "An entry for no package", INVALID, ["publishers/0/packages", []]),
    bad("pattern-malformed", "A pattern that is none", INVALID, ["publishers/0/packages", ["@alice/a*"]]),
    bad("version-0", "Roots count from 1", INVALID, ["version", 0]),
    second.bad("version-1025", "More roots than an index may have", INVALID, ["version", 1025]),
    bad("version-1-with-index", "The first root cannot know its own digest", INVALID, ["index", INDEX_ID]),
    bad("version-1-with-previous", "Nothing comes before the first root", INVALID, ["previous", INDEX_ID]),
    second.bad("version-2-without-index", "index is null in a later root", INVALID, ["index", null]),
    second.bad("version-2-without-previous", "previous is null in a later root", INVALID, ["previous", null]),
    second.bad("index-upper-case", "An index id in upper-case hex", INVALID, ["index", INDEX_ID.toUpperCase()]),
    bad("name-empty", "An empty name", INVALID, ["name", ""]),
    bad("name-with-space", "A name with a space", INVALID, ["name", "alice smith"]),
    bad("name-leading-dot", "A name that starts with a dot", INVALID, ["name", ".alice"]),
    bad("name-65", "A name of 65 characters", INVALID, ["name", "a".repeat(65)]),
    bad("refresh-is-text", "refreshDays is a string", INVALID, ["refreshDays", "30"]),
    bad("refresh-36501", "refreshDays above 36,500", INVALID, ["refreshDays", 36_501]),
    bad("no-tarballs", "No place for tarballs", INVALID, ["tarballs", []]),
    bad("tarballs-http", "A template without TLS", INVALID, ["tarballs", ["http://cdn.example.org/{file}"]]),
    bad("mirror-with-space", "A mirror's address with a space", INVALID, ["mirrors", ["https://mirror.example.org/a b"]]),
    bad("mirror-2049", "A mirror's address of 2,049 characters", INVALID, ["mirrors", [`https://${"a".repeat(2041)}`]]),
    bad("introduction-without-id", "An introduction without the id of the index", INVALID, [
      "introductions",
      [edit(introduction, ["id", undefined])],
    ]),
    bad("introduction-without-packages", "An introduction for no package", INVALID, [
      "introductions",
      [edit(introduction, ["packages", []])],
    ]),
    bad("introduction-without-url", "An introduction without an address", INVALID, [
      "introductions",
      [edit(introduction, ["url", undefined])],
    ]),
    bad("publishers-is-map", "publishers is an object", INVALID, ["publishers", data({})]),
    vector(
      "root",
      "too-large",
      "A root of 256 KiB and one byte",
      { error: "TOO_LARGE", schemaValid: null },
      {
        input: {
          parts: [
            { text: '"', times: 1 },
            { text: "a", times: 262_142 },
            { text: '"\n', times: 1 },
          ],
        },
      },
    ),
  ];
}

function checkpointVectors(): readonly Vector[] {
  const make = makers("checkpoint", "checkpoint", CHECKPOINT, "checkpoint");
  const { good, bad } = make;
  return [
    good("ok", "A checkpoint of an empty index"),
    good("ok-shards", "Two shards", ["shards", data({ "00": HASH, ff: HASH })]),
    good("ok-seq-largest", "The largest seq: what a stolen key would jump to", ["seq", Number.MAX_SAFE_INTEGER]),
    good("ok-leap-day", "A time on 29 February of a leap year", ["time", "2028-02-29T23:59:59.999Z"]),
    good("ok-unknown-members", "Unknown members are ignored", ["comment", null], ["root/comment", [1, 2]]),
    ...missing(make, "index", "root", "root/version", "root/digest", "seq", "time", "shards"),
    bad("index-null", "index is null, which only a first root may say", INVALID, ["index", null]),
    bad("index-upper-case", "index in upper-case hex", INVALID, ["index", INDEX_ID.toUpperCase()]),
    bad("root-version-0", "A root version of 0", INVALID, ["root/version", 0]),
    bad("root-version-1025", "A root version above 1,024", INVALID, ["root/version", 1025]),
    bad("root-digest-short", "A digest of 63 digits", INVALID, ["root/digest", INDEX_ID.slice(1)]),
    bad("seq-is-text", "seq is a string", INVALID, ["seq", "1"]),
    bad("time-23-characters", "A time of 23 characters: a shorter fraction", INVALID, ["time", "2026-01-01T00:00:00.00Z"]),
    bad("time-without-fraction", "A time without milliseconds", INVALID, ["time", "2026-01-01T00:00:00Z"]),
    bad("time-with-offset", "A time with an offset", INVALID, ["time", "2026-01-01T00:00:00.000+00:00"]),
    bad("time-lower-case", "A time with t and z", INVALID, ["time", "2026-01-01t00:00:00.000z"]),
    bad("time-february-30", "A day that does not exist", BEYOND_SCHEMA, ["time", "2026-02-30T00:00:00.000Z"]),
    bad("time-february-29", "29 February of a year that is no leap year", BEYOND_SCHEMA, ["time", "2026-02-29T00:00:00.000Z"]),
    bad("time-hour-24", "Hour 24", INVALID, ["time", "2026-01-01T24:00:00.000Z"]),
    bad("time-leap-second", "Second 60", INVALID, ["time", "2026-06-30T23:59:60.000Z"]),
    bad("shard-upper-case", "A shard named in upper-case hex", INVALID, ["shards", data({ "3F": HASH })]),
    bad("shard-one-digit", "A shard named by one digit", INVALID, ["shards", data({ f: HASH })]),
    bad("shard-hash-short", "A file hash of 63 digits", INVALID, ["shards", data({ "3f": HASH.slice(1) })]),
    bad("shards-is-list", "shards is a list", INVALID, ["shards", []]),
    bad("shards-proto", "__proto__ is no shard", INVALID, ["shards/__proto__", HASH]),
  ];
}

function shardVectors(): readonly Vector[] {
  const shardOf = (name: string): string => sha256(name).slice(0, 2);
  const make = (name: string, description: string, outcome: Outcome, shard: string, value: JsonValue): Vector => {
    const source = text(formatPretty(value));
    return vector("shard", name, description, outcome, {
      shard,
      input: { text: source },
      ...(outcome.error === undefined ? { fileHash: sha256(source) } : {}),
    });
  };
  const hello = "@alice/hello";
  const sibling = Array.from({ length: 10_000 }, (_, i) => `@alice/p${i}`).find((name) => shardOf(name) === shardOf(hello)) as string;
  return [
    make("ok", "One package", {}, shardOf(hello), data({ [hello]: HASH })),
    make("ok-two", "Two packages whose names hash to the same first byte", {}, shardOf(hello), data({ [sibling]: HASH, [hello]: HASH })),
    make("ok-constructor", "A package called constructor", {}, shardOf("constructor"), data({ constructor: HASH })),
    make("empty", "A shard is never empty: the checkpoint leaves it out instead", INVALID, shardOf(hello), data({})),
    make(
      "wrong-shard",
      "A name that belongs to another shard",
      BEYOND_SCHEMA,
      shardOf(hello) === "00" ? "01" : "00",
      data({ [hello]: HASH }),
    ),
    make("proto", "__proto__ is no package name", INVALID, shardOf("__proto__"), edit(data({}), ["__proto__", HASH])),
    make("name-invalid", "A name with a leading dot", INVALID, shardOf(".hidden"), data({ ".hidden": HASH })),
    make("hash-upper-case", "A file hash in upper-case hex", INVALID, shardOf(hello), data({ [hello]: HASH.toUpperCase() })),
    make("hash-is-object", "An object instead of a file hash", INVALID, shardOf(hello), data({ [hello]: data({ sha256: HASH }) })),
    make("is-list", "A list instead of an object", INVALID, shardOf(hello), [HASH]),
    vector(
      "shard",
      "minified",
      "A shard without white space",
      { error: "INVALID_DOCUMENT", schemaValid: true },
      { shard: shardOf(hello), input: { text: `{"${hello}":"${HASH}"}\n` } },
    ),
    vector(
      "shard",
      "too-large",
      "A shard of 8 MiB and one byte",
      { error: "TOO_LARGE", schemaValid: null },
      {
        shard: "00",
        input: {
          parts: [
            { text: "{}\n", times: 1 },
            { text: "\n", times: 8_388_606 },
          ],
        },
      },
    ),
  ];
}

function recordVectors(): readonly Vector[] {
  const make = makers("record", "package", RECORD, "publisher");
  const { good, bad } = make;
  const at = (member: string, name: string): readonly string[] => [member, name];
  const key = (name: string): readonly Edit[] => [
    [at("releases", name), HASH],
    [at("releases", "1.0.0"), HASH],
  ];
  const empty: readonly Edit[] = [
    ["releases", data({})],
    ["tags", data({})],
  ];
  return [
    good("ok", "One release"),
    good("ok-empty", "A package without releases needs no latest", ...empty),
    good("ok-withdrawn-only", "A package whose only release was withdrawn", ...empty, [at("withdrawn", "1.0.0"), "secrets in the tarball"]),
    good(
      "ok-full",
      "Every map filled; a version may be yanked, deprecated and tagged at once",
      [at("releases", "1.1.0-rc.1"), HASH],
      [at("withdrawn", "0.9.0"), ""],
      [at("yanked", "1.0.0"), "broken on Windows"],
      [at("deprecated", "1.0.0"), "use 2"],
      [at("tags", "next"), "1.1.0-rc.1"],
      [at("tags", "beta_1.x-"), "1.0.0"],
    ),
    good(
      "ok-unknown-members",
      "Unknown members are ignored, __proto__ among them",
      ["comment", "hello"],
      ["__proto__", data({ polluted: true })],
    ),
    good(
      "ok-constructor-tag",
      "constructor and __proto__ are tags like any other",
      [at("tags", "constructor"), "1.0.0"],
      [at("tags", "__proto__"), "1.0.0"],
    ),
    good("ok-revision-0", "The smallest revision", ["revision", 0]),
    ...missing(make, "index", "name", "revision", "releases", "withdrawn", "yanked", "deprecated", "tags"),
    bad("latest-missing", "Releases, but no tag latest", INVALID, ["tags", data({ next: "1.0.0" })]),
    bad("withdrawn-and-released", "A version in withdrawn and in releases", BEYOND_SCHEMA, [at("withdrawn", "1.0.0"), "gone"]),
    bad("yanked-not-released", "A yanked version that is not in releases", BEYOND_SCHEMA, [at("yanked", "1.0.1"), "broken"]),
    bad(
      "yanked-withdrawn",
      "A version yanked and withdrawn",
      BEYOND_SCHEMA,
      [at("yanked", "1.0.1"), "broken"],
      [at("withdrawn", "1.0.1"), "gone"],
    ),
    bad("deprecated-not-released", "A deprecated version that is not in releases", BEYOND_SCHEMA, [at("deprecated", "1.0.1"), "old"]),
    bad("tagged-not-released", "A tag on a version that is not in releases", BEYOND_SCHEMA, [at("tags", "next"), "2.0.0"]),
    bad(
      "latest-withdrawn",
      "latest on a withdrawn version",
      BEYOND_SCHEMA,
      [at("withdrawn", "2.0.0"), "gone"],
      [at("tags", "latest"), "2.0.0"],
    ),
    bad("versions-differ-by-case", "Two releases whose versions differ only by case", BEYOND_SCHEMA, ...key("1.0.0-a"), ...key("1.0.0-A")),
    bad("withdrawn-differs-by-case", "A release and a withdrawn version that differ only by case", BEYOND_SCHEMA, ...key("1.0.0-a"), [
      at("withdrawn", "1.0.0-A"),
      "gone",
    ]),
    bad("version-build-metadata", "A version with build metadata", INVALID, ...key("1.0.0+build")),
    bad("version-proto", "__proto__ is no version", INVALID, [at("releases", "__proto__"), HASH]),
    bad("tag-is-range", "A tag that is a range", INVALID, [at("tags", "1.x"), "1.0.0"]),
    bad("tag-65", "A tag of 65 characters", INVALID, [at("tags", "t".repeat(65)), "1.0.0"]),
    bad("tag-to-null", "A tag on nothing", INVALID, [at("tags", "next"), null]),
    bad("reason-not-text", "A reason that is no string", INVALID, [at("yanked", "1.0.0"), true]),
    bad("hash-short", "A file hash of 63 digits", INVALID, [at("releases", "1.0.0"), HASH.slice(1)]),
    bad("revision-is-text", "revision is a string", INVALID, ["revision", "1"]),
    bad("name-invalid", "A name that is none", INVALID, ["name", "@alice/.."]),
    bad("releases-is-list", "releases is a list of versions", INVALID, ["releases", ["1.0.0"]]),
  ];
}

function releaseVectors(): readonly Vector[] {
  const make = makers("release", "release", RELEASE, "publisher");
  const { good, bad } = make;
  const source = data({
    url: "https://packages.example.org/hello/-/hello-1.0.0.tgz",
    integrity: "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    signatures: [data({ keyid: "SHA256:abc", sig: "MEUCIQ==" })],
  });
  const nested = (levels: number): JsonValue => (levels === 0 ? "x" : [nested(levels - 1)]);
  const integrity = DIST["integrity"] as string;
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const lax = `${integrity.slice(0, -3)}${alphabet[alphabet.indexOf(integrity.at(-3) as string) + 1] ?? ""}==`;
  return [
    good("ok", "A release with few fields"),
    good(
      "ok-full",
      "Every field of manifest, and both optional members",
      ["manifest", fullManifest()],
      ["source", source],
      ["provenance", data({ builder: "ci", attestations: [] })],
    ),
    good("ok-empty-manifest", "Members of manifest may all be absent", ["manifest", data({})]),
    good("ok-proto", "__proto__ and constructor as dependencies are data", [
      ["manifest", "dependencies"],
      edit(data({ constructor: "1.0.0" }), ["__proto__", "1.0.0"]),
    ]),
    good(
      "ok-unknown-members",
      "Unknown members are ignored",
      ["comment", "hello"],
      ["dist/blake3", "x"],
      ["source", edit(source, ["note", "x"])],
    ),
    good("ok-odd-manifest", "Fields of manifest are carried as they stand, whatever their type", [
      "manifest",
      data({ bin: 7, dependencies: ["a"], license: null, engines: "node" }),
    ]),
    good("ok-unpacked-0", "One empty file", ["dist/unpackedSize", 0], ["dist/fileCount", 1]),
    good("ok-depth-32", "The deepest manifest: a field of 29 levels", ["manifest/description", nested(29)]),
    ...missing(
      make,
      "index",
      "name",
      "version",
      "published",
      "dist",
      "manifest",
      "dist/integrity",
      "dist/shasum",
      "dist/size",
      "dist/unpackedSize",
      "dist/fileCount",
    ),
    bad("depth-33", "A manifest one level too deep", BEYOND_SCHEMA, ["manifest/description", nested(30)]),
    bad("integrity-sha1", "An integrity by sha1", INVALID, ["dist/integrity", "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA="]),
    bad("integrity-two", "Two integrities", INVALID, ["dist/integrity", `${integrity} ${integrity}`]),
    bad("integrity-unpadded", "An integrity without padding", INVALID, ["dist/integrity", integrity.slice(0, -2)]),
    bad("integrity-other-spelling", "An integrity whose unused low bits are set", INVALID, ["dist/integrity", lax]),
    bad("integrity-hex", "An integrity in hex", INVALID, ["dist/integrity", `sha512-${"0".repeat(128)}`]),
    bad("shasum-upper-case", "A shasum in upper-case hex", INVALID, ["dist/shasum", (DIST["shasum"] as string).toUpperCase()]),
    bad("size-0", "An empty tarball", INVALID, ["dist/size", 0]),
    bad("size-is-text", "size is a string", INVALID, ["dist/size", "30"]),
    bad("file-count-0", "No file", INVALID, ["dist/fileCount", 0]),
    bad("dist-is-text", "dist is an address", INVALID, ["dist", "https://cdn.example.org/hello-1.0.0.tgz"]),
    bad("manifest-is-list", "manifest is a list", INVALID, ["manifest", []]),
    bad("published-23-characters", "A time of 23 characters", INVALID, ["published", TIME_23]),
    bad("version-with-v", "v1.0.0", INVALID, ["version", "v1.0.0"]),
    bad("name-unicode", "A name outside ASCII", INVALID, ["name", "@alice/héllo"]),
    bad("source-null", "source is null: absent is absent", INVALID, ["source", null]),
    bad("source-without-signatures", "source without signatures", INVALID, ["source", edit(source, ["signatures", undefined])]),
    bad("source-without-url", "source without url", INVALID, ["source", edit(source, ["url", undefined])]),
    bad("source-without-integrity", "source without integrity", INVALID, ["source", edit(source, ["integrity", undefined])]),
    bad("source-signature-without-sig", "An upstream signature without sig", INVALID, [
      "source",
      edit(source, ["signatures/0/sig", undefined]),
    ]),
    bad("source-signature-without-keyid", "An upstream signature without keyid", INVALID, [
      "source",
      edit(source, ["signatures/0/keyid", undefined]),
    ]),
    bad("provenance-is-text", "provenance is a string", INVALID, ["provenance", "trust me"]),
    vector(
      "release",
      "fraction-in-manifest",
      "A number in manifest that is no integer",
      { error: "INVALID_DOCUMENT", schemaValid: true },
      {
        input: {
          text: file("release", edit(RELEASE, ["manifest/description", 7]), "publisher").replace('"description": 7', '"description": 0.1'),
        },
      },
    ),
    vector(
      "release",
      "lone-surrogate-in-manifest",
      "A lone surrogate in manifest",
      { error: "INVALID_DOCUMENT", schemaValid: true },
      { input: { text: file("release", RELEASE, "publisher").replace("Says hello", "\\ud800") } },
    ),
    vector(
      "release",
      "too-large",
      "A release of 1 MiB and one byte",
      { error: "TOO_LARGE", schemaValid: null },
      {
        input: {
          parts: [
            { text: '"', times: 1 },
            { text: "a", times: 1_048_574 },
            { text: '"\n', times: 1 },
          ],
        },
      },
    ),
  ];
}

const TIME_23 = "2026-01-01T00:00:00.00Z";

function fullManifest(): JsonObject {
  return data({
    dependencies: data({ "@bob/x": "^1.0.0" }),
    optionalDependencies: data({ fsevents: "2" }),
    peerDependencies: data({ react: ">=18" }),
    peerDependenciesMeta: data({ react: data({ optional: true }) }),
    acceptDependencies: data({ a: "1" }),
    bundleDependencies: ["b"],
    bundledDependencies: true,
    bin: "./cli.js",
    directories: data({ man: "./man" }),
    engines: data({ node: ">=20" }),
    os: ["linux", "!win32"],
    cpu: "x64",
    libc: ["glibc"],
    description: "Says \u{1f44b}",
    keywords: ["hello"],
    license: "MIT",
    author: data({ name: "Alice" }),
    homepage: "https://alice.example.org",
    repository: data({ type: "git", url: "https://git.example.org/alice/hello.git" }),
    bugs: "https://git.example.org/alice/hello/issues",
    funding: "https://alice.example.org/fund",
    hasShrinkwrap: true,
    hasInstallScript: true,
  });
}
