/**
 * Closed grammars: a shape says what a value may be, to its last member. A lockfile that does not fit is refused with the
 * path of the key that does not. A member that one client ignores today can steer another one tomorrow.
 */
import { isPlainPath, type Refuse, shown } from "./locked.ts";

/** Objects are maps, so that no key is special. YAML and yarn's own format have text where JSON has numbers and booleans. */
export type Tree = string | number | boolean | null | readonly Tree[] | Fields;
export type Fields = ReadonlyMap<string, Tree>;

/** Throws through `refuse` where the value does not fit. @param at path of keys, for messages */
export type Shape = (value: Tree, at: string, refuse: Refuse) => void;

export const text: Shape = (value, at, refuse) => void (typeof value === "string" || refuse(`${at} is not text`));
export const word: Shape = (value, at, refuse) =>
  void ((typeof value === "string" && value !== "") || refuse(`${at} is not text, or is empty`));
export const flag: Shape = (value, at, refuse) => void (typeof value === "boolean" || refuse(`${at} is not true or false`));
/** Numbers, flags, texts, and lists and objects of those: what only describes, and steers nothing. */
export const described: Shape = () => undefined;
export const path: Shape = (value, at, refuse) =>
  void ((typeof value === "string" && isPlainPath(value)) || refuse(`${at} is not a plain relative path`));

export function oneOf(...values: readonly Tree[]): Shape {
  return (value, at, refuse) => void (values.includes(value) || refuse(`${at} is none of ${values.map(String).join(", ")}`));
}

export function listOf(item: Shape): Shape {
  return (value, at, refuse) => {
    if (!Array.isArray(value)) return refuse(`${at} is no list`);
    for (const [i, one] of (value as readonly Tree[]).entries()) item(one, `${at}[${i}]`, refuse);
  };
}

export function mapOf(item: Shape, key?: (key: string) => boolean): Shape {
  return (value, at, refuse) => {
    for (const [name, inner] of fieldsOf(value, at, refuse)) {
      const place = `${at} > ${shown(name)}`;
      if (key?.(name) === false) return refuse(`${place} is no key that its client writes`);
      item(inner, place, refuse);
    }
  };
}

/** Exactly these members, each optional. */
export function membersOf(members: Readonly<Record<string, Shape>>): Shape {
  return (value, at, refuse) => {
    for (const [name, inner] of fieldsOf(value, at, refuse)) {
      const place = at === "" ? shown(name) : `${at} > ${shown(name)}`;
      const shape = Object.hasOwn(members, name) ? members[name] : undefined;
      if (shape === undefined) return refuse(`${place} is a member that its client does not write`);
      shape(inner, place, refuse);
    }
  };
}

export function isFields(value: Tree | undefined): value is Fields {
  return value instanceof Map;
}

export function fieldsOf(value: Tree | undefined, at: string, refuse: Refuse): Fields {
  if (value === undefined) return new Map();
  return isFields(value) ? value : refuse(`${at === "" ? "it" : at} is not an object`);
}

export function textIn(fields: Fields, name: string): string | null {
  const value = fields.get(name);
  return typeof value === "string" ? value : null;
}
