/** Versions and dist-tags. SemVer 2.0.0 without build metadata, in its one spelling. */
import compare from "semver/functions/compare.js";
import { ImprintError } from "../errors.ts";
import { LIMITS } from "./limits.ts";

declare const brand: unique symbol;
export type Version = string & { readonly [brand]: "Version" };
export type DistTag = string & { readonly [brand]: "DistTag" };

const NUMBER = "(?:0|[1-9][0-9]*)";
const IDENTIFIER = `(?:${NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`;
const VERSION = new RegExp(`^${NUMBER}\\.${NUMBER}\\.${NUMBER}(?:-${IDENTIFIER}(?:\\.${IDENTIFIER})*)?$`);
const DIGITS = /^[0-9]+$/;
const TAG = /^[A-Za-z0-9._-]+$/;
// All that npm's clients read as a version range, of texts that are tags otherwise.
const X_NUMBER = "(?:0|[1-9][0-9]*|[xX])";
const RANGE = new RegExp(`^v*${X_NUMBER}(?:\\.${X_NUMBER}(?:\\.${X_NUMBER}(?:-${IDENTIFIER}(?:\\.${IDENTIFIER})*)?)?)?$`);

export function isVersion(text: string): text is Version {
  if (text.length > LIMITS.versionChars || !VERSION.test(text)) return false;
  // Past 2^53 two versions could compare as equal. 2^53 has sixteen digits.
  return text.length < 16 || text.split(/[.]|(?<=^[^-]*)-/).every((part) => !DIGITS.test(part) || Number.isSafeInteger(Number(part)));
}

/** A tag that is no semver range, or clients would read `npm install foo@<tag>` as a range. */
export function isDistTag(text: string): text is DistTag {
  return text.length <= LIMITS.tagChars && TAG.test(text) && !RANGE.test(text);
}

/** @throws ImprintError INVALID_NAME */
export function parseVersion(text: string): Version {
  if (!isVersion(text)) {
    throw new ImprintError(
      "INVALID_NAME",
      `Cannot use version ${JSON.stringify(text.slice(0, 80))}: write SemVer 2.0.0 without build metadata, as 1.2.3`,
    );
  }
  return text;
}

/** @throws ImprintError INVALID_NAME */
export function parseDistTag(text: string): DistTag {
  if (!isDistTag(text)) {
    throw new ImprintError(
      "INVALID_NAME",
      `Cannot use tag ${JSON.stringify(text.slice(0, 80))}: 1 to 64 of A-Z a-z 0-9 . _ -, and no version range`,
    );
  }
  return text;
}

export function compareVersions(a: Version, b: Version): -1 | 0 | 1 {
  return compare(a, b);
}

export function isPrerelease(version: Version): boolean {
  return version.includes("-");
}
