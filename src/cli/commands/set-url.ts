/**
 * `imprint set-url <name> <url…>`: an index moved. Each new address must serve the pinned id, and nothing older than what
 * this machine and imprint.lock have seen, before imprint.json says so.
 */
import { ImprintError } from "../../errors.ts";
import { type ProjectIndex, raiseLock } from "../../format/project.ts";
import { parseRefName, redactUrl } from "../../git/url.ts";
import { parseIndexAddress } from "../../index/address.ts";
import { readIndexId } from "../../index/sync.ts";
import { lockEntryOf } from "../../index/trust.ts";
import { parseRefOption, sharedAddress } from "../addresses.ts";
import { warnOn } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import { openIndex, openProbe } from "../open.ts";
import { requireProject, writeLock, writeProject } from "../../project/project-files.ts";
import { clean } from "../../format/text.ts";
import { splitAddress } from "./add.ts";

export type SetUrlOptions = { readonly name: string; readonly urls: readonly string[]; readonly ref: string | undefined };
export type SetUrlResult = {
  readonly alias: string;
  readonly before: readonly string[];
  readonly urls: readonly string[];
  readonly changed: readonly string[];
};

/** @throws ImprintError NOT_FOUND, WRONG_ID, ROLLBACK, UNREACHABLE, …; nothing is changed then */
export async function setUrl({ name, urls: typed, ref }: SetUrlOptions, deps: Deps): Promise<SetUrlResult> {
  const { terminal, files } = deps;
  const { project, lock, folder } = await requireProject(deps);
  const found = [...project.indices].find(([alias]) => alias === name);
  if (found === undefined) throw new ImprintError("NOT_FOUND", `Cannot move ${clean(name)}: imprint.json has no such index`);
  const [alias, entry] = found;
  const urls: string[] = [];
  for (const text of typed) {
    const { url, id } = splitAddress(text);
    if (id !== null && id !== entry.id)
      throw new ImprintError("WRONG_ID", `Cannot move ${alias} to ${clean(redactUrl(url))}: its #id is ${id}, pinned is ${entry.id}`);
    const address = await sharedAddress(deps, url);
    urls.push(address.kind === "sparse" ? address.url : url);
  }
  const next = { ...entry, urls: [...new Set(urls)], ref: ref === undefined ? entry.ref : parseRefOption(ref) };
  let raised = lock;
  for (const url of next.urls) {
    terminal.progress(`verifying ${redactUrl(url)}`);
    await requireId(deps, alias, url, next);
    // Alone: neither another address nor a mirror may answer for it.
    const index = await openIndex(deps, alias, { ...next, urls: [url] }, lock.get(alias) ?? null, warnOn(deps), { mirrors: false });
    try {
      const { stored } = await index.reader.sync();
      raised = raiseLock(raised, alias, lockEntryOf(stored.state));
      terminal.ok(clean(`${redactUrl(url)} serves ${alias}, signed ${stored.state.checkpoint.doc.time}`));
    } finally {
      await index.close();
    }
  }
  const indices = new Map([...project.indices].map(([key, value]) => [key, key === alias ? next : value] as const));
  const changed = [...(await writeProject(files, folder, { ...project, indices })), ...(await writeLock(files, folder, raised))];
  for (const url of entry.urls) if (!next.urls.includes(url)) terminal.talk(clean(`- ${redactUrl(url)}`));
  for (const url of next.urls) if (!entry.urls.includes(url)) terminal.talk(clean(`+ ${redactUrl(url)}`));
  terminal.ok(changed.length === 0 ? "nothing to change" : changed.join(", "));
  return { alias, before: entry.urls, urls: next.urls, changed };
}

/** What is there, before it is compared with what was seen: another index would look like an older one, or a forged one. */
async function requireId(deps: Deps, alias: string, url: string, { id, ref }: Pick<ProjectIndex, "id" | "ref">): Promise<void> {
  const probe = await openProbe(deps, parseIndexAddress(url, { allowFile: deps.allowFile }), parseRefName(ref));
  try {
    const found = await readIndexId(await probe.source.open());
    if (found !== id)
      throw new ImprintError("WRONG_ID", `Cannot move ${alias} to ${clean(redactUrl(url))}: the index there is ${found}, pinned is ${id}`);
  } finally {
    await probe.close();
  }
}
