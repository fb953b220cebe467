/** A change of an own index's root: judged on the newest state, signed with root and daily keys, one commit, one push. */
import { chooseBase } from "../index/publish.ts";
import { changeRoot, type RootContent } from "../index/root-change.ts";
import { newestRoot, type TrustedState } from "../index/trust.ts";
import type { WriterKeys } from "../index/writer.ts";
import type { Deps } from "./deps.ts";
import { keysFor, openKeysOf } from "./key-store.ts";
import { theOwnIndex } from "./own-indices.ts";
import { dailyKeysOf, signAndUpload } from "./sign.ts";
import { type OpenUpload, openUpload } from "./upload.ts";
import { ImprintError } from "../errors.ts";

export type ChangedRoot = {
  readonly open: OpenUpload;
  readonly before: TrustedState;
  /** Null: the root says so already. */
  readonly commit: string | null;
  readonly pushed: boolean;
};

/**
 * @param change what the next root says, or null where there is nothing to change; called anew after a lost race
 * @throws ImprintError NO_OWN_INDEX, KEY_MISSING, KEY_INVALID, …; nothing is signed where the first look refuses
 */
export async function changeOwnRoot(
  deps: Deps,
  request: {
    readonly index: string | undefined;
    /** For messages: "grant". */
    readonly verb: string;
    readonly message: string;
    readonly change: (root: RootContent, keys: WriterKeys) => RootContent | null;
  },
): Promise<ChangedRoot> {
  const { index, verb, message, change } = request;
  const own = await theOwnIndex(deps, index, deps.cwd, verb);
  const open = await openUpload(deps, own);
  try {
    const first = await chooseBase(open.upload);
    const before = first.base.state;
    const keys = await dailyKeysOf(deps, own);
    if (change(newestRoot(before.roots).doc, keys) === null) return { open, before, commit: null, pushed: false };
    const rootKeys = keysFor(await openKeysOf(deps, own, "root", deps), "root");
    const push = open.upload.remote !== null;
    const { commit } = await signAndUpload(deps, open, {
      push,
      first,
      build: async ({ state }, nowMs) => {
        const content = change(newestRoot(state.roots).doc, keys);
        if (content === null) throw new ImprintError("STATE_CHANGED", `Cannot ${verb}: somebody else did it meanwhile`);
        return { files: changeRoot({ state, content, rootKeys, keys, nowMs }), message };
      },
    });
    return { open, before, commit, pushed: push };
  } finally {
    await open.repository.close();
  }
}
