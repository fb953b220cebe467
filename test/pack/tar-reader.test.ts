import { posix, win32 } from "node:path";
import fc from "fast-check";
import { Parser } from "tar";
import { describe, expect, test } from "vitest";
import { isImprintError } from "../../src/errors.ts";
import { inspectTarball } from "../../src/pack/inspect.ts";
import { PACK_LIMITS } from "../../src/pack/limits.ts";
import { foldPath, pathProblem, PathSet } from "../../src/pack/paths.ts";
import { parsePax } from "../../src/pack/pax.ts";
import { TarReader } from "../../src/pack/tar-reader.ts";
import { gzip, makeTarball, paxEntry, rawTar } from "../support/tarball.ts";
import type { RawEntry } from "../support/tarball.ts";

const ENTRIES: readonly RawEntry[] = [
  { path: "package/package.json", content: '{"name":"a"}' },
  { path: "package/lib/", type: "5" },
  paxEntry({ path: `package/${"x".repeat(120)}` }),
  { path: "package/x", content: "1".repeat(600) },
  { path: "package/empty" },
  { path: "y.js", prefix: "package/deep", content: "2".repeat(512) },
];

function read(tar: Uint8Array, cuts: readonly number[]): string {
  const log: string[] = [];
  let content = "";
  const reader = new TarReader(PACK_LIMITS, {
    entry: ({ kind, path, sizeBytes }) => log.push(`${kind} ${path} ${sizeBytes}`),
    content: (bytes) => {
      content += Buffer.from(bytes).toString("latin1");
    },
  });
  const places = [...new Set([0, ...cuts.map((cut) => cut % tar.length), tar.length])].sort((a, b) => a - b);
  for (const [i, place] of places.slice(0, -1).entries()) reader.write(tar.subarray(place, places[i + 1]));
  reader.end();
  return [...log, content].join("\n");
}

/** What npm's reader makes of it; null if it warns. */
function readAsNpm(tar: Uint8Array): readonly string[] | null {
  const log: string[] = [];
  let failed = false;
  const parser = new Parser({
    strict: true,
    onReadEntry: (entry) => {
      log.push(`${entry.type === "Directory" ? "folder" : "file"} ${entry.path} ${entry.size}`);
      entry.resume();
    },
  });
  parser.on("error", () => {
    failed = true;
  });
  parser.end(Buffer.from(tar));
  return failed ? null : log;
}

describe("tar reader", () => {
  test("chunks may be cut anywhere", () => {
    const tar = rawTar(ENTRIES);
    const whole = read(tar, []);
    expect(whole).toContain(`file package/${"x".repeat(120)} 600`);
    expect(whole).toContain("file package/deep/y.js 512");
    fc.assert(
      fc.property(fc.array(fc.nat({ max: tar.length - 1 })), (cuts) => {
        expect(read(tar, cuts)).toBe(whole);
      }),
    );
    expect(
      read(
        tar,
        Array.from({ length: tar.length }, (_, i) => i),
      ),
    ).toBe(whole);
  });

  test("B1 whatever bytes are changed: refused, or read as npm reads it", () => {
    const tar = rawTar(ENTRIES);
    const fixChecksums = (bytes: Buffer): void => {
      // Without this nearly every change of a header would only fail its checksum.
      for (let at = 0; at + 512 <= bytes.length; at += 512) {
        const block = bytes.subarray(at, at + 512);
        if (block.toString("latin1", 257, 262) !== "ustar") continue;
        block.fill(0x20, 148, 156);
        const sum = block.reduce((total, byte) => total + byte, 0);
        block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, 8, "latin1");
      }
    };
    const interesting = fc.oneof(
      fc.integer({ min: 0, max: 255 }),
      fc.constantFrom(0x00, 0x20, 0x2f, 0x30, 0x31, 0x35, 0x37, 0x4c, 0x67, 0x78, 0x80, 0x0a),
    );
    // Headers of entries begin at block boundaries; most changes are aimed at the fields that decide.
    const place = fc.oneof(
      fc.nat({ max: tar.length - 1 }),
      fc
        .tuple(
          fc.nat({ max: tar.length / 512 - 1 }),
          fc.constantFrom(0, 1, 7, 8, 98, 99, 124, 130, 134, 135, 156, 157, 257, 262, 263, 345, 346, 474, 475, 476),
        )
        .map(([block, offset]) => block * 512 + offset),
    );
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(place, interesting), { minLength: 1, maxLength: 4 }), (changes) => {
        const changed = Buffer.from(tar);
        for (const [at, byte] of changes) changed[at] = byte;
        fixChecksums(changed);
        let ours: string;
        try {
          ours = read(changed, []);
        } catch (error) {
          expect(isImprintError(error, "TARBALL_REFUSED")).toBe(true);
          return;
        }
        accepted += 1;
        const npm = readAsNpm(changed);
        // npm may warn where we don't (inspectTarball then refuses); it must never silently see something else.
        if (npm !== null) expect(ours.startsWith(npm.join("\n"))).toBe(true);
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(0);
  });

  test("random bytes never crash it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), fc.boolean(), async (bytes, zipped) => {
        await expect(inspectTarball(zipped ? gzip(bytes) : bytes)).rejects.toMatchObject({ code: "TARBALL_REFUSED" });
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          parsePax(bytes);
        } catch (error) {
          expect(isImprintError(error, "TARBALL_REFUSED")).toBe(true);
        }
      }),
    );
  });
});

describe("paths", () => {
  const segment = fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 8 })
    .filter((text) => !text.includes("/") && pathProblem(text) === undefined);

  test("B1 no accepted path leaves its folder", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", ".", "/", "\\", "C", ":", " ", "\0", "é") }), (path) => {
        if (pathProblem(path) !== undefined) return;
        expect(posix.resolve("/root", path).startsWith("/root/")).toBe(true);
        expect(win32.resolve("R:\\root", path).startsWith("R:\\root\\")).toBe(true);
        expect(path).not.toMatch(/[\\\0]|^\/|(^|\/)\.\.?(\/|$)/);
      }),
    );
  });

  test("B1 spellings of one path fold alike, and folding twice changes nothing", () => {
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), (segments) => {
        const path = segments.join("/");
        const folded = foldPath(path);
        for (const other of [path.toUpperCase(), path.toLowerCase(), path.normalize("NFD"), path.normalize("NFC"), `${path}.`, folded])
          expect(foldPath(other)).toBe(folded);
      }),
    );
  });

  test("B1 of a path and any other spelling of it only the first is taken", () => {
    fc.assert(
      fc.property(segment, (name) => {
        const set = new PathSet(PACK_LIMITS, true);
        set.add("file", `package/${name}`);
        expect(() => set.add("file", `package/${name.toUpperCase()}`)).toThrow(/there twice|some file systems/);
      }),
    );
  });

  test("honest packages of any content come through whole", async () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,40}$/);
    await fc.assert(
      fc.asyncProperty(fc.dictionary(name, fc.uint8Array({ maxLength: 1200 }), { maxKeys: 8, noNullPrototype: true }), async (files) => {
        const facts = await inspectTarball(await makeTarball({ ...files, "package.json": "{}" }));
        expect(facts.files).toEqual([...Object.keys(files), "package.json"]);
        expect(facts.unpackedSize).toBe(Object.values(files).reduce((sum, bytes) => sum + bytes.length, 2));
      }),
    );
  });
});
