/** X12: lockfiles, and files beside them, whose client installs other code than an auditor would read out of them. */
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { audit, type AuditResult } from "../../src/cli/commands/audit.ts";
import { ImprintError } from "../../src/errors.ts";
import { type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let alice: TestIndex;
let good: string;
let projects = 0;

const EVIL = `sha512-${"A".repeat(86)}==`;
const EVIL_URL = "http://127.0.0.1:4870/@alice/a/-/a-1.0.0.tgz";

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish("@alice/a", "1.0.0");
  await alice.publish("@alice/b", "1.0.0");
  await alice.publish("@alice/bundler", "1.0.0", {
    packageJson: { dependencies: { "@alice/inside": "1.0.0" }, bundleDependencies: ["@alice/inside"] },
    files: { "node_modules/@alice/inside/package.json": '{"name":"@alice/inside","version":"1.0.0"}' },
  });
  good = (await alice.release("@alice/a", "1.0.0")).doc.dist.integrity;
});
afterAll(() => w.close());

type Ended = AuditResult | string;

/** A project with exactly these files, audited: its result, or why it could not be read. */
async function audited(files: Readonly<Record<string, unknown>>, flags: { readonly strict?: boolean } = {}): Promise<Ended> {
  const cwd = await w.projectFolder(`project-${String(++projects)}`, { indices: { alice: { index: alice } } });
  for (const [file, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(cwd, file)), { recursive: true });
    await writeFile(path.join(cwd, file), typeof content === "string" ? content : JSON.stringify(content, null, 2));
  }
  return auditAt(cwd, flags);
}

async function auditAt(cwd: string, flags: { readonly strict?: boolean } = {}): Promise<Ended> {
  try {
    const options = { frozen: false, strict: flags.strict === true, lockfile: undefined };
    return await audit(options, w.deps({ home: `${w.folder}/home`, cwd }));
  } catch (error) {
    if (!(error instanceof ImprintError)) throw error;
    expect(error.code).toBe("CONFIG_INVALID");
    return error.message;
  }
}

/** The one reason for which it is refused. */
function reason(ended: Ended): string {
  if (typeof ended === "string") return ended;
  const refused = ended.packages.filter(({ status }) => status === "refused");
  expect(refused).not.toEqual([]);
  return refused[0]?.reason ?? "";
}

const npmLock = (packages: object, more: object = {}): object => ({
  name: "shop",
  lockfileVersion: 3,
  requires: true,
  packages: { "": { name: "shop", dependencies: { "@alice/a": "1.0.0" } }, ...packages },
  ...more,
});
const fine = (): object => ({ version: "1.0.0", resolved: EVIL_URL, integrity: good });
const npm = (packages: object, more: object = {}): Readonly<Record<string, unknown>> => ({ "package-lock.json": npmLock(packages, more) });

