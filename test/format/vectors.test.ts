import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { parseCheckpoint, parseShard } from "../../src/format/checkpoint.ts";
import type { Digest } from "../../src/format/digest.ts";
import { type Kind, type Signed, signingInput } from "../../src/format/envelope.ts";
import { canonicalize, formatPretty, type JsonObject, type JsonValue, parseExact } from "../../src/format/json.ts";
import { isPublicKey } from "../../src/format/keys.ts";
import { LIMITS } from "../../src/format/limits.ts";
import { parsePackageName, parsePackagePattern } from "../../src/format/names.ts";
import { recordPath, releasePath, shardOf, type ShardName, shardPath } from "../../src/format/paths.ts";
import { formatProject, parseLock, parseProject } from "../../src/format/project.ts";
import { parseRecord } from "../../src/format/record.ts";
import { parseRelease } from "../../src/format/release.ts";
import { parseRoot } from "../../src/format/root.ts";
import { fillTemplate, isTarballSource, tarballRef } from "../../src/format/tarball-source.ts";
import { parseDistTag, parseVersion } from "../../src/format/versions.ts";
import { requireNoConflicts, sourceOf } from "../../src/registry/claims.ts";
import { allVectors, differingVectors, VECTORS_FOLDER } from "../../scripts/vectors.ts";
import { areas, codeOf, inputOf, outcomeOf, readVectors, textMember, type Vector } from "./vectors.ts";

const PARSERS: Readonly<Record<string, (bytes: Uint8Array) => Signed<unknown>>> = {
  root: parseRoot,
  checkpoint: parseCheckpoint,
  package: parseRecord,
  record: parseRecord,
  release: parseRelease,
};

function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Title and vector of each case, for `it.each`. */
function cases(area: string): [string, Vector][] {
  return readVectors(area).map((vector) => [`${vector.label}: ${vector.description}`, vector]);
}

describe("J1 canonical bytes", () => {
  it.each(cases("canonical"))("%s", (_, vector) => {
    const outcome = outcomeOf(() => parseExact(inputOf(vector), LIMITS.releaseBytes));
    expect(codeOf(outcome)).toBe(vector.error);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    if ("error" in outcome) return;
    expect(text(canonicalize(outcome.value))).toBe(vector["canonical"]);
    expect(formatPretty(outcome.value)).toEqual(inputOf(vector));
    const spelling = vector["otherSpelling"];
    if (typeof spelling !== "string") return;
    expect(text(canonicalize(JSON.parse(spelling) as JsonValue))).toBe(vector["canonical"]);
    expect(codeOf(outcomeOf(() => parseExact(Buffer.from(spelling), LIMITS.releaseBytes)))).toBe("INVALID_DOCUMENT");
  });
});

for (const area of ["envelope", "root", "checkpoint", "record", "release"]) {
  describe(`${area} documents`, () => {
    it.each(cases(area))("%s", (_, vector) => {
      const kind = area === "envelope" ? textMember(vector, "kind") : area;
      const outcome = outcomeOf(() => (PARSERS[kind] as (bytes: Uint8Array) => Signed<unknown>)(inputOf(vector)));
      expect(codeOf(outcome)).toBe(vector.error);
      expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
      if ("error" in outcome) return;
      const { digest, fileHash, body, kind: parsedKind } = outcome.value;
      expect(digest).toBe(vector["digest"]);
      expect(digest).toBe(sha256(body) as Digest);
      if ("fileHash" in vector) expect(fileHash).toBe(vector["fileHash"]);
      if ("signingInput" in vector) expect(text(signingInput(parsedKind as Kind, body))).toBe(vector["signingInput"]);
    });
  });
}

describe("shard documents", () => {
  it.each(cases("shard"))("%s", (_, vector) => {
    const outcome = outcomeOf(() => parseShard(inputOf(vector), textMember(vector, "shard") as ShardName));
    expect(codeOf(outcome)).toBe(vector.error);
    if (vector.valid) expect(sha256(inputOf(vector))).toBe(vector["fileHash"]);
  });
});

