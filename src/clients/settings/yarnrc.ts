/**
 * .yarnrc of yarn 1: the grammar of its lockfile. Beside settings it holds arguments, `--registry "…"` for all commands and
 * `--install.registry "…"` for one, which beat every other setting and the environment.
 *
 * Where yarn 1 does not understand such a file, it reads it as YAML. We do not: the line is named, and what to write.
 */
import { lineAt, type Reading, scopesOfKey, type Steer } from "./steer.ts";

type Token = {
  readonly type: "string" | "value" | "colon" | "comma" | "newline" | "indent" | "end" | "invalid";
  readonly value: string;
  readonly at: number;
};

export function readYarnrc(source: string): Reading {
  const text = source.replace(/^\uFEFF/u, "");
  try {
    return { steers: propertiesOf(text).flatMap(({ key, value, at }) => steersOf(key, value, lineAt(text, at))), leads: [] };
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    const why = 'yarn 1 does not understand it; write one setting a line, as "registry" "https://…", each in double quotes';
    return { steers: [{ kind: "unclear", line: lineAt(text, error.at), why }], leads: [] };
  }
}

/** What a setting of yarn 1 steers; also used for .yarnrc.yml, which yarn 1 reads for arguments. */
export function steersOf(key: string, value: string, line: () => number): readonly Steer[] {
  const scopes = scopesOfKey(key).map((scope): Steer => ({ kind: "scope", scope, line }));
  const argument = /^--(?:[^.]+\.)?(.*)$/su.exec(key)?.[1];
  if (argument === undefined) return scopes;
  if ([argument, key.slice(2)].some((one) => /^registry(=|$)/u.test(one))) return [...scopes, { kind: "every", setting: key, line }];
  if (/^(cwd|use-yarnrc)(=|$)/u.test(argument))
    return [
      ...scopes,
      { kind: "unclear", line, why: `it makes yarn 1 read other settings (${key}); remove it and say so on the command line` },
    ];
  // The value stands beside it on the command line, where it could be an argument of its own.
  if (value.startsWith("-"))
    return [...scopes, { kind: "unclear", line, why: "its value is an argument; write that on a line of its own" }];
  return scopes;
}

class Unreadable extends Error {
  readonly at: number;
  constructor(at: number) {
    super("not the grammar of a yarn.lock");
    this.at = at;
  }
}

type Property = { readonly key: string; readonly value: string; readonly at: number };

/** Every key at any depth, with its value where it has a plain one. */
function propertiesOf(text: string): readonly Property[] {
  const tokens = tokensOf(text);
  const found: Property[] = [];
  let at = 0;
  const token = (): Token => tokens[at] ?? { type: "end", value: "", at: text.length };
  // As yarn 1 has it: one level of indentation is two spaces, and a level ends where a line has less of them.
  const level = (indent: number): void => {
    for (;;) {
      const { type, value } = token();
      if (type === "end") return;
      if (type === "newline") {
        at++;
        if (indent === 0) continue;
        if (token().type !== "indent" || Number(token().value) !== indent) return;
        at++;
      } else if (type === "indent") {
        if (Number(value) !== indent) return;
        at++;
      } else if (type === "string") {
        if (!property(indent)) return;
      } else throw new Unreadable(token().at);
    }
  };
  const property = (indent: number): boolean => {
    const keys = [token()];
    at++;
    while (token().type === "comma") {
      at++;
      if (token().type !== "string") throw new Unreadable(token().at);
      keys.push(token());
      at++;
    }
    const hasColon = token().type === "colon";
    if (hasColon) at++;
    const { type, value } = token();
    const isPlain = type === "string" || type === "value";
    for (const key of keys) {
      if (key.value === "") throw new Unreadable(key.at);
      found.push({ key: key.value, value: isPlain ? value : "", at: key.at });
    }
    if (isPlain) {
      at++;
      return true;
    }
    if (!hasColon || indent > 100) throw new Unreadable(token().at);
    level(indent + 1);
    return indent === 0 || token().type === "indent";
  };
  level(0);
  // Deeper lines than any level expects are left over.
  if (token().type !== "end") throw new Unreadable(token().at);
  return found;
}

/** As yarn 1 cuts it up; two line feeds in a row are one token there. */
const PART = /(\r\n|\n\n|\n|\r)|(#[^\n]*)|( +)|("[^"\\]*(?:\\[^][^"\\]*)*")|([0-9]+|true|false)|(:)|(,)|([a-zA-Z/.-][^: \n\r,]*)/uy;

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let isFresh = false;
  for (let at = 0; at < text.length;) {
    PART.lastIndex = at;
    const [whole = "", newline, comment, spaces, quoted, value, colon, comma, word] = PART.exec(text) ?? [];
    if (whole === "") throw new Unreadable(at);
    if (newline !== undefined) tokens.push({ type: "newline", value: "", at });
    else if (spaces !== undefined && isFresh) {
      if (spaces.length % 2 === 1) throw new Unreadable(at);
      tokens.push({ type: "indent", value: String(spaces.length / 2), at });
    } else if (quoted !== undefined) tokens.push({ type: "string", value: stringOf(quoted, at), at });
    else if (value !== undefined) tokens.push({ type: "value", value, at });
    else if (colon !== undefined) tokens.push({ type: "colon", value: "", at });
    else if (comma !== undefined) tokens.push({ type: "comma", value: "", at });
    else if (word !== undefined) tokens.push({ type: "string", value: word, at });
    isFresh = newline !== undefined && newline !== "\r";
    at += comment === undefined ? whole.length : comment.length;
  }
  return tokens;
}

function stringOf(quoted: string, at: number): string {
  // Yarn 1 ends a string at a quote behind three backslashes, JSON does not.
  if (quoted.includes('\\\\\\"')) throw new Unreadable(at);
  try {
    return String(JSON.parse(quoted));
  } catch {
    throw new Unreadable(at);
  }
}
