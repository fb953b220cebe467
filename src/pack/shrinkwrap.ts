/**
 * npm-shrinkwrap.json inside of a tarball: npm installs below the package what it says, and no other client reads it. An
 * entry without a hash lets whoever answers its address choose code that the author never signed. So each entry must have a
 * sha512, and be a release of a registry by name and version: then the author's signature covers what npm will fetch.
 */
import { textOf } from "../format/bytes.ts";
import { isJsonObject } from "../format/json.ts";
import type { JsonObject, JsonValue } from "../format/json.ts";
import { isPublicName } from "../format/names.ts";
import { isRegistryTarball } from "../format/tarball-address.ts";
import type { PackLimits } from "./limits.ts";
import { parsePackageJson } from "./package-json.ts";
import { quote, tarballRefused } from "./refuse.ts";

const SHA512 = /^sha512-[A-Za-z0-9+/]{86}==$/;
const VERSION = /^(?:npm:(?<name>[^\s]+)@)?[0-9]+\.[0-9]+\.[0-9]+(?:[-+][0-9A-Za-z.+-]+)?$/;

type Where = { readonly file: string; readonly folder: string; readonly has: (path: string) => boolean };

/**
 * @param file its path inside the package: the package's own, or one of a bundled package
 * @param has whether the tarball has a file at that path
 * @throws ImprintError TARBALL_REFUSED naming the first entry that the signature would not cover
 */
export function checkShrinkwrap(file: string, bytes: Uint8Array, limits: PackLimits, has: (path: string) => boolean): void {
  const where = { file, folder: file.slice(0, -"npm-shrinkwrap.json".length), has };
  if (textOf(bytes) === null) throw refused(where, "is not UTF-8");
  const value = parsePackageJson(bytes, (state, cause) => tarballRefused(state.replaceAll("package.json", quote(file)), cause), limits);
  const packages = objectIn(where, value, "packages");
  for (const [at, entry] of Object.entries(packages)) {
    // The package itself.
    if (at === "") continue;
    const names = at.split("node_modules/");
    if (!at.startsWith("node_modules/")) throw refused(where, `has ${quote(at)}, which is not in node_modules`);
    checkEntry(where, at, names.at(-1) ?? "", "inBundle", entry);
  }
  const walk = (level: JsonObject, above: string, depth: number): void => {
    if (depth > limits.maxPackageJsonDepth) throw refused(where, "is nested too deeply");
    for (const [name, entry] of Object.entries(level)) {
      const at = `${above}node_modules/${name}`;
      checkEntry(where, at, name, "bundled", entry);
      if (isJsonObject(entry)) walk(objectIn(where, entry, "dependencies"), `${at}/`, depth + 1);
    }
  };
  walk(objectIn(where, value, "dependencies"), "", 0);
}

function refused(where: Where, what: string): Error {
  return tarballRefused(
    `${quote(where.file)} ${what}; publish without it, or let npm 7 or newer write it with only packages of a registry`,
  );
}

function objectIn(where: Where, of: JsonObject, member: string): JsonObject {
  const value: JsonValue = (Object.hasOwn(of, member) ? of[member] : undefined) ?? {};
  if (!isJsonObject(value)) throw refused(where, `has ${quote(member)} that is no object`);
  return value;
}

function shown(value: JsonValue | undefined): string {
  return typeof value === "string" ? quote(value) : "no text";
}

function checkEntry(where: Where, at: string, installedAs: string, bundleFlag: "inBundle" | "bundled", entry: JsonValue): void {
  const fail = (what: string): Error => refused(where, `has ${quote(at)} ${what}`);
  if (!isJsonObject(entry)) throw fail("that is no object");
  const { version, resolved, integrity, link, name } = entry;
  if (link !== undefined) throw fail("that is a link");
  if (!isPublicName(installedAs)) throw fail("under a name that no package has");
  const exact = typeof version === "string" ? VERSION.exec(version) : null;
  if (exact === null) throw fail(`without an exact version: ${shown(version)}`);
  const real = exact.groups?.["name"] ?? (name === undefined ? installedAs : name);
  if (typeof real !== "string" || !isPublicName(real)) throw fail("under a name that no package has");
  if (resolved !== undefined && !isRegistryTarball(resolved, real))
    throw fail(`from ${shown(resolved)}, which is no registry's tarball of ${real}`);
  const isThere = where.has(`${where.folder}${at}/package.json`);
  if (entry[bundleFlag] === true && isThere && resolved === undefined && integrity === undefined) return;
  if (typeof integrity !== "string" || !SHA512.test(integrity)) throw fail("without a sha512 integrity");
}
