/**
 * Area `chain`: the fifteen kinds of root change that implementations of TUF are tested with, carried over to this format.
 *
 * Each kind has what must be accepted, what must be refused, or both; a vector's `kind` is its number in the table of
 * `index-schema/vectors/README.md`.
 */
import type { JsonObject, JsonValue } from "../../src/format/json.ts";
import {
  data,
  digest,
  edit,
  edited,
  file,
  INDEX_ID_OTHER,
  nextRoot,
  publicKey,
  publicKeys,
  role,
  ROOT_1,
  type Vector,
  vector,
} from "./kit.ts";

/** Two root keys, and how many of them must sign. */
const pair = (threshold: number): JsonObject => edit(ROOT_1, ["roles/root", role(threshold, "root", "root b")]);
const WIDE = edit(ROOT_1, ["roles/root", role(2, "root", "root b", "root c")]);

/** The root after `before` with another role root, signed by these. */
function second(before: JsonObject, next: JsonObject, ...signers: readonly string[]): string {
  return file("root", nextRoot(before, digest(before), ["roles/root", next]), ...signers);
}

const ids = new Map<string, string>();

/** The first root of most chains, signed by itself. */
function first(root: JsonObject, ...signers: readonly string[]): string {
  const source = file("root", root, ...signers);
  ids.set(source, digest(root));
  return source;
}

function make(kind: number, name: string, description: string, roots: readonly string[], error?: string, at = roots.length): Vector {
  return vector(
    "chain",
    name,
    description,
    { ...(error === undefined ? {} : { error }), schemaValid: null },
    { kind, id: ids.get(roots[0] as string), roots, ...(error === undefined ? {} : { file: `trust/${at}.json`, step: "reading 2" }) },
  );
}

export function rootKindVectors(): readonly Vector[] {
  return [...keyKinds(), ...thresholdKinds(), ...signerKinds(), ...placeKinds(), ...twiceKind()];
}

function keyKinds(): readonly Vector[] {
  const one = first(ROOT_1, "root");
  const either = first(pair(1), "root");
  const single = nextRoot(pair(1), digest(pair(1)), ["roles/root", role(1, "root")]);
  const replaced = nextRoot(ROOT_1, digest(ROOT_1), ["roles/root", role(1, "root new")]);
  const third = nextRoot(replaced, digest(ROOT_1), ["refreshDays", 30]);
  const moved = nextRoot(ROOT_1, digest(ROOT_1), ["roles/root", role(1, "root new")], ["roles/checkpoint", role(1, "root")]);
  const afterMoved = nextRoot(moved, digest(ROOT_1), ["refreshDays", 30]);
  const promoted = nextRoot(ROOT_1, digest(ROOT_1), ["roles/root", role(1, "checkpoint")], ["roles/checkpoint", role(1, "checkpoint new")]);
  const bySingle = file("root", single, "root");
  const byReplaced = file("root", replaced, "root", "root new");
  const byMoved = file("root", moved, "root", "root new");
  return [
    make(1, "ok-keys-added", "A root key is added, signed by the one that was there", [
      one,
      second(ROOT_1, role(1, "root", "root b"), "root"),
    ]),
    make(
      1,
      "keys-added-by-added",
      "A root key is added, signed by the added key alone",
      [one, second(ROOT_1, role(1, "root", "root b"), "root b")],
      "BAD_SIGNATURE",
    ),
    make(2, "ok-keys-removed", "One of two root keys is removed, signed by the one that stays", [either, bySingle]),
    make(
      2,
      "keys-removed-by-removed",
      "One of two root keys is removed, signed by the removed key alone",
      [either, file("root", single, "root b")],
      "BAD_SIGNATURE",
    ),
    make(
      2,
      "keys-removed-then-signs",
      "A removed root key signs the next root",
      [either, bySingle, file("root", nextRoot(single, digest(pair(1)), ["refreshDays", 30]), "root b")],
      "BAD_SIGNATURE",
    ),
    make(3, "ok-keys-replaced", "The root key is replaced: both sign", [one, byReplaced]),
    make(3, "ok-keys-replaced-next", "A third root, signed by the new key alone", [one, byReplaced, file("root", third, "root new")]),
    make(
      3,
      "keys-replaced-then-signs",
      "The third root signed by the key that the second replaced",
      [one, byReplaced, file("root", third, "root")],
      "BAD_SIGNATURE",
    ),
    make(8, "ok-role-moved", "The root key moves to the role checkpoint, a new one takes its place", [one, byMoved]),
    make(
      8,
      "role-moved-then-signs",
      "The key that moved to the role checkpoint signs the next root",
      [one, byMoved, file("root", afterMoved, "root")],
      "BAD_SIGNATURE",
    ),
    make(
      8,
      "role-moved-by-itself",
      "A checkpoint key makes itself the root key",
      [one, file("root", promoted, "checkpoint")],
      "BAD_SIGNATURE",
    ),
  ];
}

