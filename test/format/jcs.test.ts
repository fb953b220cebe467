import { describe, expect, it } from "vitest";
import { canonicalize, type JsonValue } from "../../src/format/json.ts";
import { hasShared, listShared, readShared, SKIP_MESSAGE } from "../crypto/shared.ts";

describe("RFC 8785", () => {
  it.skipIf(!hasShared)(`J1 every vector of json-canonicalization${hasShared ? "" : ` (${SKIP_MESSAGE})`}`, () => {
    const files = listShared("jcs/input");
    expect(files).toHaveLength(6);
    for (const file of files) {
      const value = JSON.parse(readShared(`jcs/input/${file}`)) as JsonValue;
      expect(Buffer.from(canonicalize(value)).toString("utf8"), file).toBe(readShared(`jcs/output/${file}`).replace(/\n$/, ""));
    }
  });

  it("refuses what JSON can't carry", () => {
    for (const value of [Number.NaN, Infinity, undefined, "\ud800", (): void => undefined, 1n]) {
      expect(() => canonicalize(value as unknown as JsonValue)).toThrow(expect.objectContaining({ code: "INVALID_DOCUMENT" }) as Error);
    }
  });
});
