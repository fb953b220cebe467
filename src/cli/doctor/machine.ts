/** This machine: programs, folders, keys, and what crashed processes left. */
import { sizeText } from "../commands/cache.ts";
import { type Finding, ok, orOk, quoted } from "./finding.ts";

const OLDEST_NODE = [20, 19] as const;
const LARGE_CACHE_BYTES = 5 * 1024 ** 3;

/** @param version as `process.versions.node` */
export function checkNode(version: string): readonly Finding[] {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isOld = major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]);
  if (!isOld) return [ok(`node ${version}`)];
  return [
    {
      level: "problem",
      title: `node ${version} is too old`,
      detail: `imprint needs ${OLDEST_NODE.join(".")} or newer`,
      fix: "install a newer node",
    },
  ];
}

/** @param fault why git on the PATH will not do; null: it does. `needsSsh`: aliases whose every address is ssh */
export function checkGit({
  fault,
  isChosenEmbedded,
  needsSsh,
}: {
  readonly fault: string | null;
  /** IMPRINT_GIT=isomorphic */ readonly isChosenEmbedded: boolean;
  readonly needsSsh: readonly string[];
}): readonly Finding[] {
  if (fault === null && !isChosenEmbedded) return [ok("git is there and new enough")];
  const fix = isChosenEmbedded ? "unset IMPRINT_GIT" : "install git 2.34 or newer";
  if (needsSsh.length > 0)
    return [
      {
        level: "problem",
        title: `${needsSsh.join(", ")} can be read with system git only`,
        detail: fault ?? "IMPRINT_GIT chooses the embedded git, which knows no ssh",
        fix,
      },
    ];
  return [
    { level: "note", title: "the embedded git is used", detail: fault ?? "IMPRINT_GIT chooses it; large indices are slow with it", fix },
  ];
}

export type ResolverFile = { readonly file: string; readonly pid: number | null; readonly isAlive: boolean };

export function checkResolvers(files: readonly ResolverFile[]): readonly Finding[] {
  const findings = files
    .filter(({ isAlive }) => !isAlive)
    .map(({ file, pid }): Finding => ({
      level: "note",
      title: "a resolver that ended left its state",
      detail: pid === null ? `${file} cannot be read` : `${file} is of process ${pid}, which is gone; nobody trusts it without its secret`,
      fix: `rm ${quoted(file)}`,
    }));
  return orOk(findings, files.length === 0 ? "no resolver is running" : `${files.length} running`);
}

export type FolderFacts = {
  readonly path: string;
  readonly isWritable: boolean;
  /** Whether others than its owner may write there. */
  readonly isLoose: boolean;
};

export function checkFolders(folders: readonly FolderFacts[]): readonly Finding[] {
  const findings = folders
    .filter(({ isWritable }) => !isWritable)
    .map(({ path }): Finding => ({
      level: "problem",
      title: `${path} cannot be written to`,
      detail: "imprint keeps keys, what it has seen, or its cache there",
      fix: `chown -R "$(id -u)" ${quoted(path)} && chmod -R u+rwX ${quoted(path)}, or set IMPRINT_HOME`,
    }));
  for (const { path } of folders.filter(({ isLoose }) => isLoose))
    findings.push({
      level: "problem",
      title: `others on this machine may write to ${path}`,
      detail: "imprint believes what it keeps there: keys, what it has seen, its cache",
      fix: `chmod -R go-w ${quoted(path)}`,
    });
  return orOk(findings, "imprint's folders can be written to");
}

export function checkCache({ bytes, leftovers }: { readonly bytes: number; readonly leftovers: number }): readonly Finding[] {
  const findings: Finding[] = [];
  if (bytes > LARGE_CACHE_BYTES)
    findings.push({
      level: "note",
      title: `the cache is ${sizeText(bytes)}`,
      detail: "all of it can be had again",
      fix: "imprint cache prune --max-size 1GB",
    });
  if (leftovers > 0)
    findings.push({
      level: "note",
      title: `the cache holds ${leftovers} leftovers of processes that were killed`,
      detail: "they are never used again",
      fix: "imprint cache prune",
    });
  return orOk(findings, `the cache is ${sizeText(bytes)}`);
}

/** `mode`: of the file, as `stat` has it; null where the system has none. */
export function checkSecrets(files: readonly { readonly file: string; readonly mode: number | null }[]): readonly Finding[] {
  const findings = files
    .filter(({ mode }) => mode !== null && (mode & 0o077) !== 0)
    .map(({ file, mode }): Finding => ({
      level: "problem",
      title: `others on this machine may read ${file}`,
      detail: `its mode is ${((mode ?? 0) & 0o777).toString(8)}, it holds a secret, and should be 600`,
      fix: `chmod 600 ${quoted(file)}`,
    }));
  return orOk(findings, "secrets are yours alone");
}
