/**
 * What a tarball says, in one streaming pass: its hashes, its files, its package.json. Nothing is written to disk.
 *
 * Publishing, sealing, importing and verifying all come through here, so that "the release document equals the tarball"
 * has one meaning. Two readers see every byte: ours (tar-reader.ts), which takes only what no client can read in
 * another way, and npm's own (`tar`, strict), which must come to the same list of entries. A disagreement is a fault
 * in one of them, or an attack on it, and refuses the tarball.
 */
import { createHash } from "node:crypto";
import { Parser } from "tar";
import { integrity as parseIntegrity, shasum as parseShasum } from "../format/decode.ts";
import type { Integrity, Shasum } from "../format/decode.ts";
import type { JsonObject } from "../format/json.ts";
import { Bundle } from "./bundle.ts";
import { gunzip } from "./gunzip.ts";
import { PACK_LIMITS } from "./limits.ts";
import type { PackLimits } from "./limits.ts";
import { manifestOf } from "./manifest.ts";
import { parsePackageJson, requireShapes } from "./package-json.ts";
import { foldPath, PathSet } from "./paths.ts";
import { quote, tarballRefused } from "./refuse.ts";
import { TarReader } from "./tar-reader.ts";
import type { TarEntry } from "./tar-reader.ts";

export type TarballFacts = {
  /** sha512 of the .tgz, 128 hex digits: its name under `refs/tarballs/`. */
  readonly sha512Hex: string;
  readonly integrity: Integrity;
  readonly shasum: Shasum;
  /** Bytes of the .tgz. */
  readonly size: number;
  /** Bytes of its files together. */
  readonly unpackedSize: number;
  readonly fileCount: number;
  /** `package`, unless any was allowed. */
  readonly topFolder: string;
  /** Files as paths inside the top folder, in the tarball's order. */
  readonly files: readonly string[];
  /** Folders of bundled packages that run a script when npm installs them, as `node_modules/a`. */
  readonly bundledScripts: readonly string[];
  /** As it stands there. */
  readonly packageJson: JsonObject;
  /** What a release document must say of it. */
  readonly manifest: JsonObject;
};

export type InspectOptions = {
  /** Caps to lower in tests. */
  readonly limits?: Partial<PackLimits>;
  /** For `import`: public packages may have another single top folder (`node`, …); clients cut it off whatever it is. */
  readonly anyTopFolder?: boolean;
};

/** A running digest of a list of entries: two readers can be compared without keeping both lists. */
class EntryDigest {
  readonly #hash = createHash("sha256");

  add(kind: "file" | "folder", path: string, sizeBytes: number): void {
    this.#hash.update(`${kind} ${sizeBytes} ${path.replace(/\/$/, "")}\0`);
  }

  hex(): string {
    return this.#hash.digest("hex");
  }
}

/** npm's reader of tar streams, every warning an error. */
class SecondReader {
  readonly #digest = new EntryDigest();
  readonly #parser: Parser;
  #error: unknown;
  #ended = false;

  constructor(limits: PackLimits) {
    this.#parser = new Parser({
      strict: true,
      maxMetaEntrySize: limits.maxHeaderBytes,
      onReadEntry: (entry) => {
        this.#digest.add(entry.type === "Directory" ? "folder" : "file", entry.path, entry.size);
        entry.resume();
      },
    });
    this.#parser.on("error", (error: unknown) => {
      this.#error ??= error;
    });
    this.#parser.on("end", () => {
      this.#ended = true;
    });
  }

  write(bytes: Uint8Array): void {
    this.#parser.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    if (this.#error !== undefined) throw tarballRefused("npm could not unpack it without warnings", this.#error);
  }

  end(): string {
    this.#parser.end();
    if (this.#error !== undefined || !this.#ended) throw tarballRefused("npm could not unpack it without warnings", this.#error);
    return this.#digest.hex();
  }
}

/** Our reader's view: checked paths, sizes, and the bytes of package.json. */
class Contents {
  readonly files: string[] = [];
  readonly #limits: PackLimits;
  readonly #paths: PathSet;
  readonly #digest = new EntryDigest();
  /** Paths in plain headers that an extended header overrides, folded: no client may take one for another file. */
  readonly #overridden = new Set<string>();
  readonly #bundle: Bundle;
  #packageJson: Uint8Array | undefined;
  /** The file whose content comes, where it is read; chunk by chunk. */
  #open: { readonly inner: string; readonly chunks: Uint8Array[] } | null = null;
  unpackedSize = 0;

