/** Authors at a terminal: init, publish, a plain git push, a colleague, lost keys and second thoughts. */
import { cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testGit } from "../support/git-host.ts";
import { type People, people, type Person } from "../support/people.ts";

let world: People;
beforeAll(async () => {
  world = await people();
});
afterAll(() => world.close());

const keysOf = (who: Person): string => path.join(who.home, ".config/imprint/keys");

/** An empty-handed consumer: does that release install? */
async function installs(name: string, address: string, spec: string): Promise<string> {
  const who = world.person(`cold-${name}`);
  const shop = world.folderOf(`shop-${name}`, { "package.json": { name: "shop", version: "1.0.0", private: true } });
  const added = await world.imprint(who, shop, "add", address, "--yes");
  expect(added.stderr).not.toMatch(/✗/);
  const installed = await world.imprint(who, shop, "run", "npm", "install", spec);
  return installed.code === 0
    ? ((JSON.parse(readFileSync(path.join(shop, "package-lock.json"), "utf8")) as { packages: Record<string, { version: string }> })
        .packages[`node_modules/${spec.replace(/(?<=.)@.*$/, "")}`]?.version ?? "absent")
    : installed.stderr;
}

describe("init", () => {
  it("makes sealed keys, an index, the line to add it with, and the next commands", async () => {
    const who = world.person("ines");
    const made = await world.init(who, "@ines/*");
    for (const file of ["ines.root.json", "ines.daily.json"]) {
      expect(statSync(path.join(keysOf(who), file)).mode & 0o777).toBe(0o600);
      expect(readFileSync(path.join(keysOf(who), file), "utf8")).toMatch(/"cipher": "chacha20-poly1305"/);
    }
    expect(readFileSync(path.join(made.clone, "README.md"), "utf8")).toContain(`imprint add '${made.address}'`);
    expect(readFileSync(path.join(made.clone, ".gitattributes"), "utf8")).toBe("* -text\n");
    expect(testGit(path.join(made.clone, ".git"), ["config", "--get-all", "remote.origin.push"]).split("\n")).toEqual([
      "refs/heads/main:refs/heads/main",
      "refs/tarballs/*:refs/tarballs/*",
    ]);
    const again = await world.imprint(who, world.folder, "init", "other", "--name", "ines");
    expect(again.code).toBe(6);
    const full = await world.imprint(who, world.folder, "init", "ines-index", "--name", "another");
    expect(full.code).toBe(3);
    expect(full.stderr).toMatch(/FOLDER_NOT_EMPTY/);
  });

  it("takes the scope of the package here, and says plainly when there is no passphrase", async () => {
    const who = world.person("sol");
    const folder = world.folderOf("sol-package", { "package.json": { name: "@sol/x", version: "1.0.0" } });
    const made = await world.sh(who, folder, process.execPath, [path.resolve("dist/bin.js"), "init", "--name", "sol", "--json"], {
      IMPRINT_PASSPHRASE: "",
    });
    expect(JSON.parse(made.stdout)).toMatchObject({ name: "sol", packages: ["@sol/*"], pushed: false });
    expect(made.stderr).toMatch(/no passphrase: whoever copies the key files can publish as you/);
    expect(made.stderr).toMatch(/remote add origin/);
  });
});

