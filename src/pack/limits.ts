import { LIMITS } from "../format/limits.ts";

/**
 * The caps of this room. All are parameters, so that tests can lower them. A tarball of a hostile
 * author may be any size that a gzip stream can name: whatever grows with its content has its own line here.
 */
export type PackLimits = {
  /** Bytes of the .tgz itself. */
  readonly maxCompressedBytes: number;
  /** Bytes of the tar inside, headers and padding included: what a small bomb may grow to before it is dropped. */
  readonly maxUnpackedBytes: number;
  /** Files and folders together, folders counted whether or not they have an entry of their own. */
  readonly maxEntries: number;
  /** UTF-8 bytes of one path, top folder included. */
  readonly maxPathBytes: number;
  /** UTF-8 bytes of all paths together: the only thing kept in memory of each entry. */
  readonly maxPathsBytes: number;
  /** Bytes of one pax header or GNU long name. */
  readonly maxHeaderBytes: number;
  /** Bytes of package.json, in a tarball or on disk. */
  readonly maxPackageJsonBytes: number;
  /** Levels of nesting in package.json. */
  readonly maxPackageJsonDepth: number;
};

export const PACK_LIMITS: PackLimits = {
  maxCompressedBytes: LIMITS.packageBytes,
  maxUnpackedBytes: LIMITS.packageUnpackedBytes,
  maxEntries: LIMITS.packageEntries,
  maxPathBytes: LIMITS.packagePathBytes,
  maxPathsBytes: LIMITS.packagePathsBytes,
  maxHeaderBytes: LIMITS.packageHeaderBytes,
  maxPackageJsonBytes: LIMITS.packageJsonBytes,
  maxPackageJsonDepth: LIMITS.packageJsonDepth,
};