describe("X12 package-lock.json", () => {
  it("X12 what npm writes passes, in versions 2 and 3", async () => {
    const packages = { "node_modules/@alice/a": fine() };
    expect(await audited(npm(packages))).toMatchObject({ signed: 1, refused: 0, warnings: [] });
    const legacy = { "@alice/a": { ...fine(), dev: true } };
    expect(await audited(npm(packages, { lockfileVersion: 2, dependencies: legacy }))).toMatchObject({ signed: 1, refused: 0 });
  });

  it.each<[string, () => object, RegExp]>([
    [
      "inBundle at the top",
      () => ({ "node_modules/@alice/a": { version: "1.0.0", integrity: EVIL, inBundle: true } }),
      /not the signed one/,
    ],
    [
      "inBundle at the top, without a hash",
      () => ({ "node_modules/@alice/a": { version: "1.0.0", inBundle: true } }),
      /bundled in the project/,
    ],
    [
      "inBundle below a public package",
      () => ({
        "node_modules/pub": { version: "1.0.0", resolved: "http://127.0.0.1:4870/pub/-/pub-1.0.0.tgz", integrity: EVIL },
        "node_modules/pub/node_modules/@alice/a": { version: "1.0.0", inBundle: true },
      }),
      /bundled in .*no index has signed/,
    ],
    [
      "inBundle below a signed package that bundles nothing",
      () => ({ "node_modules/@alice/a": fine(), "node_modules/@alice/a/node_modules/@alice/b": { version: "1.0.0", inBundle: true } }),
      /no index has signed as bundling it/,
    ],
    [
      "inBundle with an address, which npm then fetches",
      () => ({
        "node_modules/@alice/a": fine(),
        "node_modules/@alice/a/node_modules/@alice/b": {
          version: "1.0.0",
          resolved: EVIL_URL.replaceAll("/a", "/b"),
          integrity: EVIL,
          inBundle: true,
        },
      }),
      /takes it from elsewhere|not the signed one/,
    ],
    ["a dot in the path", () => ({ "node_modules/./@alice/a": fine() }), /"node_modules\/\.\/@alice\/a" is not a path/],
    ["an empty part of the path", () => ({ "node_modules//@alice/a": fine() }), /is not a path/],
    ["a way up and down", () => ({ "node_modules/x/../@alice/a": fine() }), /is not a path/],
    ["a backslash", () => ({ "node_modules\\@alice\\a": fine() }), /is not a path/],
    ["node_modules in other letters", () => ({ "Node_Modules/@alice/a": fine() }), /is not a path/],
    ["a folder that has an address", () => ({ "packages/a": fine() }), /"packages\/a" > "resolved" is a member/],
    ["a name in other letters", () => ({ "node_modules/@Alice/a": fine() }), /where a file system ignores case/],
    [
      "a link to a folder that is not there",
      () => ({ "node_modules/@alice/a": { resolved: "x", link: true }, x: { version: "1.0.0" } }),
      /no such folder/,
    ],
    ["a link to nothing in the lockfile", () => ({ "node_modules/@alice/a": { resolved: "x", link: true } }), /does not have/],
    ["a link that is none", () => ({ "node_modules/@alice/a": { ...fine(), link: true } }), /is a member that its client does not write/],
    ["link: false", () => ({ "node_modules/@alice/a": { resolved: "x", link: false }, x: {} }), /is a link, but not to a folder/],
    [
      "a member that npm does not write",
      () => ({ "node_modules/@alice/a": { ...fine(), from: "x" } }),
      /"node_modules\/@alice\/a" > "from" is a member/,
    ],
    [
      "an address with a way up",
      () => ({ "node_modules/@alice/a": { ...fine(), resolved: "http://h/@alice/a/-/../../../x.tgz" } }),
      /from elsewhere/,
    ],
  ])("X12 %s", async (_, packages, why) => {
    expect(reason(await audited(npm(packages())))).toMatch(why);
  });

  it("X12 a public package with a shrinkwrap of its own is named: npm installs by that", async () => {
    const pub = { version: "1.0.0", resolved: "http://127.0.0.1:4870/pub/-/pub-1.0.0.tgz", integrity: EVIL, hasShrinkwrap: true };
    const ended = await audited(npm({ "node_modules/pub": pub }));
    expect(typeof ended === "string" ? ended : ended.packages[0]?.warnings).toContainEqual(expect.stringMatching(/npm-shrinkwrap\.json/));
  });

  it.each([
    ["from an address, without a hash", { version: "1.0.0", resolved: "http://127.0.0.1:4870/x.tgz" }, /from git, a file or an address/],
    ["from an address, with a hash", { version: "1.0.0", resolved: "http://127.0.0.1:4870/x.tgz", integrity: EVIL }, /from git, a file/],
    ["from git", { version: "1.0.0", resolved: "git+ssh://git@example.org/x.git#0123456789012345678901234567890123456789" }, /from git/],
    ["from a registry, without a hash", { version: "1.0.0", resolved: "http://127.0.0.1:4870/x/-/x-1.0.0.tgz" }, /has no integrity/],
  ])("B5 what stands below a signed package %s is refused", async (_, entry, why) => {
    const below = { "node_modules/@alice/a": fine(), "node_modules/@alice/a/node_modules/x": entry };
    expect(reason(await audited(npm(below)))).toMatch(why);
    const deeper = {
      "node_modules/@alice/a": fine(),
      "node_modules/@alice/a/node_modules/y": { version: "1.0.0", resolved: "http://127.0.0.1:4870/y/-/y-1.0.0.tgz", integrity: EVIL },
      "node_modules/@alice/a/node_modules/y/node_modules/x": entry,
    };
    expect(reason(await audited(npm(deeper)))).toMatch(/below @alice\/a@1\.0\.0/);
  });

  it("B5 what stands below a signed package, from a registry and with a hash, is judged like anything else", async () => {
    const pub = { version: "1.0.0", resolved: "http://127.0.0.1:4870/x/-/x-1.0.0.tgz", integrity: EVIL };
    const ended = await audited(npm({ "node_modules/@alice/a": fine(), "node_modules/@alice/a/node_modules/x": pub }));
    expect(typeof ended === "string" ? ended : ended.packages.map(({ status }) => status)).toEqual(["signed", "public"]);
  });

  it("X12 keys that stand twice, comments, and the legacy part that says something else", async () => {
    const text = JSON.stringify(npmLock({ "node_modules/@alice/a": fine() }));
    expect(
      reason(await audited({ "package-lock.json": text.replace('"version":"1.0.0"', '"version":"1.0.0","version":"1.0.0"') })),
    ).toMatch(/stands twice/);
    expect(reason(await audited({ "package-lock.json": `${text}// x` }))).toMatch(/not JSON/);
    const legacy = (entry: object): Promise<Ended> =>
      audited(npm({ "node_modules/@alice/a": fine() }, { lockfileVersion: 2, dependencies: { "@alice/a": entry } }));
    expect(reason(await legacy({ ...fine(), integrity: EVIL }))).toMatch(/"integrity" is another than in packages/);
    expect(reason(await legacy({ version: "1.0.0" }))).toMatch(/lacks the integrity/);
    expect(reason(await legacy({ ...fine(), bundled: true }))).toMatch(/"bundled" is another/);
    expect(reason(await legacy({ ...fine(), dependencies: { "@alice/b": fine() } }))).toMatch(/is not in packages/);
  });

  it("X12 a bundled package passes where its signed parent says that it bundles it", async () => {
    const { integrity } = (await alice.release("@alice/bundler", "1.0.0")).doc.dist;
    const ended = await audited(
      npm({
        "node_modules/@alice/bundler": { version: "1.0.0", integrity, bundleDependencies: ["@alice/inside"] },
        "node_modules/@alice/bundler/node_modules/@alice/inside": { version: "1.0.0", inBundle: true },
      }),
    );
    expect(ended).toMatchObject({ signed: 1, refused: 0 });
    expect((ended as AuditResult).packages.map(({ name, status }) => [name, status])).toContainEqual(["@alice/inside", "local"]);
  });

  it("X12 a link passes only to a folder of this project whose package.json has the name", async () => {
    const link = (name: string): Readonly<Record<string, unknown>> => ({
      ...npm({ "node_modules/@alice/a": { resolved: "packages/a", link: true }, "packages/a": { name: "@alice/a", version: "1.0.0" } }),
      "packages/a/package.json": { name, version: "1.0.0" },
    });
    expect(await audited(link("@alice/a"))).toMatchObject({ refused: 0, packages: [{ name: "@alice/a", status: "local" }] });
    expect(reason(await audited(link("evil")))).toMatch(/does not have the name @alice\/a/);
    const cwd = await w.projectFolder("linked-away", { indices: { alice: { index: alice } } });
    await mkdir(`${w.folder}/away`, { recursive: true });
    await writeFile(`${w.folder}/away/package.json`, JSON.stringify({ name: "@alice/a" }));
    await mkdir(`${cwd}/packages`);
    await symlink(`${w.folder}/away`, `${cwd}/packages/a`);
    await writeFile(`${cwd}/package-lock.json`, JSON.stringify(link("@alice/a")["package-lock.json"]));
    expect(reason(await auditAt(cwd))).toMatch(/not of this project/);
    await rm(`${cwd}/packages/a`);
    expect(reason(await auditAt(cwd))).toMatch(/no such folder/);
  });
});

