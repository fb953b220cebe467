/** `imprint root grant <pattern>`: one more name or scope, for the author's own keys or for somebody else's. */
import { ImprintError } from "../../errors.ts";
import { parsePackagePattern } from "../../format/names.ts";
import { newestRoot } from "../../index/trust.ts";
import { grantPattern } from "../../index/root/edits.ts";
import { publicKeysHere } from "../all-keys.ts";
import type { Deps } from "../deps.ts";
import { parseKeys, parseThreshold } from "../root-arguments.ts";
import { changeOwnRoot, type RootOptions } from "../root-change.ts";

export type GrantResult = {
  readonly index: string;
  readonly pattern: string;
  readonly commit: string | null;
  readonly request: string | null;
};

export async function grant(
  options: RootOptions & { readonly pattern: string; readonly to?: readonly string[]; readonly threshold?: string | undefined },
  deps: Deps,
): Promise<GrantResult> {
  const pattern = parsePackagePattern(options.pattern);
  const keys = parseKeys(options.to ?? []);
  const threshold = parseThreshold(options.threshold);
  const { index, commit, request, before } = await changeOwnRoot(deps, {
    ...options,
    verb: "grant",
    message: `imprint: root grants ${pattern}`,
    edit: async (root, { own }) => {
      const here = await publicKeysHere(deps, own);
      const mine = here.filter(({ purpose }) => purpose === "publisher").map(({ publicKey }) => publicKey);
      return grantPattern(root, pattern, { mine, keys, threshold });
    },
  });
  if (commit === null && request === null)
    throw new ImprintError(
      "NAME_TAKEN",
      `Cannot grant ${pattern}: ${index}'s root ${newestRoot(before.roots).doc.version} grants it already`,
    );
  if (commit !== null) deps.terminal.ok(`${index} may now publish ${pattern}`);
  return { index, pattern, commit, request };
}
