/** Git's packet lines: four hex digits of length, and that many bytes with them; `0000` to `0002` are marks. */
import { LIMITS } from "../../format/limits.ts";
import { ImprintError } from "../../errors.ts";

const MAX_LINE_BYTES = LIMITS.packetLineBytes;

/** One line, or null for a mark. */
export type PacketLine = Buffer | null;

export function formatLine(content: string | Uint8Array): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, "0")), bytes]);
}

export const FLUSH = Buffer.from("0000");

/** Lines of a stream, as they come. @throws ImprintError `code` where it is no such stream */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
  what: string,
  code: "UNREACHABLE" | "PUSH_FAILED" = "UNREACHABLE",
): AsyncGenerator<PacketLine> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= 4) {
      const digits = rest.toString("latin1", at, at + 4);
      const length = /^[0-9a-f]{4}$/iu.test(digits) ? Number.parseInt(digits, 16) : -1;
      if (length < 0 || length === 3 || length > MAX_LINE_BYTES)
        throw new ImprintError(code, `Cannot ${what}: the host's answer is not git's`);
      if (length > 0 && length < 3) at += 4;
      else if (length === 0) at += 4;
      else if (rest.length - at < length) break;
      else {
        yield rest.subarray(at + 4, at + length);
        at += length;
        continue;
      }
      yield null;
    }
    rest = rest.subarray(at);
  }
  if (rest.length > 0) throw new ImprintError(code, `Cannot ${what}: the host's answer breaks off`);
}
