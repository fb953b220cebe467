/**
 * Settings in YAML, TOML and JSON: .yarnrc.yml of yarn 2 and later, pnpm-workspace.yaml and config.yaml of pnpm,
 * bunfig.toml, vlt.json. Each is read by the parser that its client uses, or by a stricter one; what the stricter one
 * refuses is unclear, even where the client would take it.
 */
import { type JsonValue, isJsonObject } from "../../format/json.ts";
import { parseJsonText } from "../../format/json-text.ts";
import { isImprintError } from "../../errors.ts";
import { lineAt, lineOfWords, type Lead, leadOf, type Reading, type Steer } from "./steer.ts";
import { expand } from "./variables.ts";
import { steersOf } from "./yarnrc.ts";

const NOTHING: Reading = { steers: [], leads: [] };

function unclear(line: () => number, why: string): Reading {
  return { steers: [{ kind: "unclear", line, why }], leads: [] };
}

/** Settings of one scope, or of all, that name an address: yarn asks the second one for what is vulnerable. */
const YARN_ADDRESSES = ["npmRegistryServer", "npmAuditRegistry"];

/**
 * yarn 2 and later: `npmScopes: { alice: { npmRegistryServer } }`, scopes without their @. Each level may be wrapped as
 * `{ onConflict, value }`, so that a scope may stand at any depth.
 */
export async function readYarnrcYml(text: string): Promise<Reading> {
  const { parseSyml } = await import("@yarnpkg/parsers");
  let settings: JsonValue;
  try {
    settings = parseSyml(text) as JsonValue;
  } catch (error) {
    return unclear(lineOfError(error, text), "yarn cannot read it as YAML; mend it there");
  }
  if (!isJsonObject(settings)) return NOTHING;
  const steers: Steer[] = [];
  for (const [key, value] of Object.entries(settings)) {
    // Yarn 1 takes arguments from this file, too.
    steers.push(...steersOf(key, typeof value === "string" ? value : "", lineOfWords(text, key)));
    if (key === "npmAuditRegistry" && isSet(value)) steers.push({ kind: "every", setting: key, line: lineOfWords(text, key) });
  }
  for (const name of keysAbove(settings["npmScopes"], YARN_ADDRESSES))
    steers.push({ kind: "scope", scope: withAt(name), line: lineOfWords(text, name, "npmScopes") });
  return { steers, leads: [] };
}

function isSet(value: JsonValue | undefined): boolean {
  return value !== undefined && value !== null && value !== "" && value !== "null";
}

/** js-yaml counts from 0, and names no place where a second document begins; yarn's own grammar counts from 1. */
function lineOfError(error: unknown, text: string): () => number {
  if (typeof error !== "object" || error === null) return () => 1;
  const mark = "mark" in error ? (error.mark as { readonly line?: number } | null | undefined) : undefined;
  const counted = mark?.line;
  if (counted !== undefined) return () => counted + 1;
  const location = "location" in error ? (error.location as { readonly start?: { readonly line?: number } } | undefined) : undefined;
  const line = location?.start?.line;
  return line === undefined ? lineOfWords(text, "---") : () => line;
}

/**
 * pnpm: `registries: { default: url, '@alice': url }`, or, from pnpm 12 on, `{ url: { scopes: ['@alice'] } }`. pnpm 10
 * replaces what the environment says by this map.
 */
export async function readPnpmYaml(text: string, env: NodeJS.ProcessEnv): Promise<Reading> {
  const { parseAllDocuments, visit } = await import("yaml");
  // js-yaml, which pnpm reads it with, gives up at once where values are nested without end; `yaml` takes minutes.
  const fault = await faultOfYaml(text);
  if (fault !== null) return fault;
  const documents = parseAllDocuments(text, { merge: true, uniqueKeys: true, logLevel: "silent" });
  const [document] = documents;
  if (document === undefined || !("contents" in document)) return NOTHING;
  const [doubt] = [...document.errors, ...document.warnings];
  if (doubt !== undefined) return unclear(lineAt(text, doubt.pos[0]), "it cannot be read as YAML; mend it there");
  const tags: number[] = [];
  visit(document, {
    Node: (_, node) => {
      if (node.tag !== undefined) tags.push(node.range?.[0] ?? 0);
    },
  });
  const [tag] = tags;
  if (tag !== undefined) return unclear(lineAt(text, tag), "it has a tag (!…), which readers take differently; remove that");
  let settings: JsonValue;
  try {
    settings = document.toJS({ maxAliasCount: 100 }) as JsonValue;
  } catch {
    return unclear(() => 1, "its aliases lead to too many values; write them out");
  }
  return isJsonObject(settings) ? pnpmReading(settings, text, env) : NOTHING;
}

