/** Facts about a project's indices. Without `--online` no host is asked: what is not on this machine stays unknown. */
import { isImprintError } from "../../errors.ts";
import type { PackageName } from "../../format/names.ts";
import { parseRefName, redactUrl, shortRef } from "../../git/url.ts";
import { remoteBranches } from "../../git/remote.ts";
import { parseIndexAddress, parseMirror } from "../../index/address.ts";
import { listPackages } from "../../index/preview.ts";
import { newestRoot } from "../../index/trust.ts";
import { sourceOf } from "../../registry/claims.ts";
import { offerOf } from "../../registry/offer.ts";
import type { Consumer } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import { type OpenIndex, openProbe, TRANSFER_LIMITS } from "../open.ts";
import { defaultBranch } from "../renamed-branch.ts";
import type { IndexFacts, Reached } from "./facts.ts";

const REACH_MS = 5000;
const MAX_LOOKED_AT = 50;
const DAY_MS = 86_400_000;

export async function gatherIndices({ files, indices }: Consumer, { layout }: Deps): Promise<readonly IndexFacts[]> {
  return Promise.all(
    [...indices].map(async ([alias, index]): Promise<IndexFacts> => {
      const { entry } = index;
      const lock = files.lock.get(alias) ?? null;
      try {
        const state = await index.reader.current();
        const list = state === null ? { names: null, unread: null } : await namesOf(index);
        return { alias, entry, lock, state, damaged: null, ...list };
      } catch (error) {
        if (!isImprintError(error)) throw error;
        const damaged = { message: error.message, folder: layout.trustedState(entry.id) };
        return { alias, entry, lock, state: null, damaged, names: null, unread: null };
      }
    }),
  );
}

async function namesOf({ reader }: OpenIndex): Promise<Pick<IndexFacts, "names" | "unread">> {
  try {
    return { names: await reader.look(listPackages), unread: null };
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return { names: null, unread: error };
  }
}

/** Which of the names that a project depends on have a newest release younger than a day, of indices without `minAgeHours`. */
export async function freshOf({ files, indices }: Consumer, wanted: readonly PackageName[], nowMs: number): Promise<readonly string[]> {
  const fresh: string[] = [];
  for (const name of wanted.slice(0, MAX_LOOKED_AT)) {
    const source = sourceOf(files.project, name);
    const index = source.kind === "index" ? indices.get(source.alias) : undefined;
    if (index === undefined || index.entry.minAgeHours !== undefined) continue;
    try {
      const { view, since } = await index.reader.readPackage(name);
      const newest = view === null ? null : offerOf({ view, since }, index.alias, { minAgeHours: 0, nowMs }).newest;
      if (newest !== null && nowMs - newest.at < DAY_MS) fresh.push(`${name}@${newest.version}`);
    } catch (error) {
      if (!isImprintError(error)) throw error; // not on this machine, or refused: imprint why says so
    }
  }
  return fresh;
}

/** Asks each address of each index, and the mirrors of its root that may be asked, at once. */
export async function reach({ indices }: Consumer, deps: Deps): Promise<ReadonlyMap<string, readonly Reached[]>> {
  const asked = [...indices].map(async ([alias, { entry, reader }]) => {
    const state = await reader.current().catch(() => null);
    const mirrors = (state === null ? [] : newestRoot(state.roots).doc.mirrors).flatMap(
      (text) => parseMirror(text, (host) => deps.privateHosts.has(host))?.url ?? [],
    );
    const places = [
      ...entry.urls.map((url) => ({ url, isMirror: false })),
      ...mirrors.filter((url) => !entry.urls.includes(url)).map((url) => ({ url, isMirror: true })),
    ];
    const reached = await Promise.all(places.map(async (place) => ({ ...place, ...(await answerAt(deps, place.url, entry.ref)) })));
    return [alias as string, reached] as const;
  });
  return new Map(await Promise.all(asked));
}

type Answer = Pick<Reached, "error" | "branch">;

/** What else goes wrong there is for `imprint sync` to say. */
async function answerAt(deps: Deps, text: string, ref: string): Promise<Answer> {
  const late = (): Promise<Answer> =>
    new Promise((resolve) => {
      setTimeout(() => resolve({ error: `no answer within ${REACH_MS / 1000} seconds` }), REACH_MS).unref();
    });
  return Promise.race([ask(deps, text, ref), late()]);
}

async function ask(deps: Deps, text: string, ref: string): Promise<Answer> {
  try {
    const address = parseIndexAddress(text, { allowFile: deps.allowFile });
    if (address.kind === "git") {
      const limits = { ...TRANSFER_LIMITS, deadlineMs: REACH_MS };
      const branches = await remoteBranches(deps.git, address.url, limits);
      if (branches.size === 0 || branches.has(ref) || !ref.startsWith("refs/heads/")) return { error: null };
      const branch = await defaultBranch(deps.git, { url: address.url, ref: parseRefName(ref), limits });
      const other = branch === null ? "" : ` any more, its default branch is ${branch}`;
      return { error: `it has no ${shortRef(ref)}${other}`, ...(branch === null ? {} : { branch }) };
    }
    const probe = await openProbe(deps, address, parseRefName(ref));
    try {
      await probe.source.open();
      return { error: null };
    } finally {
      await probe.close();
    }
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return { error: redactUrl(error.message) };
  }
}
