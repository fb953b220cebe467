import { readFileSync, readdirSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import { inputOf, readVectors, SCHEMA_FOLDER } from "./vectors.ts";

type Schema = Readonly<Record<string, unknown>>;

const FILES = readdirSync(SCHEMA_FOLDER).filter((name) => name.endsWith(".schema.json"));

function readSchema(file: string): Schema {
  return JSON.parse(readFileSync(new URL(file, SCHEMA_FOLDER), "utf8")) as Schema;
}

function compile(): (id: string) => ValidateFunction {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });
  for (const file of FILES) ajv.addSchema(readSchema(file));
  return (id) =>
    ajv.getSchema(id) ??
    (() => {
      throw new Error(`no schema ${id}`);
    })();
}

const schema = compile();

/** Area → schema of its documents; kind → schema for envelopes. */
const DOCUMENTS: Readonly<Record<string, string>> = {
  root: "root",
  checkpoint: "checkpoint",
  package: "record",
  record: "record",
  release: "release",
  shard: "shard",
  project: "project",
  lock: "lock",
};
const SCALARS: Readonly<Record<string, string>> = {
  names: "name",
  versions: "version",
  tags: "tag",
  patterns: "pattern",
  keys: "key",
  templates: "tarball-source",
};

describe("JSON Schemas agree with the parsers", () => {
  for (const area of ["envelope", "root", "checkpoint", "record", "release", "shard", "project", "lock"]) {
    it(`on every vector of ${area}`, () => {
      for (const vector of readVectors(area)) {
        const where = `${area}/${vector.label}`;
        if (vector.valid) expect(vector.schemaValid, where).toBe(true);
        if (vector.schemaValid === undefined) continue;
        if (!vector.schemaValid) expect(vector.valid, where).toBe(false);
        const validate = schema(`${DOCUMENTS[area === "envelope" ? String(vector["kind"]) : area] as string}.schema.json`);
        const value: unknown = JSON.parse(
          Buffer.from(inputOf(vector))
            .toString("utf8")
            .replace(/^\ufeff/, ""),
        );
        expect(validate(value), `${where} ${JSON.stringify(validate.errors)}`).toBe(vector.schemaValid);
      }
    });
  }

  for (const [area, definition] of Object.entries(SCALARS)) {
    it(`on every vector of ${area}`, () => {
      const validate = schema(`common.schema.json#/$defs/${definition}`);
      for (const vector of readVectors(area)) {
        expect(validate(vector["value"]), `${area}/${vector.label} ${JSON.stringify(validate.errors)}`).toBe(vector.schemaValid);
        if (vector.schemaValid === false) expect(vector.valid).toBe(false);
      }
    });
  }
});

describe("JSON Schemas as files", () => {
  it("each field has a description, each id is relative", () => {
    const bare: string[] = [];
    const walk = (value: unknown, at: string): void => {
      if (typeof value !== "object" || value === null) return;
      for (const [name, inner] of Object.entries(value)) {
        if ((name === "properties" || name === "$defs") && typeof inner === "object" && inner !== null) {
          for (const [field, body] of Object.entries(inner as Record<string, Schema>)) {
            if (typeof body["description"] !== "string") bare.push(`${at}/${name}/${field}`);
          }
        }
        if (name === "$id" || name === "$ref") expect(inner, at).toMatch(/^(?:[a-z]+\.schema\.json)?(?:#\/.*)?$/);
        walk(inner, `${at}/${name}`);
      }
    };
    for (const file of FILES) {
      const parsed = readSchema(file);
      expect(parsed["$id"]).toBe(file);
      walk(parsed, file);
    }
    expect(bare).toEqual([]);
  });
});
