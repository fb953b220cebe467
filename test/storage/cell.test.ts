import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openCell } from "../../src/storage/cell.ts";
import { nodeFiles, wholeOf } from "../../src/storage/files.ts";
import type { Files } from "../../src/storage/files.ts";
import { failingFiles } from "./failing-files.ts";
import { temporaryFolder } from "./temporary.ts";

const OPTIONS = { maxBytes: 1000 };
const files = nodeFiles();
const value = (text: string): Uint8Array => Buffer.from(text);
const read = async (dir: string): Promise<string> => {
  const found = await openCell(files, dir, OPTIONS).read();
  return found === null ? "empty" : `${String(found.generation)} ${Buffer.from(found.bytes).toString()}`;
};

/** A disk in memory, which hands control over between any two steps, and whose listings are torn: files made or removed while it lists may show or not. */
function tornFiles(): Files & { readonly all: Map<string, Uint8Array> } {
  const all = new Map<string, Uint8Array>();
  const pause = async (): Promise<void> => {
    for (let turns = Math.floor(Math.random() * 4); turns >= 0; turns--) await Promise.resolve();
  };
  return {
    all,
    read: async (path) => (await pause(), all.get(path) ?? null),
    open: () => Promise.resolve(null),
    writeAtomic: async (path, bytes) => (await pause(), void all.set(path, bytes)),
    writeStream: () => Promise.resolve(),
    remove: async (path) => (await pause(), void all.delete(path)),
    createExclusive: async (path, content) => {
      await pause();
      if (all.has(path)) return false;
      all.set(path, wholeOf(content));
      return true;
    },
    list: async () => {
      const seen: string[] = [];
      for (const path of Array.from(all.keys())) {
        await pause();
        if (all.has(path)) seen.push(path.slice(path.lastIndexOf("/") + 1));
      }
      return seen;
    },
  };
}

