/**
 * `imprint root revoke <key…> --since <seq>`: after a theft. Shows all that the stolen keys did since a state that their owner
 * trusts, and asks of each thing whether it stays; then one commit has new keys, and records without the rest.
 *
 * Without an answer for each nothing is signed; interrupted, nothing was; run again, it says that the key is revoked already.
 */
import type { KeyPurpose } from "../../crypto/key-file.ts";
import { ImprintError } from "../../errors.ts";
import { type PublicKey, shortKey } from "../../format/keys.ts";
import type { PackageName } from "../../format/names.ts";
import type { ObjectId } from "../../git/port.ts";
import type { Base } from "../../index/publish.ts";
import { keysOfRoot, removeKeys, replaceKeys, type RootContent } from "../../index/root/edits.ts";
import { type PendingRecord, pendingRecord, pendingRoot } from "../../index/root/pending.ts";
import { recoveredFiles, recoveredRecord, type Suspect, survey, type Survey } from "../../index/root/recovery.ts";
import { newestRoot, type RootChain } from "../../index/trust.ts";
import { dropOldKeys, makeKeys, publicKeysHere } from "../all-keys.ts";
import type { Deps } from "../deps.ts";
import { parseKeys } from "../root-arguments.ts";
import { changeByDraft, progressOf, type RootOptions, withOwnIndex } from "../root-change.ts";
import { type Earlier, earlierState, momentsOf } from "../since.ts";
import { clean } from "../../format/text.ts";
import type { OpenUpload } from "../upload.ts";
import { keysOfRole } from "./root-rotate.ts";

export type RevokeOptions = RootOptions & {
  /** Public keys, or `daily`, `publisher`, `checkpoint`: this machine's, else the only one of the role. */
  readonly keys: readonly string[];
  /** Seq or commit of the last state that is trusted; `0`: none is. */
  readonly since: string | undefined;
  /** Suspects by their specs; `*`: all that the other list does not name. */
  readonly keep: readonly string[];
  readonly withdraw: readonly string[];
  /** Show, and change nothing. */
  readonly list: boolean;
};

export type RevokeResult = {
  readonly index: string;
  readonly revoked: readonly string[];
  /** `stays` is null where only the list was asked for. */
  readonly suspects: readonly (Pick<Suspect, "spec" | "kind" | "words"> & { readonly stays: boolean | null })[];
  readonly restored: readonly string[];
  readonly version: number | null;
  readonly commit: string | null;
  readonly request: string | null;
};

const WORDS = ["daily", "publisher", "checkpoint"] as const;

export async function revoke(options: RevokeOptions, deps: Deps): Promise<RevokeResult> {
  requireNoContradiction(options);
  return withOwnIndex(deps, options, "revoke a key", async (opened) => {
    const open: OpenUpload = { ...opened, upload: { ...opened.upload, isRecovery: true } };
    let stolen: readonly PublicKey[] = [];
    let found: Survey = { packages: [], broken: new Set() };
    let then: Earlier | null = null;
    const answers = new Map<string, boolean>();
    const resultOf = (changed: Pick<RevokeResult, "version" | "commit" | "request">): RevokeResult => ({
      index: open.own.name,
      revoked: stolen,
      suspects: suspectsOf(found).map(({ spec, kind, words }) => ({ spec, kind, words, stays: answers.get(spec) ?? null })),
      restored: found.packages.flatMap(({ restored }) => restored),
      ...changed,
    });
    const look = async (base: Base): Promise<void> => {
      stolen = await stolenKeys(deps, open, base.state.roots, options.keys);
      then = await trustedState(deps, open, base, options.since);
      found = await survey(base, then, new Set(stolen));
    };
    if (options.list) {
      const { chooseBase } = await import("../../index/publish.ts");
      await look((await chooseBase(open.upload)).base);
      return resultOf({ version: null, commit: null, request: null });
    }
    const { version, commit, request } = await changeByDraft(deps, open, options, async (base) => {
      await look(base);
      say(deps, found, stolen);
      await answer(deps, options, suspectsOf(found), answers);
      const content = await contentWithout(deps, open, base.state.roots, stolen);
      const changed = await recover(base, then, found, (suspect) => answers.get(suspect.spec) === true, deps);
      return pendingRoot(base, content, {
        message: `imprint: root revokes ${stolen.map(shortKey).join(", ")}`,
        ...changed,
        broken: found.broken,
        onProgress: progressOf(deps),
      });
    });
    if (commit !== null)
      deps.terminal.talk("Tell your users. What a thief published was served until now: whoever installed it has it still.");
    return resultOf({ version, commit, request });
  });
}

