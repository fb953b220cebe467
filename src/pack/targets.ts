/**
 * Files that package.json promises and the tarball must hold. The most common broken release is one whose build did not
 * run, or whose `files` left the build out: it installs, and fails at the first import.
 *
 * As lenient as those who read each field: what node, TypeScript or npm would still find is not refused.
 */
import { posix } from "node:path";
import { isJsonObject } from "../format/json.ts";
import type { JsonObject, JsonValue } from "../format/json.ts";
import { exportProblems } from "./exports.ts";
import type { Findings } from "./exports.ts";
import { quote } from "./refuse.ts";

const MAIN_SUFFIXES: readonly string[] = ["", ".js", ".json", ".node", "/index.js", "/index.json", "/index.node"];
const MODULE_SUFFIXES: readonly string[] = [...MAIN_SUFFIXES, ".mjs", ".cjs", "/index.mjs", "/index.cjs"];
const DECLARATIONS: readonly string[] = [".d.ts", ".d.mts", ".d.cts", ".ts", ".tsx", ".mts", ".cts"];
const TYPES_SUFFIXES: readonly string[] = ["", ...DECLARATIONS, ...DECLARATIONS.map((suffix) => `/index${suffix}`)];

/** `path` inside the package, without `./` and a final slash; null if it leads out of it. `""` is the package itself. */
function inside(path: string): string | null {
  const plain = posix.normalize(path.replace(/^\/+/, "")).replace(/\/+$/, "");
  if (plain === ".") return "";
  return plain === ".." || plain.startsWith("../") ? null : plain;
}

function isFound(files: ReadonlySet<string>, path: string, suffixes: readonly string[]): boolean {
  const base = inside(path);
  return base !== null && suffixes.some((suffix) => files.has(base === "" ? suffix.replace(/^\//, "") : base + suffix));
}

function mainProblems(packageJson: JsonObject, files: ReadonlySet<string>): string[] {
  const main = packageJson["main"];
  // Anything but a string is ignored by node, which then looks for index.js; and with it there, a wrong main still works.
  if (typeof main !== "string" || main === "" || isFound(files, main, MAIN_SUFFIXES) || isFound(files, ".", MAIN_SUFFIXES)) return [];
  // A package of declarations only (@types and the like) often names a main that it does not have: nothing runs it.
  const declaration = main.replace(/\.[cm]?js$/, "");
  if (isFound(files, declaration, TYPES_SUFFIXES) && ![...files].some((file) => /\.([cm]?js|node|wasm)$/.test(file))) return [];
  return [`main: ${quote(main)} is not in the tarball, nor is index.js, which would do`];
}

function moduleProblems(packageJson: JsonObject, files: ReadonlySet<string>): string[] {
  const module = packageJson["module"];
  if (typeof module !== "string" || module === "" || isFound(files, module, MODULE_SUFFIXES)) return [];
  return [`module: ${quote(module)} is not in the tarball`];
}

function typesProblems(packageJson: JsonObject, files: ReadonlySet<string>): string[] {
  // typesVersions maps the paths, by rules of TypeScript's own.
  if (packageJson["typesVersions"] !== undefined) return [];
  return ["types", "typings"].flatMap((field) => {
    const types = packageJson[field];
    if (typeof types !== "string" || types === "") return [];
    const asDeclaration = types.replace(/\.([cm]?)jsx?$/, ".d.$1ts");
    if (isFound(files, types, TYPES_SUFFIXES) || isFound(files, asDeclaration, [""])) return [];
    return [`${field}: ${quote(types)} is not in the tarball`];
  });
}

function binProblems(packageJson: JsonObject, files: ReadonlySet<string>): string[] {
  const bin = packageJson["bin"];
  const problem = (at: string, path: JsonValue | undefined): string[] => {
    if (typeof path !== "string") return [`${at} is not the path of a file`];
    // A link is made to exactly this path: no suffix is tried.
    return isFound(files, path, [""]) ? [] : [`${at}: ${quote(path)} is not in the tarball`];
  };
  if (bin === undefined || bin === null || bin === "") return folderOfBinsProblems(packageJson, files);
  if (Array.isArray(bin)) return bin.flatMap((path: JsonValue) => problem("bin", path));
  return isJsonObject(bin) ? Object.entries(bin).flatMap(([name, path]) => problem(`bin ${quote(name)}`, path)) : problem("bin", bin);
}

function folderOfBinsProblems(packageJson: JsonObject, files: ReadonlySet<string>): string[] {
  const directories = packageJson["directories"];
  const folder = isJsonObject(directories) ? directories["bin"] : undefined;
  if (typeof folder !== "string") return [];
  const plain = inside(folder);
  const has = plain !== null && [...files].some((file) => plain === "" || file.startsWith(`${plain}/`));
  return has ? [] : [`directories.bin: there are no files in ${quote(folder)}`];
}

/** One line for each file that package.json names and `files` (paths inside the package) lacks. */
export function targetProblems(packageJson: JsonObject, files: ReadonlySet<string>): Findings {
  const exports = packageJson["exports"];
  const ofExports = exportProblems(exports, files);
  const entries = [...mainProblems(packageJson, files), ...moduleProblems(packageJson, files), ...typesProblems(packageJson, files)];
  const bins = binProblems(packageJson, files);
  // Where there is `exports`, the older fields are for tools that don't know it; good public packages let them rot.
  const superseded = exports !== undefined && exports !== null;
  return {
    problems: [...(superseded ? [] : entries), ...bins, ...ofExports.problems],
    warnings: [...(superseded ? entries : []), ...ofExports.warnings],
  };
}
