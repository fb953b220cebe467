/**
 * Which paths a tarball may hold, and whether they can all exist at once on every file system that people install on.
 */
import type { PackLimits } from "./limits.ts";
import { quote, tarballRefused } from "./refuse.ts";

/** Files whose mere presence changes what an install does; a file system that ignores case finds them in any case. */
const EXACTLY_SPELLED: readonly string[] = ["package.json", "npm-shrinkwrap.json", "binding.gyp"];

/** Files that yarn 1 keeps beside a package's own in its cache, where it writes over these. */
const TAKEN: readonly string[] = [".yarn-metadata.json", ".yarn-tarball.tgz"];

/**
 * Equal for paths that are one file somewhere: macOS ignores case and Unicode composition, Windows ignores case and
 * dots and spaces at a segment's end. Upper case of lower case: `ẞ` and `K` (Kelvin) need the one to meet `ß` and `k`,
 * `ſ` and `ß` the other to meet `s` and `ss`. Never lower case last, which is different for a sigma at a word's end.
 */
export function foldPath(path: string): string {
  const folded = path.normalize("NFD").toLowerCase().toUpperCase().normalize("NFC");
  return folded.replace(/[. ]+(?=\/|$)/g, "");
}

/** Why `path` can't be unpacked safely; undefined if it can. Folders come without their final slash. */
export function pathProblem(path: string): string | undefined {
  if (path.startsWith("/")) return "an absolute path";
  if (path.includes("\\")) return "a path with a backslash, which Windows takes for a folder";
  if (/\p{Cc}/u.test(path)) return "a path with a control character";
  for (const segment of path.split("/")) {
    if (/^[. ]*$/.test(segment)) return `a path with the segment ${quote(segment)}`;
    if (/^[A-Za-z]:/.test(segment)) return "a path with a drive letter";
    // pnpm keeps files in an object by path, which has a member of this name already.
    if (segment === "__proto__") return `a path with the segment ${quote(segment)}`;
  }
  return undefined;
}

const MODULES = foldPath("node_modules");
const INSIDE = new RegExp(`^(${MODULES}/(@[^/]+/)?[^/]+/)*`, "u");

/** Of a folded path, what it is to the bundled package that it lies in, or to the package itself. */
function packageInside(folded: string): string {
  return folded.replace(INSIDE, "");
}

/** Collects the paths of one tarball and refuses the first that is unsafe or can't stand beside the others. */
export class PathSet {
  readonly #limits: PackLimits;
  readonly #anyTopFolder: boolean;
  /** Folded path → whether it is a file or a folder. */
  readonly #seen = new Map<string, "file" | "folder">();
  #pathsBytes = 0;
  #top: string | undefined;

  constructor(limits: PackLimits, anyTopFolder: boolean) {
    this.#limits = limits;
    this.#anyTopFolder = anyTopFolder;
  }

  /** The one top folder; undefined before the first entry. */
  get topFolder(): string | undefined {
    return this.#top;
  }

  /** Checks and remembers one entry; returns its path inside the top folder (`""` for that folder itself). */
  add(kind: "file" | "folder", path: string): string {
    const plain = kind === "folder" && path.endsWith("/") ? path.slice(0, -1) : path;
    const bytes = Buffer.byteLength(plain);
    this.#pathsBytes += bytes;
    if (bytes > this.#limits.maxPathBytes)
      throw tarballRefused(`the path ${quote(plain)} is longer than ${this.#limits.maxPathBytes} bytes`);
    if (this.#pathsBytes > this.#limits.maxPathsBytes)
      throw tarballRefused(`its paths add up to more than ${this.#limits.maxPathsBytes} bytes`);
    const problem = pathProblem(plain);
    if (problem !== undefined) throw tarballRefused(`${quote(plain)} is ${problem}`);
    const inner = this.#insideTop(kind, plain);
    this.#remember(kind, plain, inner);
    return inner;
  }

  #insideTop(kind: "file" | "folder", path: string): string {
    const slash = path.indexOf("/");
    if (slash === -1 && kind === "file")
      throw tarballRefused(`the file ${quote(path)} is not in a folder; all must be in one, named package`);
    const top = slash === -1 ? path : path.slice(0, slash);
    this.#top ??= top;
    // Clients cut the first segment off unseen: files of two top folders would land on each other.
    if (top !== this.#top) throw tarballRefused(`it has two top folders, ${quote(this.#top)} and ${quote(top)}`);
    if (!this.#anyTopFolder && top !== "package") throw tarballRefused(`its top folder is ${quote(top)}, not package`);
    const inner = slash === -1 ? "" : path.slice(slash + 1);
    const folded = foldPath(inner);
    const own = packageInside(folded);
    const meant = EXACTLY_SPELLED.find((name) => foldPath(name) === own);
    if (meant !== undefined && !`/${inner}`.endsWith(`/${meant}`))
      throw tarballRefused(`${quote(path)} is ${meant} on some file systems only`);
    const misspelt = inner.split("/").find((segment) => foldPath(segment) === MODULES && segment !== "node_modules");
    if (misspelt !== undefined) throw tarballRefused(`${quote(path)} is in node_modules on some file systems only`);
    if (TAKEN.some((name) => foldPath(name) === folded))
      throw tarballRefused(`${quote(path)} has a name that yarn 1 takes for a file of its own`);
    return inner;
  }

  #remember(kind: "file" | "folder", path: string, inner: string): void {
    const folded = foldPath(path);
    // yarn 4 fails where it has to make a folder that is there; the top one it cuts off.
    if (kind === "folder" && inner !== "" && this.#seen.get(folded) === "folder")
      throw tarballRefused(`the folder ${quote(path)} is there twice, or comes after what is in it`);
    for (let slash = folded.indexOf("/"); slash !== -1; slash = folded.indexOf("/", slash + 1))
      this.#addFolder(folded.slice(0, slash), path);
    if (kind === "folder") this.#addFolder(folded, path);
    else {
      const other = this.#seen.get(folded);
      if (other === "file")
        throw tarballRefused(`${quote(path)} is there twice, or differs from another file only by case or Unicode form`);
      if (other === "folder") throw tarballRefused(`${quote(path)} is both a file and a folder`);
      this.#count(folded, "file");
    }
  }

  #addFolder(folded: string, path: string): void {
    const other = this.#seen.get(folded);
    if (other === "file") throw tarballRefused(`${quote(path)} needs a folder where there is a file`);
    // A folder may be spelled in two ways: a file system that ignores case merges them and loses nothing.
    if (other === undefined) this.#count(folded, "folder");
  }

  #count(folded: string, kind: "file" | "folder"): void {
    this.#seen.set(folded, kind);
    if (this.#seen.size > this.#limits.maxEntries) throw tarballRefused(`it has more than ${this.#limits.maxEntries} files and folders`);
  }
}