describe("publish", () => {
  it("--no-push, a plain git push, and a colleague's fresh clone; squash and force-push change nothing (G1)", async () => {
    const [nora, colleague] = [world.person("nora"), world.person("colleague")];
    const index = await world.init(nora, "@nora/*");
    const tool = world.folderOf("nora-tool", {
      "package.json": { name: "@nora/tool", version: "1.0.0", main: "i.js" },
      "i.js": "module.exports = 1;\n",
    });
    const kept = await world.imprint(nora, tool, "publish", "--no-push");
    expect(kept.code).toBe(0);
    expect(kept.stderr).toMatch(/Publish it with +git -C .* push/);
    expect(await installs("before-push", index.address, "@nora/tool")).toMatch(/E404/);
    expect((await world.sh(nora, index.clone, "git", ["push"])).code).toBe(0);
    expect(await installs("after-push", index.address, "@nora/tool")).toBe("1.0.0");

    // A colleague: the daily key file, a fresh clone, nothing else.
    const clone = path.join(world.folder, "colleague-clone");
    expect((await world.sh(colleague, world.folder, "git", ["clone", "-q", index.url, clone])).code).toBe(0);
    mkdirSync(keysOf(colleague), { recursive: true });
    cpSync(path.join(keysOf(nora), "nora.daily.json"), path.join(keysOf(colleague), "nora.daily.json"));
    const bumped = world.folderOf("nora-tool-2", {
      "package.json": { name: "@nora/tool", version: "1.1.0", main: "i.js" },
      "i.js": "module.exports = 2;\n",
    });
    const wrong = await world.imprint(colleague, bumped, "publish", "--index", clone);
    expect([wrong.code, wrong.stderr]).toEqual([7, expect.stringMatching(/PASSPHRASE_WRONG/)]);
    const env = { IMPRINT_PASSPHRASE: "nora's passphrase" };
    const noPush = await world.sh(
      colleague,
      bumped,
      process.execPath,
      [path.resolve("dist/bin.js"), "publish", "--index", clone, "--no-push"],
      env,
    );
    expect(noPush.stderr).toMatch(/signed · committed/);
    expect((await world.sh(colleague, clone, "git", ["push"])).code).toBe(0);
    expect(await installs("colleague", index.address, "@nora/tool")).toBe("1.1.0");

    // The host's history is rewritten into one commit: same content, and nobody notices.
    const bare = world.hosted("nora/index.git");
    const squashed = testGit(bare, ["commit-tree", "refs/heads/main^{tree}", "-m", "squashed"]);
    testGit(bare, ["update-ref", "refs/heads/main", squashed]);
    expect(await installs("squashed", index.address, "@nora/tool")).toBe("1.1.0");
    const third = world.folderOf("nora-tool-3", {
      "package.json": { name: "@nora/tool", version: "1.2.0", main: "i.js" },
      "i.js": "module.exports = 3;\n",
    });
    const after = await world.imprint(nora, third, "publish");
    expect(after.stderr).toMatch(/read back as a stranger would/);
    expect(await installs("after-squash", index.address, "@nora/tool")).toBe("1.2.0");
    expect((await world.sh(nora, index.clone, "git", ["status", "--porcelain"])).stdout).toBe("");
  });

  it("refuses to republish (exit 6), names that the root does not grant, and grants one", async () => {
    const who = world.person("rhea");
    const index = await world.init(who, "@rhea/*");
    const a = world.folderOf("rhea-a", { "package.json": { name: "@rhea/a", version: "1.0.0", main: "i.js" }, "i.js": "" });
    const dry = await world.imprint(who, a, "publish", "--dry-run");
    expect([dry.code, dry.stdout.trim()]).toEqual([0, "@rhea/a@1.0.0"]);
    expect((await world.imprint(who, a, "publish", "--json")).stdout).toMatch(/"pushed":true/);
    const again = await world.imprint(who, a, "publish");
    expect([again.code, again.stderr]).toEqual([6, expect.stringMatching(/VERSION_EXISTS/)]);
    const b = world.folderOf("rhea-b", { "package.json": { name: "rhea-b", version: "1.0.0", main: "i.js" }, "i.js": "" });
    const refused = await world.imprint(who, b, "publish");
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringMatching(/imprint root grant 'rhea-b'/)]);
    expect((await world.imprint(who, b, "root", "grant", "rhea-b")).code).toBe(0);
    expect((await world.imprint(who, b, "publish")).code).toBe(0);
    const verified = await world.imprint(who, world.folder, "verify", index.address, "--tarballs");
    expect(verified.stdout).toMatch(/2 roots, 2 packages, 2 releases/);
  });

  it.each([
    ["private packages", { private: true }, /private: true/],
    ["workspace ranges", { dependencies: { x: "workspace:*" } }, /workspace:/],
    ["catalog ranges", { dependencies: { x: "catalog:" } }, /catalog:/],
    ["file ranges", { peerDependencies: { x: "file:../x" } }, /file:/],
    ["a bin that is not packed", { bin: "./missing.js" }, /missing\.js/],
    ["exports that are not packed", { exports: { ".": "./nowhere.js" } }, /nowhere\.js/],
  ])("refuses %s, and signs nothing", async (label, extra, words) => {
    const who = world.person("pia");
    const index = await world.init(who, "@pia/*").catch(() => null);
    const folder = world.folderOf(`pia-${label.replaceAll(" ", "-")}`, {
      "package.json": { name: "@pia/x", version: "1.0.0", main: "i.js", ...extra },
      "i.js": "",
    });
    const refused = await world.imprint(who, folder, "publish");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(words);
    expect(refused.stderr).toMatch(/PACKAGE_REFUSED/);
    expect(index === null || testGit(world.hosted("pia/index.git"), ["rev-list", "--count", "refs/heads/main"]) === "1").toBe(true);
  });

  it("B3 a package's scripts see no passphrase and no token", async () => {
    const who = world.person("bea");
    await world.init(who, "@bea/*");
    const script = "require('fs').writeFileSync('seen.json', JSON.stringify(Object.keys(process.env)))";
    const folder = world.folderOf("bea-x", {
      "package.json": {
        name: "@bea/x",
        version: "1.0.0",
        main: "seen.json",
        scripts: { prepublishOnly: `node -e "${script}"`, postpublish: "node -e \"require('fs').writeFileSync('after.txt', '')\"" },
      },
    });
    const published = await world.sh(who, folder, process.execPath, [path.resolve("dist/bin.js"), "publish"], {
      NPM_TOKEN: "secret",
      MY_SECRET: "x",
    });
    expect(published.code).toBe(0);
    const seen = JSON.parse(readFileSync(path.join(folder, "seen.json"), "utf8")) as string[];
    expect(seen.filter((name) => /IMPRINT_|TOKEN|SECRET/.test(name))).toEqual([]);
    expect(seen).toContain("PATH");
    expect(statSync(path.join(folder, "after.txt")).size).toBe(0);
  });

  it("keeps the author's own commits in the clone, and pushes them along", async () => {
    const who = world.person("kit");
    const index = await world.init(who, "@kit/*");
    writeFileSync(path.join(index.clone, "README.md"), "my own words\n");
    expect(
      (await world.sh(who, index.clone, "git", ["-c", "user.name=kit", "-c", "user.email=kit@example.org", "commit", "-qam", "words"]))
        .code,
    ).toBe(0);
    for (const version of ["1.0.0", "1.0.1"]) {
      const folder = world.folderOf("kit-x", { "package.json": { name: "@kit/x", version, main: "i.js" }, "i.js": "" });
      expect((await world.imprint(who, folder, "publish")).code).toBe(0);
    }
    expect(readFileSync(path.join(index.clone, "README.md"), "utf8")).toBe("my own words\n");
    expect(testGit(world.hosted("kit/index.git"), ["show", "refs/heads/main:README.md"])).toBe("my own words");
  });

  it("never builds an unpushed release over one that the host has and the clone has not", async () => {
    const [who, other] = [world.person("uma"), world.person("uma-too")];
    const index = await world.init(who, "@uma/*");
    const packageOf = (name: string): string =>
      world.folderOf(`uma-${name}`, { "package.json": { name: `@uma/${name}`, version: "1.0.0", main: "i.js" }, "i.js": "" });
    const clone = path.join(world.folder, "uma-clone");
    expect((await world.sh(other, world.folder, "git", ["clone", "-q", index.url, clone])).code).toBe(0);
    mkdirSync(keysOf(other), { recursive: true });
    cpSync(path.join(keysOf(who), "uma.daily.json"), path.join(keysOf(other), "uma.daily.json"));
    expect(
      (
        await world.sh(other, packageOf("theirs"), process.execPath, [path.resolve("dist/bin.js"), "publish", "--index", clone], {
          IMPRINT_PASSPHRASE: "uma's passphrase",
        })
      ).code,
    ).toBe(0);
    // Made offline: signed later than theirs, on top of a state without it.
    testGit(path.join(index.clone, ".git"), ["config", "remote.origin.url", "http://127.0.0.1:9/gone.git"]);
    const offline = await world.imprint(who, packageOf("mine"), "publish", "--no-push");
    expect(offline.code).toBe(5);
    testGit(path.join(index.clone, ".git"), ["config", "remote.origin.url", index.url]);
    expect((await world.imprint(who, packageOf("mine"), "publish", "--no-push")).code).toBe(0);
    expect((await world.sh(who, index.clone, "git", ["push"])).code).toBe(0);
    expect((await world.imprint(who, world.folder, "verify", index.address)).stdout).toMatch(/2 packages, 2 releases/);
  });

  it("refuses while signed files were edited by hand, and leaves them as they are", async () => {
    const who = world.person("ed");
    const index = await world.init(who, "@ed/*");
    const checkpoint = path.join(index.clone, "checkpoint.json");
    writeFileSync(checkpoint, readFileSync(checkpoint, "utf8").replace('"seq": ', '"seq":  '));
    const folder = world.folderOf("ed-x", { "package.json": { name: "@ed/x", version: "1.0.0", main: "i.js" }, "i.js": "" });
    const refused = await world.imprint(who, folder, "publish");
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringMatching(/WORK_TREE/)]);
    expect(readFileSync(checkpoint, "utf8")).toContain('"seq":  ');
  });
});
