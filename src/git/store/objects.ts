/**
 * Objects of one repository, whoever reads them: commits and trees parsed by ourselves, sizes looked at before bytes.
 */
import { LIMITS } from "../../format/limits.ts";
import { LRUCache } from "lru-cache";
import { ImprintError } from "../../errors.ts";
import type { ObjectId, RefName } from "../port.ts";
import { parseTree } from "./tree.ts";
import type { Tree } from "./tree.ts";

const MAX_COMMIT_BYTES = LIMITS.commitBytes;
/** A folder of 300,000 files; a larger tree is somebody's attack on our memory. */
const MAX_TREE_BYTES = LIMITS.treeBytes;
const TREE_CACHE_BYTES = 24 * 1024 * 1024;

export type ObjectInfo = { readonly id: ObjectId; readonly type: string; readonly size: number };

/** What an adapter brings: what all else is made of. */
export type RawObjects = Pick<ObjectReader, "info" | "bytes" | "many" | "close">;

/** Questions below which asking one by one is sooner done. */
const MANY = 256;

export type ObjectReader = {
  /** Type and size of what a full id or ref name means, or null where it isn't here. */
  info(name: ObjectId | RefName | `${ObjectId | RefName}^{commit}`): Promise<ObjectInfo | null>;
  /** Bytes of an object whose size the caller has checked; null where it isn't here. */
  bytes(id: ObjectId): Promise<Buffer | null>;
  /** Id of a commit's tree; throws INVALID_DOCUMENT where it is no commit of ours. */
  treeOf(commit: ObjectId): Promise<ObjectId>;
  /** Those of many objects that can be had at once; the others, and all of a few, are asked for by `info` and `bytes`. */
  many(ids: readonly ObjectId[], maxBytes: number): Promise<ReadonlyMap<ObjectId, { readonly type: string; readonly data: Buffer }>>;
  /** Reads trees that are about to be asked for, where there are many. */
  loadTrees(ids: readonly ObjectId[]): Promise<void>;
  /** Parents of a commit that is here, as it names them; null where it isn't here. */
  parentsOf(commit: ObjectId): Promise<readonly ObjectId[] | null>;
  /** A parsed tree, cached by id; null where it isn't here, is no tree or is too large. */
  tree(id: ObjectId): Promise<Tree | null>;
  close(): Promise<void>;
};

/** A reader over an adapter's own look-up. */
export function readerOf(raw: RawObjects): ObjectReader {
  const trees = new LRUCache<ObjectId, Tree>({ maxSize: TREE_CACHE_BYTES, sizeCalculation: (tree) => 64 + 3 * tree.bytes.length });

  const header = async (commit: ObjectId): Promise<string | null> => {
    const info = await raw.info(commit);
    if (info === null || info.type !== "commit" || info.size > MAX_COMMIT_BYTES) return null;
    const body = await raw.bytes(commit);
    return body === null ? null : (body.toString("latin1").split("\n\n", 1)[0] ?? "");
  };

  const many: ObjectReader["many"] = async (ids, maxBytes) => (ids.length < MANY ? new Map() : raw.many(ids, maxBytes));
  const keep = (id: ObjectId, body: Buffer | null): Tree | null => {
    const tree = body === null ? null : parseTree(body, id.length === 64 ? 32 : 20);
    if (tree !== null) trees.set(id, tree);
    return tree;
  };
  const isTree = (info: ObjectInfo | null): boolean => info !== null && info.type === "tree" && info.size <= MAX_TREE_BYTES;

  return {
    info: raw.info,
    bytes: raw.bytes,
    many,
    async loadTrees(ids) {
      const found = await many(
        ids.filter((id) => !trees.has(id)),
        MAX_TREE_BYTES,
      );
      for (const [id, { type, data }] of found) if (type === "tree") keep(id, data);
    },
    close: raw.close,
    async treeOf(commit) {
      const id = /^tree ([0-9a-f]+)$/mu.exec((await header(commit)) ?? "")?.[1];
      if (id === undefined) throw new ImprintError("INVALID_DOCUMENT", `Cannot read commit ${commit}: it is not in this repository`);
      return id as ObjectId;
    },
    async parentsOf(commit) {
      const text = await header(commit);
      return text === null ? null : [...text.matchAll(/^parent ([0-9a-f]+)$/gmu)].map((found) => found[1] as ObjectId);
    },
    async tree(id) {
      const known = trees.get(id);
      if (known !== undefined) return known;
      const info = await raw.info(id);
      return isTree(info) ? keep(id, await raw.bytes(id)) : null;
    },
  };
}
