/**
 * Files and variables that send the scope @alice elsewhere, in every spelling that some client may understand, and many that
 * none does. A case is one or two settings, each spelled, placed, and now and then damaged by a few characters.
 */
import { Buffer } from "node:buffer";
import type { ClientName } from "./settings-clients.ts";
import type { Random } from "./random.ts";

export type Case = {
  /** Below the top folder of a case: `work/shop` is the project, `home` the HOME. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** `{top}` stands for the top folder. */ readonly env: NodeJS.ProcessEnv;
};

type Draft = { readonly files: Map<string, string>; readonly env: Record<string, string> };

export function caseOf(random: Random, client: ClientName, elsewhere: string): Case {
  const draft: Draft = { files: new Map(), env: {} };
  for (let settings = random.once(3) ? 2 : 1; settings > 0; settings--) random.pick(KINDS[client])(random, draft, elsewhere);
  const files = [...draft.files].map(([file, text]) => [file, encoded(random, random.once(3) ? damaged(random, text) : text)] as const);
  return { files: new Map(files), env: draft.env };
}

type Kind = (random: Random, draft: Draft, url: string) => void;

const KINDS: Readonly<Record<ClientName, readonly Kind[]>> = {
  npm: [npmrcFile, npmrcFile, npmrcFile, npmVariable],
  npm10: [npmrcFile, npmrcFile, npmrcFile, npmVariable],
  pnpm: [npmrcFile, npmrcFile, npmVariable, pnpmFile, pnpmFile],
  yarn1: [npmrcFile, yarnrcFile, yarnrcFile, npmVariable, yarnVariable],
  yarn4: [yarnYml, yarnYml, yarnYml, yarnVariable],
  bun: [npmrcFile, npmrcFile, bunFile, bunFile, bunVariable],
  deno: [npmrcFile, npmrcFile, npmrcFile, npmVariable],
};

const LINE_ENDS = ["\n", "\n", "\n", "\r\n", "\r", "\n\r", "\r\r\n"];
const SPACES = ["", "", "", " ", "\t", "\u00a0", "\u2003", "\u000b", "\f", "\uFEFF", "\u0000", "\u0085"];
const NOISE = [
  "; a comment",
  "# a comment",
  "[section]",
  "[section] ; with words",
  "[sec",
  "[@alice:registry]",
  "save-exact=true",
  "always-auth",
  "=",
  "a=b=c",
  'a="b',
  "'a=b",
  "a=b\\",
  "cafile=${HOME}/ca",
  "a\\;b=c",
  "registry={url}",
  "\u0080\u00ff=\u00e9",
  "@bob:registry={url}",
];

/** `@alice` or its first letters as an escape. */
function escaped(random: Random, text: string): string {
  const forms = [
    (code: string): string => `\\u${code.padStart(4, "0")}`,
    (code: string): string => `\\u${code.padStart(4, "0").toUpperCase()}`,
    (code: string): string => `\\x${code}`,
    (code: string): string => `\\u{${code}}`,
    (code: string): string => `\\U${code.padStart(8, "0")}`,
    (code: string): string => `\\${String.fromCharCode(Number.parseInt(code, 16))}`,
  ];
  return Array.from(text, (character) =>
    random.once(4) ? random.pick(forms)((character.codePointAt(0) ?? 0).toString(16)) : character,
  ).join("");
}

/** A word with variables for parts of it, which are put into the environment. */
function varied(random: Random, draft: Draft, word: string): string {
  const at = random.int(word.length);
  const part = word.slice(at);
  const name = random.pick(["S", "SCOPE_1", "NOT_SET"]);
  if (name !== "NOT_SET") draft.env[name] = part;
  const form = random.pick([
    `\${${name}}`,
    `\${${name}?}`,
    `\${${name}-${part}}`,
    `\${${name}:-${part}}`,
    `\\\${${name}}`,
    `\\\\\${${name}}`,
    `$${name}`,
    `\${ ${name} }`,
  ]);
  return word.slice(0, at) + form;
}

