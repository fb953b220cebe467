/** Caps of what clients, people and upstream send. */
import { createHash } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { readInput } from "../../src/cli/input.ts";
import { LOCAL, openService } from "../../src/serve/service.ts";
import { LIMITS } from "../../src/format/limits.ts";
import { BODY_LIMITS, type BodyLimits, readJsonBody } from "../../src/http/body.ts";
import { parseRegistryPath } from "../../src/http/path.ts";
import { parseSearch } from "../../src/http/search-query.ts";
import type { UpstreamClient } from "../../src/registry/upstream/client.ts";
import { readText } from "../../src/registry/upstream/documents.ts";
import { createTarballs } from "../../src/registry/upstream/tarballs.ts";
import { UPSTREAM_TIMES } from "../../src/registry/upstream/times.ts";
import type { UpstreamResponse } from "../../src/registry/upstream/transfer.ts";
import { createUpstream } from "../../src/registry/upstream/upstream.ts";
import { formatVia, parseVia } from "../../src/registry/upstream/via.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { openSpool } from "../../src/storage/spool.ts";
import { temporaryFolder } from "../storage/temporary.ts";
import { type Edges, lowered } from "./edge.ts";

async function* pieces(...bytes: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* bytes;
}

function post(
  body: Uint8Array | ReadableStream<Uint8Array>,
  limits: Partial<BodyLimits> = {},
  headers: Record<string, string> = {},
): Promise<unknown> {
  const sent = body instanceof Uint8Array ? new Uint8Array(body) : body;
  const request = new Request("http://127.0.0.1/", { method: "POST", body: sent, headers, duplex: "half" } as RequestInit);
  return readJsonBody(request, { ...BODY_LIMITS, ...limits }).then(() => "read");
}

const JSON_TEXT = Buffer.from(JSON.stringify({ lodash: ["1".repeat(500)] }));
const ZIPPED = gzipSync(JSON_TEXT);
const nested = (levels: number): Promise<unknown> => post(Buffer.from("[".repeat(levels) + "]".repeat(levels)));

/** A body whose end comes after so many milliseconds. */
function slow(ms: number): ReadableStream<Uint8Array> {
  let timer: NodeJS.Timeout | undefined;
  return new ReadableStream({
    start(controller) {
      controller.enqueue(JSON_TEXT);
      timer = setTimeout(() => controller.close(), ms);
    },
    cancel: () => clearTimeout(timer),
  });
}

/** As many entries as are read whole, 30 characters each with what separates them, and spaces before them. */
const via = (spaces: number): boolean =>
  parseVia(" ".repeat(spaces) + formatVia(Array.from({ length: 136 }, () => "0".repeat(16)))).length === 136;

async function tokens(size: number): Promise<unknown> {
  const file = join(temporaryFolder(), "tokens");
  writeFileSync(file, `${"t".repeat(32)}\n`.padEnd(size, "#"));
  chmodSync(file, 0o600);
  return openService({ ...LOCAL, tokenFile: file }, { cwd: "/", files: nodeFiles() });
}

/** Upstream, whose every answer is this. */
function clientOf(length: number | null, ...bytes: readonly Uint8Array[]): UpstreamClient {
  const response: UpstreamResponse = { status: 200, etag: null, freshMs: null, length, body: pieces(...bytes), cancel: () => undefined };
  return {
    registry: () => Promise.resolve("https://registry.example/"),
    isDead: () => false,
    close: () => undefined,
    get: () => Promise.resolve(response),
  };
}

/** A tarball of 1000 bytes that upstream sends, its length told or not. */
function upstreamTarball(maxBytes: number, told: boolean): Promise<unknown> {
  const bytes = Buffer.alloc(1000, "x");
  const client = clientOf(told ? bytes.length : null, bytes.subarray(0, 400), bytes.subarray(400));
  const deps = { client, files: nodeFiles(), spool: openSpool, folder: temporaryFolder(), times: UPSTREAM_TIMES, maxBytes };
  const hex = createHash("sha512").update(bytes).digest("hex");
  return createTarballs(deps).open({ url: "https://registry.example/x.tgz", algorithm: "sha512", hex }, "x.tgz", undefined);
}

