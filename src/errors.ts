/**
 * The one error class of this project and its closed catalogue.
 *
 * Every failure that a user can meet has a code here. A code fixes three things at once, so that the command line,
 * the HTTP server and a script that reads `--json` never disagree: the exit code, the HTTP status, and the hint (what
 * to do next, naming a command that exists). Messages read "Cannot <verb> <thing>: <state>".
 */

type Entry = { readonly exit: ExitCode; readonly http: 400 | 403 | 404 | 405 | 500 | 502 | 503 | 508; readonly hint: string };

/** 1 refused · 2 usage · 3 configuration · 4 trust · 5 network · 6 conflict · 7 key or passphrase. */
export type ExitCode = 1 | 2 | 3 | 4 | 5 | 6 | 7;

/** Code → exit code, HTTP status, next step. `<name>` in a hint stands for whatever the message names. */
export const CATALOGUE = {
  // 1: refused
  NOT_FOUND: { exit: 1, http: 404, hint: "check the spelling; imprint why <name> shows who answers for a name" },
  DENIED: { exit: 1, http: 403, hint: "imprint why <name> shows the rule in imprint.json that denies it" },
  TOO_YOUNG: {
    exit: 1,
    http: 403,
    hint: "wait, or lower minAgeHours in imprint.json; imprint why <name> shows when each release is old enough",
  },
  NOT_AGREED: {
    exit: 1,
    http: 403,
    hint: "imprint why <name> shows what each index of agree in imprint.json has; tell the author of the one that is alone",
  },
  PACKAGE_REFUSED: { exit: 1, http: 403, hint: "change the package as the message says, then imprint publish --dry-run" },
  PACKAGE_TOO_LARGE: {
    exit: 1,
    http: 403,
    hint: "its author has released more than one package may hold: all others are served, and imprint why <name> says which limit it is",
  },
  TARBALL_REFUSED: { exit: 1, http: 403, hint: "pack the package again from a clean folder, then imprint publish --dry-run" },
  TAG_REFUSED: {
    exit: 1,
    http: 403,
    hint: "imprint tag ls <name> shows where the tags point, imprint tag add <name>@<version> <tag> moves one",
  },
  PACK_FAILED: { exit: 1, http: 500, hint: "mend the script or command that failed, then imprint publish again" },
  IMPORT_REFUSED: {
    exit: 1,
    http: 403,
    hint: "nothing was imported: choose another version, or imprint import <spec> without --deps and each dependency by hand",
  },
  ROOT_REFUSED: { exit: 1, http: 403, hint: "imprint root show lists keys and thresholds; nothing was signed" },
  REQUEST_REFUSED: {
    exit: 1,
    http: 403,
    hint: "nothing was signed or published: make the request again with --out, then imprint root sign",
  },
  AUDIT_FAILED: { exit: 1, http: 403, hint: "imprint why <name> explains each package; do not install until it is clear" },
  COMMAND_NOT_FOUND: { exit: 1, http: 500, hint: "install the command, or check the words after imprint run" },
  // 2: usage
  USAGE: { exit: 2, http: 400, hint: "imprint --help lists the commands; imprint add --help, for one, its options" },
  BAD_REQUEST: { exit: 2, http: 400, hint: "imprint why <name> shows what a request for that name may look like" },
  METHOD_NOT_ALLOWED: { exit: 2, http: 405, hint: "publish with imprint publish: this server only reads" },
  INVALID_NAME: { exit: 2, http: 400, hint: "check the spelling; imprint why <name> shows what a name resolves to" },
  INVALID_URL: {
    exit: 2,
    http: 400,
    hint: "use an https or ssh git address, or sparse+https: imprint add 'https://host/alice/index.git#<id>'",
  },
  NEEDS_ID: { exit: 2, http: 400, hint: "ask the author for the address with its #<id>, then imprint add '<url>#<id>'" },
  NEEDS_ANSWER: {
    exit: 2,
    http: 400,
    hint: "answer on a terminal, or pass --yes, or the lists that the message names (imprint add wants the index id with it)",
  },
  // 3: configuration
  CONFIG_INVALID: { exit: 3, http: 500, hint: "mend the file at the place named (or restore it from git), then imprint list" },
  CONFIG_MISSING: {
    exit: 3,
    http: 500,
    hint: "imprint add '<url>#<id>' makes one beside the nearest package.json, or with -g the user's own",
  },
  CLAIMS_CONFLICT: { exit: 3, http: 500, hint: "give the name to one index only in imprint.json, then imprint list" },
  FOREIGN_FILE: {
    exit: 3,
    http: 500,
    hint: "remove it or make it yours (chown), or where you trust its owner: git config --global --add safe.directory <folder>; then imprint list",
  },
  LOOSE_FILE: { exit: 3, http: 500, hint: "chmod 600 the file, and change the secret if somebody could have read it; then imprint doctor" },
  SCOPE_REGISTRY: { exit: 3, http: 500, hint: "remove that line (its index answers for the scope), then imprint run again" },
  WRONG_ADDRESS: {
    exit: 3,
    http: 403,
    hint: "in the project's folder: imprint sync writes its address into .npmrc, imprint serve answers there; or imprint run before the command",
  },
  SETTINGS_UNCLEAR: { exit: 3, http: 500, hint: "change that setting as the message says, then imprint run again" },
  CLIENT_UNSAFE: { exit: 3, http: 500, hint: "imprint run npm install, or pnpm, yarn, bun, deno" },
  NOT_AN_INDEX: { exit: 3, http: 502, hint: "check the address; imprint init makes a new index" },
  BRANCH_RENAMED: {
    exit: 3,
    http: 502,
    hint: "the command in the message; imprint set-url checks that the branch holds the pinned index before it says so",
  },
  NO_OWN_INDEX: { exit: 3, http: 500, hint: "imprint init makes an index; imprint publish --index <dir> names one" },
  NOT_GRANTED: { exit: 3, http: 403, hint: "imprint root grant '<name>' lets your index publish that name" },
  FOLDER_NOT_EMPTY: { exit: 3, http: 500, hint: "choose a folder that does not exist yet: imprint init <dir>" },
  FILE_UNREADABLE: {
    exit: 3,
    http: 500,
    hint: "check that it is there and readable, then imprint publish, or whichever command it was, again",
  },
  STORAGE_FAILED: { exit: 3, http: 503, hint: "check free space and permissions of IMPRINT_HOME; nothing was changed, then imprint sync" },
  PORT_IN_USE: { exit: 3, http: 500, hint: "imprint serve --port <other>, or stop the program that has the port" },
  LOOP_DETECTED: {
    exit: 3,
    http: 508,
    hint: "upstream.registry in imprint.json leads back here: imprint why <name> shows which registry answers; name another",
  },
  CLOCK_WRONG: {
    exit: 3,
    http: 500,
    hint: "set the clock by the network (timedatectl set-ntp true), then imprint publish again; where it is right and the other one wrong: IMPRINT_TRUST_CLOCK=1",
  },
  GIT_MISSING: { exit: 3, http: 500, hint: "install git 2.34 or newer; imprint sync then shows whether it is found" },
  WORK_TREE: { exit: 3, http: 500, hint: "commit, stash or undo what git status shows in the index, then imprint publish again" },
  // 4: trust
  INVALID_DOCUMENT: { exit: 4, http: 403, hint: "imprint verify <url> shows every fault of the index; tell its author" },
  UNSUPPORTED_FORMAT: { exit: 4, http: 403, hint: "needs a newer imprint: update it, then imprint sync" },
  TOO_LARGE: {
    exit: 4,
    http: 403,
    hint: "where git is installed nothing honest is that large: imprint verify <url> shows the file; tell the author",
  },
  MISSING_FILE: { exit: 4, http: 403, hint: "the host withholds a file that the index lists: imprint sync later, or tell the author" },
  HASH_MISMATCH: { exit: 4, http: 403, hint: "the host serves other bytes than were signed: imprint sync later, or tell the author" },
  BAD_SIGNATURE: { exit: 4, http: 403, hint: "not signed by the keys that the root names: imprint verify <url>; tell the author" },
  WRONG_ID: { exit: 4, http: 403, hint: "this is not the index you pinned: compare the id with its author before imprint add" },
  WRONG_INDEX: { exit: 4, http: 403, hint: "a file was copied from another place: imprint verify <url>; tell the author" },
  ROLLBACK: { exit: 4, http: 403, hint: "the host serves an older state than you have seen: imprint sync later, or tell the author" },
  EQUIVOCATION: {
    exit: 4,
    http: 403,
    hint: "two signed states with one number: both are kept as evidence; tell the author, then imprint sync",
  },
  LOCK_MISMATCH: { exit: 4, http: 403, hint: "imprint.lock has seen a newer or another state: imprint sync later, or tell the author" },
  NOT_LOCKED: { exit: 4, http: 403, hint: "run imprint sync without --frozen and commit imprint.lock" },
  RECORD_REGRESSED: { exit: 4, http: 403, hint: "a package lost what this machine has seen: tell the author; imprint why <name>" },
  RELEASE_REFUSED: { exit: 4, http: 403, hint: "imprint why <name> shows what is wrong with the release; tell the author" },
  TARBALL_MISMATCH: { exit: 4, http: 403, hint: "the download is not what was signed: imprint sync, try again, or tell the author" },
  VERIFY_FAILED: { exit: 4, http: 403, hint: "each line names file and step; restore those files, then imprint verify again" },
  TRUST_WIDENED: {
    exit: 4,
    http: 403,
    hint: "look at each line; whoever merges it passes the digest: imprint trust diff <commit> --accept <digest>",
  },
  STRICT: { exit: 4, http: 403, hint: "mend what is warned about (imprint doctor), or leave --strict out" },
  // 5: network
  UNREACHABLE: { exit: 5, http: 503, hint: "check the network and the address, then imprint sync" },
  TIMED_OUT: { exit: 5, http: 503, hint: "the host is too slow: try imprint sync again later" },
  PUSH_FAILED: { exit: 5, http: 503, hint: "check that you may push there, then imprint publish again: nothing was published" },
  OFFLINE: { exit: 5, http: 403, hint: "run it once without --offline: imprint sync, then imprint run, fill the cache" },
  NEVER_SYNCED: { exit: 5, http: 503, hint: "imprint sync, once the index's host can be reached" },
  UPSTREAM_FAILED: { exit: 5, http: 502, hint: "try again later; imprint why <name> shows which registry answers" },
  // 6: conflict
  VERSION_EXISTS: { exit: 6, http: 403, hint: "releases never change: raise the version, then imprint publish" },
  LOST_RACE: { exit: 6, http: 503, hint: "others publish at the same time: imprint publish again" },
  DIVERGED: {
    exit: 6,
    http: 503,
    hint: "keep what was never pushed beside it and follow the host, in the clone: git branch unpushed && git fetch && git reset --keep @{upstream}; then imprint publish that again; if a thief did that: imprint root revoke",
  },
  STATE_CHANGED: { exit: 6, http: 503, hint: "another process changed the same state: imprint sync, then the command again" },
  NAME_TAKEN: {
    exit: 6,
    http: 500,
    hint: "choose another with --as or --name, or imprint remove the first; what imprint root grant gave once stays granted",
  },
  // 7: keys
  KEY_MISSING: { exit: 7, http: 500, hint: "copy the key file into imprint's keys folder, or make an index with imprint init" },
  KEY_REPLACED: {
    exit: 7,
    http: 500,
    hint: "where the new key is: imprint key export <name> --out new.json; here: imprint key import new.json",
  },
  NEEDS_SIGNATURES: {
    exit: 7,
    http: 500,
    hint: "write it to a file with --out, imprint root sign <file> where the other keys are, then imprint root apply <file>",
  },
  KEY_INVALID: { exit: 7, http: 500, hint: "restore the key file from your copy, then imprint publish again" },
  PASSPHRASE_WRONG: {
    exit: 7,
    http: 500,
    hint: "try again, or check IMPRINT_PASSPHRASE_FILE and IMPRINT_PASSPHRASE, then imprint publish",
  },
  PASSPHRASE_NEEDED: {
    exit: 7,
    http: 500,
    hint: "name a file that holds it in IMPRINT_PASSPHRASE_FILE (chmod 600), or run imprint publish on a terminal",
  },
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof CATALOGUE;

export type ErrorOptions = {
  /** What was caught, if anything: kept for `--debug` and for tests, never shown to clients. */
  readonly cause?: unknown;
  /** Reading or writing step of SPEC.md at which it was refused, e.g. `"reading 4"`. */
  readonly step?: string;
  /** File inside the index, as a path with `/`. */
  readonly file?: string;
};

export class ImprintError extends Error {
  override readonly name = "ImprintError";
  readonly code: ErrorCode;
  readonly step: string | undefined;
  readonly file: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.step = options.step;
    this.file = options.file;
  }

  get exitCode(): ExitCode {
    return CATALOGUE[this.code].exit;
  }

  get httpStatus(): Entry["http"] {
    return CATALOGUE[this.code].http;
  }

  get hint(): string {
    return CATALOGUE[this.code].hint;
  }
}

/** Whether `error` is ours and, when codes are given, carries one of them. */
export function isImprintError(error: unknown, ...codes: readonly ErrorCode[]): error is ImprintError {
  return error instanceof ImprintError && (codes.length === 0 || codes.includes(error.code));
}

/** The errno name (`ENOENT`, …) of a Node system error, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return undefined;
}
