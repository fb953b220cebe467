/** Imprint's own folders: keys, what this machine has seen, and the cache are this user's alone to write (THREATS M3). */
import { statSync } from "node:fs";
import path from "node:path";
import { clean } from "../format/text.ts";
import type { Layout } from "../storage/layout.ts";

/** The folders that others may write to, as they are now. Those that are not there are not made here. */
export function looseFolders(layout: Layout, env: NodeJS.ProcessEnv): readonly string[] {
  if (process.platform === "win32") return [];
  const home = env["IMPRINT_HOME"];
  const { config, keys, state, cache, resolvers, blobs } = layout;
  const own = [
    ...(home === undefined || home === "" ? [] : [path.resolve(home)]),
    config,
    keys,
    state,
    path.dirname(resolvers),
    cache,
    path.dirname(blobs),
  ];
  return [...new Set(own)].filter((folder) => (modeOf(folder) & 0o022) !== 0);
}

/** Returns 0 for a folder that does not exist. The command that uses the folder reports that. */
function modeOf(folder: string): number {
  try {
    return statSync(folder).mode;
  } catch {
    return 0;
  }
}

/** The warning that every command prints: a user who may write to the folder decides what the next command trusts. */
export function looseFolderLine(folder: string): string {
  return `others on this machine may write to ${clean(folder)}: chmod go-w '${clean(folder)}'`;
}
