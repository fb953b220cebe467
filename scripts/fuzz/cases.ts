/** One case: an honest state, and one to three mutations of it by one family. Its seed makes it again. */
import { posix } from "node:path";
import type { PackageName } from "../../src/format/names.ts";
import { CHECKPOINT_PATH, recordPath, shardOf, shardPath } from "../../src/format/paths.ts";
import type { FileMap, Honest, HonestState } from "./honest.ts";
import { changeBytes } from "./mutate-bytes.ts";
import { changeJson } from "./mutate-json.ts";
import { randomOf, type Random } from "./random.ts";
import { reseal, type Seal } from "./reseal.ts";

const FAMILIES = ["bytes", "JSON", "hashed again", "signed by wrong keys", "stolen checkpoint key", "careless publisher", "tree"] as const;
export type Family = (typeof FAMILIES)[number];
const { basename, dirname, join } = posix;

export type IndexCase = {
  readonly family: Family;
  readonly base: HonestState;
  /** What the reader believed before; null: it is new. */
  readonly before: HonestState | null;
  readonly files: FileMap;
  /** What was done, in order. */
  readonly how: readonly string[];
  /** Packages whose files were touched. */
  readonly touched: readonly PackageName[];
  /** Whose good keys were used: of anybody's, other checkpoints than the honest ones may be believed. */
  readonly forger: "nobody" | "a thief of the checkpoint key" | "its publisher";
};

const SEALS: Partial<Record<Family, Seal>> = {
  "hashed again": "rehash",
  "signed by wrong keys": "wrong keys",
  "stolen checkpoint key": "stolen",
  "careless publisher": "careless",
};

const FORGERS: Partial<Record<Family, IndexCase["forger"]>> = {
  "stolen checkpoint key": "a thief of the checkpoint key",
  "careless publisher": "its publisher",
};

/** @param steps which of its mutations are made (all unless given): fewer, where a failure is made smaller */
export function indexCase(honest: Honest, seed: number, steps: readonly number[] = [0, 1, 2]): IndexCase {
  const random = randomOf(seed);
  const family = random.pick(FAMILIES);
  const base = random.pick(honest.states);
  const before = random.once(3) ? random.pick(honest.states) : null;
  const seeds = Array.from({ length: random.pick([1, 1, 1, 2, 3]) }, () => random.int(2 ** 32));
  const how: string[] = [];
  const touched = new Set<string>();
  let files: FileMap = base.files;
  for (const [i, step] of seeds.entries()) {
    if (!steps.includes(i)) continue;
    const made =
      family === "tree" ? changeTree(files, honest, base, randomOf(step)) : changeFile(files, honest, base, family, randomOf(step));
    files = made.files;
    how.push(made.how);
    for (const path of made.paths) touched.add(path);
  }
  return { family, base, before, files, how, touched: namesAt(honest, touched), forger: FORGERS[family] ?? "nobody" };
}

/** Any file of any state, of this index or the other. */
function anyFile(honest: Honest, random: Random): Uint8Array {
  return random.pick([...anyTree(honest, random).values()]);
}

function anyTree({ states, other }: Honest, random: Random): FileMap {
  return random.pick([...states.map(({ files }) => files), other]);
}

type Made = { readonly files: FileMap; readonly how: string; readonly paths: readonly string[] };

function changeFile(files: FileMap, honest: Honest, base: HonestState, family: Family, random: Random): Made {
  const seal = SEALS[family];
  const open = [...files.keys()].filter((one) => isOpenTo(one, family));
  // Every kind of document as often as any other, though an index has more releases than checkpoints.
  const kind = random.pick([...new Set(open.map(kindOf))]);
  const path = random.pick(open.filter((one) => kindOf(one) === kind));
  // Documents of the same path in another state are the likeliest to be taken for it.
  const others = (): Uint8Array => anyTree(honest, random).get(path) ?? anyFile(honest, random);
  const old = files.get(path) ?? (base.files.get(path) as Uint8Array);
  if (seal !== undefined && random.once(3)) {
    // A whole document of another place or time, its signatures with it; only the hashes above are made to fit.
    const tree = anyTree(honest, random);
    const alike = [...tree.keys()].filter((one) => kindOf(one) === kind);
    const from = random.once(2) || alike.length === 0 ? path : random.pick(alike);
    const placed = new Map(files).set(path, tree.get(from) ?? old);
    // A record comes with the releases that it lists.
    if (kind === "record")
      for (const [one, bytes] of tree) if (dirname(one) === dirname(from)) placed.set(join(dirname(path), basename(one)), bytes);
    const next = reseal(placed, path, seal, random, { keep: true });
    return { files: next, how: `replay ${from} in ${path}`, paths: [path] };
  }
  const made = (family === "bytes" || random.once(8) ? changeBytes : changeJson)(old, random, others);
  const next = new Map(files).set(path, made.bytes);
  return { files: seal === undefined ? next : reseal(next, path, seal, random), how: `${made.how} in ${path}`, paths: [path] };
}

