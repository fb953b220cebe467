/** What is searched for, what is searched in, and how well they fit. Pure. */
import type { PackageName } from "../format/names.ts";

export type SearchEntry = {
  readonly name: PackageName;
  readonly version: string;
  readonly description: string;
  readonly keywords: readonly string[];
  /** When the version was published, as 2026-11-22T20:57:00.000Z. */
  readonly date: string;
  readonly license: string | null;
  readonly links: Readonly<Record<string, string>>;
};

export type SearchQuery = {
  /** Lower case; every one of them must fit somewhere. */
  readonly words: readonly string[];
  /** Of `keywords:a,b`: one of them must be there. */
  readonly keywords: readonly string[];
};

const MAX_WORDS = 16;

export function parseQuery(text: string): SearchQuery {
  const parts = fold(text)
    .split(/\s+/)
    .filter((part) => part !== "");
  const qualified = parts.filter((part) => part.startsWith("keywords:"));
  return {
    words: parts.filter((part) => !part.startsWith("keywords:")).slice(0, MAX_WORDS),
    keywords: qualified
      .flatMap((part) => part.slice("keywords:".length).split(","))
      .filter((part) => part !== "")
      .slice(0, MAX_WORDS),
  };
}

/** 0: does not fit; else the higher, the better, at most 1. */
export function scoreOf(query: SearchQuery, entry: Pick<SearchEntry, "name" | "description" | "keywords">): number {
  const { words, keywords } = query;
  const known = entry.keywords.map(fold);
  if (keywords.length > 0 && !keywords.some((keyword) => known.includes(keyword))) return 0;
  if (words.length === 0) return keywords.length > 0 ? 0.5 : 0;
  const name = fold(entry.name);
  const base = name.slice(name.indexOf("/") + 1);
  const description = fold(entry.description);
  let sum = 0;
  for (const word of words) {
    const score = scoreOfWord(word, { name, base, description, keywords: known });
    if (score === 0) return 0;
    sum += score;
  }
  const whole = words.join("-");
  return whole === base || whole === name ? 1 : (sum / words.length) * 0.9;
}

function scoreOfWord(
  word: string,
  of: { readonly name: string; readonly base: string; readonly description: string; readonly keywords: readonly string[] },
): number {
  if (word === of.name || word === of.base) return 1;
  if (of.name.startsWith(word) || of.base.startsWith(word)) return 0.8;
  if (of.name.includes(word)) return 0.6;
  if (of.keywords.includes(word)) return 0.5;
  if (of.keywords.some((keyword) => keyword.startsWith(word))) return 0.4;
  const at = of.description.indexOf(word);
  if (at < 0) return 0;
  return at === 0 || /[^\p{L}\p{N}]/u.test(of.description[at - 1] ?? "") ? 0.3 : 0.1;
}

function fold(text: string): string {
  return text.normalize("NFKC").toLowerCase();
}
