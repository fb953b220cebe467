import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { openBlobStore } from "../../src/storage/blobs.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { failingFiles } from "./failing-files.ts";
import { temporaryFolder } from "./temporary.ts";

const hashOf = (bytes: Uint8Array, algorithm = "sha512"): string => createHash(algorithm).update(bytes).digest("hex");
async function* stream(bytes: Uint8Array, chunk = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunk) yield await Promise.resolve(bytes.subarray(at, at + chunk));
}

describe("blobs", () => {
  const bytes = randomBytes(12_345);
  const hash = hashOf(bytes);

  test("put, open, read; twice is fine; by sha256 too", async () => {
    for (const algorithm of ["sha512", "sha256"] as const) {
      const store = openBlobStore(nodeFiles(), temporaryFolder(), algorithm);
      const own = hashOf(bytes, algorithm);
      expect(await store.open(own)).toBeNull();
      await store.put(stream(bytes), { hash: own, size: bytes.length });
      await store.put(stream(bytes), { hash: own, size: bytes.length });
      const blob = await store.open(own);
      if (blob === null) throw new Error("not there");
      const chunks: Uint8Array[] = [];
      for await (const chunk of blob.stream()) chunks.push(chunk);
      expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
      expect(blob.size).toBe(bytes.length);
      expect(readFileSync(blob.path).equals(bytes)).toBe(true);
      await blob.close();
      await store.remove(own);
      expect(await store.open(own)).toBeNull();
    }
  });

  test.each([
    ["longer", (): AsyncGenerator<Uint8Array> => stream(Buffer.concat([bytes, Buffer.from("x")]))],
    ["shorter", (): AsyncGenerator<Uint8Array> => stream(bytes.subarray(1))],
    ["other", (): AsyncGenerator<Uint8Array> => stream(Buffer.from(bytes).fill(0, 5, 9))],
    ["empty", (): AsyncGenerator<Uint8Array> => stream(new Uint8Array())],
  ])("a %s stream is TARBALL_MISMATCH and leaves nothing", async (_, source) => {
    const root = temporaryFolder();
    const store = openBlobStore(nodeFiles(), root);
    await expect(store.put(source(), { hash, size: bytes.length })).rejects.toMatchObject({ code: "TARBALL_MISMATCH" });
    expect(readdirSync(root, { recursive: true }).filter((name) => String(name).length > 2)).toEqual([]);
  });

  test("an endless stream is stopped at the signed size", async () => {
    const store = openBlobStore(nodeFiles(), temporaryFolder());
    let given = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        given += 65_536;
        yield await Promise.resolve(new Uint8Array(65_536));
      }
    }
    await expect(store.put(endless(), { hash, size: 1_000_000 })).rejects.toMatchObject({ code: "TARBALL_MISMATCH" });
    expect(given).toBeLessThan(1_200_000);
  });

  test("a blob that changed on disk is null and gone; a fresh one takes its place", async () => {
    const store = openBlobStore(nodeFiles(), temporaryFolder());
    await store.put(stream(bytes), { hash, size: bytes.length });
    const blob = await store.open(hash);
    await blob?.close();
    const path = blob?.path ?? "";
    writeFileSync(path, Buffer.from(bytes).fill(1, 0, 1));
    expect(await store.open(hash)).toBeNull();
    expect(existsSync(path)).toBe(false);
    await store.put(stream(bytes), { hash, size: bytes.length });
    const fresh = await store.open(hash);
    expect(fresh).not.toBeNull();
    await fresh?.close();
  });

  test.each(["../x", "", "AB".repeat(64), "ab".repeat(63), `${"ab".repeat(63)}/.`])("%j is no hash", async (text) => {
    const store = openBlobStore(nodeFiles(), temporaryFolder());
    await expect(store.open(text)).rejects.toMatchObject({ code: "INVALID_DOCUMENT" });
  });

  test("a full disk is STORAGE_FAILED, and nothing is there", async () => {
    const root = temporaryFolder();
    const store = openBlobStore(failingFiles(nodeFiles(), 0), root);
    await expect(store.put(stream(bytes), { hash, size: bytes.length })).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    expect(await openBlobStore(nodeFiles(), root).open(hash)).toBeNull();
    expect(existsSync(dirname(join(root, hash.slice(0, 2), hash)))).toBe(false);
  });
});
