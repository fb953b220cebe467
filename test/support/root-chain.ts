/** A whole index under a chain of roots that a vector gives: what a host would serve if its roots were these. */
import { CHECKPOINT, data, digest, edit, file, publicKey, RECORD, RELEASE, sha256, text } from "../../scripts/vectors/kit.ts";
import { formatPretty, type JsonObject } from "../../src/format/json.ts";

/** Path → text. */
export type IndexFiles = Readonly<Record<string, string>>;

/** The package that every such index has, in version 1.0.0, signed by the test key `publisher`. */
export const CHAIN_PACKAGE = "@alice/hello";

export function signedOf(root: string): JsonObject {
  return (JSON.parse(root) as { signed: JsonObject }).signed;
}

/** The checkpoint names the last of these roots, and is signed by the checkpoint key that this root names. */
export function indexOver(roots: readonly string[]): IndexFiles {
  const signed = roots.map(signedOf);
  const index = digest(signed[0] as JsonObject);
  const last = signed.at(-1) as JsonObject & { roles?: { checkpoint?: { keys: readonly string[] } } };
  const keys = last.roles?.checkpoint?.keys ?? [];
  const signer = ["checkpoint", "root"].find((label) => keys.includes(publicKey(label))) ?? "checkpoint";

  const release = file("release", edit(RELEASE, ["index", index]), "publisher");
  const record = file("package", edit(RECORD, ["index", index], [["releases", "1.0.0"], sha256(release)]), "publisher");
  const shard = text(formatPretty(data({ [CHAIN_PACKAGE]: sha256(record) })));
  const digits = sha256(CHAIN_PACKAGE).slice(0, 2);
  const checkpoint = edit(
    CHECKPOINT,
    ["index", index],
    ["root/version", roots.length],
    ["root/digest", digest(last)],
    [["shards", digits], sha256(shard)],
  );
  return {
    ...Object.fromEntries(roots.map((root, at) => [`trust/${String(at + 1)}.json`, root])),
    [`packages/${digits}/@alice+hello/1.0.0.json`]: release,
    [`packages/${digits}/@alice+hello/record.json`]: record,
    [`packages/${digits}/shard.json`]: shard,
    "checkpoint.json": file("checkpoint", checkpoint, signer),
  };
}
