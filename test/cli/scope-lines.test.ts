/** X9: what sends a claimed scope elsewhere, in every client's own file and spelling. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { findScopeLines } from "../../src/cli/clients/scope-lines.ts";
import type { DisplayName } from "../../src/format/decode.ts";
import type { PackagePattern } from "../../src/format/names.ts";
import { EMPTY_PROJECT, type Project, type ProjectIndex } from "../../src/format/project.ts";
import { nodeFiles } from "../../src/storage/files.ts";
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
  files: Readonly<Record<string, string>>,
  { env = {}, of = claiming("@alice/*") }: { readonly env?: NodeJS.ProcessEnv; readonly of?: Project } = {},
): Promise<readonly string[]> {
  for (const [file, text] of Object.entries(files)) writeFileSync(path.join(top, file), text);
  const lines = await findScopeLines(
    { project: of, folder: project },
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
    expect(await found({}, { env })).toEqual(
      Object.keys(env)
        .slice(0, 4)
        .map((name) => `@alice the environment variable ${name}`),
    );
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

it("what sends no scope away, and what cannot be read, is left to the client", async () => {
  expect(
    await found({
      "work/shop/.npmrc": "registry=https://x/\n//x/:_authToken=t\n@alice:other=https://x/\n",
      "work/shop/.yarnrc.yml": "npmScopes:\n  alice:\n    npmAuthToken: t\n",
      "work/shop/pnpm-workspace.yaml": 'packages: ["@alice/*"]\n',
      "work/shop/bunfig.toml": "[install\nscopes",
      "work/shop/vlt.json": "{",
      "home/.yarnrc.yml": "npmScopes: [",
    }),
  ).toEqual([]);
});
