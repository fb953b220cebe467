/**
 * Pushing without git: one receive-pack request of our own for all refs, each over the value that the writer built on,
 * all or none (THREATS C2, T14). The library's own push sends one ref a call, after walking the whole index.
 */
import { LIMITS } from "../../format/limits.ts";
import { ImprintError, isImprintError } from "../../errors.ts";
import type { GitUrl, ObjectId, RefUpdate, TransferLimits } from "../port.ts";
import { judgeRejections, refusalText, type Rejection } from "../store/push-words.ts";
import { redactUrl } from "../url.ts";
import type { Target } from "./fetch.ts";
import { libraryFailed, requireHttp, throwFailure } from "./remote.ts";
import { collect, createTransport, type Transport } from "./http.ts";
import { limitsOf } from "./intake.ts";
import { library, libraryFs } from "./library.ts";
import { missingObjects } from "./missing.ts";
import { FLUSH, formatLine, readLines } from "./packet-lines.ts";

const NO_ID = "0".repeat(40);
const MAX_REPORT_BYTES = LIMITS.pushReportBytes;
const MAX_WORDS = 5;

type Advertised = { readonly refs: ReadonlyMap<string, ObjectId>; readonly capabilities: ReadonlySet<string> };
type Report = {
  readonly unpack: string;
  readonly ok: ReadonlySet<string>;
  readonly rejected: readonly Rejection[];
  readonly words: readonly string[];
};

async function advertisement(transport: Transport, url: GitUrl): Promise<Advertised> {
  const git = await library();
  const info = await git.getRemoteInfo2({ http: transport.client, url, forPush: true, protocolVersion: 1 });
  throwFailure(transport);
  const refs = (info.refs ?? []).filter(({ oid }) => /^[0-9a-f]{40}$/u.test(oid) && oid !== NO_ID);
  return { refs: new Map(refs.map(({ ref, oid }) => [ref, oid as ObjectId])), capabilities: new Set(Object.keys(info.capabilities)) };
}

/** The updates that are still to be made: a push that was reported lost may have been kept. @throws ImprintError LOST_RACE */
function stillToDo(updates: readonly RefUpdate[], { refs }: Advertised, what: string): readonly RefUpdate[] {
  const open = updates.filter(({ ref, to }) => (refs.get(ref) ?? null) !== to);
  for (const { ref, expected } of open) {
    const held = refs.get(ref) ?? null;
    if (held !== expected) throw new ImprintError("LOST_RACE", `Cannot ${what}: ${ref} has moved, it is at ${held ?? "no commit"}`);
  }
  return open;
}

function commandsOf(updates: readonly RefUpdate[], capabilities: ReadonlySet<string>): Buffer {
  const wanted = ["report-status", "atomic", "side-band-64k", "ofs-delta"].filter((one) => capabilities.has(one));
  const lines = updates.map(({ ref, expected, to }, i) =>
    formatLine(`${expected ?? NO_ID} ${to ?? NO_ID} ${ref}${i === 0 ? `\0 ${wanted.join(" ")} agent=git/imprint` : ""}`),
  );
  return Buffer.concat([...lines, FLUSH]);
}

async function* unbanded(body: AsyncIterable<Uint8Array>, words: string[], what: string): AsyncGenerator<Uint8Array> {
  for await (const line of readLines(body, what, "PUSH_FAILED")) {
    if (line === null) continue;
    if (line[0] === 1) yield line.subarray(1);
    else if (line[0] === 2 || line[0] === 3) words.push(line.toString("utf8", 1));
    else throw new ImprintError("PUSH_FAILED", `Cannot ${what}: the host's report is not git's`);
  }
}

async function readReport(body: AsyncIterable<Uint8Array>, isBanded: boolean, what: string): Promise<Report> {
  const words: string[] = [];
  const ok = new Set<string>();
  const rejected: Rejection[] = [];
  let unpack: string | null = null;
  let bytes = 0;
  for await (const line of readLines(isBanded ? unbanded(body, words, what) : body, what, "PUSH_FAILED")) {
    if (line === null) continue;
    bytes += line.length;
    const text = line.toString("utf8").replace(/\n$/u, "");
    const [, refused, ref = "", summary = ""] = /^(?:ok|(ng)) (\S+)(?: (.*))?$/u.exec(text) ?? [];
    if (unpack === null && text.startsWith("unpack ")) unpack = text.slice("unpack ".length);
    else if (unpack !== null && refused === "ng") rejected.push({ ref, summary: redactUrl(summary).slice(0, 200) });
    else if (unpack !== null && ref !== "") ok.add(ref);
    else throw new ImprintError("PUSH_FAILED", `Cannot ${what}: the host's report is not git's`);
    if (bytes > MAX_REPORT_BYTES) throw new ImprintError("TOO_LARGE", `Cannot ${what}: a report without end`);
  }
  const said = words.join("").split(/[\r\n]+/u);
  return {
    unpack: unpack ?? "no report",
    ok,
    rejected,
    words: [...new Set(said.map((one) => redactUrl(one).trim()).filter((one) => one !== ""))],
  };
}

