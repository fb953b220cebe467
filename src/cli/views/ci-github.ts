/**
 * GitHub workflows of an index: verify what is proposed, seal what is merged, sign anew each week.
 *
 * The tool comes from the branch that a pull request would be merged into, and secrets are only in reach of a job that
 * checks out that branch: what a stranger proposes is data to these jobs, never code.
 */
export type CiFile = { readonly path: string; readonly text: string };

export const TOOL_PATH = "tools/imprint.tgz";

/** @param id index id, pinned in both workflows */
export function githubWorkflows(id: string): readonly CiFile[] {
  return [
    { path: ".github/workflows/imprint-verify.yml", text: verifyWorkflow(id) },
    { path: ".github/workflows/imprint-seal.yml", text: sealWorkflow() },
  ];
}

function install(commit: string): string {
  return `      - uses: actions/setup-node@v4
        with: { node-version: 22 }
      - name: install imprint
        run: |
          git show "${commit}:${TOOL_PATH}" > "$RUNNER_TEMP/imprint.tgz"
          npm install --global --no-audit --no-fund "$RUNNER_TEMP/imprint.tgz"
`;
}

function verifyWorkflow(id: string): string {
  return `# Written by \`imprint init --ci github\`. Needs no secret.
name: imprint verify
on: [push, pull_request]
permissions: { contents: read }
jobs:
  verify:
    runs-on: ubuntu-latest
    env:
      # Of a pull request GitHub checks out the merge: its first parent is the branch that it goes to.
      BASE: \${{ github.event_name == 'pull_request' && 'HEAD^1' || 'HEAD' }}
      FROM: \${{ github.event.pull_request.head.repo.clone_url }}
    steps:
      - uses: actions/checkout@v4
        with: { fetch-depth: 2 }
${install("$BASE")}      - name: verify the proposal
        if: github.event_name == 'pull_request'
        run: imprint verify --proposal . --base "$BASE" --from "$FROM" --id ${id}
      - name: verify the index
        run: imprint verify . --id ${id}
`;
}

function sealWorkflow(): string {
  return `# Written by \`imprint init --ci github\`. Needs two secrets:
#   IMPRINT_KEY         what \`imprint key export <name> --only checkpoint\` prints
#   IMPRINT_PASSPHRASE  the passphrase that it asked for
name: imprint seal
on:
  # With the workflow and the tool of this branch, after somebody who may has merged.
  pull_request_target: { types: [closed] }
  # Nothing to seal: the index is signed anew, so that its users see that it is alive.
  schedule: [{ cron: "17 4 * * 1" }]
  workflow_dispatch:
permissions: { contents: write }
concurrency: imprint-seal
jobs:
  seal:
    if: github.event_name != 'pull_request_target' || github.event.pull_request.merged
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with: { ref: "\${{ github.event.repository.default_branch }}", fetch-depth: 0 }
${install("HEAD")}      - name: take the checkpoint key
        env:
          IMPRINT_KEY: \${{ secrets.IMPRINT_KEY }}
        run: |
          printf '%s\\n' "$IMPRINT_KEY" > "$RUNNER_TEMP/key.json"
          imprint key import "$RUNNER_TEMP/key.json"
          rm "$RUNNER_TEMP/key.json"
      - name: seal
        env:
          FROM: \${{ github.event.pull_request.head.repo.clone_url }}
          IMPRINT_PASSPHRASE: \${{ secrets.IMPRINT_PASSPHRASE }}
        run: imprint seal --index . \${FROM:+--from "$FROM"}
`;
}
