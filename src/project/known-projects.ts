/**
 * The projects that this user worked in, and the policies that each had: how a resolver finds the folder of an address that it
 * is asked under, and says whose an address from yesterday was. A folder stands here once a command of this user's wrote or
 * served its policy; nothing that a client sends adds one. Losing the file costs that help, nothing else.
 */
import { textOf, utf8 } from "../format/bytes.ts";
import { isJsonObject, type JsonValue } from "../format/json.ts";
import { isPolicy, type Policy } from "../format/policy.ts";
import type { Files } from "../storage/files.ts";
import type { Layout } from "../storage/layout.ts";

/** `policies`: the newest first. */
export type KnownProject = { readonly folder: string; readonly policies: readonly Policy[] };

type Stores = { readonly files: Files; readonly layout: Pick<Layout, "knownProjects"> };

const MAX_PROJECTS = 500;
const MAX_POLICIES = 8;
const MAX_BYTES = 4 * 1024 * 1024;

export async function rememberProject(stores: Stores, folder: string, policy: Policy): Promise<void> {
  const known = await knownProjects(stores);
  const before = known.find((one) => one.folder === folder);
  if (before !== undefined && before === known[0] && before.policies[0] === policy) return;
  const policies = [policy, ...(before?.policies ?? []).filter((one) => one !== policy)].slice(0, MAX_POLICIES);
  const projects = [{ folder, policies }, ...known.filter((one) => one !== before)].slice(0, MAX_PROJECTS);
  await stores.files.writeAtomic(stores.layout.knownProjects, utf8(`${JSON.stringify({ format: 1, projects })}\n`), { mode: 0o600 });
}

/** The most recently used first; none where the file cannot be read. */
export async function knownProjects({ files, layout }: Stores): Promise<readonly KnownProject[]> {
  const bytes = await files.read(layout.knownProjects, MAX_BYTES).catch(() => null);
  let value: JsonValue;
  try {
    value = JSON.parse(textOf(bytes ?? new Uint8Array()) ?? "") as JsonValue;
  } catch {
    return [];
  }
  const projects = isJsonObject(value) && value["format"] === 1 && Array.isArray(value["projects"]) ? value["projects"] : [];
  return (projects as readonly JsonValue[]).slice(0, MAX_PROJECTS).flatMap((one) => {
    if (!isJsonObject(one)) return [];
    const { folder, policies } = one;
    if (typeof folder !== "string" || !Array.isArray(policies)) return [];
    const read = (policies as readonly JsonValue[]).filter((text): text is Policy => typeof text === "string" && isPolicy(text));
    return read.length === 0 ? [] : [{ folder, policies: read.slice(0, MAX_POLICIES) }];
  });
}