function npmrcKey(random: Random, draft: Draft): string {
  const key = random.pick([
    "@alice:registry",
    "@alice:registry",
    "@alice:registry",
    "@alice:x:registry",
    "@Alice:registry",
    "@alice:Registry",
  ]);
  const spell = random.pick<(word: string) => string>([
    (word) => word,
    (word) => `"${word}"`,
    (word) => `'${word}'`,
    (word) => `"${escaped(random, word)}"`,
    (word) => `'${escaped(random, word)}'`,
    (word) => `'"${escaped(random, word)}"'`,
    (word) => `'["${word}"]'`,
    (word) => `'[["${word}"]]'`,
    (word) => `"${word}`,
    (word) => `${word}[]`,
    (word) => `"${word}[]"`,
    (word) => `${word};x`,
    (word) => `${word} #x`,
    (word) => escaped(random, word),
    (word) => varied(random, draft, word),
    (word) => `"${varied(random, draft, word)}"`,
  ]);
  return random.pick(SPACES) + spell(key) + random.pick(SPACES);
}

function npmrcText(random: Random, draft: Draft, url: string): string {
  const value = random.pick([url, url, `"${url}"`, `'${url}'`, `${url} ; x`, ` ${url}`, "${ELSEWHERE}"]);
  if (value.includes("$")) draft.env["ELSEWHERE"] = url;
  const lines = [
    ...Array.from({ length: random.int(4) }, () => random.pick(NOISE)),
    `${npmrcKey(random, draft)}${random.pick(["=", "=", "=", " =", ":", ""])}${value}`,
    ...Array.from({ length: random.int(3) }, () => random.pick(NOISE)),
  ];
  return random.pick(["", "", "", "\uFEFF"]) + lines.map((line) => line.replace("{url}", url) + random.pick(LINE_ENDS)).join("");
}

function npmrcFile(random: Random, draft: Draft, url: string): void {
  const text = npmrcText(random, draft, url);
  const put = (file: string): void => void draft.files.set(file, text);
  const lead = (setting: string, value: string): void => {
    const file = random.pick(["work/shop/.npmrc", "home/.npmrc"]);
    const spelled = random.pick([setting, `"${setting}"`, ` ${setting} `, varied(random, draft, setting)]);
    draft.files.set(
      file,
      `${draft.files.get(file) ?? ""}${spelled}=${random.pick([value, `"${value}"`, value.replace("{top}", "${TOP}")])}\n`,
    );
    draft.env["TOP"] = "{top}";
  };
  random.pick([
    () => put("work/shop/.npmrc"),
    () => put("work/shop/.npmrc"),
    () => put("work/.npmrc"),
    () => put("home/.npmrc"),
    () => put("home/.config/.npmrc"),
    () => put("home/.config/pnpm/rc"),
    () => put("prefix/etc/npmrc"),
    () => {
      put("other/npmrc");
      draft.env[random.pick(["npm_config_userconfig", "NPM_CONFIG_USERCONFIG", "npm_config_UserConfig", "npm_config_globalconfig"])] =
        "{top}/other/npmrc";
    },
    () => {
      put("other/etc/npmrc");
      draft.env[random.pick(["npm_config_prefix", "NPM_CONFIG_PREFIX", "PREFIX"])] = "{top}/other";
    },
    () => {
      put("other/npmrc");
      lead(random.pick(["userconfig", "globalconfig"]), "{top}/other/npmrc");
    },
    () => {
      put("home/other/etc/npmrc");
      lead("prefix", random.pick(["{top}/home/other", "~/other", "../../home/other"]));
    },
  ])();
}

function npmVariable(random: Random, draft: Draft, url: string): void {
  const scoped = random.pick(["@alice:registry", "@ALICE:REGISTRY", "@alice:x:registry", "@Alice:registry"]);
  const prefix = random.pick(["npm_config_", "NPM_CONFIG_", "Npm_Config_", "pnpm_config_", "npm_config__"]);
  const every = random.pick(["registry", "Registry", "REGISTRY", "_registry", "registry_"]);
  draft.env[prefix + random.pick([scoped, scoped, every])] = url;
}

