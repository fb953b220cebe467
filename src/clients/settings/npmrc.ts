/**
 * .npmrc as npm, pnpm, yarn 1, bun and deno read it. npm's and pnpm's parser is the library `ini`, whose grammar this is: a
 * lone CR ends a line, quoted keys are JSON, `;` and `#` begin comments anywhere, `\` escapes them, `[]` makes a list.
 *
 * The others differ in small ways, so that a key counts under each reading that some client has of it, whatever section
 * it stands in: npm and pnpm expand variables in keys, yarn 1, bun and deno do not; bun and deno end a line elsewhere. What
 * only some of them could decode is unclear.
 */
import { isLeading, type Lead, leadOf, type Reading, scopesOfKey, type Steer } from "./steer.ts";
import { expand } from "./variables.ts";

/** Far beyond any name of a setting; below it, each of these patterns is fast. */
const MAX_KEY = 2000;
/** Of a path, in characters. */
const MAX_VALUE = 10_000;

export function readNpmrc(text: string, env: NodeJS.ProcessEnv): Reading {
  const steers: Steer[] = [];
  const leads: Lead[] = [];
  for (const { key, value, line: number } of linesOf(text)) {
    const line = (): number => number;
    const unclear = (why: string): void => void steers.push({ kind: "unclear", line, why });
    if (key.length > MAX_KEY) {
      unclear(`its key is longer than ${String(MAX_KEY)} characters; shorten it`);
      continue;
    }
    const expanded = keysOf(key).map((one) => expand(one, env));
    const keys = [...new Set(expanded.flatMap(({ texts }) => texts.map((one) => one.trim().replace(/\[\]$/u, ""))))];
    for (const scope of new Set(keys.flatMap(scopesOfKey))) steers.push({ kind: "scope", scope, line });
    // A token of a host is no key that steers, and often holds variables.
    if (keys.every((one) => one.startsWith("//"))) continue;
    if (expanded.some(({ unset }) => unset)) unclear("its key holds a variable that is not set; write the key itself");
    if (isOddlyQuoted(key)) unclear("its quoted key is no JSON string; write it without escapes");
    const leading = keys.filter(isLeading);
    if (leading.length === 0) continue;
    if (value.length > MAX_VALUE) unclear("it names a file by a path that is too long; shorten it");
    else leads.push(...leading.flatMap((one) => valuesOf(value, env).flatMap((path) => leadOf(one, path) ?? [])));
  }
  return { steers, leads };
}

type IniLine = { readonly key: string; readonly value: string; readonly line: number };

/** Keys with their values, raw; sections as keys without one, because some client may take them for that. */
function* linesOf(text: string): Generator<IniLine> {
  let line = 1;
  for (const [part] of text.matchAll(/\r\n|\r|\n|[^\r\n]+/gu)) {
    if (/^[\r\n]/u.test(part)) {
      line++;
      continue;
    }
    if (/^\s*[;#]/u.test(part)) continue;
    const section = /^\[([^\]]*)\]\s*$/u.exec(part)?.[1];
    const at = part.indexOf("=");
    const key = section ?? (at < 0 ? part : part.slice(0, at));
    if (key.trim() !== "") yield { key, value: section !== undefined || at < 0 ? "" : part.slice(at + 1), line };
  }
}

/** The key as npm reads it, as written between its quotes, and without any of its escapes. */
function keysOf(raw: string): readonly string[] {
  const bare = raw.trim().replaceAll(/^["']+|["']+$/gu, "");
  return [...new Set([unquoted(raw), bare, unescaped(bare), bare.replaceAll("\\", "")])];
}

function valuesOf(raw: string, env: NodeJS.ProcessEnv): readonly string[] {
  const { texts } = expand(unquoted(raw), env);
  return texts.map((text) => text.trim().replaceAll(/^"+|"+$/gu, ""));
}

function isQuoted(text: string): boolean {
  return (text.startsWith('"') && text.endsWith('"')) || (text.startsWith("'") && text.endsWith("'"));
}

/** `unsafe` of npm's `ini`. */
function unquoted(raw: string): string {
  const text = raw.trim();
  if (!isQuoted(text)) return unescaped(text);
  const inner = text.startsWith("'") ? text.slice(1, -1) : text;
  return keyOfJson(parsed(inner)) ?? inner;
}

/** As JavaScript makes a key of it: `'["@alice:registry"]'` is one for npm. */
function keyOfJson(json: unknown): string | null {
  if (typeof json === "string") return json;
  return Array.isArray(json) ? json.map((item) => keyOfJson(item) ?? "").join(",") : null;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}

/** Up to the first `;` or `#` that no backslash escapes. */
function unescaped(text: string): string {
  let out = "";
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === ";" || char === "#") break;
    const next = text.charAt(at + 1);
    if (char === "\\" && ["\\", ";", "#"].includes(next)) {
      out += next;
      at++;
    } else out += char;
  }
  return out.trim();
}

/** A JSON string has one meaning everywhere; other escapes have one in each client. */
function isOddlyQuoted(raw: string): boolean {
  const text = raw.trim();
  return /^["']/u.test(text) && text.includes("\\") && typeof parsed(text) !== "string" && typeof parsed(text.slice(1, -1)) !== "string";
}
