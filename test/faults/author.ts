/**
 * An author whose every step may fail: an index of two packages on a host, a home with keys and a clone, a reader who remembers
 * all that it saw, and what must hold whatever happened.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { amend } from "../../src/cli/commands/amend.ts";
import { init } from "../../src/cli/commands/init.ts";
import { publish } from "../../src/cli/commands/publish.ts";
import { verify } from "../../src/cli/commands/verify.ts";
import { readKeyFileHeader } from "../../src/crypto/key-file.ts";
import { parseRequest } from "../../src/index/root/request.ts";
import type { Deps } from "../../src/cli/deps.ts";
import type { DisplayName } from "../../src/format/decode.ts";
import type { IndexId } from "../../src/format/digest.ts";
import { parseCheckpoint } from "../../src/format/checkpoint.ts";
import { parseRoot, type Root } from "../../src/format/root.ts";
import type { Files } from "../../src/storage/files.ts";
import { createHostedRepository, headOf, hostedFile, testGit } from "../support/git-host.ts";
import { makePackage } from "../support/tarball.ts";
import type { TestConsumer, TestIndex, World } from "../support/world.ts";

export const PACKAGES = ["@author/a", "@author/b"] as const;

export type Author = {
  readonly name: string;
  readonly id: IndexId;
  readonly url: string;
  readonly home: string;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** The hosted bare repository. */
  readonly gitDir: string;
  deps(files?: Files): Deps;
  head(): string;
  root(): Root;
  seq(): number;
  publish(name: string, version: string, deps?: Deps, propose?: { readonly branch: string | undefined }): Promise<void>;
  /** What a reader with a memory of everything so far is offered; throws where anything is refused. */
  read(): Promise<Record<string, Record<string, string>>>;
  /**
   * The host holds the state `before` or one commit on it, whole; the reader reads every package; every key that the root asks
   * for is on this disk.
   *
   * @returns whether it is the new state
   */
  check(before: string): Promise<boolean>;
  keysOnDisk(): readonly { readonly purpose: string; readonly publicKey: string }[];
  /** False where there is no file; throws where it is anything but a whole request. */
  isRequest(file: string): boolean;
  /** Signatures of its root. */
  signers(file: string): number;
  /** The keys on disk, and nothing else, change a record. */
  requireUsable(): Promise<void>;
};

let authors = 0;

export async function author(w: World, env: NodeJS.ProcessEnv = {}): Promise<Author> {
  const [name, repo] = ["author", `author-${String(++authors)}.git`];
  const gitDir = createHostedRepository(join(w.folder, "hosted"), repo);
  const url = w.host.url(repo);
  const home = join(w.folder, `author-home-${String(authors)}`);
  const cwd = join(w.folder, `author-${String(authors)}`);
  mkdirSync(cwd, { recursive: true });
  const deps = (files?: Files): Deps => w.deps({ home, cwd, env, ...(files === undefined ? {} : { files }) });
  const { id } = await init({ dir: "clone", name, packages: ["@author/*"], remote: url, url, ci: undefined }, deps());
  const show = (path: string): Uint8Array => {
    const bytes = hostedFile(gitDir, path);
    if (bytes === null) throw new Error(`the host has no ${path}`);
    return Uint8Array.from(bytes);
  };
  const index = { id, url, name: name as DisplayName } as TestIndex;
  let reader: TestConsumer | null = null;
  const self: Author = {
    name,
    id: id as IndexId,
    url,
    home,
    cwd,
    env,
    gitDir,
    deps,
    head: () => headOf(gitDir),
    root: () => parseRoot(show(`trust/${String(parseCheckpoint(show("checkpoint.json")).doc.root.version)}.json`)).doc,
    seq: () => parseCheckpoint(show("checkpoint.json")).doc.seq,
    async publish(pkg, version, by = deps(), propose) {
      const tarball = join(cwd, `${pkg.replace("/", "-")}-${version}.tgz`);
      await writeFile(tarball, await makePackage({ name: pkg, version }));
      await publish({ inputs: [tarball], index: name, tag: undefined, dryRun: false, push: true, propose: propose ?? null }, by);
    },
    async read() {
      reader ??= await w.consumer({ indices: { author: { index, packages: ["@author/*"] } } });
      await reader.sync();
      const seen: Record<string, Record<string, string>> = {};
      for (const pkg of PACKAGES) seen[pkg] = await reader.verdicts(pkg);
      if (reader.warnings.length > 0) throw reader.warnings[0];
      return seen;
    },
    async check(before) {
      const now = self.head();
      const root = self.root();
      requireKeys(
        root,
        self.keysOnDisk().map(({ publicKey }) => publicKey),
      );
      // The old state was looked at when it was made.
      if (now === before) return false;
      if (testGit(gitDir, ["rev-parse", "main^"]) !== before) throw new Error("the host is more than one commit on");
      const verified = await verify({ target: url, id, tarballs: false }, deps());
      if (!verified.ok) throw new Error(`not whole: ${JSON.stringify(verified)}`);
      for (const [pkg, verdicts] of Object.entries(await self.read()))
        if (Object.keys(verdicts).length === 0 || Object.values(verdicts).some((verdict) => verdict !== "ok" && verdict !== "yanked"))
          throw new Error(`${pkg}: ${JSON.stringify(verdicts)}`);
      return true;
    },
    keysOnDisk: () =>
      readdirSync(deps().layout.keys)
        .filter((file) => file.endsWith(".json"))
        .flatMap((file) => readKeyFileHeader(new Uint8Array(readFileSync(join(deps().layout.keys, file)))).keys),
    isRequest: (file) => existsSync(file) && parseRequest(new Uint8Array(readFileSync(file))).state.id === id,
    signers: (file) => parseRequest(new Uint8Array(readFileSync(file))).root?.signatures.length ?? 0,
    async requireUsable() {
      for (const message of ["in use", ""])
        await amend(
          { specs: ["@author/a"], amendment: { kind: "deprecate", message }, index: name, dryRun: false, push: true, yes: true },
          deps(),
        );
    },
  };
  for (const pkg of PACKAGES) await self.publish(pkg, "1.0.0");
  await self.read();
  return self;
}

function requireKeys({ roles, publishers }: Root, here: readonly string[]): void {
  for (const { keys } of [roles.root, roles.checkpoint, ...publishers])
    if (!keys.some((key) => here.includes(key))) throw new Error(`none of ${keys.join(" ")} is left on disk`);
}
