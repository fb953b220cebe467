/** X9, X14: what sends a claimed scope elsewhere, in every client's own file and spelling. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { findScopeLines, requireNoScopeLines } from "../../src/clients/scope-lines.ts";
import type { DisplayName } from "../../src/format/decode.ts";
import type { PackagePattern } from "../../src/format/names.ts";
import { EMPTY_PROJECT, type Project, type ProjectIndex } from "../../src/format/project.ts";
import { scopeOwners } from "../../src/registry/claims.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { imprintIn } from "./in-process.ts";
import { temporaryFolder } from "../storage/temporary.ts";

const claiming = (...packages: string[]): Project => ({
  ...EMPTY_PROJECT,
  indices: new Map([["alice" as DisplayName, { packages: packages as unknown as readonly PackagePattern[] } as ProjectIndex]]),
});

let top: string;
let project: string;
let home: string;
beforeEach(() => {
  top = temporaryFolder();
  [project, home] = [path.join(top, "work", "shop"), path.join(top, "home")];
  for (const folder of [path.join(project, "src"), path.join(home, ".config", "pnpm"), path.join(home, ".config", "vlt")])
    mkdirSync(folder, { recursive: true });
});

async function found(
  files: Readonly<Record<string, string | Uint8Array>>,
  { env = {}, of = claiming("@alice/*") }: { readonly env?: NodeJS.ProcessEnv; readonly of?: Project } = {},
): Promise<readonly string[]> {
  for (const [file, text] of Object.entries(files)) writeFileSync(path.join(top, file), text);
  const lines = await findScopeLines(
    { ownerOf: scopeOwners(of), folder: project },
    { files: nodeFiles(), cwd: path.join(project, "src"), env: { HOME: home, PREFIX: path.join(top, "prefix"), ...env } },
  );
  return lines.map(({ scope, where }) => `${scope} ${where.replace(`${top}${path.sep}`, "")}`);
}

describe("X9 found, with file and line", () => {
  it.each([
    ["npm, pnpm, bun and deno", "work/shop/.npmrc", "a=b\n@alice:registry=https://x/\n", 2],
    ["npm in the folder where it is started", "work/shop/src/.npmrc", "@alice:registry = https://x/\n", 1],
    ["yarn 1 and deno, in a folder above", "work/.npmrc", "; @alice:registry=https://no/\n@alice:registry=https://x/\n", 2],
    ["a user's npm", "home/.npmrc", "@alice:registry=https://x/\n", 1],
    ["yarn 1", "work/shop/.yarnrc", '# yarn\n\n"@alice:registry" "https://x/"\n', 3],
    ["yarn 4", "work/shop/.yarnrc.yml", 'npmScopes:\n  alice:\n    npmRegistryServer: "https://x"\n', 2],
    ["a user's yarn 4", "home/.yarnrc.yml", 'npmScopes: { "alice": { npmRegistryServer: "https://x" } }\n', 1],
    ["pnpm 11, by scope", "work/shop/pnpm-workspace.yaml", 'registries:\n  "@alice": https://x/\n', 2],
    ["pnpm 11, by address", "home/.config/pnpm/config.yaml", 'registries:\n  https://x/:\n    scopes:\n      - "@alice"\n', 4],
    ["pnpm 10's own file", "home/.config/pnpm/rc", "@alice:registry=https://x/\n", 1],
    ["bun", "work/shop/bunfig.toml", '[install.scopes]\nalice = "https://x/"\n', 2],
    ["bun, with an @ and a table", "home/.bunfig.toml", '[install.scopes]\n"@alice" = { url = "https://x/", token = "t" }\n', 2],
    ["vlt", "work/shop/vlt.json", '{ "config": {\n "scope-registries": { "@alice": "https://x/" } } }\n', 2],
  ])("X9 %s", async (_, file, text, line) => {
    expect(await found({ [file]: text })).toEqual([`@alice ${file.split("/").join(path.sep)} line ${String(line)}`]);
  });

  it("X9 the environment", async () => {
    const env = {
      "npm_config_@alice:registry": "https://x/",
      "PNPM_CONFIG_@alice:registry": "https://x/",
      pnpm_config_registries: '{"@alice":"https://x/"}',
      pnpm_config__auth: '{"https://x/":{"@alice":{"authToken":"t"}}}',
      "npm_config_@bob:registry": "https://x/",
      PNPM_CONFIG_REGISTRIES: "not json",
    };
    expect(await found({}, { env })).toEqual([
      ...Object.keys(env)
        .slice(0, 4)
        .map((name) => `@alice the environment variable ${name}`),
      "* the environment variable PNPM_CONFIG_REGISTRIES",
    ]);
  });

  it("X9 files that variables name", async () => {
    expect(
      await found({ "mine.npmrc": "@alice:registry=https://x/\n" }, { env: { npm_config_userconfig: path.join(top, "mine.npmrc") } }),
    ).toEqual(["@alice mine.npmrc line 1"]);
    expect(
      await found(
        { "work/shop/other.yml": "npmScopes: { alice: { npmRegistryServer: https://x } }\n" },
        { env: { YARN_RC_FILENAME: "other.yml" } },
      ),
    ).toEqual([`@alice ${path.join("work", "shop", "other.yml")} line 1`]);
  });

  it("X9 any scope, where an index answers for everything; a scope of which one name is claimed", async () => {
    const npmrc = { "work/shop/.npmrc": "@bob:registry=https://x/\n" };
    expect(await found(npmrc)).toEqual([]);
    expect(await found(npmrc, { of: claiming("*") })).toHaveLength(1);
    expect(await found(npmrc, { of: claiming("@bob/one") })).toHaveLength(1);
  });
});

/** A hundred thousand values out of a few lines. */
const BOMB = `a: &a [${"x,".repeat(10)}]\n${["b", "c", "d", "e"].map((key, at) => `${key}: &${key} [${`*${"abcd".charAt(at)},`.repeat(10)}]`).join("\n")}\n`;
const U = "https://elsewhere.example/";