  constructor(limits: PackLimits, anyTopFolder: boolean) {
    this.#limits = limits;
    this.#paths = new PathSet(limits, anyTopFolder);
    this.#bundle = new Bundle(limits);
  }

  entry({ kind, path, headerPath, sizeBytes }: TarEntry): void {
    this.#close();
    this.#digest.add(kind, path, sizeBytes);
    const inner = this.#paths.add(kind, path);
    if (headerPath !== path) this.#overridden.add(foldPath(headerPath));
    if (kind === "folder") return;
    this.files.push(inner);
    this.unpackedSize += sizeBytes;
    const isPackageJson = inner === "package.json";
    if (isPackageJson && sizeBytes > this.#limits.maxPackageJsonBytes)
      throw tarballRefused(`package.json is larger than ${this.#limits.maxPackageJsonBytes} bytes`);
    if (this.#bundle.file(inner, sizeBytes) || isPackageJson) this.#open = { inner, chunks: [] };
  }

  content(bytes: Uint8Array): void {
    this.#open?.chunks.push(bytes.slice());
  }

  get bundle(): Bundle {
    return this.#bundle;
  }

  get topFolder(): string {
    return this.#paths.topFolder ?? "";
  }

  packageJson(): Uint8Array {
    if (this.#packageJson === undefined) throw tarballRefused("it has no package.json in its top folder");
    return this.#packageJson;
  }

  #close(): void {
    if (this.#open === null) return;
    const { inner, chunks } = this.#open;
    this.#open = null;
    if (inner === "package.json") this.#packageJson = Buffer.concat(chunks);
    else this.#bundle.content(inner, Buffer.concat(chunks));
  }

  /** The digest of all entries; to be called once, at the end. */
  finish(): string {
    this.#close();
    const hidden =
      this.#overridden.size === 0 ? undefined : this.files.find((file) => this.#overridden.has(foldPath(`${this.topFolder}/${file}`)));
    if (hidden !== undefined)
      throw tarballRefused(`an extended header renames what its plain one calls ${quote(hidden)}, a file of its own`);
    return this.#digest.hex();
  }
}

/**
 * Reads the tarball in `source`: its bytes, or the path of a file.
 *
 * @throws ImprintError TARBALL_REFUSED (anything unsafe, ambiguous, too large or malformed), FILE_UNREADABLE
 */
export async function inspectTarball(source: Uint8Array | string, options: InspectOptions = {}): Promise<TarballFacts> {
  const limits = { ...PACK_LIMITS, ...options.limits };
  const contents = new Contents(limits, options.anyTopFolder ?? false);
  const reader = new TarReader(limits, contents);
  const second = new SecondReader(limits);
  const compressed = await gunzip(source, limits, (bytes) => {
    reader.write(bytes);
    second.write(bytes);
  });
  reader.end();
  if (contents.finish() !== second.end()) throw tarballRefused("two readers of it see different files");
  const packageJson = parsePackageJson(contents.packageJson(), tarballRefused, limits);
  const { files, unpackedSize, topFolder } = contents;
  requireShapes(packageJson);
  const all = new Set(files);
  const bundledScripts = contents.bundle.finish(packageJson, (file) => all.has(file));
  return {
    sha512Hex: Buffer.from(compressed.sha512).toString("hex"),
    integrity: parseIntegrity(`sha512-${Buffer.from(compressed.sha512).toString("base64")}`, "integrity"),
    shasum: parseShasum(compressed.sha1Hex, "shasum"),
    size: compressed.sizeBytes,
    unpackedSize,
    fileCount: files.length,
    topFolder,
    files,
    bundledScripts,
    packageJson,
    manifest: manifestOf(packageJson, {
      hasShrinkwrap: files.includes("npm-shrinkwrap.json"),
      hasBindingGyp: files.includes("binding.gyp"),
      bundlesScripts: bundledScripts.length > 0,
    }),
  };
}
