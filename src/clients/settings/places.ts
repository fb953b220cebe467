/**
 * Where each client looks for settings, for a project and the folder in which a command is started. Too many files are
 * better than too few: whichever client runs next, and whatever version of it, its files are among these.
 */
import { realpath } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { foldersUpward, type Surroundings } from "../surroundings.ts";
import { readBunfig, readPnpmYaml, readVltJson, readYarnrcYml } from "./documents.ts";
import { leadsOfEnvironment, valuesInAnyCase } from "./environment.ts";
import { readNpmrc } from "./npmrc.ts";
import type { Lead, Reading } from "./steer.ts";
import { readYarnrc } from "./yarnrc.ts";

/** A reader's name is what a message calls the reader of that file. */
export type Place = { readonly file: string; readonly read: Reader };
export type Reader = (text: string, env: NodeJS.ProcessEnv) => Reading | Promise<Reading>;

const npmrc = (file: string): Place => ({ file, read: readNpmrc });
const yarnrc = (file: string): Place => ({ file, read: readYarnrc });
const yarnrcYml = (file: string): Place => ({ file, read: readYarnrcYml });
const pnpmYaml = (file: string): Place => ({ file, read: readPnpmYaml });
const bunfig = (file: string): Place => ({ file, read: readBunfig });
const vltJson = (file: string): Place => ({ file, read: readVltJson });

export async function placesOf(folder: string, { cwd, env, files }: Surroundings): Promise<readonly Place[]> {
  const rcNames = [".yarnrc.yml", ...valuesInAnyCase(env, "yarn_rc_filename")];
  const inFolder = (at: string): readonly Place[] => [
    npmrc(path.join(at, ".npmrc")),
    yarnrc(path.join(at, ".yarnrc")),
    ...rcNames.map((name) => yarnrcYml(path.join(at, name))),
    pnpmYaml(path.join(at, "pnpm-workspace.yaml")),
    bunfig(path.join(at, "bunfig.toml")),
    vltJson(path.join(at, "vlt.json")),
  ];
  // Clients know their folder by its real path only.
  const starts = [cwd, folder, await realOf(cwd), await realOf(folder), ...valuesInAnyCase(env, "npm_config_workspace_dir")];
  const homes = [...new Set([env["HOME"], env["USERPROFILE"], homedir()].flatMap((one) => (one === undefined || one === "" ? [] : [one])))];
  const ofHomes = await Promise.all(homes.map(async (home) => homePlaces(home, env, await globalFolders(home, { env, files }))));
  const places = [
    ...[...new Set(starts.flatMap(foldersUpward))].flatMap(inFolder),
    ...ofHomes.flat(),
    ...["/usr/local/share/.npmrc"].map(npmrc), // yarn 1's, where root runs it
    ...["/usr/local/share/.yarnrc", "/etc/yarnrc", "/etc/yarn/config"].map(yarnrc),
    ...valuesInAnyCase(env, "YARN_CONFIG").map(yarnrc),
    // Yarn's `dlx` works below the folder for temporary files.
    ...foldersUpward(env["TMPDIR"] ?? tmpdir()).flatMap((at) => rcNames.map((name) => yarnrcYml(path.join(at, name)))),
    ...(await programPlaces(env)),
    ...leadsOfEnvironment(env).flatMap((lead) => placesOfLead(lead, [cwd, folder], homes)),
  ];
  // A variable may hold a relative path, which is below the folder of the command.
  return places.map(({ file, read }) => ({ file: path.resolve(cwd, file), read }));
}

/** Files that a setting names; relative ones are below the folder of the command, or beside the file. */
export function placesOfLead({ setting, value }: Lead, bases: readonly string[], homes: readonly string[]): readonly Place[] {
  const paths =
    value.startsWith("~/") || value === "~"
      ? homes.map((home) => path.join(home, value.slice(1)))
      : bases.map((base) => path.resolve(base, value));
  return paths.flatMap((at): readonly Place[] => {
    if (setting === "prefix") return prefixPlaces(at);
    if (setting === "workspace-prefix") return [npmrc(path.join(at, ".npmrc")), pnpmYaml(path.join(at, "pnpm-workspace.yaml"))];
    // Yarn 1 takes `yarn_userconfig` for a .yarnrc.
    return path.basename(at).includes("yarnrc") ? [yarnrc(at)] : [npmrc(at)];
  });
}

