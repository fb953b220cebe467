/** What is said of a client's own decisions, and when nothing is. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { clientOf, notesOf, pinnedElsewhere } from "../../src/cli/clients/notes.ts";
import type { Told } from "../../src/cli/report.ts";
import type { PackagePattern } from "../../src/format/names.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { temporaryFolder } from "../storage/temporary.ts";

const NOW = Date.UTC(2026, 5, 1);
const HOUR = 3_600_000;
const told = (name: string, ageMs: number, hasInstallScript = false): Told => ({
  number: 1,
  name,
  newest: { version: "1.2.0", at: NOW - ageMs },
  hasInstallScript,
});
const notes = (clients: readonly string[], packages: readonly Told[], aged: readonly string[] = []): readonly string[] =>
  notesOf({ refusals: [], told: packages, clients, last: 1 }, aged as readonly PackagePattern[], NOW);

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

describe("lockfiles that name another resolver", () => {
  const line = async (file: string, text: string): Promise<string | null> => {
    const folder = temporaryFolder();
    writeFileSync(path.join(folder, file), text);
    return pinnedElsewhere({ files: nodeFiles() }, folder, "http://127.0.0.1:4870");
  };
  it("are named with their port and what to do", async () => {
    expect(await line("yarn.lock", '  resolved "http://127.0.0.1:4999/@a/x/-/x-1.0.0.tgz#abc"\n')).toMatch(
      /^yarn\.lock pins port 4999, .*imprint run --port 4999/,
    );
    expect(await line("bun.lock", '["@a/x@1.0.0", "http://127.0.0.1:4871/@a/x/-/x-1.0.0.tgz"]')).toMatch(/^bun\.lock pins port 4871/);
  });
  it("are fine where they name this one, or none", async () => {
    expect(await line("yarn.lock", '  resolved "http://127.0.0.1:4870/@a/x/-/x-1.0.0.tgz#abc"\n')).toBeNull();
    expect(await line("yarn.lock", "__metadata:\n  version: 8\n")).toBeNull();
    expect(await line("package-lock.json", '"resolved": "http://127.0.0.1:4999/x"')).toBeNull();
  });
});
