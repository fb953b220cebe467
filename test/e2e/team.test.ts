/** Weeks, not minutes: a month of a team, as a script (team.txt); 30 + 30 publishes at once in a thorough run, else 4 + 4. */
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createHostedRepository } from "../support/git-host.ts";
import { type People, people } from "../support/people.ts";
import { playSession } from "../support/session.ts";
import { IS_THOROUGH } from "../support/thorough.ts";
import { type World, world as makeWorld } from "../support/world.ts";

const INDICES = 200;
const MOST = IS_THOROUGH ? 30 : 4;

let world: People;
let others: World;
const sockets = new Set<Socket>();
// Whoever connects waits in vain.
const silent = createServer((socket) => void sockets.add(socket.on("error", () => undefined)));
beforeAll(async () => {
  [world, others] = await Promise.all([people(), makeWorld()]);
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
});
afterAll(async () => {
  silent.close();
  for (const socket of sockets) socket.destroy();
  await Promise.all([world.close(), others.close()]);
});

/** A project with so many indices, the first at a host that stays silent. */
async function manyIndices(): Promise<string> {
  const indices: Record<string, { readonly id: string; readonly urls: readonly string[]; readonly packages: readonly string[] }> = {};
  const url = `http://127.0.0.1:${String((silent.address() as AddressInfo).port)}/index.git`;
  indices["a-stalled"] = { id: "0".repeat(64), urls: [url], packages: ["@stalled/*"] };
  for (let i = 1; i <= INDICES; i++) {
    const name = `i${String(i)}`;
    const made = await others.index(name);
    indices[name] = { id: made.id, urls: [made.url], packages: [`@${name}/*`] };
  }
  const folder = path.join(world.folder, "many");
  mkdirSync(folder);
  writeFileSync(path.join(folder, "imprint.json"), `${JSON.stringify({ format: 1, indices }, null, 2)}\n`);
  return folder;
}

it("a month of a team", { timeout: 1_200_000 }, async () => {
  const hosted = path.join(world.folder, "host");
  for (const name of ["team", "dan"]) createHostedRepository(hosted, `${name}/index.git`);
  mkdirSync(path.join(hosted, "mirror"));
  const commands = await playSession(world, readFileSync(new URL("team.txt", import.meta.url), "utf8"), {
    HOST: world.host.url("").replace(/\/$/, ""),
    HOSTED: hosted,
    HOMES: path.join(world.folder, "homes"),
    MANY: await manyIndices(),
    SHIFT: new URL("../support/shifted-clock.mjs", import.meta.url).href,
    MOST: String(MOST),
    BOTH: String(2 * MOST),
    SOME: "5",
  });
  expect(commands).toBeGreaterThan(90);
});