function yarnVariable(random: Random, draft: Draft, url: string): void {
  const name = random.pick([
    "npm_registry_server",
    "NPM__REGISTRY_SERVER",
    "Npm_Registry_Server",
    "npm-registry-server",
    "npmRegistryServer",
    "registry",
    "@alice:registry",
    "npm_audit_registry",
    "npm_scopes",
  ]);
  draft.env[random.pick(["yarn_", "YARN_", "Yarn_", "YARN__"]) + name] =
    name === "npm_scopes" ? `{"alice":{"npmRegistryServer":"${url}"}}` : url;
}

function yarnrcFile(random: Random, draft: Draft, url: string): void {
  const word = random.pick(["@alice:registry", "@alice:registry", "--registry", "--install.registry", "--*.registry", "--x", "registry"]);
  const key = random.pick([
    `"${word}"`,
    `"${word}"`,
    word,
    `'${word}'`,
    `"${escaped(random, word)}"`,
    `a, "${word}"`,
    `"${word}", b`,
    `? "${word}"`,
  ]);
  const value = random.pick([`"${url}"`, `"${url}"`, url, `'${url}'`, `"--registry=${url}"`, `"--registry"`, "true"]);
  const line = `${random.pick(["", "", "", "  ", " ", "\t"])}${key}${random.pick([" ", ": ", ":", "  ", "= "])}${value}`;
  const noise = [
    "# yarn lockfile v1",
    "# comment",
    'save-prefix "~"',
    'env:\n  A "b"',
    "env:\n  B: c\n",
    "{",
    "---",
    "a: [",
    'x "\\\\\\""',
    "<<<<<<< a",
    "=======",
    ">>>>>>> b",
  ];
  const lines = [
    ...Array.from({ length: random.int(3) }, () => random.pick(noise)),
    line,
    ...Array.from({ length: random.int(2) }, () => random.pick(noise)),
  ];
  const file = random.pick([
    "work/shop/.yarnrc",
    "work/shop/.yarnrc",
    "work/.yarnrc",
    "home/.yarnrc",
    "home/.config/yarn/config",
    "home/.yarn/config",
    "prefix/etc/yarnrc",
    "work/shop/.yarnrc.yml",
    "other/yarnrc",
  ]);
  if (file === "other/yarnrc") draft.env[random.pick(["YARN_CONFIG", "yarn_userconfig"])] = "{top}/other/yarnrc";
  draft.files.set(file, lines.map((one) => one + random.pick(LINE_ENDS)).join(""));
}

