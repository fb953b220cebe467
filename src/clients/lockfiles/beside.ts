/**
 * What steers an installation beside the lockfile: requests of package.json files that a folder, a patch or another package
 * answers, settings of pnpm, yarn, bun and deno that do the same, and programs that a client loads when it installs.
 */
import path from "node:path";
import { parse as parseJsonc } from "jsonc-parser";
import { parse as parseYaml } from "yaml";
import { ImprintError } from "../../errors.ts";
import { textOf } from "../../format/bytes.ts";
import { isJsonObject, type JsonObject, type JsonValue, requireDepth } from "../../format/json.ts";
import { LIMITS } from "../../format/limits.ts";
import { isPublicName, type PublicName } from "../../format/names.ts";
import type { Files } from "../../storage/files.ts";
import { readManifest, workspaceFolders } from "./folders.ts";
import { type Origin, splitSpec } from "./locked.ts";

/** A name that something else than its registry answers for, by the project's own words. */
export type Steered = {
  /** Relative to the project. */
  readonly file: string;
  /** Path of keys in it. */
  readonly place: string;
  readonly name: PublicName;
  /** As it stands there. */
  readonly spec: string;
  /** Another package under this name; null where it is none. */
  readonly other: PublicName | null;
  readonly origin: Origin;
};
export type Beside = {
  readonly steered: readonly Steered[];
  /** Each a whole sentence. */
  readonly programs: readonly string[];
  /** Of workspaces, relative to the project. */
  readonly folders: readonly string[];
};

const MAX_BYTES = LIMITS.packageJsonBytes;
const KINDS = ["dependencies", "devDependencies", "optionalDependencies"];
/** Files that a client runs, or takes its whole tree from, when it installs or resolves. */
const PROGRAMS: Readonly<Record<string, string>> = {
  ".pnpmfile.cjs": "pnpm runs it when it installs",
  ".pnpmfile.mjs": "pnpm runs it when it installs",
  "pnpmfile.js": "pnpm runs it when it installs",
  ".pnp.cjs": "Node.js resolves packages through it",
  ".pnp.loader.mjs": "Node.js resolves packages through it",
};

/** @throws ImprintError CONFIG_INVALID where a file that counts cannot be read */
export async function readBeside(files: Files, root: string): Promise<Beside> {
  const steered: Steered[] = [];
  const programs: string[] = [];
  for (const [name, why] of Object.entries(PROGRAMS))
    if ((await files.list(root)).includes(name)) programs.push(`${name}: ${why}; nobody signs what it does`);
  const manifest = await readManifest(files, path.join(root, "package.json"));
  const pnpm = await yamlIn(files, root, "pnpm-workspace.yaml");
  const deno = (await jsoncIn(files, root, "deno.json")) ?? (await jsoncIn(files, root, "deno.jsonc"));
  const patterns = [...textsIn(manifest?.["workspaces"]), ...textsIn(pnpm?.["packages"]), ...textsIn(deno?.["workspace"])];
  const folders = await workspaceFolders(root, patterns);
  if (manifest !== null) steered.push(...ofManifest(manifest, "package.json", ".", new Map()));
  const members = new Map<string, string>();
  const manifests: [string, JsonObject][] = [];
  for (const folder of folders) {
    const member = await readManifest(files, path.join(root, folder, "package.json"));
    if (member === null) continue;
    manifests.push([folder, member]);
    const { name } = member;
    if (typeof name !== "string" || !isPublicName(name)) continue;
    members.set(name, folder);
    // Clients take a workspace for its name wherever its version fits.
    steered.push({ file: `${folder}/package.json`, place: "name", name, spec: name, other: null, origin: { kind: "folder", folder } });
  }
  for (const [folder, member] of manifests) steered.push(...ofManifest(member, `${folder}/package.json`, folder, members));
  if (pnpm !== null) steered.push(...ofPnpm(pnpm, "pnpm-workspace.yaml"));
  if (deno !== null) steered.push(...ofDeno(deno));
  programs.push(...(await programsOfSettings(files, root, pnpm)));
  return { steered, programs, folders };
}

