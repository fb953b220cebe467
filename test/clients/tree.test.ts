/**
 * A tree with every kind of dependency, installed with imprint and without: the same files, byte for byte. What comes from git,
 * from an address or from a folder is none of the resolver's business, and keeps its own host.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, clientOf, environmentFor, type Family, installOnPath, TESTED_IDS } from "../support/clients.ts";
import { commitHosted, createHostedRepository, type GitHost, startGitHost } from "../support/git-host.ts";
import { BIN } from "../support/people.ts";
import { typed } from "../support/typed.ts";
import { type StaticHost, startStaticHost } from "../support/static-host.ts";
import { makePackage } from "../support/tarball.ts";
import { type TestIndex, type World, world } from "../support/world.ts";

/** deno and vlt know other kinds. */
const IDS = TESTED_IDS.filter((id) => id !== "vlt" && id !== "deno");

let w: World;
let alice: TestIndex;
let git: GitHost;
let files: StaticHost;
beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish("@alice/a", "1.0.0");
  for (const version of ["1.0.0", "1.1.0"])
    await w.upstream.publish("pub", version, { files: { "index.js": `module.exports = "${version}";\n` } });
  await w.upstream.publish("parent", "1.0.0", { packageJson: { dependencies: { pub: "^1.0.0", renamed: "npm:pub@1.0.0" } } });
  const root = path.join(w.folder, "repositories");
  mkdirSync(root);
  git = await startGitHost({ root });
  for (const name of ["by-git", "by-ssh"]) {
    createHostedRepository(root, `${name}.git`);
    commitHosted(path.join(root, `${name}.git`), {
      "package.json": JSON.stringify({ name, version: "1.0.0" }),
      "index.js": `module.exports = "${name}";\n`,
    });
  }
  files = await startStaticHost(new Map([["by-url-1.0.0.tgz", await makePackage({ name: "by-url", version: "1.0.0" })]]));
});
afterAll(async () => {
  await Promise.all([git.close(), files.close()]);
  await w.close();
});

/** What clients write about an installation, times and addresses in it. */
const RECORDS = /^(\.package-lock\.json|\.yarn-integrity|\.yarn-state\.yml|\.modules\.yaml|\.pnpm-workspace-state.*|\.cache|lock\.yaml)$/;

/** Every file of node_modules: path → content, or where a link leads. */
function treeIn(folder: string, prefix = ""): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  const at = path.join(folder, prefix);
  if (!existsSync(at)) return found;
  for (const name of readdirSync(at).toSorted()) {
    if (RECORDS.test(name)) continue;
    const inner = path.join(prefix, name);
    const info = lstatSync(path.join(folder, inner));
    if (info.isSymbolicLink()) found[inner] = `-> ${path.relative(folder, path.resolve(at, readlinkSync(path.join(folder, inner))))}`;
    else if (info.isDirectory()) Object.assign(found, treeIn(folder, inner));
    else found[inner] = readFileSync(path.join(folder, inner), "base64");
  }
  return found;
}

type Shop = { readonly folder: string; readonly env: NodeJS.ProcessEnv };

