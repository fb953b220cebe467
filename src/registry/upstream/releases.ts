/**
 * Public packages as their registry describes and hands them out, each statement checked as far as the registry lets
 * anybody: the packument's integrity against the bytes, the registry's signature against its published keys.
 *
 * A registry, or a mirror in its place, can lie about all of it at once. `import` makes that visible, not impossible:
 * what was believed is written down in the release's `source`, and the index's own signature fixes the bytes.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, mkdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import type { Manifest, Options as PacoteOptions, Packument } from "pacote";
import { ImprintError } from "../../errors.ts";
import { isAddress } from "../../format/decode.ts";
import type { Origin } from "../../format/release.ts";
import type { Exchange } from "./exchange.ts";
import { npmError, type NpmOptions } from "./npm-options.ts";
import { labelOf, type PublicPackage } from "./resolve.ts";

export type PublicRelease = PublicPackage & {
  /** Where it is, as the registry says; `source` has it without what may be a credential. */
  readonly tarball: string;
  /** As the release document carries it. */
  readonly source: Origin;
  /** Of the registry's signatures: checked and good; there, but the registry publishes no keys; not there. */
  readonly signatures: "verified" | "unchecked" | "none";
  readonly deprecated: string | null;
  /** Bytes of its files, as the packument has it; null where it does not say. */
  readonly unpackedSize: number | null;
  /** Whether upstream's own `latest` points at it. */
  readonly isLatest: boolean;
};

export type PublicReleases = {
  /** @throws ImprintError NOT_FOUND, DENIED, BAD_SIGNATURE, IMPORT_REFUSED, UPSTREAM_FAILED */
  describe(wanted: PublicPackage): Promise<PublicRelease>;
  /**
   * Downloads into `file`. The bytes hash to the packument's integrity.
   *
   * @throws ImprintError TARBALL_MISMATCH, IMPORT_REFUSED (too large), UPSTREAM_FAILED, TIMED_OUT
   */
  download(release: PublicRelease, file: string, limits: DownloadLimits): Promise<void>;
};

export type DownloadLimits = {
  readonly maxBytes: number;
  readonly deadlineMs: number;
  /** Ends it early: another one has failed. */
  readonly signal: AbortSignal;
  readonly onBytes: (count: number) => void;
};

const MAX_DEPRECATION_CHARS = 1000;

export function openPublicReleases(options: NpmOptions, exchange: Exchange): PublicReleases {
  const keys = new Map<string, Promise<readonly unknown[] | null>>();
  return {
    async describe(wanted) {
      const label = labelOf(wanted);
      const [{ default: pacote }, { default: npmFetch }] = await Promise.all([import("pacote"), import("npm-registry-fetch")]);
      const registry = npmFetch.pickRegistry(label, options);
      let ofRegistry = keys.get(registry);
      if (ofRegistry === undefined) keys.set(registry, (ofRegistry = exchange.during(fetchKeys(registry, options))));
      const known = await ofRegistry;
      const { host, pathname } = new URL(registry);
      // Full documents always: the resolver has fetched those already, and a signature's key is judged by `time`.
      const asking = {
        ...options,
        fullMetadata: true,
        before: null, // a user's min-release-age had its say when the version was chosen
        ...(known === null ? {} : { verifySignatures: true, [`//${host}${pathname}:_keys`]: known }),
      } as unknown as PacoteOptions & { fullMetadata: true };
      try {
        const manifest: Manifest = await exchange.during(pacote.manifest(label, asking));
        const packument = await exchange.during(pacote.packument(wanted.name, asking));
        return releaseOf(wanted, manifest, packument, { registry, hasKeys: known !== null });
      } catch (error) {
        throw npmError(error, label, registry);
      }
    },
    async download(release, file, { maxBytes, deadlineMs, signal, onBytes }) {
      const label = labelOf(release);
      const { algorithm, hex } = await strongestOf(release);
      const kept = path.join(options.cache, "tarballs", algorithm, hex.slice(0, 2), hex);
      if ((await hashOf(kept, algorithm)) === hex) {
        await copyFile(kept, file);
        return onBytes((await stat(file)).size);
      }
      const tooLong = new ImprintError("TIMED_OUT", `Cannot import ${label}: its tarball took longer than ${deadlineMs / 1000} s`);
      const own = new AbortController();
      const timer = setTimeout(() => own.abort(tooLong), deadlineMs);
      const hash = createHash(algorithm);
      const onChunk = (chunk: Uint8Array): void => {
        hash.update(chunk);
        onBytes(chunk.byteLength);
      };
      try {
        const limits = { maxBytes, totalMs: 2 * deadlineMs, signal: AbortSignal.any([signal, own.signal]), onChunk };
        await exchange.during(exchange.download(release.tarball, file, { ...limits, what: label }));
      } catch (error) {
        if (own.signal.aborted) throw tooLong;
        throw npmError(error, `the tarball of ${label}`, options.registry);
      } finally {
        clearTimeout(timer);
      }
      if (hash.digest("hex") !== hex)
        throw new ImprintError("TARBALL_MISMATCH", `Cannot import ${label}: its tarball is not what the registry's integrity says`);
      await keep(file, kept);
    },
  };
}

/** The strongest statement of the registry about its bytes. */
async function strongestOf({ source }: PublicRelease): Promise<{ readonly algorithm: string; readonly hex: string }> {
  const { default: ssri } = await import("ssri");
  const integrity = ssri.parse(source.integrity);
  const algorithm = integrity?.pickAlgorithm() ?? "";
  const hex = integrity?.hexDigest();
  if (hex === undefined)
    throw new ImprintError("IMPORT_REFUSED", "Cannot import: the registry's integrity is of no kind that can be checked");
  return { algorithm, hex };
}

