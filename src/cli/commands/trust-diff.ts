/**
 * `imprint trust diff <commit>`: what imprint.json and imprint.lock widen since a commit. Fails in CI until the person who merges
 * passes the digest that it prints; the digest is of this very change, so consent to one is none to another.
 */
import path from "node:path";
import { ImprintError, isImprintError } from "../../errors.ts";
import { utf8 } from "../../format/bytes.ts";
import { digestOf } from "../../format/digest.ts";
import { canonicalize, parseExact } from "../../format/json.ts";
import { LIMITS } from "../../format/limits.ts";
import { formatLock, formatProject, parseLock, parseProject } from "../../format/project.ts";
import { describeClone, folderInTree, resolveCommit } from "../../git/clone.ts";
import { requireNoConflicts } from "../../registry/claims.ts";
import { NO_POLICY, type PolicyChange, policyChanges, type PolicyFiles } from "../../registry/policy-change.ts";
import type { Deps } from "../deps.ts";
import { openClone, TRANSFER_LIMITS } from "../open.ts";
import { findProjectFolder, readProjectFiles } from "../project-files.ts";
import { clean } from "../terminal.ts";

export type TrustDiff = {
  readonly since: string;
  readonly changes: readonly PolicyChange[];
  /** Of both sides of the change. */
  readonly digest: string;
  /** Whether nothing is widened, or the digest was passed. */
  readonly ok: boolean;
};

/** @throws ImprintError NOT_FOUND, CONFIG_INVALID, CLAIMS_CONFLICT */
export async function trustDiff(options: { readonly commit: string; readonly accept: string | undefined }, deps: Deps): Promise<TrustDiff> {
  // Whoever deletes imprint.json changes who answers, too.
  const folder = findProjectFolder(deps.cwd) ?? deps.cwd;
  const after = await readProjectFiles(deps.files, folder);
  const before = await filesAt(deps, folder, options.commit);
  const changes = policyChanges(before, after);
  const digest = digestOf(utf8([before, after].map(textOf).join("\n")));
  // From a command line or a CI variable, never from the change itself.
  const accepted = options.accept ?? deps.env["IMPRINT_ACCEPT"];
  return { since: options.commit, changes, digest, ok: accepted === digest || !changes.some(({ widens }) => widens) };
}

/** @throws ImprintError TRUST_WIDENED */
export function trustDiffLines({ since, changes, digest, ok }: TrustDiff): readonly string[] {
  const lines = changes.map(({ text, widens }) => clean(`${widens ? "widens" : "      "} ${text}`));
  if (!ok)
    throw new ImprintError(
      "TRUST_WIDENED",
      [`Cannot pass what is trusted since ${clean(since)}: it widens, and nobody accepted ${digest}`, ...lines].join("\n"),
    );
  return lines.length === 0 ? ["nothing changed"] : lines;
}

function textOf({ project, lock }: PolicyFiles): string {
  const canonical = (bytes: Uint8Array): string => Buffer.from(canonicalize(parseExact(bytes, LIMITS.projectBytes * 2))).toString("utf8");
  return `${canonical(formatProject(project))}\n${canonical(formatLock(lock))}`;
}

async function filesAt(deps: Deps, folder: string, name: string): Promise<PolicyFiles> {
  const clone = await describeClone(folder, { ...deps.git, look: [] }).catch((cause: unknown) => {
    if (!isImprintError(cause)) throw cause;
    throw new ImprintError("NOT_FOUND", `Cannot compare with ${clean(name)}: ${folder} is in no git repository`, { cause });
  });
  const commit = await resolveCommit(folder, name, deps.git);
  if (commit === null)
    throw new ImprintError(
      "NOT_FOUND",
      `Cannot compare with ${clean(name)}: there is no such commit here (in CI, fetch the base branch first)`,
    );
  const below = await folderInTree(folder, deps.git);
  const repository = openClone(deps, clone.gitDir);
  try {
    const files = [
      { path: `${below}imprint.json`, maxBytes: LIMITS.projectBytes },
      { path: `${below}imprint.lock`, maxBytes: LIMITS.lockBytes },
    ];
    const [project, lock] = await repository.readFiles({ commit, files, url: null, limits: TRANSFER_LIMITS });
    const label = (file: string): string => `${path.basename(file)} at ${clean(name)}`;
    const parsed = project?.state === "found" ? parseProject(project.bytes, label("imprint.json")) : NO_POLICY.project;
    requireNoConflicts(parsed, label("imprint.json"));
    return { project: parsed, lock: lock?.state === "found" ? parseLock(lock.bytes, label("imprint.lock")) : NO_POLICY.lock };
  } finally {
    await repository.close();
  }
}
