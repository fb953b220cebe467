/**
 * Every cap of the flat table, at its edge: what is just within it is taken (or refused for another reason), what is just beyond
 * it is refused for it. A key that is in neither list fails to compile; a test that is named here and is not there fails.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readLockfile } from "../src/audit/lockfile.ts";
import { openKeyFile, readKeyFileHeader } from "../src/crypto/key-file.ts";
import { readOpenSshKey } from "../src/crypto/openssh.ts";
import { isImprintError } from "../src/errors.ts";
import { utf8 } from "../src/format/bytes.ts";
import { parseCheckpoint, parseShard } from "../src/format/checkpoint.ts";
import { parseExact } from "../src/format/json.ts";
import { FORMAT_LIMITS, LIMITS } from "../src/format/limits.ts";
import { isPackageName } from "../src/format/names.ts";
import type { ShardName } from "../src/format/paths.ts";
import { parseLock, parseProject } from "../src/format/project.ts";
import { parseRecord } from "../src/format/record.ts";
import { parseRelease } from "../src/format/release.ts";
import { parseRoot } from "../src/format/root.ts";
import { parseDistTag, parseVersion } from "../src/format/versions.ts";
import { parseLines } from "../src/git/isomorphic/packet-lines.ts";
import { parseGitUrl, parseRefName } from "../src/git/url.ts";
import { parseRegistryPath } from "../src/http/path.ts";
import { parseSearch } from "../src/http/search-query.ts";
import { parseRequest } from "../src/index/root/request.ts";
import { formatVia, parseVia } from "../src/registry/upstream/via.ts";
import { publicKeyOf, strangerKey } from "./support/world.ts";

type Limit = keyof typeof LIMITS;
/** What is said of something of that size; "ok" where it is taken. */
type Edge = { readonly at: () => unknown; readonly beyond: () => unknown; readonly says: RegExp };

async function verdict(work: () => unknown): Promise<string> {
  try {
    const value = await work();
    return value === false || value === null ? "no" : "ok";
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return `${error.code} ${error.message}`;
  }
}

/** A document of exactly so many bytes, which is none for other reasons. */
const bytes = (count: number): Uint8Array => new Uint8Array(count).fill(0x20);
const sized = (limit: number, read: (file: Uint8Array) => unknown, says: RegExp): Edge => ({
  at: () => read(bytes(limit)),
  beyond: () => read(bytes(limit + 1)),
  says,
});
const nested = (levels: number): string => `${'{"a":'.repeat(levels - 1)}{}${"}".repeat(levels - 1)}`;
const project = (indices: Record<string, unknown>, more: Record<string, unknown> = {}): Uint8Array =>
  utf8(JSON.stringify({ format: 1, indices, ...more }));