function ofManifest(manifest: JsonObject, file: string, base: string, members: ReadonlyMap<string, string>): readonly Steered[] {
  const found: Steered[] = [];
  for (const kind of KINDS)
    for (const [name, spec] of entriesOf(manifest[kind])) found.push(...steeredBy(name, spec, file, `${kind} > ${name}`, base, members));
  const { pnpm } = manifest;
  found.push(
    ...overridesIn(manifest["overrides"], file, "overrides", base),
    ...overridesIn(manifest["resolutions"], file, "resolutions", base),
    ...patchesIn(manifest["patchedDependencies"], file, "patchedDependencies"),
    ...(isJsonObject(pnpm) ? ofPnpm(pnpm, file) : []),
  );
  return found;
}

function ofPnpm(settings: JsonObject, file: string): readonly Steered[] {
  const catalogs = settings["catalogs"];
  return [
    ...overridesIn(settings["overrides"], file, "overrides", "."),
    ...overridesIn(settings["catalog"], file, "catalog", "."),
    ...entriesOf(catalogs).flatMap(([name, catalog]) => overridesIn(catalog, file, `catalogs > ${name}`, ".")),
    ...patchesIn(settings["patchedDependencies"], file, "patchedDependencies"),
    ...overridesIn(settings["configDependencies"], file, "configDependencies", "."),
  ];
}

/** deno's import map: a bare specifier that leads elsewhere, and links to folders. */
function ofDeno(config: JsonObject): readonly Steered[] {
  const found: Steered[] = [];
  const imports = (map: JsonValue | undefined, place: string): void => {
    for (const [key, target] of entriesOf(map)) {
      const name = key
        .replace(/\/$/, "")
        .split("/")
        .slice(0, key.startsWith("@") ? 2 : 1)
        .join("/");
      if (!isPublicName(name) || typeof target !== "string") continue;
      const wanted = /^npm:\/?((?:@[^/@]+\/)?[^/@]+)/.exec(target)?.[1];
      if (wanted === name) continue;
      const other = wanted !== undefined && isPublicName(wanted) ? wanted : null;
      const origin: Origin = other === null ? { kind: "elsewhere" } : { kind: "registry" };
      found.push({ file: "deno.json", place: `${place} > ${key}`, name, spec: target, other, origin });
    }
  };
  imports(config["imports"], "imports");
  for (const [scope, map] of entriesOf(config["scopes"])) imports(map, `scopes > ${scope}`);
  return found;
}

function steeredBy(
  name: string,
  spec: JsonValue,
  file: string,
  place: string,
  base: string,
  members: ReadonlyMap<string, string> = new Map(),
): readonly Steered[] {
  if (!isPublicName(name) || typeof spec !== "string") return [];
  const one = (origin: Origin, other: PublicName | null = null): readonly Steered[] => [{ file, place, name, spec, other, origin }];
  const [, protocol, rest = ""] = /^(npm|file|link|portal|workspace|catalog|patch):(.*)$/s.exec(spec) ?? [];
  if (protocol === "catalog") return [];
  if (protocol === "npm") {
    const [target] = splitSpec(rest) ?? [rest];
    if (target === name || /^[\^~<>=|\s0-9xX*.v]/.test(rest)) return [];
    return isPublicName(target) ? one({ kind: "registry" }, target) : one({ kind: "elsewhere" });
  }
  if (protocol === "workspace") {
    const folder = members.get(name);
    return folder === undefined ? [] : one({ kind: "folder", folder });
  }
  if (protocol === "patch") return one({ kind: "patched", patch: rest });
  if (protocol !== undefined || /^(\.{1,2}|~)?\//.test(spec)) {
    const folder = path.posix.normalize(path.posix.join(base, protocol === undefined ? spec : rest)).replace(/(.)\/$/, "$1");
    return one(rest.startsWith("/") || spec.startsWith("/") || spec.startsWith("~") ? { kind: "elsewhere" } : { kind: "folder", folder });
  }
  // Ranges and tags have neither; git and tarball addresses, and `user/repository`, have one.
  return /[:/\\]/.test(spec) ? one({ kind: "elsewhere" }) : [];
}

/** npm's, bun's, yarn's and pnpm's: the last name in a key is what is replaced; `.` in npm's nested form is the key above. */
function overridesIn(value: JsonValue | undefined, file: string, place: string, base: string, above = ""): readonly Steered[] {
  return entriesOf(value).flatMap(([key, spec]) => {
    const name = key === "." ? above : lastNameIn(key);
    const at = `${place} > ${key}`;
    if (isJsonObject(spec)) return overridesIn(spec, file, at, base, name);
    if (typeof spec === "string" && (spec.startsWith("$") || spec === "-")) return [];
    return steeredBy(name, spec, file, at, base);
  });
}

