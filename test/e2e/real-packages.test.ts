/** Public packages, re-published as they are into an author's own index, installed by unmodified npm 10 and 11. */
import { readdirSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { npmOf, people, type People } from "../support/people.ts";

let world: People;
beforeAll(async () => {
  world = await people();
});
afterAll(() => world.close());

it("lodash, zod and express 5 from one author, an app of another, the rest from the public registry", async () => {
  const { imprint, sh, folderOf } = world;
  const [alice, bob, carol] = [world.person("alice"), world.person("bob"), world.person("carol")];
  const [alices, bobs] = [await world.init(alice, "lodash,zod,express"), await world.init(bob, "@bob/*")];

  const downloads = folderOf("downloads", {});
  expect((await sh(alice, downloads, "npm", ["pack", "lodash@4", "zod@4", "express@5"])).code).toBe(0);
  const tarballs = readdirSync(downloads).filter((name) => name.endsWith(".tgz"));
  expect(tarballs).toHaveLength(3);
  const published = await imprint(alice, downloads, "publish", ...tarballs);
  expect(published.stderr).toMatch(/pushed main and 3 tarballs/);
  expect(
    published.stdout
      .trim()
      .split("\n")
      .map((line) => line.replace(/@[0-9.]+$/, ""))
      .toSorted(),
  ).toEqual(["express", "lodash", "zod"]);

  const app = folderOf("app", {
    "package.json": {
      name: "@bob/app",
      version: "1.0.0",
      main: "index.js",
      dependencies: { express: "^5.0.0", lodash: "^4.17.0", zod: "^4.0.0" },
    },
    "index.js": `
      const express = require("express"), { sortBy } = require("lodash"), { z } = require("zod");
      const app = express();
      app.get("/sorted/:numbers", (request, response) => {
        const numbers = z.array(z.coerce.number()).parse(request.params.numbers.split(","));
        response.json(sortBy(numbers));
      });
      module.exports = app;
    `,
  });
  expect((await imprint(bob, app, "publish")).code).toBe(0);

  for (const major of [10, 11] as const) {
    const shop = folderOf(`shop-${major}`, { "package.json": { name: "shop", version: "1.0.0", private: true } });
    expect((await imprint(carol, shop, "add", alices.address, "--packages", "lodash,zod,express", "--yes")).code).toBe(0);
    expect((await imprint(carol, shop, "add", bobs.address, "--yes")).code).toBe(0);
    const npm = npmOf(major);
    expect((await sh(carol, shop, ...(npm.slice(0, 1) as [string]), [npm[1], "--version"])).stdout).toMatch(new RegExp(`^${major}\\.`));
    // A cache of its own for each npm, or the second would ask for no tarball at all.
    const installed = await sh(
      carol,
      shop,
      process.execPath,
      [path.resolve("dist/bin.js"), "run", "--verbose", ...npm, "install", "@bob/app"],
      { npm_config_cache: path.join(carol.home, `cache-${major}`) },
    );
    expect(installed.stderr).not.toMatch(/✗/);
    expect(installed.code).toBe(0);
    for (const [source, name] of [
      ["alice", "express"],
      ["alice", "lodash"],
      ["alice", "zod"],
      ["bob", "@bob/app"],
      ["public registry", "body-parser"],
      ["public registry", "qs"],
    ]) {
      expect(installed.stderr).toMatch(new RegExp(`· ${source} +${name} tarball`));
    }
    const script = `
      const server = require("@bob/app").listen(0, "127.0.0.1", async () => {
        const answer = await fetch("http://127.0.0.1:" + server.address().port + "/sorted/3,1,2");
        console.log(await answer.text());
        server.close();
      });`;
    const ran = await sh(carol, shop, "node", ["-e", script]);
    expect(ran.stdout.trim()).toBe("[1,2,3]");
    const audited = await imprint(carol, shop, "audit");
    expect(audited.stdout).toMatch(/✓ alice 3 signed/);
    expect(audited.stdout).toMatch(/✓ bob 1 signed/);
    expect(audited.stdout).toMatch(/✓ public registry \d\d/);
    expect(audited.code).toBe(0);
  }
}, 300_000);
