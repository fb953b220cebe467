/**
 * Clients × what they are asked to do, real clients behind a real `imprint run`. What each cell should be is data
 * (test/clients.json): "works", or another result with a reason. A cell that is not there, or says nothing, fails.
 *
 * CI runs those that come with `npm ci`; `npm run test:clients` all of them.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLIENT_IDS, clientOf, TESTED_AT_LENGTH } from "../support/clients.ts";
import { IS_THOROUGH } from "../support/thorough.ts";
import { OPERATIONS } from "./operations.ts";
import { openStreet, type Street } from "./shop.ts";

/** `says`: a regular expression that the failure must match, since a client can fail for many reasons. */
type Cell = "works" | { readonly result: "fails" | "absent"; readonly says?: string; readonly reason: string };
type Cells = Readonly<Record<string, Readonly<Record<string, Cell>>>>;

const CELLS = JSON.parse(readFileSync(new URL("../clients.json", import.meta.url), "utf8")) as Cells;

let street: Street;
beforeAll(async () => {
  street = await openStreet();
});
afterAll(() => street.close());

it("every cell of the matrix is data, and says why where it is not 'works'", () => {
  const missing = CLIENT_IDS.flatMap((id) =>
    Object.keys(OPERATIONS).flatMap((name) => (CELLS[id]?.[name] === undefined ? [`${id}: ${name}`] : [])),
  );
  expect(missing).toEqual([]);
  const silent = Object.entries(CELLS).flatMap(([id, cells]) =>
    Object.entries(cells).flatMap(([name, cell]) => (cell !== "works" && cell.reason.length < 20 ? [`${id}: ${name}`] : [])),
  );
  expect(silent).toEqual([]);
  expect(Object.keys(CELLS).toSorted()).toEqual(CLIENT_IDS.toSorted());
});

/** What is asked of the resolver more than of its client. */
const HEAVY = new Set(["eight at once", "30 MB tarball", "aborted download"]);
const isTried = (id: string, operation: string): boolean =>
  IS_THOROUGH || process.env["IMPRINT_CLIENTS"] === "all" || id === "npm 11" || !HEAVY.has(operation);

describe.each(TESTED_AT_LENGTH)("%s", (id) => {
  it.each(Object.entries(OPERATIONS).filter(([name]) => isTried(id, name)))(`${id}: %s`, async (name, operation) => {
    const cell = CELLS[id]?.[name] ?? "works";
    const client = clientOf(id);
    let found: string;
    let said = "";
    try {
      found = await operation(street, client);
    } catch (error) {
      if (!(error instanceof Error) || cell === "works" || cell.result !== "fails") throw error;
      [found, said] = ["fails", error.message];
    }
    expect(found).toBe(cell === "works" ? "works" : cell.result);
    if (cell !== "works" && cell.says !== undefined) expect(said).toMatch(new RegExp(cell.says));
  });
});

it("X6 nothing that an index claims was ever asked for upstream, in the whole matrix", () => {
  const paths = street.world.upstream.requests.map(({ path }) => path);
  expect(paths.length).toBeGreaterThan(0);
  expect(paths.filter((path) => /alice|young/i.test(path))).toEqual([]);
});
