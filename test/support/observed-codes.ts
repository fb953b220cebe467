/**
 * Which refusals a test has really demanded and seen: every assertion that passed is looked at, and the codes, HTTP
 * statuses and verdicts that it expected and that were in what it got are kept with the test, for the table of threats.
 *
 * Only the assertion library is extended, by its own means; nothing of the project is. An expectation alone counts for
 * nothing: the assertion has to pass first, and one of absence (`not`) is never counted.
 */
import { afterEach, beforeEach, chai } from "vitest";
import { CATALOGUE } from "../../src/errors.ts";

declare module "vitest" {
  interface TaskMeta {
    /** What assertions of this test expected and saw. */
    observed?: readonly string[];
  }
}

const METHODS = ["toBe", "toEqual", "toStrictEqual", "toMatchObject", "toContain", "toContainEqual", "toMatch", "toThrow", "toThrowError"];
const STATUSES = new Set(Object.values(CATALOGUE).map(({ http }) => String(http)));
const VERDICTS = new Set(["ok", "yanked", "unsigned", "untrusted", "unsupported", "invalid"]);
const MAX_DEPTH = 6;
const MAX_NODES = 2_000;

const observed = new Set<string>();

beforeEach(() => observed.clear());
afterEach(({ task }) => {
  if (observed.size > 0) task.meta.observed = [...observed].toSorted();
});

chai.use((library, utils) => {
  for (const method of METHODS) {
    utils.overwriteMethod(library.Assertion.prototype, method, (original: (...args: unknown[]) => unknown) => {
      return function (this: Chai.AssertionStatic, ...expected: unknown[]) {
        const actual: unknown = utils.flag(this, "object");
        const result: unknown = Reflect.apply(original, this, expected);
        if (utils.flag(this, "negate") !== true) remember(expected, actual);
        return result;
      };
    });
  }
});

function remember(expected: unknown, actual: unknown): void {
  const wanted = wordsIn(expected);
  if (wanted.size === 0) return;
  // `expect(() => …).toThrow(…)`: what was thrown is not to be had here, but the assertion has passed over it.
  const got = typeof actual === "function" ? wanted : wordsIn(actual);
  for (const word of wanted) if (got.has(word)) observed.add(word);
}

/** Codes, statuses and verdicts anywhere in a value; in an asymmetric matcher: in what it asks for. */
function wordsIn(value: unknown): ReadonlySet<string> {
  const found = new Set<string>();
  const seen = new Set<object>();
  let nodes = 0;
  const look = (node: unknown, depth: number): void => {
    if (depth > MAX_DEPTH || ++nodes > MAX_NODES) return;
    if (typeof node === "number") {
      if (STATUSES.has(String(node))) found.add(String(node));
    } else if (typeof node === "string") {
      if (VERDICTS.has(node)) found.add(node);
      for (const [word] of node.matchAll(/\b[A-Z][A-Z_]{4,}\b/gu)) if (Object.hasOwn(CATALOGUE, word)) found.add(word);
    } else if (node instanceof RegExp) {
      look(node.source, depth);
    } else if (typeof node === "object" && node !== null && !ArrayBuffer.isView(node) && !seen.has(node)) {
      seen.add(node);
      if (node instanceof Error) {
        look(node.message, depth + 1);
        if ("code" in node) look(node.code, depth + 1);
      } else if ("asymmetricMatch" in node) {
        if (!("inverse" in node) || node.inverse !== true) look("sample" in node ? node.sample : null, depth);
      } else if (node instanceof Map) {
        for (const [key, entry] of node) [key, entry].forEach((part) => look(part, depth + 1));
      } else {
        for (const entry of node instanceof Set ? node : Object.values(node)) look(entry, depth + 1);
      }
    }
  };
  look(value, 0);
  return found;
}
