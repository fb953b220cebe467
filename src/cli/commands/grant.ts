/** `imprint root grant <pattern>`: a solo author's next name or scope. */
import { ImprintError } from "../../errors.ts";
import { formatPublicKey } from "../../format/keys.ts";
import { parsePackagePattern } from "../../format/names.ts";
import { grantPattern } from "../../index/grant.ts";
import type { Base, Change } from "../../index/publish.ts";
import { authorOf } from "../author.ts";
import type { Deps } from "../deps.ts";
import { keysFor, openKeysOf } from "../key-store.ts";
import { ownIndexNamed, readOwnIndices } from "../own-indices.ts";
import { openUpload, runUpload } from "../upload.ts";

export type GrantResult = { readonly index: string; readonly pattern: string; readonly commit: string | null };

export async function grant(options: { readonly pattern: string; readonly index: string | undefined }, deps: Deps): Promise<GrantResult> {
  const pattern = parsePackagePattern(options.pattern);
  const own = options.index === undefined ? await onlyOwnIndex(deps) : await ownIndexNamed(deps, options.index, deps.cwd);
  const open = await openUpload(deps, own);
  try {
    const daily = await openKeysOf(deps, own, "daily", deps);
    const root = await openKeysOf(deps, own, "root", deps);
    const keys = { publishers: keysFor(daily, "publisher"), checkpoint: keysFor(daily, "checkpoint") };
    const author = await authorOf(deps);
    const build = async ({ state }: Base): Promise<Change> => {
      const nowMs = deps.nowMs();
      const files = grantPattern({
        state,
        pattern,
        rootKeys: keysFor(root, "root"),
        keys,
        publisherKeys: keys.publishers.map((key) => formatPublicKey(key.publicKey)),
        nowMs,
      });
      if (files === null) throw new ImprintError("NAME_TAKEN", `Cannot grant ${pattern}: ${own.name}'s root grants it already`);
      return { files, message: `imprint: root grants ${pattern}`, author, timeMs: nowMs, refs: [] };
    };
    const { commit } = await runUpload(deps, open, build, open.upload.remote !== null);
    deps.terminal.ok(`${own.name} may now publish ${pattern}${open.upload.remote !== null ? "; pushed" : ""}`);
    return { index: own.name, pattern, commit };
  } finally {
    await open.repository.close();
  }
}

async function onlyOwnIndex(deps: Deps): ReturnType<typeof ownIndexNamed> {
  const known = await readOwnIndices(deps);
  const [only] = known;
  if (only === undefined) throw new ImprintError("NO_OWN_INDEX", "Cannot grant: you have no index yet");
  if (known.length > 1)
    throw new ImprintError(
      "USAGE",
      `Cannot grant: you have several indices (${known.map(({ name }) => name).join(", ")}); choose one with --index`,
    );
  return only;
}
