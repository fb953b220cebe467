/** `imprint sync`: asks every host for news, believes what verifies, and raises the lock. */
import { ImprintError, isImprintError } from "../../errors.ts";
import type { PackageName } from "../../format/names.ts";
import type { DisplayName } from "../../format/decode.ts";
import { type Lock, type LockEntry, type Project, raiseLock } from "../../format/project.ts";
import { skippedMirrors } from "../../index/address.ts";
import { type IndexNews, readNews } from "../../index/news.ts";
import { hasSay, sourceOf } from "../../registry/claims.ts";
import type { Deps } from "../deps.ts";
import { type Consumer, openConsumer, warnOn, warnStale } from "../consumer.ts";
import { warnIntroduced } from "../introductions.ts";
import type { OpenIndex } from "../open.ts";
import { policyOf } from "../../format/policy.ts";
import { rememberProject } from "../../project/known-projects.ts";
import { mendPointing } from "../../project/pointing.ts";
import { lockLines } from "../views/pointed.ts";
import { fallenLines } from "../views/fallen.ts";
import { fallenReleases } from "../../audit/fallen.ts";
import { clientFolder, readProjectFiles, writeLock } from "../../project/project-files.ts";
import { clean } from "../../format/text.ts";
import { newsLines } from "../views/news.ts";
import { limiter } from "../../index/limiter.ts";
import { lockEntryOf, newestRoot, requireFloor, type TrustedState } from "../../index/trust.ts";

export type SyncedIndex = {
  readonly alias: string;
  readonly changed: boolean;
  readonly seq: number | null;
  readonly signed: string | null;
  /** Since this machine last asked; null where nothing changed, or nothing was known before. */
  readonly news: IndexNews | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  /** Addresses that were behind, wrong or not there, while another one may have answered. */
  readonly disagreed: readonly { readonly url: string; readonly code: string; readonly message: string }[];
  /** Mirrors that its root names and that are never asked. */
  readonly skipped: readonly { readonly url: string; readonly reason: string }[];
};

export async function sync(
  options: { readonly frozen: boolean; readonly only: readonly string[] },
  deps: Deps,
): Promise<readonly SyncedIndex[]> {
  const disagreed = new Map<string, SyncedIndex["disagreed"]>();
  const say = warnOn(deps);
  const consumer = await openConsumer(deps, (alias, error, source = null) => {
    say(alias, error, source);
    const { code, message } = error;
    if (source !== null) disagreed.set(alias, [...(disagreed.get(alias) ?? []), { url: source, code, message }]);
  });
  const { terminal, files } = deps;
  const failures: ImprintError[] = [];
  const results: SyncedIndex[] = [];
  try {
    for (const alias of options.only)
      if (![...consumer.indices.keys()].some((known) => known === alias))
        throw new ImprintError("NOT_FOUND", `Cannot sync ${alias}: imprint.json has no such index`);
    const wanted = [...consumer.indices].filter(([alias]) => options.only.length === 0 || options.only.includes(alias));
    const lock = lockKeeper(files, consumer.files.folder);
    const counted = counter(
      wanted.map(([alias]) => alias),
      terminal,
    );
    const within = limiter(AT_ONCE);
    // All are asked at once, a bounded number: one that stays silent holds up itself. They are told of in their order.
    const asked = wanted.map(([alias, index]) =>
      within(async () => {
        const synced = options.frozen
          ? { ...(await syncFrozen(index, consumer.files.lock)), news: null }
          : await syncAndTell(index, consumer.files.project);
        if (!options.frozen) await lock.raise(alias, lockEntryOf(synced.state));
        return synced;
      })
        .then(
          (synced) => ({ alias, synced, error: null }),
          (error: unknown) => ({ alias, synced: null, error }),
        )
        .finally(() => counted(alias)),
    );
    for (const one of asked) {
      const { alias, synced, error } = await one;
      const known = disagreed.get(alias) ?? [];
      if (synced !== null) {
        const { state, changed, news } = synced;
        const { seq, time } = state.checkpoint.doc;
        const skipped = skippedMirrors(newestRoot(state.roots).doc.mirrors, (host) => deps.privateHosts.has(host));
        results.push({ alias, changed, seq, signed: time, news, error: null, disagreed: known, skipped });
        terminal.ok(`${alias} ${changed ? "has news" : "is as it was"}, signed ${time}`);
        for (const line of news === null ? [] : newsLines(news)) terminal.talk(`  ${line}`);
        for (const { url, reason } of skipped) terminal.warn(clean(`${alias}: its mirror ${url} is not asked: ${reason}`));
        continue;
      }
      if (!isImprintError(error)) throw error;
      failures.push(error);
      const { code, message } = error;
      results.push({ alias, changed: false, seq: null, signed: null, news: null, error: { code, message }, disagreed: known, skipped: [] });
      terminal.talk(`${terminal.style("red", "✗")} ${clean(`${alias}: ${error.message} (${error.code})`)}`);
    }
    const [unequal] = disagreed;
    if (deps.strict === true && unequal !== undefined && failures.length === 0)
      failures.push(
        new ImprintError(
          "STRICT",
          `Cannot pass ${unequal[0]} under --strict: ${unequal[1][0]?.url ?? ""} disagrees: ${unequal[1][0]?.message ?? ""}`,
        ),
      );
    await warnStale(consumer, deps);
    await warnIntroduced(consumer, deps);
    if (!options.frozen) {
      for (const file of lock.changed()) terminal.ok(file);
      await mend(consumer, deps);
    }
    const readers = new Map([...consumer.indices].map(([alias, { reader }]) => [alias, reader] as const));
    const { folder, project } = consumer.files;
    const fallen = await fallenReleases({ files, folder: clientFolder(deps, folder), project, readers, read: "newest" });
    for (const line of fallenLines(fallen)) terminal.warn(line);
  } finally {
    await consumer.close();
  }
  const [first] = failures;
  if (first !== undefined) throw first;
  return results;
}

