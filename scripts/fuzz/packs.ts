/** Cases of git objects: an index as the pack that a host sends, with hostile trees, objects, deltas and bytes. */
import { createHash } from "node:crypto";
import { ImprintError } from "../../src/errors.ts";
import { indexPack } from "../../src/git/isomorphic/pack-index.ts";
import { commitOf, formatEntry, formatPack, idOf, type PackedEntry, repeatDelta, treeOf } from "../../test/support/lying-host.ts";
import type { FileMap } from "./honest.ts";
import { changeBytes } from "./mutate-bytes.ts";
import { codeOf, type Ending } from "./oracle.ts";
import { type Random, randomOf } from "./random.ts";

type TreeEntry = readonly [mode: string, name: string, id: string];
export type PackCase = { readonly how: readonly string[]; readonly head: string; readonly pack: Uint8Array };

const MODES = ["100644", "100755", "120000", "160000", "040000", "40000", "100664", "0"];
const NAMES = [".git", ".GIT", "git~1", "..", ".", "a/b", "checkpoint.json", "Checkpoint.json", "trust", "\u00e9", "x".repeat(300), "-u"];

/** @param hostility how likely trees are to be hostile: once in so many; 0: never */
export function packOf(files: FileMap, random: Random, hostility: number): PackCase & { readonly entries: readonly PackedEntry[] } {
  const how: string[] = [];
  const objects = new Map<string, PackedEntry>();
  const put = (type: "blob" | "tree" | "commit", content: Uint8Array): string => {
    const id = idOf(type, content);
    objects.set(id, { type, content });
    return id;
  };
  const folder = (prefix: string): string => {
    const entries: TreeEntry[] = [];
    const folders = new Set<string>();
    for (const [path, bytes] of files) {
      if (!path.startsWith(prefix)) continue;
      const [name = "", ...below] = path.slice(prefix.length).split("/");
      if (below.length === 0) entries.push(["100644", name, put("blob", bytes)]);
      else folders.add(name);
    }
    for (const name of folders) entries.push(["40000", name, folder(`${prefix}${name}/`)]);
    entries.sort(([, a], [, b]) => (a < b ? -1 : 1));
    return put("tree", treeOf(hostility > 0 && random.once(hostility) ? hostile(entries, random, how) : entries));
  };
  const head = put("commit", commitOf(folder("")));
  const entries = [...objects.values()];
  return { how, head, pack: formatPack(entries), entries };
}

function hostile(entries: readonly TreeEntry[], random: Random, how: string[]): readonly TreeEntry[] {
  const whole = entries.length === 0 ? ([["100644", "x", "0".repeat(40)]] as const) : entries;
  const at = random.int(whole.length);
  const one = whole[at] as TreeEntry;
  const [mode, name, id] = one;
  const other = random.pick(whole);
  const ways: Readonly<Record<string, () => readonly TreeEntry[]>> = {
    "another mode": () => whole.with(at, [random.pick(MODES), name, id]),
    "a name twice": () => [...whole.slice(0, at + 1), [mode, name, other[2]], ...whole.slice(at + 1)],
    "a hostile name": () => [...whole, [random.pick(MODES), random.pick(NAMES), id]],
    "another object": () => whole.with(at, [mode, name, other[2]]),
    "an object that is not there": () => whole.with(at, [mode, name, createHash("sha1").update(id).digest("hex")]),
    "a name in another case": () => [...whole, [mode, name.toUpperCase(), other[2]]],
    "another order": () => whole.toReversed(),
    "an entry left out": () => whole.toSpliced(at, 1),
  };
  const chosen = random.pick(Object.keys(ways));
  how.push(`${chosen}: ${name}`);
  return (ways[chosen] as () => readonly TreeEntry[])();
}

/** @param steps which of its mutations are made */
export function packCase(files: FileMap, seed: number): PackCase {
  const random = randomOf(seed);
  const made = packOf(files, random, random.once(2) ? 4 : 0);
  const how = [...made.how];
  let entries: readonly PackedEntry[] = made.entries;
  if (random.once(3)) {
    const at = random.int(entries.length);
    const one = entries[at] as PackedEntry;
    const other = random.pick(made.entries);
    const before = Buffer.concat(entries.slice(0, at).map(formatEntry)).length;
    const ways: Readonly<Record<string, () => PackedEntry>> = {
      "an object of another type": () => ({ ...one, type: random.pick(["blob", "tree", "commit", "tag"] as const) }),
      "a size that lies": () => ({ ...one, size: random.pick([0, 1, one.content.length + 1, 2 ** 31, 2 ** 40]) }),
      "other content": () => ({ ...one, content: changeBytes(one.content, random, () => other.content).bytes }),
      "deflated noise": () => ({ ...one, compressed: changeBytes(formatEntry(one), random, () => formatEntry(other)).bytes }),
      "a delta": () => ({ type: "ofs", base: random.pick([before, 1, before + 12, 2 ** 31]), content: deltaOf(other, random) }),
      "a delta on an id": () => ({ type: "ref", base: idOf("blob", random.pick(made.entries).content), content: deltaOf(other, random) }),
    };
    const chosen = random.pick(Object.keys(ways));
    how.push(chosen);
    entries = entries.with(at, (ways[chosen] as () => PackedEntry)());
  }
  let pack: Uint8Array = formatPack(
    entries,
    random.once(20) ? { count: random.pick([0, entries.length - 1, entries.length + 1, 2 ** 31]) } : {},
  );
  if (how.length === 0 || random.once(3)) {
    const changed = changeBytes(pack, random, () => made.pack);
    how.push(`${changed.how} of the pack`);
    pack = random.once(4) ? changed.bytes : mended(changed.bytes);
  }
  return { how, head: made.head, pack };
}

function deltaOf({ content }: PackedEntry, random: Random): Uint8Array {
  const size = random.pick([content.length, content.length * 3, 5_000_000]);
  const honest = repeatDelta(content.length, size);
  return random.once(2) ? honest : changeBytes(honest, random, () => content).bytes;
}

/** With the trailer that its bytes should have. */
function mended(pack: Uint8Array): Uint8Array {
  const body = pack.subarray(0, Math.max(0, pack.length - 20));
  return Buffer.concat([body, createHash("sha1").update(body).digest()]);
}

const CAPS = {
  maxObjects: 1000,
  maxObjectBytes: 9_000_000,
  maxInflatedBytes: 20_000_000,
  checkTime: () => undefined,
  tooLarge: (state: string) => new ImprintError("TOO_LARGE", `Cannot fetch: ${state}`),
};

/** Only that it is taken or refused in bounds: what its files are worth, the adapters' cases judge. */
export async function judgePack({ pack }: PackCase): Promise<readonly Ending[]> {
  try {
    await indexPack(Buffer.from(pack), CAPS, async () => null);
    return ["a sound pack"];
  } catch (error) {
    return [codeOf(error)];
  }
}
