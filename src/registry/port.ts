/**
 * What the HTTP room asks of the registry, and what the registry asks of an upstream. Both answer with finished bytes or
 * throw an `ImprintError` whose code fixes the status (404 verified absent, 403 refused, 503 never verified).
 */
import type { JsonObject, JsonValue } from "../format/json.ts";
import type { PublicName } from "../format/names.ts";
import type { ReadyDocument } from "./document.ts";
import type { Via } from "./upstream/via.ts";

/** Origin and prefix that the client used, without a final slash; from an allow-list, never from a raw Host header. */
export type Base = string;

export type TarballBody = {
  readonly size: number;
  /** Already verified, or verified while it streams and cut off before its end if it fails. */
  readonly stream: ReadableStream<Uint8Array>;
};

export type Answered<T> = {
  readonly value: T;
  /** Which source answered, for logs and for `why`: an alias, or `upstream`. */
  readonly source: string;
  /** For a packument: whether the same would be answered now; if so, that counts as one more answer. Asks nobody. */
  readonly again?: () => boolean;
};

/** `via`: the resolvers that a request has passed already, where it came from one. */
export type Registry = {
  /** @param locked for a client that has chosen its versions already, by a lockfile: yanked ones are in it, too */
  packument(name: PublicName, abbreviated: boolean, base: Base, via?: Via, locked?: boolean): Promise<Answered<ReadyDocument>>;
  /** One version's manifest, by exact version or dist-tag. */
  version(name: PublicName, versionOrTag: string, base: Base, via?: Via): Promise<Answered<ReadyDocument>>;
  distTags(name: PublicName, via?: Via): Promise<Answered<ReadyDocument>>;
  /** @param file name in the URL, as `foo-1.0.0.tgz` */
  tarball(name: PublicName, file: string, via?: Via): Promise<Answered<TarballBody>>;
  /** Keys that `dist.signatures` are checked with: upstream's, and this resolver's own. */
  keys(via?: Via): Promise<ReadyDocument>;
  attestations(name: PublicName, version: string, via?: Via): Promise<Answered<ReadyDocument>>;
  /** npm's search v1 over the project's own indices. Nothing of it goes upstream. */
  search(text: string, page: { readonly from: number; readonly size: number }): Promise<ReadyDocument>;
  /** Advisories for what a client has installed. Only names that upstream may know leave this machine. */
  audit(endpoint: AuditEndpoint, body: JsonValue, via?: Via): Promise<ReadyDocument>;
};

/** Below `/-/npm/v1/security/`. */
export type AuditEndpoint = "advisories/bulk" | "audits/quick" | "audits";

/** What the public registry says of one version, for who checks its signatures. */
export type Published = {
  /** As it lists it; null where there is none. */
  readonly integrity: string | null;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
  /** When it was published, in Unix milliseconds; null: it does not say. */
  readonly timeMs: number | null;
};

/** The public registry behind it all. It sees only names that no index claims. Same errors as above. */
export type Upstream = {
  /** Its address. */
  readonly registry: () => Promise<string>;
  /** `until`: when upstream is asked again, in Unix milliseconds. */
  packument(
    name: PublicName,
    abbreviated: boolean,
    base: Base,
    via?: Via,
  ): Promise<{ readonly document: ReadyDocument; readonly until: number }>;
  version(name: PublicName, versionOrTag: string, base: Base, via?: Via): Promise<ReadyDocument>;
  distTags(name: PublicName, via?: Via): Promise<ReadyDocument>;
  tarball(name: PublicName, file: string, via?: Via): Promise<TarballBody>;
  /** As it lists them. */
  keys(via?: Via): Promise<readonly JsonValue[]>;
  attestations(name: PublicName, version: string, via?: Via): Promise<ReadyDocument>;
  /** Null where it does not have that version. What is here already and has signatures is not asked for again. */
  published(name: PublicName, version: string): Promise<Published | null>;
  /** What it answers to `/-/v1/search`, as it answers: hostile. */
  search(text: string, size: number): Promise<JsonObject>;
  /** @param body as it goes out: what must not leave has been taken out of it */
  audit(endpoint: AuditEndpoint, body: JsonObject, via?: Via): Promise<ReadyDocument>;
};
