/** The package managers that can make the tarball, and how each is asked to. All of it measured, see test/e2e/package-managers. */

export type Program = "npm" | "pnpm" | "yarn" | "bun";
export type ManagerName = "npm" | "pnpm" | "yarn 1" | "yarn 2+" | "bun";

export type PackageManager = {
  readonly name: ManagerName;
  /** As it is found on the PATH. */
  readonly program: Program;
  /** The scripts that its own `publish` runs before it packs, and that its `pack` skips, in order. */
  readonly before: readonly string[];
  /** Runs one script of package.json. */
  readonly script: (name: string) => readonly string[];
  /** Packs into `destination`, an absolute path to an empty folder. */
  readonly pack: (destination: string) => readonly string[];
};

const run = (name: string): readonly string[] => ["run", name];

export const MANAGERS: Readonly<Record<ManagerName, PackageManager>> = {
  npm: {
    name: "npm",
    program: "npm",
    before: ["prepublishOnly"],
    // No notifier: publishing contacts no registry.
    script: (name) => ["run", "--no-update-notifier", name],
    // Whatever dry-run setting is about.
    pack: (destination) => ["pack", "--no-update-notifier", "--dry-run=false", "--pack-destination", destination],
  },
  pnpm: {
    name: "pnpm",
    program: "pnpm",
    before: ["prepublishOnly"],
    script: run,
    pack: (destination) => ["pack", "--pack-destination", destination],
  },
  "yarn 1": {
    name: "yarn 1",
    program: "yarn",
    before: ["prepare", "prepublishOnly"],
    script: run,
    pack: (destination) => ["pack", "--filename", `${destination}/package.tgz`],
  },
  "yarn 2+": {
    name: "yarn 2+",
    program: "yarn",
    before: ["prepublishOnly", "prepublish"],
    script: run,
    pack: (destination) => ["pack", "--out", `${destination}/package.tgz`],
  },
  bun: {
    name: "bun",
    program: "bun",
    before: ["prepublishOnly"],
    script: run,
    pack: (destination) => ["pm", "pack", "--destination", destination],
  },
};

export const PROGRAMS: readonly Program[] = ["npm", "pnpm", "yarn", "bun"];

export function isProgram(name: string): name is Program {
  return (PROGRAMS as readonly string[]).includes(name);
}