/** For the next import, and for resolvers on this machine. Never fails: without it they ask again. */
async function keep(file: string, kept: string): Promise<void> {
  try {
    await mkdir(path.dirname(kept), { recursive: true, mode: 0o700 });
    await copyFile(file, `${file}.kept`);
    await rename(`${file}.kept`, kept);
  } catch {
    await rm(`${file}.kept`, { force: true }).catch(() => undefined);
  }
}

/** Null where there is no such file. */
async function hashOf(file: string, algorithm: string): Promise<string | null> {
  const hash = createHash(algorithm);
  try {
    await pipeline(createReadStream(file), hash);
    return hash.digest("hex");
  } catch {
    return null;
  }
}

/** The keys that a registry signs with, as pacote takes them; null: it publishes none (as npm audit signatures reads it). */
async function fetchKeys(registry: string, options: NpmOptions): Promise<readonly unknown[] | null> {
  const { default: npmFetch } = await import("npm-registry-fetch");
  try {
    const answer: unknown = await npmFetch.json("/-/npm/v1/keys", { ...options, registry, preferOnline: true } as Parameters<
      typeof npmFetch.json
    >[1]);
    const listed: unknown = typeof answer === "object" && answer !== null && "keys" in answer ? answer.keys : null;
    if (!Array.isArray(listed))
      throw new ImprintError("UPSTREAM_FAILED", "Cannot read the registry's signing keys: it sent something else");
    return listed.flatMap((key: unknown) =>
      typeof key === "object" && key !== null && "key" in key && typeof key.key === "string"
        ? [{ ...key, pemkey: `-----BEGIN PUBLIC KEY-----\n${key.key}\n-----END PUBLIC KEY-----` }]
        : [],
    );
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    if (code === "E404" || code === "E400") return null;
    throw npmError(error, "the registry's signing keys", registry);
  }
}

async function releaseOf(
  wanted: PublicPackage,
  manifest: Manifest,
  packument: Packument,
  { registry, hasKeys }: { readonly registry: string; readonly hasKeys: boolean },
): Promise<PublicRelease> {
  const label = labelOf(wanted);
  const refused = (why: string): ImprintError => new ImprintError("IMPORT_REFUSED", `Cannot import ${label}: ${why}`);
  if (manifest.name !== wanted.name || manifest.version !== wanted.version)
    throw refused(`the registry answers with ${JSON.stringify(manifest.name)} ${JSON.stringify(manifest.version)}`);
  const dist: Readonly<Record<string, unknown>> = { ...manifest.dist };
  const { tarball, signatures, unpackedSize } = dist;
  if (typeof tarball !== "string" || !URL.canParse(tarball)) throw refused("the registry names no tarball");
  const url = new URL(tarball);
  // Anything but the registry itself only by https: a packument must not make this machine ask its own network (S1).
  if (url.origin !== new URL(registry).origin && url.protocol !== "https:")
    throw refused("its tarball is neither on the registry nor https");
  const signed = Array.isArray(signatures) ? signatures.flatMap(signatureOf) : [];
  const { deprecated } = manifest;
  return {
    ...wanted,
    tarball: url.href,
    source: { url: publicAddress(url, refused), integrity: await integrityOf(dist, refused), signatures: signed },
    signatures: signed.length === 0 ? "none" : hasKeys ? "verified" : "unchecked",
    deprecated: typeof deprecated === "string" && deprecated !== "" ? wellFormed(deprecated) : null,
    unpackedSize: typeof unpackedSize === "number" && Number.isSafeInteger(unpackedSize) && unpackedSize >= 0 ? unpackedSize : null,
    isLatest: packument["dist-tags"]?.latest === wanted.version,
  };
}

/** Without what may be a credential: the address is signed and published. */
function publicAddress(url: URL, refused: (why: string) => ImprintError): string {
  const bare = `${url.origin}${url.pathname}`;
  if (!isAddress(bare)) throw refused("the address of its tarball is none that an index can hold");
  return bare;
}

/** The registry's own statement, as SRI; old packages have a sha1 only. */
async function integrityOf(
  { integrity, shasum }: Readonly<Record<string, unknown>>,
  refused: (why: string) => ImprintError,
): Promise<string> {
  const { default: ssri } = await import("ssri");
  const given = typeof integrity === "string" ? ssri.parse(integrity, { strict: true }) : null;
  if (given !== null && ("sha512" in given || "sha1" in given)) return given.toString();
  if (typeof shasum === "string" && /^[0-9a-f]{40}$/u.test(shasum)) return ssri.fromHex(shasum, "sha1").toString();
  throw refused("the registry gives neither a sha512 nor a sha1 of its tarball");
}

function signatureOf(entry: unknown): Origin["signatures"] {
  if (typeof entry !== "object" || entry === null || !("keyid" in entry) || !("sig" in entry)) return [];
  const { keyid, sig } = entry;
  return typeof keyid === "string" && typeof sig === "string" ? [{ keyid: wellFormed(keyid), sig: wellFormed(sig) }] : [];
}

/** A lone surrogate can't be signed. */
function wellFormed(text: string): string {
  return Buffer.from(text.slice(0, MAX_DEPRECATION_CHARS), "utf8").toString("utf8");
}
