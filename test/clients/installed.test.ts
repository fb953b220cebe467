/** X12 `imprint audit --installed` over what real clients install, as it is and changed on disk. */
import { appendFileSync, cpSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { audit, type FoundPackage, INSTALLED } from "../../src/cli/commands/audit.ts";
import { clientOf, TESTED_AT_LENGTH } from "../support/clients.ts";
import { registryKey } from "../support/upstream.ts";
import { openShop, openStreet, type Shop, type Street } from "./shop.ts";

const IDS = TESTED_AT_LENGTH.filter((id) => id !== "vlt");

let street: Street;
beforeAll(async () => {
  street = await openStreet();
  const key = registryKey();
  street.world.upstream.keys = { keys: [key.listed] };
  for (const entry of Object.values(street.world.upstream.packuments.get("pub-a")?.versions ?? {})) key.sign(entry);
  await street.alice.publish("@alice/windows", "1.0.0", {
    packageJson: { bin: { windows: "bin.js" } },
    files: { "bin.js": "#!/usr/bin/env node\r\nconsole.log(1);\r\n" },
  });
  await street.alice.publish("@alice/inside", "1.0.0");
  await street.alice.publish("@alice/bundler", "1.0.0", {
    packageJson: { dependencies: { "@alice/inside": "1.0.0" }, bundleDependencies: ["@alice/inside"] },
    files: {
      "node_modules/@alice/inside/package.json": '{"name":"@alice/inside","version":"1.0.0"}',
      "node_modules/@alice/inside/index.js": "module.exports = 'inside';\n",
    },
  });
});
afterAll(() => street.close());

describe.each(IDS)("X12 what %s installed", (id) => {
  const client = clientOf(id);
  let shop: Shop;

  beforeAll(async () => {
    const dependencies = {
      "@alice/a": "^1.0.0",
      "pub-a": "^1.0.0",
      renamed: "npm:@alice/a@1.0.0",
      "@alice/scripted": "1.0.0",
      "@alice/windows": "1.0.0",
      "@alice/bundler": "1.0.0",
    };
    shop = await openShop(street, client, { dependencies });
    const { code, stdout, stderr } = await shop.run(client.commands.install);
    // pnpm 11 and 12 end in an error where they ran no install script, with everything installed.
    const isDone = code === 0 || `${stdout}${stderr}`.includes("ERR_PNPM_IGNORED_BUILDS");
    expect([isDone, isDone ? "" : `${stdout}${stderr}`]).toEqual([true, ""]);
    cpSync(path.join(shop.folder, "node_modules"), path.join(shop.folder, ".kept"), { recursive: true, verbatimSymlinks: true });
  });

  const audited = async (): Promise<{ readonly refused: number; readonly installed: readonly FoundPackage[] }> => {
    const options = { frozen: false, strict: false, lockfile: undefined, installed: true };
    const { refused, packages } = await audit(options, street.world.deps({ home: `${street.world.folder}/auditor`, cwd: shop.folder }));
    return { refused, installed: packages.filter(({ lockfile }) => lockfile === INSTALLED) };
  };
  const at = (name: string): string => path.join(shop.folder, "node_modules", name);
  /** The reasons after a change on disk, which is taken back. */
  const changed = async (change: () => void): Promise<string> => {
    change();
    try {
      const wrong = (await audited()).installed.filter(({ status }) => status === "refused");
      expect(wrong).not.toEqual([]);
      return wrong.map((one) => `${one.path}: ${one.reason ?? ""}`).join("\n");
    } finally {
      rmSync(at(""), { recursive: true });
      cpSync(path.join(shop.folder, ".kept"), at(""), { recursive: true, verbatimSymlinks: true });
    }
  };

  it("X12 is what was signed and locked", async () => {
    const { refused, installed } = await audited();
    expect(installed.filter(({ status }) => status === "refused")).toEqual([]);
    expect(refused).toBe(0);
    expect(installed.filter(({ status }) => status === "signed").length).toBeGreaterThanOrEqual(4);
    // What yarn 4 locks has no hash of a tarball.
    const open = installed.filter(({ status, warnings }) => status === "public" && warnings.length > 0);
    expect(open.length > 0).toBe(client.family === "yarn 4");
  });

  it("X12 is refused where a file was changed, added or removed", async () => {
    const own = (name: string, file: string): string => path.join(realpathSync(at(name)), file);
    const reasons = await changed(() => {
      writeFileSync(own("@alice/a", "index.js"), "evil");
      writeFileSync(own("@alice/a", "more.js"), "evil");
      rmSync(own("@alice/a", "hello.js"));
      appendFileSync(own("@alice/scripted", "index.js"), "//");
      appendFileSync(own("renamed", "index.js"), "//");
      // yarn 4 leaves out what a tarball bundles, and installs it as any other package.
      mkdirSync(own("@alice/bundler", "node_modules/@alice/inside"), { recursive: true });
      writeFileSync(own("@alice/bundler", "node_modules/@alice/inside/index.js"), "evil");
      writeFileSync(own("@alice/bundler", "node_modules/@alice/inside/more.js"), "evil");
      if (client.family !== "yarn 4") writeFileSync(own("pub-a", "index.js"), "evil"); // it locks no hash of a tarball
    });
    for (const reason of [
      /@alice\/a: .*changed "index\.js"; missing "hello\.js"; not in it "more\.js"/,
      /scripted: .*changed "index\.js"/,
      client.family === "deno" ? /@alice\/a: / : /renamed: .*changed "index\.js"|@alice\+a@1\.0\.0\/.*: .*changed "index\.js"/,
      /bundler: .*changed "node_modules\/@alice\/inside\/index\.js"/,
      /bundler: .*not in it "node_modules\/@alice\/inside\/more\.js"/,
      ...(client.family === "yarn 4" ? [] : [/pub-a: what is installed is not the locked tarball: changed "index\.js"/]),
    ])
      expect(reasons).toMatch(reason);
  });

  it("X12 is refused where something else stands in the place of a claimed name", async () => {
    const evil = (folder: string, name: string): void => {
      mkdirSync(folder, { recursive: true });
      writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name, version: "1.0.0" }));
    };
    const kept = path.join(shop.folder, ".kept-evil");
    const reasons = await changed(() => {
      writeFileSync(at("@alice/a.js"), "evil");
      writeFileSync(at("@alice/new.json"), "{}");
      evil(at("@alice/one"), "evil");
      evil(at("@alice/two"), "@alice/two");
      evil(at("other"), "@alice/three");
      evil(at("pub-a/node_modules/@alice/four"), "evil");
      evil(at("@Alice/a"), "@Alice/a");
      mkdirSync(at("@alice/bare"));
      writeFileSync(path.join(at("@alice/bare"), "index.js"), "evil");
      symlinkSync("/nowhere", at("@alice/lost"));
      evil(kept, "evil");
      symlinkSync(kept, at("@alice/linked"));
      // Links in a circle end.
      symlinkSync(".", path.join(realpathSync(at("@alice/scripted")), "loop"));
      symlinkSync("..", at("@alice/up"));
    });
    rmSync(kept, { recursive: true });
    for (const reason of [
      /@alice\/a\.js: a file stands where it would be looked for/,
      /@alice\/new\.json: a file stands where/,
      /@alice\/one: it stands in the place of @alice\/one/,
      /@alice\/two: index alice does not have it/,
      /other: index alice does not have it/,
      /@alice\/four: it stands in the place of @alice\/four/,
      /@Alice\/a: .*where a file system ignores case/,
      /@alice\/bare: its package\.json names no package/,
      /@alice\/lost: a link that leads nowhere/,
      /@alice\/linked: it is linked to \.kept-evil: its package\.json does not have the name/,
      /@alice\/up: /,
    ])
      expect(reasons).toMatch(reason);
  });

  it("X12 the release that another lockfile has is said", async () => {
    if (client.family !== "npm") return;
    renameSync(at("@alice/a"), path.join(shop.folder, ".moved"));
    cpSync(at("renamed"), at("@alice/a"), { recursive: true });
    const { refused, installed } = await audited();
    const found = installed.find((one) => one.path === "node_modules/@alice/a");
    expect([refused, found?.status, found?.warnings]).toEqual([0, "signed", []]);
    rmSync(at("@alice/a"), { recursive: true });
    renameSync(path.join(shop.folder, ".moved"), at("@alice/a"));
    expect(readFileSync(path.join(at("@alice/a"), "package.json"), "utf8")).toContain("1.1.0");
  });
});

