/**
 * Real tarballs of the public registry that are odd in one way or another: those that the inspection takes must be read
 * alike by every client, and those that it refused before are the only ones that it refuses. A list of names lies beside the
 * checkout; the tarballs come from the registry that npm is configured for, in a thorough run only.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openReaders, type Readers } from "../../scripts/fuzz/tarballs/run.ts";
import { differences, signedReading, type Signed } from "../../scripts/fuzz/tarballs/reading.ts";
import { isImprintError } from "../../src/errors.ts";
import { hasShared, readShared } from "../crypto/shared.ts";
import { IS_THOROUGH } from "../support/thorough.ts";

const run = promisify(execFile);
/** What they hold, each of which some client leaves out or fails at. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  "agent-base@7.1.4": /segment "\."/u,
  "jade@0.20.3": /symbolic link/u,
  "mocha@0.9.0": /nothing behind it/u,
  "nopt@1.0.10": /nothing behind it/u,
};

/** pnpm installs nothing under another name than its own, and so only its reader is asked, in this process. */
const CLIENTS = ["npm 10", "npm 11", "pnpm 10", "yarn 1", "yarn 4", "bun", "deno"];

/** At once. */
const DOWNLOADS = 4;

let folder: string;
let readers: Readers | null = null;
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "imprint-odd-"));
  if (IS_THOROUGH && hasShared) readers = await openReaders(CLIENTS);
});
afterAll(async () => {
  await readers?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** @returns null where the registry does not answer or does not have it */
async function download(spec: string): Promise<Uint8Array | null> {
  try {
    const at = mkdtempSync(path.join(folder, "one-"));
    await run("npm", ["pack", spec, "--silent", "--ignore-scripts", "--fetch-retries=0", "--pack-destination", at], { cwd: at });
    const [file = ""] = readdirSync(at);
    return readFileSync(path.join(at, file));
  } catch {
    return null; // said below
  }
}

describe("B4 odd tarballs of the public registry", () => {
  it("B4 all but those that readers differ on are taken, and read alike", { timeout: 1_800_000 }, async () => {
    if (!IS_THOROUGH) return;
    if (readers === null) return console.warn("\n!!! NOT RUN: the list of odd tarballs is not beside the checkout !!!\n");
    const specs = readShared("odd-tarballs.txt").split("\n").filter(Boolean);
    const faults: string[] = [];
    const taken: { readonly spec: string; readonly signed: Signed; readonly bytes: Uint8Array }[] = [];
    let missing = 0;
    const one = async (spec: string, inProcess: Readers["inProcess"]): Promise<void> => {
      const bytes = await download(spec);
      if (bytes === null) {
        missing++;
        return;
      }
      try {
        const signed = await signedReading(bytes, true);
        if (REFUSED[spec] !== undefined) faults.push(`${spec} is taken`);
        for (const { id, habits, read } of inProcess)
          faults.push(...differences(signed, await read(bytes), habits).map((fault) => `${spec}, ${id}: ${fault}`));
        taken.push({ spec, signed, bytes });
      } catch (error) {
        if (!isImprintError(error, "TARBALL_REFUSED")) throw error;
        if (REFUSED[spec]?.test(error.message) !== true) faults.push(`${spec}: ${error.message}`);
      }
    };
    const { inProcess, installing } = readers;
    const queue = specs.values();
    const work = async (): Promise<void> => {
      for (const spec of queue) await one(spec, inProcess);
    };
    await Promise.all(Array.from({ length: DOWNLOADS }, work));
    // Under names of their own: two versions of one package are in the list. A manifest's dependencies would have to be there.
    const offered = taken.map(({ bytes, signed }, at) => ({ name: `odd-${at}`, bytes, manifest: { bin: signed.facts.manifest["bin"] } }));
    for (const installer of installing) {
      const found = await installer.install(offered);
      for (const [at, { spec, signed }] of taken.entries())
        faults.push(
          ...differences(signed, found.get(`odd-${at}`) ?? { failed: "nothing was read" }, installer.habits).map(
            (fault) => `${spec}, ${installer.id}: ${fault}`,
          ),
        );
    }
    if (missing > 0) console.warn(`\n!!! ${missing} of ${specs.length} odd tarballs were NOT TRIED: the registry did not give them !!!\n`);
    expect(faults).toEqual([]);
  });
});
