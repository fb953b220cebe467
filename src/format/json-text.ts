/**
 * JSON that people edit (imprint.json, imprint.lock): errors name line and column, and a duplicate member is an error,
 * because two readers could each see another one of the two.
 */
import { ImprintError } from "../errors.ts";
import { type JsonObject, jsonObject, type JsonValue, requireDepth } from "./json.ts";

export type ParsedText = {
  readonly value: JsonValue;
  /** `line L, column C` of the value at a path as decoders write it (`indices.alice.urls[0]`); of the file's start if unknown. */
  readonly placeOf: (path: string) => string;
};

/**
 * @param source a leading byte order mark is skipped: editors on Windows write one
 * @throws ImprintError CONFIG_INVALID "<what>: line L, column C"
 */
export function parseJsonText(source: string): ParsedText {
  const input = source.startsWith("\uFEFF") ? source.slice(1) : source;
  const positions = new Map<string, number>();
  let at = 0;

  const stop = (what: string, offset: number = at): never => {
    throw new ImprintError("CONFIG_INVALID", `${what} at ${place(input, offset)}`);
  };
  const skip = (): void => {
    while (at < input.length && " \t\r\n".includes(input.charAt(at))) at++;
    if (/^(<{7}|={7}|>{7})/.test(input.slice(at, at + 7))) stop("a conflict marker of git");
  };
  const expect = (char: string): void => {
    skip();
    if (input[at] !== char)
      stop(at < input.length ? `expected ${char} but found ${JSON.stringify(input.charAt(at))}` : `expected ${char} but the file ends`);
    at++;
  };
  const string = (): string => {
    const match = /"(?:[^"\\]|\\.)*"/y;
    match.lastIndex = at;
    const found = match.exec(input)?.[0] ?? stop("expected a string in double quotes");
    try {
      const text = JSON.parse(found) as string;
      if (!text.isWellFormed()) stop("a lone surrogate in a string");
      at += found.length;
      return text;
    } catch (error) {
      if (error instanceof ImprintError) throw error;
      return stop("a string with a bad escape or control character");
    }
  };
  const members = (path: string): JsonObject => {
    const entries = new Map<string, JsonValue>();
    at++;
    skip();
    if (input[at] === "}") {
      at++;
      return jsonObject(entries);
    }
    for (;;) {
      skip();
      const start = at;
      const name = string();
      if (entries.has(name)) stop(`${JSON.stringify(name)} stands twice in one object`, start);
      expect(":");
      entries.set(name, value(path === "" ? name : `${path}.${name}`));
      skip();
      if (input[at] !== ",") break;
      at++;
    }
    expect("}");
    return jsonObject(entries);
  };
  const items = (path: string): JsonValue[] => {
    const values: JsonValue[] = [];
    at++;
    skip();
    if (input[at] === "]") {
      at++;
      return values;
    }
    for (;;) {
      values.push(value(`${path}[${values.length}]`));
      skip();
      if (input[at] !== ",") break;
      at++;
    }
    expect("]");
    return values;
  };
  const value = (path: string): JsonValue => {
    skip();
    positions.set(path, at);
    const char = input[at];
    if (char === "{") return members(path);
    if (char === "[") return items(path);
    if (char === '"') return string();
    const match = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null/y;
    match.lastIndex = at;
    const found =
      match.exec(input)?.[0] ?? stop(at < input.length ? `unexpected ${JSON.stringify(input.charAt(at))}` : "the file ends too early");
    at += found.length;
    return JSON.parse(found) as JsonValue;
  };

  try {
    requireDepth(input);
  } catch (error) {
    throw new ImprintError("CONFIG_INVALID", "nested too deeply at line 1, column 1", { cause: error });
  }
  const parsed = value("");
  skip();
  if (at < input.length) stop("text after the end");
  return { value: parsed, placeOf: (path) => place(input, positions.get(path) ?? 0) };
}

function place(input: string, offset: number): string {
  const before = input.slice(0, offset);
  const line = before.split("\n").length;
  return `line ${line}, column ${offset - before.lastIndexOf("\n")}`;
}
