/** Area `chain`: reading 2. A list of roots, the pinned id, and how far one gets. Kinds of change are in root-kinds.ts. */
import { formatPublicKey } from "../../src/format/keys.ts";
import type { JsonObject, JsonValue } from "../../src/format/json.ts";
import { data, digest, edit, edited, file, INDEX_ID_OTHER, nextRoot, publicKeys, role, ROOT_1, type Vector, vector } from "./kit.ts";
import { laxSpelling, rootKindVectors } from "./root-kinds.ts";
import { unsafeKeys } from "./signatures.ts";

export function chainVectors(): readonly Vector[] {
  const id = digest(ROOT_1);
  const one = file("root", ROOT_1, "root");
  const rotated = nextRoot(ROOT_1, id, ["roles/root", role(1, "root new")]);
  const two = file("root", rotated, "root", "root new");
  const wide = edit(ROOT_1, ["roles/root", role(2, "root", "root b", "root c")]);
  const wideId = digest(wide);

  const make = (name: string, description: string, roots: readonly string[], pinned: string, error?: string, at?: number): Vector =>
    vector(
      "chain",
      name,
      description,
      { ...(error === undefined ? {} : { error }), schemaValid: null },
      { id: pinned, roots, ...(at === undefined ? {} : { file: `trust/${at}.json`, step: "reading 2" }) },
    );
  const badSecond = (name: string, description: string, second: string, error: string): Vector =>
    make(name, description, [one, second], id, error, 2);
  const flipped = (source: string): string => {
    const signature = (JSON.parse(source) as { signatures: [{ signature: string }] }).signatures[0].signature;
    return edited(source, ["signatures/0/signature", `${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`]);
  };
  const withKey = (bytes: Uint8Array): readonly [JsonObject, string] => {
    const root = edit(ROOT_1, ["publishers/0/keys", [formatPublicKey(bytes)]]);
    return [root, file("root", root, "root")];
  };
  const unsafe = (name: string, description: string, bytes: Uint8Array): Vector => {
    const [root, source] = withKey(bytes);
    return make(name, description, [source], digest(root), "INVALID_DOCUMENT", 1);
  };
  const keys = unsafeKeys();
  const firstWith = (name: string, description: string, error: string, root: JsonValue, ...signers: readonly string[]): Vector =>
    make(name, description, [file("root", root, ...signers)], digest(root), error, 1);
  return [
    ...rootKindVectors(),
    make("ok-one", "The first root", [one], id),
    make(
      "ok-two-of-three",
      "Two of three keys, and a stranger's beside them that nobody counts",
      [file("root", wide, "root", "root b", "stranger")],
      wideId,
    ),
    make("ok-unknown-members", "Unknown members travel along", [one, file("root", nextRoot(ROOT_1, id, ["comment", "x"]), "root")], id),
    make("wrong-id", "Another index than the pinned one", [one], INDEX_ID_OTHER, "WRONG_ID", 1),
    make("first-unsigned", "The first root without a signature", [file("root", ROOT_1)], id, "BAD_SIGNATURE", 1),
    make(
      "first-signed-by-publisher",
      "The first root signed by a key of another role",
      [file("root", ROOT_1, "publisher")],
      id,
      "BAD_SIGNATURE",
      1,
    ),
    make("first-signature-flipped", "One character of the signature changed", [flipped(one)], id, "BAD_SIGNATURE", 1),
    make(
      "first-signed-as-checkpoint",
      "The right key over the wrong type: a signature never passes from one role to another",
      [edited(one, ["signatures", (JSON.parse(file("checkpoint", ROOT_1, "root")) as JsonObject)["signatures"] as JsonValue])],
      id,
      "BAD_SIGNATURE",
      1,
    ),
    make("first-is-second", "A second root at trust/1.json", [two], digest(rotated), "WRONG_INDEX", 1),
    firstWith("threshold-short", "One of the two signatures that are needed", "BAD_SIGNATURE", wide, "root b"),
    firstWith("threshold-other-key", "Two signatures, one by a key that the role does not name", "BAD_SIGNATURE", wide, "root", "stranger"),
    firstWith("threshold-0", "A threshold of 0", "INVALID_DOCUMENT", edit(ROOT_1, ["roles/root/threshold", 0])),
    firstWith(
      "threshold-above-keys",
      "A threshold above the number of keys",
      "INVALID_DOCUMENT",
      edit(ROOT_1, ["roles/root/threshold", 2]),
      "root",
    ),
    firstWith(
      "key-twice",
      "One key listed twice to meet a threshold of 2",
      "INVALID_DOCUMENT",
      edit(ROOT_1, ["roles/root", data({ keys: publicKeys("root", "root"), threshold: 2 })]),
      "root",
    ),
    firstWith(
      "key-other-spelling",
      "One key listed twice, the second time with other unused bits",
      "INVALID_DOCUMENT",
      edit(ROOT_1, ["roles/root", data({ keys: [...publicKeys("root"), laxSpelling(publicKeys("root")[0] as string)], threshold: 2 })]),
      "root",
    ),
    firstWith(
      "key-in-two-roles",
      "One key in two roles",
      "INVALID_DOCUMENT",
      edit(ROOT_1, ["roles/checkpoint/keys", publicKeys("root")]),
      "root",
    ),
    make(
      "signature-twice",
      "One signature listed twice to meet a threshold of 2",
      [edited(file("root", wide, "root"), ["signatures/1", signatureOf(file("root", wide, "root"))])],
      wideId,
      "INVALID_DOCUMENT",
      1,
    ),
    unsafe("key-small-order", "A publisher's key of small order: one bad key refuses the root", keys.smallOrder),
    unsafe("key-mixed-order", "A publisher's key with a component of small order", keys.mixedOrder),
    unsafe("key-not-canonical", "A publisher's key that is not canonical", keys.notCanonical),
    unsafe("key-not-on-curve", "A publisher's key that is no point", keys.notOnCurve),
    badSecond(
      "other-index",
      "A root of another index, signed by the same keys",
      file("root", edit(rotated, ["index", INDEX_ID_OTHER]), "root", "root new"),
      "WRONG_INDEX",
    ),
    badSecond("format-2", "A root of a higher format", edited(two, ["signed/format", 2]), "UNSUPPORTED_FORMAT"),
    badSecond("second-not-canonical", "A second root without white space", `${JSON.stringify(JSON.parse(two))}\n`, "INVALID_DOCUMENT"),
  ];
}

function signatureOf(source: string): JsonValue {
  return (JSON.parse(source) as { signatures: [JsonValue] }).signatures[0];
}
