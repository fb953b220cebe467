/** Each real package manager: its scripts, its secrets, its ranges; and what is said where one is missing or the wrong one. */
import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkPublishable } from "../../src/pack/check.ts";
import { runCommand } from "../../src/pack/command.ts";
import { inspectTarball, type TarballFacts } from "../../src/pack/inspect.ts";
import { packPackage, type PackOptions } from "../../src/pack/run.ts";
import { type Installed, INSTALLED, installInto, programOf, QUIET, versionOf } from "../support/package-managers.ts";

const SECRETS = { IMPRINT_PASSPHRASE: "hunter2", IMPRINT_HOME: "/x", NPM_TOKEN: "hunter2", YARN_NPM_AUTH_TOKEN: "hunter2" };

let root: string;
let output: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(path.join(tmpdir(), "imprint-test-")));
  for (const folder of [".git", "home", "tmp", "bare"]) await mkdir(path.join(root, folder));
  // A machine with nothing but node on it.
  await symlink(process.execPath, path.join(root, "bare/node"));
  for (const tool of ["sh", "env"]) await symlink(`/bin/${tool}`, path.join(root, "bare", tool));
  output = "";
});
afterEach(() => rm(root, { recursive: true, force: true }));

function options(installed: Installed | null, env: NodeJS.ProcessEnv = {}): PackOptions {
  const bin = installed === null ? [] : [installInto(path.join(root, "bin", installed.replace(" ", "-")), installed)];
  const PATH = [...bin, path.join(root, "bare")].join(path.delimiter);
  return {
    env: { ...QUIET, PATH, HOME: path.join(root, "home"), ...env },
    tempFolder: path.join(root, "tmp"),
    onOutput: (text) => {
      output += text;
    },
  };
}

async function write(files: Readonly<Record<string, unknown>>): Promise<void> {
  for (const [file, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, file)), { recursive: true });
    await writeFile(path.join(root, file), typeof content === "string" ? content : JSON.stringify(content));
  }
}

/** What makes a project one of that package manager. */
function chosen(installed: Installed): Readonly<Record<string, unknown>> {
  return { packageManager: `${programOf(installed)}@${versionOf(installed)}` };
}

/** pnpm and yarn 4 resolve workspace ranges from what is installed. */
async function install(installed: Installed): Promise<void> {
  if (installed !== "pnpm" && installed !== "yarn 4") return;
  const set = options(installed);
  const words = installed === "pnpm" ? ["install", "--offline", "--no-frozen-lockfile"] : ["install", "--no-immutable"];
  expect(await runCommand([programOf(installed), ...words], root, set), output).toMatchObject({ code: 0 });
  output = "";
}

async function packed(dir: string, set: PackOptions): Promise<TarballFacts> {
  const { tarballPath, cleanup } = await packPackage(path.join(root, dir), set);
  const facts = await inspectTarball(tarballPath);
  await cleanup();
  expect(await readdir(path.join(root, "tmp"))).toEqual([]);
  return facts;
}

const USUAL = ["prepublishOnly", "prepack", "prepare", "postpack"];
const SCRIPTS: Readonly<Record<Installed, readonly string[]>> = {
  npm: USUAL,
  pnpm: USUAL,
  "yarn 1": ["prepare", "prepublishOnly", "prepack", "postpack"],
  "yarn 4": ["prepublishOnly", "prepublish", "prepack", "postpack"],
  bun: USUAL,
};

