/** What `imprint audit` says: to people, and to GitHub Actions. */
import type { AuditResult, FoundPackage } from "../commands/audit.ts";
import { clean } from "../terminal.ts";

const MAX_NAMES = 5;
/** GitHub shows ten of a kind for one step. */
const MAX_ANNOTATIONS = 10;

/** A line a source, then one for each package that is refused or warned about; what is said of many public ones stands once. */
export function auditLines({ packages, warnings, lockfiles }: AuditResult): readonly string[] {
  const sources = [...new Set(packages.map(({ source }) => source))].toSorted();
  const counted = sources.flatMap((source) => {
    const of = (status: FoundPackage["status"]): readonly FoundPackage[] =>
      packages.filter((one) => one.source === source && one.status === status);
    const [signed, open] = [of("signed"), of("public")];
    const compared = signed.filter(({ integrityChecked }) => integrityChecked).length;
    const valid = open.filter(({ npmSignature }) => npmSignature === "valid").length;
    return [
      ...(compared > 0 ? [`✓ ${source} ${compared} signed, integrity as signed`] : []),
      ...(signed.length > compared ? [`✓ ${source} ${signed.length - compared} signed by name and version`] : []),
      ...(open.length > 0 ? [`✓ public registry ${open.length}, ${valid} with valid npm signatures`] : []),
    ];
  });
  const several = lockfiles.length > 1;
  const labelOf = ({ name, version, path, lockfile }: FoundPackage): string =>
    `${name}@${version} (${several ? `${lockfile}: ` : ""}${path})`;
  const notes = packages.flatMap((one) => [
    ...(one.status === "refused" ? [`✗ ${labelOf(one)}: ${one.reason ?? ""}`] : []),
    ...(one.status === "signed" ? one.warnings.map((warning) => `! ${labelOf(one)}: ${warning}`) : []),
  ]);
  const lines = [...counted, ...notes, ...groupedNotes(packages), ...warnings.map((warning) => `! ${warning}`)];
  return (lines.length === 0 ? ["✓ the lockfile has no packages"] : lines).map(safe);
}

function groupedNotes(packages: readonly FoundPackage[]): readonly string[] {
  const groups = new Map<string, FoundPackage[]>();
  for (const one of packages)
    if (one.status === "public" || one.status === "elsewhere")
      for (const warning of one.warnings) groups.set(warning, [...(groups.get(warning) ?? []), one]);
  return [...groups].map(([warning, of]) => {
    const names = of.slice(0, MAX_NAMES).map(({ name, version }) => `${name}@${version}`);
    const more = of.length > MAX_NAMES ? ` and ${of.length - MAX_NAMES} more` : "";
    return `! ${names.join(", ")}${more}: ${warning}`;
  });
}

/** Workflow commands for GitHub Actions: refusals first. `inRepository`: the path of a lockfile there. */
export function auditAnnotations({ packages, warnings }: AuditResult, inRepository: (file: string) => string): readonly string[] {
  const of = (kind: "error" | "warning", list: readonly FoundPackage[], textOf: (one: FoundPackage) => string): string[] =>
    list.slice(0, MAX_ANNOTATIONS).map((one) => {
      const line = one.line === null ? "" : `,line=${one.line}`;
      return `::${kind} file=${property(inRepository(one.lockfile))}${line},title=${property("imprint audit")}::${data(textOf(one))}`;
    });
  return [
    ...of(
      "error",
      packages.filter(({ status }) => status === "refused"),
      ({ name, version, reason }) => `${name}@${version}: ${reason ?? ""}`,
    ),
    ...of(
      "warning",
      packages.filter(({ status, warnings: own }) => status !== "refused" && own.length > 0),
      ({ name, version, warnings: own }) => `${name}@${version}: ${own.join("; ")}`,
    ),
    ...warnings.map((warning) => `::warning title=${property("imprint audit")}::${data(warning)}`),
  ];
}

/** A runner also reads `##[command]` anywhere in a line, and `::command` at the start of one. */
function safe(text: string): string {
  return clean(text).replaceAll("##[", "# #[");
}

function data(text: string): string {
  return safe(text).replaceAll("%", "%25");
}

function property(text: string): string {
  return data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
