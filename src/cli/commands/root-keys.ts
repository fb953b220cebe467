/** `imprint root add-key|remove-key|threshold`: who may sign, and how many of them must. */
import { shortKey } from "../../format/keys.ts";
import { addKeys, removeKeys, setThreshold } from "../../index/root/edits.ts";
import type { Deps } from "../deps.ts";
import { parseKeys, parseRole, parseThreshold, type ROLES } from "../root-arguments.ts";
import { type ChangedRoot, changeOwnRoot, type RootOptions } from "../root-change.ts";
import { ImprintError } from "../../errors.ts";

type RoleOptions = RootOptions & {
  readonly role: (typeof ROLES)[number];
  /** Of publishers: only of these names or scopes. */
  readonly packages: readonly string[];
};

export function addKey(options: RoleOptions & { readonly keys: readonly string[]; readonly threshold: string | undefined }, deps: Deps) {
  const [keys, ref, threshold] = [parseKeys(options.keys), parseRole(options.role, options.packages), parseThreshold(options.threshold)];
  return change(deps, options, `root adds ${options.role} ${keys.map(shortKey).join(", ")}`, {
    verb: "add a key",
    edit: (root) => addKeys(root, ref, keys, threshold),
  });
}

export function removeKey(options: RootOptions & { readonly keys: readonly string[]; readonly threshold: string | undefined }, deps: Deps) {
  const [keys, threshold] = [parseKeys(options.keys), parseThreshold(options.threshold)];
  return change(deps, options, `root removes ${keys.map(shortKey).join(", ")}`, {
    verb: "remove a key",
    edit: (root) => removeKeys(root, keys, threshold),
  });
}

export function threshold(options: RoleOptions & { readonly count: string }, deps: Deps) {
  const count = parseThreshold(options.count);
  if (count === null) throw new ImprintError("USAGE", "Cannot set a threshold: say how many signatures it takes");
  const ref = parseRole(options.role, options.packages);
  return change(deps, options, `root takes ${count} signatures of role ${options.role}`, {
    verb: "set a threshold",
    edit: (root) => setThreshold(root, ref, count),
  });
}

async function change(
  deps: Deps,
  options: RootOptions,
  subject: string,
  { verb, edit }: { verb: string; edit: Parameters<typeof changeOwnRoot>[1]["edit"] },
): Promise<ChangedRoot> {
  const changed = await changeOwnRoot(deps, { ...options, verb, message: `imprint: ${subject}`, edit });
  if (changed.commit === null && changed.request === null) deps.terminal.talk(`nothing to change: ${changed.index}'s root says so already`);
  return changed;
}
