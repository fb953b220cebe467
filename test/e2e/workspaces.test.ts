/** `imprint publish --workspaces`: what is new in a workspace, in one commit, or nothing of it. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testGit } from "../support/git-host.ts";
import { installInto } from "../support/package-managers.ts";
import { BIN, type Outcome, people, type People, type Person } from "../support/people.ts";

let world: People;
let bin: string;
beforeAll(async () => {
  world = await people();
  bin = installInto(path.join(world.folder, "bin"), "bun");
});
afterAll(() => world.close());

type PackageJson = Readonly<Record<string, unknown>>;

/** A workspace of bun's, the quickest; `packages` by folder. */
function workspaceOf(name: string, packages: Readonly<Record<string, PackageJson>>): string {
  const files = Object.entries(packages).flatMap(([folder, packageJson]) => [
    [`packages/${folder}/package.json`, { version: "1.0.0", main: "index.js", ...packageJson }],
    [`packages/${folder}/index.js`, `module.exports = ${JSON.stringify(folder)};\n`],
  ]);
  return world.folderOf(name, {
    "package.json": { name: "root", private: true, workspaces: ["packages/*"], packageManager: "bun@1.4.5" },
    ...(Object.fromEntries(files) as object),
  });
}

function publish(who: Person, folder: string, ...args: readonly string[]): Promise<Outcome> {
  const PATH = [bin, process.env["PATH"] ?? ""].join(path.delimiter);
  return world.sh(who, folder, process.execPath, [BIN, "publish", "--workspaces", ...args], { PATH });
}

const commitsOf = (who: Person): number =>
  Number(testGit(world.hosted(`${who.name}/index.git`), ["rev-list", "--count", "refs/heads/main"]));

type Planned = { readonly name: string | null; readonly skipped: string | null };
const planOf = ({ stdout }: Outcome): readonly (readonly [string | null, string | null])[] =>
  (JSON.parse(stdout) as { plan: readonly Planned[] }).plan.map(({ name, skipped }) => [name, skipped]);

function raise(folder: string, version: string): void {
  const file = path.join(folder, "package.json");
  writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, "utf8")) as object), version }));
}

