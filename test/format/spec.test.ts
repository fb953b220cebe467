/** SPEC.md says what the code does: its example, its worked signature and its limits are those of the vectors. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { privateKeyFromSeed, signMessage } from "../../src/crypto/ed25519.ts";
import { formatPublicKey, formatSignature } from "../../src/format/keys.ts";
import { FORMAT_LIMITS } from "../../src/format/limits.ts";
import { readVectors, SCHEMA_FOLDER, textMember } from "./vectors.ts";

const spec = readFileSync(new URL("SPEC.md", SCHEMA_FOLDER), "utf8");

describe("SPEC.md", () => {
  it("shows the files of index/ok byte for byte", () => {
    const vector = readVectors("index").find(({ label }) => label === "ok");
    const files = vector?.["files"] as Readonly<Record<string, string>>;
    expect(Object.keys(files)).toHaveLength(5);
    for (const [path, text] of Object.entries(files)) expect(spec).toContain(`\`${path}\`\n\`\`\`json\n${text}\`\`\`\n`);
    expect(spec).toContain(`Its id is \`${String(vector?.["id"])}\``);
  });

  it("shows a signature that its key makes", () => {
    const vector = readVectors("envelope").find(({ label }) => label === "ok");
    const input = textMember(vector as NonNullable<typeof vector>, "signingInput");
    const key = privateKeyFromSeed(new Uint8Array(createHash("sha256").update("imprint test vector key: checkpoint").digest()));
    expect(spec).toContain(`\n${input}\n`);
    expect(spec).toContain(`${Buffer.byteLength(input)} bytes, sha256 \`${createHash("sha256").update(input).digest("hex")}\``);
    expect(spec).toContain(
      `key        ${formatPublicKey(key.publicKey)}\nsignature  ${formatSignature(signMessage(key, Buffer.from(input)))}\n`,
    );
  });

  it("lists every limit of the code", () => {
    const table = spec.slice(spec.indexOf("### Limits"), spec.indexOf("## 3. Files"));
    for (const [name, limit] of Object.entries(FORMAT_LIMITS)) expect(table, name).toContain(`| ${limit.toLocaleString("en-US")} |`);
  });

  it("has every step, and links to what exists", () => {
    for (let step = 1; step <= 9; step++) expect(spec).toMatch(new RegExp(`^\\*\\*${step}\\. `, "m"));
    for (const [, target] of spec.matchAll(/\]\(([a-z./]+[a-zA-Z.]*)\)/g))
      expect(() => readFileSync(new URL(target as string, SCHEMA_FOLDER))).not.toThrow();
  });
});
