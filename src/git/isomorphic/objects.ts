/**
 * Objects of a repository, read without git: packs first, as git does, then loose files. What is broken is not there: whoever asked
 * checks bytes by hash anyway, and asks the host again.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { constants, inflateSync } from "node:zlib";
import { errnoOf, isImprintError } from "../../errors.ts";
import type { ObjectId, RefName } from "../port.ts";
import { readerOf } from "../store/objects.ts";
import type { ObjectReader } from "../store/objects.ts";
import { readRef } from "../store/refs.ts";
import { DISK_CAPS, openPacks } from "../store/packs.ts";

const HEADER_PREFIX_BYTES = 512;
const MAX_TAGS = 5;

type Loose = { readonly type: string; readonly size: number; readonly bodyAt: number };

function parseHeader(start: Buffer): Loose | null {
  const end = start.indexOf(0);
  const parts = /^(commit|tree|blob|tag) (0|[1-9]\d{0,15})$/u.exec(end < 0 ? "" : start.toString("latin1", 0, end));
  return parts === null ? null : { type: parts[1] ?? "", size: Number(parts[2]), bodyAt: end + 1 };
}

async function readLoose(gitDir: string, id: ObjectId): Promise<{ readonly compressed: Buffer; readonly header: Loose } | null> {
  const compressed = await readFile(join(gitDir, "objects", id.slice(0, 2), id.slice(2))).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return null;
    throw error;
  });
  if (compressed === null) return null;
  try {
    const start = inflateSync(compressed.subarray(0, HEADER_PREFIX_BYTES), { finishFlush: constants.Z_SYNC_FLUSH });
    const header = parseHeader(start);
    return header === null ? null : { compressed, header };
  } catch {
    return null; // half written by something that was killed: as if it weren't there
  }
}

function bodyOf({ compressed, header }: { readonly compressed: Buffer; readonly header: Loose }): Buffer | null {
  if (header.size > DISK_CAPS.maxObjectBytes) return null;
  try {
    const whole = inflateSync(compressed, { maxOutputLength: header.bodyAt + header.size });
    return whole.length === header.bodyAt + header.size ? whole.subarray(header.bodyAt) : null;
  } catch {
    return null;
  }
}

/** Reads the objects of the repository in `gitDir`; ids, and refs peeled to their commit. */
export function openObjects(gitDir: string): ObjectReader {
  const packs = openPacks(gitDir);

  const infoOf = async (id: ObjectId): Promise<{ id: ObjectId; type: string; size: number } | null> => {
    const packed = await unlessBroken(packs.info(id));
    if (packed !== null) return { id, type: packed.type, size: packed.size };
    const loose = await readLoose(gitDir, id);
    return loose === null ? null : { id, type: loose.header.type, size: loose.header.size };
  };
  const bytesOf = async (id: ObjectId): Promise<Buffer | null> => {
    const packed = await unlessBroken(packs.bytes(id));
    if (packed !== null) return packed.data;
    const loose = await readLoose(gitDir, id);
    return loose === null ? null : bodyOf(loose);
  };
  const peel = async (start: ObjectId): Promise<{ id: ObjectId; type: string; size: number } | null> => {
    let id = start;
    for (let tags = 0; tags <= MAX_TAGS; tags++) {
      const info = await infoOf(id);
      if (info === null || info.type === "commit") return info;
      const target =
        info.type === "tag" ? /^object ([0-9a-f]{40})$/mu.exec((await bytesOf(id))?.toString("latin1").split("\n\n", 1)[0] ?? "") : null;
      if (target === null) return null;
      id = target[1] as ObjectId;
    }
    return null;
  };

  return readerOf({
    async info(name) {
      const [plain = "", peeled] = name.split("^");
      const id = plain.startsWith("refs/") ? await readRef(gitDir, plain as RefName) : (plain as ObjectId);
      if (id === null) return null;
      return peeled === undefined ? infoOf(id) : peel(id);
    },
    bytes: bytesOf,
    many: (ids, maxBytes) => packs.many(ids, maxBytes),
    close: () => packs.close(),
  });
}

async function unlessBroken<T>(reading: Promise<T | null>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if (isImprintError(error, "INVALID_DOCUMENT")) return null;
    throw error;
  }
}
