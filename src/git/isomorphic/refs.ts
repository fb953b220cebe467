/**
 * A host's list of its refs, read line by line before the library sees it. Hosts that know no version 2 of git's protocol
 * list every ref that they have, one for each tarball, and a hostile one never ends (THREATS T15). So the lines that
 * nobody asked for are dropped as they come, and those that are kept have a cap of their own.
 */
import { LIMITS } from "../../format/limits.ts";
import { ImprintError } from "../../errors.ts";
import { redactUrl } from "../url.ts";
import { FLUSH, formatLine, readLines } from "./packet-lines.ts";

const MAX_KEPT_BYTES = LIMITS.keptRefBytes;
/** `<id> <ref>`, and after it a NUL with capabilities, a space with attributes, or the end. */
const REF_LINE = /^[0-9a-f]{40,64} ([^\0 \n]+)/u;

export type RefsWanted = {
  /** "fetch https://…", for messages. */
  readonly what: string;
  readonly keep: (ref: string) => boolean;
  /** Bytes of the whole list. */
  readonly maxBytes: number;
};

/** @throws ImprintError UNREACHABLE (a host's refusal, which the library overlooks; no list at all), TOO_LARGE */
export async function takeRefs(body: AsyncIterable<Uint8Array>, { what, keep, maxBytes }: RefsWanted): Promise<Uint8Array> {
  const kept: Uint8Array[] = [];
  let keptBytes = 0;
  let seenBytes = 0;
  let isFirst = true;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      seenBytes += chunk.byteLength;
      if (seenBytes > maxBytes)
        throw new ImprintError("TOO_LARGE", `Cannot ${what}: the host lists refs of more than ${String(maxBytes)} bytes`);
      yield chunk;
    }
  };
  for await (const line of readLines(counted(), what)) {
    if (line?.toString("latin1", 0, 4) === "ERR ")
      throw new ImprintError("UNREACHABLE", `Cannot ${what}: the host says: ${redactUrl(line.toString("utf8", 4).trim()).slice(0, 300)}`);
    const ref = line === null ? undefined : REF_LINE.exec(line.toString("utf8"))?.[1]?.replace(/\^\{\}$/u, "");
    // The first ref's line carries the capabilities, whatever ref it is.
    if (ref !== undefined && !isFirst && ref !== "HEAD" && !keep(ref)) continue;
    if (ref !== undefined) isFirst = false;
    const bytes = line === null ? FLUSH : formatLine(line);
    keptBytes += bytes.byteLength;
    if (keptBytes > MAX_KEPT_BYTES)
      throw new ImprintError("TOO_LARGE", `Cannot ${what}: the host lists branches of more than ${String(MAX_KEPT_BYTES)} bytes`);
    kept.push(bytes);
  }
  // No refs is a mark and nothing else; nothing at all is a git that died, as it does over another kind of ids.
  if (kept.length === 0)
    throw new ImprintError(
      "UNREACHABLE",
      `Cannot ${what}: the host breaks off; a repository of sha256 needs git, install git 2.34 or newer`,
    );
  return Buffer.concat(kept);
}
