/**
 * Under which addresses clients may ask: an allow-list, and the only source of the origin that tarball addresses begin with.
 *
 * A page on the web that rebinds its name to this machine sends its own name in Host, and gets nothing. What a reverse proxy
 * says (X-Forwarded-Host, -Proto) counts only where the user trusts one, and then it only chooses from the list, too.
 */
export type Bases = {
  /** `http://127.0.0.1:4870`, `https://npm.example.org/npm`: no final slash, host in lower case. */
  readonly list: readonly string[];
  /** Whether X-Forwarded-Host and X-Forwarded-Proto are a proxy's words, not a client's. */
  readonly trustProxy: boolean;
};

export type Asked = {
  readonly host: string | undefined;
  readonly forwardedHost: string | undefined;
  readonly forwardedProto: string | undefined;
  /** Undecoded, without query. */
  readonly path: string;
};

/** The base that a client used, and the path below it; null: not one of ours. */
export function baseOf({ list, trustProxy }: Bases, asked: Asked): { readonly base: string; readonly path: string } | null {
  const host = ((trustProxy ? lastOf(asked.forwardedHost) : undefined) ?? asked.host ?? "").toLowerCase();
  const proto = trustProxy ? lastOf(asked.forwardedProto)?.toLowerCase() : undefined;
  const known = list.map((base) => ({ base, url: new URL(base) })).filter(({ url }) => url.host === host || hostWithPort(url) === host);
  const sameProto = known.filter(({ url }) => url.protocol === `${proto ?? ""}:`);
  const candidates = sameProto.length > 0 ? sameProto : known;
  // The longest prefix that the path has; a proxy may have taken it away, and then any will do.
  const [best] = candidates
    .map(({ base, url }) => ({ base, prefix: url.pathname.replace(/\/$/, "") }))
    .toSorted((a, b) => Number(has(asked.path, b.prefix)) - Number(has(asked.path, a.prefix)) || b.prefix.length - a.prefix.length);
  if (best === undefined) return null;
  const path = has(asked.path, best.prefix) ? asked.path.slice(best.prefix.length) : asked.path;
  return { base: best.base, path: path === "" ? "/" : path };
}

/** `host:443`, as some clients write the port that their scheme has anyway. */
function hostWithPort(url: URL): string {
  return `${url.hostname}:${url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port}`;
}

function has(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(`${prefix}/`);
}

/** Proxies append: the last word is that of the one before us. */
function lastOf(header: string | undefined): string | undefined {
  const last = header?.split(",").at(-1)?.trim();
  return last === "" ? undefined : last;
}