/** Indices that are asked at the same time. */
const AT_ONCE = 16;
/** With this many indices, progress is printed without a terminal too. */
const MANY = 20;

/** When no index has finished for this long, the unfinished ones are named. */
const QUIET_MS = 10_000;
const MAX_NAMED = 5;

/** Says how many are done: at each of them on a terminal, at each quarter without one; and who is waited for in the end. */
function counter(aliases: readonly string[], terminal: Deps["terminal"]): (alias: string) => void {
  const total = aliases.length;
  const left = new Set(aliases);
  terminal.progress(`syncing ${String(total)} ${total === 1 ? "index" : "indices"}`);
  const sayWaiting = (): void => {
    const names = [...left].slice(0, MAX_NAMED).join(", ");
    const line = `waiting for ${names}${left.size > MAX_NAMED ? ` and ${String(left.size - MAX_NAMED)} more` : ""}`;
    if (terminal.interactive) terminal.progress(line);
    else terminal.talk(line);
  };
  const quiet = total > 0 ? setTimeout(sayWaiting, QUIET_MS).unref() : undefined;
  return (alias) => {
    left.delete(alias);
    const done = total - left.size;
    terminal.progress(`synced ${String(done)} of ${String(total)}`);
    if (!terminal.interactive && total >= MANY && done < total && done % Math.ceil(total / 4) === 0)
      terminal.talk(`synced ${String(done)} of ${String(total)}`);
    if (done < total) quiet?.refresh();
    else clearTimeout(quiet);
  };
}

/** Raises imprint.lock as each index is done, one writing at a time: what a stalled host or a kill comes after is kept. */
function lockKeeper(
  files: Deps["files"],
  folder: string,
): { raise(alias: DisplayName, entry: LockEntry): Promise<void>; changed(): readonly string[] } {
  const changed = new Set<string>();
  const alone = limiter(1);
  return {
    raise: (alias, entry) =>
      alone(async () => {
        // Another sync may have raised it meanwhile: raise what stands there now, never put back what was read before.
        const { lock } = await readProjectFiles(files, folder);
        for (const file of await writeLock(files, folder, raiseLock(lock, alias, entry))) changed.add(file);
      }),
    changed: () => [...changed],
  };
}

/** Settings and lockfiles that a merge left behind imprint.json, or that were written before it. */
async function mend({ files: { folder, project } }: Consumer, deps: Deps): Promise<void> {
  if (folder === deps.layout.config) return rememberProject(deps, folder, policyOf(project));
  const pointed = await mendPointing(deps, folder, project);
  for (const file of pointed.changed) deps.terminal.ok(`${file} leads to this project's resolver now`);
  for (const line of lockLines(pointed)) deps.terminal.talk(line);
}

async function syncAndTell(
  { alias, reader }: OpenIndex,
  project: Project,
): Promise<{ state: TrustedState; changed: boolean; news: IndexNews | null }> {
  const result = await reader.sync();
  const { stored, changed } = result;
  const claims = (name: PackageName): boolean => hasSay(sourceOf(project, name), alias);
  try {
    return { state: stored.state, changed, news: changed ? await readNews(reader, result, claims) : null };
  } catch (error) {
    // The state is verified; what cannot be read of it now, whoever needs it will be told.
    if (!isImprintError(error)) throw error;
    return { state: stored.state, changed, news: null };
  }
}

async function syncNow({ reader }: OpenIndex): Promise<{ state: TrustedState; changed: boolean }> {
  const { stored, changed } = await reader.sync();
  return { state: stored.state, changed };
}

/** `--frozen`: an entry for every index, nothing older than it, and no network where this machine is there already. */
export async function syncFrozen({ alias, reader }: OpenIndex, lock: Lock): Promise<{ state: TrustedState; changed: boolean }> {
  const floor = lock.get(alias);
  if (floor === undefined) throw new ImprintError("NOT_LOCKED", `Cannot use ${alias} with --frozen: imprint.lock has no entry for it`);
  const state = await reader.current();
  if (state !== null) {
    try {
      requireFloor(state, floor);
      return { state, changed: false };
    } catch (error) {
      // Behind the lock: ask the host. Any other disagreement stands.
      if (!isImprintError(error, "ROLLBACK")) throw error;
    }
  }
  return syncNow({ reader } as OpenIndex);
}
