/** Five package managers × three kinds of package: packed with each, published over http, installed by npm, and run. */
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { some } from "../support/thorough.ts";
import { type Installed, INSTALLED, installInto, programOf, QUIET, versionOf } from "../support/package-managers.ts";
import { BIN, type Outcome, people, type People, type Person } from "../support/people.ts";

let world: People;
beforeAll(async () => {
  world = await people();
});
afterAll(() => world.close());

/** What tells that a project is that package manager's, one of each sort that imprint heeds, and its way to a sibling. */
const PROJECTS: Readonly<Record<Installed, { readonly marks: Readonly<Record<string, unknown>>; readonly range: string }>> = {
  npm: { marks: { "package-lock.json": { name: "x", lockfileVersion: 3, packages: {} } }, range: "^1.0.0" },
  pnpm: { marks: { "pnpm-workspace.yaml": "packages: ['packages/*']\n" }, range: "workspace:^" },
  "yarn 1": { marks: { "yarn.lock": "# yarn lockfile v1\n" }, range: "^1.0.0" },
  "yarn 4": { marks: { "yarn.lock": "", ".yarnrc.yml": "nodeLinker: node-modules\n" }, range: "workspace:^" },
  bun: { marks: {}, range: "workspace:^" },
};

describe.each(some(INSTALLED, 3))("%s", (installed) => {
  const id = installed.replace(" ", "");
  let who: Person;
  let PATH: string;
  let reader: Person;
  let shop: string;
  beforeAll(async () => {
    who = world.person(id);
    const { address } = await world.init(who, `@${id}/*`);
    PATH = [installInto(path.join(world.folder, "bin", id), installed), process.env["PATH"] ?? ""].join(path.delimiter);
    reader = world.person(`${id}-reader`);
    shop = world.folderOf(`shop-${id}`, { "package.json": { name: "shop", version: "1.0.0", private: true } });
    const added = await world.imprint(reader, shop, "add", address, "--yes");
    expect(added.code, added.stderr).toBe(0);
  });

  const engine = { devEngines: { packageManager: { name: programOf(installed), version: versionOf(installed) } } };
  const { marks, range } = PROJECTS[installed];

  /** pnpm and yarn 4 take the versions of siblings from what is installed: so has whoever publishes. */
  async function setUp(folder: string): Promise<void> {
    const words = { pnpm: ["install", "--offline"], "yarn 4": ["install", "--no-immutable"] }[installed as string];
    if (words === undefined) return;
    const done = await world.sh(who, folder, programOf(installed), words, { ...QUIET, PATH });
    expect(done.code, done.stdout + done.stderr).toBe(0);
  }

  async function publish(folder: string, ...args: readonly string[]): Promise<Outcome> {
    const published = await world.sh(who, folder, process.execPath, [BIN, "publish", ...args], { PATH });
    expect(published.code, published.stderr).toBe(0);
    return published;
  }

  /** Somebody else installs it, with npm, and runs it. */
  async function used(name: string): Promise<string> {
    const installation = await world.imprint(reader, shop, "run", "--sync-after", "0", "npm", "install", name);
    expect(installation.code, installation.stderr).toBe(0);
    return (await world.sh(reader, shop, "node", ["-p", `require("${name}")`])).stdout.trim();
  }

  it("a single package", async () => {
    const name = `@${id}/single`;
    const folder = world.folderOf(`single-${id}`, {
      "package.json": { name, version: "1.0.0", main: "index.js", ...engine },
      "index.js": `module.exports = "single, ${id}";\n`,
      ".git/HEAD": "ref: refs/heads/main\n",
      ...(installed === "pnpm" ? {} : marks),
    });
    await setUp(folder);
    expect((await publish(folder)).stdout).toBe(`${name}@1.0.0\n`);
    expect(await used(name)).toBe(`single, ${id}`);
  }, 60_000);

  it("a workspace whose packages need each other", async () => {
    const folder = world.folderOf(`workspace-${id}`, {
      "package.json": { name: "root", private: true, workspaces: ["packages/*"], ...engine },
      ".git/HEAD": "ref: refs/heads/main\n",
      ...marks,
      "packages/app/package.json": { name: `@${id}/app`, version: "1.0.0", main: "index.js", dependencies: { [`@${id}/core`]: range } },
      "packages/app/index.js": `module.exports = "app on " + require("@${id}/core");\n`,
      "packages/core/package.json": { name: `@${id}/core`, version: "1.2.0", main: "index.js" },
      "packages/core/index.js": `module.exports = "core, ${id}";\n`,
    });
    await setUp(folder);
    expect((await publish(folder, "--workspaces")).stdout).toBe(`@${id}/core@1.2.0\n@${id}/app@1.0.0\n`);
    expect(await used(`@${id}/app`)).toBe(`app on core, ${id}`);
  }, 60_000);

  it("a package that is built in prepublishOnly", async () => {
    const name = `@${id}/built`;
    const folder = world.folderOf(`built-${id}`, {
      "package.json": {
        name,
        version: "1.0.0",
        main: "./dist/index.js",
        files: ["dist"],
        packageManager: `${programOf(installed)}@${versionOf(installed)}`,
        scripts: { prepublishOnly: "node build.cjs" },
      },
      ".git/HEAD": "ref: refs/heads/main\n",
      "build.cjs": `const fs = require("fs");
        console.log("other-1.0.0.tgz");
        fs.mkdirSync("dist");
        fs.writeFileSync("dist/index.js", "module.exports = " + JSON.stringify(process.env.npm_config_user_agent));\n`,
    });
    await setUp(folder);
    expect((await publish(folder)).stdout).toBe(`${name}@1.0.0\n`);
    expect(await used(name)).toMatch(new RegExp(`^${programOf(installed)}/${versionOf(installed).replaceAll(".", "\\.")}( |$)`));
  }, 60_000);
});
