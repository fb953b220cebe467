/** Changes to what a tarball brings: its package.json, bundled packages, a shrinkwrap. */
import type { Draft } from "./draft.ts";
import type { Change } from "./header-changes.ts";

const SHA512 = `sha512-${Buffer.alloc(64, 7).toString("base64")}`;

const manifest: Change = (draft, random) => {
  const { name } = draft;
  const plain = JSON.stringify({ name, version: "1.0.0" });
  const inner = plain.slice(1, -1);
  const [how, bytes] = random.pick<readonly [string, string | Uint8Array]>([
    ["a byte order mark", `\ufeff${plain}`],
    ["two byte order marks", `\ufeff\ufeff${plain}`],
    ["UTF-16", Buffer.from(`\ufeff${plain}`, "utf16le")],
    ["invalid UTF-8", Buffer.concat([Buffer.from(`{${inner},"description":"`), Buffer.from([0xff]), Buffer.from('"}')])],
    ["a name twice", `{"name":"other",${inner}}`],
    ["a version twice", `{${inner},"version":"2.0.0"}`],
    ["an escaped version twice", `{${inner},"v\\u0065rsion":"2.0.0"}`],
    ["bin twice", `{${inner},"bin":"index.js","bin":"lib/a.js"}`],
    ["bins twice", `{${inner},"bin":{"a":"index.js","a":"lib/a.js"}}`],
    ["scripts twice", `{${inner},"scripts":{"postinstall":"echo a"},"scripts":{}}`],
    ["a script twice", `{${inner},"scripts":{"postinstall":"echo a","postinstall":""}}`],
    ["main twice", `{${inner},"main":"index.js","main":"lib/a.js"}`],
    ["exports twice", `{${inner},"exports":"./index.js","exports":"./lib/a.js"}`],
    ["a condition twice", `{${inner},"exports":{"import":"./index.js","import":"./lib/a.js"}}`],
    ["type twice", `{${inner},"type":"module","type":"commonjs"}`],
    ["a harmless key twice", `{${inner},"eslintConfig":1,"eslintConfig":2}`],
    ["__proto__", `{${inner},"__proto__":{"bin":"index.js","scripts":{"postinstall":"echo a"}}}`],
    ["bin __proto__", `{${inner},"bin":{"__proto__":"index.js"}}`],
    ["a bin outside", `{${inner},"bin":{"a":"../../x"}}`],
    ["a bin named by a path", `{${inner},"bin":{"../x":"index.js"}}`],
    ["a bin with a scope", `{${inner},"bin":{"@a/x":"index.js"}}`],
    ["a bin without a name", `{${inner},"bin":{"":"index.js"}}`],
    ["a bin with spaces", `{${inner},"bin":{" a b ":"index.js"}}`],
    ["a bin that is hidden", `{${inner},"bin":{".x":"index.js","-y":"index.js","z;w":"index.js"}}`],
    ["a bin that is not there", `{${inner},"bin":{"a":"none.js"}}`],
    ["a bin that is no string", `{${inner},"bin":{"a":1,"b":null,"c":{}}}`],
    ["bins in a list", `{${inner},"bin":["index.js"]}`],
    ["a bin folder", `{${inner},"directories":{"bin":"bin"}}`],
    ["a bin with ./", `{${inner},"bin":"./index.js"}`],
    ["a bin that is absolute", `{${inner},"bin":"/index.js"}`],
    ["a trailing comma", `{${inner},}`],
    ["a comment", `{${inner} /* c */}`],
    ["a line comment", `// c\n${plain}`],
    ["single quotes", `{'name':'${name}','version':'1.0.0'}`],
    ["NUL behind", `${plain}\0`],
    ["text behind", `${plain}{}`],
    ["white space of Unicode", `\u00a0${plain}`],
    ["form feed", `\f${plain}`],
    ["a lone surrogate", `{${inner},"x":"\\ud800"}`],
    ["a lone surrogate in a bin", `{${inner},"bin":{"a\\ud800":"index.js"}}`],
    ["a control character in a string", `{${inner},"x":"a\u0001b"}`],
    ["a huge number", `{${inner},"x":1e999}`],
    ["a long number", `{${inner},"x":123456789012345678901234567890}`],
    ["minus zero", `{${inner},"x":-0}`],
    ["an empty key", `{${inner},"":"x"}`],
    ["deep", `{${inner},"x":${"[".repeat(90)}${"]".repeat(90)}}`],
    ["deeper", `{${inner},"x":${"[".repeat(5000)}${"]".repeat(5000)}}`],
    ["keys by case", `{${inner},"Bin":"lib/a.js","SCRIPTS":{"postinstall":"echo a"}}`],
    ["numbers for texts", `{${inner},"description":1,"license":{},"keywords":"a, b"}`],
    ["os and cpu", `{${inner},"os":["linux","!win32"],"cpu":"!none"}`],
    ["CR LF", JSON.stringify(JSON.parse(plain), null, 2).replaceAll("\n", "\r\n")],
    ["empty", ""],
    ["a list", "[]"],
    ["null", "null"],
  ]);
  draft.packageJsonBytes = Buffer.from(bytes as string);
  return `package.json with ${how}`;
};

