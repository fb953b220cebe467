/**
 * What a client's setting does with names, as far as a claim is concerned. Readers of settings return everything that
 * steers, whether claimed or not; `scope-lines.ts` keeps what matters to one project.
 */

export type Steer = {
  /** Counted from 1; `\r\n`, `\n` and a lone `\r` each end a line. Looked for only where somebody is told. */
  readonly line: () => number;
} & (
  | { readonly kind: "scope"; /** With its @. */ readonly scope: string }
  /** Every name, whatever registry `imprint run` gives to the client. */
  | { readonly kind: "every"; readonly setting: string }
  /** A place that clients may read otherwise than we do. `why` is a clause: "its key holds …; write …". */
  | { readonly kind: "unclear"; readonly why: string }
);

export type Reading = {
  readonly steers: readonly Steer[];
  /** Settings that name other files with settings: by setting, the paths as written, variables expanded. */
  readonly leads: readonly Lead[];
};

export type Lead = { readonly setting: LeadingSetting; readonly value: string };
export type LeadingSetting = "userconfig" | "globalconfig" | "prefix" | "workspace-prefix";

/** pnpm 11 has names of its own for npm's `userconfig`. */
const LEADING: ReadonlyMap<string, LeadingSetting> = new Map([
  ["userconfig", "userconfig"],
  ["npmrc-auth-file", "userconfig"],
  ["npmrcAuthFile", "userconfig"],
  ["globalconfig", "globalconfig"],
  ["prefix", "prefix"],
  ["workspace-prefix", "workspace-prefix"],
]);

export function isLeading(key: string): boolean {
  return LEADING.has(key);
}

export function leadOf(key: string, value: string): Lead | null {
  const setting = LEADING.get(key);
  return setting === undefined || value === "" ? null : { setting, value };
}

/** Scopes that a key `@scope:registry` may mean: pnpm takes what stands before the first colon, others before the last. */
export function scopesOfKey(key: string): readonly string[] {
  if (!/^@[^\r\n]*:registry$/iu.test(key)) return [];
  return [...new Set([key.slice(0, key.indexOf(":")), key.slice(0, key.lastIndexOf(":"))])];
}

export function lineAt(text: string, offset: number): () => number {
  return () => countLines(text, offset);
}

function countLines(text: string, offset: number): number {
  let line = 1;
  for (let at = 0; at < offset; at++) {
    const char = text.charCodeAt(at);
    if (char === 10 || (char === 13 && text.charCodeAt(at + 1) !== 10)) line++;
  }
  return line;
}

/** Line of the first of these words that stands outside a comment; 1 where none is written out. */
export function lineOfWords(text: string, ...words: readonly string[]): () => number {
  return () => {
    const lines = text.split(/\r\n|\r|\n/u);
    for (const word of words) {
      const at = lines.findIndex((line) => !/^\s*[#;]/u.test(line) && line.includes(word));
      if (at >= 0) return at + 1;
    }
    return 1;
  };
}
