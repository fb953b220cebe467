/**
 * What sends one scope to a registry of its own beats the environment of `imprint run`: the client would fetch a claimed
 * scope from elsewhere without asking us. Where that is set for a claimed scope, nothing is started (X9).
 *
 * Each client has a file and a spelling of its own; all of them are looked at, whichever client is about to run, because
 * the next one may be another.
 */
import { homedir } from "node:os";
import path from "node:path";
import { ImprintError } from "../../errors.ts";
import { textOf } from "../../format/bytes.ts";
import { isJsonObject, type JsonValue } from "../../format/json.ts";
import { claimedScopes, claimsEverything } from "../../registry/claims.ts";
import type { Deps } from "../deps.ts";
import { foldersUpward, type ProjectFiles } from "../project-files.ts";

const MAX_BYTES = 1024 * 1024;

export type ScopeLine = {
  /** With its @. */ readonly scope: string;
  /** File and line, or the name of a variable. */ readonly where: string;
};

type Stores = Pick<Deps, "files" | "cwd" | "env">;

/** Scopes that a file sends elsewhere, each with the text to look for when its line is named. */
type Reader = (text: string) => readonly string[] | Promise<readonly string[]>;

/** @throws ImprintError SCOPE_REGISTRY naming file and line */
export async function requireNoScopeLines(at: Pick<ProjectFiles, "project" | "folder">, stores: Stores): Promise<void> {
  const [found] = await findScopeLines(at, stores);
  if (found === undefined) return;
  throw new ImprintError(
    "SCOPE_REGISTRY",
    `Cannot start: ${found.where} sends ${found.scope} to a registry of its own, but ${claimedScopes(at.project).get(found.scope) ?? "an index"} answers for it`,
  );
}

/** All of them that are for claimed scopes. */
export async function findScopeLines(
  { project, folder }: Pick<ProjectFiles, "project" | "folder">,
  { files, cwd, env }: Stores,
): Promise<readonly ScopeLine[]> {
  const scopes = claimedScopes(project);
  const isClaimed = (scope: string): boolean => scopes.has(scope) || claimsEverything(project);
  const found: ScopeLine[] = scopesOfEnvironment(env).filter(({ scope }) => isClaimed(scope));
  for (const [file, read] of settingsFiles(folder, cwd, env)) {
    const text = textOf((await files.read(file, MAX_BYTES)) ?? new Uint8Array()) ?? "";
    if (text === "") continue;
    for (const scope of await read(text))
      if (isClaimed(scope)) found.push({ scope, where: `${file} line ${lineOf(text, scope.slice(1))}` });
  }
  return found;
}

function scopesOfEnvironment(env: NodeJS.ProcessEnv): ScopeLine[] {
  const found: ScopeLine[] = [];
  for (const [name, value = ""] of Object.entries(env)) {
    const where = `the environment variable ${name}`;
    const scope = /^p?npm_config_(@[^:]+):registry$/i.exec(name)?.[1];
    if (scope !== undefined) found.push({ scope, where });
    // pnpm 11 and later take whole maps by environment.
    if (/^pnpm_config_(registries|_auth)$/i.test(name))
      found.push(...scopesIn(parsed(() => JSON.parse(value))).map((one) => ({ scope: one, where })));
  }
  return found;
}

