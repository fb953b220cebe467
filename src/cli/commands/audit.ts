/** `imprint audit`: is what the lockfiles pin what the authors signed? Fit for a consumer's CI. */
import path from "node:path";
import { auditPackages, type AuditedPackage } from "../../audit/audit-project.ts";
import { packagesBeside } from "../../audit/audit-beside.ts";
import { auditInstalled } from "../../audit/audit-installed.ts";
import { findYarnArchives } from "../../clients/installed/yarn-archives.ts";
import { findInstalled } from "../../clients/installed/walk.ts";
import { type Beside, readBeside } from "../../clients/lockfiles/beside.ts";
import { baseNameOf } from "../../format/names.ts";
import type { Release } from "../../format/release.ts";
import { whyNotFolder } from "../../clients/lockfiles/folders.ts";
import { linesOf, LOCKFILE_MAX_BYTES, LOCKFILES, lockfilesAmong, readLockfile } from "../../clients/lockfiles/read.ts";
import { openNpmSignatures } from "../../audit/npm-signatures.ts";
import { ImprintError, isImprintError } from "../../errors.ts";
import { textOf } from "../../format/bytes.ts";
import type { DisplayName } from "../../format/decode.ts";
import { staleness } from "../../index/trust.ts";
import { aliasesOf, sourceOf } from "../../registry/claims.ts";
import { type Consumer, openConsumer, warnOn } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import { clientFolder } from "../../project/project-files.ts";
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
  /** What lies in node_modules, too, file by file. */
  readonly installed?: boolean;
};

type Lockfile = { /** Absolute. */ readonly file: string; readonly shown: string; readonly bytes: Uint8Array };

/** Stands for a lockfile in findings about installed files. */
export const INSTALLED = "node_modules";
const NOTHING_BESIDE: Beside = { steered: [], programs: [], folders: [] };
/** How many findings get a line: annotations show no more than that. */
const MAX_LINES = 100;

/** @throws ImprintError FILE_UNREADABLE, CONFIG_INVALID, and those of `--frozen` */
export async function audit(options: AuditOptions, deps: Deps): Promise<AuditResult> {
  const { terminal } = deps;
  const consumer = await openConsumer(deps);
  const publicRegistry = openPublicRegistry(deps, consumer.files.project);
  try {
    const { project } = consumer.files;
    const folder = clientFolder(deps, consumer.files.folder);
    const lockfiles = await findLockfiles(options.lockfile, folder, deps);
    const parsed = await Promise.all(lockfiles.map(({ file, bytes }) => readLockfile(bytes, path.basename(file), file)));
    const read = lockfiles.map(({ file, shown, bytes }, i) => ({ root: path.dirname(file), shown, bytes, packages: parsed[i] ?? [] }));
    // Of a lockfile that lies somewhere, nothing is known beside it.
    const beside: Beside = options.lockfile === undefined ? await readBeside(deps.files, folder) : NOTHING_BESIDE;
    for (const { file, packages } of packagesBeside(beside.steered, parsed.flat(), project)) {
      const bytes = (await deps.files.read(path.join(folder, file), LOCKFILE_MAX_BYTES)) ?? new Uint8Array();
      read.push({ root: folder, shown: shownFrom(deps.cwd, path.join(folder, file)), bytes, packages });
    }
    // What is installed may be of any of them.
    const all = options.installed === true ? [...project.indices.keys()] : [];
    const needed = new Set(
      all.length > 0 ? all : parsed.flatMap((packages) => packages.flatMap(({ name }) => aliasesOf(sourceOf(project, name)))),
    );
    const warnings = [...beside.programs, ...(await freshen(consumer, needed, options.frozen, deps))];
    const readers = new Map([...consumer.indices].map(([alias, { reader }]) => [alias, reader] as const));
    const npm = openNpmSignatures(publicRegistry.upstream);
    const found: FoundPackage[] = [];
    for (const { root, shown, bytes, packages } of read) {
      const audited = await auditPackages({
        packages,
        project,
        readers,
        npm,
        whyNotFolder: (at, name) => whyNotFolder(deps.files, root, at, name),
        strict: options.strict,
        onProgress: (done, total) => terminal.progress(`auditing ${done} of ${total} in ${shown}`),
      });
      const noted = audited.filter(({ status, warnings: own }) => status === "refused" || own.length > 0).map(({ path: at }) => at);
      const lines = linesOf(textOf(bytes) ?? "", noted.slice(0, MAX_LINES));
      found.push(...audited.map((one) => ({ ...one, lockfile: shown, line: lines.get(one.path) ?? null })));
    }
    if (options.installed === true) {
      const places = await findInstalled(folder, [folder, ...beside.folders.map((one) => path.join(folder, one))]);
      const lies = await auditInstalled({
        root: folder,
        files: deps.files,
        places,
        archives: await findYarnArchives(deps.files, folder),
        locked: parsed.flat(),
        project,
        readers,
        ownTarball: (release, aliases) => ownTarball(consumer, release, aliases),
        publicTarball: async (name, version) => {
          const { stream } = await publicRegistry.upstream.tarball(name, `${baseNameOf(name)}-${version}.tgz`);
          return new Uint8Array(await new Response(stream).arrayBuffer());
        },
        strict: options.strict,
        onProgress: (done, total) => terminal.progress(`comparing ${done} of ${total} in node_modules`),
      });
      found.push(...lies.map((one) => ({ ...one, lockfile: INSTALLED, line: null })));
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

/** From the first index that has it: which one does not matter, since its hash is checked. @throws ImprintError */
async function ownTarball({ indices }: Consumer, release: Release, aliases: readonly string[]): Promise<Uint8Array> {
  let fault: unknown = new ImprintError("MISSING_FILE", `Cannot compare ${release.name}@${release.version}: its index is not open`);
  for (const [alias, { tarballs }] of indices) {
    if (!aliases.includes(alias)) continue;
    try {
      const { stream } = await tarballs.open(release);
      return new Uint8Array(await new Response(stream).arrayBuffer());
    } catch (error) {
      if (!isImprintError(error)) throw error;
      fault = error;
    }
  }
  throw fault;
}

/** @throws ImprintError FILE_UNREADABLE, CONFIG_INVALID */
async function findLockfiles(given: string | undefined, folder: string, { files, cwd }: Deps): Promise<readonly Lockfile[]> {
  const read = async (file: string): Promise<Lockfile | null> => {
    const bytes = await files.read(file, LOCKFILE_MAX_BYTES).catch((error: unknown) => {
      if (!isImprintError(error, "TOO_LARGE")) throw error;
      throw new ImprintError("CONFIG_INVALID", `${error.message}, more than any client writes`, { cause: error });
    });
    return bytes === null ? null : { file, bytes, shown: shownFrom(cwd, file) };
  };
  if (given !== undefined) {
    const found = await read(path.resolve(cwd, given));
    if (found === null) throw new ImprintError("FILE_UNREADABLE", `Cannot audit ${given}: there is no such file`);
    return [found];
  }
  // All of them, those of other clients too: a second lockfile is what the next client installs from.
  const names = lockfilesAmong(await files.list(folder));
  const found = (await Promise.all(names.map((name) => read(path.join(folder, name))))).filter((one) => one !== null);
  if (found.length > 0) return found;
  throw new ImprintError(
    "FILE_UNREADABLE",
    `Cannot audit ${folder}: it has no lockfile (${LOCKFILES.join(", ")}); imprint run npm install writes one`,
  );
}

function shownFrom(cwd: string, file: string): string {
  return path.relative(cwd, file).split(path.sep).join("/");
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
