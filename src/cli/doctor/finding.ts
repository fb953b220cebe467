/** What `imprint doctor` finds. Checks are pure: facts in, findings out; `gather.ts` collects the facts. */

export type Level = "ok" | "note" | "warning" | "problem";

export type Finding = {
  readonly level: Level;
  readonly title: string;
  readonly detail: string | null;
  /** The command, or the edit, that mends it; null where nothing needs to be. */
  readonly fix: string | null;
};

export function ok(title: string): Finding {
  return { level: "ok", title, detail: null, fix: null };
}

/** Findings, or the one line that says that all is well. */
export function orOk(findings: readonly Finding[], title: string): readonly Finding[] {
  return findings.length > 0 ? findings : [ok(title)];
}

/** The first few of many, for one line. */
export function few(items: readonly string[], most = 5): string {
  return items.length > most ? `${items.slice(0, most).join(", ")} and ${items.length - most} more` : items.join(", ");
}

/** A word for a shell; what an index or a file said may hold anything. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