const FIELDS = [
  "dependencies",
  "optionalDependencies",
  "peerDependencies",
  "peerDependenciesMeta",
  "acceptDependencies",
  "bundleDependencies",
  "bundledDependencies",
  "bin",
  "directories",
  "engines",
  "os",
  "cpu",
  "libc",
  "description",
  "keywords",
  "license",
  "author",
  "homepage",
  "repository",
  "bugs",
  "funding",
  "scripts",
  "main",
  "type",
  "exports",
  "private",
  "workspaces",
  "publishConfig",
  "files",
  "man",
  "deprecated",
  "dist",
  "gypfile",
  "hasInstallScript",
  "_hasShrinkwrap",
  "_id",
];

/** This machine's, or no client would install it. */
const PLATFORM: Readonly<Record<string, string>> = { os: process.platform, cpu: process.arch, libc: "glibc" };

const fields: Change = (draft, random) => {
  const field = random.pick(FIELDS);
  const word = PLATFORM[field] ?? "x";
  const value =
    PLATFORM[field] !== undefined && random.once(2)
      ? "any"
      : random.pick<unknown>([
          null,
          true,
          false,
          0,
          1,
          "",
          word,
          [],
          [word],
          {},
          { x: 1 },
          { x: null },
          { x: {} },
          { x: [] },
          [1],
          [null],
          [{}],
        ]);
  draft.packageJson = { ...draft.packageJson, [field]: value };
  return `package.json with ${field} ${JSON.stringify(value)}`;
};

const whichManifest: Change = (draft, random) => {
  const path = random.pick([
    "package/package.json",
    "package/Package.json",
    "package/PACKAGE.JSON",
    "package/package.json/",
    "package/./package.json",
    "package//package.json",
    "other/package.json",
    "package/package.json ",
    "package/package.json5",
    "package/package.yaml",
    "package.json",
  ]);
  const entry = { path, content: JSON.stringify({ name: draft.name, version: "1.0.0", main: "evil.js" }) };
  draft.entries.splice(random.once(2) ? 0 : draft.entries.length, 0, entry);
  return `another manifest, ${path}`;
};

function bundle(draft: Draft, name: string, packageJson: unknown, files: Readonly<Record<string, string>> = {}): void {
  const at = `package/node_modules/${name}`;
  draft.entries.push({ path: `${at}/package.json`, content: typeof packageJson === "string" ? packageJson : JSON.stringify(packageJson) });
  for (const [file, content] of Object.entries(files)) draft.entries.push({ path: `${at}/${file}`, content });
}

const bundled: Change = (draft, random) => {
  const scripts = random.pick([undefined, { postinstall: "echo a" }, { install: "" }, { preinstall: "echo a" }, { test: "echo" }]);
  const name = random.pick(["dep", "@scope/dep"]);
  const listed = random.pick([[name], [name], [name], true, false, undefined, [], ["other"]]);
  bundle(
    draft,
    name,
    { name, version: "1.0.0", ...(scripts === undefined ? {} : { scripts }) },
    random.once(3) ? { "binding.gyp": "{}" } : { "index.js": "" },
  );
  // A dependency that nothing has would stop the clients that do not know bundles.
  if (listed !== undefined) draft.packageJson = { ...draft.packageJson, bundleDependencies: listed };
  return `a bundled ${name}, scripts ${JSON.stringify(scripts ?? null)}, listed ${JSON.stringify(listed ?? null)}`;
};

const shrinkwrap: Change = (draft, random) => {
  const { name } = draft;
  const file = random.pick([
    "npm-shrinkwrap.json",
    "npm-shrinkwrap.json",
    "npm-shrinkwrap.json",
    "NPM-Shrinkwrap.json",
    "node_modules/dep/npm-shrinkwrap.json",
    "lib/npm-shrinkwrap.json",
    "package-lock.json",
  ]);
  const entry = random.pick<Readonly<Record<string, unknown>>>([
    { version: "1.0.0", integrity: SHA512, resolved: "https://registry.example.org/dep/-/dep-1.0.0.tgz" },
    { version: "1.0.0", integrity: SHA512 },
    { version: "1.0.0", resolved: "http://127.0.0.1:9/x.tgz" },
    { version: "1.0.0", integrity: "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=" },
    { version: "1.0.0", integrity: SHA512, resolved: "git+ssh://git@example.org/x.git#1" },
    { version: "1.0.0", integrity: SHA512, resolved: "file:../x" },
    { version: "file:../x" },
    { version: "1.0.0" },
    { resolved: "../x", link: true },
  ]);
  const content = random.pick<unknown>([
    { name, version: "1.0.0", lockfileVersion: 3, packages: { "": { name, version: "1.0.0" }, "node_modules/dep": entry } },
    { name, version: "1.0.0", lockfileVersion: 1, dependencies: { dep: entry } },
    {
      name,
      version: "1.0.0",
      lockfileVersion: 2,
      packages: {},
      dependencies: { dep: { version: "1.0.0", integrity: SHA512, dependencies: { inner: entry } } },
    },
    { name, version: "1.0.0" },
    [],
  ]);
  draft.entries.push({ path: `package/${file}`, content: JSON.stringify(content) });
  return `${file} with ${JSON.stringify(entry)}`;
};

export const CONTENT_CHANGES: Readonly<Record<string, Change>> = {
  manifest,
  fields,
  "which manifest": whichManifest,
  bundled,
  shrinkwrap,
};
