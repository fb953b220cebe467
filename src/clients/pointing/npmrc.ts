/**
 * .npmrc, which npm, pnpm, yarn 1, bun and deno read: the resolver's address, no retries towards this machine (npm would try
 * a port where nobody listens for 76 s), and lockfiles without addresses of registries.
 */
const COMMENT = "# imprint answers this project's npm: `imprint serve` in this folder, or `imprint run` before a command";
const SET = new Map([
  ["fetch-retries", "0"],
  ["omit-lockfile-registry-resolved", "true"],
]);

/** Lines as npm's parser ends them: a lone CR ends one, too. */
function linesOf(text: string): readonly string[] {
  return text.split(/\r\n|\n|\r/);
}

/** Keys as npm's parser reads them: quotes fall away, `key[]` stays a key of its own. */
function entryOf(line: string): { readonly key: string; readonly value: string } | null {
  const [, quoted, plain, value = ""] = /^\s*(?:"([^"]*)"|'?([^=\s"';#[\]][^=]*?)'?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
  const key = quoted ?? plain;
  return key === undefined ? null : { key: unescaped(key), value };
}

function unescaped(key: string): string {
  try {
    return key.includes("\\") ? (JSON.parse(`"${key}"`) as string) : key;
  } catch {
    return key;
  }
}

/** The registry that counts for all names; null: none. Keys below a `[section]` are of another setting. */
export function npmrcRegistry(text: string): string | null {
  let found: string | null = null;
  for (const line of linesOf(text)) {
    if (/^\s*\[[^\]]*\]\s*$/.test(line)) break;
    const entry = entryOf(line);
    if (entry?.key === "registry") found = entry.value.replace(/^(["'])(.*)\1$/, "$2");
  }
  return found;
}

/** The file with the address in it, at its top, where no section can take it; everything else stays. */
export function pointNpmrc(before: string, address: string): string {
  const block = [COMMENT, `registry=${address}`, ...[...SET].map(([key, value]) => `${key}=${value}`)];
  return [...block, ...others(before)].join("\n").replace(/\n*$/, "\n");
}

/** The file without it; `registry`: what stood there before. */
export function unpointNpmrc(before: string, registry: string | undefined): string {
  const rest = others(before).join("\n").replace(/\n*$/, "\n");
  const kept = rest === "\n" ? "" : rest;
  return registry === undefined ? kept : `registry=${registry}\n${kept}`;
}

function others(before: string): readonly string[] {
  let isTop = true;
  return linesOf(before).filter((line) => {
    if (/^\s*\[[^\]]*\]\s*$/.test(line)) isTop = false;
    if (!isTop) return true;
    const entry = entryOf(line);
    return line !== COMMENT && !(entry !== null && (entry.key === "registry" || SET.has(entry.key)));
  });
}
