/** A month of one author, and of a consumer who follows all of it: the script is month.txt. */
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createHostedRepository } from "../support/git-host.ts";
import { type People, people } from "../support/people.ts";
import { playSession } from "../support/session.ts";

let world: People;
beforeAll(async () => {
  world = await people();
});
afterAll(() => world.close());

it("a month of ana, ben and cyd", async () => {
  const hosted = path.join(world.folder, "host");
  mkdirSync(hosted, { recursive: true });
  for (const name of ["ana", "ben"]) createHostedRepository(hosted, `${name}/index.git`);
  const script = readFileSync(new URL("month.txt", import.meta.url), "utf8");
  const commands = await playSession(world, script, {
    HOST: world.host.url("").replace(/\/$/, ""),
    HOSTED: hosted,
    HOMES: path.join(world.folder, "homes"),
  });
  expect(commands).toBeGreaterThan(50);
});
