/** The query of `/-/v1/search`, from a client that may be anybody. */
import { LIMITS } from "../format/limits.ts";
import { ImprintError } from "../errors.ts";

const MAX_TEXT_CHARS = LIMITS.searchChars;
const DEFAULT_SIZE = 20;
/** npm's own registry gives no more at once. */
const MAX_SIZE = LIMITS.searchResults;
const MAX_FROM = 1_000_000;

/** @throws ImprintError BAD_REQUEST */
export function parseSearch(query: URLSearchParams): [string, { readonly from: number; readonly size: number }] {
  const text = (query.get("text") ?? "").trim();
  if (text === "") throw new ImprintError("BAD_REQUEST", "Cannot search: the query has no text, as /-/v1/search?text=word");
  if (text.length > MAX_TEXT_CHARS)
    throw new ImprintError("BAD_REQUEST", `Cannot search: the text has more than ${MAX_TEXT_CHARS} characters`);
  return [text, { from: countOf(query.get("from"), 0, MAX_FROM), size: countOf(query.get("size"), DEFAULT_SIZE, MAX_SIZE) }];
}

/** What is no number counts as not given; what is too small or too large becomes what is possible. */
function countOf(given: string | null, otherwise: number, max: number): number {
  if (given === null || !/^-?[0-9]{1,15}$/.test(given.trim())) return otherwise;
  return Math.min(max, Math.max(0, Number(given)));
}
