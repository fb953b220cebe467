/**
 * What the HTTP room asks of the registry, and what the registry asks of an upstream. Both answer with finished bytes or
 * throw an `ImprintError` whose code fixes the status (404 verified absent, 403 refused, 503 never verified).
 */
import type { PackageName } from "../format/names.ts";
import type { ReadyDocument } from "./document.ts";

/** Origin and prefix that the client used, without a final slash; from an allow-list, never from a raw Host header. */
export type Base = string;

export type TarballBody = {
  readonly size: number;
  /** Already verified, or verified while it streams and cut off before its end if it fails. */
  readonly stream: ReadableStream<Uint8Array>;
};

/** Which source answered, for logs and for `why`: an alias, or `upstream`. */
export type Answered<T> = { readonly value: T; readonly source: string };

export type Registry = {
  packument(name: PackageName, abbreviated: boolean, base: Base): Promise<Answered<ReadyDocument>>;
  /** One version's manifest, by exact version or dist-tag. */
  version(name: PackageName, versionOrTag: string, base: Base): Promise<Answered<ReadyDocument>>;
  distTags(name: PackageName): Promise<Answered<ReadyDocument>>;
  /** @param file name in the URL, as `foo-1.0.0.tgz` */
  tarball(name: PackageName, file: string): Promise<Answered<TarballBody>>;
};

/** The public registry behind it all. It sees only names that no index claims. Same errors as above. */
export type Upstream = {
  /** Its address. */
  readonly registry: () => Promise<string>;
  packument(name: PackageName, abbreviated: boolean, base: Base): Promise<ReadyDocument>;
  version(name: PackageName, versionOrTag: string, base: Base): Promise<ReadyDocument>;
  distTags(name: PackageName): Promise<ReadyDocument>;
  tarball(name: PackageName, file: string): Promise<TarballBody>;
};