const pnpmLock = (
  packages: string,
  {
    head = "",
    importers = "      '@alice/a':\n        specifier: 1.0.0\n        version: 1.0.0\n",
    snapshots = "  '@alice/a@1.0.0': {}\n",
  } = {},
): Readonly<Record<string, unknown>> => ({
  "pnpm-lock.yaml": `lockfileVersion: '9.0'\n\nsettings:\n  autoInstallPeers: true\n  excludeLinksFromLockfile: false\n\n${head}importers:\n\n  .:\n    dependencies:\n${importers}\npackages:\n\n${packages}\nsnapshots:\n\n${snapshots}`,
});
const entry = (integrity: string, key = "'@alice/a@1.0.0'"): string => `  ${key}:\n    resolution: {integrity: ${integrity}}\n`;

describe("X12 pnpm-lock.yaml", () => {
  it("X12 what pnpm writes passes", async () => {
    expect(await audited(pnpmLock(entry(good)))).toMatchObject({ signed: 1, refused: 0, warnings: [] });
  });

  it.each<[string, () => Readonly<Record<string, unknown>>, RegExp]>([
    ["a merge key at the top", () => pnpmLock(entry(good), { head: "<<:\n  packages: {}\n\n" }), /key "<<" without quotes/],
    ["a quoted merge key", () => pnpmLock(entry(good), { head: "'<<':\n  packages: {}\n\n" }), /"<<" is a member/],
    ["a merge key among packages", () => pnpmLock(`${entry(good)}  <<: {}\n`), /key "<<" without quotes/],
    ["an anchor", () => pnpmLock(entry(good).replace("resolution: ", "resolution: &a ")), /a YAML anchor/],
    ["an alias", () => pnpmLock(entry("*a")), /aliases|anchor|not YAML/],
    ["a tag", () => pnpmLock(entry(`!!str ${good}`)), /a YAML tag/],
    ["a directive", () => ({ "pnpm-lock.yaml": `%YAML 1.1\n---\n${String(pnpmLock(entry(good))["pnpm-lock.yaml"])}` }), /directives/],
    [
      "three documents",
      () => ({ "pnpm-lock.yaml": Array.from({ length: 3 }, () => String(pnpmLock(entry(good))["pnpm-lock.yaml"])).join("---\n") }),
      /3 YAML documents/,
    ],
    ["a key that is a map", () => pnpmLock(entry(good), { head: "? {a: b}\n: c\n\n" }), /no text/],
    ["a number as a key", () => pnpmLock(`${entry(good)}  0x7: {}\n`), /without quotes/],
    ["a name in its entry", () => pnpmLock(`${entry(good)}    name: pub\n`), /"name" is a member/],
    ["another version in its entry", () => pnpmLock(`${entry(good)}    version: 2.0.0\n`), /"version" is another/],
    [
      "a request that leads nowhere",
      () => pnpmLock(entry(good), { importers: "      '@alice/a':\n        specifier: 1.0.0\n        version: 9.9.9\n" }),
      /"9\.9\.9" is not in the lockfile/,
    ],
    [
      "a request that leads to another package",
      () =>
        pnpmLock(`${entry(good)}${entry(EVIL, "pub@1.0.0")}`, {
          importers: "      '@alice/a':\n        specifier: 1.0.0\n        version: pub@1.0.0(x@1)\n",
          snapshots: "  pub@1.0.0(x@1): {}\n",
        }),
      /in the place of @alice\/a/,
    ],
    [
      "a link out of the project",
      () => pnpmLock(entry(good), { importers: "      '@alice/a':\n        specifier: link:../x\n        version: link:../x\n" }),
      /no such folder|not of this project/,
    ],
    [
      "a patch",
      () => pnpmLock(entry(good), { head: "patchedDependencies:\n  '@alice/a@1.0.0':\n    hash: abc\n    path: patches/a.patch\n\n" }),
      /changed by a patch, "patches\/a\.patch"/,
    ],
    [
      "an importer outside",
      () => ({ "pnpm-lock.yaml": String(pnpmLock(entry(good))["pnpm-lock.yaml"]).replace("  .:", "  a/../b:") }),
      /no key that its client writes/,
    ],
    [
      "git in the place of a release",
      () => pnpmLock(`  '@alice/a@1.0.0':\n    resolution: {commit: abc, repo: https://h/x.git, type: git}\n`),
      /from elsewhere/,
    ],
  ])("X12 %s", async (_, files, why) => {
    expect(reason(await audited(files()))).toMatch(why);
  });

  it("X12 a lockfile of a branch is audited like the other", async () => {
    const { "pnpm-lock.yaml": ours } = pnpmLock(entry(good));
    const { "pnpm-lock.yaml": theirs } = pnpmLock(entry(EVIL));
    expect(reason(await audited({ "pnpm-lock.yaml": ours, "pnpm-lock.feature.yaml": theirs }))).toMatch(/not the signed one/);
  });
});

