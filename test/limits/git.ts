/** Caps of what a git host sends and of what lies in a repository: without a host, each at its edge. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LIMITS } from "../../src/format/limits.ts";
import { type EmbeddedCaps, limitsOf, takeAnswer } from "../../src/git/isomorphic/intake.ts";
import { indexPack, type PackCaps } from "../../src/git/isomorphic/pack-index.ts";
import { DISK_CAPS, type DiskCaps, openPacks } from "../../src/git/store/packs.ts";
import { FLUSH, formatLine, readLines } from "../../src/git/isomorphic/packet-lines.ts";
import type { ObjectId, TransferLimits } from "../../src/git/port.ts";
import { listTree } from "../../src/git/store/list.ts";
import { type ObjectReader, readerOf } from "../../src/git/store/objects.ts";
import { LIST_CAPS, type ListCaps, listFiles } from "../../src/git/system/list.ts";
import { createGit, mustGit } from "../../src/git/system/run.ts";
import { formatTree, parseTree, type RawEntry } from "../../src/git/store/tree.ts";
import { parseGitUrl, parseRefName } from "../../src/git/url.ts";
import { ImprintError } from "../../src/errors.ts";
import { temporaryFolder } from "../storage/temporary.ts";
import { commitHosted, createHostedRepository, testGitEnv } from "../support/git-host.ts";
import { formatEntry, formatPack, idOf, type PackedEntry, repeatDelta } from "../support/lying-host.ts";
import { type Edge, type Edges, lowered } from "./edge.ts";

async function* stream(...bytes: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* bytes;
}
const idFor = (number: number): ObjectId => number.toString(16).padStart(40, "0") as ObjectId;

async function linesOf(bytes: Uint8Array): Promise<unknown> {
  for await (const line of readLines(stream(bytes), "read")) if (line === null) return null;
  return "read";
}

// What a host sends as the answer to a fetch.
const WIDE: TransferLimits = { maxBytes: 1 << 20, maxObjects: 1000, deadlineMs: 10_000 };

function answer(body: readonly Uint8Array[], limits: Partial<TransferLimits> = {}, lower: Partial<EmbeddedCaps> = {}): Promise<unknown> {
  const caps = { maxPackBytes: Infinity, maxObjects: Infinity, ...lower };
  const within = limitsOf({ ...WIDE, ...limits }, caps, "fetch");
  const target = { gitDir: temporaryFolder(), what: "fetch", limits: within, checkTime: () => undefined, findBase: async () => null };
  return takeAnswer(stream(...body), target).then(() => "taken");
}
/** A pack in as many lines as it takes, in the band for packs. */
function packLines(pack: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let at = 0; at < pack.length; at += 65_000)
    lines.push(formatLine(Buffer.concat([Buffer.from([1]), pack.subarray(at, at + 65_000)])));
  return [...lines, FLUSH];
}
/** Lines that are no pack, and hold so many bytes. */
function talk(size: number): Buffer[] {
  const lines: Buffer[] = [];
  for (let rest = size; rest > 0; rest -= 65_000) lines.push(formatLine("s".repeat(Math.min(rest, 65_000))));
  return lines;
}
const ZEROS: PackedEntry = { type: "blob", content: Buffer.alloc(1 << 20) };
const blobs = (count: number): PackedEntry[] =>
  Array.from({ length: count }, (_, i) => ({ type: "blob", content: Buffer.from(`blob ${String(i)}`) }));
const FIVE = formatPack(blobs(5));
/** The cap counts at least 1 MiB, sixteen times. */
const inflating = (bytes: number): Promise<unknown> =>
  answer(
    packLines(formatPack([...Array.from({ length: LIMITS.packInflation }, () => ZEROS), { type: "blob", content: Buffer.alloc(bytes) }])),
  );

const embedded = (at: Partial<EmbeddedCaps>, beyond: Partial<EmbeddedCaps>, says: RegExp): Edge => ({
  at: () => answer(packLines(FIVE), {}, at),
  beyond: () => answer(packLines(FIVE), {}, beyond),
  says,
});