describe("X14 each spelling that some client understands", () => {
  it.each([
    ["a lone CR ends a line", "work/shop/.npmrc", `; a comment\r@alice:registry=${U}\r`, 2],
    ["a lone CR behind line feeds", "home/.npmrc", `a=b\n\nc=d\r@alice:registry=${U}`, 4],
    ["a key in quotes", "work/shop/.npmrc", `"@alice:registry"=${U}\n`, 1],
    ["a key in single quotes", "work/shop/.npmrc", `'@alice:registry' = ${U}\n`, 1],
    ["an escaped key", "work/shop/.npmrc", `"\\u0040alice:registry"=${U}\n`, 1],
    ["JSON in single quotes", "work/shop/.npmrc", `'"\\u0040alice:registry"'=${U}\n`, 1],
    ["a list within quotes, which JavaScript makes a key of", "work/shop/.npmrc", `'["@alice:registry"]'=${U}\n`, 1],
    ["a list", "work/shop/.npmrc", `@alice:registry[]=${U}\n`, 1],
    ["a byte order mark before it", "work/shop/.npmrc", `\uFEFF@alice:registry=${U}\n`, 1],
    ["spaces and tabs", "work/shop/.npmrc", ` \t@alice:registry\t = ${U}\n`, 1],
    ["a comment within the key", "work/shop/.npmrc", `@alice:registry;x=${U}\n`, 1],
    ["below a section, which deno does not mind", "work/shop/.npmrc", `[x]\n@alice:registry=${U}\n`, 2],
    ["another line for another scope after it", "work/shop/.npmrc", `@alice:registry=${U}\n@bob:registry=${U}\n`, 1],
    ["two colons, for pnpm", "work/shop/.npmrc", `@alice:x:registry=${U}\n`, 1],
    ["a variable in the key", "work/shop/.npmrc", `\${SCOPE}:registry=${U}\n`, 1],
    ["a variable as pnpm has it", "home/.config/pnpm/rc", `\${NOT_SET-@alice}:registry=${U}\n`, 1],
    ["bytes that are not UTF-8 before it", "work/shop/.npmrc", Buffer.from(`a=\xff\n@alice:registry=${U}\n`, "latin1"), 2],
    ["yarn 4, a key twice", "work/shop/.yarnrc.yml", `npmScopes: {}\nnpmScopes:\n  alice:\n    npmRegistryServer: "${U}"\n`, 3],
    ["yarn 4, an anchor", "work/shop/.yarnrc.yml", `npmPublishRegistry: &u "${U}"\nnpmScopes: { alice: { npmRegistryServer: *u } }\n`, 2],
    [
      "yarn 4, how to merge",
      "work/shop/.yarnrc.yml",
      `npmScopes:\n  onConflict: reset\n  value: { alice: { npmRegistryServer: { onConflict: reset, value: "${U}" } } }\n`,
      3,
    ],
    ["yarn 4, where it audits", "work/shop/.yarnrc.yml", `npmScopes: { alice: { npmAuditRegistry: "${U}" } }\n`, 1],
    ["a home's yarn 4, with another name in the project", "home/.yarnrc.yml", `npmScopes: { alice: { npmRegistryServer: "${U}" } }\n`, 1],
    ["yarn 1, a colon", "work/shop/.yarnrc", `"@alice:registry": "${U}"\n`, 1],
    ["yarn 1, two keys", "work/.yarnrc", `a, "\\u0040alice:registry" "${U}"\n`, 1],
    ["pnpm, merged", "work/shop/pnpm-workspace.yaml", `x: &x { "@alice": "${U}" }\nregistries:\n  <<: *x\n`, 1],
    ["pnpm, a variable", "work/shop/pnpm-workspace.yaml", `"\${MAP}": { "@alice": "${U}" }\n`, 1],
    ["bun, dotted keys", "work/shop/bunfig.toml", `install.scopes."\\u0061lice" = "${U}"\n`, 1],
    ["bun, a table within", "home/.config/.bunfig.toml", `[install]\nscopes = { "@alice" = { url = "${U}" } }\n`, 2],
    ["bun's .npmrc beside its bunfig", "home/.config/.npmrc", `@alice:registry=${U}\n`, 1],
  ])("X14 %s", async (_, file, text, line) => {
    const env = { SCOPE: "@alice", MAP: "registries", YARN_RC_FILENAME: "other.yml", yarn_rc_filename: ".yarnrc.yml" };
    expect(await found({ [file]: text }, { env })).toEqual([`@alice ${file.split("/").join(path.sep)} line ${String(line)}`]);
  });

  it("X14 files that other settings name", async () => {
    const scope = `@alice:registry=${U}\n`;
    const etc = path.join("etc", "npmrc");
    for (const folder of ["one", "two", "three", "four"]) mkdirSync(path.join(top, folder, "etc"), { recursive: true });
    const cases: readonly (readonly [Readonly<Record<string, string>>, NodeJS.ProcessEnv, string])[] = [
      [{ "home/.npmrc": `prefix=${path.join(top, "one")}\n`, "one/etc/npmrc": scope }, {}, path.join("one", etc)],
      [{ "home/.npmrc": "prefix=~/../two\n", "two/etc/npmrc": scope }, {}, path.join("two", etc)],
      [{ "home/.npmrc": "globalconfig=${T}/three/g\n", "three/g": scope }, { T: top }, path.join("three", "g")],
      [
        { "work/shop/.npmrc": 'userconfig = "../../mine"\n', mine: `globalconfig=${path.join(top, "four", "g")}\n`, "four/g": scope },
        {},
        path.join("four", "g"),
      ],
      [{ mine: scope }, { NPM_CONFIG_userConfig: path.join(top, "mine") }, "mine"],
      [{ "one/etc/npmrc": scope }, { npm_config_PREFIX: path.join(top, "one") }, path.join("one", etc)],
      [{ mine: scope }, { pnpm_config_npmrc_auth_file: path.join(top, "mine") }, "mine"],
      [
        { "one/pnpm-workspace.yaml": `registries: { "@alice": "${U}" }\n` },
        { NPM_CONFIG_WORKSPACE_DIR: path.join(top, "one") },
        path.join("one", "pnpm-workspace.yaml"),
      ],
      [{ "home/.config/pnpm/config.yaml": `npmrcAuthFile: ${path.join(top, "mine")}\n`, mine: scope }, {}, "mine"],
    ];
    for (const [files, env, file] of cases) {
      expect([files, await found(files, { env })]).toEqual([files, [`@alice ${file} line 1`]]);
      for (const one of Object.keys(files)) rmSync(path.join(top, one));
    }
  });

  it("X14 npm's own npmrc, beside the npm on the PATH", async () => {
    const npm = path.join(top, "node", "lib", "node_modules", "npm");
    mkdirSync(path.join(npm, "bin"), { recursive: true });
    mkdirSync(path.join(top, "node", "bin"));
    writeFileSync(path.join(npm, "bin", "npm-cli.js"), "");
    symlinkSync(path.join(npm, "bin", "npm-cli.js"), path.join(top, "node", "bin", "npm"));
    const env = { PATH: path.join(top, "node", "bin") };
    const own = path.join("node", "lib", "node_modules", "npm", "npmrc");
    expect(await found({ [own]: `@alice:registry=${U}\n` }, { env })).toEqual([`@alice ${own} line 1`]);
  });

  it("X14 a project behind a symbolic link has the settings of both places", async () => {
    symlinkSync(path.join(top, "work"), path.join(home, "link"));
    writeFileSync(path.join(top, "work", ".npmrc"), `@alice:registry=${U}\n`);
    const at = path.join(home, "link", "shop");
    const lines = await findScopeLines(
      { ownerOf: scopeOwners(claiming("@alice/*")), folder: at },
      { files: nodeFiles(), cwd: at, env: { HOME: home, PREFIX: path.join(top, "prefix") } },
    );
    expect(lines.map(({ where }) => where)).toContain(`${path.join(top, "work", ".npmrc")} line 1`);
  });

  it("X14 variables in any case, with the separators that each client makes of them", async () => {
    for (const name of ["npm_config_@alice:registry", "NPM_CONFIG_@Alice:Registry", "yarn_@alice:registry", "pnpm_config_@alice:registry"])
      expect(await found({}, { env: { [name]: U } })).toEqual([`@alice the environment variable ${name}`]);
    expect(await found({}, { env: { "npm_config_@my_scope:registry": U }, of: claiming("@my-scope/*") })).toHaveLength(1);
    for (const name of [
      "Npm_config_registry",
      "PNPM_CONFIG_REGISTRY",
      "yarn_registry",
      "YARN_NPM__REGISTRY_SERVER",
      "YARN_NPM_AUDIT_REGISTRY",
    ])
      expect(await found({}, { env: { [name]: U } })).toEqual([`* the environment variable ${name}`]);
    expect(await found({}, { env: { BUN_OPTIONS: `--registry=${U}` } })).toHaveLength(1);
  });

  it("X14 what holds for every name, whatever the environment says", async () => {
    for (const [file, text] of [
      ["work/shop/.yarnrc", `--registry "${U}"\n`],
      ["work/shop/.yarnrc", `--install.registry "${U}"\n`],
      ["work/shop/.yarnrc", `"--registry=${U}" true\n`],
      ["work/shop/.yarnrc", `--add.foo "--registry=${U}"\n`],
      ["work/shop/.yarnrc", `--cwd "../other"\n`],
      ["work/shop/.yarnrc.yml", `"--registry": "${U}"\n`],
      ["work/shop/.yarnrc.yml", `npmAuditRegistry: "${U}"\n`],
      ["work/shop/pnpm-workspace.yaml", `registries: { default: "${U}" }\n`],
    ] as const) {
      expect([text, await found({ [file]: text })]).toEqual([text, [`* ${file.split("/").join(path.sep)} line 1`]]);
      rmSync(path.join(top, file));
    }
  });

  it("X14 a scope for which pnpm, yarn 4 and deno have an address of their own cannot be claimed", async () => {
    expect(await found({}, { of: claiming("@jsr/*") })).toEqual(["@jsr a built-in setting of pnpm, yarn 4 and deno"]);
    expect(await found({}, { of: claiming("*") })).toEqual([]);
  });
});

