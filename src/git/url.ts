/**
 * Git addresses, ref names and object ids as people and documents write them: the only door through which a text may
 * become an argument of git (THREATS G7).
 *
 * Addresses come from imprint.json, from roots (`mirrors`, `introductions`, `tarballs`) and from the command line, so
 * any of them may be an attacker's. Git would run a command for `ext::sh -c …`, take a leading dash for an option of
 * itself or of ssh, and read any local folder; none of these may get past this file. What does get past names a host
 * and a path, and no secret: tokens belong to git's credential helpers, bound to their host.
 */
import { UNSEEN_CHARACTER } from "../format/text.ts";
import { LIMITS } from "../format/limits.ts";
import { resolve } from "node:path";
import { ImprintError } from "../errors.ts";
import type { GitUrl, ObjectId, RefName } from "./port.ts";

const MAX_URL_LENGTH = LIMITS.gitUrlChars;
const MAX_REF_LENGTH = LIMITS.refNameChars;

/** Shorthands that npm and others made customary, always over https. */
const SHORTHANDS: Readonly<Record<string, string>> = { github: "github.com", gitlab: "gitlab.com", codeberg: "codeberg.org" };

const HOST = /^(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])$/u;
const USER = /^[A-Za-z0-9_][A-Za-z0-9._+-]*$/u;

/**
 * `text` fit for a message: control characters gone, and whatever stands before an `@` of an address hidden, unless it
 * is the plain user name of an ssh address. Hides too much rather than too little: a token may be all of the user part,
 * and a password may contain `/` or `@`.
 */
