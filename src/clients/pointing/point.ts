/**
 * Points a project's clients at its resolver by their own files, so that a forgotten `imprint run` fails closed (X8), and keeps
 * each policy's cache apart from others' (X11): pnpm 10 and yarn keep what a registry said by its host name alone, and yarn 1
 * what it downloaded by a package's name. npm, bun and deno keep whole addresses, and so the policy.
 *
 * What is written is planned first: `doctor` asks for the same plan and says what is missing of it.
 */
import path from "node:path";
import { utf8 } from "../../format/bytes.ts";
import type { Policy } from "../../format/policy.ts";
import type { Files } from "../../storage/files.ts";
import { parseResolverAddress, RESOLVER_HOST, resolverAddress } from "../resolver-address.ts";
import { type ClientName, clientsOf, textIn } from "./files.ts";
import { npmrcRegistry, pointNpmrc, unpointNpmrc } from "./npmrc.ts";
import { withYarnrc, yarnrcRegistry } from "./yarnrc.ts";

/** Files to write, by name; null: to remove. `replaced`: the registry that stood there and was not ours. */
export type Pointing = { readonly writes: ReadonlyMap<string, string | null>; readonly replaced: string | null };

/** A registry line of a file that clients read. */
export type RegistryLine = { readonly file: string; readonly registry: string | null };

const NPMRC = ".npmrc";
const YARNRC = ".yarnrc";
const YARNRC_YML = ".yarnrc.yml";
const PNPM = "pnpm-workspace.yaml";
const BUNFIG = "bunfig.toml";
/** In the project, since only relative paths mean the same to every client and on every machine. */
const FOLDER = ".imprint";
const IGNORE = `${FOLDER}/.gitignore`;

type Found = Pick<Files, "read" | "list">;

/** What the project's files name, each null where it names nothing; only of clients that the project uses. */
export async function registryLines(files: Found, folder: string): Promise<readonly RegistryLine[]> {
  const clients = await clientsOf(files, folder);
  const text = async (name: string): Promise<string> => (await textIn(files, path.join(folder, name))) ?? "";
  const lines: RegistryLine[] = [{ file: NPMRC, registry: npmrcRegistry(await text(NPMRC)) }];
  const yarnrc = yarnrcRegistry(await text(YARNRC));
  if (yarnrc !== null) lines.push({ file: YARNRC, registry: yarnrc });
  if (clients.has("yarn")) {
    const { openSettings, stringIn } = await import("./yaml-settings.ts");
    const document = openSettings(await text(YARNRC_YML));
    lines.push({ file: YARNRC_YML, registry: document === null ? null : stringIn(document, "npmRegistryServer") });
  }
  const bunfig = bunRegistry(await text(BUNFIG));
  if (bunfig !== null) lines.push({ file: BUNFIG, registry: bunfig });
  return lines;
}

/** Whether any of the project's files names a resolver of this machine, of whichever policy: somebody has pointed it here. */
export async function isPointed(files: Found, folder: string): Promise<boolean> {
  return (await registryLines(files, folder)).some(({ registry }) => registry !== null && parseResolverAddress(registry) !== null);
}

/** @returns what must be written so that every client of the project asks the resolver of this policy */
export async function planPointing(files: Found, folder: string, policy: Policy): Promise<Pointing> {
  const clients = await clientsOf(files, folder);
  const address = resolverAddress(policy);
  const writes = new Map<string, string | null>();
  const replaced: string[] = [];
  const noteReplaced = (registry: string | null): void => {
    if (registry !== null && parseResolverAddress(registry) === null) replaced.push(registry);
  };
  const change = async (name: string, make: (before: string) => string | null | Promise<string | null>): Promise<void> => {
    const before = await textIn(files, path.join(folder, name));
    const after = await make(before ?? "");
    if (after !== null && after !== (before ?? "")) writes.set(name, after);
  };
  await change(NPMRC, (before) => {
    noteReplaced(npmrcRegistry(before));
    return pointNpmrc(before, address);
  });
  if (clients.has("yarn 1"))
    await change(YARNRC, (before) => {
      const registry = yarnrcRegistry(before);
      noteReplaced(registry);
      return withYarnrc(before, { ...(registry === null ? {} : { registry: address }), "cache-folder": cacheFolder(policy, "yarn 1") });
    });
  if (clients.has("yarn"))
    await changeYaml(change, YARNRC_YML, (get) => {
      const found = get("npmRegistryServer");
      noteReplaced(typeof found === "string" ? found : null);
      const listed = get("unsafeHttpWhitelist");
      const hosts = Array.isArray(listed) ? listed.filter((host): host is string => typeof host === "string") : [];
      // Yarn refuses plain http unless the host is on this list.
      return {
        npmRegistryServer: address,
        unsafeHttpWhitelist: [...new Set([...hosts, RESOLVER_HOST])],
        httpRetry: 0,
        globalFolder: cacheFolder(policy, "yarn"),
      };
    });
  if (clients.has("pnpm")) await changeYaml(change, PNPM, () => ({ cacheDir: cacheFolder(policy, "pnpm"), fetchRetries: 0 }));
  await change(BUNFIG, (before) => {
    const registry = bunRegistry(before);
    noteReplaced(registry);
    return registry === null ? null : before.replace(BUN_REGISTRY, (_, head: string) => `${head}"${address}"`);
  });
  if (needsFolder(clients)) await change(IGNORE, () => "# caches of package managers, one for each policy\n*\n!.gitignore\n");
  return { writes, replaced: replaced[0] ?? null };
}

