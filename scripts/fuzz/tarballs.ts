/** Cases of tarballs: changed bytes under an honest release, and archives changed before they are packed again. */
import { gunzipSync, gzipSync } from "node:zlib";
import { ImprintError } from "../../src/errors.ts";
import { openTarballStore } from "../../src/index/tarballs.ts";
import { inspectTarball } from "../../src/pack/inspect.ts";
import { openBlobStore } from "../../src/storage/blobs.ts";
import { type Files, wholeOf } from "../../src/storage/files.ts";
import type { Honest } from "./honest.ts";
import { changeBytes } from "./mutate-bytes.ts";
import { codeOf, type Ending, WrongAcceptance } from "./oracle.ts";
import { type Random, randomOf } from "./random.ts";

export type TarballCase = { readonly how: string; readonly bytes: Uint8Array; readonly honest: Honest["tarballs"][number] };

export function tarballCase(honest: Honest, seed: number): TarballCase {
  const random = randomOf(seed);
  const chosen = random.pick(honest.tarballs);
  const others = (): Uint8Array => random.pick(honest.tarballs).bytes;
  if (random.once(2)) {
    const { bytes, how } = changeBytes(chosen.bytes, random, others);
    return { how: `${how} of the tarball`, bytes, honest: chosen };
  }
  const { bytes, how } = changeTar(gunzipSync(chosen.bytes), random, () => gunzipSync(others()));
  return { how: `${how} of the archive, packed again`, bytes: new Uint8Array(gzipSync(bytes)), honest: chosen };
}

/** Half of the time with its headers' checksums made right again, so that more than the first check is met. */
function changeTar(tar: Uint8Array, random: Random, others: () => Uint8Array): { readonly bytes: Uint8Array; readonly how: string } {
  const made = changeBytes(tar, random, others);
  if (random.once(2)) return made;
  const bytes = Buffer.from(made.bytes);
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    const block = bytes.subarray(at, at + 512);
    if (block.toString("latin1", 257, 262) !== "ustar") continue;
    block.fill(0x20, 148, 156);
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, 8, "latin1");
  }
  return { bytes, how: `${made.how}, checksums mended` };
}

export async function judgeTarball({ bytes, honest }: TarballCase): Promise<readonly Ending[]> {
  const endings: Ending[] = [];
  const blobs = openBlobStore(memoryFiles(), "/blobs");
  const store = openTarballStore({
    sources: async () => ["git"],
    openBlob: async (sha512) => {
      const file = await blobs.open(sha512);
      return file === null ? null : { size: file.size, stream: ReadableStream.from(file.stream()) };
    },
    putBlob: (source, { sha512, size }) => blobs.put(source, { hash: sha512, size }),
    fromGit: async () =>
      (async function* () {
        yield bytes;
      })(),
    fromHttps: async () => {
      throw new ImprintError("MISSING_FILE", "Cannot read the tarball: there is no host");
    },
  });
  try {
    const { stream } = await store.open(honest.release);
    const served = new Uint8Array(await new Response(stream).arrayBuffer());
    if (Buffer.compare(served, honest.bytes) !== 0) throw new WrongAcceptance("a tarball was served that is not the signed one");
    endings.push("accepted");
  } catch (error) {
    endings.push(codeOf(error));
  }
  try {
    const facts = await inspectTarball(bytes);
    // Another archive may be a fine one, but not with the integrity of this one.
    if (facts.integrity === honest.release.dist.integrity && Buffer.compare(bytes, honest.bytes) !== 0)
      throw new WrongAcceptance("two tarballs of one integrity");
    endings.push("a sound archive");
  } catch (error) {
    endings.push(codeOf(error));
  }
  return endings;
}

/** A disk for one case. */
function memoryFiles(): Files {
  const files = new Map<string, Uint8Array>();
  return {
    read: async (path) => files.get(path) ?? null,
    open: async (path) => {
      const bytes = files.get(path);
      if (bytes === undefined) return null;
      const stream = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes;
      };
      return { size: bytes.byteLength, stream, close: async () => undefined };
    },
    writeAtomic: async (path, bytes) => void files.set(path, bytes),
    writeStream: async (path, source) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of source) chunks.push(chunk);
      files.set(path, Buffer.concat(chunks));
    },
    createExclusive: async (path, content) => !files.has(path) && files.set(path, wholeOf(content)) === files,
    remove: async (path) => void files.delete(path),
    list: async () => [],
  };
}
