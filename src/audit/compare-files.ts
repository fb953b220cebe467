/** Files on disk against the files of a tarball. */
import { createReadStream } from "node:fs";
import path from "node:path";
import { errnoOf } from "../errors.ts";
import { filesOfPackage } from "../clients/installed/walk.ts";
import { FileDigest } from "../pack/contents.ts";

export type Difference = {
  readonly changed: readonly string[];
  readonly missing: readonly string[];
  readonly extra: readonly string[];
};

/** The names of packages that a tarball has in its own node_modules: their files are compared like all others. */
export function bundledIn(files: ReadonlyMap<string, string>): ReadonlySet<string> {
  const names = new Set<string>();
  for (const file of files.keys()) {
    const name = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];
    if (name !== undefined) names.add(name);
  }
  return names;
}

export async function compareFiles(folder: string, files: ReadonlyMap<string, string>): Promise<Difference> {
  const bundled = bundledIn(files);
  const isOurs = (inner: string): boolean => {
    if (inner === "node_modules") return bundled.size > 0;
    const [, first = "", second] = inner.split("/");
    if (first.startsWith("@"))
      return second === undefined ? [...bundled].some((name) => name.startsWith(`${first}/`)) : bundled.has(`${first}/${second}`);
    return bundled.has(first);
  };
  const found = new Map<string, string | null>();
  for (const { path: inner, kind } of await filesOfPackage(folder, isOurs))
    // Of what is not in the tarball at all, the digest says nothing more.
    found.set(inner, kind === "file" && files.has(inner) ? await digestOf(path.join(folder, inner)) : null);
  return compareDigests(found, files);
}

/** @param found path → digest; null: it is no file, or one that nobody asked about */
export function compareDigests(found: ReadonlyMap<string, string | null>, files: ReadonlyMap<string, string>): Difference {
  const bundled = bundledIn(files);
  const changed: string[] = [];
  const extra: string[] = [];
  for (const [inner, digest] of found) {
    const signed = files.get(inner);
    if (signed === undefined) {
      // Clients link programs there, whatever the tarball bundles.
      if (!inner.startsWith("node_modules/") || !inner.includes("/.bin/")) extra.push(inner);
    } else if (digest !== signed) changed.push(inner);
  }
  // yarn 4 leaves out what a tarball bundles, and installs it as any other package.
  const left = [...bundled].filter((name) => ![...found.keys()].some((file) => file.startsWith(`node_modules/${name}/`)));
  const isLeftOut = (file: string): boolean => left.some((name) => file.startsWith(`node_modules/${name}/`));
  const missing = [...files.keys()].filter((file) => !found.has(file) && !isLeftOut(file));
  return { changed, missing, extra };
}

async function digestOf(file: string): Promise<string | null> {
  const digest = new FileDigest();
  try {
    for await (const chunk of createReadStream(file)) digest.update(chunk as Uint8Array);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return null;
  }
  return digest.hex();
}
