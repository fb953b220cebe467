import fc from "fast-check";
import validRange from "semver/ranges/valid.js";
import { describe, expect, it } from "vitest";
import { fromBase64Url, toBase64Url } from "../../src/format/bytes.ts";
import { isIntegrity } from "../../src/format/decode.ts";
import { type Checkpoint, encodeCheckpoint, formatShard, parseCheckpoint, parseShard } from "../../src/format/checkpoint.ts";
import { formatEnvelope, type Kind } from "../../src/format/envelope.ts";
import { canonicalize, formatPretty, type JsonObject, jsonObject, type JsonValue, parseExact } from "../../src/format/json.ts";
import { formatPublicKey, isPublicKey, isSignatureText, publicKeyBytes } from "../../src/format/keys.ts";
import { parseJsonText } from "../../src/format/json-text.ts";
import { isPackageName, isPackagePattern, patternRank } from "../../src/format/names.ts";
import { packageFolder, recordPath, shardOf } from "../../src/format/paths.ts";
import { formatLock, formatProject, parseLock, parseProject } from "../../src/format/project.ts";
import { encodeRecord, parseRecord } from "../../src/format/record.ts";
import { encodeRelease, parseRelease, type Release } from "../../src/format/release.ts";
import { encodeRoot, parseRoot, type Root } from "../../src/format/root.ts";
import { formatTimestamp, isTimestamp, timestampMs } from "../../src/format/time.ts";
import { compareVersions, isDistTag, isVersion, type Version } from "../../src/format/versions.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".split("");
const MAX = Number.MAX_SAFE_INTEGER;

// ---- arbitraries of the format's values; `as never` hands plain data to branded types ----
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString("hex"));
const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => formatPublicKey(bytes));
const name = fc
  .stringMatching(/^(@[A-Za-z0-9][A-Za-z0-9._-]{0,5}\/[A-Za-z0-9_-]|[A-Za-z0-9])([A-Za-z0-9._-]{0,5}[A-Za-z0-9_-])?$/)
  .filter(isPackageName);
const pattern = fc.oneof(fc.constant("*"), name, fc.stringMatching(/^@[A-Za-z0-9][A-Za-z0-9._-]{0,5}\/\*$/)).filter(isPackagePattern);
const version = fc
  .stringMatching(/^(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})(-[a-zA-Z-][0-9a-zA-Z-]{0,4}(\.[1-9])?)?$/)
  .filter(isVersion);
const tag = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/).filter(isDistTag);
const time = fc.integer({ min: 0, max: 4_102_444_800_000 }).map(formatTimestamp);
const short = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
const number = fc.integer({ min: 0, max: MAX });
const wellFormed = fc.string({ unit: "grapheme" }).filter((text) => text.isWellFormed());
const address = fc.stringMatching(/^[!-~]{1,40}$/);
const oddNames = fc.constantFrom("__proto__", "constructor", "prototype", "10", "0a", "", "toString");
const json: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: "small" },
    fc.constant(null),
    fc.boolean(),
    number,
    wellFormed,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(fc.oneof(wellFormed, oddNames), tie("value")), { maxLength: 5 }).map((entries) => jsonObject(entries)),
  ),
})).value;
const mapOf = <K extends string, V>(keys: fc.Arbitrary<K>, values: fc.Arbitrary<V>): fc.Arbitrary<ReadonlyMap<K, V>> =>
  fc.array(fc.tuple(keys, values), { maxLength: 5 }).map((entries) => new Map(entries));
const object = fc.array(fc.tuple(fc.oneof(wellFormed, oddNames), json), { maxLength: 4 }).map((entries) => jsonObject(entries));

function shuffled(value: JsonValue, seed: number): JsonValue {
  if (Array.isArray(value)) return value.map((item) => shuffled(item as JsonValue, seed));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([member, inner]) => [member, shuffled(inner, seed)] as const);
  return jsonObject(
    seed % 2 === 0
      ? entries.toReversed()
      : [...entries.slice(seed % (entries.length + 1)), ...entries.slice(0, seed % (entries.length + 1))],
  );
}

