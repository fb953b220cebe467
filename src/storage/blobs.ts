/**
 * Content by its hash: tarballs under sha512, documents under sha256.
 *
 * Nothing gets in whose bytes don't have the hash, and nothing gets out without being hashed again: a disk, another
 * program or a bug may have changed it since, and a client must not see the first byte of a wrong file.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { ImprintError } from "../errors.ts";
import type { Files, OpenFile } from "./files.ts";

export type BlobStore = {
  /** The blob, its bytes proven; null where it isn't here, or was corrupt and is now gone. The caller closes it. */
  open(hash: string): Promise<(OpenFile & { readonly path: string }) | null>;
  /**
   * Stores what `source` gives. Stops at `size` bytes; TARBALL_MISMATCH, with nothing kept, for another size or hash.
   * Errors of `source` pass through.
   */
  put(source: AsyncIterable<Uint8Array>, expected: { readonly hash: string; readonly size: number }): Promise<void>;
  remove(hash: string): Promise<void>;
};

type Algorithm = "sha256" | "sha512";

async function* checked(
  source: AsyncIterable<Uint8Array>,
  algorithm: Algorithm,
  expected: { readonly hash: string; readonly size: number },
): AsyncGenerator<Uint8Array> {
  const mismatch = (state: string): ImprintError =>
    new ImprintError("TARBALL_MISMATCH", `Cannot store ${algorithm} ${expected.hash.slice(0, 16)}…: ${state}`);
  const hash = createHash(algorithm);
  let size = 0;
  for await (const chunk of source) {
    size += chunk.length;
    if (size > expected.size) throw mismatch(`more than the ${String(expected.size)} bytes that were signed`);
    hash.update(chunk);
    yield chunk;
  }
  if (size !== expected.size) throw mismatch(`${String(size)} bytes, ${String(expected.size)} were signed`);
  if (hash.digest("hex") !== expected.hash) throw mismatch("the bytes have another hash");
}

async function hashOf(file: OpenFile, algorithm: Algorithm): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of file.stream()) hash.update(chunk);
  return hash.digest("hex");
}

/** Opens the store in folder `root`. Hashes are lower-case hex. */
export function openBlobStore(files: Files, root: string, algorithm: Algorithm = "sha512"): BlobStore {
  const hexDigits = algorithm === "sha512" ? 128 : 64;
  const pathOf = (hash: string): string => {
    // a hash becomes a path here: an unchecked one could leave the folder
    if (hash.length !== hexDigits || !/^[0-9a-f]+$/u.test(hash))
      throw new ImprintError(
        "INVALID_DOCUMENT",
        `Cannot use "${hash.slice(0, 20)}" as a ${algorithm}: not ${String(hexDigits)} hex digits`,
      );
    return join(root, hash.slice(0, 2), hash);
  };
  return {
    async open(hash) {
      const path = pathOf(hash);
      const file = await files.open(path);
      if (file === null) return null;
      try {
        if ((await hashOf(file, algorithm)) === hash) return { ...file, path };
      } catch (error) {
        await file.close();
        throw error;
      }
      await file.close();
      await files.remove(path);
      return null;
    },
    put: async (source, expected) => files.writeStream(pathOf(expected.hash), checked(source, algorithm, expected)),
    remove: async (hash) => files.remove(pathOf(hash)),
  };
}
