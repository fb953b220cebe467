/** Real `npm search` and `pnpm search` behind a real `imprint run`. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { clientOf, TESTED_IDS } from "../support/clients.ts";
import { openShop, openStreet, type Street } from "./shop.ts";

const IDS = TESTED_IDS.filter((id) => /^p?npm /.test(id));

let street: Street;
beforeAll(async () => {
  street = await openStreet();
  await street.alice.publish("@alice/found", "1.2.3", { packageJson: { description: "a needle in a haystack", keywords: ["needle"] } });
});
afterAll(() => street.close());

it.each(IDS)("%s search finds a package by its description, and nothing where there is nothing", async (id) => {
  const shop = await openShop(street, clientOf(id));
  const found = await shop.run(["search", "haystack"]);
  expect([found.code, found.stdout, found.stderr]).toEqual([0, expect.stringMatching(/@alice\/found/), expect.any(String)]);
  expect(found.stdout).toMatch(/1\.2\.3/);
  const json = await shop.run(["search", "needle", "--json"]);
  expect(json.stdout).toMatch(/"@alice\/found"/);
  const none = await shop.run(["search", "no-such-word-anywhere"]);
  expect([none.code, none.stdout]).toEqual([0, expect.not.stringMatching(/@alice/)]);
});

it("X6 no search went upstream", () => {
  expect(street.world.upstream.requests.filter(({ path }) => path.includes("search"))).toEqual([]);
});
