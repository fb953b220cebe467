/** Changes to the text of any lockfile, and to the lines of those that are not JSON: pnpm-lock.yaml and yarn.lock. */
import type { Random } from "../random.ts";
import type { Format } from "./install.ts";
import type { Scene } from "./scene.ts";

type Change = (text: string, random: Random, scene: Scene) => string;

/** @returns the changed text, and what was done */
export function changeText(format: Format, text: string, random: Random, scene: Scene): readonly [string, string] {
  const kinds = [...(random.once(3) || format === "npm" || format === "bun" || format === "deno" ? ANY : []), ...linesFor(format)];
  const kind = random.pick(kinds);
  return [kind(text, random, scene), kind.name];
}

function linesFor(format: Format): readonly Change[] {
  if (format === "pnpm") return PNPM;
  if (format === "yarn1") return YARN_1;
  return format === "yarn4" ? YARN_4 : JSON_TEXT;
}

/** One of the places where the pattern fits becomes something else. */
function replaceOne(text: string, pattern: RegExp, random: Random, to: string | ((found: string) => string)): string {
  const places = [...text.matchAll(new RegExp(pattern, "g"))];
  if (places.length === 0) return text;
  const place = random.pick(places);
  const [found] = place;
  return text.slice(0, place.index) + (typeof to === "string" ? to : to(found)) + text.slice(place.index + found.length);
}

const INTEGRITY = /sha512-[A-Za-z0-9+/=]{20,}/;

const ANY: readonly Change[] = [
  function byteOrderMark(text) {
    return `\uFEFF${text}`;
  },
  function carriageReturns(text) {
    return text.replaceAll("\n", "\r\n");
  },
  function loneReturns(text, random) {
    return replaceOne(text, /\n/, random, "\r");
  },
  function behindIt(text, random) {
    return text + random.pick(["\n", "\0", "#", "// x\n", "---\n", "{}", "\n...\n", " "]);
  },
  function beforeIt(text, random) {
    return random.pick(["\n", "# x\n", "// x\n", "---\n", " ", "\t", "%YAML 1.1\n---\n", "#!/bin/sh\n"]) + text;
  },
  function lineTwice(text, random) {
    const lines = text.split("\n");
    const at = random.int(lines.length);
    lines.splice(random.int(lines.length), 0, lines[at] ?? "");
    return lines.join("\n");
  },
  function lineGone(text, random) {
    const lines = text.split("\n");
    lines.splice(random.int(lines.length), 1);
    return lines.join("\n");
  },
  function blockMoved(text, random) {
    const lines = text.split("\n");
    const block = lines.splice(random.int(lines.length), 1 + random.int(4));
    lines.splice(random.int(lines.length), 0, ...block);
    return lines.join("\n");
  },
  function otherIntegrity(text, random, { evilIntegrity }) {
    return replaceOne(text, INTEGRITY, random, evilIntegrity);
  },
  function otherName(text, random) {
    const names = ["@alice/a", "@alice/b", "claimed", "pub-a", "evil", "renamed"];
    return replaceOne(text, /@alice\/[ab]|claimed|pub-[ab]|renamed/, random, random.pick(names));
  },
  function otherVersion(text, random) {
    return replaceOne(
      text,
      /1\.[01]\.0/,
      random,
      random.pick(["1.0.0", "1.1.0", "9.9.9", "1.0", "link:evil", "file:evil", "file:evil.tgz", "evil@1.0.0", "npm:evil@1.0.0"]),
    );
  },
  function aCharacter(text, random) {
    const at = random.int(text.length);
    return (
      text.slice(0, at) +
      random.pick([
        " ",
        "\t",
        "\n",
        "'",
        '"',
        ":",
        ",",
        "#",
        "&",
        "*",
        "!",
        "{",
        "}",
        "[",
        "@",
        "/",
        ".",
        "\\",
        "\u00a0",
        "\u0085",
        "\u2028",
      ]) +
      text.slice(at + random.int(2))
    );
  },
];

