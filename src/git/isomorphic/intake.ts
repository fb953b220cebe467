/**
 * What a host sends as the answer to a fetch, taken apart before the library sees it: the pack goes through our own
 * checks into quarantine, and the library is told of an empty one. (It would inflate without bound, take three times
 * as long, and file the pack under whatever name the host put at its end.)
 */
import { LIMITS } from "../../format/limits.ts";
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ImprintError, isImprintError } from "../../errors.ts";
import type { ObjectId, TransferLimits } from "../port.ts";
import { storageFailed } from "../store/quarantine.ts";
import { redactUrl } from "../url.ts";
import { type Content, declaredObjects, indexPack } from "./pack-index.ts";
import { FLUSH, formatLine, readLines } from "./packet-lines.ts";

/** Beyond these, embedded git is the wrong tool: it holds a whole pack in memory. Parameters, so that tests lower them. */
export type EmbeddedCaps = {
  readonly maxPackBytes: number;
  readonly maxObjects: number;
  /** Bytes of a host's list of its refs: a line for each tarball. */
  readonly maxListingBytes?: number;
};
export const EMBEDDED_CAPS: EmbeddedCaps = { maxPackBytes: LIMITS.embeddedPackBytes, maxObjects: LIMITS.embeddedObjects };
/** JSON packs 3:1, an author's history of it 10:1; what packs better was made to. */
const MAX_RATIO = LIMITS.packInflation;
const MAX_TALK_BYTES = LIMITS.hostTalkBytes;
const ADVICE = "install git 2.34 or newer, which has no such limit";

/** Limits of one fetch: the caller's and ours, whichever is lower, and the error that says which it was. */
export type IntakeLimits = TransferLimits & { readonly tooLarge: (state: string) => ImprintError };

export function limitsOf(limits: TransferLimits, caps: EmbeddedCaps, what: string): IntakeLimits {
  const isOurs = caps.maxPackBytes < limits.maxBytes || caps.maxObjects < limits.maxObjects;
  return {
    maxBytes: Math.min(limits.maxBytes, caps.maxPackBytes),
    maxObjects: Math.min(limits.maxObjects, caps.maxObjects),
    deadlineMs: limits.deadlineMs,
    tooLarge: (state) => new ImprintError("TOO_LARGE", `Cannot ${what}: ${state}${isOurs ? ` is too much without git: ${ADVICE}` : ""}`),
  };
}

function emptyPack(): Buffer {
  const head = Buffer.from("PACK\0\0\0\u0002\0\0\0\0", "latin1");
  return Buffer.concat([head, createHash("sha1").update(head).digest()]);
}

export type IntakeTarget = {
  /** The quarantine. */
  readonly gitDir: string;
  readonly what: string;
  readonly limits: IntakeLimits;
  readonly checkTime: () => void;
  /** An object that was here before. */
  readonly findBase: (id: ObjectId) => Promise<Content | null>;
};

/** Whether a fetch failed for what was in the pack, not for want of one. */
export function isBrokenPack(error: unknown): boolean {
  return isImprintError(error, "UNREACHABLE") && isImprintError(error.cause, "INVALID_DOCUMENT");
}

/** Reads the answer, puts its pack into `<gitDir>/objects/pack`, and returns what the library may read instead. */
export async function takeAnswer(body: AsyncIterable<Uint8Array>, target: IntakeTarget): Promise<Uint8Array> {
  const { what, limits } = target;
  const unreadable = (state: string, cause?: unknown): ImprintError =>
    new ImprintError("UNREACHABLE", `Cannot ${what}: ${state}`, { cause });
  const talk: Buffer[] = [];
  const chunks: Buffer[] = [];
  let bytes = 0;
  let talked = 0;
  let isCounted = false;
  for await (const line of readLines(body, what)) {
    const band = line?.[0];
    if (line === null || band === undefined) {
      // after shallow lines; a mark costs nothing but is counted, or there could be any number of them
      talk.push(FLUSH);
      talked += FLUSH.length;
    } else if (band === 1) {
      bytes += line.length - 1;
      if (bytes > limits.maxBytes) throw limits.tooLarge(`more than ${String(limits.maxBytes)} bytes`);
      chunks.push(Buffer.from(line.subarray(1)));
      if (!isCounted && bytes >= 12) {
        isCounted = true;
        const objects = declaredObjects(Buffer.concat(chunks)) ?? 0;
        if (objects > limits.maxObjects) throw limits.tooLarge(`more than ${String(limits.maxObjects)} objects`);
      }
    } else if (band === 3 || line.toString("latin1", 0, 4) === "ERR ") {
      const words = redactUrl(line.toString("utf8", band === 3 ? 1 : 4).trim()).slice(0, 300);
      throw unreadable(`the host says: ${words}`);
    } else if (band !== 2) {
      talk.push(formatLine(line));
      talked += line.length;
    }
    if (talked > MAX_TALK_BYTES) throw limits.tooLarge("an answer without a pack");
  }
  if (bytes === 0) throw unreadable("the host sent no pack");
  const pack = Buffer.concat(chunks, bytes);
  chunks.length = 0;
  await store(pack, target).catch((error: unknown) => {
    throw isImprintError(error, "INVALID_DOCUMENT") ? unreadable(`the host sent a broken pack (${error.message})`, error) : error;
  });
  return Buffer.concat([...talk, formatLine(Buffer.concat([Buffer.from([1]), emptyPack()])), FLUSH]);
}

async function store(sent: Buffer, { gitDir, what, limits, checkTime, findBase }: IntakeTarget): Promise<void> {
  const caps = {
    maxObjects: limits.maxObjects,
    maxObjectBytes: Math.max(limits.maxBytes, MAX_TALK_BYTES),
    maxInflatedBytes: MAX_RATIO * Math.max(limits.maxBytes, MAX_TALK_BYTES),
    checkTime,
    tooLarge: limits.tooLarge,
  };
  const { name, pack, index, objects } = await indexPack(sent, caps, findBase);
  if (objects === 0) return;
  try {
    const folder = join(gitDir, "objects", "pack");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${name}.pack`), pack, { mode: 0o444, flush: true });
    await writeFile(join(folder, `${name}.idx`), index, { mode: 0o444, flush: true });
  } catch (error) {
    throw storageFailed(what, error);
  }
}
