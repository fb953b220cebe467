/** Areas `names`, `versions`, `tags`, `patterns`, `keys`, `templates`, `paths`: texts with one spelling. */
import { createHash } from "node:crypto";
import { publicKey, type Vector, vector } from "./kit.ts";

type Case = readonly [name: string, value: string, description: string];

/** @param beyondSchema values that a schema lets through and a reader does not */
function area(
  name: string,
  error: string,
  good: readonly Case[],
  bad: readonly Case[],
  beyondSchema: readonly Case[] = [],
): readonly Vector[] {
  return [
    ...good.map(([label, value, description]) => vector(name, `ok-${label}`, description, {}, { value })),
    ...bad.map(([label, value, description]) => vector(name, label, description, { error }, { value })),
    ...beyondSchema.map(([label, value, description]) => vector(name, label, description, { error, schemaValid: true }, { value })),
  ];
}

const long = (count: number): string => "a".repeat(count);

export function scalarVectors(): readonly Vector[] {
  const key = publicKey("publisher");
  return [
    ...area(
      "names",
      "INVALID_NAME",
      [
        ["plain", "left-pad", "A plain name"],
        ["scoped", "@alice/hello", "A scoped name"],
        ["one-letter", "a", "One letter"],
        ["constructor", "constructor", "A name that JavaScript objects have"],
        ["device", "con", "A device name of Windows"],
        ["core-module", "events", "A core module of Node"],
        ["yarn-lock", "yarn.lock", "A name that ends like a git lock"],
        ["dots-inside", "a..b", "Two dots inside"],
        ["underscore-after-scope", "@x/_y", "A leading underscore, after a scope"],
        ["proto-after-scope", "@x/__proto__", "__proto__ after a scope"],
        ["node-modules-after-scope", "@x/node_modules", "node_modules after a scope is a name"],
        ["hyphen-after-scope", "@x/-y", "A leading hyphen, after a scope"],
        ["upper-case", "JSONStream", "Upper case, for re-issued packages"],
        ["trailing-hyphen", "a-", "A trailing hyphen"],
        ["digit", "0", "A digit"],
        ["214", long(214), "214 characters"],
        ["scope-dot", "@a.b./c", "Dots in a scope"],
      ],
      [
        ["empty", "", "No name"],
        ["dot-dot", "..", "The folder above"],
        ["slash", "a/b", "A slash without a scope"],
        ["percent", "%2f", "A percent sign"],
        ["nul", "a\0b", "A NUL"],
        ["newline", "a\n", "A newline at the end"],
        ["215", long(215), "215 characters"],
        ["unicode", "héllo", "A letter outside ASCII"],
        ["homoglyph", "\u0430lice", "A Cyrillic letter that looks like a"],
        ["full-width", "\uff21", "A full-width letter"],
        ["leading-dot", ".hidden", "A leading dot"],
        ["leading-dot-after-scope", "@x/.hidden", "A leading dot after a scope"],
        ["trailing-dot", "a.", "A trailing dot, which Windows drops"],
        ["node-modules", "node_modules", "The folder of dependencies"],
        ["favicon", "favicon.ico", "What browsers ask for"],
        ["proto", "__proto__", "A leading underscore without a scope"],
        ["hyphen", "-g", "A leading hyphen without a scope: an option to many tools"],
        ["scope-alone", "@alice", "A scope without a name"],
        ["scope-empty", "@/a", "An empty scope"],
        ["scope-without-name", "@alice/", "A scope and an empty name"],
        ["scope-twice", "@a/@b/c", "Two scopes"],
        ["scope-leading-dot", "@.a/b", "A scope that starts with a dot"],
        ["scope-underscore", "@_a/b", "A scope that starts with an underscore"],
        ["space", "a b", "A space"],
        ["tilde", "a~b", "A tilde, which npm knew once"],
        ["exclamation", "!a", "An exclamation mark, which paths use"],
        ["plus", "a+b", "A plus sign, which paths use"],
        ["backslash", "a\\b", "A backslash"],
        ["pattern", "@alice/*", "A pattern is no name"],
      ],
    ),
    ...area(
      "versions",
      "INVALID_NAME",
      [
        ["plain", "1.0.0", "A release"],
        ["zero", "0.0.0", "The smallest version"],
        ["prerelease", "1.0.0-rc.1", "A prerelease"],
        ["hyphens", "1.0.0--.-a-1", "Hyphens in prerelease identifiers"],
        ["zeros-in-text", "1.0.0-00a", "Leading zeros in an identifier that has a letter"],
        ["upper-case", "1.0.0-A", "Upper case"],
        ["largest", "9007199254740991.0.0-9007199254740991", "The largest numbers"],
        ["large-text", "1.0.0-a9007199254740992", "Many digits in an identifier that has a letter"],
        ["128", `1.0.0-${long(122)}`, "128 characters"],
      ],
      [
        ["empty", "", "No version"],
        ["two-numbers", "1.0", "Two numbers"],
        ["four-numbers", "1.0.0.0", "Four numbers"],
        ["v", "v1.0.0", "A leading v"],
        ["equals", "=1.0.0", "A leading ="],
        ["build", "1.0.0+x", "Build metadata"],
        ["leading-zero", "01.0.0", "A leading zero"],
        ["prerelease-leading-zero", "1.0.0-01", "A leading zero in a numeric identifier"],
        ["prerelease-empty", "1.0.0-", "An empty prerelease"],
        ["identifier-empty", "1.0.0-a..b", "An empty identifier"],
        ["129", `1.0.0-${long(123)}`, "129 characters"],
        ["space", " 1.0.0", "A leading space"],
        ["newline", "1.0.0\n", "A newline at the end"],
        ["range", "^1.0.0", "A range"],
        ["slash", "1.0.0-a/b", "A slash"],
        ["underscore", "1.0.0-a_b", "An underscore"],
        ["unicode-digit", "1.0.\u0660", "A digit outside ASCII"],
      ],
      [
        ["number-2-53", "9007199254740992.0.0", "A number above 2^53-1"],
        ["prerelease-2-53", "1.0.0-9007199254740992", "A numeric identifier above 2^53-1"],
      ],
    ),
    ...area(
      "tags",
      "INVALID_NAME",
      [
        ["latest", "latest", "The tag that every package has"],
        ["letters", "beta_1.x-", "Every kind of character"],
        ["dot", ".", "A dot: no range"],
        ["hyphen", "-next", "A leading hyphen"],
        ["leading-zero", "01", "A number with a leading zero is no range"],
        ["x-and-letter", "xy", "A letter after an x"],
        ["version-and-more", "1.0.0_", "A version and an underscore"],
        ["proto", "__proto__", "A name that JavaScript objects have"],
        ["64", "t".repeat(64), "64 characters"],
      ],
      [
        ["empty", "", "No tag"],
        ["65", "t".repeat(65), "65 characters"],
        ["space", "a b", "A space"],
        ["slash", "a/b", "A slash"],
        ["star", "*", "A star, which is a range"],
        ["x", "x", "x is a range"],
        ["upper-x", "X.X.X", "X.X.X is a range"],
        ["number", "1", "A number is a range"],
        ["v-number", "v1", "v1 is a range"],
        ["version", "1.0.0", "A version is a range"],
        ["version-prerelease", "1.0.0-rc.1", "A prerelease version is a range"],
        ["partial", "1.2.x", "A partial version"],
        ["partial-prerelease", "1.x.x-a", "A partial version with a prerelease"],
        ["number-huge", "99999999999999999999", "A number too large for a range is refused too"],
        ["caret", "^1", "A caret"],
        ["unicode", "tág", "A letter outside ASCII"],
      ],
    ),
    ...area(
      "patterns",
      "INVALID_NAME",
      [
        ["everything", "*", "Every name"],
        ["scope", "@alice/*", "Every name of a scope"],
        ["exact", "@alice/hello", "One scoped name"],
        ["exact-plain", "left-pad", "One plain name"],
      ],
      [
        ["empty", "", "No pattern"],
        ["prefix", "@alice/he*", "A part of a name"],
        ["plain-prefix", "left*", "A part of a plain name"],
        ["scopes", "@*/*", "Every scope"],
        ["scope-alone", "@alice", "A scope without /*"],
        ["scope-slash", "@alice/", "A scope and a slash"],
        ["two-stars", "**", "Two stars"],
        ["negation", "!left-pad", "A negation"],
        ["215", `@${"a".repeat(212)}/*`, "215 characters"],
      ],
    ),
    ...area(
      "keys",
      "INVALID_DOCUMENT",
      [["ed25519", key, "A key"]],
      [
        ["padded", `${key}=`, "Padding"],
        ["prefix-missing", key.slice(8), "No prefix"],
        ["prefix-other", key.replace("ed25519", "ed448"), "Another algorithm"],
        ["prefix-upper-case", key.replace("ed25519", "Ed25519"), "A prefix with upper case"],
        ["31-bytes", `ed25519:${Buffer.alloc(31).toString("base64url")}`, "31 bytes"],
        ["33-bytes", `ed25519:${Buffer.alloc(33).toString("base64url")}`, "33 bytes"],
        ["low-bits-1", `ed25519:${"A".repeat(42)}B`, "Unused low bits set to 01"],
        ["low-bits-2", `ed25519:${"A".repeat(42)}C`, "Unused low bits set to 10"],
        ["low-bits-3", `ed25519:${"A".repeat(42)}D`, "Unused low bits set to 11"],
        ["plain-base64", `ed25519:${"/".repeat(42)}8`, "The alphabet of plain base64"],
        ["white-space", `${key.slice(0, 20)} ${key.slice(20)}`, "A space inside, which lax decoders skip"],
        ["hex", `ed25519:${"00".repeat(32)}`, "Hex"],
        ["empty", "", "Nothing"],
      ],
    ),
    ...templateVectors(),
    ...pathVectors(),
  ];
}

