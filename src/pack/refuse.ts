import { ImprintError } from "../errors.ts";

/** `text` as printable ASCII in quotes, cut to 200 characters: paths and names here come from strangers' archives. */
export function quote(text: string): string {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return JSON.stringify(shown).replace(/[^\x20-\x7e]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

/** The error for a tarball that must not be published, imported or installed. */
export function tarballRefused(state: string, cause?: unknown): ImprintError {
  return new ImprintError("TARBALL_REFUSED", `Cannot accept the tarball: ${state}`, cause === undefined ? {} : { cause });
}
