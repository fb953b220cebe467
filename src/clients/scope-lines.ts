/**
 * Settings that beat the registry of `imprint run`: a line for one scope, and the few that hold for every name whatever
 * the environment says. The client would fetch a claimed name from elsewhere without asking us, so that nothing is started
 * where one is set (X9, X14).
 *
 * Each client has files and a grammar of its own, in `settings/`; all of them are read, whichever client is about to run,
 * because the next one may be another. What cannot be read as its client reads it stops `run` and `serve`, too.
 *
 * For example `@alice:registry=https://npm.example.org/` in line 3 of a project's .npmrc, where the index alice is claimed
 * for `@alice/*`, is found as `{ scope: "@alice", where: "/shop/.npmrc line 3", … }`.
 */
import path from "node:path";
import { ImprintError, isImprintError } from "../errors.ts";
import { variablesThatSteer } from "./settings/environment.ts";
import { type Place, placesOf, placesOfLead } from "./settings/places.ts";
import type { Reading, Steer } from "./settings/steer.ts";
import type { Surroundings } from "./surroundings.ts";

const MAX_BYTES = 1024 * 1024;
/** Files that name further files. */
const MAX_FILES = 1000;
/** Findings of one file that are told. */
const MAX_TOLD = 100;

export type ScopeLine = {
  /** With its @; `*` where every name is meant, or where it is not known which. */ readonly scope: string;
  /** File and line, or the name of a variable. */ readonly where: string;
  /** What it does: a sentence that begins with `where`, without its full stop. */ readonly text: string;
  readonly fix: string;
  /** Whether it sends names away; else it is not known what it does. */ readonly isRead: boolean;
};

/** Whose settings count, and for which scopes: `ownerOf` names who answers for a scope, null where nobody is claimed for it. */
export type ScopesAt = { readonly folder: string; readonly ownerOf: (scope: string) => string | null };

/** @throws ImprintError SCOPE_REGISTRY, SETTINGS_UNCLEAR naming file and line */
export async function requireNoScopeLines(at: ScopesAt, surroundings: Surroundings): Promise<void> {
  const found = await findScopeLines(at, surroundings);
  const line = found.find(({ isRead }) => isRead) ?? found[0];
  if (line === undefined) return;
  if (!line.isRead) throw new ImprintError("SETTINGS_UNCLEAR", `Cannot start: ${line.text}`);
  const owner = at.ownerOf(line.scope) ?? "an index";
  throw new ImprintError(
    "SCOPE_REGISTRY",
    `Cannot start: ${line.text}, but ${line.scope === "*" ? "indices answer for some" : `${owner} answers for it`}`,
  );
}

/** All of them that are for claimed scopes, for every name, or unclear. */
export async function findScopeLines({ folder, ownerOf }: ScopesAt, surroundings: Surroundings): Promise<readonly ScopeLine[]> {
  const { cwd, env } = surroundings;
  const isClaimed = (scope: string): boolean => (ownerOf(scope) ?? ownerOf(scope.toLowerCase())) !== null;
  const found: ScopeLine[] = [...builtIn(ownerOf), ...ofEnvironment(env)];
  const homes = [env["HOME"], env["USERPROFILE"]].flatMap((home) => (home === undefined ? [] : [home]));
  const seen = new Set<string>();
  for (let places = await placesOf(folder, surroundings); places.length > 0;) {
    const fresh = [...new Map(places.map((place) => [place.file, place])).values()].filter(({ file }) => !seen.has(file));
    for (const { file } of fresh) seen.add(file);
    const readings = await Promise.all(fresh.map(async (place) => ({ place, reading: await readPlace(place, surroundings) })));
    for (const { place, reading } of readings) {
      const steers = reading.steers.filter((steer) => steer.kind !== "scope" || isClaimed(steer.scope));
      found.push(...steers.slice(0, MAX_TOLD).map((steer) => lineOf(place.file, steer)));
    }
    places = readings.flatMap(({ place, reading }) =>
      reading.leads.flatMap((lead) => placesOfLead(lead, [cwd, folder, path.dirname(place.file)], homes)),
    );
    const [next] = places;
    if (seen.size > MAX_FILES && next !== undefined)
      return [...found, unclearLine(next.file, "too many files with settings name one another; leave some out")];
  }
  return found.filter(({ scope }) => scope === "*" || isClaimed(scope));
}

async function readPlace({ file, read }: Place, { files, env }: Surroundings): Promise<Reading> {
  const unclear = (why: string): Reading => ({ steers: [{ kind: "unclear", line: () => 1, why }], leads: [] });
  let bytes: Uint8Array | null;
  try {
    bytes = await files.read(file, MAX_BYTES);
  } catch (error) {
    if (isImprintError(error, "TOO_LARGE")) return unclear("it is larger than 1 MiB; make it smaller");
    // A folder, or a file that this user may not read: the client can't read it either.
    if (isImprintError(error, "STORAGE_FAILED")) return { steers: [], leads: [] };
    throw error;
  }
  if (bytes === null) return { steers: [], leads: [] };
  // Bun goes by a mark of UTF-16; npm does not.
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff))
    return unclear("it is UTF-16; save it as UTF-8");
  // Clients put a replacement character for what is not UTF-8, and read on.
  return read(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes), env);
}

function lineOf(file: string, steer: Steer): ScopeLine {
  const where = `${file} line ${String(steer.line())}`;
  switch (steer.kind) {
    case "unclear":
      return unclearLine(where, steer.why);
    case "every":
      return everyLine(where, ` (${steer.setting})`, `remove ${where}`);
    case "scope":
      return scopeLine(where, steer.scope, `remove ${where}`);
  }
}

function ofEnvironment(env: NodeJS.ProcessEnv): readonly ScopeLine[] {
  return variablesThatSteer(env).map(({ name, means }): ScopeLine => {
    const where = `the environment variable ${name}`;
    if (means.kind === "unclear") return { ...unclearLine(where, `${means.why}; unset it`), fix: `unset ${name}` };
    return means.kind === "every" ? everyLine(where, "", `unset ${name}`) : scopeLine(where, means.scope, `unset ${name}`);
  });
}

/** pnpm, yarn 4 and deno have an address of their own for one scope, which no setting of a resolver replaces. */
function builtIn(ownerOf: (scope: string) => string | null): readonly ScopeLine[] {
  const owner = ownerOf("@jsr");
  // An index for every name has not asked for this one.
  if (owner === null || owner === ownerOf("@no-scope-of-anybody")) return [];
  const fix = "imprint remove the index, or claim other names";
  return [{ ...scopeLine("a built-in setting of pnpm, yarn 4 and deno", "@jsr", fix) }];
}

function scopeLine(where: string, scope: string, fix: string): ScopeLine {
  return { scope, where, text: `${where} sends ${scope} to a registry of its own`, fix, isRead: true };
}

function everyLine(where: string, setting: string, fix: string): ScopeLine {
  return { scope: "*", where, text: `${where} sends all names to a registry of its own${setting}`, fix, isRead: true };
}

function unclearLine(where: string, why: string): ScopeLine {
  return { scope: "*", where, text: `${where}: ${why}`, fix: `mend ${where}: ${why}`, isRead: false };
}
