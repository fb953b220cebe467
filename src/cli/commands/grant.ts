/** `imprint root grant <pattern>`: a solo author's next name or scope. */
import { ImprintError } from "../../errors.ts";
import { formatPublicKey } from "../../format/keys.ts";
import { parsePackagePattern } from "../../format/names.ts";
import { grantPattern } from "../../index/grant.ts";
import type { Deps } from "../deps.ts";
import { keysFor, openKeysOf } from "../key-store.ts";
import { theOwnIndex } from "../own-indices.ts";
import { dailyKeysOf, signAndUpload } from "../sign.ts";
import { openUpload } from "../upload.ts";

export type GrantResult = { readonly index: string; readonly pattern: string; readonly commit: string | null };

export async function grant(options: { readonly pattern: string; readonly index: string | undefined }, deps: Deps): Promise<GrantResult> {
  const pattern = parsePackagePattern(options.pattern);
  const own = await theOwnIndex(deps, options.index, deps.cwd, "grant");
  const open = await openUpload(deps, own);
  try {
    const keys = await dailyKeysOf(deps, own);
    const rootKeys = keysFor(await openKeysOf(deps, own, "root", deps), "root");
    const publisherKeys = keys.publishers.map((key) => formatPublicKey(key.publicKey));
    const push = open.upload.remote !== null;
    const { commit } = await signAndUpload(deps, open, {
      push,
      build: async ({ state }, nowMs) => {
        const files = grantPattern({ state, pattern, rootKeys, keys, publisherKeys, nowMs });
        if (files === null) throw new ImprintError("NAME_TAKEN", `Cannot grant ${pattern}: ${own.name}'s root grants it already`);
        return { files, message: `imprint: root grants ${pattern}` };
      },
    });
    deps.terminal.ok(`${own.name} may now publish ${pattern}${push ? "; pushed" : ""}`);
    return { index: own.name, pattern, commit };
  } finally {
    await open.repository.close();
  }
}