const JSON_TEXT: readonly Change[] = [
  function memberTwice(text, random, { evilIntegrity }) {
    return replaceOne(text, /"integrity": "[^"]*"/, random, (found) =>
      random.pick([`${found}, "integrity": "${evilIntegrity}"`, `"integrity": "${evilIntegrity}", ${found}`]),
    );
  },
  function escapedKey(text, random) {
    return replaceOne(text, /"[^"\n]*alice[^"\n]*":/, random, (found) =>
      found.replace("a", random.pick(["\\u0061", "\\u00e1", "\\x61", "a\\u0000"])),
    );
  },
  function comment(text, random) {
    return replaceOne(text, /,\n/, random, random.pick([", // x\n", ", /* x */\n", ",,\n", "\n"]));
  },
  function entryTwice(text, random, { evilIntegrity }) {
    return replaceOne(
      text,
      /"[^"\n]*(?:alice\/a|claimed)[^"\n]*": [{[]/,
      random,
      (found) =>
        `${found.replace(/: [{[]$/, "")}: ${found.endsWith("{") ? `{ "version": "1.1.0", "integrity": "${evilIntegrity}" }` : `["evil@1.0.0", "", {}, "${evilIntegrity}"]`}, ${found}`,
    );
  },
];

const PNPM: readonly Change[] = [
  function resolution(text, random, { evilIntegrity, evilAddresses }) {
    const tarball = random.pick(evilAddresses);
    return replaceOne(
      text,
      /resolution: \{[^}]*\}/,
      random,
      random.pick([
        `resolution: {tarball: ${tarball}}`,
        `resolution: {integrity: ${evilIntegrity}, tarball: ${tarball}}`,
        `resolution: {directory: evil, type: directory}`,
        `resolution: {tarball: file:evil.tgz}`,
        `resolution: {integrity: ${evilIntegrity}}`,
        `resolution: {integrity: ${evilIntegrity}, registry: ${tarball}}`,
        `resolution: {gitHosted: true, tarball: ${tarball}}`,
        `resolution: {type: binary, url: ${tarball}, integrity: ${evilIntegrity}, archive: tarball, bin: x}`,
        `resolution: &r {integrity: ${evilIntegrity}}`,
        `resolution: {<<: {tarball: ${tarball}}, integrity: ${evilIntegrity}}`,
      ]),
    );
  },
  function mergeKey(text, random, { evilIntegrity }) {
    const body = `packages:\n    '@alice/a@1.1.0':\n      resolution: {integrity: ${evilIntegrity}, tarball: http://h/x.tgz}\n`;
    return random.pick([
      `${text}\n<<:\n  ${body}`,
      text.replace("packages:\n", `packages:\n\n  <<:\n    '@alice/a@1.1.0': {}\n`),
      text.replace(/^importers:/m, `<<: {}\n\nimporters:`),
      `x: &x\n  ${body}${text}<<: *x\n`,
      text.replace(/^packages:/m, "<<:\n packages:"),
    ]);
  },
  function under(text, random) {
    const lines = text.split("\n");
    const at = lines.findIndex((line) => line.startsWith(random.pick(["importers:", "packages:", "snapshots:"])));
    return [...lines.slice(0, at), "<<:", ...lines.slice(at).map((line) => (line === "" ? line : `  ${line}`))].join("\n");
  },
  function member(text, random, { evilAddresses }) {
    const line = random.pick([
      "name: evil",
      "version: 9.9.9",
      "id: evil@1.0.0",
      "patched: true",
      "optional: true",
      "bundledDependencies: true",
      "hasBin: true",
      `id: ${random.pick(evilAddresses)}`,
      "prepare: true",
    ]);
    return replaceOne(text, /\n    resolution: [^\n]*/, random, (found) => `${found}\n    ${line}`);
  },
  function version(text, random, { evilAddresses }) {
    return replaceOne(
      text,
      /version: [^\n]+/,
      random,
      `version: ${random.pick(["link:evil", "link:./evil", "file:evil", "file:evil.tgz", "evil@1.0.0", "'@alice/b@1.0.0'", "pub-b@1.0.0", "1.0.0(pub-b@1.0.0)", "1.0", ...evilAddresses])}`,
    );
  },
  function documents(text, random, { evilIntegrity }) {
    const other = text.replaceAll(new RegExp(INTEGRITY, "g"), evilIntegrity);
    return random.pick([`${text}---\n${other}`, `---\n${other}\n---\n${text}`, `${other}\n...\n---\n${text}`]);
  },
  function settings(text, random) {
    const extra = random.pick([
      "overrides:\n  '@alice/a': npm:evil@1.0.0\n",
      "patchedDependencies:\n  '@alice/a@1.1.0':\n    hash: abc\n    path: evil.patch\n",
      "catalogs:\n  default:\n    '@alice/a':\n      specifier: link:evil\n      version: link:evil\n",
      "pnpmfileChecksum: abc\n",
      "time:\n  x: y\n",
      "neverBuiltDependencies: []\n",
    ]);
    return text.replace(/^importers:/m, `${extra}\nimporters:`);
  },
  function spelling(text, random) {
    return replaceOne(text, /'@alice\/[ab]@[^']*'|'@alice\/a'/, random, (found) =>
      random.pick([
        found.replaceAll("'", '"'),
        `? ${found}\n  `,
        `!!str ${found}`,
        `&k ${found}`,
        found.replace("alice", "\\u0061lice"),
        found.replaceAll("'", '"').replace("alice", "\\x61lice"),
        `${found} `,
      ]),
    );
  },
];

