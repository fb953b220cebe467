/** B5: an author who signs tarballs that nobody inspected, served to real clients. */
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BIN, npmOf, type People, people } from "../support/people.ts";
import { makePackage } from "../support/tarball.ts";
import { type TestIndex, type World, world } from "../support/world.ts";

let everybody: People;
let w: World;
let mallory: TestIndex;
let trap: Server;
const fetched: string[] = [];
beforeAll(async () => {
  [everybody, w] = await Promise.all([people(), world({ startMs: Date.now() - 86_400_000 })]);
  mallory = await w.index("mallory");
  const evil = await makePackage({
    name: "x",
    version: "1.0.0",
    scripts: { postinstall: 'node -e \'require("fs").writeFileSync("ran", "")\'' },
  });
  trap = createServer((request, response) => {
    fetched.push(request.url ?? "");
    response.end(Buffer.from(evil));
  }).listen(0, "127.0.0.1");
  await once(trap, "listening");
});
afterAll(async () => {
  trap.close();
  await Promise.all([everybody.close(), w.close()]);
});

it.each([10, 11] as const)("B5 a shrinkwrap that leads npm %i to an address: audit fails for what came from there", async (major) => {
  const resolved = `http://127.0.0.1:${String((trap.address() as AddressInfo).port)}/x.tgz`;
  const name = `@mallory/wrapped-${String(major)}`;
  const dependencies = { x: "1.0.0" };
  const shrinkwrap = {
    name,
    version: "1.0.0",
    lockfileVersion: 2,
    requires: true,
    packages: { "": { name, version: "1.0.0", dependencies }, "node_modules/x": { version: "1.0.0", resolved, hasInstallScript: true } },
    dependencies: { x: { version: "1.0.0", resolved } },
  };
  await mallory.publish(name, "1.0.0", {
    packageJson: { dependencies },
    smuggled: { "npm-shrinkwrap.json": JSON.stringify(shrinkwrap) },
    // Without that word npm looks into no tarball for one.
    edit: (request) => ({ ...request, manifest: { ...request.manifest, hasShrinkwrap: true } }),
  });
  const carl = everybody.person(`carl-${String(major)}`);
  const shop = everybody.folderOf(`shop-${String(major)}`, { "package.json": { name: "shop", version: "1.0.0", private: true } });
  expect((await everybody.imprint(carl, shop, "add", `${mallory.url}#${mallory.id}`, "--yes", "--packages", "@mallory/*")).code).toBe(0);
  const npm = npmOf(major);
  const installed = await everybody.sh(carl, shop, process.execPath, [BIN, "run", "--port", "0", ...npm, "install", name]);
  const lock = existsSync(path.join(shop, "package-lock.json")) ? readFileSync(path.join(shop, "package-lock.json"), "utf8") : "";
  // The client's own doing, which no registry can keep it from; where it does so, audit does not pass.
  expect([installed.code, fetched.length > 0, lock.includes('node_modules/x"')]).toEqual([0, true, true]);
  for (const words of [["audit"], ["audit", "--installed"]]) {
    const audited = await everybody.imprint(carl, shop, ...words);
    expect(audited.code).not.toBe(0);
    expect(`${audited.stdout}${audited.stderr}`).toMatch(
      /x@1\.0\.0 .*it stands below @mallory\/wrapped-\d+@1\.0\.0, which is signed, but it has no integrity: nobody vouches for it/u,
    );
  }
});
