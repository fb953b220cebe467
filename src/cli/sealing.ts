/** What whoever signs for proposals looks at first: faults, and tarballs, wherever they are. */
import { verifyTarballs } from "../audit/verify-tarballs.ts";
import { ImprintError } from "../errors.ts";
import type { GitUrl } from "../git/port.ts";
import { parseGitUrl } from "../git/url.ts";
import type { Accepted, ProposalFault } from "../index/proposals.ts";
import type { TarballStore } from "../index/tarballs.ts";
import type { Deps } from "./deps.ts";
import { openTarballs } from "./open.ts";
import type { TarballPlace } from "./tarball-places.ts";
import { clean } from "../format/text.ts";
import type { OpenUpload } from "./upload.ts";

/** @throws ImprintError VERIFY_FAILED; STORAGE_FAILED, which says nothing against a proposal */
export async function requireTarballs(
  verb: string,
  accepted: readonly Accepted[],
  tarballs: TarballStore,
  { terminal }: Deps,
): Promise<void> {
  const faults = await verifyTarballs(
    accepted.map(({ release }) => release),
    tarballs,
    (done, of) => terminal.progress(`verifying tarball ${done} of ${of}`),
  );
  const disk = faults.find(({ code }) => code === "STORAGE_FAILED");
  if (disk !== undefined) throw new ImprintError("STORAGE_FAILED", disk.message);
  requireNone(`${verb} the tarballs`, faults);
}

/** @throws ImprintError VERIFY_FAILED naming every fault */
export function requireNone(what: string, faults: readonly ProposalFault[]): void {
  if (faults.length === 0) return;
  const lines = faults.map(({ file, message, code }) => clean(`${file}: ${message} (${code})`));
  throw new ImprintError(
    "VERIFY_FAILED",
    [`Cannot ${what}: ${faults.length} ${faults.length === 1 ? "fault" : "faults"}`, ...lines].join("\n"),
  );
}

/** From the clone, from whom the author names, from the index's own host, from where its root says: bytes that hash right are right wherever they lie. */
export function tarballsOf({ upload, clone }: OpenUpload, from: readonly string[], { sources }: TarballPlace, deps: Deps): TarballStore {
  const urls: GitUrl[] = [clone.gitDir, ...from].map((url) => parseGitUrl(url, { allowFile: true }));
  if (upload.remote !== null) urls.push(upload.remote.fetchUrl);
  return openTarballs(deps, urls, async () => ["git", ...sources.filter((source) => source !== "git")]);
}
