/** A project opened for reading: its files and all of its indices. */
import { ImprintError, isImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import { staleness } from "../index/trust.ts";
import type { Deps } from "./deps.ts";
import { type OpenIndex, openIndex } from "./open.ts";
import { type ProjectFiles, requireProject } from "../project/project-files.ts";
import { clean } from "../format/text.ts";

export type Consumer = {
  readonly files: ProjectFiles;
  readonly indices: ReadonlyMap<DisplayName, OpenIndex>;
  close(): Promise<void>;
};

export async function openConsumer(deps: Deps, warn: Warn = warnOn(deps)): Promise<Consumer> {
  const files = await requireProject(deps);
  const indices = new Map<DisplayName, OpenIndex>();
  const close = async (): Promise<void> => {
    await Promise.all([...indices.values()].map((index) => index.close()));
  };
  try {
    for (const [alias, entry] of files.project.indices)
      indices.set(alias, await openIndex(deps, alias, entry, files.lock.get(alias) ?? null, warn));
  } catch (error) {
    await close();
    throw error;
  }
  return { files, indices, close };
}

/** `source`: which of several addresses; null: the only one. */
export type Warn = (alias: DisplayName, error: ImprintError, source?: string | null) => void;

export function warnOn({ terminal }: Deps): Warn {
  return warnTo((line) => terminal.warn(line));
}

export function warnTo(say: (line: string) => void): Warn {
  // A broken package is found again at every request for it; people need to read it once.
  const said = new Set<string>();
  return (alias, error, source = null) => {
    const line = clean(
      `${alias}${source === null ? "" : ` at ${source}`}: ${error.message} (${error.code}${error.step === undefined ? "" : `, ${error.step}`})`,
    );
    if (said.size < 1000 && said.has(line)) return;
    said.add(line);
    say(line);
  };
}

/** Asks an index for news, unless it was asked a minute ago; what was verified before will do where it cannot be asked. */
export async function freshen(
  { alias, reader }: Pick<OpenIndex, "alias" | "reader">,
  deps: Deps,
  warn: Warn = warnOn(deps),
): Promise<void> {
  const since = await reader.sinceSyncMs();
  if (deps.offline || (since !== null && since < RECENT_MS && (await reader.current()) !== null)) return;
  deps.terminal.progress(`syncing ${alias}`);
  try {
    await reader.sync();
  } catch (error) {
    if (!isImprintError(error)) throw error;
    warn(alias, error);
  }
}

const RECENT_MS = 60_000;

/** Says which of the indices are stale. @throws ImprintError STRICT under `--strict` */
export async function warnStale({ indices }: Consumer, { terminal, nowMs, strict }: Deps): Promise<void> {
  for (const [alias, { reader, entry }] of indices) {
    const state = await reader.current();
    const why = state === null ? null : staleness(state, nowMs(), entry.maxAgeDays);
    if (why !== null && strict === true) throw new ImprintError("STRICT", `Cannot go on with ${alias} under --strict: it is stale, ${why}`);
    if (why !== null) terminal.warn(`${alias} is stale: ${why}`);
  }
}
