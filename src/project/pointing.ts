/** A project's own files made to lead to its resolver: settings of clients, lockfiles, and what this user's resolvers know. */
import path from "node:path";
import { planLocks, type LockChange } from "../clients/lock-addresses.ts";
import { isPointed, planPointing, planUnpointing, type Pointing, writePointing } from "../clients/pointing/point.ts";
import { resolverAddress } from "../clients/resolver-address.ts";
import { utf8 } from "../format/bytes.ts";
import { isPackageName } from "../format/names.ts";
import { policyOf } from "../format/policy.ts";
import type { Project } from "../format/project.ts";
import { aliasesOf, sourceOf } from "../registry/claims.ts";
import type { Files } from "../storage/files.ts";
import type { Layout } from "../storage/layout.ts";
import { rememberProject } from "./known-projects.ts";

type Stores = { readonly files: Files; readonly layout: Layout };

export type Plan = { readonly settings: Pointing; readonly locks: readonly LockChange[] };

/** `changed`: names of files. `locks`: how many addresses of which lockfile. */
export type Pointed = { readonly changed: readonly string[]; readonly locks: readonly Pick<LockChange, "file" | "count">[] };

const NOTHING: Pointed = { changed: [], locks: [] };

/** What is missing of it. */
export async function planOf(files: Pick<Files, "read" | "list">, folder: string, project: Project): Promise<Plan> {
  return { settings: await planPointing(files, folder, policyOf(project)), locks: await locksOf(files, folder, project) };
}

/** Lockfiles whose addresses lead a client elsewhere than to this project's resolver. */
export function locksOf(files: Pick<Files, "read">, folder: string, project: Project): Promise<readonly LockChange[]> {
  const isClaimed = (name: string): boolean => isPackageName(name) && aliasesOf(sourceOf(project, name)).length > 0;
  return planLocks(files, folder, { address: resolverAddress(policyOf(project)), isClaimed, upstream: project.upstream.registry });
}

/** Writes all of it: what `add` does. */
export async function pointProject(stores: Stores, folder: string, project: Project): Promise<Pointed> {
  await rememberProject(stores, folder, policyOf(project));
  return writePlan(stores.files, folder, await planOf(stores.files, folder, project));
}

/** The same where somebody pointed the project at a resolver before: what `sync` and `remove` mend. */
export async function mendPointing(stores: Stores, folder: string, project: Project): Promise<Pointed> {
  if (await isPointed(stores.files, folder)) return pointProject(stores, folder, project);
  await rememberProject(stores, folder, policyOf(project));
  return NOTHING;
}

/** Takes it back, where no index is left to answer. */
export async function unpointProject({ files }: Stores, folder: string, project: Project): Promise<Pointed> {
  return { changed: await writePointing(files, folder, await planUnpointing(files, folder, project.upstream.registry)), locks: [] };
}

async function writePlan(files: Files, folder: string, { settings, locks }: Plan): Promise<Pointed> {
  const changed = await writePointing(files, folder, settings);
  await writeLocks(files, folder, locks);
  return { changed: [...changed, ...locks.map(({ file }) => file)], locks: locks.map(({ file, count }) => ({ file, count })) };
}

export async function writeLocks(
  files: Files,
  folder: string,
  locks: readonly LockChange[],
): Promise<{ readonly locks: readonly LockChange[] }> {
  for (const { file, text } of locks) await files.writeAtomic(path.join(folder, file), utf8(text), { mode: 0o644 });
  return { locks };
}
