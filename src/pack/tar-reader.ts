/**
 * A strict reader of tar streams: chunks in, entries out, nothing on disk, memory bounded by one header.
 *
 * `tar`'s own Parser reads the same bytes beside it (see inspect.ts) and must agree; this one exists because that one
 * forgives, for good reasons, much that other clients read in another way.
 */
import type { PackLimits } from "./limits.ts";
import { parsePax } from "./pax.ts";
import { decodeHeader, decodeLeniently, decodeStrictly, isZero } from "./tar-header.ts";
import type { TarHeader } from "./tar-header.ts";
import { quote, tarballRefused } from "./refuse.ts";

const BLOCK_BYTES = 512;

export type TarEntry = {
  readonly kind: "file" | "folder";
  /** The path that counts: of the extended header where there is one. Not yet checked; see paths.ts. */
  readonly path: string;
  /** What a reader that ignores extended headers would take for the path. */
  readonly headerPath: string;
  readonly sizeBytes: number;
  /** Whether its owner may execute it. */
  readonly executable: boolean;
};

export type TarSink = {
  /** Called once an entry, before its content. May throw to stop. */
  entry(entry: TarEntry): void;
  /** Content of the last entry, in order; the bytes are valid only during the call. */
  content(bytes: Uint8Array): void;
};

type Body = { readonly header: TarHeader; left: number; padding: number; readonly collected: Uint8Array[] };

function gnuLongName(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  if (end !== -1 && end !== bytes.length - 1) throw tarballRefused("a GNU long name is malformed");
  return decodeStrictly(end === -1 ? bytes : bytes.subarray(0, end), "a GNU long name");
}

/**
 * An extended header is for paths that do not fit. Where the plain header could have held the path, both must say the
 * same: otherwise one is there to be read by one client, and the other by the rest.
 */
function checkSmuggling(path: string, headerPath: string): void {
  if (path === headerPath) return;
  const fits = path.length <= 100 && /^[\x20-\x7e]*$/.test(path);
  if (fits) throw tarballRefused(`an extended header says ${quote(path)} where the plain one says ${quote(headerPath)}`);
}

export class TarReader {
  readonly #limits: PackLimits;
  readonly #sink: TarSink;
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #filled = 0;
  #body: Body | null = null;
  #longPath: string | undefined;
  #paxSize: number | undefined;
  #extended = false;
  #global = false;
  #ended = false;
  #bytes = 0;

  constructor(limits: PackLimits, sink: TarSink) {
    this.#limits = limits;
    this.#sink = sink;
  }

  /** Reads on. Throws TARBALL_REFUSED, after which the reader is of no more use. */
  write(chunk: Uint8Array): void {
    let at = 0;
    this.#bytes += chunk.length;
    while (at < chunk.length) {
      if (this.#ended) {
        // Some clients stop at the first zero block, npm at the second, others read on: nothing may stand behind it.
        if (!isZero(chunk.subarray(at))) throw tarballRefused("it has data behind the end of the archive");
        return;
      }
      at += this.#body === null ? this.#readHeader(chunk.subarray(at)) : this.#readBody(this.#body, chunk.subarray(at));
    }
  }

  /** To be called after the last chunk: an archive that was cut short is refused. */
  end(): void {
    if (!this.#ended) throw tarballRefused("it ends before the end of the archive");
    // yarn 1 and bun wait for the rest of the block.
    if (this.#bytes % BLOCK_BYTES !== 0) throw tarballRefused("it ends in the middle of a block");
  }

  #readHeader(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, BLOCK_BYTES - this.#filled);
    this.#block.set(taken, this.#filled);
    this.#filled += taken.length;
    if (this.#filled < BLOCK_BYTES) return taken.length;
    this.#filled = 0;
    const header = decodeHeader(this.#block);
    if (header === null) this.#finish();
    else this.#begin(header);
    return taken.length;
  }

  #finish(): void {
    if (this.#extended) throw tarballRefused("an extended header is not followed by its entry");
    this.#ended = true;
  }

  #begin(header: TarHeader): void {
    const { kind, sizeBytes } = header;
    if (kind === "file" || kind === "folder") this.#beginEntry(header, kind);
    else {
      if (kind !== "globalPax" && this.#extended) throw tarballRefused("an entry has two extended headers");
      // Some readers let a long name go past a global header to the next entry, some do not.
      if (kind === "globalPax" && this.#extended) throw tarballRefused("an extended header is not followed by its entry");
      // bun takes one before an entry, and gives the archive up at a second.
      if (kind === "globalPax" && this.#global) throw tarballRefused("an entry has two global pax headers");
      if (kind === "globalPax") this.#global = true;
      if (sizeBytes === 0 || sizeBytes > this.#limits.maxHeaderBytes) {
        throw tarballRefused(`an extended header has ${sizeBytes} bytes, not 1 to ${this.#limits.maxHeaderBytes}`);
      }
    }
    const padding = (BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES;
    if (sizeBytes > 0) this.#body = { header, left: sizeBytes, padding, collected: [] };
  }

  #beginEntry(header: TarHeader, kind: "file" | "folder"): void {
    const path = this.#longPath ?? decodeStrictly(header.path, "a path");
    const headerPath = decodeLeniently(header.path);
    checkSmuggling(path, headerPath);
    if (this.#paxSize !== undefined && this.#paxSize !== header.sizeBytes)
      throw tarballRefused(`a pax header sets "size" to ${this.#paxSize}, the plain one to ${header.sizeBytes}`);
    this.#longPath = undefined;
    this.#paxSize = undefined;
    this.#extended = false;
    this.#global = false;
    // To some readers (npm's too) this is a folder, whatever its type says.
    if (kind === "file" && path.endsWith("/")) throw tarballRefused(`the file ${quote(path)} is named like a folder`);
    if (kind === "folder" && header.sizeBytes !== 0) throw tarballRefused(`the folder ${quote(path)} has content`);
    this.#sink.entry({ kind, path, headerPath, sizeBytes: header.sizeBytes, executable: (header.mode & 0o100) !== 0 });
  }

  #readBody(body: Body, bytes: Uint8Array): number {
    if (body.left > 0) {
      const taken = bytes.subarray(0, body.left);
      body.left -= taken.length;
      if (body.header.kind === "file") this.#sink.content(taken);
      else body.collected.push(taken.slice());
      if (body.left === 0) this.#endBody(body);
      return taken.length;
    }
    const skipped = Math.min(body.padding, bytes.length);
    body.padding -= skipped;
    if (body.padding === 0) this.#body = null;
    return skipped;
  }

  #endBody(body: Body): void {
    if (body.padding === 0) this.#body = null;
    const { kind } = body.header;
    if (kind === "file" || kind === "folder") return;
    const bytes = Buffer.concat(body.collected);
    if (kind === "globalPax") {
      const { path, size } = parsePax(bytes);
      if (path !== undefined) throw tarballRefused("a global pax header sets a path");
      if (size !== undefined) throw tarballRefused('a global pax header sets "size"');
      return;
    }
    const said = kind === "pax" ? parsePax(bytes) : { path: gnuLongName(bytes) };
    this.#longPath = said.path;
    this.#paxSize = "size" in said ? said.size : undefined;
    this.#extended = true;
  }
}