function templateVectors(): readonly Vector[] {
  const bad = area(
    "templates",
    "INVALID_DOCUMENT",
    [
      ["git", "git", "The index's own git addresses"],
      ["git-url", "git+ssh://git@git.example.org/alice/tarballs.git", "Another git repository"],
      ["port", "https://cdn.example.org:8443/{file}", "A port"],
    ],
    [
      ["http", "http://cdn.example.org/{file}", "No TLS"],
      ["no-placeholder", "https://cdn.example.org/tarballs", "No placeholder: all tarballs at one address"],
      ["unknown-placeholder", "https://cdn.example.org/{name}/{sha1}", "An unknown placeholder"],
      ["placeholder-in-host", "https://{name}.example.org/{file}", "A placeholder in the host"],
      ["credentials", "https://alice:secret@cdn.example.org/{file}", "Credentials"],
      ["no-path", "https://cdn.example.org", "No path"],
      ["fragment", "https://cdn.example.org/{file}#x", "A fragment"],
      ["space", "https://cdn.example.org/a {file}", "A space"],
      ["git-plus-nothing", "git+", "git+ and no address"],
      ["file", "file:///srv/{file}", "A folder"],
      ["empty", "", "Nothing"],
      ["2049", `https://cdn.example.org/{file}${"a".repeat(2019)}`, "2,049 characters"],
    ],
  );
  const fill = (name: string, description: string, template: string, pkg: string, version: string, url: string): Vector => {
    const sha512 = createHash("sha512").update("imprint test vector: a tarball").digest("hex");
    return vector(
      "templates",
      name,
      description,
      {},
      {
        value: template,
        tarball: { name: pkg, version, sha512 },
        url: url.replace("<sha512>", sha512),
        ref: `refs/tarballs/${sha512.slice(0, 64)}`,
      },
    );
  };
  return [
    ...bad,
    fill(
      "ok-filled",
      "Every placeholder, each value percent-encoded",
      "https://cdn.example.org/{scope}/{name}/{version}/{file}?{sha512}",
      "@alice/hello",
      "1.0.0-rc.1",
      "https://cdn.example.org/%40alice/hello/1.0.0-rc.1/alice-hello-1.0.0-rc.1.tgz?<sha512>",
    ),
    fill(
      "ok-filled-unscoped",
      "No scope: an empty value",
      "https://cdn.example.org/x{scope}/{file}",
      "left-pad",
      "1.3.0",
      "https://cdn.example.org/x/left-pad-1.3.0.tgz",
    ),
    fill(
      "ok-filled-twice",
      "A placeholder twice",
      "https://cdn.example.org/{name}/{name}",
      "JSONStream",
      "1.3.5",
      "https://cdn.example.org/JSONStream/JSONStream",
    ),
  ];
}

