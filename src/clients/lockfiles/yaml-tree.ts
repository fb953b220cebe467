/**
 * The YAML that pnpm writes, and no other. Anchors, aliases, tags, merge keys and directives let one file mean two things
 * to two readers; a plain `1.10` is text to one and a number to another. All of that is refused, with its line.
 */
import { type Document, isMap, isScalar, isSeq, parseAllDocuments, Scalar } from "yaml";
import { LIMITS } from "../../format/limits.ts";
import type { Tree } from "./grammar.ts";
import { type Refuse, shown } from "./locked.ts";

const MAX_DEPTH = LIMITS.lockfileDepth;
/** pnpm's own version stands in a document before the lockfile's. */
const MAX_DOCUMENTS = 2;
/** What a YAML 1.1 or 1.2 reader may take for something else than text where it stands without quotes. */
const NOT_TEXT =
  /^(?:[-+]?\.?[0-9][0-9_.,:xXoObBa-fA-F]*(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|nan)|~|null|true|false|yes|no|on|off|y|n|=|<<|[0-9]{4}-[0-9].*)$/i;

/** Scalars as they stand in the text: `true` of a flag is the text `true`. */
export function parseYamlDocuments(source: string, refuse: Refuse): readonly Tree[] {
  const lineAt = (offset: number): number => source.slice(0, offset).split("\n").length;
  let documents: readonly Document.Parsed[];
  try {
    // Its own look for duplicates compares each key with each other one: minutes for a large lockfile.
    const parsed = parseAllDocuments(source, {
      schema: "failsafe",
      uniqueKeys: false,
      logLevel: "silent",
      prettyErrors: false,
    });
    documents = Array.isArray(parsed) ? parsed : [];
  } catch (error) {
    return refuse("it is not YAML", error);
  }
  if (documents.length > MAX_DOCUMENTS) return refuse(`it has ${documents.length} YAML documents; pnpm writes one or two`);
  return documents.map((document) => {
    const [problem] = [...document.errors, ...document.warnings];
    if (problem !== undefined) return refuse(`it is not YAML that pnpm writes, at line ${lineAt(problem.pos[0])}`, problem);
    if (/^%/m.test(source)) return refuse("it has YAML directives, which pnpm never writes");
    return treeOf(
      document.contents,
      0,
      (node, what) => {
        const range = (node as { readonly range?: readonly number[] | null }).range;
        return refuse(`line ${lineAt(range?.[0] ?? 0)} has ${what}, which pnpm never writes`);
      },
      refuse,
    );
  });
}

type RefuseNode = (node: object, what: string) => never;

function treeOf(node: unknown, depth: number, refuseNode: RefuseNode, refuse: Refuse): Tree {
  if (depth > MAX_DEPTH) return refuse(`it is nested deeper than ${MAX_DEPTH} levels`);
  if (node === null || node === undefined) return "";
  if (typeof node !== "object") return refuse("it has something that pnpm never writes");
  const { tag, anchor } = node as { readonly tag?: string; readonly anchor?: string };
  if (anchor !== undefined) return refuseNode(node, "a YAML anchor");
  if (isScalar(node)) {
    if (tag !== undefined) return refuseNode(node, "a YAML tag");
    return typeof node.value === "string" ? node.value : "";
  }
  if (isSeq(node)) {
    if (tag !== undefined) return refuseNode(node, "a YAML tag");
    return node.items.map((item) => treeOf(item, depth + 1, refuseNode, refuse));
  }
  if (!isMap(node)) return refuseNode(node, "YAML aliases");
  if (tag !== undefined) return refuseNode(node, "a YAML tag");
  const fields = new Map<string, Tree>();
  for (const { key, value } of node.items) {
    if (!isScalar(key)) return refuseNode(key ?? node, "a key that is no text");
    const name = treeOf(key, depth + 1, refuseNode, refuse) as string;
    if (key.type !== Scalar.PLAIN && key.type !== Scalar.QUOTE_SINGLE && key.type !== Scalar.QUOTE_DOUBLE)
      return refuseNode(key, "a key in a block");
    if (key.type === Scalar.PLAIN && NOT_TEXT.test(name)) return refuseNode(key, `the key ${shown(name)} without quotes`);
    if (/[\r\n]/.test(name)) return refuseNode(key, "a key of several lines");
    if (fields.has(name)) return refuse(`${shown(name)} stands twice in one map`);
    fields.set(name, treeOf(value, depth + 1, refuseNode, refuse));
  }
  return fields;
}
