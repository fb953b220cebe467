/** JSON of lockfiles, and JSON with comments and trailing commas as bun writes it, read so that nothing has two meanings. */
import { printParseErrorCode, visit } from "jsonc-parser";
import { LIMITS } from "../../format/limits.ts";
import { isImprintError } from "../../errors.ts";
import { requireDepth } from "../../format/json.ts";
import type { Fields, Tree } from "./grammar.ts";
import { type Refuse, shown } from "./locked.ts";

const MAX_DEPTH = LIMITS.lockfileDepth;

type Open = Tree[] | Map<string, Tree>;

/** Objects become maps. A key that stands twice in one object is refused: readers differ in which one counts. */
export function parseJsonTree(text: string, refuse: Refuse, options: { readonly comments: boolean }): Fields {
  if (!options.comments) requireStrict(text, refuse);
  let result: Tree | undefined;
  const open: Open[] = [];
  let key = "";
  const keys: string[] = [];
  const put = (value: Tree): void => {
    const into = open.at(-1);
    if (into === undefined) result = value;
    else if (Array.isArray(into)) into.push(value);
    else if (into.has(key)) refuse(`${shown(key)} stands twice in one object`);
    else into.set(key, value);
  };
  const enter = (value: Open): void => {
    if (open.length >= MAX_DEPTH) refuse(`it is nested deeper than ${MAX_DEPTH} levels`);
    put(value);
    open.push(value);
    keys.push(key);
  };
  const leave = (): void => {
    open.pop();
    key = keys.pop() ?? "";
  };
  visit(
    text,
    {
      onObjectBegin: () => enter(new Map()),
      onObjectEnd: leave,
      onArrayBegin: () => enter([]),
      onArrayEnd: leave,
      onObjectProperty: (name) => void (key = name),
      onLiteralValue: (value: unknown) => put(value as Tree),
      onError: (code, offset) => {
        const line = text.slice(0, offset).split("\n").length;
        refuse(`it is not JSON${options.comments ? " with comments" : ""}: ${printParseErrorCode(code)} at line ${line}`);
      },
    },
    { allowTrailingComma: options.comments, disallowComments: !options.comments },
  );
  return result instanceof Map ? result : refuse("it is not a JSON object");
}

function requireStrict(text: string, refuse: Refuse): void {
  try {
    requireDepth(text, MAX_DEPTH);
    JSON.parse(text);
  } catch (error) {
    refuse(isImprintError(error) ? `it is nested deeper than ${MAX_DEPTH} levels` : "it is not JSON", error);
  }
}
