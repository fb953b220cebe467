/**
 * Tokens for git hosts where there is no git, and so no credential helper: `IMPRINT_GIT_TOKEN`, a list of
 * `host=token`, `host:port=token` or `host=user:token`, separated by commas.
 *
 * A token is bound to its host and port and goes nowhere else: not to another index's host, not along a redirect (none
 * leaves its host), not over http (but to this machine), and into no message (THREATS G8, G9).
 */
import { ImprintError } from "../errors.ts";
import { isLoopbackHost } from "./url.ts";

/** Host with port, lower case → value of an Authorization header. */
export type GitTokens = ReadonlyMap<string, string>;

/** What hosts take as the user of a token, whoever owns it. */
const ANY_USER = "x-access-token";
const DEFAULT_PORT = "443";

function refuse(nth: number, state: string): ImprintError {
  // never the text itself: it is a secret, or was meant to be one
  return new ImprintError("USAGE", `Cannot read IMPRINT_GIT_TOKEN: entry ${String(nth)} ${state}; host=token, host:port=user:token`);
}

function keyOf(host: string, port: string): string {
  return `${host.toLowerCase()}:${port === "" ? DEFAULT_PORT : port}`;
}

/** @throws ImprintError USAGE, which shows nothing of what it read */
export function parseGitTokens(text: string | undefined): GitTokens {
  const tokens = new Map<string, string>();
  const entries = (text ?? "").split(",").map((entry) => entry.trim());
  for (const [i, entry] of entries.entries()) {
    if (entry === "") continue;
    const parts = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?=(.+)$/u.exec(entry);
    if (parts === null) throw refuse(i + 1, "has no host before a =");
    const [, host = "", port = "", secret = ""] = parts;
    // eslint-disable-next-line no-control-regex -- control characters are what it looks for
    if (/[\s\u0000-\u001f\u007f]/u.test(secret)) throw refuse(i + 1, "has a space or a control character in its token");
    const colon = secret.indexOf(":");
    const [user, token] = colon < 0 ? [ANY_USER, secret] : [secret.slice(0, colon), secret.slice(colon + 1)];
    if (user === "" || token === "") throw refuse(i + 1, "has an empty user or token");
    const key = keyOf(host, port);
    if (tokens.has(key)) throw refuse(i + 1, "is for a host that has one already");
    tokens.set(key, `Basic ${Buffer.from(`${user}:${token}`, "utf8").toString("base64")}`);
  }
  return tokens;
}

/** The Authorization header for one request, or null. */
export function authorizationFor(tokens: GitTokens, url: URL): string | null {
  if (url.protocol === "https:") return tokens.get(keyOf(url.hostname, url.port)) ?? null;
  if (url.protocol === "http:" && isLoopbackHost(url.hostname))
    return tokens.get(keyOf(url.hostname, url.port === "" ? "80" : url.port)) ?? null;
  return null;
}
