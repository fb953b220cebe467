/** What is about to be published: packed, inspected and found fit, but not yet signed. */
import { stat } from "node:fs/promises";
import path from "node:path";
import { ImprintError, errnoOf } from "../errors.ts";
import { isJsonObject } from "../format/json.ts";
import { isPackageName, type PackageName } from "../format/names.ts";
import { type DistTag, parseDistTag, type Version } from "../format/versions.ts";
import { checkPublishable, type PublishOptions } from "../pack/check.ts";
import { readPackageJson } from "../pack/package-json.ts";
import { inspectTarball, type TarballFacts } from "../pack/inspect.ts";
import { packPackage, runLifecycle } from "../pack/run.ts";
import type { Deps } from "./deps.ts";
import { clean } from "../format/text.ts";
import { talkOf } from "./terminal.ts";

export type Candidate = {
  readonly input: string;
  /** The package's folder, whose scripts still have to run; null for a .tgz. */
  readonly folder: string | null;
  readonly tarballPath: string;
  readonly facts: TarballFacts;
  readonly name: PackageName;
  readonly version: Version;
  readonly tag: DistTag | null;
  readonly cleanup: () => Promise<void>;
};

/** @param tag the one that the author names for all; undefined: what the package says */
export async function prepare(input: string, tag: string | undefined, deps: Deps, options: PublishOptions = {}): Promise<Candidate> {
  const { terminal, env, cwd } = deps;
  const target = path.resolve(cwd, input);
  const isFolder = await isDirectory(target);
  terminal.progress(`packing ${input}`);
  const packed = isFolder
    ? await packPackage(target, { env, onOutput: (text) => talkOf(terminal, text) })
    : { tarballPath: target, cleanup: async () => {} };
  try {
    const facts = await inspectTarball(packed.tarballPath);
    const { name, version, warnings } = checkPublishable(facts, options);
    for (const warning of warnings) terminal.warn(clean(`${name}: ${warning}`));
    return {
      input,
      folder: isFolder ? target : null,
      tarballPath: packed.tarballPath,
      facts,
      name,
      version,
      tag: tagFor(tag, facts),
      cleanup: packed.cleanup,
    };
  } catch (error) {
    await packed.cleanup();
    throw error;
  }
}

/** The name that a folder's package has before it is packed; null where it says none, or the input is a tarball. */
export async function nameOf(input: string, { cwd }: Deps): Promise<PackageName | null> {
  const target = path.resolve(cwd, input);
  if (!(await isDirectory(target))) return null;
  const { name } = await readPackageJson(target);
  return typeof name === "string" && isPackageName(name) ? name : null;
}

async function isDirectory(target: string): Promise<boolean> {
  try {
    return (await stat(target)).isDirectory();
  } catch (error) {
    throw new ImprintError(
      "FILE_UNREADABLE",
      `Cannot publish ${target}: ${errnoOf(error) === "ENOENT" ? "there is no such folder or file" : "it cannot be read"}`,
      { cause: error },
    );
  }
}

function tagFor(tag: string | undefined, { packageJson }: TarballFacts): DistTag | null {
  if (tag !== undefined) return parseDistTag(tag);
  const config = packageJson["publishConfig"];
  const configured = isJsonObject(config) ? config["tag"] : undefined;
  return typeof configured === "string" ? parseDistTag(configured) : null;
}

/** The scripts that come after: the release is out. */
export async function runAfter(candidates: readonly Candidate[], { env, terminal }: Deps): Promise<void> {
  for (const { folder } of candidates) {
    if (folder === null) continue;
    for (const script of ["publish", "postpublish"] as const)
      await runLifecycle(folder, script, { env, onOutput: (text) => talkOf(terminal, text) });
  }
}
