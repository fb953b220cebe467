/** Files that git could not merge: what each of the two branches had. */

/**
 * The text without the other side's hunks, ours first; null where the markers are none of git's. Hunks may have a base
 * (`|||||||`), which is neither side's.
 */
export function sidesOfConflict(text: string): readonly [string, string] | null {
  const sides: [string[], string[]] = [[], []];
  let place: "both" | "ours" | "base" | "theirs" = "both";
  let hunks = 0;
  for (const line of text.split("\n")) {
    const marker = /^(<{7}|\|{7}|={7}|>{7})(?: |\r?$)/.exec(line)?.[1]?.[0];
    if (marker === undefined) {
      if (place === "both" || place === "ours") sides[0].push(line);
      if (place === "both" || place === "theirs") sides[1].push(line);
    } else if (marker === "<" && place === "both") place = "ours";
    else if (marker === "|" && place === "ours") place = "base";
    else if (marker === "=" && (place === "ours" || place === "base")) place = "theirs";
    else if (marker === ">" && place === "theirs") {
      place = "both";
      hunks++;
    } else return null;
  }
  return hunks === 0 || place !== "both" ? null : [sides[0].join("\n"), sides[1].join("\n")];
}
