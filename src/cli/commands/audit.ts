/** `imprint audit`: is what the lockfile pins what the authors signed? Fit for a consumer's CI. */
import path from "node:path";
import { auditPackages, type AuditedPackage } from "../../audit/audit-project.ts";
import { parsePackageLock } from "../../audit/lockfile.ts";
import { ImprintError, isImprintError } from "../../errors.ts";
import { openConsumer, warnOn } from "../consumer.ts";
import { clientFolder } from "../project-files.ts";
import type { Deps } from "../deps.ts";
import { clean } from "../terminal.ts";
import { syncFrozen } from "./sync.ts";
import { sourceOf } from "../../registry/claims.ts";

export type AuditResult = {
  readonly packages: readonly AuditedPackage[];
  readonly signed: number;
  readonly public: number;
  readonly refused: number;
};

const LOCKFILE = "package-lock.json";
const MAX_BYTES = 256 * 1024 * 1024;

export async function audit(options: { readonly frozen: boolean }, deps: Deps): Promise<AuditResult> {
  const { terminal, files } = deps;
  const consumer = await openConsumer(deps);
  try {
    const { project, lock } = consumer.files;
    const folder = clientFolder(deps, consumer.files.folder);
    const file = path.join(folder, LOCKFILE);
    const bytes = await files.read(file, MAX_BYTES);
    if (bytes === null)
      throw new ImprintError("FILE_UNREADABLE", `Cannot audit ${folder}: it has no ${LOCKFILE}; imprint run npm install writes one`);
    const packages = parsePackageLock(bytes, file);
    const needed = new Set(
      packages.map(({ name }) => sourceOf(project, name)).map((source) => (source.kind === "index" ? source.alias : null)),
    );
    for (const [alias, index] of consumer.indices) {
      if (options.frozen) await syncFrozen(index, lock);
      else if (needed.has(alias)) {
        terminal.progress(`syncing ${alias}`);
        try {
          await index.reader.sync();
        } catch (error) {
          // What this machine has verified can still be compared with; without anything, each package says so.
          if (!isImprintError(error)) throw error;
          warnOn(deps)(alias, error);
        }
      }
    }
    const readers = new Map([...consumer.indices].map(([alias, { reader }]) => [alias, reader] as const));
    const audited = await auditPackages({
      packages,
      project,
      readers,
      onProgress: (done, total) => terminal.progress(`auditing ${done} of ${total}`),
    });
    const count = (status: AuditedPackage["status"]): number => audited.filter((entry) => entry.status === status).length;
    return { packages: audited, signed: count("signed"), public: count("public"), refused: count("refused") };
  } finally {
    await consumer.close();
  }
}

/** A line a source, and a line for each package that is refused, yanked or deprecated. */
export function auditLines({ packages }: AuditResult): readonly string[] {
  const sources = [...new Set(packages.map(({ source }) => source))].toSorted();
  const counted = sources.flatMap((source) => {
    const of = packages.filter((entry) => entry.source === source);
    const signed = of.filter(({ status }) => status === "signed").length;
    const open = of.filter(({ status }) => status === "public").length;
    return [
      ...(signed > 0 ? [`✓ ${source} ${signed} signed, integrity as signed`] : []),
      ...(open > 0 ? [`✓ public registry ${open}, not signed by an index`] : []),
    ];
  });
  const notes = packages.flatMap(({ name, version, path: at, status, reason, yanked, deprecated }) => [
    ...(status === "refused" ? [`✗ ${name}@${version} (${at}): ${reason ?? ""}`] : []),
    ...(yanked ? [`! ${name}@${version} is yanked`] : []),
    ...(deprecated === null ? [] : [`! ${name}@${version} is deprecated: ${deprecated}`]),
  ]);
  return (counted.length + notes.length === 0 ? ["✓ the lockfile has no packages"] : [...counted, ...notes]).map(clean);
}