describe.each(INSTALLED)("%s", (installed) => {
  test("B3 runs what its own publish would run, packs, and no script sees a secret", async () => {
    const names = ["prepublish", "prepare", "prepublishOnly", "prepack", "postpack"];
    await write({
      "package.json": {
        ...chosen(installed),
        name: "@alice/hello",
        version: "1.0.0",
        files: ["built.js"],
        main: "built.js",
        scripts: Object.fromEntries(names.map((name) => [name, `node script.cjs ${name} && echo ${name}-9.9.9.tgz`])),
      },
      "script.cjs": `const fs = require("fs"), name = process.argv[2];
        fs.appendFileSync("log", name + " ");
        fs.writeFileSync(name + ".json", JSON.stringify(process.env));
        if (name === "prepublishOnly") fs.writeFileSync("built.js", "module.exports = 1");`,
    });
    await install(installed);
    await rm(path.join(root, "log"), { force: true });
    const facts = await packed("", options(installed, { ...SECRETS, npm_config_dry_run: "true", npm_config_workspace: "elsewhere" }));
    expect(checkPublishable(facts)).toMatchObject({ name: "@alice/hello", version: "1.0.0" });
    expect([...facts.files].toSorted()).toEqual(["built.js", "package.json"]);
    const ran = (await readFile(path.join(root, "log"), "utf8")).trim().split(" ");
    expect(ran).toEqual(SCRIPTS[installed]);
    for (const script of ran) {
      expect(output).toContain(`${script}-9.9.9.tgz`);
      const text = await readFile(path.join(root, `${script}.json`), "utf8");
      expect(text).not.toContain("hunter2");
      expect(Object.keys(JSON.parse(text) as object).filter((name) => /^IMPRINT_/i.test(name))).toEqual([]);
    }
    expect(await readdir(root)).not.toContain("alice-hello-1.0.0.tgz");
  }, 60_000);

  test("workspace and catalog ranges come out as real ones, or are refused", async () => {
    const catalog = { "is-even": "^1.2.3" };
    const isRewriting = installed !== "npm" && installed !== "yarn 1";
    await write({
      "package.json": { ...chosen(installed), name: "root", private: true, workspaces: { packages: ["packages/*"], catalog } },
      "pnpm-workspace.yaml": `packages: ["packages/*"]\ncatalog:\n  is-even: ^1.2.3\n`,
      "packages/a/package.json": { name: "@alice/a", version: "1.2.0" },
      "packages/b/package.json": {
        name: "@alice/b",
        version: "1.0.0",
        dependencies: { "@alice/a": "workspace:^" },
        peerDependencies: { "@alice/a": "workspace:*" },
      },
    });
    if (installed === "yarn 4") await rm(path.join(root, "pnpm-workspace.yaml"));
    await install(installed);
    const facts = await packed("packages/b", options(installed));
    if (!isRewriting) {
      expect(() => checkPublishable(facts)).toThrow(/"@alice\/a" from "workspace:\^".*pnpm, yarn 4 or bun/s);
    } else {
      checkPublishable(facts);
      expect(facts.manifest).toMatchObject({ dependencies: { "@alice/a": "^1.2.0" }, peerDependencies: { "@alice/a": "1.2.0" } });
    }
    // yarn 4 packs only what is in its lockfile, for which it would need the package itself.
    if (installed === "yarn 4") return;
    await write({ "packages/c/package.json": { name: "@alice/c", version: "1.0.0", dependencies: { "is-even": "catalog:" } } });
    const withCatalog = await packed("packages/c", options(installed));
    if (isRewriting) expect(withCatalog.manifest).toMatchObject({ dependencies: { "is-even": "^1.2.3" } });
    else expect(() => checkPublishable(withCatalog)).toThrow(/"is-even" from "catalog:".*pnpm, yarn 4 or bun/s);
  }, 60_000);

  test("is missing: an error that names it, what asked for it, and what to do", async () => {
    await write({ "package.json": { name: "x", version: "1.0.0", ...chosen(installed) } });
    await expect(packPackage(root, options(null))).rejects.toMatchObject({
      code: "COMMAND_NOT_FOUND",
      message: expect.stringMatching(
        new RegExp(
          `with ${programOf(installed)} \\(packageManager of .*package\\.json\\): there is no ${programOf(installed)} on the PATH; `,
        ),
      ) as string,
    });
  });
});