export function redactUrl(text: string): string {
  return text
    .replace(UNSEEN_CHARACTER, "")
    .replace(/([A-Za-z][A-Za-z0-9+.-]*:)\/\/([^\s'"]*)@/gu, (_, scheme: string, user: string) =>
      scheme.toLowerCase() === "ssh:" && USER.test(user) ? `${scheme}//${user}@` : `${scheme}//***@`,
    )
    .replace(/(^|[\s'"])[^\s'"/:@]*:(?!\/\/)[^\s'"]*@/gu, "$1***@")
    .replace(/([A-Za-z][A-Za-z0-9+.-]*:\/\/[^\s'"?]*)\?[^\s'"]*/gu, "$1?***");
}

function refuse(text: string, state: string): ImprintError {
  const shown = redactUrl(text.slice(0, MAX_URL_LENGTH));
  return new ImprintError("INVALID_URL", `Cannot use git address "${shown.slice(0, 200)}": ${state}`);
}

/** Whether git reads this address from the local disk. */
export function isLocalUrl(url: GitUrl): boolean {
  return url.startsWith("/") || url.startsWith("file:") || /^[A-Za-z]:[\\/]/u.test(url);
}

/** The host that an address leads to, as URLs write it (IPv6 in brackets); null for a local one. */
export function gitHostOf(url: GitUrl): string | null {
  if (isLocalUrl(url)) return null;
  const scp = url.includes("://") ? null : /^[^@]*@(\[[^\]]*\]|[^:]*):/u.exec(url);
  return (scp?.[1] ?? new URL(url).hostname).toLowerCase();
}

/** Whether a host name means this machine, and so needs no TLS. */
export function isLoopbackHost(host: string): boolean {
  return host === "localhost" || host === "[::1]" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/u.test(host);
}

function checkPath(text: string, path: string): void {
  if (path.startsWith("-")) throw refuse(text, "the path starts with a dash");
  // git and ssh decode these before they use them
  if (/%(?:[01][0-9a-f]|7f)/iu.test(path)) throw refuse(text, "an encoded control character");
  if (path === "" || path === "/") throw refuse(text, "no path after the host");
  // a scheme typed twice: `https://https://host` is a path on a host named https
  if (path.startsWith("//")) throw refuse(text, "two slashes after the host");
  // what looks like user:password@ after a scheme typed twice, or a slash too many, is no path to send or to print
  if (/[^/:@]:[^/@]*@/u.test(path)) throw refuse(text, "credentials in the address");
  if (path.includes("?")) throw refuse(text, "a query is no part of a git address");
}

function parseHttp(text: string, allowInsecure: boolean): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new ImprintError("INVALID_URL", refuse(text, "not a URL").message, { cause });
  }
  if (url.username !== "" || url.password !== "" || /^https?:\/*[^/?#]*@/iu.test(text)) {
    throw refuse(text, "credentials in the address; give them to a git credential helper");
  }
  if (!/^https?:\/\/[^/]/iu.test(text) || !HOST.test(url.hostname)) throw refuse(text, "not a host name");
  if (url.search !== "") throw refuse(text, "a query is no part of a git address");
  if (url.protocol === "http:" && !allowInsecure && !isLoopbackHost(url.hostname)) {
    throw refuse(text, "http is not encrypted; use https");
  }
  // "https://user:12/34@host/…": a password with a slash in it, which a URL parser takes for port and path
  if (url.port !== "" && /^\/[^/]+@/u.test(url.pathname)) throw refuse(text, "credentials in the address");
  checkPath(text, url.pathname);
  return `${url.protocol}//${url.host}${url.pathname}`;
}

function parseSsh(text: string): string {
  const parts = /^ssh:\/\/(?:([^/@]*)@)?(\[[^\]/]*\]|[^/:@]*)(?::([0-9]{1,5}))?(\/.*)$/iu.exec(text);
  if (parts === null) throw refuse(text, "not ssh://user@host/path, or credentials in the address");
  const [, user, host = "", port, path = ""] = parts;
  if (user !== undefined && !USER.test(user)) throw refuse(text, "not a plain user name; credentials are no part of an address");
  if (!HOST.test(host)) throw refuse(text, "not a host name");
  if (path.includes("@") && /^\/[^/]*@/u.test(path)) throw refuse(text, "an @ right after the host");
  checkPath(text, path);
  return `ssh://${user === undefined ? "" : `${user}@`}${host.toLowerCase()}${port === undefined ? "" : `:${port}`}${path}`;
}

/** `git@host:path`, the only form with a colon that is no scheme. */
function parseScp(text: string): string | null {
  const parts = /^(?:([^/:@]*)@)?(\[[^\]/]*\]|[^/:@[\]]+):(?!\/\/)(.*)$/u.exec(text);
  if (parts === null) return null;
  const [, user, host = "", path = ""] = parts;
  // without a user, `host:path` cannot be told from an unknown shorthand or a mistyped scheme
  if (user === undefined) throw refuse(text, "unknown scheme; https, ssh and git@host:path are known");
  if (!USER.test(user)) throw refuse(text, "not a plain user name");
  if (!HOST.test(host)) throw refuse(text, "not a host name");
  if (path.includes("@")) throw refuse(text, "an @ in the path, or credentials in the address");
  checkPath(text, path);
  return `${user}@${host}:${path}`;
}

function parseLocal(text: string, allowFile: boolean): string | null {
  const isFileUrl = /^file:/iu.test(text);
  const isPath = /^\.{0,2}\//u.test(text) || text === "." || text === ".." || /^[A-Za-z]:[\\/]/u.test(text);
  if (!isFileUrl && !isPath) return null;
  if (!allowFile) throw refuse(text, "local folders are only read with --allow-file");
  if (!isFileUrl) return resolve(text);
  // file://host/path would make git look at a network share on Windows
  if (!/^file:\/\/\/[^/]/iu.test(text)) throw refuse(text, "a file address is file:///path");
  checkPath(text, text.slice("file://".length));
  return `file:${text.slice("file:".length)}`;
}

/**
 * Reads a git address: `https://host/path`, `ssh://user@host/path`, `git@host:path`, `github:owner/repo` (also
 * `gitlab:`, `codeberg:`), `http://` to this machine only unless `allowInsecure`, and, with `allowFile`, a local path
 * or `file:///path`. A `#fragment` (an index id) is the caller's to split off. Throws INVALID_URL, whose message never
 * shows credentials.
 */
export function parseGitUrl(text: string, options: { readonly allowFile: boolean; readonly allowInsecure?: boolean }): GitUrl {
  if (text.length > MAX_URL_LENGTH) throw refuse(text, `longer than ${String(MAX_URL_LENGTH)} characters`);
  if (text.replace(UNSEEN_CHARACTER, "") !== text) throw refuse(text, "control characters");
  const local = text.startsWith("-") || text.includes("::") ? null : parseLocal(text, options.allowFile);
  if (local !== null) return local as GitUrl;
  if (text === "" || /\s/u.test(text)) throw refuse(text, "empty, or a space in it");
  if (text.startsWith("-")) throw refuse(text, "starts with a dash");
  if (/::/u.test(text.replace(/\[[0-9A-Fa-f:.]+\]/u, ""))) throw refuse(text, "git's :: helpers run commands");
  if (text.includes("\\")) throw refuse(text, "a backslash");
  if (text.includes("#")) throw refuse(text, "a # is not part of the git address");
  const shorthand = /^([a-z]+):((?:[A-Za-z0-9_][A-Za-z0-9._-]*\/)+[A-Za-z0-9_][A-Za-z0-9._-]*)$/u.exec(text);
  const host = shorthand === null ? undefined : Object.hasOwn(SHORTHANDS, shorthand[1] ?? "") ? SHORTHANDS[shorthand[1] ?? ""] : undefined;
  if (host !== undefined) {
    const path = shorthand?.[2] ?? "";
    return parseHttp(`https://${host}/${path}${path.endsWith(".git") ? "" : ".git"}`, false) as GitUrl;
  }
  if (/^https?:/iu.test(text)) return parseHttp(text, options.allowInsecure === true) as GitUrl;
  if (/^ssh:/iu.test(text)) return parseSsh(text) as GitUrl;
  const scp = text.includes("://") ? null : parseScp(text);
  if (scp !== null) return scp as GitUrl;
  throw refuse(text, "unknown scheme; https, ssh and git@host:path are known");
}

/** A full ref name by the rules of `git check-ref-format`; must start with `refs/`. Throws INVALID_URL. */
export function parseRefName(text: string): RefName {
  const bad =
    text.length > MAX_REF_LENGTH ||
    !text.startsWith("refs/") ||
    text.endsWith("/") ||
    text.endsWith(".") ||
    text.includes("..") ||
    text.includes("@{") ||
    // eslint-disable-next-line no-control-regex -- control characters are what it looks for
    /[\u0000-\u0020\u007f~^:?*[\\]/u.test(text) ||
    text.replace(UNSEEN_CHARACTER, "") !== text ||
    text.split("/").some((part) => part === "" || part.startsWith(".") || part.startsWith("-") || part.endsWith(".lock"));
  if (bad)
    throw new ImprintError("INVALID_URL", `Cannot use ref "${redactUrl(text.slice(0, 200))}": not a full ref name such as refs/heads/main`);
  return text as RefName;
}

/** 40 or 64 lower-case hex digits, not all zero. Throws INVALID_DOCUMENT. */
export function parseObjectId(text: string): ObjectId {
  if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/u.test(text) || /^0+$/u.test(text)) {
    throw new ImprintError("INVALID_DOCUMENT", `Cannot read object id "${redactUrl(text.slice(0, 80))}": not 40 or 64 hex digits`);
  }
  return text as ObjectId;
}

/** `refs/heads/main` as people say it. */
export function shortRef(ref: string): string {
  return ref.replace(/^refs\/heads\//, "");
}