/** @param registry what the public names come from, where it is written in imprint.json */
export async function planUnpointing(files: Found, folder: string, registry: string | undefined): Promise<Pointing> {
  const writes = new Map<string, string | null>();
  if (!(await isPointed(files, folder))) return { writes, replaced: null };
  const change = async (name: string, make: (before: string) => string | null | Promise<string | null>): Promise<void> => {
    const before = await textIn(files, path.join(folder, name));
    const after = before === null ? null : await make(before);
    if (after !== null && after !== before) writes.set(name, after === "" ? null : after);
  };
  const isOwn = (value: unknown): boolean => typeof value === "string" && parseResolverAddress(value) !== null;
  await change(NPMRC, (before) => unpointNpmrc(before, registry));
  await change(YARNRC, (before) =>
    withYarnrc(before, { "cache-folder": undefined, ...(isOwn(yarnrcRegistry(before)) ? { registry } : {}) }),
  );
  await changeYaml(change, YARNRC_YML, (get) =>
    isOwn(get("npmRegistryServer"))
      ? { npmRegistryServer: registry, unsafeHttpWhitelist: undefined, httpRetry: undefined, globalFolder: undefined }
      : {},
  );
  await changeYaml(change, PNPM, (get) =>
    String(get("cacheDir")).startsWith(`./${FOLDER}/`) ? { cacheDir: undefined, fetchRetries: undefined } : {},
  );
  await change(BUNFIG, (before) =>
    isOwn(bunRegistry(before))
      ? before.replace(BUN_REGISTRY, (_, head: string) => (registry === undefined ? "" : `${head}"${registry}"`))
      : null,
  );
  await change(IGNORE, () => "");
  return { writes, replaced: null };
}

/** @returns the names of the files that changed */
export async function writePointing(files: Files, folder: string, { writes }: Pick<Pointing, "writes">): Promise<readonly string[]> {
  for (const [name, text] of writes) {
    const file = path.join(folder, name);
    if (text === null) await files.remove(file);
    else await files.writeAtomic(file, utf8(text), { mode: 0o644 });
  }
  return [...writes.keys()];
}

type Change = (name: string, make: (before: string) => Promise<string | null>) => Promise<void>;

async function changeYaml(
  change: Change,
  name: string,
  make: (get: (key: string) => unknown) => Readonly<Record<string, unknown>>,
): Promise<void> {
  await change(name, async (before) => {
    const { openSettings, withSettings } = await import("./yaml-settings.ts");
    const document = openSettings(before);
    if (document === null) return null;
    const get = (key: string): unknown => {
      const found: unknown = document.contents === null ? undefined : document.get(key);
      return typeof found === "object" && found !== null && "toJSON" in found ? (found.toJSON as () => unknown)() : found;
    };
    const members = make(get);
    const isSame = Object.entries(members).every(([key, value]) => JSON.stringify(get(key)) === JSON.stringify(value));
    return isSame ? null : withSettings(document, members);
  });
}

const CACHED: Readonly<Partial<Record<ClientName, string>>> = { pnpm: "pnpm", yarn: "yarn", "yarn 1": "yarn-1" };

function needsFolder(clients: ReadonlySet<ClientName>): boolean {
  return [...clients].some((client) => CACHED[client] !== undefined);
}

function cacheFolder(policy: Policy, client: ClientName): string {
  return `./${FOLDER}/${policy}/${CACHED[client] ?? client}`;
}

/** bun reads .npmrc, too, but a registry of its own file beats that. */
const BUN_REGISTRY = /^(\s*registry\s*=\s*)(?:"([^"\n]*)"|'([^'\n]*)')/m;

function bunRegistry(text: string): string | null {
  const [, , double, single] = BUN_REGISTRY.exec(text) ?? [];
  return double ?? single ?? null;
}
