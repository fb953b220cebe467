/** Area `envelope`: what stands around `signed`, by the example of a checkpoint. */
import type { Kind } from "../../src/format/envelope.ts";
import type { JsonObject, JsonValue } from "../../src/format/json.ts";
import {
  CHECKPOINT,
  data,
  digest,
  edit,
  type Edit,
  edited,
  file,
  key,
  type Outcome,
  publicKey,
  RELEASE,
  sha256,
  signingInputText,
  type Vector,
  vector,
} from "./kit.ts";

const INVALID: Outcome = { error: "INVALID_DOCUMENT" };
/** Refused by a rule that no schema states. */
const BEYOND_SCHEMA: Outcome = { error: "INVALID_DOCUMENT", schemaValid: true };
const UNSUPPORTED: Outcome = { error: "UNSUPPORTED_FORMAT", schemaValid: false };

function make(name: string, description: string, outcome: Outcome, input: string, kind: Kind = "checkpoint", more: object = {}): Vector {
  return vector("envelope", name, description, outcome, { kind, input: { text: input }, ...more });
}

const SIGNED = file("checkpoint", CHECKPOINT, "checkpoint");

function good(name: string, description: string, signed: JsonObject, ...signers: readonly string[]): Vector {
  const source = file("checkpoint", signed, ...signers);
  return make(name, description, {}, source, "checkpoint", {
    digest: digest(signed),
    fileHash: sha256(source),
    signingInput: signingInputText("checkpoint", signed),
  });
}

function bad(name: string, description: string, outcome: Outcome, ...edits: readonly Edit[]): Vector {
  return make(name, description, outcome, edited(SIGNED, ...edits));
}

/** Labels of sixteen keys and more. */
const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `signer ${i}`);

