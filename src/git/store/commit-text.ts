/** What both adapters write into a commit, byte for byte the same: a tarball's orphan commit then has one id everywhere. */
import { ImprintError } from "../../errors.ts";
import type { CommitRequest } from "../port.ts";

/** A path's parts. @throws ImprintError INVALID_DOCUMENT where it would leave the index or touch git's own files */
export function splitPath(path: string): readonly string[] {
  const parts = path.split("/");
  const isBad = parts.some((part) => part === "" || part === "." || part === ".." || /^\.git$/iu.test(part));
  if (isBad || path.includes("\0"))
    throw new ImprintError("INVALID_DOCUMENT", `Cannot commit ${JSON.stringify(path)}: not a path inside the index`);
  return parts;
}

/** `Name <mail> seconds +0000`, with nothing in it that could end the line or the address. */
export function personLine(author: CommitRequest["author"], timeMs: number): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  const clean = (text: string): string => text.replace(/[<>\u0000-\u001f\u007f]/gu, "").trim();
  return `${clean(author.name)} <${clean(author.email)}> ${String(Math.floor(timeMs / 1000))} +0000`;
}
