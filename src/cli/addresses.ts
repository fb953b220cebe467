/** Addresses and branches as people type them: aliases of their own git, `--ref`, and a host whose branch is not main. */
import { ImprintError, isImprintError } from "../errors.ts";
import { DEFAULT_REF } from "../format/project.ts";
import { expandedUrl } from "../git/clone.ts";
import type { GitUrl, RefName } from "../git/port.ts";
import { expandAlias, remoteBranches, remoteHead } from "../git/remote.ts";
import { parseGitUrl, parseRefName, redactUrl, shortRef } from "../git/url.ts";
import { type IndexAddress, parseIndexAddress } from "../index/address.ts";
import type { Deps } from "./deps.ts";
import { TRANSFER_LIMITS } from "./open.ts";
import { clean } from "../format/text.ts";

/** `main`, or a ref in full. @throws ImprintError INVALID_URL */
export function parseRefOption(text: string): RefName {
  return parseRefName(text.startsWith("refs/") ? text : `refs/heads/${text}`);
}

/**
 * The branch that an index is read from: what was asked for, else main, else the one that the host calls its default.
 * Whether an index is there is for the reader to say.
 *
 * @throws ImprintError UNREACHABLE, NOT_AN_INDEX where there are branches and none of these
 */
export async function chooseRef(deps: Deps, address: IndexAddress, given: string | undefined): Promise<RefName> {
  if (given !== undefined) return parseRefOption(given);
  if (address.kind === "sparse") return parseRefName(DEFAULT_REF); // static files have no branches
  const { url } = address;
  const branches = await remoteBranches(deps.git, url, TRANSFER_LIMITS);
  if (branches.size === 0 || branches.has(DEFAULT_REF)) return parseRefName(DEFAULT_REF);
  const head = await remoteHead(deps.git, url, TRANSFER_LIMITS);
  if (head !== null && branches.has(head)) {
    deps.terminal.talk(clean(`${redactUrl(url)} has no main; its default branch is ${shortRef(head)}, read from now on`));
    return parseRefName(head);
  }
  const names = [...branches.keys()].slice(0, 5).map(shortRef).join(", ");
  throw new ImprintError(
    "NOT_AN_INDEX",
    clean(`Cannot read index at ${redactUrl(url)}: it has no ${DEFAULT_REF}; --ref chooses one of ${names}`),
  );
}

/**
 * An address for a file that others read too: an alias of one's own git configuration means nothing to them.
 *
 * @throws ImprintError INVALID_URL, which says what to give instead
 */
export async function sharedAddress(deps: Deps, text: string): Promise<IndexAddress> {
  try {
    return parseIndexAddress(text, { allowFile: deps.allowFile });
  } catch (error) {
    const { fetch } = await expandAlias(deps.git, text);
    if (!isImprintError(error) || fetch === text) throw error;
    throw new ImprintError(
      "INVALID_URL",
      `Cannot add ${redactUrl(text)}: only your own git knows that alias (insteadOf); give the address that colleagues have too: ${redactUrl(fetch)}`,
      { cause: error },
    );
  }
}

/** An address for the author's own clone: aliases are as good as what they stand for. @throws ImprintError INVALID_URL */
export async function ownAddress(deps: Deps, text: string): Promise<{ readonly fetch: GitUrl; readonly push: GitUrl }> {
  const parse = (address: string): GitUrl => parseGitUrl(address, { allowFile: true });
  try {
    const url = parse(text);
    return { fetch: url, push: url };
  } catch (error) {
    const { fetch, push } = await expandAlias(deps.git, text);
    if (fetch === text) throw error;
    return { fetch: parse(fetch), push: parse(push) };
  }
}

/** An address as a clone has it; where that is an alias of the user's own (`insteadOf`), what git makes of it. */
export async function cloneAddress(
  deps: Pick<Deps, "git">,
  folder: string,
  remote: { readonly remoteName: string; readonly configured: string; readonly direction: "fetch" | "push" },
): Promise<GitUrl> {
  const { remoteName, configured, direction } = remote;
  try {
    return parseGitUrl(configured, { allowFile: true });
  } catch (error) {
    const expanded = await expandedUrl(folder, remoteName, direction, deps.git);
    if (expanded === null || expanded === configured) throw error;
    return parseGitUrl(expanded, { allowFile: true });
  }
}