describe("publish --workspaces", () => {
  it("releases what is new, what is needed first, in one commit; then only what changed; then nothing", async () => {
    const who = world.person("wendy");
    const index = await world.init(who, "@wendy/*");
    const folder = workspaceOf("wendy", {
      app: {
        name: "@wendy/app",
        dependencies: { "@wendy/core": "workspace:^" },
        scripts: { prepublishOnly: "cat ../core/built.js ../tool/built.js > built.js" },
      },
      core: { name: "@wendy/core", devDependencies: { "@wendy/tool": "workspace:*" }, scripts: { prepublishOnly: "echo core > built.js" } },
      nameless: {},
      secret: { name: "@wendy/secret", private: true },
      stranger: { name: "@stranger/x" },
      tool: { name: "@wendy/tool", scripts: { prepublishOnly: "echo tool > built.js" } },
    });
    const dry = await publish(who, folder, "--dry-run", "--json");
    expect(dry.code, dry.stderr).toBe(0);
    expect(planOf(dry)).toEqual([
      ["@wendy/tool", null],
      ["@wendy/core", null],
      ["@wendy/app", null],
      ["@wendy/secret", "private"],
      ["@stranger/x", "not-granted"],
      [null, "unnamed"],
      ["root", "private"],
    ]);
    expect(dry.stderr).toMatch(/\+ @wendy\/app@1\.0\.0 {2}to publish to wendy\n/);
    expect(dry.stderr).toMatch(/· @stranger\/x@1\.0\.0 {2}skipped: outside the names of your index\n/);
    expect(commitsOf(who)).toBe(1);

    const published = await publish(who, folder);
    expect(published.code, published.stderr).toBe(0);
    expect(published.stdout).toBe("@wendy/tool@1.0.0\n@wendy/core@1.0.0\n@wendy/app@1.0.0\n");
    expect(published.stderr).toMatch(/pushed main and 3 tarballs/);
    expect(commitsOf(who)).toBe(2);
    expect(readFileSync(path.join(folder, "packages/app/built.js"), "utf8")).toBe("core\ntool\n");

    raise(path.join(folder, "packages/core"), "1.1.0");
    const second = await publish(who, folder, "--json");
    expect(planOf(second).slice(0, 3)).toEqual([
      ["@wendy/core", null],
      ["@wendy/tool", "released"],
      ["@wendy/app", "released"],
    ]);
    expect((JSON.parse(second.stdout) as { releases: object[] }).releases).toEqual([
      expect.objectContaining({ name: "@wendy/core", version: "1.1.0", index: "wendy", pushed: true }),
    ]);
    const third = await publish(who, folder);
    expect([third.code, third.stdout, commitsOf(who)]).toEqual([0, "", 3]);
    expect(third.stderr).toMatch(/nothing to publish/);

    const shop = world.folderOf("wendy-shop", { "package.json": { name: "shop", version: "1.0.0", private: true } });
    expect((await world.imprint(who, shop, "add", index.address, "--yes")).code).toBe(0);
    const installed = await world.imprint(who, shop, "run", "npm", "install", "@wendy/app");
    expect(installed.code, installed.stderr).toBe(0);
    expect((await world.sh(who, shop, "node", ["-p", "require('@wendy/app') + require('@wendy/core')"])).stdout).toBe("appcore\n");
  }, 120_000);

  it("a circle is published at once", async () => {
    const who = world.person("cy");
    await world.init(who, "@cy/*");
    const folder = workspaceOf("cy", {
      a: { name: "@cy/a", dependencies: { "@cy/b": "workspace:*" } },
      b: { name: "@cy/b", dependencies: { "@cy/a": "workspace:*" } },
    });
    const published = await publish(who, folder);
    expect([published.code, published.stdout, commitsOf(who)]).toEqual([0, "@cy/b@1.0.0\n@cy/a@1.0.0\n", 2]);
  }, 60_000);

  it.each([
    ["a build that fails", { scripts: { prepublishOnly: "exit 3" } }, 1, /prepublishOnly failed with exit code 3/],
    ["a package that is unfit", { exports: "./nowhere.js" }, 1, /nowhere\.js/],
    [
      "a script that changes the version",
      { scripts: { prepublishOnly: `sed -i.bak s/1.0.0/1.0.1/ package.json` } },
      1,
      /packed, it is version 1\.0\.1/,
    ],
    [
      "a private sibling",
      { dependencies: { "@fay/secret": "workspace:*" } },
      1,
      /@fay\/z depends on @fay\/secret@1\.0\.0: that package is private/,
    ],
  ])(
    "%s leaves nothing published",
    async (label, extra, code, words) => {
      const who = world.person(`fay-${label.replace(/ .*/, "")}${label.length}`);
      await world.init(who, "@fay/*");
      const folder = workspaceOf(`fay-${label.replaceAll(" ", "-")}`, {
        a: { name: "@fay/a" },
        secret: { name: "@fay/secret", private: true },
        site: { name: "Site, not a package", private: true },
        z: { name: "@fay/z", ...extra },
      });
      const refused = await publish(who, folder);
      expect([refused.code, refused.stdout, commitsOf(who)]).toEqual([code, "", 1]);
      expect(refused.stderr).toMatch(words);
    },
    60_000,
  );

  it("the root of a workspace is a package of its own", async () => {
    const who = world.person("rue");
    await world.init(who, "@rue/*");
    const folder = workspaceOf("rue", { a: { name: "@rue/a", dependencies: { "@rue/root": "^2.0.0" } } });
    const root = { name: "@rue/root", version: "2.0.0", workspaces: ["packages/*"], packageManager: "bun@1.4.5" };
    writeFileSync(path.join(folder, "package.json"), JSON.stringify(root));
    const refused = await publish(who, folder);
    expect([refused.code, commitsOf(who)]).toEqual([1, 1]);
    expect(refused.stderr).toMatch(/@rue\/a depends on @rue\/root@\^2\.0\.0: it is not released yet; publish the workspace's root first/);
    const PATH = [bin, process.env["PATH"] ?? ""].join(path.delimiter);
    expect((await world.sh(who, folder, process.execPath, [BIN, "publish", "."], { PATH })).code).toBe(0);
    expect((await publish(who, folder)).stdout).toBe("@rue/a@1.0.0\n");
  }, 60_000);

  it("filters: by name, by glob, leaving out; never what others need, never one that matches nothing", async () => {
    const who = world.person("fil");
    await world.init(who, "@fil/*");
    const folder = workspaceOf("fil", {
      "lib-a": { name: "@fil/lib-a" },
      "lib-b": { name: "@fil/lib-b" },
      app: { name: "@fil/app", dependencies: { "@fil/lib-a": "workspace:~" } },
    });
    const plan = async (...args: readonly string[]): Promise<readonly string[]> =>
      planOf(await publish(who, folder, "--dry-run", "--json", ...args)).flatMap(([name, skipped]) =>
        skipped === null ? [name ?? ""] : [],
      );
    expect(await plan("--filter", "@fil/lib-*")).toEqual(["@fil/lib-a", "@fil/lib-b"]);
    expect(await plan("--filter", "!@fil/lib-b")).toEqual(["@fil/lib-a", "@fil/app"]);
    expect(await plan("--filter", "@fil/*", "--filter", "!*/app")).toEqual(["@fil/lib-a", "@fil/lib-b"]);
    const misspelled = await publish(who, folder, "--filter", "@fil/lip-a");
    expect([misspelled.code, misspelled.stderr]).toEqual([
      2,
      expect.stringMatching(/no package here is named like --filter '@fil\/lip-a'/),
    ]);
    const alone = await publish(who, folder, "--filter", "@fil/app");
    expect(alone.code).toBe(1);
    expect(alone.stderr).toMatch(/@fil\/app depends on @fil\/lib-a@~1\.0\.0: it is not released.*add --filter '@fil\/lib-a'/);
    expect(commitsOf(who)).toBe(1);
    expect((await publish(who, folder, "--filter", "@fil/lib-a")).stdout).toBe("@fil/lib-a@1.0.0\n");
    expect((await publish(who, folder, "--filter", "@fil/app")).stdout).toBe("@fil/app@1.0.0\n");
  }, 120_000);

  it("two indices: one at a time, and what is elsewhere is only warned of", async () => {
    const who = world.person("two");
    await world.init(who, "@two/*");
    expect((await world.imprint(who, world.folder, "init", "other-index", "--name", "other", "--packages", "@other/*")).code).toBe(0);
    const folder = workspaceOf("two", {
      a: { name: "@two/a", dependencies: { "@other/b": "workspace:^", "@free/c": "workspace:^", "@free/d": "workspace:^" } },
      b: { name: "@other/b" },
      c: { name: "@free/c" },
      d: { name: "@free/d", private: true },
    });
    const both = await publish(who, folder);
    expect(both.code).toBe(2);
    expect(both.stderr).toMatch(/more than one index.*--filter.*@two\/a belongs to two.*@other\/b belongs to other/s);
    const one = await publish(who, folder, "--filter", "@two/*");
    expect([one.code, one.stdout]).toEqual([0, "@two/a@1.0.0\n"]);
    expect(one.stderr).toMatch(/@two\/a depends on @other\/b@\^1\.0\.0: it belongs to your index other; publish it there too/);
    expect(one.stderr).toMatch(
      /@two\/a depends on @free\/c@\^1\.0\.0: it is outside the names of your index; it must be released elsewhere/,
    );
    expect(one.stderr).toMatch(/@two\/a depends on @free\/d@\^1\.0\.0: it is outside the names/);
    const named = await publish(who, folder, "--index", "other", "--no-push", "--json");
    expect(planOf(named).filter(([, skipped]) => skipped === null)).toEqual([["@other/b", null]]);
    const none = await publish(who, folder, "--filter", "@free/c");
    expect([none.code, none.stderr]).toEqual([3, expect.stringMatching(/NOT_GRANTED/)]);
  }, 120_000);

  it.each([
    [["--workspaces", "."], /not folders or files/],
    [["--filter", "x"], /--filter goes with --workspaces/],
    [["--workspaces"], /package\.json has no workspaces.*run it in the workspace's root/],
  ])("publish %j is a misunderstanding", async (args, words) => {
    const folder = world.folderOf("plain", { "package.json": { name: "@plain/x", version: "1.0.0" } });
    const refused = await world.imprint(world.person("pat"), folder, "publish", ...args);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(words)]);
  });
});
