/**
 * What Imprint needs of git, and nothing else. Two adapters answer to this contract (system git; isomorphic-git), and
 * one contract suite tests both.
 *
 * Git is transport, never trust: nothing that comes through this port is believed because git said so. Every byte is
 * checked by hash or signature above it. What an adapter must guarantee is narrower: it never runs code that a remote
 * or a repository chose, never leaves its own folders, never waits for a terminal, and stops at its limits.
 */

declare const brand: unique symbol;
/** A git address that `parseGitUrl` let through; may be handed to git after `--`. Credentials are never part of it. */
export type GitUrl = string & { readonly [brand]: "GitUrl" };
/** A full ref name such as `refs/heads/main`, checked against git's rules. */
export type RefName = string & { readonly [brand]: "RefName" };
/** 40 (sha1) or 64 (sha256) lower-case hex digits: a name for bytes, never a proof of them. */
export type ObjectId = string & { readonly [brand]: "ObjectId" };

/** Caps on one transfer. All are parameters so that tests can lower them. */
export type TransferLimits = {
  /** Bytes that a fetch may leave on disk before it is stopped. */
  readonly maxBytes: number;
  /** Objects that one fetch may bring. */
  readonly maxObjects: number;
  /** Milliseconds for the whole transfer. */
  readonly deadlineMs: number;
  /** Ends it before that: nobody waits for it any longer. */
  readonly signal?: AbortSignal;
};

export type RefUpdate = {
  readonly ref: RefName;
  /** What the remote must hold now: an id, or null for "does not exist". */
  readonly expected: ObjectId | null;
  /** Null: the ref is deleted. */
  readonly to: ObjectId | null;
};

/** One file of a commit to be made: path with `/`, and its bytes (null: removed). */
export type FileChange = { readonly path: string; readonly content: Uint8Array | null };

export type CommitRequest = {
  /** The commit to build on; null: an orphan with only `changes` in it. */
  readonly base: ObjectId | null;
  readonly changes: readonly FileChange[];
  readonly message: string;
  readonly author: { readonly name: string; readonly email: string };
  /** Unix time in milliseconds; passed in so that tests and orphan tarball commits are reproducible. */
  readonly timeMs: number;
};

/**
 * One local repository (bare, or an author's clone) that can exchange objects with remotes.
 *
 * Errors are `ImprintError`s: UNREACHABLE, TIMED_OUT, TOO_LARGE, GIT_MISSING, LOST_RACE (push: an expected value did
 * not hold), PUSH_FAILED (push refused for another reason, git's own words included), STORAGE_FAILED, INVALID_DOCUMENT
 * (a repository that git can't read). Never does a message carry credentials.
 */
export type GitRepository = {
  /**
   * The remote's `ref`, fetched without history into quarantine and, when whole and within limits, moved into this
   * repository and kept from collection under the local ref `keepAs`. Returns null where the remote has no such ref.
   * With `blobs: false`, and where the server can filter, files' contents are left behind for `readFiles` to fetch on
   * demand. On any error this repository is as it was.
   */
  fetch(request: {
    readonly url: GitUrl;
    readonly ref: RefName;
    readonly keepAs: RefName;
    readonly blobs: boolean;
    readonly limits: TransferLimits;
  }): Promise<ObjectId | null>;

  /** The commit that a local ref points at, or null. */
  head(ref: RefName): Promise<ObjectId | null>;

  /**
   * Regular files at `commit`, in the order of `paths`; null for one that is not there, is no regular file (symbolic
   * link, submodule, folder), or is larger than its `maxBytes` (then `tooLarge`). Missing blobs of a filtered fetch are
   * fetched from `url` in one request. Looks only at trees on the way to the paths.
   */
  readFiles(request: {
    readonly commit: ObjectId;
    readonly files: readonly { readonly path: string; readonly maxBytes: number }[];
    /** Where blobs that a filtered fetch left behind may be had; null: nowhere, they are missing. */
    readonly url: GitUrl | null;
    readonly limits: TransferLimits;
  }): Promise<readonly FileRead[]>;

  /**
   * Every file path at `commit` with its mode, for a whole-index check; git's own modes (`100644`, `120000`, …). With
   * `folder` (such as `proposals`) only those below it, and no other tree is looked at.
   */
  listFiles(commit: ObjectId, folder?: string): Promise<readonly { readonly path: string; readonly mode: string }[]>;

  /** A new commit object, without touching a work tree, an index file or any ref but `keepAs`. */
  commit(request: CommitRequest & { readonly keepAs: RefName }): Promise<ObjectId>;

  /** All updates or none, each only if the remote still holds what is expected. */
  push(request: { readonly url: GitUrl; readonly updates: readonly RefUpdate[]; readonly limits: TransferLimits }): Promise<void>;

  /** Ends helper processes; the repository may be used again afterwards. */
  close(): Promise<void>;
};

/** `missing`: not in the tree, or not a regular file; `unavailable`: in the tree, but its bytes could not be had. */
export type FileRead =
  | { readonly state: "found"; readonly bytes: Uint8Array }
  | { readonly state: "missing" }
  | { readonly state: "unavailable" }
  | { readonly state: "tooLarge"; readonly bytes: null };

/** The part of the web's `fetch` that the embedded git uses: `storage/proxy.ts` has one that knows proxies. */
export type HttpFetch = (
  url: URL,
  init: {
    readonly method: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: Uint8Array<ArrayBuffer> | null;
    readonly redirect: "manual";
    readonly signal: AbortSignal;
  },
) => Promise<Response>;
