/** Settings in YAML (.yarnrc.yml, pnpm-workspace.yaml), changed with their comments kept. */
import { type Document, parseDocument } from "yaml";

/** @returns null where it is no map of settings: its client says what is wrong, and does not run with it either */
export function openSettings(text: string): Document | null {
  const document: Document = parseDocument(text);
  if (document.errors.length > 0) return null;
  return document.contents === null || "items" in document.contents ? document : null;
}

export function stringIn(document: Document, key: string): string | null {
  const found: unknown = document.contents === null ? null : document.get(key);
  return typeof found === "string" ? found : null;
}

/** The text with these members; undefined takes one away. */
export function withSettings(document: Document, members: Readonly<Record<string, unknown>>): string {
  for (const [key, value] of Object.entries(members)) {
    if (value === undefined) document.delete(key);
    else document.set(key, value);
  }
  const isEmpty =
    document.contents === null || ("items" in document.contents && (document.contents.items as readonly unknown[]).length === 0);
  return isEmpty ? "" : document.toString();
}