describe("X14 what cannot be read as its client reads it stops run and serve, with file and line", () => {
  it.each([
    [
      "a variable that is not set, in a key",
      "work/shop/.npmrc",
      "a=b\n${NOT_SET}:registry=x\n",
      2,
      /a variable that is not set; write the key itself/,
    ],
    ["an escape that is no JSON", "work/shop/.npmrc", `"\\x40alice:registry"=${U}\n`, 1, /no JSON string; write it without escapes/],
    ["UTF-16", "work/shop/.npmrc", Buffer.from(`\uFEFF@alice:registry=${U}\n`, "utf16le"), 1, /UTF-16; save it as UTF-8/],
    ["a megabyte", "work/shop/.npmrc", `#${"x".repeat(1024 * 1024)}\n`, 1, /larger than 1 MiB/],
    ["yarn 1's grammar", "work/shop/.yarnrc", "\n\n@alice:registry https://x\n", 3, /yarn 1 does not understand it/],
    ["yarn 1, an odd indentation", "work/shop/.yarnrc", 'env:\n   a "b"\n', 2, /yarn 1 does not understand it/],
    ["yarn 1, a conflict", "work/shop/.yarnrc", '<<<<<<< a\n"x" "y"\n=======\n>>>>>>> b\n', 1, /yarn 1 does not understand it/],
    ["YAML for yarn", "home/.yarnrc.yml", "a: b\nnpmScopes: [\n", 3, /yarn cannot read it as YAML/],
    ["several documents for yarn", "work/shop/.yarnrc.yml", "a: b\n---\nc: d\n", 2, /yarn cannot read it as YAML/],
    ["YAML for pnpm", "work/shop/pnpm-workspace.yaml", "a: b\na: c\n", 2, /cannot be read as YAML/],
    ["several documents for pnpm", "work/shop/pnpm-workspace.yaml", "a: b\n---\nc: d\n", 2, /several documents/],
    ["a tag for pnpm", "work/shop/pnpm-workspace.yaml", "a: b\nregistries: !!map { x: y }\n", 2, /it has a tag/],
    ["too many aliases for pnpm", "work/shop/pnpm-workspace.yaml", BOMB, 1, /aliases/],
    ["TOML", "work/shop/bunfig.toml", "[install\nscopes", 1, /cannot be read as TOML/],
    ["a key twice in TOML", "work/shop/bunfig.toml", "[install]\na = 1\na = 2\n", 3, /cannot be read as TOML/],
    ["YAML without a floor, for yarn", "work/shop/.yarnrc.yml", "[".repeat(200_000), 1, /yarn cannot read it as YAML/],
    ["YAML without a floor, for pnpm", "work/shop/pnpm-workspace.yaml", `a: ${"[".repeat(200_000)}`, 1, /YAML/],
    ["TOML without a floor", "work/shop/bunfig.toml", `a = ${"[".repeat(200_000)}`, 1, /cannot be read as TOML/],
    ["a key without an end", "work/shop/.npmrc", `a=b\n${'"'.repeat(500_000)}x=y\n`, 2, /longer than 2000 characters/],
    ["a path without an end", "work/shop/.npmrc", `prefix=${"\\".repeat(500_000)}$\n`, 1, /a path that is too long/],
    ["a string without an end", "work/shop/.yarnrc", `"${"a".repeat(900_000)}`, 1, /yarn 1 does not understand it/],
    ["JSON", "work/shop/vlt.json", "{\n", 2, /cannot be read as JSON/],
  ])("X14 %s", async (_, file, text, line, words) => {
    mkdirSync(path.dirname(path.join(top, file)), { recursive: true });
    writeFileSync(path.join(top, file), text);
    const lines = await findScopeLines(
      { ownerOf: scopeOwners(claiming("@alice/*")), folder: project },
      { files: nodeFiles(), cwd: project, env: { HOME: home, PREFIX: path.join(top, "prefix") } },
    );
    expect(lines.filter(({ isRead }) => !isRead)).toEqual([
      expect.objectContaining({ where: `${path.join(top, file)} line ${String(line)}`, text: expect.stringMatching(words) as string }),
    ]);
  });

  it("X14 the error names file, line and what to do; a line that is read comes first", async () => {
    const at = { ownerOf: scopeOwners(claiming("@alice/*")), folder: project };
    const where = { files: nodeFiles(), cwd: project, env: { HOME: home, PREFIX: path.join(top, "prefix") } };
    writeFileSync(path.join(project, "bunfig.toml"), "[");
    await expect(requireNoScopeLines(at, where)).rejects.toMatchObject({
      code: "SETTINGS_UNCLEAR",
      message: `Cannot start: ${path.join(project, "bunfig.toml")} line 1: it cannot be read as TOML; mend it there`,
    });
    writeFileSync(path.join(project, ".npmrc"), `@alice:registry=${U}\n`);
    await expect(requireNoScopeLines(at, where)).rejects.toMatchObject({
      code: "SCOPE_REGISTRY",
      message: `Cannot start: ${path.join(project, ".npmrc")} line 1 sends @alice to a registry of its own, but alice answers for it`,
    });
    rmSync(path.join(project, ".npmrc"));
    rmSync(path.join(project, "bunfig.toml"));
    writeFileSync(path.join(project, ".yarnrc"), `--registry "${U}"\n`);
    await expect(requireNoScopeLines(at, where)).rejects.toMatchObject({
      code: "SCOPE_REGISTRY",
      message: `Cannot start: ${path.join(project, ".yarnrc")} line 1 sends all names to a registry of its own (--registry), but indices answer for some`,
    });
  });

  it.each([[["run", "true"]], [["serve", "--port", "0"]]])("X14 imprint %j does not start", async (argv) => {
    const index = { id: "a".repeat(64), urls: ["https://git.example.org/alice.git"], packages: ["@alice/*"] };
    writeFileSync(path.join(project, "imprint.json"), JSON.stringify({ format: 1, indices: { alice: index } }));
    for (const [file, text, words] of [
      [
        ".npmrc",
        `a=b\r"\\u0040alice:registry"=${U}`,
        /\.npmrc line 2 sends @alice to a registry of its own, but alice answers for it[^]*SCOPE_REGISTRY/,
      ],
      ["pnpm-workspace.yaml", "a: 1\na: 2\n", /pnpm-workspace\.yaml line 2: it cannot be read as YAML; mend it there[^]*SETTINGS_UNCLEAR/],
    ] as const) {
      writeFileSync(path.join(project, file), text);
      const ran = await imprintIn({ home, cwd: project, env: { PREFIX: path.join(top, "prefix") } }, ...argv);
      expect([ran.exit, ran.stderr]).toEqual([3, expect.stringMatching(words)]);
      rmSync(path.join(project, file));
    }
  });

  it("X14 settings that name one another without end", async () => {
    const far = Array.from({ length: 600 }, (_, at) => `userconfig=x${String(at)}`).join("\n");
    const lines = await found({ "work/shop/.npmrc": far, "work/shop/x0": far, "work/shop/src/x1": "userconfig=y\n" });
    expect(lines).toEqual([expect.stringMatching(/^\* /)]);
  });
});

