/**
 * Tarballs of one index: from wherever its root says, believed by nothing but size and sha512.
 *
 * They are checked before the first byte reaches a client, and kept by content, so a host can only refuse them. Each
 * source is tried in turn; the first that has the right bytes wins.
 */
import { ImprintError, isImprintError } from "../errors.ts";
import { integrityHex } from "../format/decode.ts";
import type { Release } from "../format/release.ts";
import { fillTemplate, readTarballSource, type TarballKey, type TarballSource, tarballRef } from "../format/tarball-source.ts";

/** What it takes to know a tarball. */
export type Wanted = Pick<Release, "name" | "version" | "dist">;

export type TarballStore = {
  /** @throws ImprintError TARBALL_MISMATCH, MISSING_FILE, UNREACHABLE, TIMED_OUT, STORAGE_FAILED */
  open(release: Wanted): Promise<{ readonly size: number; readonly stream: ReadableStream<Uint8Array> }>;
};

/** Effects of the store. `source` is one entry of the newest root's `tarballs`. */
export type TarballEffects = {
  /** The newest root's sources, in order. */
  readonly sources: () => Promise<readonly string[]>;
  /** A tarball that is here already, checked as it is read; null otherwise. */
  readonly openBlob: (sha512: string) => Promise<{ readonly size: number; readonly stream: ReadableStream<Uint8Array> } | null>;
  /** Keeps the bytes if they are `size` long and hash to `sha512`. @throws ImprintError TARBALL_MISMATCH */
  readonly putBlob: (bytes: AsyncIterable<Uint8Array>, expected: { readonly sha512: string; readonly size: number }) => Promise<void>;
  /** `package.tgz` at a tarball ref of `url` (null: the index's own URLs). */
  readonly fromGit: (url: string | null, ref: string, maxBytes: number) => Promise<AsyncIterable<Uint8Array>>;
  readonly fromHttps: (url: string, maxBytes: number) => Promise<AsyncIterable<Uint8Array>>;
};

export function openTarballStore(effects: TarballEffects): TarballStore {
  const flights = new Map<string, Promise<void>>();

  const fetchOne = (source: TarballSource, key: TarballKey, maxBytes: number): Promise<AsyncIterable<Uint8Array>> =>
    source.kind === "git"
      ? effects.fromGit(source.url, tarballRef(key.sha512), maxBytes)
      : effects.fromHttps(fillTemplate(source.template, key), maxBytes);

  const fetchAny = async ({ name, version, dist }: Wanted): Promise<void> => {
    const key: TarballKey = { name, version, sha512: integrityHex(dist.integrity) };
    const faults: ImprintError[] = [];
    for (const source of await effects.sources()) {
      try {
        const bytes = await fetchOne(readTarballSource(source), key, dist.size);
        return await effects.putBlob(bytes, { sha512: key.sha512, size: dist.size });
      } catch (error) {
        if (!isImprintError(error)) throw error;
        faults.push(error);
      }
    }
    const worst = faults.find(({ code }) => code === "TARBALL_MISMATCH") ?? faults[0];
    // An address that may not be asked is the index's fault, not that of whoever wants the tarball: no 400, no usage error.
    const code = worst === undefined || worst.code === "INVALID_URL" ? "MISSING_FILE" : worst.code;
    throw new ImprintError(code, `Cannot serve ${name}@${version}: ${worst?.message ?? "its index names no source of tarballs"}`, {
      cause: worst,
    });
  };

  return {
    async open(release) {
      const sha512 = integrityHex(release.dist.integrity);
      const kept = await effects.openBlob(sha512);
      if (kept !== null) return kept;
      let flight = flights.get(sha512);
      if (flight === undefined) {
        flight = fetchAny(release).finally(() => flights.delete(sha512));
        flights.set(sha512, flight);
      }
      await flight;
      const fetched = await effects.openBlob(sha512);
      if (fetched === null)
        throw new ImprintError("STORAGE_FAILED", `Cannot serve ${release.name}@${release.version}: the tarball could not be kept`);
      return fetched;
    },
  };
}