describe("cell", () => {
  test("empty, written, swapped; a stale or early swap is STATE_CHANGED", async () => {
    const dir = join(temporaryFolder(), "cell");
    const cell = openCell(files, dir, OPTIONS);
    expect(await cell.read()).toBeNull();
    await expect(cell.swap(1, value("x"))).rejects.toMatchObject({ code: "STATE_CHANGED" });
    expect(await cell.swap(null, value("a"))).toBe(1);
    await expect(cell.swap(null, value("x"))).rejects.toMatchObject({ code: "STATE_CHANGED" });
    expect(await cell.swap(1, value("b"))).toBe(2);
    await expect(cell.swap(1, value("x"))).rejects.toMatchObject({ code: "STATE_CHANGED" });
    expect(await read(dir)).toBe("2 b");
    for (let generation = 2; generation < 6; generation++) await cell.swap(generation, value("c"));
    expect(readdirSync(dir)).toEqual(["4", "5", "6"]);
  });

  test("9 is followed by 10, and strange files are not generations", async () => {
    const dir = temporaryFolder();
    const cell = openCell(files, dir, OPTIONS);
    for (let generation = 0; generation < 12; generation++)
      await cell.swap(generation === 0 ? null : generation, value(String(generation + 1)));
    for (const name of ["99x", "013", "0", "-1", "1e9", "99999999999999999", "notes.txt"]) writeFileSync(join(dir, name), "no");
    expect(await read(dir)).toBe("12 12");
  });

  test("a value over maxBytes is TOO_LARGE", async () => {
    const dir = temporaryFolder();
    writeFileSync(join(dir, "1"), "x".repeat(1001));
    await expect(openCell(files, dir, OPTIONS).read()).rejects.toMatchObject({ code: "TOO_LARGE" });
    expect((await openCell(files, dir, { maxBytes: 1001 }).read())?.bytes.byteLength).toBe(1001);
  });

  test.each(["before", "after"] as const)(
    "each write failing in turn (%s): old or new value, never neither; the next run goes on",
    async (when) => {
      for (let n = 0; n < 6; n++) {
        const dir = join(temporaryFolder(), String(n));
        const cell = openCell(files, dir, OPTIONS);
        await cell.swap(null, value("old"));
        // a leftover of an earlier crash
        writeFileSync(join(dir, ".imprint-tmp-7-aa"), "ha");
        const failing = failingFiles(files, n, when);
        const outcome = await openCell(failing, dir, OPTIONS)
          .swap(1, value("new"))
          .catch(() => "failed");
        const now = await read(dir);
        expect(["1 old", "2 new"]).toContain(now);
        if (outcome === 2) expect(now).toBe("2 new");
        const seen = await cell.read();
        await cell.swap(seen?.generation ?? null, value("next"));
        expect(await read(dir)).toMatch(/ next$/u);
        if (!failing.failed()) break;
        expect(n).toBeLessThan(5);
      }
    },
  );

  test("a writer that slept while others went past it gives way, and leaves nothing", async () => {
    const dir = temporaryFolder();
    const cell = openCell(files, dir, OPTIONS);
    await cell.swap(null, value("1"));
    const sleepy: Files = {
      ...files,
      createExclusive: async (path, bytes) => {
        for (let generation = 1; generation < 5; generation++) await cell.swap(generation, value(String(generation + 1)));
        return files.createExclusive(path, bytes);
      },
    };
    await expect(openCell(sleepy, dir, OPTIONS).swap(1, value("late"))).rejects.toMatchObject({ code: "STATE_CHANGED" });
    expect(await read(dir)).toBe("5 5");
    expect(readdirSync(dir)).toEqual(["3", "4", "5"]);
  });

  test("many writers over a disk with torn listings: every success counts, none twice", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 6 }), fc.integer({ min: 1, max: 8 }), async (writers, rounds) => {
        const disk = tornFiles();
        const won: number[] = [];
        await Promise.all(
          Array.from({ length: writers }, async () => {
            const cell = openCell(disk, "/cell", OPTIONS);
            for (let round = 0; round < rounds; round++) {
              const seen = await cell.read();
              const count = seen === null ? 0 : Number(Buffer.from(seen.bytes).toString());
              const generation = await cell.swap(seen?.generation ?? null, value(String(count + 1))).catch(() => null);
              if (generation !== null) won.push(generation);
            }
          }),
        );
        const end = await openCell(disk, "/cell", OPTIONS).read();
        expect(new Set(won).size).toBe(won.length);
        // a success is never lost; a value that counted may have been called a conflict by one who was overtaken
        expect(end?.generation).toBeGreaterThanOrEqual(won.length);
        expect(Buffer.from(end?.bytes ?? []).toString()).toBe(String(end?.generation));
      }),
      { numRuns: 200 },
    );
  });

  test("two processes count together without losing a step", async () => {
    const dir = join(temporaryFolder(), "cell");
    const script = `
      import { openCell } from ${JSON.stringify(new URL("../../src/storage/cell.ts", import.meta.url).href)};
      import { nodeFiles } from ${JSON.stringify(new URL("../../src/storage/files.ts", import.meta.url).href)};
      const cell = openCell(nodeFiles(), process.argv[1], { maxBytes: 1000 });
      for (let done = 0; done < 40; ) {
        const seen = await cell.read();
        const count = seen === null ? 0 : Number(Buffer.from(seen.bytes).toString());
        try { await cell.swap(seen?.generation ?? null, Buffer.from(String(count + 1))); done++; } catch (error) { if (error.code !== "STATE_CHANGED") throw error; }
      }`;
    const children = [0, 1].map(() =>
      spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script, dir], { stdio: ["ignore", "ignore", "inherit"] }),
    );
    const statuses = await Promise.all(children.map((child) => once(child, "exit")));
    expect(statuses.map(([status]) => status as number)).toEqual([0, 0]);
    const [generation, count] = (await read(dir)).split(" ").map(Number);
    expect(count).toBe(generation);
    expect(count).toBeGreaterThanOrEqual(80);
  });
});
