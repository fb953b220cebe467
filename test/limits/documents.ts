/** Caps of what is signed, of projects, keys and lockfiles: at their real size. */
import { readFileSync } from "node:fs";
import { readLockfile } from "../../src/clients/lockfiles/read.ts";
import { readBunLock } from "../../src/clients/lockfiles/bun.ts";
import { refuser } from "../../src/clients/lockfiles/locked.ts";
import { openKeyFile, readKeyFileHeader } from "../../src/crypto/key-file.ts";
import { readOpenSshKey } from "../../src/crypto/openssh.ts";
import { utf8 } from "../../src/format/bytes.ts";
import { parseCheckpoint, parseShard } from "../../src/format/checkpoint.ts";
import { parseEnvelope } from "../../src/format/envelope.ts";
import { parseExact } from "../../src/format/json.ts";
import { LIMITS } from "../../src/format/limits.ts";
import { isPackageName } from "../../src/format/names.ts";
import type { ShardName } from "../../src/format/paths.ts";
import { parseLock, parseProject } from "../../src/format/project.ts";
import { parseRecord } from "../../src/format/record.ts";
import { parseRelease } from "../../src/format/release.ts";
import { parseRoot } from "../../src/format/root.ts";
import { parseDistTag, parseVersion } from "../../src/format/versions.ts";
import { readProposals } from "../../src/index/proposals.ts";
import { parseRequest } from "../../src/index/root/request.ts";
import { exportProblems } from "../../src/pack/exports.ts";
import { publicKeyOf, strangerKey } from "../support/world.ts";
import { type Edges, REFUSED, sized } from "./edge.ts";

const nested = (levels: number): Uint8Array =>
  utf8(`${JSON.stringify(JSON.parse(`${'{"a":'.repeat(levels - 1)}{}${"}".repeat(levels - 1)}`), null, 2)}\n`);
