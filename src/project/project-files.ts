/** A consumer's committed files: imprint.json, imprint.lock, .npmrc. Found upward from where the user stands. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import path from "node:path";
import { foldersUpward } from "../clients/surroundings.ts";
import { ImprintError } from "../errors.ts";
import { LIMITS } from "../format/limits.ts";
import { EMPTY_PROJECT, formatLock, formatProject, type Lock, parseLock, parseProject, type Project } from "../format/project.ts";
import { requireNoConflicts } from "../registry/claims.ts";
import type { Files } from "../storage/files.ts";
import type { Layout } from "../storage/layout.ts";

export type ProjectFiles = {
  readonly folder: string;
  readonly project: Project;
  readonly lock: Lock;
  /** False where imprint.json is not there yet. */ readonly exists: boolean;
};

const MANIFEST = "imprint.json";
const LOCK = "imprint.lock";

/** The folder of the nearest imprint.json upward, else of the nearest package.json, else null. */
export function findProjectFolder(cwd: string): string | null {
  return findUpward(cwd, MANIFEST) ?? findUpward(cwd, "package.json");
}

function findUpward(cwd: string, file: string): string | null {
  return foldersUpward(cwd).find((folder) => existsSync(path.join(folder, file))) ?? null;
}

/** @throws ImprintError CONFIG_INVALID, CLAIMS_CONFLICT */
export async function readProjectFiles(files: Files, folder: string): Promise<ProjectFiles> {
  const manifest = path.join(folder, MANIFEST);
  const bytes = await files.read(manifest, LIMITS.projectBytes + 1);
  const project = bytes === null ? EMPTY_PROJECT : parseProject(bytes, manifest);
  requireNoConflicts(project, manifest);
  const lockBytes = await files.read(path.join(folder, LOCK), LIMITS.lockBytes + 1);
  return { folder, project, lock: lockBytes === null ? new Map() : parseLock(lockBytes, path.join(folder, LOCK)), exists: bytes !== null };
}

type Standing = { readonly files: Files; readonly cwd: string; readonly layout: Pick<Layout, "config">; readonly global?: boolean };

/**
 * Where the imprint.json is that counts here: the nearest one upward, alone; where there is none, or with `--global`, the
 * user's own. Two are never merged: a project means the same for everybody who has its files.
 */
export function policyFolder({ cwd, layout, global = false }: Standing): string {
  return (global ? null : findUpward(cwd, MANIFEST)) ?? layout.config;
}

/** Where `add` writes: like that, but a project that has only a package.json gets an imprint.json of its own. */
export function newPolicyFolder({ cwd, layout, global = false }: Standing): string {
  return (global ? null : findProjectFolder(cwd)) ?? layout.config;
}

/** Where a project's lockfiles and client settings are: beside the imprint.json that counts, unless that is the user's own. */
export function clientFolder({ cwd, layout }: Pick<Standing, "cwd" | "layout">, folder: string): string {
  return folder === layout.config ? (findUpward(cwd, "package.json") ?? path.resolve(cwd)) : folder;
}

/** What counts where the user stands. @throws ImprintError CONFIG_MISSING where there is nothing */
export async function requireProject(standing: Standing): Promise<ProjectFiles> {
  const found = await readProjectFiles(standing.files, policyFolder(standing));
  if (found.exists) return found;
  throw new ImprintError(
    "CONFIG_MISSING",
    standing.global === true
      ? `Cannot find the user's own imprint.json: there is none in ${found.folder}`
      : `Cannot find imprint.json in ${path.resolve(standing.cwd)} or above it`,
  );
}

/** @returns the names of the files that changed */
export async function writeProject(files: Files, folder: string, project: Project): Promise<readonly string[]> {
  requireNoConflicts(project);
  const bytes = formatProject(project);
  // Never one that the next command could not read: a claim that is gone may be one that an overlay needs.
  parseProject(bytes, MANIFEST);
  return writeIfChanged(files, path.join(folder, MANIFEST), bytes);
}

export async function writeLock(files: Files, folder: string, lock: Lock): Promise<readonly string[]> {
  return writeIfChanged(files, path.join(folder, LOCK), formatLock(lock));
}

async function writeIfChanged(files: Files, file: string, bytes: Uint8Array): Promise<readonly string[]> {
  const before = await files.read(file, Math.max(bytes.byteLength, LIMITS.projectBytes) + 1);
  if (before !== null && Buffer.compare(before, bytes) === 0) return [];
  await files.writeAtomic(file, bytes, { mode: 0o644 });
  return [path.basename(file)];
}

/** Changes whenever imprint.json or imprint.lock of a folder do. */
export async function projectStamp(files: Files, folder: string): Promise<string> {
  const hash = createHash("sha256");
  for (const name of [MANIFEST, LOCK]) {
    const bytes = (await files.read(path.join(folder, name), LIMITS.projectBytes + 1)) ?? new Uint8Array();
    hash.update(`${bytes.byteLength} `).update(bytes);
  }
  return hash.digest("hex");
}