function yarnYml(random: Random, draft: Draft, url: string): void {
  const scope = random.pick([
    "alice",
    '"alice"',
    "'alice'",
    `"${escaped(random, "alice")}"`,
    "!!str alice",
    "? alice\n  ",
    "&k alice",
    "|-\n  alice\n",
  ]);
  const server = random.pick(["npmRegistryServer", '"npmRegistryServer"', `"${escaped(random, "npmRegistryServer")}"`, "npmAuditRegistry"]);
  const key = random.pick(["npmScopes", '"npmScopes"', `"${escaped(random, "npmScopes")}"`, "!!str npmScopes"]);
  const body = random.pick([
    `${key}:\n  ${scope}:\n    ${server}: "${url}"\n`,
    `${key}: { ${scope}: { ${server}: "${url}" } }\n`,
    `npmRegistries: &a { alice: { npmRegistryServer: "${url}" } }\n${key}: *a\n`,
    `x: &a\n  ${scope}: { ${server}: "${url}" }\n${key}:\n  <<: *a\n`,
    `${key}: !!map { ${scope}: !!map { ${server}: "${url}" } }\n`,
    `${key}: {}\n${key}: { ${scope}: { ${server}: "${url}" } }\n`,
    `${key}: { ${scope}: { ${server}: "${url}" } }\n${key}: {}\n`,
    `${key}:\n  onConflict: ${random.pick(["reset", "extend", "hardReset"])}\n  value: { ${scope}: { ${server}: "${url}" } }\n`,
    `${key}: { ${scope}: { onConflict: extend, value: { ${server}: { value: "${url}", onConflict: reset } } } }\n`,
    `"npmScopes.alice.npmRegistryServer": "${url}"\n`,
    `npmRegistryServer: { onConflict: hardReset, value: "${url}" }\n`,
    `npmScopes:\n  "alice":\n    npmRegistryServer "${url}"\n`,
  ]);
  const before = ["", "", "# yarn lockfile v1\n", "---\n", "%YAML 1.1\n---\n", "\uFEFF", "# comment\n", "a: b\n"];
  const after = ["", "", "...\n", "---\na: b\n", "# end"];
  // Else yarn stops at most of the noise.
  if (!random.once(4)) draft.env["YARN_ENABLE_STRICT_SETTINGS"] = "0";
  const file = random.pick([
    "work/shop/.yarnrc.yml",
    "work/shop/.yarnrc.yml",
    "work/.yarnrc.yml",
    "home/.yarnrc.yml",
    "work/shop/.other.yml",
    "work/other.yml",
  ]);
  if (file.includes("other"))
    draft.env[random.pick(["YARN_RC_FILENAME", "yarn_rc_filename", "Yarn_Rc_Filename"])] = file.slice(file.lastIndexOf("/") + 1);
  const text = random.pick(before) + body + random.pick(after);
  draft.files.set(file, random.once(4) ? text.replaceAll("\n", random.pick(LINE_ENDS)) : text);
}

function pnpmFile(random: Random, draft: Draft, url: string): void {
  const scope = random.pick(['"@alice"', "'@alice'", `"${escaped(random, "@alice")}"`, '!!str "@alice"', '"@bob"', "default"]);
  const key = random.pick([
    "registries",
    '"registries"',
    `"${escaped(random, "registries")}"`,
    varied(random, draft, "registries"),
    `"${varied(random, draft, "registries")}"`,
  ]);
  const body = random.pick([
    `${key}:\n  ${scope}: "${url}"\n`,
    `${key}: { ${scope}: "${url}", "@bob": "${url}" }\n`,
    `x: &a { ${scope}: "${url}" }\n${key}: *a\n`,
    `x: &a { ${scope}: "${url}" }\n${key}:\n  <<: *a\n  "@bob": "${url}"\n`,
    `<<: { ${key}: { ${scope}: "${url}" } }\n`,
    `${key}: {}\n${key}: { ${scope}: "${url}" }\n`,
    `${key}: !!map { ${scope}: "${url}" }\n`,
    `${key}: !!omap [ ${scope}: "${url}" ]\n`,
    `"@alice:registry": "${url}"\nregistry: "${url}"\n`,
    `userConfig: { "@alice:registry": "${url}" }\nrawConfig: { registry: "${url}" }\n`,
    `packageManagerRegistries: { default: "${url}" }\n`,
  ]);
  const file = random.pick([
    "work/shop/pnpm-workspace.yaml",
    "work/shop/pnpm-workspace.yaml",
    "work/pnpm-workspace.yaml",
    "other/pnpm-workspace.yaml",
    "home/.config/pnpm/config.yaml",
  ]);
  if (file.startsWith("other")) draft.env[random.pick(["NPM_CONFIG_WORKSPACE_DIR", "npm_config_workspace_dir"])] = "{top}/other";
  const packages = random.pick(["", 'packages: ["*", "shop"]\n']);
  draft.files.set(
    file,
    random.pick(["", "", "---\n", "\uFEFF", "%YAML 1.1\n---\n"]) + packages + body + random.pick(["", "", "...\n", "---\na: b\n"]),
  );
}

