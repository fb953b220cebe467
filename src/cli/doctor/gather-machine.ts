/** Facts about this machine and the project's files, beside its indices. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { isImprintError } from "../../errors.ts";
import { textOf } from "../../format/bytes.ts";
import { isJsonObject, type JsonValue } from "../../format/json.ts";
import type { IndexId } from "../../format/digest.ts";
import { isPackageName, type PackageName } from "../../format/names.ts";
import type { Project, ProjectIndex } from "../../format/project.ts";
import { requireGit } from "../../git/system/run.ts";
import { isLeftover, listFilesOf } from "../../storage/inventory.ts";
import { npmrcRegistry } from "../../clients/pointing/npmrc.ts";
import { registryLines } from "../../clients/pointing/point.ts";
import { resolverAddress } from "../../clients/resolver-address.ts";
import { policyOf } from "../../format/policy.ts";
import { planOf } from "../../project/pointing.ts";
import type { Deps } from "../deps.ts";
import { looseFolders } from "../home.ts";
import type { RegistryFacts } from "./clients.ts";
import type { FolderFacts, ResolverFile } from "./machine.ts";

const MAX_BYTES = 1024 * 1024;

export async function gitFault(env: NodeJS.ProcessEnv): Promise<string | null> {
  try {
    await requireGit(env);
    return null;
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return error.message;
  }
}

/** Indices that no embedded git can read. */
export function sshOnly(indices: Iterable<readonly [string, Pick<ProjectIndex, "urls">]>): readonly string[] {
  return [...indices].filter(([, { urls }]) => urls.every((url) => !/^(?:sparse\+)?https?:/iu.test(url))).map(([alias]) => alias);
}

export async function resolverFiles({ files, layout }: Deps): Promise<readonly ResolverFile[]> {
  const names = await files.list(layout.resolvers);
  return Promise.all(
    names.map(async (name) => {
      const file = path.join(layout.resolvers, name);
      const value = await jsonIn(files, file);
      const pid = isJsonObject(value) && typeof value["pid"] === "number" && Number.isSafeInteger(value["pid"]) ? value["pid"] : null;
      return { file, pid, isAlive: pid !== null && pid > 0 && isAlive(pid) };
    }),
  );
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0); // asks, ends nothing
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** A folder that is not there yet is as writable as the nearest one above it. */
export async function folderFacts({ layout, env }: Deps): Promise<readonly FolderFacts[]> {
  const loose = looseFolders(layout, env);
  const folders = [...new Set([layout.config, layout.state, layout.cache, ...loose])];
  return Promise.all(
    folders.map(async (folder) => ({ path: folder, isWritable: await isWritable(folder), isLoose: loose.includes(folder) })),
  );
}

async function isWritable(folder: string): Promise<boolean> {
  try {
    await access(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch (error) {
    const parent = path.dirname(folder);
    return (error as NodeJS.ErrnoException).code === "ENOENT" && parent !== folder && isWritable(parent);
  }
}

export async function cacheFacts({ layout }: Deps): Promise<{ readonly bytes: number; readonly leftovers: number }> {
  const items = await listFilesOf(layout.cache);
  return { bytes: items.reduce((sum, { bytes }) => sum + bytes, 0), leftovers: items.filter(isLeftover).length };
}

/** Key files, the bridge key, and resolvers' secrets. Windows has no such modes. */
export async function secretModes(
  { files, layout }: Deps,
  platform: NodeJS.Platform,
): Promise<readonly { readonly file: string; readonly mode: number | null }[]> {
  const all = [
    ...(await files.list(layout.keys)).map((name) => path.join(layout.keys, name)),
    ...(await files.list(layout.resolvers)).map((name) => path.join(layout.resolvers, name)),
    layout.bridgeKey,
  ];
  return Promise.all(
    all.map(async (file) => ({ file, mode: platform === "win32" ? null : ((await stat(file).catch(() => null))?.mode ?? null) })),
  );
}

/** When this machine last wrote of what it has seen of these indices, in Unix milliseconds. */
export async function newestFileMs({ layout }: Deps, ids: readonly IndexId[]): Promise<number | null> {
  const items = (await Promise.all(ids.map((id) => listFilesOf(layout.trustedState(id))))).flat();
  return items.length === 0 ? null : Math.max(...items.map(({ lastUsedMs }) => lastUsedMs));
}

/** @param folder null: the user's own imprint.json counts, and the user's own .npmrc with it */
export async function registryFacts({ files, env }: Deps, folder: string | null, project: Project): Promise<RegistryFacts> {
  const address = resolverAddress(policyOf(project));
  if (folder === null) {
    const file = env["npm_config_userconfig"] ?? path.join(env["HOME"] ?? homedir(), ".npmrc");
    const registry = npmrcRegistry(textOf((await files.read(file, MAX_BYTES)) ?? new Uint8Array()) ?? "");
    return { address, lines: [{ file, registry }], fix: `npm config set registry ${address} --location=user`, isOwn: true, behind: [] };
  }
  const { settings, locks } = await planOf(files, folder, project);
  return {
    address,
    lines: await registryLines(files, folder),
    fix: "imprint sync",
    isOwn: false,
    behind: [...settings.writes.keys(), ...locks.map(({ file }) => file)],
  };
}

const LEFT_BY = [
  ["pnpm", ["pnpm-lock.yaml", "pnpm-workspace.yaml"]],
  ["yarn", [".yarnrc.yml"]],
  ["deno", ["deno.lock", "deno.json", "deno.jsonc"]],
] as const;

export async function clientsOf(folder: string): Promise<readonly ("pnpm" | "yarn" | "deno")[]> {
  const found = await Promise.all(LEFT_BY.map(async ([client, names]) => ((await thereOf(folder, names)).length > 0 ? [client] : [])));
  return found.flat();
}

/** What vlt leaves: `imprint run` refuses it. */
export function leftByVlt(folder: string): Promise<readonly string[]> {
  return thereOf(folder, ["vlt-lock.json", "vlt.json"]);
}

async function thereOf(folder: string, names: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(
    names.map((name) =>
      access(path.join(folder, name)).then(
        () => [name],
        () => [],
      ),
    ),
  );
  return found.flat();
}

/** Names that package.json depends on; none where it cannot be read. */
export async function dependenciesOf({ files }: Pick<Deps, "files">, folder: string): Promise<readonly PackageName[]> {
  const manifest = await jsonIn(files, path.join(folder, "package.json"));
  if (!isJsonObject(manifest)) return [];
  const names = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"].flatMap((member) => {
    const list = Object.hasOwn(manifest, member) ? manifest[member] : undefined;
    return isJsonObject(list) ? Object.keys(list) : [];
  });
  return [...new Set(names)].filter(isPackageName);
}

async function jsonIn(files: Deps["files"], file: string): Promise<JsonValue> {
  try {
    return JSON.parse(textOf((await files.read(file, MAX_BYTES)) ?? new Uint8Array()) ?? "") as JsonValue;
  } catch {
    return null; // not there, cut short, or too large: nothing to learn from it
  }
}
