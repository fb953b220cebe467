/** Every cap of the format, in one flat table: bytes, levels and counts. SPEC.md lists the same numbers. */
export const LIMITS = {
  /** Levels of nesting of any JSON document. */
  depth: 32,
  rootBytes: 262_144,
  checkpointBytes: 65_536,
  shardBytes: 8_388_608,
  recordBytes: 8_388_608,
  releaseBytes: 1_048_576,
  projectBytes: 1_048_576,
  lockBytes: 1_048_576,
  /** Signatures on one document. */
  signatures: 16,
  /** Keys of one role. */
  keys: 8,
  /** Roots of one index. */
  roots: 1024,
  /** Characters of a package name (npm's own limit). */
  nameChars: 214,
  versionChars: 128,
  tagChars: 64,
} as const;
