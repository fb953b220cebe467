/** The state of an index that the user last looked at and accepted: what "since I trusted it" is counted from. */
import { type StateStore, openStateStore, STATE_MAX_BYTES, type StoredState } from "../index/state.ts";
import type { IndexId } from "../format/digest.ts";
import { openCell } from "../storage/cell.ts";
import type { Deps } from "./deps.ts";

function storeOf({ files, layout }: Deps, id: IndexId): StateStore {
  return openStateStore(openCell(files, layout.acceptedState(id), { maxBytes: STATE_MAX_BYTES }), id);
}

/** Null where nothing was ever accepted. */
export async function acceptedState(deps: Deps, id: IndexId): Promise<StoredState | null> {
  return (await storeOf(deps, id).read())?.stored ?? null;
}

/** @throws ImprintError STATE_CHANGED where another process accepts at the same time */
export async function acceptState(deps: Deps, id: IndexId, stored: StoredState): Promise<void> {
  const store = storeOf(deps, id);
  await store.swap((await store.read())?.generation ?? null, stored);
}
