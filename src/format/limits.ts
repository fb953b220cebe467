/**
 * Every cap on what comes from elsewhere, in one flat table with its unit in the name or the comment: bytes, characters, levels,
 * counts, milliseconds. Where one is used it is a parameter, or its default, so that tests can lower it.
 */

/** Those of the format. SPEC.md lists the same numbers. */
export const FORMAT_LIMITS = {
  /** Levels of nesting of any JSON document. */
  depth: 32,
  rootBytes: 262_144,
  checkpointBytes: 65_536,
  shardBytes: 8_388_608,
  recordBytes: 8_388_608,
  releaseBytes: 1_048_576,
  /** Releases that one package lists. */
  packageReleases: 20_000,
  /** Their files together. */
  packageReleasesBytes: 33_554_432,
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

export const LIMITS = {
  ...FORMAT_LIMITS,
  /** One fetch or push. */
  transferBytes: 2_147_483_648,
  /** Objects of one fetch. */
  transferObjects: 5_000_000,
  /** One fetch or push, whole, in milliseconds. */
  transferMs: 300_000,
  /** A tarball that is inspected. */
  packageBytes: 536_870_912,
  /** The tar in it, headers and padding included: what a small bomb may grow to before it is dropped. */
  packageUnpackedBytes: 2_147_483_648,
  /** Files and folders in it together. */
  packageEntries: 100_000,
  /** One path in it, top folder included. */
  packagePathBytes: 1024,
  /** All its paths: all that is kept in memory of each entry. */
  packagePathsBytes: 16_777_216,
  /** One pax header or GNU long name in it. */
  packageHeaderBytes: 65_536,
  /** Its package.json. */
  packageJsonBytes: 2_097_152,
  /** Levels of nesting in that. */
  packageJsonDepth: 100,
  /** Targets in its `exports`: each is held against every file. */
  exportTargets: 20_000,
  /** A request body on the wire. */
  requestSentBytes: 8_388_608,
  /** The same, inflated. */
  requestBodyBytes: 33_554_432,
  /** Until all of it is there, in milliseconds. */
  requestMs: 15_000,
  /** Characters of a git address. */
  gitUrlChars: 2048,
  /** Characters of a ref name. */
  refNameChars: 512,
  /** A commit object. */
  commitBytes: 1_048_576,
  /** One folder of a repository: some 300,000 files. */
  treeBytes: 16_777_216,
  /** Folders in folders, where a whole tree is listed. */
  treeDepth: 1000,
  /** Files of a tree listed without git. */
  listedFilesEmbedded: 1_000_000,
  /** Files of a tree listed by git. */
  listedFiles: 5_000_000,
  /** One path that git lists. */
  listedPathBytes: 65_536,
  /** A pack that is fetched without git, which holds it in memory. */
  embeddedPackBytes: 67_108_864,
  /** Objects of one. */
  embeddedObjects: 100_000,
  /** What a pack may inflate to, as a multiple of the bytes that a transfer may have. */
  packInflation: 16,
  /** What git may print where it is not read as it comes. */
  gitOutputBytes: 16_777_216,
  /** What a host may say beside a pack. */
  hostTalkBytes: 1_048_576,
  /** The index of a pack. */
  packIndexBytes: 67_108_864,
  /** One object read without git. */
  objectBytes: 134_217_728,
  /** Deltas upon deltas. */
  deltaChain: 4096,
  /** What is kept of a chain of deltas while a pack is indexed. */
  deltaChainBytes: 67_108_864,
  /** A host's report on a push. */
  pushReportBytes: 1_048_576,
  /** A host's list of its refs. */
  refListingBytes: 33_554_432,
  /** What is kept of that: branches, and the refs that were asked for. */
  keptRefBytes: 4_194_304,
  /** Of that, what git may hold at once: with hosts that know no version 2 of its protocol, a line for each tarball. */
  gitListingBytes: 16_777_216,
  /** Memory of git for what a host says, its refs above all: some 100,000 of them, which git keeps twice. */
  gitTalkResidentBytes: 117_440_512,
  /** Memory of git for that and the pack of a reader's sync. */
  gitPackResidentBytes: 167_772_160,
  /** Redirects of one git request. */
  gitRedirects: 5,
  /** Silence of a git host, in milliseconds. */
  gitStallMs: 60_000,
  /** One line of git's protocol (its own limit). */
  packetLineBytes: 65_520,
  /** Redirects of one download. */
  downloadRedirects: 5,
  /** A file of a sparse index, whole, in milliseconds. */
  sparseDocumentMs: 60_000,
  /** Between two pieces of it, in milliseconds. */
  sparseIdleMs: 15_000,
  /** What a static host says to tell a file from its next version. */
  validatorBytes: 4096,
  /** A tarball of an index, whole, in milliseconds. */
  tarballMs: 300_000,
  /** Between two pieces of it, in milliseconds. */
  tarballIdleMs: 30_000,
  /** For a slow address once another one has answered, in milliseconds. */
  mirrorWaitMs: 2000,
  /** Mirrors of a root that are asked. */
  mirrors: 8,
  /** Files under `proposals/` that are looked at. */
  proposalFiles: 20_000,
  /** A request for signatures: every record before and after, of an index of tens of thousands of packages. */
  requestBytes: 268_435_456,
  /** What this machine remembers of one package. */
  memoryBytes: 268_435_456,
  /** What it trusts of one index: more than all roots that there may be. */
  stateBytes: 536_870_912,
  /** A package manager's lockfile. */
  lockfileBytes: 67_108_864,
  /** Levels of nesting in one. */
  lockfileDepth: 64,
  /** Cost of opening a key file, as the exponent of 2 that scrypt takes. */
  scryptLogN: 20,
  /** A key file. */
  keyFileBytes: 65_536,
  /** An OpenSSH key file. */
  openSshKeyBytes: 65_536,
  /** The tokens of a team. */
  tokenFileBytes: 1_048_576,
  /** What git hands to a hook. */
  hookInputBytes: 16_777_216,
  /** Levels of nesting of a request body. */
  requestDepth: 1000,
  /** Characters of a request path. */
  pathChars: 2048,
  /** Characters of a search. */
  searchChars: 400,
  /** Results of one search. */
  searchResults: 250,
  /** A document of the public registry. */
  upstreamDocumentBytes: 134_217_728,
  /** What it answers to a search or an audit. */
  upstreamAnswerBytes: 33_554_432,
  /** A tarball of the public registry. */
  upstreamTarballBytes: 1_073_741_824,
  /** Until a connection to it stands, in milliseconds. */
  upstreamConnectMs: 5000,
  /** Until its headers, and between two pieces of a body, in milliseconds. */
  upstreamIdleMs: 15_000,
  /** A document of it, whole, in milliseconds: a byte a second ends here. */
  upstreamDocumentMs: 30_000,
  /** A tarball of it, whole, in milliseconds. */
  upstreamTarballMs: 600_000,
  /** Redirects of one request to it. */
  upstreamRedirects: 5,
  /** Packages that one import asks for, unless `--max-packages` says otherwise. */
  importPackages: 2000,
  /** A packument that an import reads: the largest known are near 40 MB. */
  importDocumentBytes: 67_108_864,
  /** Values in one. */
  importDocumentValues: 2_500_000,
  /** Dependencies of one kind that one version may have. */
  importDependencies: 5000,
  /** Packuments that are held while packages are resolved. */
  importHeldBytes: 33_554_432,
  /** What a tarball may unpack to that the resolver opens, for what it bundles or shrinkwraps. */
  importUnpackedBytes: 536_870_912,
  /** All that one import receives. */
  importBytes: 8_589_934_592,
  /** Until npm's resolver is done, in milliseconds. */
  importResolveMs: 900_000,
  /** Resolvers behind one another. */
  resolvers: 8,
  /** Characters of a Via header. */
  viaChars: 4096,
  /** Indices of one agreement. */
  agreeing: 16,
} as const;