/** An answer to a search, of exactly so many bytes. */
function upstreamAnswer(size: number): Promise<unknown> {
  const client = clientOf(null, Buffer.from("{}".padEnd(size)));
  return createUpstream({ client, files: nodeFiles(), sealed: nodeFiles(), folder: temporaryFolder(), nowMs: Date.now }).search("x", 20);
}

/** Whether its length is told or not, it is taken or refused. */
async function upstreamTarballs(maxBytes: number): Promise<unknown> {
  const both = await Promise.allSettled([true, false].map((told) => upstreamTarball(maxBytes, told)));
  const reasons = both.flatMap((one) => (one.status === "rejected" ? [one.reason as Error] : []));
  if (reasons.length === 1) throw new Error("one is taken and the other is not", { cause: reasons[0] });
  if (reasons[0] !== undefined) throw reasons[0];
  return "taken";
}

export const REQUESTS: Edges = {
  pathChars: {
    at: () => parseRegistryPath(`/${"a".repeat(LIMITS.pathChars - 1)}`),
    within: /INVALID_NAME/,
    beyond: () => parseRegistryPath(`/${"a".repeat(LIMITS.pathChars)}`),
    says: /at most 2048 are taken/,
  },
  searchChars: {
    at: () => parseSearch(new URLSearchParams({ text: "a".repeat(400) })),
    beyond: () => parseSearch(new URLSearchParams({ text: "a".repeat(401) })),
    says: /more than 400 characters/,
  },
  searchResults: {
    at: () => parseSearch(new URLSearchParams({ text: "a", size: "250" }))[1].size === 250,
    beyond: () => parseSearch(new URLSearchParams({ text: "a", size: "251" }))[1].size === 251,
    says: /no/,
  },
  requestSentBytes: lowered(
    ZIPPED.length,
    (maxSentBytes) => post(ZIPPED, { maxSentBytes }, { "content-encoding": "gzip" }),
    /more than \d+ bytes/,
  ),
  requestBodyBytes: lowered(
    JSON_TEXT.length,
    (maxBytes) => post(ZIPPED, { maxBytes }, { "content-encoding": "gzip" }),
    /inflates to more than/,
  ),
  requestMs: {
    at: () => post(slow(50), { deadlineMs: 20_000 }),
    beyond: () => post(slow(2000), { deadlineMs: 50 }),
    says: /did not end in time/,
  },
  requestDepth: { at: () => nested(LIMITS.requestDepth), beyond: () => nested(LIMITS.requestDepth + 1), says: /deeper than 1000 levels/ },
  viaChars: { at: () => via(LIMITS.viaChars - 136 * 30 + 2), beyond: () => via(LIMITS.viaChars - 136 * 30 + 3), says: /no/ },
  upstreamDocumentBytes: lowered(JSON_TEXT.length, (cap) => readText(pieces(JSON_TEXT), "x", cap), /sends more than \d+ bytes/),
  upstreamAnswerBytes: {
    at: () => upstreamAnswer(LIMITS.upstreamAnswerBytes),
    beyond: () => upstreamAnswer(LIMITS.upstreamAnswerBytes + 1),
    says: /sends more than 33554432 bytes/,
  },
  upstreamTarballBytes: lowered(1000, upstreamTarballs, /1000 bytes, at most 999 are wanted/),
  tokenFileBytes: { at: () => tokens(LIMITS.tokenFileBytes), beyond: () => tokens(LIMITS.tokenFileBytes + 1), says: /TOO_LARGE/ },
  hookInputBytes: lowered(1000, (cap) => readInput(pieces(Buffer.alloc(600), Buffer.alloc(400)), cap), /more than 999 bytes/),
};
