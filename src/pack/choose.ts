/**
 * Which package manager a folder's package is packed with: the one that its project uses, because only that one knows
 * the project's settings and can turn its workspace: and catalog: ranges into real ones.
 *
 * Asked in this order, each from the package's folder upward: `packageManager`, else `devEngines.packageManager`, of the
 * nearest package.json that has either; the nearest lockfile; npm. Nothing above the git repository is asked: a file
 * that lies there is no part of the project, and may be anybody's.
 */
import { open, stat } from "node:fs/promises";
import path from "node:path";
import semver from "semver";
import { errnoOf, ImprintError, isImprintError } from "../errors.ts";
import { isJsonObject } from "../format/json.ts";
import type { JsonObject, JsonValue } from "../format/json.ts";
import { isProgram, type ManagerName, type Program, PROGRAMS } from "./managers.ts";
import { readPackageJson } from "./package-json.ts";
import { quote } from "./refuse.ts";

export type Choice = {
  readonly program: Program;
  /** Which of the two unlike yarns; null: whichever is installed, and for the others. */
  readonly yarn: Extract<ManagerName, `yarn ${string}`> | null;
  /** What decided, for messages. */
  readonly from: string;
  /** Lockfiles of other package managers beside the one that decided. */
  readonly ignored: readonly string[];
};

/** Lockfiles of the package managers that pack. */
export const LOCKFILES_OF: readonly (readonly [file: string, program: Program])[] = [
  ["package-lock.json", "npm"],
  ["npm-shrinkwrap.json", "npm"],
  ["pnpm-lock.yaml", "pnpm"],
  ["yarn.lock", "yarn"],
  ["bun.lock", "bun"],
  ["bun.lockb", "bun"],
];

const MARKERS: readonly (readonly [file: string, program: Program])[] = [
  ...LOCKFILES_OF,
  // Only pnpm has one, and a repository may keep no lockfile.
  ["pnpm-workspace.yaml", "pnpm"],
];

/** Both yarns put what tells them apart into the first lines. */
const LOCKFILE_HEAD_BYTES = 4096;

/** @throws ImprintError PACKAGE_REFUSED for a package manager that can't be used; FILE_UNREADABLE */
export async function chooseManager(dir: string): Promise<Choice> {
  const folders = await foldersUp(path.resolve(dir));
  for (const folder of folders) {
    const declared = await declaredIn(folder, folder === folders[0]);
    if (declared !== null) return declared;
  }
  for (const folder of folders) {
    const locked = await lockedIn(folder);
    if (locked !== null) return locked;
  }
  return { program: "npm", yarn: null, from: "no lockfile and no packageManager field say otherwise", ignored: [] };
}

/** From `dir` to the top of its git repository, or of the file system. */
async function foldersUp(dir: string): Promise<readonly string[]> {
  const folders: string[] = [];
  for (let folder = dir; ; folder = path.dirname(folder)) {
    folders.push(folder);
    if (folder === path.dirname(folder) || (await exists(path.join(folder, ".git")))) return folders;
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch {
    return false; // unreadable is as good as absent: nothing is decided by it
  }
}

async function declaredIn(folder: string, isPackage: boolean): Promise<Choice | null> {
  let packageJson: JsonObject;
  try {
    packageJson = await readPackageJson(folder);
  } catch (error) {
    if (!isPackage && isImprintError(error, "FILE_UNREADABLE") && errnoOf(error.cause) === "ENOENT") return null;
    throw error;
  }
  const file = path.join(folder, "package.json");
  const field = packageJson["packageManager"];
  if (field !== undefined) {
    const [, name = "", version = null] = typeof field === "string" ? (/^([^@]+)(?:@(.*))?$/s.exec(field) ?? []) : [];
    return choice(name, version, `packageManager of ${file}`, field);
  }
  const engines = packageJson["devEngines"];
  const engine = isJsonObject(engines) ? engines["packageManager"] : undefined;
  if (engine === undefined) return null;
  // A list means any of them.
  const engineList = (Array.isArray(engine) ? (engine as readonly JsonValue[]) : [engine]).filter(isJsonObject);
  const usable = engineList.find(({ name }) => typeof name === "string" && isProgram(name)) ?? engineList[0];
  const [name, version] = [usable?.["name"], usable?.["version"]];
  return choice(typeof name === "string" ? name : "", typeof version === "string" ? version : null, `devEngines of ${file}`, engine);
}

function choice(name: string, version: string | null, from: string, value: JsonValue): Choice {
  if (!isProgram(name))
    throw new ImprintError(
      "PACKAGE_REFUSED",
      `Cannot pack with ${quote(typeof value === "string" ? value : JSON.stringify(value))} (${from}): imprint knows ${PROGRAMS.join(", ")}; pack it yourself and publish the .tgz`,
    );
  return { program: name, yarn: name === "yarn" && version !== null ? yarnOf(version) : null, from, ignored: [] };
}

/** `4.18.1+sha512.…`, or a range; an address says nothing. */
function yarnOf(version: string): Choice["yarn"] {
  const range = semver.validRange(version);
  if (range === null || range === "*") return null;
  return semver.intersects(range, "<2.0.0-0") ? "yarn 1" : "yarn 2+";
}

async function lockedIn(folder: string): Promise<Choice | null> {
  const there: (readonly [file: string, program: Program])[] = [];
  for (const [file, program] of MARKERS) if (await exists(path.join(folder, file))) there.push([file, program]);
  const [first] = there;
  if (first === undefined) return null;
  const [file, program] = first;
  const ignored = there.filter(([, other]) => other !== program).map(([other]) => other);
  return { program, yarn: program === "yarn" ? await yarnOfLockfile(folder) : null, from: path.join(folder, file), ignored };
}

async function yarnOfLockfile(folder: string): Promise<Choice["yarn"]> {
  const file = await open(path.join(folder, "yarn.lock"));
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LOCKFILE_HEAD_BYTES), 0, LOCKFILE_HEAD_BYTES, 0);
    const head = buffer.toString("utf8", 0, bytesRead);
    if (/^__metadata:/m.test(head)) return "yarn 2+";
    if (head.includes("# yarn lockfile v1")) return "yarn 1";
    return (await exists(path.join(folder, ".yarnrc.yml"))) ? "yarn 2+" : null;
  } finally {
    await file.close();
  }
}