const sortedKeys = (_: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    : value;
const publicKeys = (count: number): string[] => Array.from({ length: count }, () => publicKeyOf(strangerKey())).toSorted();

/** A root that vectors have, changed: signatures are not looked at where it is parsed. */
function root(change: Readonly<Record<string, unknown>>): Uint8Array {
  const vector = readFileSync(new URL("../../index-schema/vectors/chain/ok-one.json", import.meta.url), "utf8");
  const { roots } = JSON.parse(vector) as { roots: [string] };
  const file = JSON.parse(roots[0]) as { signed: Record<string, unknown> };
  Object.assign(file.signed, change);
  return utf8(`${JSON.stringify(file, sortedKeys, 2)}\n`);
}
const publishers = (count: number): unknown =>
  parseRoot(root({ publishers: [{ keys: publicKeys(count), packages: ["*"], threshold: 1 }] }));
const rootNumber = (version: number): unknown => parseRoot(root({ version, index: "0".repeat(64), previous: "0".repeat(64) }));

function signed(count: number): unknown {
  const signatures = publicKeys(count).map((key) => ({ key, signature: "A".repeat(86) }));
  const file = { signatures, signed: { format: 1, type: "imprint.checkpoint" } };
  return parseEnvelope("checkpoint", utf8(`${JSON.stringify(file, null, 2)}\n`), () => "read");
}

function agreeing(count: number): unknown {
  const names = Array.from({ length: count }, (_, i) => `i${String(i)}`);
  const entry = (name: string): unknown => ({ id: "0".repeat(64), urls: [`https://h.example/${name}.git`], packages: [] });
  const indices = Object.fromEntries(names.map((name) => [name, entry(name)]));
  return parseProject(utf8(JSON.stringify({ format: 1, indices, agree: { names: ["x"], of: names, threshold: 1 } })));
}

function scrypt(logN: number): Promise<unknown> {
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
}

function openSsh(size: number): Promise<unknown> {
  return readOpenSshKey(utf8("-----BEGIN OPENSSH PRIVATE KEY-----\n".padEnd(size)), async () => "");
}

const lists = (levels: number): string => `{"a":${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}}`;
/** Whether that many targets, all of one file, are all looked at. */
const exported = (count: number): boolean =>
  exportProblems(
    Array.from({ length: count }, () => "./x.js"),
    new Set(["x.js"]),
  ).problems.length === 0;

/** Files that are part of no proposal: each a fault, none of them read. */
function proposals(count: number): Promise<unknown> {
  const listed = Array.from({ length: count }, (_, i) => ({ path: `proposals/${String(i)}`, mode: "100644" }));
  return readProposals({ at: "", readFiles: () => Promise.resolve([]) }, listed);
}

export const DOCUMENTS: Edges = {
  depth: {
    at: () => parseExact(nested(LIMITS.depth), 1 << 20),
    beyond: () => parseExact(nested(LIMITS.depth + 1), 1 << 20),
    says: /nested deeper than 32 levels/,
  },
  rootBytes: sized(LIMITS.rootBytes, parseRoot, /TOO_LARGE/),
  checkpointBytes: sized(LIMITS.checkpointBytes, parseCheckpoint, /TOO_LARGE/),
  shardBytes: sized(LIMITS.shardBytes, (file) => parseShard(file, "aa" as ShardName), /TOO_LARGE/),
  recordBytes: sized(LIMITS.recordBytes, parseRecord, /TOO_LARGE/),
  releaseBytes: sized(LIMITS.releaseBytes, parseRelease, /TOO_LARGE/),
  projectBytes: sized(LIMITS.projectBytes, (file) => parseProject(file), /larger than 1048576 bytes/),
  lockBytes: sized(LIMITS.lockBytes, (file) => parseLock(file), /larger than 1048576 bytes/),
  signatures: { at: () => signed(16), beyond: () => signed(17), says: /INVALID_DOCUMENT .*signatures/ },
  keys: { at: () => publishers(8), beyond: () => publishers(9), says: /publishers\[0\]\.keys/ },
  roots: { at: () => rootNumber(1024), beyond: () => rootNumber(1025), says: /version/ },
  nameChars: { at: () => isPackageName("a".repeat(214)), beyond: () => isPackageName("a".repeat(215)), says: /no/ },
  versionChars: {
    at: () => parseVersion(`1.0.0-${"a".repeat(122)}`),
    beyond: () => parseVersion(`1.0.0-${"a".repeat(123)}`),
    says: /version/i,
  },
  tagChars: { at: () => parseDistTag("t".repeat(64)), beyond: () => parseDistTag("t".repeat(65)), says: /tag/ },
  agreeing: { at: () => agreeing(16), beyond: () => agreeing(17), says: /agree\.of/ },
  requestBytes: sized(LIMITS.requestBytes, (file) => parseRequest(file), /268435456/),
  keyFileBytes: sized(LIMITS.keyFileBytes, readKeyFileHeader, /too large/),
  openSshKeyBytes: {
    at: () => openSsh(LIMITS.openSshKeyBytes),
    within: REFUSED,
    beyond: () => openSsh(LIMITS.openSshKeyBytes + 1),
    says: /larger than 65536/,
  },
  scryptLogN: { at: () => scrypt(20), within: /^PASSPHRASE_WRONG/, beyond: () => scrypt(21), says: /scrypt\.logN/ },
  lockfileBytes: sized(LIMITS.lockfileBytes, (file) => readLockfile(file, "bun.lock", "bun.lock"), /larger than 64 MiB/),
  lockfileDepth: {
    at: () => [readBunLock(lists(LIMITS.lockfileDepth), refuser("x"))],
    within: /lockfileVersion/,
    beyond: () => readBunLock(lists(LIMITS.lockfileDepth + 1), refuser("x")),
    says: /nested deeper than 64 levels/,
  },
  exportTargets: { at: () => exported(LIMITS.exportTargets), beyond: () => exported(LIMITS.exportTargets + 1), says: /no/ },
  proposalFiles: {
    at: () => proposals(LIMITS.proposalFiles),
    beyond: () => proposals(LIMITS.proposalFiles + 1),
    says: /more than 20000 files/,
  },
};