const yarn1 = (entries: string): Readonly<Record<string, unknown>> => ({ "yarn.lock": `# yarn lockfile v1\n\n\n${entries}` });
const yarn1Entry = (key = '"@alice/a@^1.0.0"'): string => `${key}:\n  version "1.0.0"\n  resolved "${EVIL_URL}"\n  integrity ${good}\n`;
const yarn4 = (entries: string): Readonly<Record<string, unknown>> => ({
  "yarn.lock": `__metadata:\n  version: 8\n  cacheKey: 10c0\n\n${entries}`,
});
const yarn4Entry = (key = '"@alice/a@npm:^1.0.0"', resolution = "@alice/a@npm:1.0.0", link = "hard"): string =>
  `${key}:\n  version: 1.0.0\n  resolution: "${resolution}"\n  checksum: 10c0/${"a".repeat(128)}\n  languageName: node\n  linkType: ${link}\n`;

describe("X12 yarn.lock", () => {
  it("X12 what yarn 1 and yarn 4 write passes", async () => {
    expect(await audited(yarn1(yarn1Entry()))).toMatchObject({ signed: 1, refused: 0 });
    expect(await audited(yarn4(yarn4Entry()))).toMatchObject({ signed: 1, refused: 0 });
  });

  it.each<[string, () => Readonly<Record<string, unknown>>, RegExp]>([
    ["yarn 1: an entry that is only text", () => yarn1(`"@alice/a@^1.0.0" "pub@1.0.0"\n`), /line 4 is not as yarn writes it/],
    [
      "yarn 1: a name in the entry that yarn quotes",
      () => yarn1(yarn1Entry('"pub@^1.0.0"').replace("  version", "  name @alice/a\n  version")),
      /no lockfile of yarn/,
    ],
    [
      "yarn 1: a quoted name in the entry",
      () => yarn1(yarn1Entry('"pub@^1.0.0"').replace("  version", '  name "@alice/a"\n  version')),
      /another than in its key/,
    ],
    ["yarn 1: keys that stand twice", () => yarn1(yarn1Entry() + yarn1Entry()), /stands there already|twice/],
    ["yarn 1: tabs", () => yarn1(yarn1Entry().replace("  version", "\tversion")), /line 5/],
    ["yarn 1: a range that is an address", () => yarn1(yarn1Entry('"@alice/a@https://h/x.tgz"')), /from elsewhere/],
    ["yarn 1: another package under the key", () => yarn1(yarn1Entry('"@alice/a@npm:pub@1.0.0"')), /in the place of @alice\/a/],
    ["yarn 1: a second format", () => yarn1(`${yarn1Entry()}\n__metadata:\n  version "8"\n`), /of yarn 1 and of yarn 4 at once/],
    ["yarn 4: soft", () => yarn4(yarn4Entry(undefined, undefined, "soft")), /"linkType" does not fit/],
    ["yarn 4: hard, of a workspace", () => yarn4(yarn4Entry(undefined, "@alice/a@workspace:x")), /"linkType" does not fit/],
    ["yarn 4: a workspace that is not there", () => yarn4(yarn4Entry(undefined, "@alice/a@workspace:x", "soft")), /no such folder/],
    [
      "yarn 4: a link",
      () => yarn4(yarn4Entry(undefined, "@alice/a@link:../x::locator=shop%40workspace%3A.", "soft")),
      /no such folder|not of this project/,
    ],
    ["yarn 4: a portal", () => yarn4(yarn4Entry(undefined, "@alice/a@portal:../x", "soft")), /no such folder|not of this project/],
    ["yarn 4: a patch", () => yarn4(yarn4Entry(undefined, "@alice/a@patch:@alice/a@npm%3A1.0.0#~/x.patch")), /changed by a patch/],
    [
      "yarn 4: an archive's address",
      () => yarn4(yarn4Entry(undefined, "@alice/a@npm:1.0.0::__archiveUrl=https%3A%2F%2Fh%2Fx.tgz")),
      /from elsewhere/,
    ],
    ["yarn 4: another package under the key", () => yarn4(yarn4Entry(undefined, "pub@npm:1.0.0")), /in the place of @alice\/a/],
    [
      "yarn 4: descriptors split at a comma without a space",
      () => yarn4(yarn4Entry('"pub@npm:^1.0.0,@alice/a@npm:^1.0.0"', "pub@npm:1.0.0")),
      /not as yarn writes it/,
    ],
    [
      "yarn 4: a descriptor in two entries",
      () => yarn4(yarn4Entry() + yarn4Entry('"pub@npm:1, @alice/a@npm:^1.0.0"', "pub@npm:1.0.0")),
      /stands there twice/,
    ],
    ["yarn 4: an anchor", () => yarn4(yarn4Entry().replace(":\n", ": &x\n")), /is not as yarn writes it/],
    ["yarn 4: a flow map", () => yarn4('"@alice/a@npm:^1.0.0": {resolution: "pub@npm:1.0.0"}\n'), /is not as yarn writes it/],
    ["yarn 4: a member that yarn does not write", () => yarn4(`${yarn4Entry()}  name: pub\n`), /"name" is a member/],
    ["yarn 4: another version", () => yarn4(yarn4Entry().replace("version: 1.0.0", "version: 2.0.0")), /"version" is another/],
  ])("X12 %s", async (_, files, why) => {
    expect(reason(await audited(files()))).toMatch(why);
  });
});

