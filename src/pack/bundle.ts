/**
 * The packages inside of a package: what lies in its node_modules, because bundleDependencies asks for it.
 *
 * npm, pnpm, yarn 1, bun and deno install them as they lie there, yarn 4 fetches them anew. npm runs their install scripts;
 * and it removes what no bundled package needs, which the others leave. So the tarball may hold there only what is reached
 * from bundleDependencies.
 */
import { isJsonObject } from "../format/json.ts";
import type { JsonObject } from "../format/json.ts";
import { isPublicName } from "../format/names.ts";
import type { PackLimits } from "./limits.ts";
import { INSTALL_SCRIPTS } from "./manifest.ts";
import { parsePackageJson } from "./package-json.ts";
import { quote, tarballRefused } from "./refuse.ts";
import { checkShrinkwrap } from "./shrinkwrap.ts";

const SHRINKWRAP = "npm-shrinkwrap.json";
/** `node_modules/a/node_modules/@b/c/` and what is behind it. */
const PLACE = /^((?:node_modules\/(?:@[^/]+\/)?[^/]+\/)+)(.*)$/;
const FIELDS = ["bundleDependencies", "bundledDependencies"] as const;
const NEEDS = ["dependencies", "optionalDependencies", "peerDependencies"] as const;

type Inner = { name: string | null; needs: readonly string[]; runs: boolean };

export class Bundle {
  readonly #limits: PackLimits;
  /** By folder, with its final slash. */
  readonly #packages = new Map<string, Inner>();
  readonly #shrinkwraps: { readonly file: string; readonly bytes: Uint8Array }[] = [];
  #needsBytes = 0;
  #keptBytes = 0;

  constructor(limits: PackLimits) {
    this.#limits = limits;
  }

  /**
   * A file of the tarball, by its path inside the package.
   *
   * @returns whether `content` wants its bytes
   */
  file(inner: string, sizeBytes: number): boolean {
    const found = inner.startsWith("node_modules/") ? PLACE.exec(inner) : null;
    if (inner.startsWith("node_modules/") && found === null)
      throw tarballRefused(`${quote(inner)} is in node_modules, and in no package there`);
    const [folder = "", own = inner] = found?.slice(1) ?? [];
    const place = folder === "" ? null : this.#place(folder);
    if (place !== null && own === "binding.gyp") place.runs = true;
    const isWanted = own === SHRINKWRAP || (place !== null && own === "package.json");
    if (isWanted && sizeBytes > this.#limits.maxPackageJsonBytes)
      throw tarballRefused(`${quote(inner)} is larger than ${this.#limits.maxPackageJsonBytes} bytes`);
    return isWanted;
  }

  content(inner: string, bytes: Uint8Array): void {
    if (inner.endsWith(SHRINKWRAP)) {
      this.#keptBytes += bytes.length;
      if (this.#keptBytes > this.#limits.maxPathsBytes)
        throw tarballRefused(`its ${SHRINKWRAP} files are larger than ${this.#limits.maxPathsBytes} bytes`);
      this.#shrinkwraps.push({ file: inner, bytes });
      return;
    }
    const packageJson = parsePackageJson(bytes, (state, cause) => tarballRefused(`in ${quote(inner)}: ${state}`, cause), this.#limits);
    const place = this.#place(inner.slice(0, -"package.json".length));
    place.needs = NEEDS.flatMap((field) => Object.keys(objectOf(packageJson, field)));
    this.#needsBytes += place.needs.reduce((total, name) => total + name.length, 0);
    if (this.#needsBytes > this.#limits.maxPathsBytes)
      throw tarballRefused(`the dependencies of its bundled packages are longer than ${this.#limits.maxPathsBytes} bytes`);
    const scripts = objectOf(packageJson, "scripts");
    if (INSTALL_SCRIPTS.some((name) => Object.hasOwn(scripts, name) && scripts[name] !== "")) place.runs = true;
    const { name } = packageJson;
    place.name = typeof name === "string" ? name : null;
  }

  /**
   * After the last entry.
   *
   * @returns folders of bundled packages that run something when npm installs them
   */
  finish(packageJson: JsonObject, has: (path: string) => boolean): readonly string[] {
    for (const { file, bytes } of this.#shrinkwraps) checkShrinkwrap(file, bytes, this.#limits, has);
    const listed = listedIn(packageJson);
    const reached = new Set<string>();
    const open: { readonly from: string; readonly name: string }[] = listed.map((name) => ({ from: "", name }));
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const folder = this.#find(next.from, next.name);
      if (folder === null || reached.has(folder)) continue;
      reached.add(folder);
      for (const name of this.#packages.get(folder)?.needs ?? []) open.push({ from: folder, name });
    }
    for (const [folder, { name }] of this.#packages) {
      const at = folder.slice(0, -1);
      if (name === null) throw tarballRefused(`${quote(at)} is no package with a name: nothing else may be in node_modules`);
      if (!reached.has(folder))
        throw tarballRefused(`${quote(at)} is there, but nothing in bundleDependencies needs it: npm removes it, other clients do not`);
    }
    return [...this.#packages].flatMap(([folder, { runs }]) => (runs ? [folder.slice(0, -1)] : []));
  }

  #place(folder: string): Inner {
    const known = this.#packages.get(folder);
    if (known !== undefined) return known;
    const name = folder.slice(folder.lastIndexOf("node_modules/") + "node_modules/".length, -1);
    if (!isPublicName(name)) throw tarballRefused(`${quote(folder.slice(0, -1))} is in node_modules, but no package has such a name`);
    const place: Inner = { name: null, needs: [], runs: false };
    this.#packages.set(folder, place);
    return place;
  }

  /** As Node looks for it: in the package's own node_modules, then in those around it. */
  #find(from: string, name: string): string | null {
    for (let around = from; ;) {
      const folder = `${around}node_modules/${name}/`;
      if (this.#packages.has(folder)) return folder;
      if (around === "") return null;
      around = around.slice(0, around.lastIndexOf("node_modules/"));
    }
  }
}

function objectOf(of: JsonObject, field: string): JsonObject {
  const value = Object.hasOwn(of, field) ? of[field] : undefined;
  return isJsonObject(value) ? value : {};
}

function listedIn(packageJson: JsonObject): readonly string[] {
  return FIELDS.flatMap((field) => {
    const value = Object.hasOwn(packageJson, field) ? packageJson[field] : undefined;
    if (value === undefined || value === false) return [];
    // yarn 1 fails at `true`, and nobody agrees on the rest.
    if (!Array.isArray(value) || !value.every((name) => typeof name === "string"))
      throw tarballRefused(`package.json's ${field} is not a list of names; list them`);
    return value as readonly string[];
  });
}
