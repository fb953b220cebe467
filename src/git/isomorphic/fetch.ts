/**
 * Fetching without git: the library talks to the host, in a quarantine of its own, through our transport; the pack goes
 * through our intake. Nothing moves into the repository before all of it is there and checked.
 */
import { LIMITS } from "../../format/limits.ts";
import { createHash } from "node:crypto";
import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { deflateSync } from "node:zlib";
import { ImprintError } from "../../errors.ts";
import type { GitUrl, HttpFetch, ObjectId, RefName, TransferLimits } from "../port.ts";
import type { ObjectReader } from "../store/objects.ts";
import { absorb, openQuarantine, readShallow, sweep } from "../store/quarantine.ts";
import { writeRef } from "../store/refs.ts";
import type { GitTokens } from "../tokens.ts";
import { redactUrl } from "../url.ts";
import { createTransport } from "./http.ts";
import { libraryFailed, listRemote, requireHttp, throwFailure } from "./remote.ts";
import { dropOldPacks, isCrowded } from "./tidy.ts";
import { type EmbeddedCaps, isBrokenPack, limitsOf, takeAnswer } from "./intake.ts";
import { library, libraryFs } from "./library.ts";
import type { ObjectType } from "../store/pack-format.ts";
import type { Content } from "./pack-index.ts";
import { formatLine } from "./packet-lines.ts";

export type Target = {
  readonly gitDir: string;
  readonly objects: ObjectReader;
  /** An author's clone: fetch with ancestors. */
  readonly history: boolean;
  readonly tokens: GitTokens;
  readonly fetch: HttpFetch;
  readonly caps: EmbeddedCaps;
};

const REMOTE = "imprint";
/** Where `openQuarantine` puts the commit that the host is told of. */
const KEPT = "refs/imprint/kept";

/** The port's `fetch`. */
export async function fetchRef(
  target: Target,
  request: { readonly url: GitUrl; readonly ref: RefName; readonly keepAs: RefName; readonly limits: TransferLimits },
): Promise<ObjectId | null> {
  const url = requireHttp(request.url);
  const { ref, keepAs } = request;
  const startedMs = performance.now();
  const what = `fetch ${ref} from ${redactUrl(url)}`;
  await sweep(target.gitDir, Date.now());
  const kept = (await target.objects.info(`${keepAs}^{commit}`))?.id ?? null;
  const { maxListingBytes } = target.caps;
  const listed = await listRemote({ ...target, url, ref, limits: limitsOf(request.limits, target.caps, what), maxListingBytes });
  const head = listed.refs.get(ref) ?? null;
  if (head === null || head === kept) return head;
  const limits = { ...request.limits, deadlineMs: Math.max(1, request.limits.deadlineMs - (performance.now() - startedMs)) };
  const anew = !target.history && (await isCrowded(target.gitDir));
  const known = anew ? null : kept;
  const id = await download(target, { url, ref, kept: known, limits, what }).catch((error: unknown) => {
    if (known === null || !isBrokenPack(error)) throw error;
    // deltas to what the host believes to be here: a cache with holes is mended by all of it
    return download(target, { url, ref, kept: null, limits, what });
  });
  if (id === null) return null;
  // the host may put a tag or a blob there; every reader of keepAs wants a commit
  const commit = await target.objects.info(`${id}^{commit}`);
  if (commit === null) throw new ImprintError("INVALID_DOCUMENT", `Cannot ${what}: it is not a commit`);
  await writeRef(target.gitDir, keepAs, commit.id);
  if (anew) await dropOldPacks(target.gitDir, Date.now());
  return commit.id;
}

