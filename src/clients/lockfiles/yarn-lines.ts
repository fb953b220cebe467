/**
 * Lines of a yarn.lock, of yarn 1 and of yarn 4, in exactly the form in which yarn writes them. Both yarns read much more
 * than they write: entries that are only text, keys split at commas in several ways, the last of two equal keys, YAML with
 * anchors, tags and flow maps. What yarn does not write is refused with its line.
 *
 * `parseSyml`, yarn 4's own parser, must then come to the same tree.
 */
import { parseSyml } from "@yarnpkg/parsers";
import type { Fields, Tree } from "./grammar.ts";
import { type Refuse, shown } from "./locked.ts";

/** Levels that yarn writes: an entry, its members, what these hold, and settings of those. */
const MAX_LEVELS = 5;
const MAX_KEY_CHARS = 65_536;

export type YarnStyle = {
  /** Between a key and its value: `version "1.0.0"` of yarn 1, `version: 1.0.0` of yarn 4. */
  readonly separator: " " | ": ";
};

type Written = Map<string, Tree>;

export function parseYarnLines(source: string, { separator }: YarnStyle, refuse: Refuse): Fields {
  const root: Written = new Map();
  const levels: Written[] = [root];
  let pending: { readonly indent: number; readonly key: string } | null = null;
  for (const [i, raw] of source.split("\n").entries()) {
    const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    const wrong = (what = "is not as yarn writes it"): never => refuse(`line ${i + 1} ${what}: ${shown(line)}`);
    if (line === "" || line.startsWith("#")) {
      if (pending !== null) wrong();
      continue;
    }
    const indent = /^ */.exec(line)?.[0].length ?? 0;
    const rest = line.slice(indent);
    const level = indent / 2;
    if (!Number.isInteger(level) || level >= MAX_LEVELS || level >= levels.length) return wrong("is indented otherwise than yarn does");
    levels.length = level + 1;
    const into = levels[level] as Written;
    const open = (key: string): void => {
      const inner: Written = new Map();
      put(into, key, inner, wrong);
      levels.push(inner);
    };
    // yarn 4 writes keys of more than 1024 characters on a line of their own.
    if (pending !== null) {
      if (rest !== ":" || pending.indent !== indent) return wrong();
      open(pending.key);
      pending = null;
      continue;
    }
    if (separator === ": " && rest.startsWith("? ")) {
      const key = tokenOf(rest.slice(2));
      if (key === null || key.length <= 1024) return wrong();
      pending = { indent, key };
      continue;
    }
    if (rest.endsWith(":")) open(keyOf(rest.slice(0, -1), separator, level) ?? wrong());
    else {
      const [key, value] = pairOf(rest, separator) ?? wrong();
      if (level === 0) return wrong();
      put(into, key, value, wrong);
    }
  }
  if (pending !== null) return refuse("its last entry has no members");
  requireSameAsYarn(source, root, refuse);
  return root;
}

function put(into: Written, key: string, value: Tree, wrong: (what: string) => never): void {
  if (key.length > MAX_KEY_CHARS) wrong("has a key longer than any that yarn writes");
  if (into.has(key)) wrong("has a key that stands there already");
  into.set(key, value);
}

/** A plain word without anything that either parser could take for more, or a JSON string. */
function tokenOf(text: string): string | null {
  if (text.startsWith('"')) return jsonText(text);
  return /^[A-Za-z0-9_./@^~<>=|+$(][^\s"'#,:{}[\]\\]*(?:[:#][^\s"'#,:{}[\]\\]+)*$/.test(text) && !/^(?:true|false)/.test(text)
    ? text
    : null;
}

function jsonText(text: string): string | null {
  if (!/^"(?:[^"\\]|\\.)*"$/.test(text)) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "string" && !/[\p{Cc}]/u.test(value) ? value : null;
  } catch {
    return null;
  }
}

/** Of an entry, yarn 1 writes each range as a token of its own, yarn 4 all of them as one. */
function keyOf(text: string, separator: YarnStyle["separator"], level: number): string | null {
  if (separator === ": " || level > 0) return tokenOf(text);
  const tokens = text.split(/, (?=(?:[^"]*"[^"]*")*[^"]*$)/).map(tokenOf);
  // The parts stay apart by a separator that no token holds.
  return tokens.includes(null) || tokens.some((token) => token?.includes("\n")) ? null : tokens.join("\n");
}

function pairOf(text: string, separator: YarnStyle["separator"]): readonly [string, string] | null {
  const quoted = /^"(?:[^"\\]|\\.)*"/.exec(text)?.[0];
  const end = quoted === undefined ? text.indexOf(separator) : quoted.length;
  if (end <= 0 || !text.startsWith(separator, end)) return null;
  const key = tokenOf(text.slice(0, end));
  const after = text.slice(end + separator.length);
  const value = tokenOf(after) ?? plainValueOf(after, separator);
  return key === null || value === null ? null : [key, value];
}

/** yarn 1 writes `true` as a flag; yarn 4 leaves texts with spaces, commas and hashes in the middle bare. */
function plainValueOf(text: string, separator: YarnStyle["separator"]): string | null {
  if (text === "true" || text === "false") return text;
  if (separator === " ") return null;
  return /^[A-Za-z0-9_./^~<>=(+$][^"'#:{}[\]\\\t]*[^"'#:{}[\]\\\s]$/.test(text) ? text : null;
}

function requireSameAsYarn(source: string, root: Written, refuse: Refuse): void {
  let parsed: unknown;
  try {
    parsed = parseSyml(source);
  } catch (error) {
    return refuse("it is no lockfile of yarn", error);
  }
  const flat = new Map([...root].flatMap(([key, value]) => key.split("\n").map((one) => [one, value] as const)));
  if (!isSame(parsed, flat)) refuse("yarn's own parser reads it otherwise");
}

function isSame(theirs: unknown, ours: Tree): boolean {
  if (!(ours instanceof Map)) return (typeof theirs === "string" || typeof theirs === "boolean") && String(theirs) === ours;
  if (typeof theirs !== "object" || theirs === null) return ours.size === 0 && (theirs === undefined || theirs === "");
  const keys = Object.keys(theirs);
  return (
    keys.length === ours.size &&
    keys.every((key) => ours.has(key) && isSame((theirs as Readonly<Record<string, unknown>>)[key], ours.get(key) as Tree))
  );
}
