/** What `imprint audit` says: to people, and to GitHub Actions. */
import { type AuditResult, type FoundPackage, INSTALLED } from "../commands/audit.ts";
import { clean } from "../../format/text.ts";

const MAX_NAMES = 5;
/** GitHub shows ten of a kind for one step. */
const MAX_ANNOTATIONS = 10;

/** A line a source, then one for each package that is refused or warned about; what is said of many public ones stands once. */
export function auditLines({ packages, warnings, lockfiles }: AuditResult): readonly string[] {
  const [locked, installed] = [packages.filter((one) => one.lockfile !== INSTALLED), packages.filter((one) => one.lockfile === INSTALLED)];
  const sourcesOf = (list: readonly FoundPackage[]): readonly string[] => [...new Set(list.map(({ source }) => source))].toSorted();
  const counted = sourcesOf(locked).flatMap((source) => {
    const of = (status: FoundPackage["status"]): readonly FoundPackage[] =>
      locked.filter((one) => one.source === source && one.status === status);
    const [signed, open] = [of("signed"), of("public")];
    const compared = signed.filter(({ integrityChecked }) => integrityChecked).length;
    const valid = open.filter(({ npmSignature }) => npmSignature === "valid").length;
    return [
      ...(compared > 0 ? [`✓ ${source} ${compared} signed, integrity as signed`] : []),
      ...(signed.length > compared ? [`✓ ${source} ${signed.length - compared} signed by name and version`] : []),
      ...(open.length > 0 ? [`✓ public registry ${open.length}, ${valid} with valid npm signatures`] : []),
    ];
  });
  const lying = sourcesOf(installed).flatMap((source) => {
    const same = installed.filter((one) => one.source === source && one.integrityChecked && one.status !== "refused").length;
    if (same === 0) return [];
    return [
      source === "upstream" ? `✓ public registry ${same} installed, files as locked` : `✓ ${source} ${same} installed, files as signed`,
    ];
  });
  const several = lockfiles.length > 1;
  const labelOf = ({ name, version, path, lockfile }: FoundPackage): string =>
    `${name}@${version} (${several ? `${lockfile}: ` : ""}${path})`;
  const notes = packages.flatMap((one) => [
    ...(one.status === "refused" ? [`✗ ${labelOf(one)}: ${one.reason ?? ""}`] : []),
    ...(one.status === "local" ? [`· ${labelOf(one)}: this project's own, or bundled by a signed package`] : []),
    ...(one.status === "signed" ? one.warnings.map((warning) => `! ${labelOf(one)}: ${warning}`) : []),
  ]);
  const lines = [
    ...counted,
    ...lying,
    ...notes,
    ...aliasNote(packages),
    ...groupedNotes(packages),
    ...warnings.map((warning) => `! ${warning}`),
  ];
  return (lines.length === 0 ? ["✓ the lockfile has no packages"] : lines).map(safe);
}

/** Names aliases: `require("lodash")` then loads another package. Aliases are legitimate, so the audit only lists them. */
function aliasNote(packages: readonly FoundPackage[]): readonly string[] {
  const aliases = packages.flatMap(({ status, standsFor, name, version }) =>
    status === "refused" || standsFor === null ? [] : [`${standsFor} is ${name}@${version}`],
  );
  const names = [...new Set(aliases)];
  if (names.length === 0) return [];
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : "";
  return [`· under another name by an alias: ${names.slice(0, MAX_NAMES).join(", ")}${more}`];
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
