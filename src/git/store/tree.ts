/**
 * Git's tree objects, read by ourselves, because the mode decides: a symbolic link, a submodule or a folder where a
 * file should be is "not there" (THREATS G5), and `<commit>:<path>` would follow whatever the host put on the way.
 */
import type { ObjectId } from "../port.ts";

/** Entries of one tree: name (its bytes as latin1) → offset of its mode in `bytes`, or -1 where the name is there twice. */
export type Tree = { readonly bytes: Buffer; readonly idBytes: 20 | 32; readonly offsets: ReadonlyMap<string, number> };
export type TreeEntry = { readonly mode: string; readonly id: ObjectId };

const SPACE = 0x20;
const MAX_MODE_LENGTH = 6;

/** Parses a tree object, or returns null where it is none. */
export function parseTree(bytes: Buffer, idBytes: 20 | 32): Tree | null {
  const offsets = new Map<string, number>();
  let at = 0;
  while (at < bytes.length) {
    const space = bytes.indexOf(SPACE, at);
    if (space < 0 || space === at || space - at > MAX_MODE_LENGTH) return null;
    const end = bytes.indexOf(0, space + 1);
    if (end < 0 || end === space + 1 || end + 1 + idBytes > bytes.length) return null;
    const name = bytes.toString("latin1", space + 1, end);
    // of two entries with one name each git shows another: neither is taken
    offsets.set(name, offsets.has(name) ? -1 : at);
    at = end + 1 + idBytes;
  }
  return { bytes, idBytes, offsets };
}

function readEntryAt(tree: Tree, at: number): { readonly entry: RawEntry; readonly end: number } {
  const space = tree.bytes.indexOf(SPACE, at);
  const nameEnd = tree.bytes.indexOf(0, space);
  const end = nameEnd + 1 + tree.idBytes;
  const entry = {
    mode: tree.bytes.toString("latin1", at, space).padStart(MAX_MODE_LENGTH, "0"),
    name: tree.bytes.toString("latin1", space + 1, nameEnd),
    id: tree.bytes.toString("hex", nameEnd + 1, end) as ObjectId,
  };
  return { entry, end };
}

/** The entry whose name has exactly these bytes, or null. */
export function entryOf(tree: Tree, name: string): TreeEntry | null {
  const at = tree.offsets.get(Buffer.from(name, "utf8").toString("latin1"));
  return at === undefined || at < 0 ? null : readEntryAt(tree, at).entry;
}

/** An entry with its name as latin1, one character a byte: names that are no UTF-8 survive. */
export type RawEntry = TreeEntry & { readonly name: string };

/** All entries in the order of the tree; of two with one name the last. */
export function entriesOf(tree: Tree): readonly RawEntry[] {
  const entries: RawEntry[] = [];
  for (let at = 0; at < tree.bytes.length;) {
    const { entry, end } = readEntryAt(tree, at);
    entries.push(entry);
    at = end;
  }
  return entries;
}

/** A tree object's bytes, in git's order, where a folder sorts as if its name ended with a slash. */
export function formatTree(entries: readonly RawEntry[]): Buffer {
  const keyOf = ({ name, mode }: RawEntry): string => (mode === "040000" ? `${name}/` : name);
  const sorted = entries.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  return Buffer.concat(
    sorted.flatMap(({ name, mode, id }) => [Buffer.from(`${mode.replace(/^0/u, "")} ${name}\0`, "latin1"), Buffer.from(id, "hex")]),
  );
}
