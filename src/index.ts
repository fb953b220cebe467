/**
 * The library: what another program may build on. Re-exports only.
 *
 * Formats are pure and synchronous; readers and writers take their effects as arguments. Errors are `ImprintError`s with
 * a `code` from `CATALOGUE`.
 */
export { CATALOGUE, type ErrorCode, type ExitCode, ImprintError } from "./errors.ts";
export { canonicalize, formatPretty, type JsonObject, type JsonValue } from "./format/json.ts";
export { type Checkpoint, parseCheckpoint, parseShard, type Shard } from "./format/checkpoint.ts";
export { signingInput, type Signed } from "./format/envelope.ts";
export { type PackageName, parsePackageName } from "./format/names.ts";
export { type PackageRecord, parseRecord } from "./format/record.ts";
export { parseRelease, type Release } from "./format/release.ts";
export { parseRoot, publishersFor, type Root } from "./format/root.ts";
export { parseLock, parseProject, type Lock, type Project } from "./format/project.ts";
export { recordPath, releasePath, rootPath, shardPath } from "./format/paths.ts";
export { isAcceptableKey, verifySignature } from "./crypto/ed25519.ts";
export { type IndexSource, directorySource, type Snapshot } from "./index/source.ts";
export { readPackage, type PackageView, type Verdict } from "./index/package-reader.ts";
export { readState } from "./index/sync.ts";
export { type TrustedState, verifyCheckpoint, verifyFirstRoot, verifyNextRoot } from "./index/trust.ts";
export { verifyIndex, type VerifyReport } from "./audit/verify-index.ts";
export { createApp } from "./http/app.ts";
export { createResolver } from "./registry/resolver.ts";
export { sourceOf, type Source } from "./registry/claims.ts";
