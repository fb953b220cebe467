/** What is piped in: git's list of updates for a hook, or a passphrase. */
import { ImprintError } from "../errors.ts";
import { LIMITS } from "../format/limits.ts";

/** All of it, as UTF-8. @throws ImprintError USAGE above `maxBytes` */
export async function readInput(stream: AsyncIterable<Uint8Array>, maxBytes: number = LIMITS.hookInputBytes): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw new ImprintError("USAGE", `Cannot read the input: more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