const file = (_kind: Kind, signed: JsonObject): Uint8Array => formatEnvelope(signed, []);

describe("JSON", () => {
  it("J1 canonical bytes don't depend on the order of members", () => {
    fc.assert(
      fc.property(json, fc.nat(10), (value, seed) => {
        expect(canonicalize(shuffled(value, seed))).toEqual(canonicalize(value));
      }),
    );
  });

  it("parse and format round-trip, and any other text of the same value is refused", () => {
    fc.assert(
      fc.property(json, (value) => {
        const bytes = formatPretty(value);
        expect(formatPretty(parseExact(bytes, 1e6))).toEqual(bytes);
        expect(canonicalize(parseExact(bytes, 1e6))).toEqual(canonicalize(value));
        expect(() => parseExact(Buffer.concat([bytes, Buffer.from(" ")]), 1e7)).toThrow();
      }),
    );
  });

  it("J1 one changed character is refused or is another value", () => {
    fc.assert(
      fc.property(json, fc.nat(), fc.integer({ min: 32, max: 126 }), (value, at, char) => {
        const text = Buffer.from(formatPretty(value)).toString();
        const changed = `${text.slice(0, at % text.length)}${String.fromCharCode(char)}${text.slice((at % text.length) + 1)}`;
        if (changed === text) return;
        try {
          expect(canonicalize(parseExact(Buffer.from(changed), 1e6))).not.toEqual(canonicalize(value));
        } catch (error) {
          expect((error as { code?: string }).code).toBe("INVALID_DOCUMENT");
        }
      }),
    );
  });

  it("the tolerant parser reads what JSON.parse reads, and refuses what it refuses", () => {
    const lax = fc.oneof(
      fc.json({ noUnicodeString: false }).filter((text) => JSON.stringify(JSON.parse(text)).isWellFormed()),
      fc.string({ unit: fc.constantFrom(...'{}[]",:0123.eE+-truefalsn \\u\n'.split("")) }),
    );
    const plain = (value: JsonValue): unknown => JSON.parse(JSON.stringify(value)) as unknown;
    fc.assert(
      fc.property(lax, (text) => {
        let expected: unknown;
        try {
          expected = JSON.parse(text);
        } catch {
          expect(() => parseJsonText(text)).toThrow(/ at line \d+, column \d+$/);
          return;
        }
        let value: JsonValue;
        try {
          ({ value } = parseJsonText(text));
        } catch (error) {
          expect(String(error)).toMatch(/twice|deeply|surrogate/);
          return;
        }
        expect(plain(value)).toEqual(JSON.parse(JSON.stringify(expected)));
      }),
      { numRuns: 500 },
    );
  });
});