function prefixPlaces(prefix: string): readonly Place[] {
  return [npmrc(path.join(prefix, "etc", "npmrc")), yarnrc(path.join(prefix, "etc", "yarnrc"))];
}

function homePlaces(home: string, env: NodeJS.ProcessEnv, globals: readonly string[]): readonly Place[] {
  const configs = [env["XDG_CONFIG_HOME"], path.join(home, ".config"), path.join(home, "Library", "Preferences"), env["LOCALAPPDATA"]];
  return [
    npmrc(path.join(home, ".npmrc")),
    ...[".yarnrc", ".yarn/config", ".config/yarn", ".config/yarn/config"].map((name) => yarnrc(path.join(home, name))),
    yarnrcYml(path.join(home, ".yarnrc.yml")),
    bunfig(path.join(home, ".bunfig.toml")),
    ...configs.flatMap((config): readonly Place[] =>
      config === undefined || config === ""
        ? []
        : [
            npmrc(path.join(config, ".npmrc")),
            ...["rc", "auth.ini", path.join("config", "rc")].map((name) => npmrc(path.join(config, "pnpm", name))),
            ...["config.yaml", path.join("config", "config.yaml")].map((name) => pnpmYaml(path.join(config, "pnpm", name))),
            bunfig(path.join(config, ".bunfig.toml")),
            vltJson(path.join(config, "vlt", "vlt.json")),
          ],
    ),
    ...globals.flatMap((at) => [
      npmrc(path.join(at, ".npmrc")),
      yarnrc(path.join(at, ".yarnrc")),
      pnpmYaml(path.join(at, "pnpm-workspace.yaml")),
      bunfig(path.join(at, "bunfig.toml")),
    ]),
  ];
}

/** Where clients keep what is installed globally: for such a command these are the project. */
async function globalFolders(home: string, { env, files }: Pick<Surroundings, "env" | "files">): Promise<readonly string[]> {
  const data = env["XDG_DATA_HOME"] ?? path.join(home, ".local", "share");
  const pnpms = [env["PNPM_HOME"], path.join(data, "pnpm"), path.join(home, "Library", "pnpm"), env["LOCALAPPDATA"]].flatMap((at) =>
    at === undefined ? [] : [path.join(at, "global")],
  );
  const versions = await Promise.all(pnpms.map(async (at) => (await files.list(at).catch(() => [])).map((name) => path.join(at, name))));
  return [
    ...versions.flat(),
    path.join(home, ".config", "yarn", "global"),
    path.join(data, "yarn", "global"),
    env["BUN_INSTALL_GLOBAL_DIR"] ?? path.join(env["BUN_INSTALL"] ?? path.join(home, ".bun"), "install", "global"),
  ];
}

/** npm's own npmrc, beside npm, and the global ones of the folder that holds the node on the PATH. */
async function programPlaces(env: NodeJS.ProcessEnv): Promise<readonly Place[]> {
  const onPath = (env["PATH"] ?? env["Path"] ?? "").split(path.delimiter).filter((at) => at !== "");
  const nodes = [process.execPath, ...onPath.map((at) => path.join(at, "node"))];
  const real = await Promise.all([...nodes, ...onPath.map((at) => path.join(at, "npm"))].map(realOf));
  const prefixes = new Set([...nodes, ...real].map((program) => path.dirname(path.dirname(program))));
  const dest = env["DESTDIR"];
  return [...prefixes].flatMap((prefix) => [
    ...prefixPlaces(prefix),
    ...(dest === undefined ? [] : prefixPlaces(path.join(dest, prefix))),
    // On Windows node itself lies at the top; a program of npm lies in its bin folder.
    ...[prefix, path.join(prefix, "lib", "node_modules", "npm"), path.join(prefix, "node_modules", "npm")].map((at) =>
      npmrc(path.join(at, "npmrc")),
    ),
  ]);
}

async function realOf(file: string): Promise<string> {
  return realpath(file).catch(() => path.resolve(file));
}