function thresholdKinds(): readonly Vector[] {
  const one = first(ROOT_1, "root");
  const either = first(pair(1), "root");
  const both = first(pair(2), "root", "root b");
  const wide = first(WIDE, "root", "root b");
  const raised = role(2, "root", "root b", "root c");
  return [
    make(4, "ok-threshold-raised", "From one of two to two of two", [either, second(pair(1), role(2, "root", "root b"), "root", "root b")]),
    make(
      4,
      "threshold-raised-by-one",
      "From one of two to two of two, signed by one",
      [either, second(pair(1), role(2, "root", "root b"), "root")],
      "BAD_SIGNATURE",
    ),
    make(5, "ok-threshold-lowered", "From two of two to one of two, signed by two", [
      both,
      second(pair(2), role(1, "root", "root b"), "root", "root b"),
    ]),
    make(
      5,
      "threshold-lowered-by-one",
      "From two of two to one of two, signed by one",
      [both, second(pair(2), role(1, "root", "root b"), "root b")],
      "BAD_SIGNATURE",
    ),
    make(6, "ok-threshold-raised-keys-added", "From one of one to two of three", [one, second(ROOT_1, raised, "root", "root c")]),
    make(
      6,
      "threshold-raised-by-added",
      "From one of one to two of three, signed by the two added keys",
      [one, second(ROOT_1, raised, "root b", "root c")],
      "BAD_SIGNATURE",
    ),
    make(7, "ok-threshold-lowered-keys-removed", "From two of three to one of one", [
      wide,
      second(WIDE, role(1, "root c"), "root b", "root c"),
    ]),
    make(
      7,
      "threshold-lowered-by-kept",
      "From two of three to one of one, signed by the key that stays",
      [wide, second(WIDE, role(1, "root c"), "root c")],
      "BAD_SIGNATURE",
    ),
    make(
      7,
      "threshold-lowered-by-removed",
      "From two of three to one of one, signed by the two keys that go",
      [wide, second(WIDE, role(1, "root c"), "root", "root b")],
      "BAD_SIGNATURE",
    ),
  ];
}

function signerKinds(): readonly Vector[] {
  const one = first(ROOT_1, "root");
  const wide = first(WIDE, "root", "root b");
  const fresh = role(2, "root d", "root e");
  return [
    make(
      9,
      "by-old-only",
      "The root key is replaced: only the old one signs",
      [one, second(ROOT_1, role(1, "root new"), "root")],
      "BAD_SIGNATURE",
    ),
    make(
      10,
      "by-new-only",
      "The root key is replaced: only the new one signs",
      [one, second(ROOT_1, role(1, "root new"), "root new")],
      "BAD_SIGNATURE",
    ),
    make(11, "ok-both-thresholds", "Two of three old keys, and two of two new ones", [
      wide,
      second(WIDE, fresh, "root", "root c", "root d", "root e"),
    ]),
    make(
      11,
      "short-of-old",
      "Old and new sign; one of the old two is missing",
      [wide, second(WIDE, fresh, "root", "root d", "root e")],
      "BAD_SIGNATURE",
    ),
    make(
      12,
      "short-of-new",
      "Old and new sign; one of the new two is missing",
      [wide, second(WIDE, fresh, "root", "root b", "root d")],
      "BAD_SIGNATURE",
    ),
  ];
}

function placeKinds(): readonly Vector[] {
  const id = digest(ROOT_1);
  const one = first(ROOT_1, "root");
  const two = nextRoot(ROOT_1, id, ["refreshDays", 7]);
  const three = file("root", nextRoot(two, id, ["refreshDays", 30]), "root");
  const previous = file("root", edit(two, ["previous", INDEX_ID_OTHER]), "root");
  const wrongVersion = file("root", edit(two, ["version", 3]), "root");
  return [
    make(13, "ok-refreshed", "The next root with the same keys", [one, file("root", two, "root"), three]),
    make(13, "version-skipped", "A second root that follows the first and says it is the third", [one, wrongVersion], "WRONG_INDEX"),
    make(14, "version-repeated", "The first root again", [one, one], "WRONG_INDEX"),
    make(14, "version-repeated-later", "The second root again", [one, file("root", two, "root"), file("root", two, "root")], "WRONG_INDEX"),
    make(15, "previous-wrong", "previous is the digest of another root", [one, previous], "WRONG_INDEX"),
    make(15, "previous-left-out", "The third root in place of the second", [one, three], "WRONG_INDEX"),
  ];
}

/** Thresholds that would be met if one key could count twice: kinds 11 and 12 by another door. */
function twiceKind(): readonly Vector[] {
  const wide = first(WIDE, "root", "root b");
  const signature = (JSON.parse(second(WIDE, role(1, "root"), "root")) as { signatures: [JsonValue] }).signatures[0];
  const listed = (keys: readonly string[]): JsonObject => data({ keys, threshold: 2 });
  const one = first(ROOT_1, "root");
  return [
    make(
      11,
      "signature-repeated",
      "One signature twice for the old threshold of 2",
      [wide, edited(second(WIDE, role(1, "root"), "root"), ["signatures/1", signature])],
      "INVALID_DOCUMENT",
    ),
    make(
      12,
      "key-repeated",
      "One new key twice for the new threshold of 2",
      [one, second(ROOT_1, listed(publicKeys("root", "root")), "root")],
      "INVALID_DOCUMENT",
    ),
    make(
      12,
      "key-respelled",
      "One new key twice, the second time with other unused bits",
      [one, second(ROOT_1, listed([publicKey("root"), laxSpelling(publicKey("root"))]), "root")],
      "INVALID_DOCUMENT",
    ),
  ];
}

/** The same 32 bytes to a lax decoder. */
export function laxSpelling(key: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return `${key.slice(0, -1)}${alphabet[alphabet.indexOf(key.at(-1) as string) + 1] ?? ""}`;
}
