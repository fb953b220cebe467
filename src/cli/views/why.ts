/** What `imprint why` says, as a tree. */
import { clean } from "../../format/text.ts";

export type WhyNode = { readonly text: string; readonly children: readonly WhyNode[] };
export type WhyResult = {
  readonly name: string;
  readonly source: string;
  readonly answer: "served" | "absent" | "refused" | "upstream";
  readonly tree: WhyNode;
};

export function treeLines({ text, children }: WhyNode, indent = ""): readonly string[] {
  return [
    clean(text),
    ...children.flatMap((child, i) => {
      const last = i === children.length - 1;
      const [head, ...rest] = treeLines(child, `${indent}${last ? "  " : "│ "}`);
      return [`${indent}${last ? "└ " : "├ "}${head ?? ""}`, ...rest];
    }),
  ];
}

export function leaf(text: string): WhyNode {
  return { text, children: [] };
}