describe("the yarn on the PATH", () => {
  test.each([
    ["yarn 1", "yarn 4", /asks for yarn 2 or newer, but the yarn on the PATH is 1\.22\.22; name the version in packageManager/],
    ["yarn 4", "yarn 1", /asks for yarn 1, but the yarn on the PATH is 4\.18\.1; name the version in packageManager/],
  ] as const)(
    "%s where %s is asked for",
    async (installed, wanted, words) => {
      await write({ "package.json": { name: "x", version: "1.0.0", ...chosen(wanted) } });
      await expect(packPackage(root, options(installed))).rejects.toMatchObject({
        code: "COMMAND_NOT_FOUND",
        message: expect.stringMatching(words) as string,
      });
    },
    60_000,
  );

  test("is the project's own where the project has one checked in", async () => {
    await write({
      "package.json": { name: "x", version: "1.0.0", packageManager: "yarn@4.18.1" },
      ".yarnrc.yml": "yarnPath: ./yarn.cjs\n",
      "yarn.cjs": 'if (process.argv[2] === "--version") console.log("4.18.1"); else require("fs").writeFileSync(process.argv[4], "")',
    });
    const { tarballPath } = await packPackage(root, options("yarn 1"));
    expect(path.basename(tarballPath)).toBe("package.tgz");
  }, 60_000);

  test("prints no version", async () => {
    await write({ "package.json": { name: "x", version: "1.0.0" }, "yarn.lock": "", "bin/yarn": "#!/bin/sh\necho broken\n" });
    await chmod(path.join(root, "bin/yarn"), 0o755);
    const set = options(null, { PATH: [path.join(root, "bin"), path.join(root, "bare")].join(path.delimiter) });
    await expect(packPackage(root, set)).rejects.toMatchObject({ code: "PACK_FAILED" });
    expect(output).toContain("broken");
  });

  test("is corepack's: said, not asked, and package.json is left alone", async () => {
    const corepack = 'process.stdout.write(process.argv[2] === "--version" ? "4.18.1\\n" : JSON.stringify(process.env))';
    await write({
      "package.json": { name: "x", version: "1.0.0", packageManager: "yarn@4.18.1" },
      "lib/corepack/dist/yarn.js": `#!/usr/bin/env node\n${corepack}; if (process.argv[4]) require("fs").writeFileSync(process.argv[4], "")`,
    });
    await chmod(path.join(root, "lib/corepack/dist/yarn.js"), 0o755);
    await mkdir(path.join(root, "bin"));
    await symlink(path.join(root, "lib/corepack/dist/yarn.js"), path.join(root, "bin/yarn"));
    await packPackage(root, options(null, { PATH: [path.join(root, "bin"), path.join(root, "bare")].join(path.delimiter) }));
    expect(output).toMatch(/yarn is corepack's: the version that packageManager of .*package\.json names is downloaded unless/);
    expect(output).toContain('"COREPACK_ENABLE_DOWNLOAD_PROMPT":"0"');
    expect(output).toContain('"COREPACK_ENABLE_AUTO_PIN":"0"');
  });
});

test("lockfiles of two package managers: says which one packs", async () => {
  await write({ "package.json": { name: "x", version: "1.0.0" }, "package-lock.json": "{}", "yarn.lock": "" });
  await packed("", options("npm"));
  expect(output).toMatch(/packing with npm \(.*package-lock\.json\), not by yarn\.lock/);
}, 60_000);

test("pnpm packs the folder that publishConfig names", async () => {
  await write({
    "package.json": { name: "x", version: "1.0.0", main: "lib/i.js", publishConfig: { directory: "dist" } },
    "pnpm-lock.yaml": "",
    "dist/package.json": { name: "x", version: "1.0.0", main: "i.js" },
    "dist/i.js": "",
  });
  const facts = await packed("", options("pnpm"));
  expect([...facts.files].toSorted()).toEqual(["i.js", "package.json"]);
}, 60_000);