describe("settings as people have them pass", () => {
  it.each([
    [
      "an .npmrc of a company",
      "home/.npmrc",
      [
        "; managed by it@example.org",
        "registry=https://npm.example.org/",
        "@mycorp:registry=https://npm.example.org/mycorp/",
        "//npm.example.org/:_authToken=${NPM_TOKEN}",
        "//${NPM_HOST}/:_authToken=${NPM_TOKEN}",
        "//npm.pkg.example.org/:_authToken = abc==",
        'cafile="/etc/ssl/company.pem"',
        "proxy=http://proxy.example.org:8080/",
        "https-proxy=http://proxy.example.org:8080/",
        "noproxy=localhost,127.0.0.1",
        "strict-ssl=true",
        "save-exact=true",
        "omit[]=dev",
        "init-author-name=Alice Example <alice@example.org>",
        "email=${EMAIL}",
        "always-auth",
        "prefix=~/.npm-global",
        "public-hoist-pattern[]=*eslint*",
        "@alice:other=x",
      ].join("\r\n"),
    ],
    [
      "yarn 1's own",
      "home/.yarnrc",
      '# THIS IS AN AUTOGENERATED FILE. DO NOT EDIT THIS FILE DIRECTLY.\n# yarn lockfile v1\n\n\nregistry "https://npm.example.org/"\nlastUpdateCheck 1700000000000\nstrict-ssl false\n"@mycorp:registry" "https://npm.example.org/"\nyarn-offline-mirror "./mirror"\n--install.ignore-engines true\n--*.no-progress true\nenv:\n  A "b"\n  C true\n\nsave-prefix "~"\n',
    ],
    [
      "yarn 4's",
      "work/shop/.yarnrc.yml",
      'nodeLinker: node-modules\nnpmRegistryServer: "https://npm.example.org"\nnpmScopes:\n  mycorp:\n    npmRegistryServer: "https://npm.example.org"\n    npmAuthToken: "${TOKEN:-none}"\n  alice:\n    npmAuthToken: t\n    npmPublishRegistry: https://x\nnpmRegistries:\n  "//npm.example.org":\n    npmAuthToken: x\nplugins:\n  - path: .yarn/plugins/p.cjs\n    spec: p\npackageExtensions:\n  "a@*":\n    dependencies:\n      b: "1"\n',
    ],
    [
      "pnpm's",
      "work/shop/pnpm-workspace.yaml",
      'packages:\n  - "@alice/*"\n  - "packages/*"\nregistry: https://npm.example.org/\nregistries:\n  "@mycorp": https://npm.example.org/\ncatalog:\n  react: ^19.0.0\noverrides:\n  "a>b": "1"\nonlyBuiltDependencies: [esbuild]\n',
    ],
    [
      "bun's",
      "work/shop/bunfig.toml",
      '[install]\nregistry = { url = "https://npm.example.org/", token = "$TOKEN" }\nexact = true\nlinker = "hoisted"\nminimumReleaseAge = 259200\n[install.scopes]\nmycorp = { url = "https://npm.example.org/", token = "$TOKEN" }\n[test]\ncoverage = true\n',
    ],
    [
      "vlt's",
      "work/shop/vlt.json",
      '{ "config": { "registry": "https://npm.example.org", "scope-registries": { "@mycorp": "https://x" } } }',
    ],
    ["empty files", "work/shop/.yarnrc.yml", ""],
    ["only comments", "work/shop/pnpm-workspace.yaml", "# nothing\n"],
  ])("%s", async (_, file, text) => {
    expect(await found({ [file]: text })).toEqual([]);
  });

  it("megabytes of settings are read in a moment", async () => {
    const many = (line: (at: number) => string): string => Array.from({ length: 20_000 }, (_, at) => line(at)).join("");
    const files = {
      "work/shop/.npmrc": many((at) => `@s${String(at)}:registry=${U}\n`),
      "work/shop/.yarnrc": many((at) => `"@s${String(at)}:registry" "${U}"\n`),
      "work/shop/bunfig.toml": `[install.scopes]\n${many((at) => `s${String(at)} = "${U}"\n`)}`,
    };
    const startedMs = performance.now();
    expect(await found(files)).toEqual([]);
    // Quadratic reading takes minutes.
    expect(performance.now() - startedMs).toBeLessThan(20_000);
    expect(await found({ "work/shop/.npmrc": many(() => `@alice:registry=${U}\n`) })).toHaveLength(100);
  });

  it("folders in the place of files, and variables of everyday", async () => {
    mkdirSync(path.join(project, ".npmrc"));
    mkdirSync(path.join(home, ".config", "yarn"));
    const env = {
      npm_config_registry: "http://127.0.0.1:1/",
      NPM_CONFIG_REGISTRY: "http://127.0.0.1:1/",
      YARN_REGISTRY: "http://127.0.0.1:1/",
      YARN_NPM_REGISTRY_SERVER: "http://127.0.0.1:1/",
      BUN_CONFIG_REGISTRY: "http://127.0.0.1:1/",
      pnpm_config_registry: "http://127.0.0.1:1/",
      npm_config_user_agent: "npm/11",
      npm_config_cache: "/x",
      "npm_config_//npm.example.org/:_authToken": "t",
      BUN_OPTIONS: "--silent",
      XDG_CONFIG_HOME: "",
    };
    expect(await found({}, { env })).toEqual([]);
  });
});