/** The same project in a folder and a HOME of its own. */
async function shopOf(client: Client, name: string): Promise<Shop> {
  const top = path.join(w.folder, `tree-${client.id.replace(" ", "-")}-${name}`);
  const [folder, home] = [path.join(top, "shop"), path.join(top, "home")];
  const manifest = {
    name: "shop",
    version: "1.0.0",
    private: true,
    workspaces: ["packages/*"],
    dependencies: {
      pub: "^1.0.0",
      parent: "1.0.0",
      other: "npm:pub@1.0.0",
      "by-git": `git+${git.url("by-git.git")}`,
      "by-ssh": "git+ssh://git@git.example.org/by-ssh.git",
      "by-url": `http://127.0.0.1:${String(files.port)}/by-url-1.0.0.tgz`,
      "by-file": "file:./by-file",
    },
  };
  const all: Readonly<Record<string, unknown>> = {
    ...client.files,
    ...(client.family === "pnpm" ? { "pnpm-workspace.yaml": "packages:\n  - packages/*\n" } : {}),
    ...(client.family === "yarn 4"
      ? {
          ".yarnrc.yml": `${String(client.files[".yarnrc.yml"])}npmRegistryServer: ${w.upstream.url}\nunsafeHttpWhitelist: [127.0.0.1]\napprovedGitRepositories: ["**"]\n`,
        }
      : {}),
    ".npmrc": `registry=${w.upstream.url}\n`,
    "package.json": manifest,
    "by-file/package.json": { name: "by-file", version: "1.0.0" },
    "packages/inner/package.json": { name: "inner", version: "1.0.0", dependencies: { pub: "1.0.0" } },
  };
  for (const [file, content] of Object.entries(all)) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), typeof content === "string" ? content : `${JSON.stringify(content, null, 2)}\n`);
  }
  const env: NodeJS.ProcessEnv = {
    ...Object.fromEntries(
      Object.entries(process.env).filter(([key]) => !/^(npm_|pnpm_|yarn_|bun_|deno_|IMPRINT_|XDG_|GIT_|NODE_|VITEST|CI$)/i.test(key)),
    ),
    ...environmentFor(client, home),
    PATH: [installOnPath(path.join(home, "bin"), client), process.env["PATH"]].join(path.delimiter),
    GIT_CONFIG_NOSYSTEM: "1",
    IMPRINT_ALLOW_PRIVATE: "127.0.0.1",
  };
  // A host that is reached by ssh, as git is told to reach it here.
  writeFileSync(
    path.join(home, ".gitconfig"),
    `[url "${git.url("")}"]\n\tinsteadOf = ssh://git@git.example.org/\n\tinsteadOf = git@git.example.org:\n`,
  );
  return { folder, env };
}

describe.each(IDS)("%s", (id) => {
  const client = clientOf(id);

  it(`${id}: registry, git, ssh, address, folder, workspace and alias, the same with and without`, { timeout: 600_000 }, async () => {
    const [plain, behind] = [await shopOf(client, "plain"), await shopOf(client, "imprint")];
    const without = await typed(path.join(plain.env["HOME"] ?? "", "bin", client.called), client.commands.install, plain.folder, plain.env);
    const words = [BIN, "add", `${alice.url}#${alice.id}`, "--yes"];
    expect((await typed(process.execPath, words, behind.folder, behind.env)).code).toBe(0);
    // npm 12 refuses dependencies from addresses, whoever answers.
    if (id !== "npm 12") expect([without.code, without.code === 0 ? "" : without.stderr + without.stdout]).toEqual([0, ""]);
    const run = [BIN, "run", "--port", "0", client.called, ...client.commands.install];
    const withIt = await typed(process.execPath, run, behind.folder, behind.env);
    expect([withIt.code, withIt.code === without.code ? "" : `${without.stderr}\n${withIt.stderr}${withIt.stdout}`]).toEqual([
      without.code,
      "",
    ]);
    const [a, b] = [treeIn(path.join(plain.folder, "node_modules")), treeIn(path.join(behind.folder, "node_modules"))];
    expect(Object.keys(b)).toEqual(Object.keys(a));
    expect(b).toEqual(a);
    // Not two empty trees, unless the client itself refuses such dependencies.
    if (without.code === 0) expect(Object.keys(a).filter((file) => /by-(git|ssh|url|file)/.test(file)).length).toBeGreaterThan(3);
    const lock = path.join(behind.folder, client.lockfile);
    if (without.code !== 0 || !existsSync(lock)) return;
    const hosts = [...readFileSync(lock, "utf8").matchAll(/127\.0\.0\.1:(\d+)\/(~?)/g)].map(
      ([, port, policy]) => `${policy ?? ""}${port ?? ""}`,
    );
    const own: Readonly<Partial<Record<Family, string>>> = { "yarn 1": "~4870", bun: "~4870" };
    const foreign = [String(files.port), new URL(git.url("")).port];
    expect(hosts.filter((host) => host !== own[client.family] && !foreign.includes(host))).toEqual([]);
  });
});
