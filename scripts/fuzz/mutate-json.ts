/**
 * Mutations of a document's structure. Most results are written down exactly as the format wants, so that they pass the
 * first checks and reach the later ones.
 */
import { formatPretty, isJsonObject, type JsonObject, jsonObject, type JsonValue, requireDepth } from "../../src/format/json.ts";
import type { Random } from "./random.ts";

type Path = readonly (string | number)[];
/** New text: a value to be written exactly, or bytes as they are. */
type Made = { readonly value: JsonValue } | { readonly text: string };
type Change = (root: JsonValue, random: Random, others: () => JsonValue) => Made;

const NAMES = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "format",
  "type",
  "index",
  "version",
  "releases",
  "keys",
  "latest",
  "10",
  "0a",
  "",
];
const SCALARS: readonly JsonValue[] = [
  null,
  true,
  false,
  0,
  1,
  2,
  Number.MAX_SAFE_INTEGER,
  "",
  "x",
  "ok",
  "1.0.0",
  "imprint.root",
  "imprint.release",
  "a".repeat(64),
  "\u0000",
  "é𝒳",
];
/** What only text can say. */
const WRONG_TEXTS = [
  "-1",
  "-0",
  "0.5",
  "1e2",
  "1e400",
  "9007199254740992",
  "18446744073709551616",
  "01",
  '"\\ud800"',
  '"\\u0041"',
  "NaN",
  "undefined",
];
const MARK = "imprint-fuzz-mark";

export const JSON_CHANGES: Readonly<Record<string, Change>> = {
  "drop a member": (root, random) => ({ value: update(root, pathIn(root, random), () => undefined) }),
  "rename a member": (root, random) => {
    const at = pathOfObject(root, random);
    return { value: update(root, at, (value) => rename(value, random)) };
  },
  "add a member": (root, random) => {
    const at = pathOfObject(root, random);
    return {
      value: update(root, at, (value) => jsonObject([...Object.entries(value as JsonObject), [random.pick(NAMES), random.pick(SCALARS)]])),
    };
  },
  "change a type": (root, random) => ({
    value: update(root, pathIn(root, random), () => random.pick<JsonValue>([...SCALARS, [], jsonObject([]), [[]]])),
  }),
  "change a number or text": (root, random) => ({ value: update(root, pathIn(root, random), (value) => tweak(value, random)) }),
  "take a value of another document": (root, random, others) => {
    const other = others();
    return { value: update(root, pathIn(root, random), () => at(other, pathIn(other, random))) };
  },
  "take the same member of another document": (root, random, others) => {
    const other = others();
    const path = pathIn(root, random);
    return { value: update(root, path, (value) => at(other, path) ?? value) };
  },
  "double or shuffle a list": (root, random) => {
    const lists = pathsOf(root).filter((path) => Array.isArray(at(root, path)));
    if (lists.length === 0) return { value: root };
    return {
      value: update(root, random.pick(lists), (value) => {
        const list = value as readonly JsonValue[];
        return random.once(2) ? [...list, ...list] : list.toReversed();
      }),
    };
  },
  "nest deeply": (root, random) => {
    const depth = random.pick([5, 28, 31, 32, 33, 40, 1000, 50_000]);
    const [open, close] = random.pick([
      ["[", "]"],
      ['{"a":', "}"],
    ] as const);
    return { text: marked(root, random, `${open.repeat(depth)}1${close.repeat(depth)}`) };
  },
  "write what is no value of the format": (root, random) => ({ text: marked(root, random, random.pick(WRONG_TEXTS)) }),
  "name a member twice": (root, random) => {
    const text = pretty(root);
    const lines = text.split("\n");
    const members = lines.map((line, i) => [line, i] as const).filter(([line]) => /^\s*"[^"]*": .*,$/u.test(line));
    if (members.length === 0) return { text };
    const [line, i] = random.pick(members);
    return { text: [...lines.slice(0, i), line, ...lines.slice(i)].join("\n") };
  },
  "write it otherwise": (root, random) => ({
    text: random.pick([
      JSON.stringify(root),
      `${JSON.stringify(root)}\n`,
      JSON.stringify(root, null, 4),
      `${pretty(root)}\n`,
      pretty(root).trimEnd(),
      `\ufeff${pretty(root)}`,
      pretty(root).replaceAll("\n", "\r\n"),
    ]),
  }),
};

