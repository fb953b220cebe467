/**
 * Third-party vectors that lie beside the checkout, in `shared/vectors`, and are never copied into it. Where they are
 * absent the tests say so loudly and count as skipped.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = new URL("../../../shared/vectors/", import.meta.url);

export const hasShared = existsSync(FOLDER);

if (!hasShared)
  console.warn(
    `\n!!! SKIPPED: no third-party vectors at ${fileURLToPath(FOLDER)}; Ed25519 and RFC 8785 are tested less than they should be !!!\n`,
  );

export const SKIP_MESSAGE = "skipped: ../shared/vectors is absent";

export function readShared(path: string): string {
  return readFileSync(new URL(path, FOLDER), "utf8");
}

export function listShared(path: string): readonly string[] {
  return readdirSync(new URL(path, FOLDER));
}