/** What a report means. @throws ImprintError LOST_RACE, PUSH_FAILED */
function judge(report: Report, updates: readonly RefUpdate[], what: string): void {
  const { unpack, ok, rejected, words } = report;
  if (unpack === "ok" && rejected.length === 0 && updates.every(({ ref }) => ok.has(ref))) return;
  const verdict = judgeRejections(rejected, words, new Set(updates.flatMap(({ ref, to }) => (to === null ? [ref] : []))));
  if (verdict?.isRace === true) throw new ImprintError("LOST_RACE", `Cannot ${what}: ${verdict.why.ref} has moved, ${verdict.why.summary}`);
  const said = words.slice(-MAX_WORDS).map((one) => `remote: ${one}`);
  if (unpack === "ok" && verdict !== null) throw new ImprintError("PUSH_FAILED", `Cannot ${what}: ${refusalText(verdict, said)}`);
  const why = unpack === "ok" ? "the host did not confirm every ref" : `unpack: ${redactUrl(unpack).slice(0, 200)}`;
  throw new ImprintError("PUSH_FAILED", `Cannot ${what}: ${[why, ...said].join("; ").slice(0, 600)}`);
}

/** The port's `push`. */
export async function push(
  target: Target,
  request: { readonly url: GitUrl; readonly updates: readonly RefUpdate[]; readonly limits: TransferLimits },
): Promise<void> {
  const { updates } = request;
  if (updates.length === 0) return;
  const url = requireHttp(request.url);
  const what = `push to ${redactUrl(url)}`;
  const limits = limitsOf(request.limits, target.caps, what);
  const { tokens, fetch } = target;
  const named = new Set<string>(updates.map(({ ref }) => ref));
  // Branches say what the host has already; of its other refs, only those to be moved matter.
  const keepRef = (ref: string): boolean => named.has(ref) || ref.startsWith("refs/heads/");
  const transport = createTransport({ url, tokens, fetch, limits, what, refusedAs: "PUSH_FAILED", keepRef });
  try {
    const advertised = await advertisement(transport, url);
    const open = stillToDo(updates, advertised, what);
    if (open.length === 0) return;
    if (open.length > 1 && !advertised.capabilities.has("atomic"))
      throw new ImprintError(
        "PUSH_FAILED",
        `Cannot ${what}: the host does not take several refs at once or not at all; push the tarballs first, by git push`,
      );
    if (!advertised.capabilities.has("report-status"))
      throw new ImprintError("PUSH_FAILED", `Cannot ${what}: the host would not say whether it took it`);
    const news = open.flatMap(({ to }) => (to === null ? [] : [to]));
    if (news.length < open.length && !advertised.capabilities.has("delete-refs"))
      throw new ImprintError("PUSH_FAILED", `Cannot ${what}: the host lets nobody delete refs`);
    // a host that is told only to delete expects no pack
    const pack = news.length === 0 ? Buffer.alloc(0) : await packFor(target, news, advertised, limits);
    const body = Buffer.concat([commandsOf(open, advertised.capabilities), pack]);
    const answer = await transport.post("git-receive-pack", body);
    judge(await readReport(answer, advertised.capabilities.has("side-band-64k"), what), open, what);
  } catch (error) {
    // whatever the host answers, a push that was begun and not confirmed has failed, not vanished
    throw isImprintError(error) ? error : libraryFailed(transport, what, error);
  } finally {
    transport.close();
  }
}

async function packFor(
  { gitDir, objects }: Target,
  news: readonly ObjectId[],
  { refs }: Advertised,
  limits: ReturnType<typeof limitsOf>,
): Promise<Buffer> {
  let count = 0;
  const oids = await missingObjects(gitDir, objects, news, new Set(refs.values()), () => {
    if (++count > limits.maxObjects) throw limits.tooLarge(`more than ${String(limits.maxObjects)} objects`);
  });
  const git = await library();
  const { packfile } = await git.packObjects({ fs: libraryFs, gitdir: gitDir, oids: [...oids], cache: {} });
  const pack = await collect([packfile ?? new Uint8Array()]);
  if (pack.length > limits.maxBytes) throw limits.tooLarge(`more than ${String(limits.maxBytes)} bytes`);
  return pack;
}
