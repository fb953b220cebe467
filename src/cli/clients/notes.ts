/**
 * What a client decides for itself, said in one line where it would surprise: gates that hold fresh releases back, install
 * scripts that wait for approval, lockfiles that name the address of another resolver.
 */
import { LIMITS } from "../../format/limits.ts";
import path from "node:path";
import { textOf } from "../../format/bytes.ts";
import { parsePackageName, type PackagePattern, patternRank } from "../../format/names.ts";
import type { Deps } from "../deps.ts";
import type { Seen, Told } from "../report.ts";
import { spanText } from "../terminal.ts";

export type ClientVersion = { readonly name: string; readonly major: number };

const DAY_MS = 86_400_000;
const MAX_LOCK_BYTES = LIMITS.lockfileBytes;

/** `npm/11.19.1 node/…`, `pnpm/12.21.0 …`, `Bun/1.4.5`, `Deno/2.9.6`; yarn 2 and later name only their HTTP library. */
export function clientOf(userAgent: string): ClientVersion | null {
  if (userAgent.startsWith("got (")) return { name: "yarn", major: 4 };
  const [, name = "", major = ""] = /\b(npm|pnpm|yarn|bun|deno)\/v?(\d+)\./iu.exec(userAgent) ?? [];
  return name === "" ? null : { name: name.toLowerCase(), major: Number(major) };
}

type Gate = {
  readonly holds: (client: ClientVersion) => boolean;
  /** What it does with what is younger than a day. */ readonly does: string;
  readonly instead: (name: string) => string;
  /** Whether `imprint run` told it, by environment, which names to leave to imprint.json. */ readonly isTold: boolean;
};

/** Those that hold releases back unless told otherwise. Measured with pnpm 11 and 12, yarn 4.18, deno 2.9. */
const GATES: readonly Gate[] = [
  {
    holds: ({ name, major }) => name === "pnpm" && major >= 11,
    does: "takes an older one where it can",
    instead: (name) => `minimumReleaseAgeExclude: ["${name}"] in pnpm-workspace.yaml, or minAgeHours in imprint.json`,
    isTold: true,
  },
  {
    holds: ({ name, major }) => name === "yarn" && major >= 4,
    does: "refuses it (npmMinimalAgeGate)",
    instead: (name) => `npmPreapprovedPackages: ["${name}"] in .yarnrc.yml, or minAgeHours in imprint.json`,
    isTold: true,
  },
  {
    holds: ({ name, major }) => name === "deno" && major >= 2,
    does: "refuses it (minimumDependencyAge)",
    instead: (name) => `"minimumDependencyAge": { "age": "P1D", "exclude": ["npm:${name}"] } in deno.json`,
    isTold: false,
  },
];

type Approval = { readonly waits: (client: ClientVersion) => boolean; readonly how: (name: string) => string };

/** Those that run no install scripts of dependencies until somebody approves. */
const APPROVALS: readonly Approval[] = [
  { waits: ({ name, major }) => name === "npm" && major >= 12, how: (name) => `npm install-scripts approve ${name} && npm rebuild` },
  { waits: ({ name, major }) => name === "pnpm" && major >= 10, how: () => "pnpm approve-builds" },
  {
    waits: ({ name, major }) => name === "yarn" && major >= 4,
    how: (name) => `"dependenciesMeta": { "${name}": { "built": true } } in package.json`,
  },
  { waits: ({ name }) => name === "bun", how: (name) => `bun pm trust ${name}` },
  { waits: ({ name }) => name === "deno", how: (name) => `deno approve-scripts npm:${name}` },
];

/** @param aged names of indices with `minAgeHours`, which clients were told to leave alone */
export function notesOf({ told, clients }: Seen, aged: readonly PackagePattern[], nowMs: number): readonly string[] {
  const known = clients.flatMap((userAgent) => clientOf(userAgent) ?? []);
  const lines: string[] = [];
  for (const client of known) {
    const gate = GATES.find(({ holds }) => holds(client));
    const held = told.filter((one) => gate !== undefined && isYoung(one, nowMs) && !(gate.isTold && isAged(one, aged)));
    const [first] = held;
    if (gate !== undefined && first !== undefined)
      lines.push(
        `${client.name} ${client.major} holds back what is younger than a day and ${gate.does}: ${first.name}@${first.newest.version} appeared ${spanText(Math.max(0, nowMs - first.newest.at))} ago${more(held)}; to take it: ${gate.instead(first.name)}`,
      );
    const approval = APPROVALS.find(({ waits }) => waits(client));
    const scripted = told.filter(({ hasInstallScript }) => approval !== undefined && hasInstallScript);
    const [script] = scripted;
    if (approval !== undefined && script !== undefined)
      lines.push(
        `${client.name} ${client.major} runs no install script before you approve it: ${script.name}${more(scripted)}; ${approval.how(script.name)}`,
      );
  }
  return [...new Set(lines)];
}

function isYoung({ newest }: Told, nowMs: number): boolean {
  return nowMs - newest.at < DAY_MS;
}

function isAged({ name }: Told, aged: readonly PackagePattern[]): boolean {
  return aged.some((pattern) => patternRank(pattern, parsePackageName(name)) > 0);
}

function more(items: readonly unknown[]): string {
  return items.length > 1 ? ` (and ${items.length - 1} more)` : "";
}

/** Lockfiles that hold whole addresses, which their clients ask whatever their registry is. */
const PINNING: readonly (readonly [file: string, client: string])[] = [
  ["yarn.lock", "yarn 1"],
  ["bun.lock", "bun"],
];

/** @returns a line where a lockfile of the project names another resolver than the one at `base` */
export async function pinnedElsewhere({ files }: Pick<Deps, "files">, folder: string, base: string): Promise<string | null> {
  for (const [file, client] of PINNING) {
    const text = textOf((await files.read(path.join(folder, file), MAX_LOCK_BYTES).catch(() => null)) ?? new Uint8Array()) ?? "";
    const pinned = [...text.matchAll(/http:\/\/127\.0\.0\.1:(\d+)\//g)].map(([, port]) => port).find((port) => !base.endsWith(`:${port}`));
    if (pinned !== undefined)
      return `${file} pins port ${pinned}, where ${client} will ask, and this resolver is at ${base}: free that port (imprint serve may have it) and imprint run --port ${pinned} …`;
  }
  return null;
}
