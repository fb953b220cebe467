/** What the checks of `imprint doctor` look at. */
import type { ImprintError } from "../../errors.ts";
import type { DisplayName } from "../../format/decode.ts";
import type { PackageName } from "../../format/names.ts";
import type { LockEntry, ProjectIndex } from "../../format/project.ts";
import type { TrustedState } from "../../index/trust.ts";

export type IndexFacts = {
  readonly alias: DisplayName;
  readonly entry: ProjectIndex;
  readonly lock: LockEntry | null;
  /** What this machine believes; null: never verified here, or `damaged`. */
  readonly state: TrustedState | null;
  /** Why the trusted state on disk cannot be read, and where it lies. */
  readonly damaged: { readonly message: string; readonly folder: string } | null;
  /** Every package that its root grants; null: never verified, or `unread`. */
  readonly names: readonly PackageName[] | null;
  /** Why its list could not be read. */ readonly unread: ImprintError | null;
};

/** One address, asked with `--online`. */
export type Reached = {
  readonly url: string;
  /** One that only its root names. */ readonly isMirror: boolean;
  /** Null: it answered. */ readonly error: string | null;
  /** What its HEAD names, where the branch that is read is not there. */ readonly branch?: string;
};