/** Every file in which a client of this project may find such a setting. */
function settingsFiles(folder: string, cwd: string, env: NodeJS.ProcessEnv): ReadonlyMap<string, Reader> {
  const setting = (name: string): string | undefined => env[`npm_config_${name}`] ?? env[`NPM_CONFIG_${name.toUpperCase()}`];
  const home = env["HOME"] ?? homedir();
  const config = env["XDG_CONFIG_HOME"] ?? path.join(home, ".config");
  const prefix = setting("prefix") ?? env["PREFIX"] ?? path.dirname(path.dirname(process.execPath));
  const upward = [...new Set([...foldersUpward(cwd), ...foldersUpward(folder)])];
  const all: [string, Reader][] = [
    ...upward.flatMap((at): [string, Reader][] => [
      [path.join(at, ".npmrc"), npmrcScopes],
      [path.join(at, ".yarnrc"), npmrcScopes],
      [path.join(at, env["YARN_RC_FILENAME"] ?? ".yarnrc.yml"), yarnScopes],
      [path.join(at, "pnpm-workspace.yaml"), pnpmScopes],
      [path.join(at, "bunfig.toml"), bunScopes],
      [path.join(at, "vlt.json"), vltScopes],
    ]),
    [setting("userconfig") ?? path.join(home, ".npmrc"), npmrcScopes],
    [setting("globalconfig") ?? path.join(prefix, "etc", "npmrc"), npmrcScopes],
    [path.join(home, ".yarnrc"), npmrcScopes],
    [path.join(home, env["YARN_RC_FILENAME"] ?? ".yarnrc.yml"), yarnScopes],
    [path.join(config, "pnpm", "rc"), npmrcScopes],
    [path.join(config, "pnpm", "auth.ini"), npmrcScopes],
    [path.join(config, "pnpm", "config.yaml"), pnpmScopes],
    [path.join(home, ".bunfig.toml"), bunScopes],
    [path.join(config, ".bunfig.toml"), bunScopes],
    [path.join(config, "vlt", "vlt.json"), vltScopes],
  ];
  return new Map(all);
}

/** `@alice:registry=…` of npm, pnpm, bun and deno; `"@alice:registry" "…"` of yarn 1. */
const LINE = /^\s*["']?(@[^:\s"']+):registry["']?\s*(?:[=\s]|$)/;

const npmrcScopes: Reader = (text) => text.split(/\r?\n/).flatMap((line) => LINE.exec(line)?.[1] ?? []);

/** yarn 4: `npmScopes: { alice: { npmRegistryServer } }`, scopes without their @. */
const yarnScopes: Reader = async (text) => {
  const scopes = memberOf(await yaml(text), "npmScopes");
  if (!isJsonObject(scopes)) return [];
  return Object.entries(scopes)
    .filter(([, settings]) => memberOf(settings, "npmRegistryServer") !== undefined)
    .map(([name]) => withAt(name));
};

/** pnpm 11 and later: `registries: { '@alice': url }`, or `{ url: { scopes: ['@alice'] } }`. */
const pnpmScopes: Reader = async (text) => scopesIn(memberOf(await yaml(text), "registries"));

/** bun: `[install.scopes]`, scopes with or without their @. */
const bunScopes: Reader = async (text) => {
  const { parse } = await import("smol-toml");
  const scopes = memberOf(
    memberOf(
      parsed(() => parse(text) as JsonValue),
      "install",
    ),
    "scopes",
  );
  return isJsonObject(scopes) ? Object.keys(scopes).map(withAt) : [];
};

const vltScopes: Reader = (text) => {
  const file = parsed(() => JSON.parse(text) as JsonValue);
  return [file, memberOf(file, "config")].flatMap((at) => scopesIn(memberOf(at, "scope-registries")));
};

async function yaml(text: string): Promise<JsonValue> {
  const { parse } = await import("yaml");
  return parsed(() => parse(text, { maxAliasCount: 100 }) as JsonValue);
}

/** A file that cannot be parsed stops the client whose file it is; that is for the client to say. */
function parsed(parse: () => JsonValue): JsonValue {
  try {
    return parse();
  } catch {
    return null;
  }
}

function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

/** Every scope that is a key or an item, at any depth. */
function scopesIn(value: JsonValue | undefined): readonly string[] {
  if (typeof value === "string") return value.startsWith("@") && value.length > 1 ? [value] : [];
  if (Array.isArray(value)) return value.flatMap(scopesIn);
  if (!isJsonObject(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) => [...scopesIn(key), ...scopesIn(inner)]);
}

function withAt(name: string): string {
  return name.startsWith("@") ? name : `@${name}`;
}

function lineOf(text: string, scope: string): number {
  const at = text.split(/\r?\n/).findIndex((line) => !/^\s*[#;]/.test(line) && line.includes(scope));
  return at + 1;
}