const entry = (name: string): unknown => ({ id: "0".repeat(64), urls: [`https://h.example/${name}.git`], packages: [] });
const root = (edit: (signed: Record<string, unknown>) => void): string => {
  const vector = JSON.parse(readFileSync(new URL("../index-schema/vectors/chain/ok-one.json", import.meta.url), "utf8")) as { roots: [string] };
  const file = JSON.parse(vector.roots[0]) as { signed: Record<string, unknown> };
  edit(file.signed);
  return `${JSON.stringify(file, sortedKeys, 2)}\n`;
};
const sortedKeys = (_: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    : value;
const keys = (count: number): string[] => Array.from({ length: count }, () => publicKeyOf(strangerKey())).toSorted();
const agree = (count: number): Uint8Array => {
  const names = Array.from({ length: count }, (_, i) => `i${String(i)}`);
  return project(Object.fromEntries(names.map((name) => [name, entry(name)])), { agree: { names: ["x"], of: names, threshold: 1 } });
};
const scrypt = (logN: number): Promise<unknown> => {
  const header = {
    cipher: "chacha20-poly1305",
    format: 1,
    index: "0".repeat(64),
    keys: [{ publicKey: publicKeyOf(strangerKey()), purpose: "root" }],
    kind: "root",
    name: "x",
    nonce: "A".repeat(16),
    protected: false,
    scrypt: { logN, p: 1, r: 8, salt: "A".repeat(22) },
    sealed: "A".repeat(64),
    type: "imprint.keys",
  };
  return openKeyFile(utf8(`${JSON.stringify(header, null, 2)}\n`), "");
};

const DIRECT: Partial<Record<Limit, Edge>> = {
  depth: {
    at: () => parseExact(utf8(`${JSON.stringify(JSON.parse(nested(LIMITS.depth)), null, 2)}\n`), 1 << 20),
    beyond: () => parseExact(utf8(`${JSON.stringify(JSON.parse(nested(LIMITS.depth + 1)), null, 2)}\n`), 1 << 20),
    says: /nested deeper than 32 levels/,
  },
  rootBytes: sized(LIMITS.rootBytes, parseRoot, /TOO_LARGE/),
  checkpointBytes: sized(LIMITS.checkpointBytes, parseCheckpoint, /TOO_LARGE/),
  shardBytes: sized(LIMITS.shardBytes, (file) => parseShard(file, "aa" as ShardName), /TOO_LARGE/),
  recordBytes: sized(LIMITS.recordBytes, parseRecord, /TOO_LARGE/),
  releaseBytes: sized(LIMITS.releaseBytes, parseRelease, /TOO_LARGE/),
  projectBytes: sized(LIMITS.projectBytes, (file) => parseProject(file), /larger than 1048576 bytes/),
  lockBytes: sized(LIMITS.lockBytes, (file) => parseLock(file), /larger than 1048576 bytes/),
  keys: {
    at: () => parseRoot(utf8(root((signed) => void (signed["publishers"] = [{ keys: keys(8), packages: ["*"], threshold: 1 }])))),
    beyond: () => parseRoot(utf8(root((signed) => void (signed["publishers"] = [{ keys: keys(9), packages: ["*"], threshold: 1 }])))),
    says: /publishers\[0\]\.keys/,
  },
  roots: {
    at: () => parseRoot(utf8(root((signed) => Object.assign(signed, { version: 1024, index: "0".repeat(64), previous: "0".repeat(64) })))),
    beyond: () => parseRoot(utf8(root((signed) => Object.assign(signed, { version: 1025, index: "0".repeat(64), previous: "0".repeat(64) })))),
    says: /version/,
  },
  nameChars: { at: () => isPackageName("a".repeat(214)), beyond: () => isPackageName("a".repeat(215)), says: /no/ },
  versionChars: { at: () => parseVersion(`1.0.0-${"a".repeat(122)}`), beyond: () => parseVersion(`1.0.0-${"a".repeat(123)}`), says: /version/i },
  tagChars: { at: () => parseDistTag("t".repeat(64)), beyond: () => parseDistTag("t".repeat(65)), says: /tag/ },
  agreeing: { at: () => parseProject(agree(16)), beyond: () => parseProject(agree(17)), says: /agree\.of/ },
  gitUrlChars: {
    at: () => parseGitUrl(`https://h.example/${"a".repeat(2048 - 18)}`, { allowFile: false }),
    beyond: () => parseGitUrl(`https://h.example/${"a".repeat(2048 - 17)}`, { allowFile: false }),
    says: /INVALID_URL/,
  },
  refNameChars: {
    at: () => parseRefName(`refs/heads/${"a".repeat(512 - 11)}`),
    beyond: () => parseRefName(`refs/heads/${"a".repeat(512 - 10)}`),
    says: /ref/,
  },
  requestBytes: sized(LIMITS.requestBytes, (file) => parseRequest(file), /268435456/),
  keyFileBytes: sized(LIMITS.keyFileBytes, readKeyFileHeader, /too large/),
  openSshKeyBytes: sized(LIMITS.openSshKeyBytes, (file) => readOpenSshKey(file, async () => ""), /large/),
  scryptLogN: { at: () => scrypt(20), beyond: () => scrypt(21), says: /scrypt\.logN/ },
  lockfileBytes: sized(LIMITS.lockfileBytes, (file) => readLockfile(file, "bun.lock", "bun.lock"), /larger than 64 MiB/),
  pathChars: { at: () => parseRegistryPath(`/${"a".repeat(2047)}`), beyond: () => parseRegistryPath(`/${"a".repeat(2048)}`), says: /long|2048/ },
  searchChars: {
    at: () => parseSearch(new URLSearchParams({ text: "a".repeat(400) })),
    beyond: () => parseSearch(new URLSearchParams({ text: "a".repeat(401) })),
    says: /more than 400 characters/,
  },
  searchResults: {
    at: () => parseSearch(new URLSearchParams({ text: "a", size: "250" }))[1].size === 250,
    beyond: () => parseSearch(new URLSearchParams({ text: "a", size: "251" }))[1].size === 251,
    says: /no/,
  },
  viaChars: {
    at: () => parseVia(formatVia(Array.from({ length: 140 }, () => "0".repeat(16)))).length === 140,
    beyond: () => parseVia(formatVia(Array.from({ length: 200 }, () => "0".repeat(16)))).length === 200,
    says: /no/,
  },
  packetLineBytes: {
    at: () => parseLines(Buffer.concat([Buffer.from("fff0"), Buffer.alloc(65_516, "a")])),
    beyond: () => parseLines(Buffer.concat([Buffer.from("fff1"), Buffer.alloc(65_517, "a")])),
    says: /./,
  },
};

/** Where an edge needs a host, a repository, a tarball or a clock: the test that has them, with the cap lowered. */
const ELSEWHERE: Partial<Record<Limit, readonly [file: string, title: string]>> = {};

describe("every cap", () => {
  it.each(Object.entries(DIRECT))("%s: what is within it is not refused for it, what is one more is", async (_, { at, beyond, says }) => {
    expect(await verdict(at)).not.toMatch(says);
    expect(await verdict(beyond)).toMatch(says);
  });

  it.each(Object.entries(ELSEWHERE))("%s: its test is there", (_, [file, title]) => {
    expect(readFileSync(new URL(file, import.meta.url), "utf8")).toContain(title);
  });

  it("is in one of the two lists", () => {
    const covered = [...Object.keys(DIRECT), ...Object.keys(ELSEWHERE)];
    expect(Object.keys(LIMITS).filter((limit) => !covered.includes(limit))).toEqual([]);
    expect(Object.keys(FORMAT_LIMITS).every((limit) => limit in LIMITS)).toBe(true);
  });
});