async function faultOfYaml(text: string): Promise<Reading | null> {
  const { parseSyml } = await import("@yarnpkg/parsers");
  try {
    // Behind an empty line, comments do not make it take the file for a yarn.lock.
    parseSyml(`\n${text.replace(/^\uFEFF/u, "")}`);
    return null;
  } catch (error) {
    const line = lineOfError(error, text)();
    const isSeveral = error instanceof Error && /single document/u.test(error.message);
    return isSeveral
      ? unclear(() => line, "it holds several documents; leave one in the file")
      : unclear(() => Math.max(1, line - 1), "it cannot be read as YAML; mend it there");
  }
}

function pnpmReading(settings: { readonly [key: string]: JsonValue }, text: string, env: NodeJS.ProcessEnv): Reading {
  const steers: Steer[] = [];
  const leads: Lead[] = [];
  for (const [raw, value] of Object.entries(settings)) {
    const { texts, unset } = expand(raw, env);
    const line = lineOfWords(text, raw);
    if (unset) steers.push({ kind: "unclear", line, why: "its key holds a variable that is not set; write the key itself" });
    if (texts.includes("registries")) steers.push(...pnpmRegistries(value, text, line));
    if (typeof value === "string")
      for (const key of texts) leads.push(...expand(value, env).texts.flatMap((one) => leadOf(key, one) ?? []));
  }
  return { steers, leads };
}

function pnpmRegistries(value: JsonValue, text: string, line: () => number): readonly Steer[] {
  const scopes = scopesIn(value, new Set()).map((scope): Steer => ({ kind: "scope", scope, line: lineOfWords(text, scope) }));
  const isDefault = isJsonObject(value) && Object.hasOwn(value, "default");
  return isDefault ? [...scopes, { kind: "every", setting: "registries.default", line }] : scopes;
}

/** bun: `[install.scopes]`, scopes with or without their @. */
export async function readBunfig(source: string): Promise<Reading> {
  const { parse, TomlError } = await import("smol-toml");
  const text = source.replace(/^\uFEFF/u, "");
  try {
    const settings = parse(text) as JsonValue;
    return { steers: scopesOfTable(settings, text), leads: [] };
  } catch (error) {
    const line = error instanceof TomlError ? error.line : 1; // else it is nested too deeply
    return unclear(() => line, "it cannot be read as TOML; mend it there");
  }
}

function scopesOfTable(value: JsonValue | undefined, text: string): readonly Steer[] {
  if (Array.isArray(value)) return value.flatMap((item) => scopesOfTable(item, text));
  if (!isJsonObject(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const nested = scopesOfTable(inner, text);
    if (key !== "scopes") return nested;
    const names = [inner].flat().flatMap((table) => (isJsonObject(table) ? Object.keys(table) : []));
    return [...names.map((name): Steer => ({ kind: "scope", scope: withAt(name), line: lineOfWords(text, name, "scopes") })), ...nested];
  });
}

/** vlt: `scope-registries: { '@alice': url }`, at the top or below `config`. */
export function readVltJson(text: string): Reading {
  let file: JsonValue;
  try {
    file = parseJsonText(text).value;
  } catch (error) {
    if (!isImprintError(error, "CONFIG_INVALID")) throw error;
    const line = Number(/line (\d+)/u.exec(error.message)?.[1] ?? 1);
    return unclear(() => line, "it cannot be read as JSON; mend it there");
  }
  const places = [file, isJsonObject(file) ? file["config"] : undefined];
  const maps = places.flatMap((at) => (isJsonObject(at) ? [at["scope-registries"] ?? null] : []));
  const scopes = scopesIn(maps, new Set());
  return { steers: scopes.map((scope): Steer => ({ kind: "scope", scope, line: lineOfWords(text, scope) })), leads: [] };
}

/** Every scope that is a key or an item, at any depth. Aliases make one value stand in several places. */
export function scopesIn(value: JsonValue | undefined, seen: Set<JsonValue>): readonly string[] {
  if (typeof value === "string") return value.startsWith("@") && value.length > 1 ? [value] : [];
  if (typeof value !== "object" || value === null || seen.has(value)) return [];
  seen.add(value);
  if (Array.isArray(value)) return value.flatMap((item) => scopesIn(item, seen));
  return Object.entries(value).flatMap(([key, inner]) => [...scopesIn(key, seen), ...scopesIn(inner, seen)]);
}

/** Keys below which, at any depth, one of `wanted` is set. */
function keysAbove(value: JsonValue | undefined, wanted: readonly string[]): readonly string[] {
  const found = new Set<string>();
  const known = new Map<JsonValue, boolean>();
  const holds = (one: JsonValue): boolean => {
    if (typeof one !== "object" || one === null) return false;
    const before = known.get(one);
    if (before !== undefined) return before;
    known.set(one, false); // an anchor within itself
    let any = false;
    for (const [key, inner] of Object.entries(one)) {
      const below = holds(inner as JsonValue);
      if (below) found.add(key);
      any = any || below || (wanted.includes(key) && isSet(inner as JsonValue));
    }
    known.set(one, any);
    return any;
  };
  if (value !== undefined) holds(value);
  return [...found];
}

function withAt(name: string): string {
  return name.startsWith("@") ? name : `@${name}`;
}
