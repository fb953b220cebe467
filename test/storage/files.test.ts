import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { nodeFiles } from "../../src/storage/files.ts";
import { temporaryFolder } from "./temporary.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);
const textOf = (value: Uint8Array | null): string | null => (value === null ? null : Buffer.from(value).toString());
async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
  await Promise.resolve();
}

describe("files", () => {
  const files = nodeFiles();

  test("writes, replaces, reads; parents are the user's alone; no temporary file is left", async () => {
    const dir = temporaryFolder();
    const path = join(dir, "a", "b", "file.json");
    await files.writeAtomic(path, bytes("one"));
    await files.writeAtomic(path, bytes("two"));
    expect(textOf(await files.read(path, 3))).toBe("two");
    expect(statSync(join(dir, "a")).mode & 0o777).toBe(0o700);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(dir, "a", "b"))).toEqual(["file.json"]);
    await files.writeAtomic(path, bytes("three"), { mode: 0o644 });
    expect(statSync(path).mode & 0o777).toBe(0o644);
  });

  test("what isn't there is null, an empty list, no error", async () => {
    const dir = temporaryFolder();
    writeFileSync(join(dir, "file"), "x");
    expect(await files.read(join(dir, "no"), 1)).toBeNull();
    expect(await files.read(join(dir, "file", "under"), 1)).toBeNull();
    expect(await files.open(join(dir, "no"))).toBeNull();
    expect(await files.list(join(dir, "no"))).toEqual([]);
    await files.remove(join(dir, "no"));
  });

  test("a file over maxBytes is TOO_LARGE", async () => {
    const path = join(temporaryFolder(), "f");
    await files.writeAtomic(path, bytes("1234"));
    await expect(files.read(path, 3)).rejects.toMatchObject({ code: "TOO_LARGE" });
    expect(textOf(await files.read(path, 4))).toBe("1234");
  });

  test("createExclusive makes once, whole", async () => {
    const path = join(temporaryFolder(), "d", "f");
    const results = await Promise.all(Array.from({ length: 20 }, (_, at) => files.createExclusive(path, bytes(`value ${String(at)}`))));
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(textOf(await files.read(path, 100))).toBe(`value ${String(results.indexOf(true))}`);
    expect(readdirSync(join(path, ".."))).toEqual(["f"]);
  });

  test("writeStream keeps nothing of a stream that throws, and passes its error on", async () => {
    const dir = temporaryFolder();
    const path = join(dir, "f");
    await files.writeStream(path, pieces("a", "", "bc"));
    const error = new Error("source");
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield* pieces("new");
      throw error;
    }
    await expect(files.writeStream(path, broken())).rejects.toBe(error);
    expect(readFileSync(path, "utf8")).toBe("abc");
    expect(readdirSync(dir)).toEqual(["f"]);
  });

  test("an open file can be read twice, partly, and after it was replaced", async () => {
    const path = join(temporaryFolder(), "f");
    await files.writeAtomic(path, Buffer.alloc(1_000_000, "x"));
    const file = await files.open(path);
    if (file === null) throw new Error("not there");
    for await (const chunk of file.stream()) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    await files.writeAtomic(path, bytes("other"));
    let size = 0;
    for await (const chunk of file.stream()) size += chunk.length;
    expect(size).toBe(1_000_000);
    expect(file.size).toBe(1_000_000);
    await file.close();
  });

  test("a disk that refuses is STORAGE_FAILED, naming path and errno", async () => {
    const dir = temporaryFolder();
    mkdirSync(join(dir, "folder"));
    writeFileSync(join(dir, "file"), "");
    symlinkSync("loop", join(dir, "loop"));
    await expect(files.writeAtomic(join(dir, "folder"), bytes("x"))).rejects.toMatchObject({
      code: "STORAGE_FAILED",
      message: expect.stringMatching(/folder: E[A-Z]+/u) as string,
    });
    await expect(files.writeAtomic(join(dir, "file", "under"), bytes("x"))).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    await expect(files.read(join(dir, "folder"), 10)).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    await expect(files.read(join(dir, "loop"), 10)).rejects.toMatchObject({
      code: "STORAGE_FAILED",
      message: expect.stringContaining("ELOOP") as string,
    });
    expect(readdirSync(dir).sort()).toEqual(["file", "folder", "loop"]);
  });

  test("what a killed write left is not listed", async () => {
    const dir = temporaryFolder();
    await files.writeAtomic(join(dir, "b"), bytes(""));
    await files.writeAtomic(join(dir, "a"), bytes(""));
    writeFileSync(join(dir, ".imprint-tmp-1-00"), "half");
    expect(await files.list(dir)).toEqual(["a", "b"]);
  });
});
