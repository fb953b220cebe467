/**
 * A change that waits for signatures, as a file that people carry from one machine to another.
 *
 * It holds all that a holder of a key needs to see what they sign, on a machine without network or clone: the whole chain of
 * roots, the checkpoint that it builds on, and each record before and after. It comes from anywhere, so it is read like
 * anything hostile, and proves itself from the first root on; whose index that is, the reader's own key file says.
 */
import { ImprintError, isImprintError } from "../../errors.ts";
import { utf8 } from "../../format/bytes.ts";
import { type Checkpoint, parseCheckpoint, shardName } from "../../format/checkpoint.ts";
import { type Decoder, fail, integer, list, member, nullable, object, text } from "../../format/decode.ts";
import { indexIdOf } from "../../format/digest.ts";
import type { Signed } from "../../format/envelope.ts";
import { canonicalize, formatPretty, type JsonObject, jsonObject, type JsonValue, parseExact } from "../../format/json.ts";
import { LIMITS } from "../../format/limits.ts";
import { parseRecord } from "../../format/record.ts";
import { encodeRoot, parseRoot, type Root } from "../../format/root.ts";
import type { FileChange } from "../../git/port.ts";
import { verifyRecord } from "../package-reader.ts";
import { newestRoot, type RootChain, type TrustedState, verifyCheckpoint, verifyFirstRoot, verifyNextRoot } from "../trust.ts";
import { requireSound } from "./edits.ts";
import { type Pending, type PendingRecord, requireListed } from "./pending.ts";

const TYPE = "imprint.request";
/** Bytes of a request: every record before and after, of an index of tens of thousands of packages. */
export const MAX_REQUEST_BYTES = LIMITS.requestBytes;
/** What a request may change beside root, records, shards and checkpoint: releases that come or go, proposals that go. */
const OTHER_FILES = /^(packages|proposals)\/[^/]+\/[^/]+\/[^/]+\.json$/u;

export function formatRequest({ state, root, records, files, broken, checkpoint, message }: Pending): Uint8Array {
  const envelope = (document: Signed<unknown> | null): JsonValue =>
    document === null ? null : parseExact(document.bytes, LIMITS.recordBytes);
  return formatPretty(
    jsonObject([
      ["format", 1],
      ["type", TYPE],
      ["message", message],
      ["roots", state.roots.map(envelope)],
      ["base", envelope(state.checkpoint)],
      ["root", envelope(root)],
      [
        "records",
        [...records.values()].map(({ before, after }) =>
          jsonObject([
            ["before", envelope(before)],
            ["after", envelope(after)],
          ]),
        ),
      ],
      [
        "files",
        files.map(({ path, content }) =>
          jsonObject([
            ["path", path],
            ["content", content === null ? null : Buffer.from(content).toString("utf8")],
          ]),
        ),
      ],
      ["broken", [...broken]],
      ["checkpoint", envelope(checkpoint)],
    ]),
  );
}

/** @throws ImprintError REQUEST_REFUSED, and those of reading roots, checkpoints and records */
export function parseRequest(bytes: Uint8Array): Pending {
  try {
    const file = object(parseExact(bytes, MAX_REQUEST_BYTES), "");
    member(file, "format", "", integer(1, 1));
    if (member(file, "type", "", text) !== TYPE) fail("type", TYPE);
    const state = parseState(file);
    const checkpoint = member(file, "checkpoint", "", nullable(bytesOf));
    const pending: Pending = {
      state,
      root: parseNext(state.roots, member(file, "root", "", nullable(bytesOf))),
      records: new Map(member(file, "records", "", list(recordOf(state))).map((entry) => [entry.after.doc.name, entry])),
      files: member(file, "files", "", list(fileOf)),
      broken: new Set(member(file, "broken", "", list(shardName))),
      checkpoint: checkpoint === null ? null : parseCheckpoint(checkpoint),
      message: member(file, "message", "", text),
    };
    requireOwnCheckpoint(pending, pending.checkpoint);
    requireListed(pending);
    return pending;
  } catch (error) {
    if (!isImprintError(error) || error.code === "REQUEST_REFUSED" || error.code === "UNSUPPORTED_FORMAT") throw error;
    throw new ImprintError("REQUEST_REFUSED", `Cannot use the request: ${error.message.replace(/^Cannot [^:]*: /u, "")}`, { cause: error });
  }
}