describe("J1 base64", () => {
  it("J1 one spelling of 32 bytes is accepted, however the last character is varied", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const good = toBase64Url(bytes);
        const accepted = ALPHABET.map((last) => `${good.slice(0, -1)}${last}`).filter((text) => isPublicKey(`ed25519:${text}`));
        expect(accepted).toHaveLength(16);
        expect(new Set(accepted.map((text) => Buffer.from(publicKeyBytes(`ed25519:${text}` as never)).toString("hex"))).size).toBe(16);
      }),
    );
  });

  it("J1 whatever decodes encodes to itself", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const url = fromBase64Url(text);
        expect(url === null ? text : toBase64Url(url)).toBe(text);
      }),
    );
  });

  it("J1 keys, signatures and integrities are just what decodes to so many bytes and encodes to itself", () => {
    const spellings = fc.oneof(
      ...[31, 32, 33, 63, 64, 65].map((size) => fc.uint8Array({ minLength: size, maxLength: size })),
      fc.uint8Array({ maxLength: 70 }),
    );
    const encodings = ["base64", "base64url"] as const;
    const texts = fc
      .tuple(spellings, fc.constantFrom(...encodings), fc.constantFrom(...ALPHABET, "=", "+", "/", "\n", ""), fc.nat({ max: 90 }))
      .chain(([bytes, encoding, other, at]) => {
        const text = Buffer.from(bytes).toString(encoding);
        return fc.constantFrom(text, `${text.slice(0, at)}${other}${text.slice(at + 1)}`, `${text.slice(0, -1)}${other}`, text + other);
      });
    const decodes = (text: string, encoding: BufferEncoding, size: number): boolean => {
      const bytes = Buffer.from(text, encoding);
      return bytes.byteLength === size && bytes.toString(encoding) === text;
    };
    fc.assert(
      fc.property(texts, (text) => {
        expect([text, isPublicKey(`ed25519:${text}`), isSignatureText(text), isIntegrity(`sha512-${text}`)]).toEqual([
          text,
          decodes(text, "base64url", 32),
          decodes(text, "base64url", 64),
          decodes(text, "base64", 64),
        ]);
      }),
      { numRuns: 5000 },
    );
  });
});

describe("names and paths", () => {
  it("N2 two names share no path, also where case is ignored", () => {
    fc.assert(
      fc.property(name, name, (a, b) => {
        if (a === b) return;
        expect(packageFolder(a).toLowerCase()).not.toBe(packageFolder(b).toLowerCase());
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(name, fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }), (a, upper) => {
        const b = a
          .split("")
          .map((c, i) => (upper[i % 30] === true ? c.toUpperCase() : c.toLowerCase()))
          .join("");
        if (a === b || !isPackageName(b)) return;
        expect(packageFolder(a).toLowerCase()).not.toBe(packageFolder(b).toLowerCase());
      }),
      { numRuns: 500 },
    );
  });

  it("N2 folders say the name, and hold no part that a file system or a path could read otherwise", () => {
    fc.assert(
      fc.property(name, (a) => {
        const folder = packageFolder(a);
        const back = folder
          .replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase())
          .replace("+", folder.startsWith("+") ? "" : "/");
        expect(back).toBe(a);
        expect(folder).toMatch(/^(@[a-z0-9!._-]+)?\+[a-z0-9!_.-]*[a-z0-9_-]$/);
        expect(folder).toBe(folder.toLowerCase());
        expect(recordPath(a)).toBe(`packages/${shardOf(a)}/${folder}/record.json`);
      }),
    );
  });

  it("N2 no text with a character outside the alphabet, and none over 214, is a name", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (text) => {
        expect(isPackageName(text) && !/^[@/A-Za-z0-9._-]{1,214}$/.test(text)).toBe(false);
      }),
    );
    expect(isPackageName("a".repeat(215))).toBe(false);
  });

  it("a name is matched by itself before its scope before *", () => {
    fc.assert(
      fc.property(name, pattern, (a, p) => {
        const expected = p === "*" ? 1 : (p as string) === a ? 3 : p.endsWith("/*") && a.startsWith(p.slice(0, -1)) ? 2 : 0;
        expect(patternRank(p, a)).toBe(expected);
      }),
    );
  });

  it("a tag is never what npm's clients read as a range", () => {
    const near = fc.string({ unit: fc.constantFrom(..."vxX0123.-ab_".split("")), minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.oneof(near, fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/), version), (text) => {
        expect(isDistTag(text) && validRange(text) !== null).toBe(false);
      }),
      { numRuns: 3000 },
    );
  });

  it("S5 versions are ordered, and only equal ones are equal", () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        expect(compareVersions(a, b)).toBe(-compareVersions(b, a) || 0);
        expect(compareVersions(a, b) === 0).toBe((a as string) === b);
      }),
    );
    expect(compareVersions("9007199254740990.0.0" as Version, "9007199254740991.0.0" as Version)).toBe(-1);
  });

  it("times round-trip", () => {
    fc.assert(
      fc.property(time, (at) => {
        expect(isTimestamp(at) && formatTimestamp(timestampMs(at)) === at && at.length === 24).toBe(true);
      }),
    );
  });
});