// Packs and what lies on this disk.
/** A chain of so many deltas over 1000 bytes, each of the same 1000 bytes. */
function chain(deltas: number): readonly PackedEntry[] {
  const base: PackedEntry = { type: "blob", content: Buffer.alloc(1000, "x") };
  const entries: PackedEntry[] = [base];
  for (let nth = 1; nth <= deltas; nth++) {
    // one byte more than the one before: equal objects would have equal ids
    const content = repeatDelta(999 + nth, 1000 + nth);
    entries.push({ type: "ofs", content, base: formatEntry(entries.at(-1) as PackedEntry).length });
  }
  return entries;
}
const DELTA_BYTES = repeatDelta(1000, 1001).length;
const PACK_CAPS: PackCaps = {
  maxObjects: 1000,
  maxObjectBytes: 1 << 20,
  maxInflatedBytes: 1 << 20,
  checkTime: () => undefined,
  tooLarge: (state) => new ImprintError("TOO_LARGE", `Cannot index: ${state}`),
};
const indexed = (entries: readonly PackedEntry[], caps: Partial<PackCaps> = {}): ReturnType<typeof indexPack> =>
  indexPack(formatPack(entries), { ...PACK_CAPS, ...caps }, async () => null);

/** Reads the last object of a pack of these from a repository. */
async function onDisk(entries: readonly PackedEntry[], caps: Partial<DiskCaps>): Promise<unknown> {
  const gitDir = temporaryFolder();
  const folder = join(gitDir, "objects", "pack");
  mkdirSync(folder, { recursive: true });
  const { pack, index, name } = await indexed(entries);
  writeFileSync(join(folder, `${name}.pack`), pack);
  writeFileSync(join(folder, `${name}.idx`), index);
  const packs = openPacks(gitDir, { ...DISK_CAPS, ...caps });
  try {
    return await packs.bytes(idOf("blob", Buffer.alloc(999 + entries.length, "x")) as ObjectId);
  } finally {
    await packs.close();
  }
}
const INDEX_BYTES = 8 + 1024 + 28 + 40;

// Trees and commits.
const NOTHING = { info: async () => null, bytes: async () => null, many: async () => new Map(), close: async () => undefined };
/** An object of that type and size; what it holds is short. */
function declared(type: "commit" | "tree", size: number): Promise<unknown> {
  const body = type === "commit" ? Buffer.from(`tree ${idFor(1)}\n\n`) : Buffer.alloc(0);
  const reader = readerOf({ ...NOTHING, info: async () => ({ id: idFor(2), type, size }), bytes: async () => body });
  return type === "commit" ? reader.treeOf(idFor(2)) : reader.tree(idFor(2));
}
function treesOf(tree: (id: ObjectId) => readonly RawEntry[]): ObjectReader {
  const none = readerOf(NOTHING);
  return { ...none, treeOf: async () => idFor(1), tree: async (id) => parseTree(formatTree(tree(id)), 20) };
}
/** Folders in folders, so many, and a file in the last. */
function deep(levels: number): Promise<unknown> {
  const tree = (id: ObjectId): readonly RawEntry[] => {
    const level = Number.parseInt(id, 16);
    return [level > levels ? { mode: "100644", name: "file", id } : { mode: "040000", name: "d", id: idFor(level + 1) }];
  };
  return listTree(treesOf(tree), idFor(0));
}
const FILES = { a: "1", bb: "2", "dir/ccc": "3" };
const flat = (maxFiles: number): Promise<unknown> => {
  const tree = (): readonly RawEntry[] => Object.keys(FILES).map((path) => ({ mode: "100644", name: path.slice(-3), id: idFor(9) }));
  return listTree(treesOf(tree), idFor(0), undefined, maxFiles);
};
/** Three files; the longest path has seven bytes. */
async function listed(caps: Partial<ListCaps>): Promise<unknown> {
  const gitDir = createHostedRepository(temporaryFolder(), "x.git");
  const commit = commitHosted(gitDir, FILES) as ObjectId;
  const git = createGit({ program: "git", env: testGitEnv(), gitDir, quarantine: false });
  return listFiles({ git, gitDir }, commit, undefined, { ...LIST_CAPS, ...caps });
}