export function revokeLines({ suspects, restored }: RevokeResult): readonly string[] {
  const mark = { true: "kept", false: "withdrawn", null: "?" } as const;
  return [
    ...suspects.map(({ spec, words, stays }) => `${mark[`${stays}`]} ${spec}   ${words}`),
    ...restored.map((what) => `restored ${what}`),
  ].map(clean);
}

function requireNoContradiction({ keep, withdraw }: RevokeOptions): void {
  const both = keep.find((spec) => withdraw.includes(spec));
  if (both !== undefined) throw new ImprintError("USAGE", `Cannot keep and withdraw ${clean(both)}: it stands in both lists`);
}

/** @throws ImprintError NOT_FOUND, USAGE */
async function stolenKeys(deps: Deps, { own }: OpenUpload, roots: RootChain, given: readonly string[]): Promise<readonly PublicKey[]> {
  const root = newestRoot(roots).doc;
  const here = (await publicKeysHere(deps, own)).map(({ publicKey }) => publicKey);
  const keys = given.flatMap((text): readonly PublicKey[] => {
    if (!(WORDS as readonly string[]).includes(text)) return parseKeys([text]);
    const purposes: readonly KeyPurpose[] = text === "daily" ? ["publisher", "checkpoint"] : [text as KeyPurpose];
    return purposes.flatMap((purpose) => {
      const all = keysOfRole(root, purpose);
      const mine = all.filter((key) => here.includes(key));
      if (mine.length === 0 && all.length > 1)
        throw new ImprintError("USAGE", `Cannot tell which ${purpose} key was stolen: name it, one of ${all.join(" ")}`);
      return mine.length === 0 ? all : mine;
    });
  });
  const named = keysOfRoot(root);
  const unknown = keys.find((key) => !named.has(key));
  if (unknown !== undefined) {
    // A run that was interrupted after its push has left it in the key file.
    await dropOldKeys(deps, own, roots);
    throw new ImprintError(
      "NOT_FOUND",
      `Cannot revoke ${shortKey(unknown)}: root ${root.version} names it in no role (it may be revoked already); imprint root show`,
    );
  }
  return [...new Set(keys)];
}

async function trustedState(deps: Deps, open: OpenUpload, base: Base, since: string | undefined): Promise<Earlier | null> {
  const { own, repository, upload } = open;
  const local = await repository.head(upload.branch);
  const heads: readonly ObjectId[] = [...new Set([base.commit, ...(local === null ? [] : [local])])];
  const clone = { folder: own.path, repository, id: own.id, heads };
  if (since === undefined) {
    const past = (await momentsOf(deps, clone)).slice(0, 10);
    for (const { seq, time, rootVersion, commit } of past)
      deps.terminal.talk(`  --since ${seq}   signed ${time}, root ${rootVersion}, commit ${commit.slice(0, 12)}`);
    throw new ImprintError(
      "USAGE",
      "Cannot revoke without --since: say which is the last checkpoint from before the theft (0: trust none of them)",
    );
  }
  return since === "0" ? null : earlierState(deps, clone, since);
}

function suspectsOf({ packages }: Survey): readonly Suspect[] {
  return packages.flatMap(({ suspects }) => suspects);
}

