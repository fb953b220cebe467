/** Reads `index-schema/vectors`: what every implementation of the format is held against. */
import { readdirSync, readFileSync } from "node:fs";
import { ImprintError } from "../../src/errors.ts";

export const SCHEMA_FOLDER = new URL("../../index-schema/", import.meta.url);

export type Input = {
  readonly text?: string;
  readonly base64?: string;
  readonly parts?: readonly { readonly text: string; readonly times: number }[];
};

export type Vector = {
  readonly area: string;
  /** File name without .json. */
  readonly label: string;
  readonly description: string;
  readonly valid: boolean;
  readonly error?: string;
  readonly schemaValid?: boolean;
} & Readonly<Record<string, unknown>>;

export function readVectors(area: string): readonly Vector[] {
  const folder = new URL(`vectors/${area}/`, SCHEMA_FOLDER);
  return readdirSync(folder).map((file) => ({
    ...(JSON.parse(readFileSync(new URL(file, folder), "utf8")) as Vector),
    area,
    label: file.replace(/\.json$/, ""),
  }));
}

export function areas(): readonly string[] {
  return readdirSync(new URL("vectors/", SCHEMA_FOLDER), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}

export function inputOf(vector: Vector): Uint8Array {
  const { text, base64, parts } = vector["input"] as Input;
  if (base64 !== undefined) return new Uint8Array(Buffer.from(base64, "base64"));
  return new TextEncoder().encode(text ?? (parts ?? []).map((part) => part.text.repeat(part.times)).join(""));
}

/** A string member that the area has. */
export function textMember(vector: Vector, name: string): string {
  const value = vector[name];
  if (typeof value !== "string") throw new Error(`${vector.area}/${vector.label} has no ${name}`);
  return value;
}

export type Outcome<T> = { readonly value: T } | { readonly error: ImprintError };

/** What came of it; anything but an ImprintError goes through. */
export function outcomeOf<T>(run: () => T): Outcome<T> {
  try {
    return { value: run() };
  } catch (error) {
    if (error instanceof ImprintError) return { error };
    throw error;
  }
}

export function codeOf(outcome: Outcome<unknown>): string | undefined {
  return "error" in outcome ? outcome.error.code : undefined;
}
