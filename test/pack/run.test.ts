import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { scriptEnvironment } from "../../src/pack/environment.ts";
import { inspectTarball } from "../../src/pack/inspect.ts";
import { readPackageJson } from "../../src/pack/package-json.ts";
import { packPackage, runLifecycle } from "../../src/pack/run.ts";
import type { PackOptions } from "../../src/pack/run.ts";

const SECRETS = {
  IMPRINT_PASSPHRASE: "hunter2",
  IMPRINT_HOME: "/x",
  NPM_TOKEN: "npm_hunter2",
  GITHUB_TOKEN: "gh_hunter2",
  "npm_config_//host.example/:_authToken": "hunter2",
};
const dump = 'require("fs").writeFileSync("env.json", JSON.stringify(process.env))';

let root: string;
let output: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "imprint-test-"));
  await mkdir(join(root, "home"));
  await mkdir(join(root, "tmp"));
  output = "";
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

function options(env: NodeJS.ProcessEnv = {}): PackOptions {
  const own = {
    PATH: process.env["PATH"],
    HOME: join(root, "home"),
    npm_config_cache: join(root, "home", "cache"),
    npm_config_registry: "http://127.0.0.1:9/",
  };
  return {
    env: { ...own, ...env },
    tempFolder: join(root, "tmp"),
    onOutput: (text) => {
      output += text;
    },
  };
}

async function packageAt(name: string, packageJson: Record<string, unknown>, files: Record<string, string> = {}): Promise<string> {
  const dir = join(root, name);
  await mkdir(dir);
  await writeFile(
    join(dir, "package.json"),
    JSON.stringify({ name: "@alice/hello", version: "1.0.0", files: ["index.js", "built.js"], ...packageJson }),
  );
  for (const [file, content] of Object.entries({ "index.js": "", ...files })) await writeFile(join(dir, file), content);
  return dir;
}

/** What packing left of its folders. */
function leftovers(): Promise<readonly string[]> {
  return readdir(join(root, "tmp"));
}

/** A command that stands in for npm: a script that gets npm's arguments. */
async function fakeNpm(script: string): Promise<readonly [string, string]> {
  const path = join(root, "npm.cjs");
  await writeFile(path, script);
  return [process.execPath, path];
}

