/**
 * package.json, of a tarball or on disk, read so that every other reader sees the same.
 *
 * Clients parse it each with a parser of their own. Where a key stands twice, JSON.parse takes the last and another may
 * take the first: then what was signed is not what is installed. Only the fields that matter are held to that, because
 * old public packages do repeat others.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ImprintError } from "../errors.ts";
import { textOf } from "../format/bytes.ts";
import { isJsonObject, requireDepth } from "../format/json.ts";
import type { JsonObject, JsonValue } from "../format/json.ts";
import { PACK_LIMITS } from "./limits.ts";
import type { PackLimits } from "./limits.ts";
import { MANIFEST_FIELDS } from "../format/release.ts";
import { INSTALL_SCRIPTS } from "./manifest.ts";
import { quote, tarballRefused } from "./refuse.ts";

const DECISIVE: ReadonlySet<string> = new Set([
  ...MANIFEST_FIELDS,
  "name",
  "version",
  "private",
  "scripts",
  "gypfile",
  // What is run is decided by these: Node, bun and deno read them each with a parser of their own.
  "main",
  "module",
  "browser",
  "type",
  "exports",
  "imports",
]);
const RANGES = ["dependencies", "optionalDependencies", "peerDependencies", "acceptDependencies"] as const;
const PLATFORM = ["os", "cpu", "libc"] as const;
/** No file may get another name than this, or none. */
const BIN_NAME = /^(?!\.{1,2}$)[^/\\\p{Cc}]+$/u;
/** In code that copies objects member by member, a key of this name gives the copy members that the object has not. */
const PROTOTYPE = "__proto__";

/** Whether a second `key` would change what we sign: a decisive field itself, or anything inside of one. */
function isDecisive(field: string, key: string, depth: number): boolean {
  if (depth === 1) return DECISIVE.has(key);
  return field === "scripts" ? depth > 2 || INSTALL_SCRIPTS.includes(key) : DECISIVE.has(field);
}

/**
 * The first decisive key of `text` that parsers read in two ways: it stands twice in one object, or is `__proto__`. The text
 * must be valid JSON. Does not recurse.
 */
function ambiguousKey(text: string): string | undefined {
  const open: (Set<string> | null)[] = [];
  let field = "";
  let expectsKey = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === "{" || character === "[") open.push(character === "{" ? new Set() : null);
    else if (character === "}" || character === "]") open.pop();
    if (character === "{" || character === ",") expectsKey = open.at(-1) instanceof Set;
    else if (character === '"') {
      const start = at;
      for (at += 1; text[at] !== '"'; at += 1) if (text[at] === "\\") at += 1;
      if (!expectsKey) continue;
      expectsKey = false;
      // Unescaped first: "n\u0061me" is "name" to every parser.
      const key = JSON.parse(text.slice(start, at + 1)) as string;
      if (open.length === 1) field = key;
      if (key === PROTOTYPE && (open.length === 1 || DECISIVE.has(field))) return key;
      if (!isDecisive(field, key, open.length)) continue;
      const keys = open.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}

/**
 * The object in `bytes`. A leading byte order mark is skipped, as npm does.
 *
 * @throws whatever `refuse` makes of the reason: too large, not UTF-8, nested too deeply, not JSON, not an object, a
 * decisive key twice or `__proto__`
 */
export function parsePackageJson(
  bytes: Uint8Array,
  refuse: (state: string, cause?: unknown) => ImprintError,
  limits: PackLimits = PACK_LIMITS,
): JsonObject {
  if (bytes.byteLength > limits.maxPackageJsonBytes) throw refuse(`package.json is larger than ${limits.maxPackageJsonBytes} bytes`);
  const decoded = textOf(bytes);
  if (decoded === null) throw refuse("package.json is not UTF-8");
  const text = decoded.startsWith("\uFEFF") ? decoded.slice(1) : decoded;
  let value: JsonValue;
  try {
    requireDepth(text, limits.maxPackageJsonDepth);
  } catch (cause) {
    throw refuse(`package.json is nested deeper than ${limits.maxPackageJsonDepth} levels`, cause);
  }
  try {
    value = JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw refuse("package.json is not JSON", cause);
  }
  if (!isJsonObject(value)) throw refuse("package.json is not a JSON object");
  const twice = ambiguousKey(text);
  if (twice === PROTOTYPE) throw refuse(`package.json has the key ${quote(twice)}, which some clients take for an order to inherit`);
  if (twice !== undefined) throw refuse(`package.json has the key ${quote(twice)} twice in one object`);
  return value;
}

/**
 * The package.json of the folder `dir`.
 *
 * @throws ImprintError FILE_UNREADABLE, PACKAGE_REFUSED
 */
export async function readPackageJson(dir: string): Promise<JsonObject> {
  const path = join(dir, "package.json");
  const refuse = (state: string, cause?: unknown): ImprintError =>
    new ImprintError("PACKAGE_REFUSED", `Cannot publish ${dir}: ${state}`, { cause });
  let bytes: Uint8Array;
  try {
    const { size } = await stat(path);
    if (size > PACK_LIMITS.maxPackageJsonBytes) throw refuse(`package.json is larger than ${PACK_LIMITS.maxPackageJsonBytes} bytes`);
    bytes = await readFile(path);
  } catch (cause) {
    if (cause instanceof ImprintError) throw cause;
    throw new ImprintError("FILE_UNREADABLE", `Cannot read ${path}: is this the folder of a package?`, { cause });
  }
  return parsePackageJson(bytes, refuse);
}

/**
 * The fields by which clients install, in the shapes that all of them read; at others one fails, and the next goes on.
 * Programs are one path, or paths by name: deno reads a package with a list of them as one that does not exist. Their names
 * are plain: npm takes the end of a name with a slash, yarn 4 fails.
 *
 * @throws ImprintError TARBALL_REFUSED naming the field
 */
export function requireShapes(packageJson: JsonObject): void {
  const valueOf = (field: string): JsonValue | undefined => (Object.hasOwn(packageJson, field) ? packageJson[field] : undefined);
  const refuse = (field: string, what: string): ImprintError =>
    tarballRefused(`package.json's ${field} is not ${what}; clients differ on it`);
  for (const field of RANGES) {
    const ranges = valueOf(field);
    // Packages of 2011 have an empty list.
    const isEmpty = ranges === undefined || (Array.isArray(ranges) && ranges.length === 0);
    if (!isEmpty && !(isJsonObject(ranges) && Object.values(ranges).every((range) => typeof range === "string")))
      throw refuse(field, "an object of ranges");
  }
  for (const field of PLATFORM) {
    const names = valueOf(field);
    if (names !== undefined && typeof names !== "string" && !(Array.isArray(names) && names.every((name) => typeof name === "string")))
      throw refuse(field, "a list of names");
  }
  const meta = valueOf("peerDependenciesMeta");
  if (meta !== undefined && !(isJsonObject(meta) && Object.values(meta).every((one) => isJsonObject(one))))
    throw refuse("peerDependenciesMeta", "an object of objects");
  const bin = valueOf("bin");
  if (bin !== undefined && typeof bin !== "string" && !isJsonObject(bin)) throw refuse("bin", "a path or an object of paths");
  if (!isJsonObject(bin)) return;
  // At a number, yarn 1, pnpm 11 and deno fail.
  if (!Object.values(bin).every((target) => typeof target === "string")) throw refuse("bin", "a path or an object of paths");
  const odd = Object.keys(bin).find((name) => !BIN_NAME.test(name));
  if (odd !== undefined) throw tarballRefused(`package.json's bin has ${quote(odd)}, which is no name of a program`);
}