function kindOf(path: string): "root" | "checkpoint" | "shard" | "record" | "release" {
  if (path.startsWith("trust/")) return "root";
  if (path === CHECKPOINT_PATH) return "checkpoint";
  if (path.endsWith("/shard.json")) return "shard";
  return path.endsWith("/record.json") ? "record" : "release";
}

/** With the checkpoint key one changes it and what hangs below it; a publisher changes releases. */
function isOpenTo(path: string, family: Family): boolean {
  if (family === "stolen checkpoint key") return !path.startsWith("trust/");
  return family !== "careless publisher" || (path.startsWith("packages/") && !/\/(?:record|shard)\.json$/u.test(path));
}

type TreeChange = (files: Map<string, Uint8Array>, honest: Honest, random: Random) => readonly string[];

const TREE_CHANGES: Readonly<Record<string, TreeChange>> = {
  "remove a file": (files, _, random) => {
    const path = random.pick([...files.keys()]);
    files.delete(path);
    return [path];
  },
  "swap two files": (files, _, random) => {
    const [a, b] = [random.pick([...files.keys()]), random.pick([...files.keys()])];
    const [first, second] = [files.get(a) as Uint8Array, files.get(b) as Uint8Array];
    files.set(a, second).set(b, first);
    return [a, b];
  },
  "put a file of another state or index in place": (files, honest, random) => {
    const path = random.pick([...files.keys()]);
    const twin = anyTree(honest, random).get(path);
    files.set(path, twin ?? anyFile(honest, random));
    return [path];
  },
  "put another state's checkpoint on top": (files, honest, random) => {
    files.set(CHECKPOINT_PATH, anyTree(honest, random).get(CHECKPOINT_PATH) as Uint8Array);
    return [CHECKPOINT_PATH];
  },
  "put another state's package in place": (files, honest, random) => {
    const name = random.pick(honest.names);
    const folder = recordPath(name).replace(/record\.json$/u, "");
    const from = anyTree(honest, random);
    for (const path of files.keys()) if (path.startsWith(folder)) files.delete(path);
    for (const [path, bytes] of from) if (path.startsWith(folder)) files.set(path, bytes);
    const shard = from.get(shardPath(shardOf(name)));
    if (random.once(2) && shard !== undefined) files.set(shardPath(shardOf(name)), shard);
    return [recordPath(name)];
  },
  "remove a package": (files, honest, random) => {
    const name = random.pick(honest.names);
    const folder = recordPath(name).replace(/record\.json$/u, "");
    for (const path of files.keys())
      if (path.startsWith(folder) || (random.once(2) && path === shardPath(shardOf(name)))) files.delete(path);
    return [recordPath(name)];
  },
  "move a package over another": (files, honest, random) => {
    const [from, to] = [random.pick(honest.names), random.pick(honest.names)].map((name) =>
      recordPath(name).replace(/record\.json$/u, ""),
    ) as [string, string];
    const moved = [...files].filter(([path]) => path.startsWith(from));
    for (const [path, bytes] of moved)
      files.set(
        path.replace(from, () => to),
        bytes,
      );
    return [`${from}record.json`, `${to}record.json`];
  },
  "add what nobody listed": (files, honest, random) => {
    const path = random.pick([
      "trust/3.json",
      "packages/00/shard.json",
      `${recordPath(random.pick(honest.names)).replace(/record\.json$/u, "")}9.9.9.json`,
      "packages/README.md",
      "CHECKPOINT.json",
      "Trust/1.json",
    ]);
    files.set(path, anyFile(honest, random));
    return [path];
  },
  "empty a file": (files, _, random) => {
    const path = random.pick([...files.keys()]);
    files.set(path, new Uint8Array(0));
    return [path];
  },
};

function changeTree(files: FileMap, honest: Honest, _base: HonestState, random: Random): Made {
  const how = random.pick(Object.keys(TREE_CHANGES));
  const next = new Map(files);
  const paths = next.size === 0 ? [] : (TREE_CHANGES[how] as TreeChange)(next, honest, random);
  return { files: next, how: `${how}: ${paths.join(", ")}`, paths };
}

function namesAt({ names }: Honest, paths: ReadonlySet<string>): readonly PackageName[] {
  return names.filter((name) =>
    [...paths].some((path) => path === shardPath(shardOf(name)) || path.startsWith(recordPath(name).replace(/record\.json$/u, ""))),
  );
}
