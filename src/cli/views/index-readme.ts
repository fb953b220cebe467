/** The README of a new index: what a stranger who opens the repository in a browser needs. */
export function indexReadme(index: {
  readonly name: string;
  readonly packages: readonly string[];
  /** The command that adds it, with its id. */
  readonly add: string;
}): string {
  return `# ${index.name}: a package index

This repository lists packages (${index.packages.map((pattern) => `\`${pattern}\``).join(", ")}) as signed JSON files. It is written and read by
imprint; please do not edit files under \`trust/\` and \`packages/\` or \`checkpoint.json\` by hand: every byte of them is signed.

To install packages from it in a project:

\`\`\`sh
${index.add}
imprint run npm install <package>
\`\`\`

The part after \`#\` is the id of this index. Compare it with what its author tells you elsewhere: whoever hosts this page could
have changed it.
`;
}