export function envelopeVectors(): readonly Vector[] {
  const entry = (JSON.parse(SIGNED) as { signatures: JsonValue[] }).signatures[0] as JsonObject;
  const two = (JSON.parse(file("checkpoint", CHECKPOINT, "checkpoint", "publisher")) as { signatures: JsonValue[] }).signatures;
  const signatures17 = (JSON.parse(file("checkpoint", CHECKPOINT, ...many(17))) as { signatures: JsonValue[] }).signatures;
  const otherSignature = (JSON.parse(file("checkpoint", edit(CHECKPOINT, ["seq", 1]), "checkpoint")) as { signatures: JsonObject[] })
    .signatures[0] as JsonObject;
  const keyText = publicKey("checkpoint");
  const lastKeyChar = keyText.at(-1) as string;
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  // The same 32 bytes to a lax decoder: the two lowest bits of the last character are not used.
  const otherSpelling = `${keyText.slice(0, -1)}${alphabet[alphabet.indexOf(lastKeyChar) + 1] ?? ""}`;
  const signatureText = entry["signature"] as string;
  const otherSignatureSpelling = `${signatureText.slice(0, -1)}${alphabet[alphabet.indexOf(signatureText.at(-1) as string) + 1] ?? ""}`;
  return [
    good("ok", "A checkpoint with one signature", CHECKPOINT, "checkpoint"),
    good("ok-two-signatures", "Two signatures, sorted by key", CHECKPOINT, "checkpoint", "publisher"),
    good("ok-sixteen-signatures", "Sixteen signatures are the most", CHECKPOINT, ...many(16)),
    good("ok-no-signatures", "No signatures at all can be read; nothing believes it", CHECKPOINT),
    good(
      "ok-unknown-members",
      "Unknown members of signed are kept, and signed over",
      edit(CHECKPOINT, ["comment", "é 😀"], [["root", "note"], data({ a: [1] })]),
      "checkpoint",
    ),
    good(
      "ok-proto-members",
      "__proto__ and constructor as unknown members of signed",
      edit(CHECKPOINT, ["__proto__", data({ polluted: true })], ["constructor", data({ prototype: data({ polluted: true }) })]),
      "checkpoint",
    ),
    bad("member-beside-signed", "A member beside signatures and signed", INVALID, ["comment", "hello"]),
    bad("no-signed", "signed is missing", INVALID, ["signed", undefined]),
    bad("no-signatures-member", "signatures is missing", INVALID, ["signatures", undefined]),
    bad("other-member-instead", "Two members, but the wrong ones", INVALID, ["signatures", undefined], ["signature", []]),
    bad("signed-is-list", "signed is a list", INVALID, ["signed", []]),
    bad("signed-is-text", "signed is a string, as in other envelopes", INVALID, ["signed", "e30"]),
    bad("signatures-is-object", "signatures is an object", INVALID, ["signatures", data({})]),
    bad("signature-is-text", "A signature that is a string", INVALID, ["signatures", [signatureText]]),
    bad("signatures-unsorted", "Signatures not sorted by key", BEYOND_SCHEMA, ["signatures", [...two].reverse()]),
    bad("signature-twice", "The same signature twice", INVALID, ["signatures", [entry, entry]]),
    bad("key-signs-twice", "Two signatures of one key", BEYOND_SCHEMA, ["signatures", [entry, otherSignature]]),
    bad("signatures-17", "Seventeen signatures", INVALID, ["signatures", signatures17]),
    bad("signature-with-more", "A third member in a signature", INVALID, ["signatures/0/comment", "hello"]),
    bad("signature-without-key", "A signature that names no key", INVALID, ["signatures/0/key", undefined]),
    bad("key-padded", "A key with base64 padding", INVALID, ["signatures/0/key", `${keyText}=`]),
    bad("key-other-spelling", "A key whose unused low bits are set: another spelling of the same bytes", INVALID, [
      "signatures/0/key",
      otherSpelling,
    ]),
    bad("key-other-alphabet", "A key in the alphabet of plain base64", INVALID, ["signatures/0/key", `ed25519:${"+".repeat(42)}A`]),
    bad("key-prefix-upper-case", "A key that starts with ED25519:", INVALID, ["signatures/0/key", keyText.replace("ed25519", "ED25519")]),
    bad("key-without-prefix", "A key without ed25519:", INVALID, ["signatures/0/key", keyText.slice(8)]),
    bad("signature-padded", "A signature with base64 padding", INVALID, ["signatures/0/signature", `${signatureText}==`]),
    bad("signature-other-spelling", "A signature whose unused low bits are set", INVALID, [
      "signatures/0/signature",
      otherSignatureSpelling,
    ]),
    bad("signature-63-bytes", "A signature of 63 bytes", INVALID, ["signatures/0/signature", signatureText.slice(0, 84)]),
    bad("format-0", "A lower format is invalid", INVALID, ["signed/format", 0]),
    bad("format-2", "A higher format needs newer software", UNSUPPORTED, ["signed/format", 2]),
    bad("format-missing", "format is missing", INVALID, ["signed/format", undefined]),
    bad("format-is-text", "format is a string", INVALID, ["signed/format", "1"]),
    bad("type-unknown", "An unknown type needs newer software", UNSUPPORTED, ["signed/type", "imprint.mirror"]),
    bad("type-empty", "An empty type is an unknown one", UNSUPPORTED, ["signed/type", ""]),
    bad("type-missing", "type is missing", INVALID, ["signed/type", undefined]),
    bad("type-is-number", "type is a number", INVALID, ["signed/type", 1]),
    bad("type-of-another-path", "A release at the path of a checkpoint", INVALID, ["signed", RELEASE]),
    make("release-with-type-of-checkpoint", "A checkpoint at the path of a release", INVALID, SIGNED, "release"),
    make("top-is-list", "A list instead of an object", INVALID, "[]\n"),
    make("top-is-null", "null instead of an object", INVALID, "null\n"),
    vector(
      "envelope",
      "too-large",
      "A checkpoint of 64 KiB and one byte",
      { error: "TOO_LARGE", schemaValid: null },
      {
        kind: "checkpoint",
        input: {
          parts: [
            { text: '"', times: 1 },
            { text: "a", times: 65_534 },
            { text: '"\n', times: 1 },
          ],
        },
      },
    ),
    vector(
      "envelope",
      "duplicate-format",
      "format twice: 2 where some parsers look, 1 where others do",
      { error: "INVALID_DOCUMENT", schemaValid: true },
      {
        kind: "checkpoint",
        input: { text: SIGNED.replace('"format": 1,', '"format": 2,\n    "format": 1,') },
      },
    ),
    vector(
      "envelope",
      "signing-input",
      "The signed bytes of a document with characters of several bytes: lengths count bytes",
      {},
      {
        kind: "checkpoint",
        input: { text: file("checkpoint", edit(CHECKPOINT, ["note", "é€😀"]), "checkpoint") },
        digest: digest(edit(CHECKPOINT, ["note", "é€😀"])),
        signingInput: signingInputText("checkpoint", edit(CHECKPOINT, ["note", "é€😀"])),
        seed: Buffer.from(key("checkpoint").seed).toString("hex"),
      },
    ),
  ];
}
