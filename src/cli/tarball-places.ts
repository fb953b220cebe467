/**
 * Where new tarballs go, by the index's newest root: with the branch in one push (`git`), into another repository before
 * it (`git+<url>`), or by the author's own hands (https templates). First or in the same push, never after: a release
 * that is listed can be had.
 */
import { ImprintError, isImprintError } from "../errors.ts";
import { integrityHex } from "../format/decode.ts";
import type { Release } from "../format/release.ts";
import { fillTemplate, isTarballSource, packFileName, readTarballSource } from "../format/tarball-source.ts";
import { deleteRef } from "../git/clone.ts";
import type { GitUrl, RefUpdate } from "../git/port.ts";
import { parseGitUrl, redactUrl } from "../git/url.ts";
import type { TarballStore } from "../index/tarballs.ts";
import { newestRoot, type TrustedState } from "../index/trust.ts";
import type { Deps } from "./deps.ts";
import { withEmptyHands } from "./empty-hands.ts";
import { openTarballs } from "./open.ts";
import { commitTarball, keptTarballRef } from "./tarball-refs.ts";
import { clean } from "../format/text.ts";
import type { OpenUpload } from "./upload.ts";

export type NewTarball = Pick<Release, "name" | "version" | "dist"> & { readonly read: () => Promise<Uint8Array> };

export type TarballPlace = {
  /** The root's own words. */
  readonly sources: readonly string[];
} & ({ readonly kind: "same push" } | { readonly kind: "repository"; readonly url: GitUrl } | { readonly kind: "files" });

/** @throws ImprintError USAGE, INVALID_URL */
export function parseTarballSources(sources: readonly string[], { allowFile }: Pick<Deps, "allowFile">): readonly string[] {
  for (const source of sources) {
    if (!isTarballSource(source))
      throw new ImprintError(
        "USAGE",
        `Cannot take tarballs from ${JSON.stringify(redactUrl(source).slice(0, 200))}: git, git+<url>, or https://host/path with {file}, {name}, {version} or {sha512} in it`,
      );
    const read = readTarballSource(source);
    if (read.kind === "git" && read.url !== null) parseGitUrl(read.url, { allowFile });
  }
  return sources;
}

/** Every git repository that the root names beside the index's own. */
export function tarballRepositories(deps: Pick<Deps, "allowFile">, sources: readonly string[]): readonly GitUrl[] {
  return sources.map(readTarballSource).flatMap((source) => {
    return source.kind === "git" && source.url !== null ? [parseGitUrl(source.url, { allowFile: deps.allowFile })] : [];
  });
}

/** @throws ImprintError INVALID_URL */
export function placeOf(deps: Pick<Deps, "allowFile">, { roots }: Pick<TrustedState, "roots">): TarballPlace {
  const sources = newestRoot(roots).doc.tarballs;
  if (sources.includes("git")) return { kind: "same push", sources };
  const [url] = tarballRepositories(deps, sources);
  return url === undefined ? { kind: "files", sources } : { kind: "repository", url, sources };
}

/** The root may have changed while somebody else was faster. @throws ImprintError STATE_CHANGED */
export function requireSamePlace({ sources }: TarballPlace, { roots }: Pick<TrustedState, "roots">): void {
  if (newestRoot(roots).doc.tarballs.join("\n") !== sources.join("\n"))
    throw new ImprintError("STATE_CHANGED", "Cannot publish: the index's root names other places for tarballs since a moment ago");
}

/** `<file> at <url>` for each address that one tarball may have. */
export function addressesOf(
  { sources }: TarballPlace,
  { name, version, dist }: Pick<Release, "name" | "version" | "dist">,
): readonly string[] {
  const key = { name, version, sha512: integrityHex(dist.integrity) };
  return sources.flatMap((text) => {
    const source = readTarballSource(text);
    return source.kind === "https" ? [fillTemplate(source.template, key)] : [];
  });
}

/**
 * Before anything is signed: what the author uploads by hand must be there, and be what is about to be signed.
 *
 * @param store for tests; else a stranger's, which has nothing cached
 * @throws ImprintError PUSH_FAILED naming the file and where it belongs
 */
export async function requireUploaded(
  deps: Deps,
  place: TarballPlace,
  tarballs: readonly NewTarball[],
  store?: TarballStore,
): Promise<void> {
  if (place.kind !== "files") return;
  await withEmptyHands(deps, async (cold) => {
    const opened = store ?? openTarballs(cold, [], async () => place.sources);
    for (const tarball of tarballs) {
      const { name, version } = tarball;
      try {
        await (await opened.open(tarball)).stream.cancel();
      } catch (error) {
        if (!isImprintError(error)) throw error;
        const file = packFileName(name, version);
        const why = error.message.replace(/^Cannot serve [^:]*: /, "");
        throw new ImprintError(
          "PUSH_FAILED",
          clean(
            `Cannot publish ${name}@${version}: its tarball is not at ${addressesOf(place, tarball).join(" or ")} (${why}); pack it, upload ${file} there, then imprint publish ${file}`,
          ),
          { cause: error },
        );
      }
    }
  });
}

/** For `--dry-run`: where each tarball would go, or has to be put first. */
export function sayPlaces(
  { terminal }: Deps,
  place: TarballPlace,
  tarballs: readonly Pick<NewTarball, "name" | "version" | "dist">[],
): void {
  if (place.kind === "repository") terminal.talk(`tarballs go to ${redactUrl(place.url)} first`);
  if (place.kind !== "files") return;
  for (const tarball of tarballs)
    terminal.talk(clean(`first upload ${packFileName(tarball.name, tarball.version)} to ${addressesOf(place, tarball).join(" or ")}`));
}

/**
 * Commits tarballs, and pushes those that go elsewhere.
 *
 * @returns refs for the push of the index itself
 * @throws ImprintError PUSH_FAILED, UNREACHABLE, …; nothing is published then
 */
export async function placeTarballs(
  deps: Deps,
  { own, repository, upload }: OpenUpload,
  place: TarballPlace,
  tarballs: readonly NewTarball[],
  { push, isFirst }: { readonly push: boolean; /** No release has shown yet what the host takes. */ readonly isFirst: boolean },
): Promise<readonly RefUpdate[]> {
  if (place.kind === "files") return [];
  const updates: RefUpdate[] = [];
  const isElsewhere = place.kind === "repository";
  for (const { dist, read } of tarballs) {
    const update = await commitTarball(repository, integrityHex(dist.integrity), await read(), isElsewhere);
    // Left there by a push that a host refused: a plain `git push` would try it again.
    if (isElsewhere) await deleteRef(own.path, update.ref, deps.git);
    updates.push(update);
  }
  if (!isElsewhere) {
    if (!push || upload.remote === null || !isFirst) return updates;
    // Git's own server takes the branch of an atomic push and refuses a ref that it hides: nobody may find out by publishing.
    await repository.push({ url: upload.remote.pushUrl, updates, limits: upload.limits });
    return [];
  }
  if (push) {
    deps.terminal.progress(`pushing tarballs to ${redactUrl(place.url)}`);
    await repository.push({ url: place.url, updates, limits: upload.limits });
  } else {
    const refs = updates.map(({ ref }) => `${keptTarballRef(ref)}:${ref}`).join(" ");
    deps.terminal.talk(`Before that, its tarballs   git -C '${own.path}' push ${clean(redactUrl(place.url))} ${refs}`);
  }
  return [];
}