export function changeJson(
  bytes: Uint8Array,
  random: Random,
  others: () => Uint8Array,
): { readonly bytes: Uint8Array; readonly how: string } {
  const how = random.pick(Object.keys(JSON_CHANGES));
  const root = parsed(bytes);
  const made = (JSON_CHANGES[how] as Change)(root, random, () => parsed(others()));
  return { bytes: new Uint8Array(Buffer.from("text" in made ? made.text : pretty(made.value))), how };
}

export function parsed(bytes: Uint8Array): JsonValue {
  try {
    const text = Buffer.from(bytes).toString();
    requireDepth(text, 100); // what was nested deeply before would overflow the stack here
    const value = JSON.parse(text) as JsonValue;
    return isJsonObject(value) ? value : jsonObject([["value", value]]);
  } catch {
    return jsonObject([]); // bytes were changed before: nothing of it is left to change
  }
}

function pretty(value: JsonValue): string {
  try {
    return Buffer.from(formatPretty(value)).toString();
  } catch {
    return `${JSON.stringify(value, null, 2)}\n`; // half of a character: no writer of ours would write it
  }
}

function marked(root: JsonValue, random: Random, text: string): string {
  return pretty(update(root, pathIn(root, random), () => MARK)).replace(`"${MARK}"`, () => text);
}

/** Every node below the outermost value. */
function pathsOf(root: JsonValue): readonly Path[] {
  const paths: Path[] = [];
  const visit = (value: JsonValue, path: Path): void => {
    if (path.length > 0) paths.push(path);
    if (path.length > 40 || typeof value !== "object" || value === null) return;
    for (const [name, inner] of Object.entries(value)) visit(inner as JsonValue, [...path, Array.isArray(value) ? Number(name) : name]);
  };
  visit(root, []);
  return paths;
}

function pathIn(root: JsonValue, random: Random): Path {
  const paths = pathsOf(root);
  return paths.length === 0 ? [] : random.pick(paths);
}

function pathOfObject(root: JsonValue, random: Random): Path {
  return random.pick([[], ...pathsOf(root)].filter((path) => path.length === 0 || isJsonObject(at(root, path))));
}

function at(root: JsonValue, path: Path): JsonValue {
  let value: JsonValue = root;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return null;
    value = (value as Readonly<Record<string, JsonValue>>)[step] as JsonValue;
  }
  return value;
}

function update(value: JsonValue, path: Path, change: (value: JsonValue) => JsonValue | undefined): JsonValue {
  const [step, ...rest] = path;
  if (step === undefined) return change(value) ?? jsonObject([]);
  const inner = (old: JsonValue): JsonValue | undefined => (rest.length === 0 ? change(old) : update(old, rest, change));
  if (Array.isArray(value)) {
    const made = inner(value[Number(step)] as JsonValue);
    return (value as readonly JsonValue[]).flatMap((item, i) => (i === step ? (made === undefined ? [] : [made]) : [item]));
  }
  if (!isJsonObject(value)) return value;
  return jsonObject(
    Object.entries(value).flatMap(([name, old]): [string, JsonValue][] => {
      if (name !== step) return [[name, old]];
      const made = inner(old);
      return made === undefined ? [] : [[name, made]];
    }),
  );
}

function rename(value: JsonValue, random: Random): JsonValue {
  const entries = Object.entries(value as JsonObject);
  if (entries.length === 0) return value;
  const which = random.int(entries.length);
  const to = random.once(2) ? random.pick(NAMES) : random.pick(entries)[0];
  return jsonObject(entries.map(([name, inner], i) => [i === which ? to : name, inner] as const));
}

function tweak(value: JsonValue, random: Random): JsonValue {
  if (typeof value === "number") return random.pick([value + 1, Math.max(0, value - 1), 0, Number.MAX_SAFE_INTEGER]);
  if (typeof value === "boolean") return !value;
  if (typeof value !== "string" || value === "") return value;
  const char = random.int(value.length);
  const put = random.pick("0af9A_-/@.+! ".split(""));
  return random.pick([
    `${value.slice(0, char)}${put}${value.slice(char + 1)}`,
    `${value}${put}`,
    value.slice(0, -1),
    value.toUpperCase(),
    value.toLowerCase(),
  ]);
}