const bun = (packages: string, more = ""): Readonly<Record<string, unknown>> => ({
  "bun.lock": `{ "lockfileVersion": 1, "workspaces": { "": { "name": "shop" } }, ${more} "packages": { ${packages} } }`,
});
const deno = (npmPart: object, more: object = {}): Readonly<Record<string, unknown>> => ({
  "deno.lock": { version: "5", npm: npmPart, ...more },
});

describe("X12 bun.lock and deno.lock", () => {
  it("X12 what bun and deno write passes", async () => {
    expect(await audited(bun(`"@alice/a": ["@alice/a@1.0.0", "", {}, "${good}"]`))).toMatchObject({ signed: 1, refused: 0 });
    const specifiers = { "npm:@alice/a@1": "1.0.0" };
    expect(await audited(deno({ "@alice/a@1.0.0": { integrity: good } }, { specifiers }))).toMatchObject({ signed: 1, refused: 0 });
  });

  it.each<[string, () => Readonly<Record<string, unknown>>, RegExp]>([
    ["bun: bundled at the top", () => bun(`"@alice/a": ["@alice/a@1.0.0", "", { "bundled": true }, "${EVIL}"]`), /below no package/],
    [
      "bun: bundled below a public package",
      () => bun(`"pub": ["pub@1.0.0", "", {}, "${EVIL}"], "pub/@alice/a": ["@alice/a@1.0.0", "", { "bundled": true }, "${EVIL}"]`),
      /no index has signed/,
    ],
    [
      "bun: bundled, in two maps",
      () => bun(`"@alice/a": ["@alice/a@1.0.0", "", {}, { "bundled": true }, "${EVIL}"]`),
      /no package as bun writes it/,
    ],
    ["bun: a workspace that is not there", () => bun(`"@alice/a": ["@alice/a@workspace:x"]`), /no such folder/],
    ["bun: a link", () => bun(`"@alice/a": ["@alice/a@link:../x", {}]`), /no such folder|not of this project/],
    ["bun: a folder", () => bun(`"@alice/a": ["@alice/a@file:x", {}]`), /from elsewhere/],
    ["bun: the project itself", () => bun(`"@alice/a": ["@alice/a@root:", {}]`), /does not have the name/],
    ["bun: another package under the key", () => bun(`"@alice/a": ["pub@1.0.0", "", {}, "${EVIL}"]`), /in the place of @alice\/a/],
    [
      "bun: a patch",
      () => bun(`"@alice/a": ["@alice/a@1.0.0", "", {}, "${good}"]`, '"patchedDependencies": { "@alice/a@1.0.0": "x.patch" },'),
      /changed by a patch/,
    ],
    ["bun: a key that is no path", () => bun(`"./@alice/a": ["@alice/a@1.0.0", "", {}, "${good}"]`), /not a path of package names/],
    [
      "bun: a member that bun does not write",
      () => bun(`"@alice/a": ["@alice/a@1.0.0", "", { "tarball": "x" }, "${good}"]`),
      /"tarball" is a member/,
    ],
    [
      "deno: a request that leads nowhere",
      () => deno({ "@alice/a@1.0.0": { integrity: good } }, { specifiers: { "npm:@alice/a@1": "2.0.0" } }),
      /"2\.0\.0" is not in the lockfile/,
    ],
    [
      "deno: a link",
      () => deno({ "@alice/a@1.0.0": { integrity: good } }, { workspace: { links: { "npm:@alice/a@1.0.0": {} } } }),
      /changed by a patch/,
    ],
    [
      "deno: another package under the name",
      () => deno({ "pub@1.0.0": { dependencies: ["@alice/a@npm:pub@1.0.0"] } }),
      /in the place of @alice\/a/,
    ],
    ["deno: a member that deno does not write", () => deno({ "@alice/a@1.0.0": { integrity: good, url: "x" } }), /"url" is a member/],
  ])("X12 %s", async (_, files, why) => {
    expect(reason(await audited(files()))).toMatch(why);
  });
});

