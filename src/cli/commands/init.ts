/** `imprint init`: keys, an index repository, its first push, and the line that others add it with. */
import { existsSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { generatePrivateKey } from "../../crypto/ed25519.ts";
import type { KeyFile } from "../../crypto/key-file.ts";
import { ImprintError, isImprintError } from "../../errors.ts";
import { type DisplayName, isDisplayName } from "../../format/decode.ts";
import { formatPublicKey, shortKey } from "../../format/keys.ts";
import { isPackageName, type PackagePattern, parsePackagePattern, scopeOf } from "../../format/names.ts";
import { DEFAULT_REF } from "../../format/project.ts";
import { configureRemote, initClone } from "../../git/clone.ts";
import type { GitUrl, ObjectId, RefName } from "../../git/port.ts";
import { parseGitUrl, parseObjectId, parseRefName } from "../../git/url.ts";
import { createIndex } from "../../index/create.ts";
import { ownAddress, parseRefOption } from "../addresses.ts";
import { shortRef } from "../../git/url.ts";
import { askClock, requireClock } from "../clock.ts";
import type { Deps } from "../deps.ts";
import { fetchGround, filesBeside, surveyRemote } from "../existing-repository.ts";
import { findProjectFolder } from "../../project/project-files.ts";
import { saveKeyFile } from "../key-store.ts";
import { openClone, TRANSFER_LIMITS } from "../open.ts";
import { authorOf } from "../author.ts";
import { type CiHost, ciFiles, sayCiNext, writeCi } from "../ci.ts";
import { addOwnIndex, idOfClone, readOwnIndices } from "../own-indices.ts";
import { newPassphrase } from "../passphrase.ts";
import { parseTarballSources } from "../tarball-places.ts";
import { indexReadme } from "../views/index-readme.ts";
import { clean } from "../../format/text.ts";

export type InitOptions = {
  readonly dir: string | undefined;
  readonly name: string | undefined;
  readonly packages: readonly string[];
  readonly remote: string | undefined;
  /** Where tarballs are; empty: beside the branch. */
  readonly tarballs?: readonly string[];
  /** Branch; undefined: main, or the default branch of a host that has other files. */
  readonly ref?: string | undefined;
  readonly url: string | undefined;
  /** Workflows for this host's CI, in a new index or in one that is there. */
  readonly ci: CiHost | undefined;
};

export type InitResult = {
  readonly id: string;
  readonly name: string;
  readonly path: string;
  readonly packages: readonly string[];
  readonly pushed: boolean;
  readonly addressWithId: string | null;
};

export async function init(options: InitOptions, deps: Deps): Promise<InitResult> {
  const { terminal, layout, files } = deps;
  if (options.ci !== undefined && options.name === undefined) {
    const existing = await addCi(path.resolve(deps.cwd, options.dir ?? "."), options.ci, deps);
    if (existing !== null) return existing;
  }
  const name = chooseName(options, deps);
  const folder = path.resolve(deps.cwd, options.dir ?? `${name}-index`);
  await requireEmpty(folder);
  await requireNewName(deps, name);
  const packages = options.packages.length > 0 ? options.packages.map(parsePackagePattern) : await defaultPackages(deps.cwd);
  const remote = options.remote === undefined ? null : await ownAddress(deps, options.remote);
  const url = options.url ?? (remote !== null && /^https?:/.test(remote.fetch) ? remote.fetch : null);
  if (url !== null) parseGitUrl(url, { allowFile: true });
  const given = options.ref === undefined ? null : parseRefOption(options.ref);
  if (given !== null && !given.startsWith("refs/heads/"))
    throw new ImprintError("USAGE", `Cannot make index on ${given}: an index is kept on a branch`);
  const tarballs = options.tarballs === undefined || options.tarballs.length === 0 ? ["git"] : parseTarballSources(options.tarballs, deps);
  const clock = remote === null ? null : { url: remote.fetch, clock: askClock(deps, remote.fetch) };
  const ground = remote === null ? null : await surveyRemote(deps, remote.fetch, given);
  await requireClock(deps, clock, null);
  const ref = ground?.ref ?? given ?? parseRefName(DEFAULT_REF);
  const branch = shortRef(ref);

  const passphrase = await newPassphrase(name, deps);
  if (passphrase === "") terminal.warn("no passphrase: whoever copies the key files can publish as you");
  const keys = { root: generatePrivateKey(), publisher: generatePrivateKey(), checkpoint: generatePrivateKey() };
  const index = createIndex({ name, packages, tarballs, keys, nowMs: deps.nowMs() });
  const daily: KeyFile = {
    kind: "daily",
    name,
    index: index.id,
    keys: [
      { purpose: "publisher", key: keys.publisher },
      { purpose: "checkpoint", key: keys.checkpoint },
    ],
  };
  const root: KeyFile = { kind: "root", name, index: index.id, keys: [{ purpose: "root", key: keys.root }] };
  const ci = options.ci === undefined ? [] : await ciFiles(options.ci, index.id, deps);
  const written: string[] = [];
  const addressWithId = url === null ? null : `${url}#${index.id}`;
  const flags = `${ref === DEFAULT_REF ? "" : ` --ref ${branch}`}${addressWithId?.startsWith("file:") === true ? " --allow-file" : ""}`;
  const add = `imprint add '${addressWithId ?? `<url>#${index.id}`}'${flags}`;
  try {
    written.push(await saveKeyFile({ files, layout }, daily, passphrase), await saveKeyFile({ files, layout }, root, passphrase));
    const text = (content: string): Uint8Array => new Uint8Array(Buffer.from(content));
    const all = [
      // Converted line ends would break every hash.
      { path: ".gitattributes", content: text("* -text\n") },
      { path: "README.md", content: text(indexReadme({ name, packages, add })) },
      ...index.files,
      ...ci,
    ];
    await initClone(
      folder,
      {
        branch,
        files: ground === null ? all : filesBeside(ground, all),
        ...(remote === null || ground === null || ground.base === null
          ? {}
          : { base: (gitDir: string) => fetchGround(deps, gitDir, remote.fetch, ground) }),
        message: `imprint: index ${name}`,
        author: await authorOf(deps),
        timeMs: deps.nowMs(),
      },
      deps.git,
    );
    if (remote !== null) await configureRemote(folder, { name: "origin", url: remote.fetch, pushUrl: remote.push, branch }, deps.git);
    await addOwnIndex({ files, layout }, { name, id: index.id, path: folder, url });
  } catch (error) {
    // Half an index is worse than none: keys without it would look like a lost one.
    await Promise.all([...written.map((file) => rm(file, { force: true })), rm(folder, { recursive: true, force: true })]);
    throw error;
  }
  terminal.ok(
    `daily keys   ${path.basename(written[0] ?? "")}   releases ${shortKey(formatPublicKey(keys.publisher.publicKey))} · checkpoints ${shortKey(formatPublicKey(keys.checkpoint.publicKey))}`,
  );
  terminal.ok(
    `root key     ${path.basename(written[1] ?? "")}   needed only to change keys or names; move it offline, keep a copy, nobody can replace it`,
  );
  terminal.talk(`  in ${layout.keys}`);
  if (ground !== null && ground.paths.size > 0)
    terminal.talk(
      clean(
        `  beside what is there: ${ground.paths.size} ${ground.paths.size === 1 ? "file" : "files"} kept${ground.paths.has("README.md") ? `, README.md among them; put this into it:   ${add}` : ""}`,
      ),
    );
  const pushed = remote === null ? false : await pushFirst(folder, remote.push, { ref, base: ground?.base ?? null }, deps);
  terminal.ok(
    `index        ${folder}, root 1, grants ${packages.join(" ")}, no packages${pushed ? `; pushed to ${remote?.push ?? ""} ${branch}` : ""}`,
  );
  if (options.ci !== undefined) sayCiNext(name, deps);
  sayNext(deps, { add, branch, folder, isHosted: remote !== null, packages });
  return { id: index.id, name, path: folder, packages, pushed, addressWithId };
}

/** CI for an index that is there already; null where the folder holds none. */
async function addCi(folder: string, host: CiHost, deps: Deps): Promise<InitResult | null> {
  const id = await idOfClone(deps, folder);
  if (id === null) return null;
  const own = (await readOwnIndices(deps)).find((known) => known.id === id);
  const name = own?.name ?? path.basename(folder);
  const written = await writeCi(folder, host, id, deps);
  deps.terminal.ok(`wrote ${written.join(", ")}`);
  deps.terminal.talk(
    `Publish them with   git -C '${folder}' add ${written.join(" ")} && git -C '${folder}' commit -m CI && git -C '${folder}' push`,
  );
  sayCiNext(name, deps);
  const url = own?.url ?? null;
  return { id, name, path: folder, packages: [], pushed: false, addressWithId: url === null ? null : `${url}#${id}` };
}

async function pushFirst(
  folder: string,
  remote: GitUrl,
  { ref, base }: { readonly ref: RefName; readonly base: ObjectId | null },
  deps: Deps,
): Promise<boolean> {
  const { terminal } = deps;
  const repository = openClone(deps, path.join(folder, ".git"));
  try {
    const head = await repository.head(ref);
    await repository.push({ url: remote, updates: [{ ref, expected: base, to: parseObjectId(head ?? "") }], limits: TRANSFER_LIMITS });
    return true;
  } catch (error) {
    if (!isImprintError(error)) throw error;
    terminal.warn(`not pushed yet: ${clean(error.message)}; when the host is ready: git -C '${folder}' push -u origin ${shortRef(ref)}`);
    return false;
  } finally {
    await repository.close();
  }
}

function sayNext(
  { terminal }: Deps,
  made: {
    add: string;
    branch: string;
    folder: string;
    isHosted: boolean;
    packages: readonly PackagePattern[];
  },
): void {
  if (!made.isHosted)
    terminal.talk(
      `Give it a host          git -C '${made.folder}' remote add origin <url> && git -C '${made.folder}' push -u origin ${made.branch}`,
    );
  terminal.talk(`Others add you with     ${terminal.style("bold", made.add)}`);
  const example = made.packages.find((pattern) => pattern !== "*") ?? "<any name>";
  terminal.talk(`Next, in a package named ${example.replace("/*", "/…")}   ${terminal.style("bold", "imprint publish")}`);
}

function chooseName({ name, dir }: InitOptions, { env, cwd }: Deps): DisplayName {
  const candidate = name ?? (dir === undefined ? env["USER"] : path.basename(path.resolve(cwd, dir)).replace(/-index$/, ""));
  if (candidate === undefined || !isDisplayName(candidate)) {
    throw new ImprintError(
      "USAGE",
      `Cannot make index: ${candidate === undefined ? "no name" : `${JSON.stringify(candidate)} is no name`}; pass --name with letters, digits, . _ -`,
    );
  }
  return candidate;
}

async function requireEmpty(folder: string): Promise<void> {
  if (existsSync(folder) && (await readdir(folder)).length > 0)
    throw new ImprintError("FOLDER_NOT_EMPTY", `Cannot make index in ${folder}: the folder is not empty`);
}

async function requireNewName(deps: Deps, name: DisplayName): Promise<void> {
  const stores = { files: deps.files, layout: deps.layout };
  const taken =
    (await readOwnIndices(stores)).some((own) => own.name === name) ||
    existsSync(deps.layout.keyFile(name, "daily")) ||
    existsSync(deps.layout.keyFile(name, "root"));
  if (taken) throw new ImprintError("NAME_TAKEN", `Cannot make index ${name}: you have keys or an index of that name`);
}

/** The scope of the package.json here, else everything. */
async function defaultPackages(cwd: string): Promise<readonly PackagePattern[]> {
  const folder = findProjectFolder(cwd);
  try {
    const manifest = JSON.parse(await readFile(path.join(folder ?? cwd, "package.json"), "utf8")) as { name?: unknown };
    const scope = typeof manifest.name === "string" && isPackageName(manifest.name) ? scopeOf(manifest.name) : null;
    if (scope !== null) return [parsePackagePattern(`${scope}/*`)];
  } catch {
    // No package here, or none that can be read: nothing to take a scope from.
  }
  return [parsePackagePattern("*")];
}
