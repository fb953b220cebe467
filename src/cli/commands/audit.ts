/** `imprint audit`: is what the lockfiles pin what the authors signed? Fit for a consumer's CI. */
import path from "node:path";
import { auditPackages, type AuditedPackage } from "../../audit/audit-project.ts";
import { FOREIGN_LOCKFILES, linesOf, LOCKFILE_MAX_BYTES, LOCKFILES, readLockfile } from "../../audit/lockfile.ts";
import { openNpmSignatures } from "../../audit/npm-signatures.ts";
import { ImprintError, isImprintError } from "../../errors.ts";
import { textOf } from "../../format/bytes.ts";
import type { DisplayName } from "../../format/decode.ts";
import { staleness } from "../../index/trust.ts";
import { aliasesOf, sourceOf } from "../../registry/claims.ts";
import { type Consumer, openConsumer, warnOn } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import { clientFolder } from "../project-files.ts";
import { openPublicRegistry } from "../public-registry.ts";
import { syncFrozen } from "./sync.ts";

export type FoundPackage = AuditedPackage & {
  /** As a path from where the user stands. */
  readonly lockfile: string;
  /** 1-based; only of what is refused or warned about, where it was found. */
  readonly line: number | null;
};

export type AuditResult = {
  readonly lockfiles: readonly string[];
  readonly packages: readonly FoundPackage[];
  readonly signed: number;
  readonly public: number;
  readonly elsewhere: number;
  readonly refused: number;
  /** Of the public ones: how many carry a valid signature of the public registry. */
  readonly npmSigned: number;
  /** What is not about one package; refusals under `--strict`. */
  readonly warnings: readonly string[];
};

export type AuditOptions = {
  readonly frozen: boolean;
  readonly strict: boolean;
  /** Instead of those of the project; relative to where the user stands. */
  readonly lockfile: string | undefined;
};

type Lockfile = { /** Absolute. */ readonly file: string; readonly shown: string; readonly bytes: Uint8Array };

/** How many findings get a line: annotations show no more than that. */
const MAX_LINES = 100;

/** @throws ImprintError FILE_UNREADABLE, CONFIG_INVALID, and those of `--frozen` */
export async function audit(options: AuditOptions, deps: Deps): Promise<AuditResult> {
  const { terminal } = deps;
  const consumer = await openConsumer(deps);
  const publicRegistry = openPublicRegistry(deps, consumer.files.project);
  try {
    const { project } = consumer.files;
    const lockfiles = await findLockfiles(options.lockfile, clientFolder(deps, consumer.files.folder), deps);
    const parsed = await Promise.all(lockfiles.map(({ file, bytes }) => readLockfile(bytes, path.basename(file), file)));
    const needed = new Set(parsed.flatMap((packages) => packages.flatMap(({ name }) => aliasesOf(sourceOf(project, name)))));
    const warnings = await freshen(consumer, needed, options.frozen, deps);
    const readers = new Map([...consumer.indices].map(([alias, { reader }]) => [alias, reader] as const));
    const npm = openNpmSignatures(publicRegistry.upstream);
    const found: FoundPackage[] = [];
    for (const [i, { shown, bytes }] of lockfiles.entries()) {
      const audited = await auditPackages({
        packages: parsed[i] ?? [],
        project,
        readers,
        npm,
        strict: options.strict,
        onProgress: (done, total) => terminal.progress(`auditing ${done} of ${total} in ${shown}`),
      });
      const noted = audited.filter(({ status, warnings: own }) => status === "refused" || own.length > 0).map(({ path: at }) => at);
      const lines = linesOf(textOf(bytes) ?? "", noted.slice(0, MAX_LINES));
      found.push(...audited.map((one) => ({ ...one, lockfile: shown, line: lines.get(one.path) ?? null })));
    }
    const count = (status: AuditedPackage["status"]): number => found.filter((one) => one.status === status).length;
    return {
      lockfiles: lockfiles.map(({ shown }) => shown),
      packages: found,
      signed: count("signed"),
      public: count("public"),
      elsewhere: count("elsewhere"),
      refused: count("refused") + (options.strict ? warnings.length : 0),
      npmSigned: found.filter(({ status, npmSignature }) => status === "public" && npmSignature === "valid").length,
      warnings,
    };
  } finally {
    publicRegistry.close();
    await consumer.close();
  }
}

/** @throws ImprintError FILE_UNREADABLE, CONFIG_INVALID */
async function findLockfiles(given: string | undefined, folder: string, { files, cwd }: Deps): Promise<readonly Lockfile[]> {
  const read = async (file: string): Promise<Lockfile[]> => {
    const bytes = await files.read(file, LOCKFILE_MAX_BYTES).catch((error: unknown) => {
      if (!isImprintError(error, "TOO_LARGE")) throw error;
      throw new ImprintError("CONFIG_INVALID", `${error.message}, more than any client writes`, { cause: error });
    });
    return bytes === null ? [] : [{ file, bytes, shown: path.relative(cwd, file).split(path.sep).join("/") }];
  };
  if (given !== undefined) {
    const [found] = await read(path.resolve(cwd, given));
    if (found === undefined) throw new ImprintError("FILE_UNREADABLE", `Cannot audit ${given}: there is no such file`);
    return [found];
  }
  const found = (await Promise.all(LOCKFILES.map((name) => read(path.join(folder, name))))).flat();
  if (found.length > 0) return found;
  // Said with what to do, instead of "there is none".
  for (const name of FOREIGN_LOCKFILES) {
    const file = path.join(folder, name);
    const there = await read(file);
    if (there.length > 0) await readLockfile(new Uint8Array(), name, file);
  }
  throw new ImprintError(
    "FILE_UNREADABLE",
    `Cannot audit ${folder}: it has no lockfile (${LOCKFILES.join(", ")}); imprint run npm install writes one`,
  );
}

async function freshen(consumer: Consumer, needed: ReadonlySet<DisplayName>, frozen: boolean, deps: Deps): Promise<readonly string[]> {
  const warnings: string[] = [];
  for (const [alias, index] of consumer.indices) {
    if (frozen) await syncFrozen(index, consumer.files.lock);
    else if (needed.has(alias)) {
      deps.terminal.progress(`syncing ${alias}`);
      try {
        await index.reader.sync();
      } catch (error) {
        // What this machine has verified can still be compared with; without anything, each package says so.
        if (!isImprintError(error)) throw error;
        warnOn(deps)(alias, error);
        warnings.push(`${alias} could not be asked for news: ${error.message} (${error.code})`);
      }
    }
    const state = needed.has(alias) ? await index.reader.current() : null;
    const stale = state === null ? null : staleness(state, deps.nowMs(), index.entry.maxAgeDays);
    if (stale !== null) warnings.push(`${alias} is stale: ${stale}`);
  }
  return warnings;
}