function pathVectors(): readonly Vector[] {
  const make = (label: string, description: string, name: string, folder: string, version: string, release: string): Vector => {
    const shard = createHash("sha256").update(name).digest("hex").slice(0, 2);
    const base = `packages/${shard}/${folder}`;
    return vector(
      "paths",
      label,
      description,
      { schemaValid: null },
      {
        name,
        version,
        shard,
        shardPath: `packages/${shard}/shard.json`,
        recordPath: `${base}/record.json`,
        releasePath: `${base}/${release}`,
      },
    );
  };
  return [
    make("scoped", "A scoped name", "@alice/hello", "@alice+hello", "1.0.0", "1.0.0.json"),
    make("plain", "A plain name", "left-pad", "+left-pad", "1.3.0", "1.3.0.json"),
    make("upper-case", "Each upper-case letter is ! and its lower case", "JSONStream", "+!j!s!o!n!stream", "1.3.5", "1.3.5.json"),
    make("lower-case-twin", "The same name in lower case has another folder", "jsonstream", "+jsonstream", "1.0.0", "1.0.0.json"),
    make("upper-case-scope", "Upper case in a scope", "@Alice/Hello", "@!alice+!hello", "1.0.0", "1.0.0.json"),
    make("device", "A device name of Windows", "con", "+con", "1.0.0", "1.0.0.json"),
    make("lock", "A name that ends in .lock", "yarn.lock", "+yarn.lock", "1.0.0", "1.0.0.json"),
    make("version-upper-case", "Versions keep their case", "@alice/hello", "@alice+hello", "1.0.0-RC.1", "1.0.0-RC.1.json"),
    make("proto", "__proto__ after a scope", "@x/__proto__", "@x+__proto__", "0.0.0", "0.0.0.json"),
  ];
}
