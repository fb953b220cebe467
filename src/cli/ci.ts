/** The files that let a git host's CI verify and seal an index: workflows, and this very tool, packed. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { ImprintError } from "../errors.ts";
import type { IndexId } from "../format/digest.ts";
import type { FileChange } from "../git/port.ts";
import { describeEnding, runCommand } from "../pack/command.ts";
import type { Deps } from "./deps.ts";
import { talkOf } from "./terminal.ts";
import { githubWorkflows, TOOL_PATH } from "./views/ci-github.ts";

export type CiHost = "github";

/** @throws ImprintError PACK_FAILED, COMMAND_NOT_FOUND */
export async function ciFiles(_host: CiHost, id: IndexId, deps: Deps): Promise<readonly FileChange[]> {
  deps.terminal.progress("packing imprint for CI");
  const workflows = githubWorkflows(id).map(({ path: file, text }) => ({ path: file, content: new Uint8Array(Buffer.from(text)) }));
  return [...workflows, { path: TOOL_PATH, content: await packTool(deps) }];
}

/**
 * Puts them into the work tree of an index that is there already; committing them is its author's.
 *
 * @throws ImprintError NAME_TAKEN where one is there and differs, having changed nothing
 */
export async function writeCi(folder: string, host: CiHost, id: IndexId, deps: Deps): Promise<readonly string[]> {
  const files = await ciFiles(host, id, deps);
  for (const { path: file, content } of files) {
    const target = path.join(folder, file);
    if (file !== TOOL_PATH && existsSync(target) && Buffer.compare(await readFile(target), content ?? new Uint8Array()) !== 0)
      throw new ImprintError("NAME_TAKEN", `Cannot write ${target}: it is there already, and is not as imprint would write it`);
  }
  for (const { path: file, content } of files) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), content ?? "");
  }
  return files.map(({ path: file }) => file);
}

/** What remains to be done by hand, since only the index's owner can. */
export function sayCiNext(name: string, { terminal }: Deps): void {
  terminal.talk("For CI to seal, give the repository two secrets:");
  terminal.talk(`  IMPRINT_KEY          imprint key export ${name} --only checkpoint`);
  terminal.talk("  IMPRINT_PASSPHRASE   the passphrase that you give it there");
}

async function packTool({ env, terminal }: Deps): Promise<Uint8Array> {
  // Where this file lies, built or not, the package is three folders up.
  const root = path.resolve(fileURLToPath(import.meta.url), "../../..");
  const folder = await mkdtemp(path.join(tmpdir(), "imprint-tool-"));
  try {
    let said = "";
    const words = ["npm", "pack", "--ignore-scripts", "--no-update-notifier", "--dry-run=false", "--pack-destination", folder] as const;
    const ending = await runCommand(words, root, { env, onOutput: (text) => (said += text) });
    const [file] = await readdir(folder);
    if (ending.code !== 0 || file === undefined) {
      talkOf(terminal, said);
      throw new ImprintError("PACK_FAILED", `Cannot pack imprint itself for CI: npm pack failed with ${describeEnding(ending)}`);
    }
    return new Uint8Array(await readFile(path.join(folder, file)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