describe("documents round-trip", () => {
  const kept = object.map((from) => jsonObject(Object.entries(from).map(([member, value]) => [`x-${member}`, value] as const)));

  it("root", () => {
    const role = (keys: readonly string[]): { keys: never; threshold: number } => ({ keys: keys as never, threshold: keys.length });
    const arbitrary = fc
      .record({
        index: hash,
        version: fc.integer({ min: 1, max: 1024 }),
        previous: hash,
        name: short,
        keys: fc.uniqueArray(key, { minLength: 4, maxLength: 8 }),
        patterns: fc.uniqueArray(pattern, { minLength: 2, maxLength: 5 }),
        tarballs: fc.constantFrom(["git"], ["https://a.example.org/{file}", "git+https://b.example.org/x"]),
        mirrors: fc.array(address),
        introductions: fc.array(fc.record({ id: hash, url: address, packages: fc.uniqueArray(pattern, { minLength: 1 }) })),
        refreshDays: fc.integer({ min: 0, max: 36_500 }),
      })
      .map(({ keys, patterns, version: v, index, previous, ...rest }) => ({
        ...rest,
        version: v,
        index: v === 1 ? null : index,
        previous: v === 1 ? null : previous,
        roles: { root: role(keys.slice(0, 1)), checkpoint: role(keys.slice(1, 2)) },
        publishers: [
          { packages: patterns.slice(0, 1), ...role(keys.slice(2, 3)) },
          { packages: patterns.slice(1), ...role(keys.slice(3)) },
        ],
      }));
    fc.assert(
      fc.property(arbitrary, kept, (root, extra) => {
        const parsed = parseRoot(file("root", encodeRoot(root as never, extra)));
        expect(parsed.doc).toEqual(root as unknown as Root);
        expect(formatEnvelope(encodeRoot(parsed.doc, parsed.signed), [])).toEqual(parsed.bytes);
      }),
    );
  });

  it("checkpoint", () => {
    const arbitrary = fc.record({
      index: hash,
      root: fc.record({ version: fc.integer({ min: 1, max: 1024 }), digest: hash }),
      seq: number,
      time,
      shards: mapOf(fc.stringMatching(/^[0-9a-f]{2}$/), hash),
    });
    fc.assert(
      fc.property(arbitrary, kept, (checkpoint, extra) => {
        const parsed = parseCheckpoint(file("checkpoint", encodeCheckpoint(checkpoint as never, extra)));
        expect(parsed.doc).toEqual(checkpoint as unknown as Checkpoint);
        expect(formatEnvelope(encodeCheckpoint(parsed.doc, parsed.signed), [])).toEqual(parsed.bytes);
      }),
    );
  });

  it("shard", () => {
    fc.assert(
      fc.property(name, hash, (only, value) => {
        const bytes = formatShard(new Map([[only, value as never]]));
        expect([...parseShard(bytes, shardOf(only))]).toEqual([[only, value]]);
        expect(formatShard(parseShard(bytes, shardOf(only)))).toEqual(bytes);
      }),
    );
  });

  it("record", () => {
    const arbitrary = fc
      .record({
        index: hash,
        name,
        revision: number,
        releases: fc.uniqueArray(version, { minLength: 1, maxLength: 6, selector: (v) => v.toLowerCase() }),
        hash,
        split: fc.nat(5),
        reason: wellFormed,
        tags: fc.array(tag, { maxLength: 3 }),
      })
      .map(({ releases, split, reason, tags, hash: value, ...rest }) => {
        const withdrawn = releases.slice(1, 1 + (split % 3));
        const listed = releases.filter((v) => !withdrawn.includes(v));
        const some = listed.slice(0, 1 + (split % 2));
        return {
          ...rest,
          releases: new Map(listed.map((v) => [v, value])),
          withdrawn: new Map(withdrawn.map((v) => [v, reason])),
          yanked: new Map(some.map((v) => [v, reason])),
          deprecated: new Map(some.map((v) => [v, reason])),
          tags: new Map<string, Version | undefined>([...tags.map((t) => [t, listed[0]] as const), ["latest", listed[0]]]),
        };
      });
    fc.assert(
      fc.property(arbitrary, kept, (record, extra) => {
        const parsed = parseRecord(file("package", encodeRecord(record as never, extra)));
        expect(parsed.doc).toEqual(record);
        expect(formatEnvelope(encodeRecord(parsed.doc, parsed.signed), [])).toEqual(parsed.bytes);
      }),
    );
  });

  it("release", () => {
    const integrity = fc.uint8Array({ minLength: 64, maxLength: 64 }).map((bytes) => `sha512-${Buffer.from(bytes).toString("base64")}`);
    const dist = fc.record({
      integrity,
      shasum: hash.map((text) => text.slice(0, 40)),
      size: fc.integer({ min: 1, max: MAX }),
      unpackedSize: number,
      fileCount: fc.integer({ min: 1, max: MAX }),
    });
    const source = fc.record({
      url: address,
      integrity: wellFormed,
      signatures: fc.array(fc.record({ keyid: wellFormed, sig: wellFormed }), { maxLength: 3 }),
    });
    const arbitrary = fc.record(
      { index: hash, name, version, published: time, dist, manifest: object, source, provenance: object },
      { requiredKeys: ["index", "name", "version", "published", "dist", "manifest"] },
    );
    fc.assert(
      fc.property(arbitrary, (release) => {
        const parsed = parseRelease(file("release", encodeRelease(release as never)));
        expect(canonicalize(encodeRelease(parsed.doc))).toEqual(parsed.body);
        const { manifest, provenance, ...rest } = parsed.doc as Release;
        expect(rest).toEqual(
          Object.fromEntries(Object.entries(release).filter(([member]) => member !== "manifest" && member !== "provenance")),
        );
        expect(canonicalize(manifest)).toEqual(canonicalize(release.manifest));
        expect(provenance === undefined).toBe(release.provenance === undefined);
      }),
    );
  });

  it("imprint.json and imprint.lock", () => {
    const claims = fc.uniqueArray(pattern, { maxLength: 4 });
    const entry = fc.record(
      {
        id: hash,
        urls: fc.uniqueArray(address, { minLength: 1, maxLength: 4 }),
        ref: fc.constantFrom("refs/heads/main", "refs/tags/v1"),
        packages: claims,
        maxAgeDays: fc.integer({ min: 1, max: 36_500 }),
        minAgeHours: fc.integer({ min: 0, max: 876_000 }),
      },
      { requiredKeys: ["id", "urls", "ref", "packages"] },
    );
    const project = fc.record({
      indices: mapOf(short, entry),
      upstream: fc.record(
        { allow: claims, deny: claims, registry: fc.constant("https://packages.example.org/") },
        { requiredKeys: ["allow", "deny"] },
      ),
    });
    fc.assert(
      fc.property(project, (value) => {
        expect(parseProject(formatProject(value as never))).toEqual(value);
      }),
    );
    const lock = mapOf(
      short,
      fc.record({ id: hash, root: fc.record({ version: fc.integer({ min: 1, max: 1024 }), digest: hash }), seq: number, checkpoint: hash }),
    );
    fc.assert(
      fc.property(lock, (value) => {
        expect(parseLock(formatLock(value as never))).toEqual(value);
      }),
    );
  });
});

describe("K2 keys", () => {
  it("K2 a key has one text and one value", () => {
    fc.assert(
      fc.property(key, (text) => {
        expect(isPublicKey(text) && formatPublicKey(publicKeyBytes(text)) === text).toBe(true);
      }),
    );
  });
});
