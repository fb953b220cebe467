/** Text for people: what comes from an index, a host or a client, made safe to print, and spans of time in words. */

/**
 * Characters that are not seen as what they are: controls and line ends of all kinds, what turns the direction of text,
 * tags, fillers, joiners, variation selectors, the blank of Braille, halves of a pair. A name that holds one looks like
 * another, and a line that holds one may read otherwise than it is.
 */
const UNSEEN = "\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}\\u2800";
const UNSEEN_RUN = new RegExp(`((?<=\\p{Extended_Pictographic})\\uFE0F(?![${UNSEEN}]))|[${UNSEEN}]+`, "gu");
/** Each of them; for `replace` only, because it remembers its place. */
export const UNSEEN_CHARACTER = new RegExp(`[${UNSEEN}]`, "gu");

/** Text from elsewhere, on one line and without any of those characters; only an emoji keeps the selector of its colours. */
export function clean(text: string): string {
  return text.replace(UNSEEN_RUN, (_, kept?: string) => kept ?? " ");
}

/** JSON on one line, for people as much as for programs: each of those characters is written as an escape. */
export function jsonLine(value: unknown): string {
  return (JSON.stringify(value) ?? "null").replace(UNSEEN_CHARACTER, escaped);
}

/** `\\u202e`, or two of them for a character beyond 16 bits. */
function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");
}

/** `4 minutes`, for a span of milliseconds. */
export function spanText(ms: number): string {
  const units = [
    ["day", 86_400_000],
    ["hour", 3_600_000],
    ["minute", 60_000],
    ["second", 1000],
  ] as const;
  for (const [unit, size] of units) {
    const count = Math.floor(ms / size);
    if (count >= 1) return `${count} ${unit}${count === 1 ? "" : "s"}`;
  }
  return "a moment";
}