function bunFile(random: Random, draft: Draft, url: string): void {
  const scope = random.pick(["alice", '"alice"', "'alice'", '"@alice"', `"${escaped(random, "alice")}"`, `"${escaped(random, "@alice")}"`]);
  const value = random.pick([`"${url}"`, `'${url}'`, `{ url = "${url}" }`, `"""${url}"""`, `{ url = "${url}", token = "$T" }`]);
  const body = random.pick([
    `[install.scopes]\n${scope} = ${value}\n`,
    `[ install . scopes ]\n${scope}=${value}\n`,
    `["install"."scopes"]\n${scope} = ${value}\n`,
    `[install]\nscopes = { ${scope} = ${value} }\n`,
    `[install]\nscopes.${scope} = ${value}\n`,
    `install.scopes.${scope} = ${value}\n`,
    `install = { scopes = { ${scope} = ${value} } }\n`,
    `[install.scopes.${scope}]\nurl = "${url}"\n`,
    `[[install]]\nscopes = { ${scope} = ${value} }\n`,
    `[install]\na = 1\n[install]\nscopes = { ${scope} = ${value} }\n`,
    `[install]\nregistry = ${value}\n`,
  ]);
  const file = random.pick([
    "work/shop/bunfig.toml",
    "work/shop/bunfig.toml",
    "work/bunfig.toml",
    "home/.bunfig.toml",
    "home/.config/.bunfig.toml",
    "other/bunfig.toml",
  ]);
  if (file.startsWith("other"))
    draft.env["BUN_OPTIONS"] = random.pick([
      "--config={top}/other/bunfig.toml",
      "-c {top}/other/bunfig.toml",
      "-c={top}/other/bunfig.toml",
    ]);
  const text = random.pick(["", "", "# comment\n", "\uFEFF", "a = 1\n", "[test]\nx = 1979-05-27\n"]) + body;
  draft.files.set(file, random.once(5) ? text.replaceAll("\n", random.pick(LINE_ENDS)) : text);
}

function bunVariable(random: Random, draft: Draft, url: string): void {
  const name = random.pick([
    "BUN_CONFIG_REGISTRY",
    "bun_config_registry",
    "NPM_CONFIG_REGISTRY",
    "npm_config_registry",
    "npm_config_@alice:registry",
    "BUN_CONFIG_SCOPES",
  ]);
  random.pick([
    () => draft.files.set(random.pick(["work/shop/.env", "work/shop/.env.local", "work/shop/.env.development"]), `${name}=${url}\n`),
    () => (draft.env["BUN_OPTIONS"] = random.pick([`--registry=${url}`, `--registry ${url}`, `--cwd={top}/other`])),
    () => (draft.env[name] = url),
  ])();
}

const DAMAGE = [
  "\r",
  "\n",
  " ",
  "\t",
  '"',
  "'",
  "\\",
  ";",
  "#",
  "=",
  ":",
  "[",
  "]",
  "${",
  "}",
  "\uFEFF",
  "\u0000",
  "\u2028",
  "\u0085",
  "\u000b",
  "-",
  "&",
  "*",
  "!",
  "?",
];

/** A few characters in, out, or twice. */
function damaged(random: Random, text: string): string {
  let out = text;
  for (let changes = 1 + random.int(3); changes > 0; changes--) {
    const at = random.int(out.length);
    const [before, after] = [out.slice(0, at), out.slice(at)];
    out = random.pick([
      () => before + random.pick(DAMAGE) + after,
      () => before + after.slice(1),
      () => before + after.slice(0, 1) + after,
    ])();
  }
  return out;
}

function encoded(random: Random, text: string): Buffer {
  if (random.once(40)) return Buffer.from(`\uFEFF${text}`, "utf16le");
  return random.once(20) ? Buffer.concat([Buffer.from([0x23, 0xff, 0x0a]), Buffer.from(text)]) : Buffer.from(text);
}