function say({ terminal }: Deps, found: Survey, stolen: readonly PublicKey[]): void {
  const suspects = suspectsOf(found);
  terminal.talk(
    `${stolen.map(shortKey).join(", ")} did ${suspects.length === 0 ? "nothing" : `${suspects.length} ${suspects.length === 1 ? "thing" : "things"}`} since:`,
  );
  for (const { spec, words } of suspects) terminal.talk(clean(`  ${spec}   ${words}`));
  for (const { restored } of found.packages) for (const what of restored) terminal.talk(clean(`  comes back: ${what}`));
}

/** @throws ImprintError NOT_FOUND, NEEDS_ANSWER: nothing was signed then */
async function answer(
  { terminal }: Deps,
  { keep, withdraw }: RevokeOptions,
  suspects: readonly Suspect[],
  answers: Map<string, boolean>,
): Promise<void> {
  const stranger = [...keep, ...withdraw].find((spec) => spec !== "*" && !suspects.some((suspect) => suspect.spec === spec));
  if (stranger !== undefined)
    throw new ImprintError(
      "NOT_FOUND",
      `Cannot keep or withdraw ${clean(stranger)}: the stolen keys did nothing to it since; imprint root revoke --list`,
    );
  const open: Suspect[] = [];
  for (const suspect of suspects) {
    const { spec } = suspect;
    if (keep.includes(spec)) answers.set(spec, true);
    else if (withdraw.includes(spec)) answers.set(spec, false);
    else if (keep.includes("*") || withdraw.includes("*")) answers.set(spec, keep.includes("*"));
    else if (!answers.has(spec)) open.push(suspect);
  }
  if (open.length > 0 && !terminal.interactive)
    throw new ImprintError(
      "NEEDS_ANSWER",
      `Cannot revoke: ${open.length} of ${suspects.length} have no answer (${clean(
        open
          .slice(0, 5)
          .map(({ spec }) => spec)
          .join(", "),
      )}${open.length > 5 ? ", …" : ""}); name each with --keep or --withdraw`,
    );
  for (const { spec, words } of open) answers.set(spec, await terminal.askYes(clean(`${spec}: ${words}. Was that you, and does it stay?`)));
}

/** A key without which nobody could sign is replaced by a new one, and so is one of this machine's; others go. */
async function contentWithout(deps: Deps, { own }: OpenUpload, chain: RootChain, stolen: readonly PublicKey[]): Promise<RootContent> {
  const root = newestRoot(chain).doc;
  const here = new Set((await publicKeysHere(deps, own)).map(({ publicKey }) => publicKey));
  const roles: readonly (readonly [KeyPurpose, { keys: readonly PublicKey[]; threshold: number }])[] = [
    ["root", root.roles.root],
    ["checkpoint", root.roles.checkpoint],
    ...root.publishers.map((entry) => ["publisher", entry] as const),
  ];
  const replaced = new Map<PublicKey, KeyPurpose>();
  for (const [purpose, { keys, threshold }] of roles) {
    const going = keys.filter((key) => stolen.includes(key));
    const isShort = keys.length - going.length < threshold;
    for (const key of going) if (isShort || here.has(key)) replaced.set(key, purpose);
  }
  const made = await makeKeys(deps, own, chain, [...replaced.values()]);
  const next = new Map([...replaced.keys()].map((key, i) => [key, made[i] as PublicKey]));
  const left = stolen.filter((key) => !next.has(key));
  const content = next.size === 0 ? root : replaceKeys(root, next);
  return left.length === 0 ? content : removeKeys(content, left);
}

async function recover(base: Base, then: Earlier | null, found: Survey, decide: (suspect: Suspect) => boolean, deps: Deps) {
  const records = new Map<PackageName, PendingRecord>();
  const files = [];
  for (const surveyed of found.packages) {
    const { name, now } = surveyed;
    const record = recoveredRecord(surveyed, base.state.id, decide, { nowMs: deps.nowMs(), reason: "signed by a stolen key" });
    records.set(name, pendingRecord(now, record));
    files.push(...(await recoveredFiles(base, then, record, now?.doc ?? null)));
  }
  return { records, files };
}