function lastNameIn(key: string): string {
  const last = key.split(">").at(-1)?.trim() ?? "";
  const plain = /(?:^|\/)((?:@[^/@]+\/)?[^/@]+)(?:@.*)?$/.exec(last)?.[1];
  return plain ?? last;
}

function patchesIn(value: JsonValue | undefined, file: string, place: string): readonly Steered[] {
  return entriesOf(value).flatMap(([key, patch]) => {
    const [name] = splitSpec(key) ?? [key];
    if (!isPublicName(name)) return [];
    const spec = typeof patch === "string" ? patch : key;
    return [{ file, place: `${place} > ${key}`, name, spec, other: null, origin: { kind: "patched", patch: spec } as const }];
  });
}

/** Settings that name a program, or make the client read other files than those that are audited. */
async function programsOfSettings(files: Files, root: string, pnpm: JsonObject | null): Promise<readonly string[]> {
  const found: string[] = [];
  const name = (file: string, settings: JsonObject | null, keys: readonly string[]): void => {
    for (const key of keys)
      if (settings !== null && Object.hasOwn(settings, key)) found.push(`${file}: ${key} makes the client run or read what is not audited`);
  };
  name("pnpm-workspace.yaml", pnpm, ["pnpmfile", "globalPnpmfile", "configDependencies", "lockfileDir", "modulesDir", "virtualStoreDir"]);
  if (isFalse(pnpm?.["sharedWorkspaceLockfile"]))
    found.push("pnpm-workspace.yaml: with sharedWorkspaceLockfile off each workspace has a lockfile of its own, which is not audited here");
  name(".yarnrc.yml", await yamlIn(files, root, ".yarnrc.yml"), ["yarnPath", "plugins", "lockfileFilename", "checksumBehavior"]);
  const yarnrc = await textIn(files, root, ".yarnrc");
  for (const [, key] of (yarnrc ?? "").matchAll(/^\s*"?(yarn-path|yarn-offline-mirror|lastUpdateCheck-path)"?\s/gm))
    found.push(`.yarnrc: ${key ?? ""} makes the client run or read what is not audited`);
  return found;
}

function isFalse(value: JsonValue | undefined): boolean {
  return value === false || value === "false";
}

function entriesOf(value: JsonValue | undefined): readonly (readonly [string, JsonValue])[] {
  return isJsonObject(value) ? Object.entries(value) : [];
}

/** Strings of a list, or of the `packages` or `members` of an object. */
function textsIn(value: JsonValue | undefined): readonly string[] {
  const list = isJsonObject(value) ? (value["packages"] ?? value["members"]) : value;
  return Array.isArray(list) ? (list as readonly JsonValue[]).filter((one) => typeof one === "string") : [];
}

async function textIn(files: Files, root: string, name: string): Promise<string | null> {
  const bytes = await files.read(path.join(root, name), MAX_BYTES);
  return bytes === null ? null : (textOf(bytes) ?? refuse(path.join(root, name), "it is not UTF-8"));
}

async function yamlIn(files: Files, root: string, name: string): Promise<JsonObject | null> {
  const text = await textIn(files, root, name);
  if (text === null) return null;
  try {
    const value = parseYaml(text, { maxAliasCount: 100, merge: true }) as JsonValue;
    return isJsonObject(value) ? value : null;
  } catch (cause) {
    return refuse(path.join(root, name), "it is not YAML", cause);
  }
}

async function jsoncIn(files: Files, root: string, name: string): Promise<JsonObject | null> {
  const text = await textIn(files, root, name);
  if (text === null) return null;
  try {
    requireDepth(text, LIMITS.packageJsonDepth);
  } catch (cause) {
    return refuse(path.join(root, name), "it is nested too deeply", cause);
  }
  const errors: { readonly error: number }[] = [];
  const value = parseJsonc(text, errors as never[], { allowTrailingComma: true }) as JsonValue;
  if (errors.length > 0) return refuse(path.join(root, name), "it is not JSON with comments");
  return isJsonObject(value) ? value : null;
}

function refuse(file: string, what: string, cause?: unknown): never {
  throw new ImprintError("CONFIG_INVALID", `Cannot read ${file}: ${what}`, { cause });
}
