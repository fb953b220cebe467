/** The files of a tarball with a digest each, for who compares them with files on disk. Nothing is written. */
import { createHash, type Hash } from "node:crypto";
import type { JsonObject } from "../format/json.ts";
import { gunzip } from "./gunzip.ts";
import { PACK_LIMITS } from "./limits.ts";
import { parsePackageJson } from "./package-json.ts";
import { PathSet } from "./paths.ts";
import { tarballRefused } from "./refuse.ts";
import { TarReader } from "./tar-reader.ts";

export type TarballContents = {
  /** Base64 of the .tgz's sha512, without its prefix. */
  readonly sha512: string;
  /** Paths inside the top folder → digest (see `FileDigest`). */
  readonly files: ReadonlyMap<string, string>;
  readonly packageJson: JsonObject;
};

const FIRST_LINE_BYTES = 2048;

/**
 * The sha256 of a file, in which a `#!` line that ends in CR LF counts as one that ends in LF: npm and pnpm write it so
 * into programs of Windows authors, or no Unix could start them.
 */
export class FileDigest {
  readonly #hash: Hash = createHash("sha256");
  #head: Buffer | null = Buffer.alloc(0);

  update(bytes: Uint8Array): void {
    if (this.#head === null) {
      this.#hash.update(bytes);
      return;
    }
    this.#head = Buffer.concat([this.#head, bytes]);
    if (this.#head.includes(0x0a) || this.#head.length >= FIRST_LINE_BYTES) this.#flush();
  }

  hex(): string {
    this.#flush();
    return this.#hash.digest("hex");
  }

  #flush(): void {
    const head = this.#head;
    if (head === null) return;
    this.#head = null;
    const end = head.subarray(0, FIRST_LINE_BYTES).indexOf("\r\n");
    const isProgram = head[0] === 0x23 && head[1] === 0x21 && end > 0 && !head.subarray(0, end).includes(0x0a);
    this.#hash.update(isProgram ? Buffer.concat([head.subarray(0, end), head.subarray(end + 1)]) : head);
  }
}

/** @throws ImprintError TARBALL_REFUSED, for all that `inspectTarball` would refuse about paths, headers and sizes */
export async function readTarballContents(source: Uint8Array): Promise<TarballContents> {
  const paths = new PathSet(PACK_LIMITS, true);
  const files = new Map<string, string>();
  let open: { readonly path: string; readonly digest: FileDigest; readonly kept: Uint8Array[] | null } | null = null;
  let packageJson: Uint8Array | null = null;
  const close = (): void => {
    if (open === null) return;
    files.set(open.path, open.digest.hex());
    if (open.kept !== null) packageJson = Buffer.concat(open.kept);
    open = null;
  };
  const reader = new TarReader(PACK_LIMITS, {
    entry({ kind, path, sizeBytes }) {
      close();
      const inner = paths.add(kind, path);
      if (kind === "folder") return;
      const isManifest = inner === "package.json";
      if (isManifest && sizeBytes > PACK_LIMITS.maxPackageJsonBytes) throw tarballRefused("its package.json is too large");
      open = { path: inner, digest: new FileDigest(), kept: isManifest ? [] : null };
    },
    content(bytes) {
      open?.digest.update(bytes);
      open?.kept?.push(bytes.slice());
    },
  });
  const { sha512 } = await gunzip(source, PACK_LIMITS, (bytes) => reader.write(bytes));
  reader.end();
  close();
  if (packageJson === null) throw tarballRefused("it has no package.json in its top folder");
  return { sha512: Buffer.from(sha512).toString("base64"), files, packageJson: parsePackageJson(packageJson, tarballRefused, PACK_LIMITS) };
}
