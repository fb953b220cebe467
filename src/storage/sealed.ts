/**
 * Cached files whose content no hash can prove: documents of the public registry, what was read for searches, what a host was
 * last asked with. Each begins with a line that only this machine can write (THREATS M2): a cache that somebody else prepared,
 * and that CI restored, counts as empty.
 *
 * The secret is kept outside the cache, and outside `IMPRINT_HOME`, so that neither brings its own along.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import path from "node:path";
import { isImprintError } from "../errors.ts";
import { textOf, utf8 } from "../format/bytes.ts";
import type { Files } from "./files.ts";

export type SealedFiles = Pick<Files, "read" | "writeAtomic" | "remove">;

/** Hex digits of a sha256, and a line break. */
const SEAL_BYTES = 65;

/** @param root what the files' names are relative to: a file that was moved to another name is none @param secret of this machine */
export function sealedFiles(files: SealedFiles, root: string, secret: () => Promise<Uint8Array>): SealedFiles {
  const sealOf = async (file: string, bytes: Uint8Array): Promise<Buffer> => {
    const name = path.relative(root, file).split(path.sep).join("/");
    return Buffer.from(
      `${createHmac("sha256", await secret())
        .update(`imprint cache ${String(name.length)} ${name} `)
        .update(bytes)
        .digest("hex")}\n`,
    );
  };
  return {
    async read(file, maxBytes, options) {
      const sealed = await files.read(file, maxBytes + SEAL_BYTES, options);
      if (sealed === null || sealed.byteLength < SEAL_BYTES) return null;
      const bytes = sealed.subarray(SEAL_BYTES);
      return timingSafeEqual(sealed.subarray(0, SEAL_BYTES), await sealOf(file, bytes)) ? bytes : null;
    },
    async writeAtomic(file, bytes, options) {
      await files.writeAtomic(file, Buffer.concat([await sealOf(file, bytes), bytes]), options);
    },
    remove: (file) => files.remove(file),
  };
}

/** The secret of this machine, made when it is first needed. Where it cannot be kept, one for this process: then nothing is found again. */
export function machineSecret(files: Files, file: string): () => Promise<Uint8Array> {
  let known: Promise<Uint8Array> | null = null;
  return () => (known ??= readOrMake(files, file));
}

async function readOrMake(files: Files, file: string): Promise<Uint8Array> {
  const made = randomBytes(32);
  try {
    const kept = await readSecret(files, file);
    if (kept !== null) return kept;
    // One that others may know, or that is none.
    await files.remove(file);
    await files.createExclusive(file, utf8(made.toString("hex")));
    return (await readSecret(files, file)) ?? made;
  } catch (error) {
    if (!isImprintError(error, "STORAGE_FAILED", "FOREIGN_FILE")) throw error;
    return made;
  }
}

async function readSecret(files: Files, file: string): Promise<Uint8Array | null> {
  const bytes = await files.read(file, 65_536, { secret: true }).catch((error: unknown) => {
    if (!isImprintError(error, "LOOSE_FILE", "TOO_LARGE")) throw error;
    return null;
  });
  const text = bytes === null ? null : textOf(bytes);
  return text !== null && /^[0-9a-f]{64}$/u.test(text) ? Buffer.from(text, "hex") : null;
}

/** 16 hex digits in the names of folders that other programs fill, and that nobody else could have prepared for this machine. */
export function machineMark(secret: Uint8Array): string {
  return createHmac("sha256", secret).update("imprint folders").digest("hex").slice(0, 16);
}
