/**
 * A file that is read while it is written: a download that several clients follow at once.
 *
 * Nobody finds it by name before `keep`, which is called only once its bytes are known to be right. A process that dies
 * leaves at worst a stray temporary file, named like those of `files.ts`.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errnoOf, ImprintError } from "../errors.ts";
import { TEMPORARY } from "./files.ts";

/** Errors are STORAGE_FAILED, naming path and errno. */
export type Spool = {
  /** Bytes written so far. */
  readonly size: () => number;
  append(chunk: Uint8Array): Promise<void>;
  /** Up to `maxBytes` from `at`; they must have been written. */
  read(at: number, maxBytes: number): Promise<Uint8Array>;
  /** Gives it its name, at once; reading goes on. */
  keep(): Promise<void>;
  /** Removes what was not kept; what is read from it now is worth nothing. */
  drop(): Promise<void>;
  /** Ends it. */
  close(): Promise<void>;
};

/** A spool that `keep` puts at `path`. Parents are made with 0700, the file with 0600. */
export async function openSpool(path: string): Promise<Spool> {
  const fail = (cause: unknown): never => {
    throw new ImprintError("STORAGE_FAILED", `Cannot write ${path}: ${errnoOf(cause) ?? "unknown error"}`, { cause });
  };
  const dir = dirname(path);
  const temporary = join(dir, `${TEMPORARY}${String(process.pid)}-${randomBytes(6).toString("hex")}`);
  await mkdir(dir, { recursive: true, mode: 0o700 }).catch(fail);
  const handle = await open(temporary, "wx+", 0o600).catch(fail);
  let size = 0;
  let isKept = false;
  return {
    size: () => size,
    async append(chunk) {
      for (let at = 0; at < chunk.length;) at += (await handle.write(chunk, at, chunk.length - at, size + at).catch(fail)).bytesWritten;
      size += chunk.length;
    },
    async read(at, maxBytes) {
      const buffer = Buffer.allocUnsafe(Math.min(maxBytes, size - at));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at).catch(fail);
      return buffer.subarray(0, bytesRead);
    },
    async keep() {
      await handle.sync().catch(fail);
      await rename(temporary, path).catch(fail);
      isKept = true;
    },
    async drop() {
      if (!isKept) await rm(temporary, { force: true }).catch(() => undefined);
    },
    async close() {
      await handle.close().catch(() => undefined);
    },
  };
}
