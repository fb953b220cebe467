/** What a release says of itself, for a list of results. Its author may have written anything: only what is what it should be counts. */
import { isJsonObject, type JsonObject, type JsonValue } from "../format/json.ts";
import type { Release } from "../format/release.ts";
import type { SearchEntry } from "./search-text.ts";

const MAX_TEXT_CHARS = 1000;
const MAX_KEYWORDS = 50;

export function entryOf({ name, version, published, manifest }: Release): SearchEntry {
  return {
    name,
    version,
    description: textOf(manifest["description"]) ?? "",
    keywords: keywordsOf(manifest["keywords"]),
    date: published,
    license: textOf(manifest["license"]),
    links: linksOf(manifest),
  };
}

function textOf(value: JsonValue | undefined): string | null {
  return typeof value === "string" ? value.slice(0, MAX_TEXT_CHARS) : null;
}

function keywordsOf(value: JsonValue | undefined): readonly string[] {
  const list = typeof value === "string" ? value.split(/[\s,]+/) : Array.isArray(value) ? (value as readonly JsonValue[]) : [];
  return list.flatMap((word) => (typeof word === "string" && word !== "" ? [word.slice(0, 100)] : [])).slice(0, MAX_KEYWORDS);
}

/** Web addresses alone: clients make links of them. */
function linksOf(manifest: JsonObject): Readonly<Record<string, string>> {
  const { homepage, repository, bugs } = manifest;
  const of = (value: JsonValue | undefined): JsonValue | undefined => (isJsonObject(value) ? value["url"] : value);
  const entries = [
    ["homepage", webAddress(homepage)],
    ["repository", webAddress(of(repository))],
    ["bugs", webAddress(of(bugs))],
  ] as const;
  return Object.fromEntries(entries.flatMap(([key, address]) => (address === null ? [] : [[key, address]])));
}

function webAddress(value: JsonValue | undefined): string | null {
  if (typeof value !== "string" || value.length > MAX_TEXT_CHARS) return null;
  const address = value.replace(/^git\+(?=https?:)/, "").replace(/\.git$/, "");
  if (!/^https?:\/\/[!-~]+$/.test(address) || !URL.canParse(address)) return null;
  return new URL(address).username === "" ? address : null;
}
