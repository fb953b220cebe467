/** Vectors of the areas `chain` and `index`: the steps of "Reading" in SPEC.md, over files in memory. */
import { describe, expect, it } from "vitest";
import { ImprintError } from "../../src/errors.ts";
import type { IndexId } from "../../src/format/digest.ts";
import { parsePackageName } from "../../src/format/names.ts";
import { parseLock } from "../../src/format/project.ts";
import { readPackage } from "../../src/index/package-reader.ts";
import type { Snapshot } from "../../src/index/source.ts";
import { readState } from "../../src/index/sync.ts";
import { requireFloor, requireOrder, type RootChain, verifyFirstRoot, verifyNextRoot } from "../../src/index/trust.ts";
import { formatPretty, type JsonValue } from "../../src/format/json.ts";
import { codeOf, outcomeOf, readVectors, textMember, type Vector } from "./vectors.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function snapshot(files: Readonly<Record<string, string>>): Snapshot {
  return {
    at: "memory",
    readFiles: async (requests) => {
      await Promise.resolve();
      return requests.map(({ path }) => {
        const text = Object.hasOwn(files, path) ? files[path] : undefined;
        return text === undefined ? { state: "missing" } : { state: "found", bytes: bytes(text) };
      });
    },
  };
}

describe("K2 E2 reading 2: chains of roots", () => {
  for (const vector of readVectors("chain")) {
    it(`${vector.label}: ${vector.description}`, () => {
      const [first, ...rest] = vector["roots"] as readonly string[];
      const outcome = outcomeOf(() => {
        const chain: [RootChain[0], ...RootChain[0][]] = [verifyFirstRoot(bytes(first as string), textMember(vector, "id") as IndexId)];
        for (const root of rest) chain.push(verifyNextRoot(chain, bytes(root)));
        return chain.length;
      });
      expect(codeOf(outcome)).toBe(vector.error);
      if ("error" in outcome) {
        expect(outcome.error.step).toBe(vector["step"]);
        expect(outcome.error.file).toBe(vector["file"]);
      } else expect(outcome.value).toBe(rest.length + 1);
    });
  }
});

type Result = { readonly absent?: true; readonly verdicts?: Readonly<Record<string, string>> };

async function read(vector: Vector): Promise<Result> {
  const id = textMember(vector, "id") as IndexId;
  const files = vector["files"] as Readonly<Record<string, string>>;
  const before =
    vector["before"] === undefined ? null : await readState(snapshot(vector["before"] as Readonly<Record<string, string>>), id, null);
  const state = await readState(snapshot(files), id, before);
  if (before !== null) requireOrder(before, state);
  if (vector["lock"] !== undefined) {
    const lock = parseLock(bytes(JSON.stringify({ format: 1, indices: { it: vector["lock"] } })));
    requireFloor(state, [...lock.values()][0] as NonNullable<ReturnType<typeof lock.get>>);
  }
  const view = await readPackage(snapshot(files), state, parsePackageName(textMember(vector, "package")));
  if (view === null) return { absent: true };
  return { verdicts: Object.fromEntries([...view.versions].map(([version, { verdict }]) => [version, verdict])) };
}

describe("T1a T5 T11 K8 K9 reading 2 to 7: whole indices", () => {
  for (const vector of readVectors("index")) {
    it(`${vector.label}: ${vector.description}`, async () => {
      let result: Result | ImprintError;
      try {
        result = await read(vector);
      } catch (error) {
        if (!(error instanceof ImprintError)) throw error;
        result = error;
      }
      if (result instanceof ImprintError) {
        expect(result.code, result.message).toBe(vector.error);
        expect(result.step).toBe(vector["step"]);
        expect(result.file).toBe(vector["file"]);
        return;
      }
      expect(vector.valid).toBe(true);
      expect(result).toEqual(vector["absent"] === true ? { absent: true } : { verdicts: vector["verdicts"] });
    });
  }
});

describe("T1a any byte of any file", () => {
  const ok = readVectors("index").find(({ label }) => label === "ok") as Vector;
  const files = ok["files"] as Readonly<Record<string, string>>;
  for (const path of Object.keys(files)) {
    it(`T1a one byte flipped anywhere in ${path.replace(/^.*\//, "")} is refused`, async () => {
      const whole = files[path] as string;
      for (let at = 0; at < whole.length; at += 7) {
        const char = whole.charCodeAt(at);
        const flipped = `${whole.slice(0, at)}${String.fromCharCode(char ^ 1)}${whole.slice(at + 1)}`;
        await expect(read({ ...ok, files: { ...files, [path]: flipped } }), `${path} at ${at}`).rejects.toBeInstanceOf(ImprintError);
      }
    });
  }

  it("the files of a vector are canonical", () => {
    for (const text of Object.values(files)) expect(Buffer.from(formatPretty(JSON.parse(text) as JsonValue)).toString()).toBe(text);
  });
});
