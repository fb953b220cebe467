/** Many indices, one of them at a host that stays silent: it holds up itself. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server, type Socket, type AddressInfo } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { imprintIn, type Ran } from "./in-process.ts";
import { type World, world } from "../support/world.ts";

const OTHERS = 24;

let w: World;
let silent: Server;
const waiting = new Set<Socket>();
let shop: string;

beforeAll(async () => {
  w = await world();
  silent = createServer((socket) => void waiting.add(socket.on("error", () => undefined))).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const stalled = await w.index("stalled");
  const url = `http://127.0.0.1:${String((silent.address() as AddressInfo).port)}/index.git`;
  const alice = await w.index("alice");
  await alice.publish("@alice/a", "1.0.0");
  const others = Object.fromEntries(
    Array.from({ length: OTHERS }, (_, i) => [
      `other-${String(i).padStart(2, "0")}`,
      { index: alice, packages: [`@other-${String(i)}/*`] },
    ]),
  );
  // The silent one is the first that is asked.
  shop = await w.projectFolder("shop", { indices: { "a-stalled": { index: stalled, urls: [url] }, ...others } });
});
afterAll(async () => {
  for (const socket of waiting) socket.destroy();
  silent.close();
  await w.close();
});

const imprint = (...argv: readonly string[]): Promise<Ran> => imprintIn({ home: path.join(w.folder, "home"), cwd: shop }, ...argv);
const locked = (): readonly string[] => {
  try {
    return Object.keys((JSON.parse(readFileSync(path.join(shop, "imprint.lock"), "utf8")) as { indices: object }).indices);
  } catch {
    return [];
  }
};

it("T9 every other index is asked and kept, imprint.lock too, while one is still waited for", async () => {
  const syncing = imprint("sync");
  await expect.poll(() => locked().length, { timeout: 60_000 }).toBe(OTHERS);
  expect(locked()).not.toContain("a-stalled");
  expect(waiting.size).toBeGreaterThan(0);
  // Whatever ends the waiting, that one alone has failed.
  silent.close();
  for (const socket of waiting) socket.destroy();
  const { exit, stderr } = await syncing;
  expect(exit).toBe(5);
  expect(stderr.match(/✓ other-\d\d (?:has news|is as it was)/g)).toHaveLength(OTHERS);
  expect(stderr).toMatch(/a-stalled: .*UNREACHABLE/);
  // Without a terminal a line counts from time to time.
  expect(stderr).toMatch(/synced \d+ of 25/);
});
