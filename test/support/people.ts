/**
 * People at terminals: each with an empty HOME of their own, typing real commands in real processes. Used by the demo and
 * by the end-to-end tests, so that both see what users see.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { createHostedRepository, startGitHost, type GitHost } from "./git-host.ts";

export const BIN = fileURLToPath(new URL("../../dist/bin.js", import.meta.url));

export type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string };
export type Person = { readonly name: string; readonly home: string };
export type Typed = { readonly who: Person; readonly words: readonly string[] };

export type People = {
  /** Everything lies below it. */
  readonly folder: string;
  readonly host: GitHost;
  /** The bare repository behind an address. */
  hosted(repo: string): string;
  person(name: string): Person;
  /** Any command. */
  sh(who: Person, cwd: string, command: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Outcome>;
  imprint(who: Person, cwd: string, ...args: readonly string[]): Promise<Outcome>;
  /** An index of that person on the host, made by `imprint init`. */
  init(
    who: Person,
    packages: string,
  ): Promise<{ readonly url: string; readonly id: string; readonly address: string; readonly clone: string }>;
  /** A folder with these files; objects become JSON. */
  folderOf(name: string, files: Readonly<Record<string, unknown>>): string;
  close(): Promise<void>;
};

export async function people(
  options: { readonly onOutcome?: (typed: Typed, outcome: Outcome) => void; readonly onTyped?: (typed: Typed) => void } = {},
): Promise<People> {
  const folder = mkdtempSync(path.join(tmpdir(), "imprint-people-"));
  const root = path.join(folder, "host");
  mkdirSync(root);
  const host = await startGitHost({ root });
  const sh: People["sh"] = (who, cwd, command, args, env = {}) => {
    const typed: Typed = {
      who,
      words: command === process.execPath && args[0] === BIN ? ["imprint", ...args.slice(1)] : [command, ...args],
    };
    options.onTyped?.(typed);
    return new Promise((resolve, reject) => {
      const child = spawn(command, args, { cwd, env: { ...environmentOf(who), ...env }, stdio: ["ignore", "pipe", "pipe"] });
      const out = { stdout: "", stderr: "" };
      for (const stream of ["stdout", "stderr"] as const)
        child[stream].setEncoding("utf8").on("data", (text: string) => (out[stream] += text));
      child.once("error", reject);
      child.once("close", (code) => {
        const outcome = { code: code ?? 1, ...out };
        options.onOutcome?.(typed, outcome);
        resolve(outcome);
      });
    });
  };
  const imprint: People["imprint"] = (who, cwd, ...args) => sh(who, cwd, process.execPath, [BIN, ...args]);
  return {
    folder,
    host,
    hosted: (repo) => path.join(root, repo),
    person(name) {
      const home = path.join(folder, "homes", name);
      mkdirSync(home, { recursive: true });
      if (!existsSync(passphraseFile(home))) writeFileSync(passphraseFile(home), `${name}'s passphrase\n`, { mode: 0o600 });
      return { name, home };
    },
    sh,
    imprint,
    async init(who, packages) {
      const repo = `${who.name}/index.git`;
      createHostedRepository(root, repo);
      const url = host.url(repo);
      const made = await imprint(
        who,
        folder,
        "init",
        `${who.name}-index`,
        "--name",
        who.name,
        "--packages",
        packages,
        "--remote",
        url,
        "--url",
        url,
      );
      if (made.code !== 0) throw new Error(`imprint init failed: ${made.stderr}`);
      const id = made.stdout.trim();
      return { url, id, address: `${url}#${id}`, clone: path.join(folder, `${who.name}-index`) };
    },
    folderOf(name, files) {
      const made = path.join(folder, name);
      for (const [file, content] of Object.entries(files)) {
        const target = path.join(made, file);
        mkdirSync(path.dirname(target), { recursive: true });
        writeFileSync(target, typeof content === "string" ? content : `${JSON.stringify(content, null, 2)}\n`);
      }
      mkdirSync(made, { recursive: true });
      return made;
    },
    async close() {
      await host.close();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

const passphraseFile = (home: string): string => path.join(home, ".passphrase");

/** Nothing of ours or npm's leaks in from whoever runs the tests. */
function environmentOf({ home }: Person): NodeJS.ProcessEnv {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(npm_|NPM_|IMPRINT_|XDG_|GIT_)/.test(key)));
  return {
    ...inherited,
    HOME: home,
    IMPRINT_PASSPHRASE_FILE: passphraseFile(home),
    npm_config_cache: path.join(home, "npm-cache"),
    npm_config_update_notifier: "false",
    npm_config_audit: "false",
    npm_config_fund: "false",
    GIT_CONFIG_NOSYSTEM: "1",
  };
}

/** How to start one of the npm versions that the tests bring along. */
export function npmOf(major: 10 | 11): readonly [string, string] {
  const manifest = createRequire(import.meta.url).resolve(`npm-${major}/package.json`);
  return [process.execPath, path.join(path.dirname(manifest), "bin", "npm-cli.js")];
}