/** From its first root on, as any reader would. */
function parseState(file: JsonObject): TrustedState {
  const [first, ...others] = member(file, "roots", "", list(bytesOf, { min: 1, max: LIMITS.roots }));
  const roots: [Signed<Root>, ...Signed<Root>[]] = [verifyFirstRoot(first as Uint8Array, null)];
  for (const next of others) roots.push(verifyNextRoot(roots, next));
  return { id: indexIdOf(roots[0].digest), roots, checkpoint: verifyCheckpoint(member(file, "base", "", bytesOf), roots) };
}

/** A root that still lacks signatures, and is in all else what a reader would take. */
function parseNext(roots: RootChain, bytes: Uint8Array | null): Signed<Root> | null {
  if (bytes === null) return null;
  const root = parseRoot(bytes);
  const before = newestRoot(roots);
  const fits =
    root.doc.version === before.doc.version + 1 && root.doc.index === indexIdOf(roots[0].digest) && root.doc.previous === before.digest;
  if (!fits) throw new ImprintError("REQUEST_REFUSED", `Cannot use the request: its root does not follow root ${before.doc.version}`);
  requireSound(root.doc);
  // Nobody can be shown what this version does not know.
  const known = new Set([...Object.keys(encodeRoot(root.doc)), ...Object.keys(before.signed)]);
  const kept = Object.keys(before.signed).filter((name) => !Object.hasOwn(encodeRoot(root.doc), name));
  const isKept = kept.every((name) => canonicalText(before.signed[name]) === canonicalText(root.signed[name]));
  if (!isKept || Object.keys(root.signed).some((name) => !known.has(name)))
    throw new ImprintError("REQUEST_REFUSED", "Cannot use the request: its root changes members that this imprint does not know");
  return root;
}

function canonicalText(value: JsonValue | undefined): string {
  return value === undefined ? "" : Buffer.from(canonicalize(value)).toString("utf8");
}

function recordOf(state: TrustedState): Decoder<PendingRecord> {
  return (value, at) => {
    const from = object(value, at);
    const before = member(from, "before", at, nullable(bytesOf));
    const after = parseRecord(member(from, "after", at, bytesOf));
    if (after.doc.index !== state.id) fail(`${at}.after`, "a record of this index");
    return { before: before === null ? null : verifyRecord(state, after.doc.name, before), after };
  };
}

function requireOwnCheckpoint({ state, root }: Pending, checkpoint: Signed<Checkpoint> | null): void {
  if (checkpoint === null) return;
  const named = root ?? newestRoot(state.roots);
  const { index, root: pointer } = checkpoint.doc;
  if (index !== state.id || pointer.version !== named.doc.version || pointer.digest !== named.digest)
    throw new ImprintError("REQUEST_REFUSED", "Cannot use the request: its checkpoint is for another root");
}

const fileOf: Decoder<FileChange> = (value, at) => {
  const from = object(value, at);
  const path = member(from, "path", at, text);
  if (!OTHER_FILES.test(path) || path.includes("..") || (path.startsWith("packages/") && path.endsWith("/record.json")))
    fail(`${at}.path`, "a release or a proposal");
  const content = member(from, "content", at, nullable(text));
  return { path, content: content === null ? null : utf8(content) };
};

/** A document inside the request, as the bytes of its file: one value has one spelling. */
const bytesOf: Decoder<Uint8Array> = (value, at) => formatPretty(object(value, at));