const YARN_1: readonly Change[] = [
  function resolved(text, random, { evilAddresses }) {
    return replaceOne(
      text,
      /resolved "[^"]*"/,
      random,
      (found) => `resolved "${random.pick(evilAddresses)}${random.pick(["", "#abc", found.slice(found.indexOf("#"), -1)])}"`,
    );
  },
  function resolvedAndHash(text, random, { evilAddresses, evilIntegrity }) {
    return replaceOne(
      text,
      /resolved "[^"]*"\n  integrity [^\n]*/,
      random,
      `resolved "${random.pick(evilAddresses)}"\n  integrity ${evilIntegrity}`,
    );
  },
  function noHash(text, random) {
    return replaceOne(text, /\n  integrity [^\n]*/, random, "");
  },
  function member(text, random) {
    const line = random.pick([
      "name evil",
      'name "@alice/a"',
      "name claimed",
      'uid "x"',
      'registry "yarn"',
      "optional true",
      'permissions:\n    x "y"',
      'dependencies:\n    "@alice/b" "npm:evil@1.0.0"',
      'version "9.9.9"',
    ]);
    return replaceOne(text, /\n  version "[^"]*"/, random, (found) => random.pick([`${found}\n  ${line}`, `\n  ${line}${found}`]));
  },
  function key(text, random) {
    return replaceOne(text, /^("?[^\s"#][^\n]*):$/m, random, (found) =>
      random.pick([
        `"@alice/a@^1.0.0", ${found}`,
        `"@alice/a@file:evil", ${found}`,
        `claimed@1.0.0, ${found}`,
        found.replace(/@[^@:]*"?:$/, "@*:"),
        `"claimed@1.0.0,x@1":`,
        found.replace(":", " :"),
        `${found.slice(0, -1)} "evil@1.0.0"`,
        found.replaceAll('"', "'"),
      ]),
    );
  },
  function alias(text) {
    return `${text}\n"@alice/a@^1.0.0" "evil@1.0.0"\n\nevil@1.0.0:\n  version "1.0.0"\n`;
  },
  function both(text) {
    return `${text}\n__metadata:\n  version: 8\n`;
  },
];

const YARN_4: readonly Change[] = [
  function resolution(text, random, { evilAddresses }) {
    const to = random.pick([
      "evil@npm:1.0.0",
      "@alice/a@file:./evil.tgz::locator=shop%40workspace%3A.",
      "@alice/a@file:./evil#./evil::hash=abc&locator=shop%40workspace%3A.",
      "@alice/a@link:./evil::locator=shop%40workspace%3A.",
      "@alice/a@portal:./evil::locator=shop%40workspace%3A.",
      "@alice/a@workspace:evil",
      "@alice/a@patch:@alice/a@npm%3A1.1.0#./evil.patch::version=1.1.0&hash=abc",
      `@alice/a@npm:1.1.0::__archiveUrl=${encodeURIComponent(random.pick(evilAddresses))}`,
      `@alice/a@${random.pick(evilAddresses)}`,
      "@alice/a@npm:9.9.9",
      "@alice/a@virtual:abc#npm:1.1.0",
      "@alice/a@npm:evil@1.0.0",
      "claimed@npm:1.0.0",
      "@alice/a@exec:./evil.js",
    ]);
    return replaceOne(text, /resolution: "[^"]*"/, random, `resolution: "${to}"`);
  },
  function softly(text, random) {
    return replaceOne(text, /linkType: hard/, random, random.pick(["linkType: soft", "linkType: HARD", "linkType: Soft"]));
  },
  function softlyElsewhere(text, random) {
    const to = random.pick(["link:./evil", "portal:./evil", "workspace:evil", "workspace:."]);
    return replaceOne(text, /resolution: "(@alice\/[ab]|claimed)@npm:[^"]*"(\n[^\n]+)*linkType: hard/, random, (found) =>
      found.replace(/@npm:[^"]*"/, `@${to}"`).replace("hard", "soft"),
    );
  },
  function noChecksum(text, random) {
    return replaceOne(text, /\n  checksum: [^\n]*/, random, "");
  },
  function otherChecksum(text, random) {
    return replaceOne(text, /checksum: 10c0\/[0-9a-f]*/, random, (found) =>
      random.pick([`checksum: 10c0/${"a".repeat(128)}`, found.replace("10c0/", ""), found.replace("10c0", "9")]),
    );
  },
  function key(text, random) {
    return replaceOne(text, /^"[^"\n]*@[^"\n]*":$/m, random, (found) =>
      random.pick([
        found.replace('":', ', @alice/a@npm:^1.0.0":'),
        found.replace('":', ',@alice/a@npm:^1.0.0":'),
        found.replace('":', ' , claimed@npm:1.0.0":'),
        found.replace("npm:", ""),
        `? ${found.slice(0, -1)}\n:`,
        found.replaceAll('"', "'"),
        `!!str ${found}`,
        `&k ${found}`,
        found.replace("alice", "\\x61lice"),
      ]),
    );
  },
  function flow(text) {
    return `${text}\n{"@alice/a@npm:^1.0.0": {resolution: "evil@npm:1.0.0"}}\n`;
  },
  function again(text) {
    return `${text}\n"@alice/a@npm:^1.0.0":\n  version: 1.0.0\n  resolution: "evil@npm:1.0.0"\n  languageName: node\n  linkType: hard\n`;
  },
  function merged(text) {
    return text.replace(/\n("@alice\/a@[^\n]*)\n/, '\n$1\n  <<: {resolution: "evil@npm:1.0.0"}\n');
  },
  function metadata(text, random) {
    return text.replace(/cacheKey: .*/, random.pick(["cacheKey: 9", "cacheKey: ../x", 'cacheKey: ""']));
  },
];