describe.each([
  ["the project's cache", "false"],
  ["the global cache", "true"],
])("X12 what yarn 4 leaves in archives of %s", (_, global) => {
  const client = clientOf("yarn 4");
  let shop: Shop;
  let archive: string;

  beforeAll(async () => {
    const files = { ".yarnrc.yml": `nodeLinker: pnp\nenableTelemetry: false\nenableGlobalCache: ${global}\n` };
    shop = await openShop(street, client, { dependencies: { "@alice/a": "1.0.0", "@alice/windows": "1.0.0" }, files });
    const { code, stdout, stderr } = await shop.run(client.commands.install);
    expect([code, code === 0 ? "" : `${stdout}${stderr}`]).toEqual([0, ""]);
    const location = /"packageLocation": "([^"]*@alice-a-[^"]*\.zip)\//.exec(readFileSync(path.join(shop.folder, ".pnp.cjs"), "utf8"))?.[1];
    archive = path.resolve(shop.folder, location ?? "");
  });

  const audited = async (): Promise<readonly string[]> => {
    const options = { frozen: false, strict: false, lockfile: undefined, installed: true };
    const { packages } = await audit(options, street.world.deps({ home: `${street.world.folder}/auditor`, cwd: shop.folder }));
    return packages.flatMap(({ lockfile, name, status, reason }) => (lockfile === INSTALLED ? [`${name} ${status} ${reason ?? ""}`] : []));
  };

  it("X12 is what was signed, and is refused where it was changed, swapped, cut or removed", async () => {
    const good = readFileSync(archive);
    expect(await audited()).toEqual(expect.arrayContaining(["@alice/a signed ", "@alice/windows signed "]));
    // yarn 4 stores files as they are.
    writeFileSync(archive, Buffer.from(good.toString("latin1").replace("module.exports = 'a'", "module.exports = 'b'"), "latin1"));
    expect(await audited()).toContainEqual(
      expect.stringMatching(/@alice\/a refused what is installed is not the signed tarball: changed "index\.js"/),
    );
    writeFileSync(archive, Buffer.from(good.toString("latin1").replaceAll("@alice/a", "@alice/z"), "latin1"));
    expect(await audited()).toContainEqual(expect.stringMatching(/refused .*(does not have it|another name)/));
    writeFileSync(archive, good.subarray(0, good.length - 30));
    expect(await audited()).toContainEqual(expect.stringMatching(/refused Cannot read the archive: it does not end as yarn's do/));
    rmSync(archive);
    expect(await audited()).toContainEqual(expect.stringMatching(/@alice\/a refused its archive is not there/));
    writeFileSync(archive, good);
  });
});