describe("packPackage", () => {
  test("runs prepublishOnly, then packs; what scripts print is talk, not a file name", async () => {
    const build = 'console.log("evil-9.9.9.tgz"); require("fs").writeFileSync("built.js", "built")';
    const dir = await packageAt(
      "hello",
      { scripts: { prepublishOnly: "node build.cjs", prepack: "echo /etc/passwd.tgz" } },
      { "build.cjs": build },
    );
    const packed = await packPackage(dir, options());
    const facts = await inspectTarball(packed.tarballPath);
    expect([...facts.files].sort()).toEqual(["built.js", "index.js", "package.json"]);
    expect(packed.packageJson["name"]).toBe("@alice/hello");
    expect(output).toContain("evil-9.9.9.tgz");
    expect(await leftovers()).toHaveLength(1);
    await packed.cleanup();
    await packed.cleanup();
    expect(await leftovers()).toEqual([]);
    await expect(readFile(packed.tarballPath)).rejects.toMatchObject({ code: "ENOENT" });
    expect(await readdir(dir)).not.toContain("alice-hello-1.0.0.tgz");
  }, 60_000);

  test("B3 scripts see neither IMPRINT_* nor tokens, but PATH, HOME and the registry", async () => {
    const dir = await packageAt(
      "hello",
      { scripts: { prepublishOnly: "node dump.cjs && node read.cjs", publish: "node dump.cjs" } },
      {
        "dump.cjs": dump,
        "read.cjs": 'console.log("stolen", process.env.IMPRINT_PASSPHRASE, process.env.NPM_TOKEN)',
      },
    );
    const packed = await packPackage(dir, options(SECRETS));
    await packed.cleanup();
    expect(output).toContain("stolen undefined undefined");
    for (const script of ["prepublishOnly", "publish"]) {
      if (script === "publish") expect(await runLifecycle(dir, "publish", options(SECRETS))).toBe(true);
      const text = await readFile(join(dir, "env.json"), "utf8");
      expect(text).not.toContain("hunter2");
      const seen = JSON.parse(text) as Record<string, string>;
      expect(Object.keys(seen).filter((name) => /^IMPRINT_/i.test(name))).toEqual([]);
      expect(seen["HOME"]).toBe(join(root, "home"));
      expect(seen["PATH"]).toContain(process.env["PATH"]);
      expect(seen["npm_config_registry"]).toBe("http://127.0.0.1:9/");
      expect(seen["npm_lifecycle_event"]).toBe(script);
    }
  }, 60_000);

  test("a failing prepublishOnly or prepack is PACK_FAILED, and nothing is left", async () => {
    const first = await packageAt("a", { scripts: { prepublishOnly: "exit 3" } });
    await expect(packPackage(first, options())).rejects.toMatchObject({
      code: "PACK_FAILED",
      message: expect.stringContaining("script prepublishOnly failed with exit code 3") as string,
    });
    const second = await packageAt("b", { scripts: { prepack: "exit 4" } });
    await expect(packPackage(second, options())).rejects.toMatchObject({
      code: "PACK_FAILED",
      message: expect.stringContaining("npm pack failed with exit code 4") as string,
    });
    expect(await leftovers()).toEqual([]);
  }, 60_000);

  test("a dry-run setting of npm's about does not keep it from packing", async () => {
    const packed = await packPackage(await packageAt("hello", {}), options({ npm_config_dry_run: "true" }));
    await packed.cleanup();
    expect(packed.tarballPath).toMatch(/\.tgz$/);
  }, 60_000);

  test("works in a member of a workspace", async () => {
    await writeFile(join(root, "package.json"), JSON.stringify({ name: "root", private: true, workspaces: ["member"] }));
    const packed = await packPackage(await packageAt("member", { scripts: { prepublishOnly: "node -p 1" } }), options());
    expect((await inspectTarball(packed.tarballPath)).packageJson["name"]).toBe("@alice/hello");
    await packed.cleanup();
  }, 60_000);

  const strange: readonly (readonly [string, string])[] = [
    ["no file", ""],
    ["two files", 'fs.writeFileSync(to + "/a.tgz", ""); fs.writeFileSync(to + "/b.tgz", "")'],
    ["a file of another kind", 'fs.writeFileSync(to + "/a.zip", "")'],
    ["a link", 'fs.symlinkSync("/etc/passwd", to + "/a.tgz")'],
    ["a folder", 'fs.mkdirSync(to + "/a.tgz")'],
  ];
  test.each(strange)("%s where one .tgz is due is PACK_FAILED", async (_, script) => {
    const command = await fakeNpm(`const fs = require("fs"); const to = process.argv.at(-1); ${script}`);
    await expect(packPackage(await packageAt("hello", {}), { ...options(), command })).rejects.toMatchObject({ code: "PACK_FAILED" });
    expect(await leftovers()).toEqual([]);
  });

  test("a command that is ended by a signal, or aborted, is PACK_FAILED", async () => {
    const dir = await packageAt("hello", {});
    await expect(packPackage(dir, { ...options(), command: await fakeNpm('process.kill(process.pid, "SIGKILL")') })).rejects.toMatchObject({
      message: expect.stringContaining("SIGKILL") as string,
    });
    const controller = new AbortController();
    const command = await fakeNpm('console.log("up"); setInterval(() => {}, 1000)');
    const stopped = { ...options(), command, signal: controller.signal, onOutput: () => controller.abort() };
    await expect(packPackage(dir, stopped)).rejects.toMatchObject({
      code: "PACK_FAILED",
      message: expect.stringContaining("SIGTERM") as string,
    });
    await expect(packPackage(dir, { ...stopped, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "PACK_FAILED" });
    expect(await leftovers()).toEqual([]);
  });

  test("a daemon that a script leaves behind does not hold us", async () => {
    const daemon =
      'require("child_process").spawn(process.execPath, ["-e", "setTimeout(() => {}, 60000)"], { stdio: "inherit", detached: true }).unref()';
    const command = await fakeNpm(`${daemon}; require("fs").writeFileSync(process.argv.at(-1) + "/a.tgz", "")`);
    // The daemon holds the pipes for a minute; this test's own time limit is below that.
    const packed = await packPackage(await packageAt("hello", {}), { ...options(), command });
    expect(packed.tarballPath).toMatch(/a\.tgz$/);
    await packed.cleanup();
  }, 40_000);

  test("no npm on the PATH is COMMAND_NOT_FOUND; a shell is never asked", async () => {
    const dir = await packageAt("hello", {});
    await expect(packPackage(dir, { ...options(), env: { PATH: join(root, "empty") } })).rejects.toMatchObject({
      code: "COMMAND_NOT_FOUND",
    });
    const bin = join(root, "bin");
    await mkdir(bin);
    await writeFile(join(bin, "npm"), "#!/bin/sh\nexit 5\n");
    await chmod(join(bin, "npm"), 0o755);
    await expect(packPackage(dir, options({ PATH: bin }))).rejects.toMatchObject({
      code: "PACK_FAILED",
      message: expect.stringContaining("exit code 5") as string,
    });
  }, 60_000);
});

describe("runLifecycle and readPackageJson", () => {
  test("a script that isn't there is not run", async () => {
    const dir = await packageAt("hello", { scripts: { publish: "" } });
    expect(await runLifecycle(dir, "publish", options())).toBe(false);
    expect(await runLifecycle(dir, "postpublish", options())).toBe(false);
    expect(output).toBe("");
  });

  test("no folder, no package.json, or one that is none", async () => {
    await expect(packPackage(join(root, "none"), options())).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    const dir = await packageAt("hello", {});
    await writeFile(join(dir, "package.json"), '{"name":"a","name":"b"}');
    await expect(readPackageJson(dir)).rejects.toMatchObject({
      code: "PACKAGE_REFUSED",
      message: expect.stringContaining("twice") as string,
    });
    await writeFile(join(dir, "package.json"), " ".repeat(2 * 1024 * 1024 + 1));
    await expect(readPackageJson(dir)).rejects.toMatchObject({
      code: "PACKAGE_REFUSED",
      message: expect.stringContaining("larger") as string,
    });
  });
});

describe("B3 scriptEnvironment", () => {
  test("B3 secrets go", () => {
    const names = [
      "IMPRINT_PASSPHRASE",
      "imprint_home",
      "NPM_TOKEN",
      "NODE_AUTH_TOKEN",
      "GITHUB_TOKEN",
      "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
      "ACTIONS_ID_TOKEN_REQUEST_URL",
      "npm_config_//h/:_authToken",
      "npm_config_//h/:username",
      "NPM_CONFIG__AUTH",
      "npm_config__password",
      "npm_config_otp",
      "NPM_CONFIG_KEY",
      "npm_config_cert",
      "YARN_NPM_AUTH_TOKEN",
      "YARN_NPM_AUTH_IDENT",
      "AWS_SECRET_ACCESS_KEY",
      "AWS_ACCESS_KEY_ID",
      "PGPASSWORD",
      "MYSQL_PASSWD",
      "GPG_PASSPHRASE",
      "SIGNING_PRIVATE_KEY",
      "OPENAI_API_KEY",
      "GOOGLE_APPLICATION_CREDENTIALS",
      "client_secret",
      "GIT_ASKPASS",
      "SSH_ASKPASS",
      "SSH_AUTH_SOCK",
      "SSH_AGENT_PID",
    ];
    expect(scriptEnvironment(Object.fromEntries(names.map((name) => [name, "x"])))).toEqual({});
  });

  test("B3 what builds need stays", () => {
    const names = [
      "PATH",
      "Path",
      "HOME",
      "USER",
      "LANG",
      "TMPDIR",
      "CI",
      "NODE_ENV",
      "NODE_OPTIONS",
      "HTTPS_PROXY",
      "no_proxy",
      "npm_config_registry",
      "npm_config_userconfig",
      "npm_config_keep",
      "npm_config_cafile",
      "GIT_AUTHOR_NAME",
      "npm_config_init_author_name",
      "TOKENIZERS_PARALLELISM",
      "SSH_CONNECTION",
      "PWD",
      "OLDPWD",
      "COMPASS",
      "KEYBOARD",
    ];
    const env = Object.fromEntries(names.map((name) => [name, "x"]));
    expect(scriptEnvironment(env)).toEqual(env);
    expect(scriptEnvironment({ A: undefined })).toEqual({});
  });
});
