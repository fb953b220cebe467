/** What a reader makes of a tarball, and how two of them are compared. */
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { isJsonObject } from "../../../src/format/json.ts";
import { FileDigest } from "../../../src/pack/contents.ts";
import { gunzip } from "../../../src/pack/gunzip.ts";
import { inspectTarball } from "../../../src/pack/inspect.ts";
import type { TarballFacts } from "../../../src/pack/inspect.ts";
import { PACK_LIMITS } from "../../../src/pack/limits.ts";
import { TarReader } from "../../../src/pack/tar-reader.ts";

export type ReadFile = { readonly digest: string; readonly executable: boolean };
/** Path inside the package → file. Folders count only by what is in them. */
export type Reading = { readonly files: ReadonlyMap<string, ReadFile> } | { readonly failed: string };
export type Signed = { readonly facts: TarballFacts; readonly files: ReadonlyMap<string, ReadFile> };

/** @throws ImprintError TARBALL_REFUSED */
export async function signedReading(bytes: Uint8Array, anyTopFolder = false): Promise<Signed> {
  const facts = await inspectTarball(bytes, { anyTopFolder });
  const files = new Map<string, ReadFile>();
  let close: () => void = () => {};
  let digest = new FileDigest();
  const reader = new TarReader(PACK_LIMITS, {
    entry: ({ kind, path: at, executable }) => {
      close();
      digest = new FileDigest();
      const mine = digest;
      close = () => {
        if (kind === "file") files.set(at.slice(at.indexOf("/") + 1), { digest: mine.hex(), executable });
      };
    },
    content: (chunk) => digest.update(chunk),
  });
  await gunzip(bytes, PACK_LIMITS, (chunk) => reader.write(chunk));
  reader.end();
  close();
  return { facts, files };
}

export function digestOf(bytes: Uint8Array): string {
  const digest = new FileDigest();
  digest.update(bytes);
  return digest.hex();
}

export function sha512Of(bytes: Uint8Array): string {
  return `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
}

/** The files of an unpacked package, but for the programs that a client links (`.bin`). */
export function readingOf(folder: string): Reading {
  if (!existsSync(folder)) return { failed: "it is not there" };
  const files = new Map<string, ReadFile>();
  const walk = (at: string): void => {
    for (const name of readdirSync(path.join(folder, at))) {
      const inner = at === "" ? name : `${at}/${name}`;
      const stat = lstatSync(path.join(folder, inner));
      if (stat.isDirectory()) {
        if (!/(^|\/)node_modules\/\.bin$/u.test(inner)) walk(inner);
      } else if (stat.isFile())
        files.set(inner, { digest: digestOf(readFileSync(path.join(folder, inner))), executable: (stat.mode & 0o100) !== 0 });
      else files.set(inner, { digest: "not a file", executable: false });
    }
  };
  walk("");
  return { files };
}

/** What a client does on purpose, and says so in its manual. */
export type Habits = {
  /** npm gives a .gitignore the name .npmignore, and drops it where there is one. */
  readonly renamesGitignore?: true;
  /** yarn 4 fetches bundled packages anew. */
  readonly leavesBundles?: true;
};

const GITIGNORE = /(^|\/)\.gitignore$/u;

function expectedBy(habits: Habits, files: ReadonlyMap<string, ReadFile>): ReadonlyMap<string, ReadFile> {
  const expected = new Map<string, ReadFile>();
  for (const [file, one] of files) {
    if (habits.leavesBundles === true && file.startsWith("node_modules/")) continue;
    const renamed = habits.renamesGitignore === true ? file.replace(GITIGNORE, "$1.npmignore") : file;
    if (renamed === file || !files.has(renamed)) expected.set(renamed, one);
  }
  return expected;
}

/** Differences between what is signed and what a client has; empty: none. */
export function differences(signed: Signed, reading: Reading, habits: Habits): readonly string[] {
  if ("failed" in reading) return [`it fails: ${reading.failed}`];
  const expected = expectedBy(habits, signed.files);
  const programs = programsOf(signed);
  const found: string[] = [];
  for (const [file, { digest, executable }] of expected) {
    const other = reading.files.get(file);
    if (other === undefined) found.push(`${file} is missing`);
    else if (other.digest !== digest) found.push(`${file} has other content`);
    // Clients make programs executable, whatever the archive says.
    else if (other.executable !== executable && !programs.has(file)) found.push(`${file} is ${other.executable ? "" : "not "}executable`);
  }
  for (const file of reading.files.keys()) if (!expected.has(file)) found.push(`${file} is not signed`);
  return found;
}

function programsOf({ facts, files }: Signed): ReadonlySet<string> {
  const { bin, directories } = facts.packageJson;
  const targets = typeof bin === "string" ? [bin] : isJsonObject(bin) ? Object.values(bin) : [];
  const folder = isJsonObject(directories) ? directories["bin"] : undefined;
  const named = targets.flatMap((target) => (typeof target === "string" ? [path.posix.normalize(target).replace(/^\//u, "")] : []));
  const inFolder =
    typeof folder === "string" ? [...files.keys()].filter((file) => file.startsWith(`${path.posix.normalize(folder)}/`)) : [];
  return new Set([...named, ...inFolder]);
}

/**
 * Of several clients' readings of one tarball, the clients that are not with the largest group.
 *
 * @param isProgram whether files are programs, which clients make executable whatever the archive says
 */
export function oddReaders(readings: readonly (readonly [string, Reading, Habits])[], isProgram: boolean): readonly string[] {
  const groups = new Map<string, string[]>();
  for (const [id, reading, habits] of readings) {
    const text = textOfReading(reading, habits, isProgram);
    groups.set(text, [...(groups.get(text) ?? []), id]);
  }
  const [, ...others] = [...groups.values()].toSorted((a, b) => b.length - a.length);
  return others.flat();
}

function textOfReading(reading: Reading, habits: Habits, isProgram: boolean): string {
  if ("failed" in reading) return "it fails";
  const files = [...reading.files].filter(([file]) => habits.leavesBundles !== true || !file.startsWith("node_modules/"));
  const lines = files.map(([file, { digest, executable }]) => JSON.stringify([file, digest, executable && !isProgram]));
  return lines.toSorted((a, b) => (a < b ? -1 : 1)).join("\n");
}
