/**
 * What a client decides for itself, said in one line where it would surprise: gates that hold fresh releases back, and install
 * scripts that wait for approval.
 */
import { parsePackageName, type PackagePattern, patternRank } from "../format/names.ts";
import { spanText } from "../format/text.ts";

/** An author's package that a client was told about. */
export type Told = {
  readonly number: number;
  readonly name: string;
  /** The newest that was offered, and when it appeared, in Unix milliseconds. */
  readonly newest: { readonly version: string; readonly at: number };
  readonly hasInstallScript: boolean;
};

export type ClientVersion = { readonly name: string; readonly major: number };

const DAY_MS = 86_400_000;

/** `npm/11.19.1 node/…`, `pnpm/12.21.0 …`, `Bun/1.4.5`, `Deno/2.9.6`; yarn 2 and later name only their HTTP library. */
export function clientOf(userAgent: string): ClientVersion | null {
  if (userAgent.startsWith("got (")) return { name: "yarn", major: 4 };
  const [, name = "", major = ""] = /\b(npm|pnpm|yarn|bun|deno)\/v?(\d+)\./iu.exec(userAgent) ?? [];
  return name === "" ? null : { name: name.toLowerCase(), major: Number(major) };
}

/** What a resolver saw of a command, and how that ended. */
export type Ran = {
  readonly told: readonly Told[];
  /** Tarballs that were taken, as `@alice/a/a-1.0.0.tgz`. */ readonly taken: readonly string[];
  /** User-Agent headers. */ readonly clients: readonly string[];
  readonly exitCode: number;
};

type Gate = {
  readonly holds: (client: ClientVersion) => boolean;
  /** What it does with what is younger than a day. */ readonly does: string;
  /** Whether it ends with an error then; else it takes an older release, if there is one. */ readonly fails: boolean;
  readonly instead: (name: string) => string;
  /** Whether `imprint run` told it, by environment, which names to leave to imprint.json. */ readonly isTold: boolean;
};

/** Those that hold releases back unless told otherwise. Measured with pnpm 11 and 12, yarn 4.18, deno 2.9. */
const GATES: readonly Gate[] = [
  {
    holds: ({ name, major }) => name === "pnpm" && major >= 11,
    does: "takes an older one where it can",
    fails: false,
    instead: (name) => `minimumReleaseAgeExclude: ["${name}"] in pnpm-workspace.yaml, or minAgeHours in imprint.json`,
    isTold: true,
  },
  {
    holds: ({ name, major }) => name === "yarn" && major >= 4,
    does: "refuses it (npmMinimalAgeGate)",
    fails: true,
    instead: (name) => `npmPreapprovedPackages: ["${name}"] in .yarnrc.yml, or minAgeHours in imprint.json`,
    isTold: true,
  },
  {
    holds: ({ name, major }) => name === "deno" && major >= 2,
    does: "refuses it (minimumDependencyAge)",
    fails: true,
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
export function notesOf({ told, taken, clients, exitCode }: Ran, aged: readonly PackagePattern[], nowMs: number): readonly string[] {
  const known = clients.flatMap((userAgent) => clientOf(userAgent) ?? []);
  const lines: string[] = [];
  for (const client of known) {
    const gate = GATES.find(({ holds }) => holds(client));
    const held = told.filter(
      (one) => gate !== undefined && isYoung(one, nowMs) && !(gate.isTold && isAged(one, aged)) && isHeldBack(one, gate, taken, exitCode),
    );
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

/** Whether the client did what its gate does: a young release that it took, or never wanted, is no news. */
function isHeldBack({ name, newest }: Told, { fails }: Gate, taken: readonly string[], exitCode: number): boolean {
  const ofName = taken.filter((key) => key.startsWith(`${name}/`) && !key.slice(name.length + 1).includes("/"));
  if (ofName.some((key) => key.endsWith(`-${newest.version}.tgz`))) return false;
  return fails ? exitCode !== 0 : exitCode !== 0 || ofName.length > 0;
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