describe("N2 names", () => {
  it.each(cases("names"))("%s", (_, vector) => {
    expect(codeOf(outcomeOf(() => parsePackageName(textMember(vector, "value"))))).toBe(vector.error);
  });
});
describe("S5 versions", () => {
  it.each(cases("versions"))("%s", (_, vector) => {
    expect(codeOf(outcomeOf(() => parseVersion(textMember(vector, "value"))))).toBe(vector.error);
  });
});
describe("tags", () => {
  it.each(cases("tags"))("%s", (_, vector) => {
    expect(codeOf(outcomeOf(() => parseDistTag(textMember(vector, "value"))))).toBe(vector.error);
  });
});
describe("patterns", () => {
  it.each(cases("patterns"))("%s", (_, vector) => {
    expect(codeOf(outcomeOf(() => parsePackagePattern(textMember(vector, "value"))))).toBe(vector.error);
  });
});
describe("J1 K2 keys", () => {
  it.each(cases("keys"))("%s", (_, vector) => {
    expect(isPublicKey(textMember(vector, "value"))).toBe(vector.valid);
  });
});

describe("tarball sources", () => {
  it.each(cases("templates"))("%s", (_, vector) => {
    const value = textMember(vector, "value");
    expect(isTarballSource(value)).toBe(vector.valid);
    if (!("tarball" in vector)) return;
    const { name, version, sha512 } = vector["tarball"] as Record<"name" | "version" | "sha512", string>;
    expect(fillTemplate(value, { name: parsePackageName(name), version: parseVersion(version), sha512 })).toBe(vector["url"]);
    expect(tarballRef(sha512)).toBe(vector["ref"]);
  });
});

describe("N2 paths", () => {
  it.each(cases("paths"))("%s", (_, vector) => {
    const name = parsePackageName(textMember(vector, "name"));
    expect(shardOf(name)).toBe(vector["shard"]);
    expect(shardPath(shardOf(name))).toBe(vector["shardPath"]);
    expect(recordPath(name)).toBe(vector["recordPath"]);
    expect(releasePath(name, parseVersion(textMember(vector, "version")))).toBe(vector["releasePath"]);
  });
});

describe("consumer files", () => {
  it.each(cases("project"))("%s", (_, vector) => {
    const outcome = outcomeOf(() => requireNoConflicts(parseProject(inputOf(vector))));
    expect(codeOf(outcome)).toBe(vector.error);
    if ("error" in outcome && vector.error !== "CLAIMS_CONFLICT") expect(outcome.error.message).toMatch(/^Cannot read imprint\.json: /);
  });
  it.each(cases("project").filter(([, { valid }]) => valid))("%s is the same once it is written", (_, vector) => {
    const project = parseProject(inputOf(vector));
    expect(parseProject(formatProject(project))).toEqual(project);
  });
  it.each(cases("lock"))("%s", (_, vector) => {
    expect(codeOf(outcomeOf(() => parseLock(inputOf(vector))))).toBe(vector.error);
  });
  it.each(cases("claims"))("%s", (_, vector) => {
    const source = sourceOf(parseProject(Buffer.from(textMember(vector, "project"))), parsePackageName(textMember(vector, "name")));
    expect("alias" in source ? `${source.kind}:${source.alias}` : source.kind).toBe(vector["source"]);
  });
});

describe("vectors as files", () => {
  it("are what scripts/vectors.ts makes", () => {
    expect(differingVectors(VECTORS_FOLDER, allVectors())).toEqual([]);
  });

  it("each says what it is, and a failure names one code", () => {
    const seen = new Set<string>();
    for (const area of areas()) {
      for (const vector of readVectors(area)) {
        const { label, description, valid, error } = vector;
        expect(description.length, `${area}/${label}`).toBeGreaterThan(1);
        expect(error === undefined, `${area}/${label}`).toBe(valid);
        seen.add(area);
      }
    }
    expect(seen.size).toBeGreaterThanOrEqual(20);
  });

  it("what they hold parses as the object that it is, not as its prototype", () => {
    const vector = readVectors("canonical").find(({ label }) => label === "proto-keys") as Vector;
    const value = parseExact(inputOf(vector), 10_000) as JsonObject;
    expect(Object.keys(value).sort()).toEqual(["__proto__", "constructor", "prototype"]);
  });
});
