/**
 * Points a project's clients at the resolver by their own files, so that a forgotten `imprint run` fails closed (X8): .npmrc
 * for all that read it, .yarnrc.yml where the project uses yarn 2 or later, which does not. Never scope lines: they would
 * beat the environment of `imprint run`.
 */
import path from "node:path";
import { textOf, utf8 } from "../../format/bytes.ts";
import { LIMITS } from "../../format/limits.ts";
import type { Files } from "../../storage/files.ts";
import { DEFAULT_REGISTRY } from "../project-files.ts";

/** Changed file names, and the registry that stood there before if it was another one. */
export type Pointed = { readonly changed: readonly string[]; readonly replaced: string | null };

const NOTHING: Pointed = { changed: [], replaced: null };
const REGISTRY_LINE = /^[ \t]*registry[ \t]*=[ \t]*(\S*)[ \t]*$/m;
const YARNRC = ".yarnrc.yml";
const HOST = new URL(DEFAULT_REGISTRY).hostname;

export async function pointClients(files: Files, folder: string): Promise<Pointed> {
  const both = [await pointNpmrc(files, folder), await pointYarnrc(files, folder)];
  return {
    changed: both.flatMap(({ changed }) => changed),
    replaced: both.map(({ replaced }) => replaced).find((registry) => registry !== null) ?? null,
  };
}

/** The registry that an .npmrc names for all names; null: none. */
export function npmrcRegistry(text: string): string | null {
  return REGISTRY_LINE.exec(text)?.[1] ?? null;
}

/** What a project's files name, null where they name nothing; `yarnrc` is undefined where yarn 2 or later is not used. */
export async function namedRegistries(
  files: Files,
  folder: string,
): Promise<{ readonly npmrc: string | null; readonly yarnrc: string | null | undefined }> {
  const npmrc = npmrcRegistry((await textIn(files, path.join(folder, ".npmrc"))) ?? "");
  const text = await textIn(files, path.join(folder, YARNRC));
  if (text === null) return { npmrc, yarnrc: (await usesModernYarn(files, folder)) ? null : undefined };
  const { parseDocument } = await import("yaml");
  const document = parseDocument(text);
  const found: unknown =
    document.errors.length > 0 || document.contents === null || !("items" in document.contents) ? null : document.get("npmRegistryServer");
  return { npmrc, yarnrc: typeof found === "string" ? found : null };
}

async function textIn(files: Files, file: string, maxBytes: number = LIMITS.projectBytes): Promise<string | null> {
  const bytes = await files.read(file, maxBytes);
  return bytes === null ? null : (textOf(bytes) ?? "");
}

async function pointNpmrc(files: Files, folder: string): Promise<Pointed> {
  const file = path.join(folder, ".npmrc");
  const before = (await textIn(files, file)) ?? "";
  const line = `registry=${DEFAULT_REGISTRY}`;
  const found = npmrcRegistry(before);
  if (found === DEFAULT_REGISTRY) return NOTHING;
  const after =
    found === null ? `${before}${before === "" || before.endsWith("\n") ? "" : "\n"}${line}\n` : before.replace(REGISTRY_LINE, () => line);
  await files.writeAtomic(file, utf8(after), { mode: 0o644 });
  return { changed: [".npmrc"], replaced: found };
}

async function pointYarnrc(files: Files, folder: string): Promise<Pointed> {
  const file = path.join(folder, YARNRC);
  const before = await textIn(files, file);
  if (before === null && !(await usesModernYarn(files, folder))) return NOTHING;
  const { parseDocument } = await import("yaml");
  const document = parseDocument(before ?? "");
  // Yarn says what is wrong with its own file, and does not run with it either.
  if (document.errors.length > 0 || (document.contents !== null && !("items" in document.contents))) return NOTHING;
  const found: unknown = document.get("npmRegistryServer");
  // Yarn refuses plain http unless the host is on this list.
  const listed: unknown = document.get("unsafeHttpWhitelist");
  const hosts: unknown = typeof listed === "object" && listed !== null && "toJSON" in listed ? (listed.toJSON as () => unknown)() : [];
  const whitelist = Array.isArray(hosts) ? hosts.filter((host): host is string => typeof host === "string") : [];
  if (found === DEFAULT_REGISTRY && whitelist.includes(HOST)) return NOTHING;
  document.set("npmRegistryServer", DEFAULT_REGISTRY);
  document.set("unsafeHttpWhitelist", [...new Set([...whitelist, HOST])]);
  await files.writeAtomic(file, utf8(document.toString()), { mode: 0o644 });
  return { changed: [YARNRC], replaced: typeof found === "string" && found !== DEFAULT_REGISTRY ? found : null };
}

const MAX_LOCK_BYTES = LIMITS.lockfileBytes;

/** By what yarn 2 and later leave in a project: their lockfile, or the version that package.json pins. */
async function usesModernYarn(files: Files, folder: string): Promise<boolean> {
  const manifest = (await textIn(files, path.join(folder, "package.json"))) ?? "";
  if (/"packageManager"\s*:\s*"yarn@(?:[2-9]|[1-9]\d)/.test(manifest)) return true;
  return ((await textIn(files, path.join(folder, "yarn.lock"), MAX_LOCK_BYTES)) ?? "").includes("__metadata:");
}
