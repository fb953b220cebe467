/** What is said of a client's own decisions, and when nothing is. */
import { describe, expect, it } from "vitest";
import { clientOf, notesOf, type Told } from "../../src/clients/notes.ts";
import type { PackagePattern } from "../../src/format/names.ts";

const NOW = Date.UTC(2026, 5, 1);
const HOUR = 3_600_000;
const told = (name: string, ageMs: number, hasInstallScript = false): Told => ({
  number: 1,
  name,
  newest: { version: "1.2.0", at: NOW - ageMs },
  hasInstallScript,
});
const notes = (
  clients: readonly string[],
  packages: readonly Told[],
  aged: readonly string[] = [],
  { taken = [], exitCode = 1 }: { readonly taken?: readonly string[]; readonly exitCode?: number } = {},
): readonly string[] => notesOf({ told: packages, taken, clients, exitCode }, aged as readonly PackagePattern[], NOW);

describe("which client it is", () => {
  it.each([
    ["npm/11.19.1 node/v20.20.2 linux x64 workspaces/false", "npm 11"],
    ["pnpm/12.21.0 npm/? node/? linux x64", "pnpm 12"],
    ["yarn/1.22.22 npm/? node/v20.20.2 linux x64", "yarn 1"],
    ["got (https://example.org/got)", "yarn 4"],
    ["Bun/1.4.5", "bun 1"],
    ["Deno/2.9.6", "deno 2"],
  ])("%s is %s", (userAgent, client) => {
    const found = clientOf(userAgent);
    expect(`${found?.name ?? ""} ${String(found?.major)}`).toBe(client);
  });
  it.each(["", "curl/8.0.0", "Mozilla/5.0", "npm"])("%s is none", (userAgent) => expect(clientOf(userAgent)).toBeNull());
});

describe("releases of today", () => {
  it("one line, with age, name and setting, for the clients that hold them back", () => {
    expect(notes(["pnpm/11.0.0"], [told("@a/x", 2 * HOUR), told("@a/y", HOUR), told("@a/old", 25 * HOUR)])).toEqual([
      expect.stringMatching(/^pnpm 11 holds back .*: @a\/x@1\.2\.0 appeared 2 hours ago \(and 1 more\); .*minimumReleaseAgeExclude/),
    ]);
    expect(notes(["got (x)", "Deno/2.9.6"], [told("@a/x", HOUR)])).toEqual([
      expect.stringMatching(/^yarn 4 .*npmPreapprovedPackages/),
      expect.stringMatching(/^deno 2 .*"exclude": \["npm:@a\/x"\]/),
    ]);
  });
  it("nothing where the young release was taken, or nothing of that name was wanted", () => {
    const of = (client: string, taken: readonly string[], exitCode: number): number =>
      notes([client], [told("@a/x", HOUR)], [], { taken, exitCode }).length;
    expect(of("pnpm/12.0.0", ["@a/x/x-1.2.0.tgz"], 0)).toBe(0);
    expect(of("pnpm/12.0.0", ["@a/x/x-1.1.0.tgz"], 0)).toBe(1);
    expect(of("pnpm/12.0.0", [], 0)).toBe(0);
    expect([of("Deno/2.9.6", [], 0), of("Deno/2.9.6", [], 1)]).toEqual([0, 1]);
  });
  it("nothing for others, for old releases, and for names that imprint.json holds back itself", () => {
    expect(notes(["npm/11.0.0", "pnpm/10.0.0", "yarn/1.22.22", "Bun/1.4.5", ""], [told("@a/x", HOUR)])).toEqual([]);
    expect(notes(["pnpm/12.0.0"], [told("@a/x", 25 * HOUR)])).toEqual([]);
    expect(notes(["pnpm/12.0.0", "got (x)"], [told("@a/x", HOUR)], ["@a/*"])).toEqual([]);
    // deno cannot be told by environment.
    expect(notes(["Deno/2.9.6"], [told("@a/x", HOUR)], ["@a/*"])).toHaveLength(1);
  });
});

it("install scripts that wait for approval, by client", () => {
  const scripted = [told("@a/native", 48 * HOUR, true)];
  expect(notes(["npm/12.0.0", "pnpm/10.1.0", "got (x)", "Bun/1.4.5", "Deno/2.9.6"], scripted).map((line) => line.split(" ")[0])).toEqual([
    "npm",
    "pnpm",
    "yarn",
    "bun",
    "deno",
  ]);
  expect(notes(["npm/11.0.0", "yarn/1.22.22"], scripted)).toEqual([]);
});