/** Gets a ref, or a commit by id, with all that it holds. Null where the remote no longer has it. */
export async function download(
  target: Target,
  request: {
    readonly url: GitUrl;
    readonly ref: RefName | ObjectId;
    /** A commit that is here with all of its files. */
    readonly kept: ObjectId | null;
    readonly limits: TransferLimits;
    readonly what: string;
  },
): Promise<ObjectId | null> {
  const { url, ref, kept, what } = request;
  const limits = limitsOf(request.limits, target.caps, what);
  const maxListingBytes = target.caps.maxListingBytes ?? LIMITS.refListingBytes;
  const shallow = target.history || kept !== null ? await readShallow(target.gitDir) : [];
  const quarantine = await openQuarantine(target.gitDir, { kept, shallow, inherit: false });
  const { gitDir } = quarantine;
  const findBase = async (id: ObjectId): Promise<Content | null> => {
    const info = kept === null ? null : await target.objects.info(id);
    const data = info === null || info.size > limits.maxBytes ? null : await target.objects.bytes(id);
    return data === null ? null : { type: info?.type as ObjectType, data };
  };
  const transport = createTransport({
    url,
    tokens: target.tokens,
    fetch: target.fetch,
    // a host lists all of its refs before it sends a pack
    limits: { ...limits, maxBytes: 2 * limits.maxBytes + maxListingBytes },
    maxListingBytes,
    keepRef: (name) => name === ref,
    what,
    refusedAs: "UNREACHABLE",
    // to send less than everything of a shallow repository, a host must be allowed to leave out the bases of deltas
    editRequest: (body) => (kept === null ? body : askForThinPack(body)),
    async onAnswer(body, sent) {
      const seen = await takeAnswer(body, { gitDir, what, limits, checkTime: () => transport.checkTime(), findBase });
      wanted = /^[0-9a-f]{4}want ([0-9a-f]{40})/u.exec(sent.toString("latin1"))?.[1] as ObjectId | undefined;
      return seen;
    },
  });
  /** What the pack is of: by the request that was sent, once its answer was taken. */
  let wanted: ObjectId | undefined;
  try {
    await appendFile(join(gitDir, "config"), `[remote "${REMOTE}"]\n\tfetch = +refs/heads/*:refs/remotes/${REMOTE}/*\n`);
    if (kept !== null) await lend(target, gitDir, kept);
    const git = await library();
    await git
      .fetch({
        fs: libraryFs,
        http: transport.client,
        gitdir: gitDir,
        url,
        remote: REMOTE,
        ref: KEPT,
        remoteRef: ref,
        singleBranch: true,
        tags: false,
        cache: {},
        ...(target.history ? {} : { depth: 1 }),
      })
      .catch((error: unknown) => {
        // no such ref; or, when all is done, that the host has no HEAD, which nobody asked for
        if (!(error instanceof Error && error.name === "NotFoundError")) throw error;
      });
    throwFailure(transport);
    if (wanted === undefined) return null;
    await absorb(quarantine, target.gitDir, target.history);
    return wanted;
  } catch (error) {
    throw libraryFailed(transport, what, error);
  } finally {
    transport.close();
    await quarantine.remove().catch(() => undefined);
  }
}

/** The library doesn't complete such packs, so it doesn't ask for them; our intake does. */
function askForThinPack(body: Buffer): Buffer {
  const length = Number.parseInt(body.toString("latin1", 0, 4), 16);
  const line = body.toString("latin1", 4, length).replace(" ofs-delta", " ofs-delta thin-pack");
  return Buffer.concat([formatLine(Buffer.from(line, "latin1")), body.subarray(length)]);
}

/** The library asks for less only if it sees the commit that is here, and it knows no alternates. */
async function lend({ objects }: Target, gitDir: string, id: ObjectId): Promise<void> {
  const bytes = await objects.bytes(id);
  if (bytes === null) return;
  const whole = Buffer.concat([Buffer.from(`commit ${String(bytes.length)}\0`), bytes]);
  if (createHash("sha1").update(whole).digest("hex") !== id) return;
  const path = join(gitDir, "objects", id.slice(0, 2), id.slice(2));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, deflateSync(whole));
}
