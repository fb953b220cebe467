/** X10: one port, two projects, two worktrees, several terminals: the script is one-port.txt. */
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort } from "../support/free-port.ts";
import { type People, people } from "../support/people.ts";
import { playSession } from "../support/session.ts";

let world: People;
const variables: Record<string, string> = {};
beforeAll(async () => {
  world = await people();
  mkdirSync(path.join(world.folder, "host"), { recursive: true });
  for (const [name, packages, pkg] of [
    ["ana", "@ana/*", "@ana/hello"],
    ["ben", "@ben/*,hello", "hello"],
  ] as const) {
    const author = world.person(name);
    const { id } = await world.init(author, packages);
    variables[name.toUpperCase()] = id;
    const files = { "package.json": { name: pkg, version: "1.0.0", main: "i.js" }, "i.js": `module.exports = "hello from ${name}";\n` };
    expect((await world.imprint(author, world.folderOf(`${name}-hello`, files), "publish")).code).toBe(0);
  }
});
afterAll(() => world.close());

it("X10 eve keeps two projects and a worktree on one port", { timeout: 600_000 }, async () => {
  const script = readFileSync(new URL("one-port.txt", import.meta.url), "utf8");
  const HOST = world.host.url("").replace(/\/$/, "");
  const commands = await playSession(world, script, { ...variables, HOST, PORT: String(await freePort()) });
  expect(commands).toBeGreaterThan(30);
});
