/** Versions of the package managers that a project uses: which are too old for what imprint does, and what new ones need. */
import { type Finding, ok, orOk } from "./finding.ts";

export type ClientName = "npm" | "pnpm" | "yarn" | "bun" | "deno";

export type ClientFacts = {
  readonly client: ClientName;
  /** What package.json pins, else what is on the PATH; null: neither. */ readonly version: string | null;
  /** The file by which it is known. */ readonly file: string;
};

type Need = {
  readonly client: ClientName;
  /** Whether a version needs it. */ readonly of: (major: number, minor: number) => boolean;
  readonly level: "note" | "warning";
  readonly what: string;
  readonly fix: string;
};

const NEEDS: readonly Need[] = [
  {
    client: "npm",
    of: (major) => major < 7,
    level: "warning",
    what: "its lockfile is of a version that imprint audit does not read",
    fix: "npm install --global npm@11, then imprint run npm install",
  },
  {
    client: "npm",
    of: (major) => major >= 12,
    level: "note",
    what: "it refuses tarballs of any other address than its registry's, so a lockfile that was made elsewhere installs behind imprint run only",
    fix: "imprint run npm ci",
  },
  {
    client: "pnpm",
    of: (major) => major < 10,
    level: "note",
    what: "it is older than what imprint is tested with, and its lockfile may be of a version that imprint audit does not read",
    fix: "use pnpm 10 or newer",
  },
  {
    client: "yarn",
    of: (major) => major === 2 || major === 3,
    level: "note",
    what: "it is older than what imprint is tested with (1 and 4)",
    fix: "yarn set version stable",
  },
  {
    client: "bun",
    of: (major, minor) => major < 1 || (major === 1 && minor < 2),
    level: "warning",
    what: "it writes bun.lockb, which imprint audit does not read",
    fix: "bun upgrade, then bun install --save-text-lockfile",
  },
  {
    client: "deno",
    of: (major) => major < 2,
    level: "warning",
    what: "it is older than what imprint is tested with, and has no deno install",
    fix: "deno upgrade",
  },
];

export function checkClientVersions(clients: readonly ClientFacts[]): readonly Finding[] {
  const findings = clients.flatMap(({ client, version, file }): readonly Finding[] => {
    if (version === null)
      return [
        {
          level: "note",
          title: `${file} is of ${client}, which is not on the PATH`,
          detail: null,
          fix: `install ${client}, or remove ${file}`,
        },
      ];
    const [, major = "", minor = ""] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
    if (major === "") return [];
    return NEEDS.filter((need) => need.client === client && need.of(Number(major), Number(minor))).map(({ level, what, fix }): Finding => ({
      level,
      title: `${client} ${version}: ${what}`,
      detail: null,
      fix,
    }));
  });
  return clients.length === 0 ? [ok("no lockfile names a client yet")] : orOk(findings, "clients are of versions that need nothing");
}
