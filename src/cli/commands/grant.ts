/** `imprint root grant <pattern>`: a solo author's next name or scope. */
import { ImprintError } from "../../errors.ts";
import { formatPublicKey } from "../../format/keys.ts";
import { parsePackagePattern } from "../../format/names.ts";
import { grantPattern } from "../../index/grant.ts";
import type { Deps } from "../deps.ts";
import { changeOwnRoot } from "../root-change.ts";

export type GrantResult = { readonly index: string; readonly pattern: string; readonly commit: string | null };

export async function grant(options: { readonly pattern: string; readonly index: string | undefined }, deps: Deps): Promise<GrantResult> {
  const pattern = parsePackagePattern(options.pattern);
  const { open, commit, pushed } = await changeOwnRoot(deps, {
    index: options.index,
    verb: "grant",
    message: `imprint: root grants ${pattern}`,
    change: (root, keys) =>
      grantPattern(
        root,
        pattern,
        keys.publishers.map((key) => formatPublicKey(key.publicKey)),
      ),
  });
  const { name } = open.own;
  if (commit === null) throw new ImprintError("NAME_TAKEN", `Cannot grant ${pattern}: ${name}'s root grants it already`);
  deps.terminal.ok(`${name} may now publish ${pattern}${pushed ? "; pushed" : ""}`);
  return { index: name, pattern, commit };
}