/** Git, asked for something that it answers in a known number of bytes. */
const OBJECT_FORMAT = "sha1\n";
const printed = OBJECT_FORMAT.length;
function printing(maxOutputBytes: number): Promise<unknown> {
  const gitDir = createHostedRepository(temporaryFolder(), "x.git");
  const git = createGit({ program: "git", env: testGitEnv(), gitDir, quarantine: false });
  return mustGit(git, { args: [`--git-dir=${gitDir}`, "rev-parse", "--show-object-format"], what: "ask git", maxOutputBytes });
}

const url = (chars: number): unknown => parseGitUrl("https://h.example/".padEnd(chars, "a"), { allowFile: false });
const objectOf = (type: "commit" | "tree", limit: number, says: RegExp): Edge => ({
  at: () => declared(type, limit),
  beyond: () => declared(type, limit + 1),
  says,
});

export const GIT: Edges = {
  gitUrlChars: { at: () => url(LIMITS.gitUrlChars), beyond: () => url(LIMITS.gitUrlChars + 1), says: /INVALID_URL/ },
  refNameChars: {
    at: () => parseRefName("refs/heads/".padEnd(LIMITS.refNameChars, "a")),
    beyond: () => parseRefName("refs/heads/".padEnd(LIMITS.refNameChars + 1, "a")),
    says: /ref/,
  },
  packetLineBytes: {
    at: () => linesOf(formatLine("a".repeat(LIMITS.packetLineBytes - 4))),
    beyond: () => linesOf(formatLine("a".repeat(LIMITS.packetLineBytes - 3))),
    says: /answer is not git's/,
  },
  transferBytes: lowered(FIVE.length, (maxBytes) => answer(packLines(FIVE), { maxBytes }), /TOO_LARGE .*more than \d+ bytes/),
  transferObjects: lowered(5, (maxObjects) => answer(packLines(FIVE), { maxObjects }), /TOO_LARGE .*more than 4 objects/),
  embeddedPackBytes: embedded({ maxPackBytes: FIVE.length }, { maxPackBytes: FIVE.length - 1 }, /bytes is too much without git/),
  embeddedObjects: embedded({ maxObjects: 5 }, { maxObjects: 4 }, /more than 4 objects is too much without git/),
  gitOutputBytes: lowered(printed, printing, /git printed more than \d+ bytes/),
  hostTalkBytes: {
    at: () => answer(talk(LIMITS.hostTalkBytes)),
    within: /the host sent no pack/,
    beyond: () => answer(talk(LIMITS.hostTalkBytes + 1)),
    says: /an answer without a pack/,
  },
  packInflation: { at: () => inflating(0), beyond: () => inflating(1), says: /more than 16777216 bytes when inflated/ },
  deltaChainBytes: lowered(DELTA_BYTES, (maxChainBytes) => indexed(chain(1), { maxChainBytes }), /built to cost memory/),
  packIndexBytes: lowered(INDEX_BYTES, (maxIndexBytes) => onDisk(chain(0), { maxIndexBytes }), /too many objects/),
  objectBytes: lowered(1000, (maxObjectBytes) => onDisk(chain(0), { maxObjectBytes }), /an entry that is too large/),
  deltaChain: lowered(3, (maxChain) => onDisk(chain(3), { maxChain }), /a chain of deltas without end/),
  commitBytes: objectOf("commit", LIMITS.commitBytes, /INVALID_DOCUMENT/),
  treeBytes: objectOf("tree", LIMITS.treeBytes, /no/),
  treeDepth: { at: () => deep(LIMITS.treeDepth), beyond: () => deep(LIMITS.treeDepth + 1), says: /more than 1000 deep/ },
  listedFilesEmbedded: lowered(3, flat, /more than 2 files/),
  listedFiles: lowered(3, (maxFiles) => listed({ maxFiles }), /more than 2 files/),
  listedPathBytes: lowered(7, (maxPathBytes) => listed({ maxPathBytes }), /longer than 6 bytes/),
};