describe("X12 files beside the lockfile", () => {
  const lock = (): Readonly<Record<string, unknown>> => npm({ "node_modules/@alice/a": fine() });

  it("X12 a bun.lockb, and any second lockfile, is not passed over", async () => {
    expect(reason(await audited({ ...lock(), "bun.lockb": "\0" }))).toMatch(/bun\.lockb: it is binary/);
    expect(
      reason(await audited({ ...lock(), "npm-shrinkwrap.json": npmLock({ "node_modules/@alice/a": { ...fine(), integrity: EVIL } }) })),
    ).toMatch(/not the signed one/);
  });

  it.each<[string, object | string, string, RegExp]>([
    ["package.json", { dependencies: { "@alice/a": "file:../x" } }, "dependencies > @alice/a", /no such folder|not of this project/],
    ["package.json", { dependencies: { "@alice/a": "link:./x" } }, "dependencies > @alice/a", /no such folder/],
    ["package.json", { dependencies: { "@alice/a": "npm:pub@1" } }, "dependencies > @alice/a", /in the place of @alice\/a/],
    ["package.json", { devDependencies: { "@alice/a": "github:x/y" } }, "devDependencies > @alice/a", /from elsewhere/],
    ["package.json", { optionalDependencies: { "@alice/a": "x/y" } }, "optionalDependencies > @alice/a", /from elsewhere/],
    ["package.json", { overrides: { pub: { "@alice/a@1": "npm:pub@1" } } }, "overrides > pub > @alice/a@1", /in the place of/],
    ["package.json", { overrides: { "@alice/a": { ".": "https://h/x.tgz" } } }, "overrides > @alice/a > .", /from elsewhere/],
    ["package.json", { resolutions: { "**/@alice/a": "npm:pub@1" } }, "resolutions > **/@alice/a", /in the place of/],
    [
      "package.json",
      { resolutions: { "@alice/a@npm:^1": "patch:@alice/a@npm%3A1.0.0#x" } },
      "resolutions > @alice/a@npm:^1",
      /changed by a patch/,
    ],
    ["package.json", { pnpm: { overrides: { "pub>@alice/a": "link:x" } } }, "overrides > pub>@alice/a", /no such folder/],
    [
      "package.json",
      { pnpm: { patchedDependencies: { "@alice/a@1.0.0": "x.patch" } } },
      "patchedDependencies > @alice/a@1.0.0",
      /changed by a patch/,
    ],
    ["package.json", { patchedDependencies: { "@alice/a": "x.patch" } }, "patchedDependencies > @alice/a", /changed by a patch/],
    ["pnpm-workspace.yaml", "overrides:\n  '@alice/a': npm:pub@1\n", "overrides > @alice/a", /in the place of/],
    ["pnpm-workspace.yaml", "catalog:\n  '@alice/a': link:x\n", "catalog > @alice/a", /no such folder/],
    ["pnpm-workspace.yaml", "patchedDependencies:\n  '@alice/a': x.patch\n", "patchedDependencies > @alice/a", /changed by a patch/],
    ["deno.json", { imports: { "@alice/a/": "npm:/pub@1/" } }, "imports > @alice/a/", /in the place of/],
    ["deno.json", { scopes: { "./": { "@alice/a": "./x.ts" } } }, "scopes > ./ > @alice/a", /from elsewhere/],
  ])("X12 %s %j", async (file, content, place, why) => {
    const ended = await audited({ ...lock(), [file]: content });
    expect(reason(ended)).toMatch(why);
    if (typeof ended === "string") throw new Error(ended);
    expect(ended.packages.filter(({ status }) => status === "refused").map((one) => [one.lockfile, one.path])).toEqual([[file, place]]);
  });

  it("X12 requests that a registry answers pass, whatever they are called", async () => {
    const dependencies = { "@alice/a": "^1.0.0", renamed: "npm:@alice/a@1.0.0", pub: "file:../x", other: "github:x/y" };
    const overrides = { "@alice/a": "$@alice/a", pub: "npm:other@1" };
    expect(await audited({ ...lock(), "package.json": { dependencies, overrides } })).toMatchObject({ signed: 1, refused: 0 });
  });

  it("X12 a workspace under a claimed name is named as the project's own", async () => {
    const files = {
      ...lock(),
      "package.json": { workspaces: ["packages/*"] },
      "packages/b/package.json": { name: "@alice/b", version: "1.0.0" },
    };
    const ended = await audited(files);
    expect(ended).toMatchObject({ signed: 1, refused: 0 });
    expect((ended as AuditResult).packages.map(({ name, status, lockfile }) => [name, status, lockfile])).toContainEqual([
      "@alice/b",
      "local",
      "packages/b/package.json",
    ]);
  });

  it.each([".pnpmfile.cjs", ".pnpmfile.mjs", ".pnp.cjs", ".yarnrc.yml", ".yarnrc", "pnpm-workspace.yaml"])(
    "X12 %s is named where it steers, and refused under --strict",
    async (file) => {
      const content: Readonly<Record<string, string>> = {
        ".yarnrc.yml": "yarnPath: x.cjs\n",
        ".yarnrc": 'yarn-path "x.js"\n',
        "pnpm-workspace.yaml": "pnpmfile: x.cjs\n",
      };
      const files = { ...lock(), [file]: content[file] ?? "" };
      expect(await audited(files)).toMatchObject({ signed: 1, refused: 0, warnings: [expect.stringContaining(file)] });
      expect(await audited(files, { strict: true })).toMatchObject({ refused: 1 });
    },
  );

  it("X12 files that cannot be read are refused by name", async () => {
    for (const file of ["package.json", "pnpm-workspace.yaml", ".yarnrc.yml", "deno.json"])
      expect(reason(await audited({ ...lock(), [file]: "{ ]" }))).toMatch(new RegExp(`Cannot read .*${file.replace(".", "\\.")}`));
  });
});
