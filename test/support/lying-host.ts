/**
 * A host that sends whatever pack a test made, over both versions of git's protocol, so that system git (version 2) and
 * isomorphic-git (version 0 for packs) are told the same lie. And a builder for packs that no git would make.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { deflateSync, gunzipSync } from "node:zlib";

const TYPES = { commit: 1, tree: 2, blob: 3, tag: 4, ofs: 6, ref: 7 } as const;

export type PackedEntry = {
  readonly type: keyof typeof TYPES;
  readonly content: Uint8Array;
  /** Declared instead of the content's own. */
  readonly size?: number;
  /** Sent instead of the deflated content. */
  readonly compressed?: Uint8Array;
  /** `ofs`: bytes back; `ref`: an id. */
  readonly base?: number | string;
};

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 128);
  }
}

function header(type: number, size: number): Buffer {
  const rest = Math.floor(size / 16);
  const first = (type << 4) | (size % 16);
  return Buffer.from(rest === 0 ? [first] : [first | 128, ...varint(rest)]);
}

function offsetBytes(back: number): Buffer {
  const bytes = [back % 128];
  for (let rest = Math.floor(back / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift((--rest % 128) | 128);
  return Buffer.from(bytes);
}

export function formatEntry({ type, content, size, compressed, base }: PackedEntry): Buffer {
  return Buffer.concat([
    header(TYPES[type], size ?? content.length),
    typeof base === "number" ? offsetBytes(base) : Buffer.from(base ?? "", "hex"),
    compressed ?? deflateSync(content),
  ]);
}

/** A pack of these entries; `count` and `trailer` may lie. */
export function formatPack(entries: readonly PackedEntry[], lies: { readonly count?: number; readonly trailer?: Uint8Array } = {}): Buffer {
  const head = Buffer.from("PACK\0\0\0\u0002\0\0\0\0", "latin1");
  head.writeUInt32BE(lies.count ?? entries.length, 8);
  const body = Buffer.concat([head, ...entries.map(formatEntry)]);
  return Buffer.concat([body, lies.trailer ?? createHash("sha1").update(body).digest()]);
}

/** A delta that copies all of a base of `baseSize` bytes as often as it takes to make `resultSize`. */
export function repeatDelta(baseSize: number, resultSize: number): Buffer {
  const parts: number[] = [...varint(baseSize), ...varint(resultSize)];
  for (let made = 0; made < resultSize; made += baseSize) {
    const size = Math.min(baseSize, resultSize - made);
    parts.push(0x80 | 0x70, size & 255, (size >> 8) & 255, (size >> 16) & 255);
  }
  return Buffer.from(parts);
}

export function idOf(type: "commit" | "tree" | "blob", content: Uint8Array): string {
  return createHash("sha1")
    .update(`${type} ${String(content.length)}\0`)
    .update(content)
    .digest("hex");
}

export function treeOf(entries: readonly (readonly [mode: string, name: string, id: string])[]): Buffer {
  return Buffer.concat(entries.flatMap(([mode, name, id]) => [Buffer.from(`${mode} ${name}\0`), Buffer.from(id, "hex")]));
}

export function commitOf(tree: string): Buffer {
  return Buffer.from(`tree ${tree}\nauthor T <t@e> 0 +0000\ncommitter T <t@e> 0 +0000\n\nm\n`);
}

function line(content: string | Uint8Array): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, "0")), bytes]);
}

/** Answers every request for a repository: its `refs/heads/main` is `head`, and a fetch gets what `send` writes. */
export function lie(
  head: string,
  send: (pack: { write(bytes: Uint8Array): boolean; end(): void; readonly response: ServerResponse }) => void,
): (request: IncomingMessage, response: ServerResponse) => Promise<boolean> {
  const FLUSH = Buffer.from("0000");
  return async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const sent = Buffer.concat(chunks);
    const asked = (request.headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent).toString("latin1");
    if (request.method === "GET") {
      response.setHeader("content-type", "application/x-git-upload-pack-advertisement");
      const second = request.headers["git-protocol"] === "version=2";
      const lines = second
        ? [line("version 2\n"), line("ls-refs\n"), line("fetch=shallow filter\n"), line("object-format=sha1\n")]
        : [line(`${head} refs/heads/main\0shallow side-band-64k ofs-delta multi_ack_detailed no-done\n`)];
      response.end(Buffer.concat([line("# service=git-upload-pack\n"), FLUSH, ...lines, FLUSH]));
      return true;
    }
    response.setHeader("content-type", "application/x-git-upload-pack-result");
    if (asked.includes("command=ls-refs")) {
      response.end(Buffer.concat([line(`${head} refs/heads/main\n`), FLUSH]));
      return true;
    }
    const shallow = line(`shallow ${head}`);
    response.write(
      asked.includes("command=fetch")
        ? Buffer.concat([line("shallow-info\n"), shallow, Buffer.from("0001"), line("packfile\n")])
        : Buffer.concat([shallow, FLUSH, line("NAK\n")]),
    );
    send({
      response,
      write: (bytes) => {
        let more = true;
        for (let at = 0; at < bytes.length; at += 65_000)
          more = response.write(line(Buffer.concat([Buffer.from([1]), bytes.subarray(at, at + 65_000)])));
        return more;
      },
      end: () => response.end(FLUSH),
    });
    return true;
  };
}

/** A host's whole answer is this pack. */
export function sendPack(head: string, pack: Uint8Array): ReturnType<typeof lie> {
  return lie(head, ({ write, end }) => {
    write(pack);
    end();
  });
}
