/**
 * Lockfiles of real clients, changed; what the audit calls good is installed by the real client, frozen. Nothing may then
 * lie under a claimed name that was not signed.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { audit } from "../../../src/cli/commands/audit.ts";
import { isImprintError } from "../../../src/errors.ts";
import { type Random, randomOf, seedOfCase } from "../random.ts";
import { changeBeside, putEvil } from "./beside.ts";
import { clientFor, DEPENDENCIES, type Format, FORMATS, runClient, unsignedIn } from "./install.ts";
import { changeJson } from "./json-changes.ts";
import { openScene, type Scene } from "./scene.ts";
import { changeText } from "./text-changes.ts";

export type LockfileFailure = {
  readonly format: Format;
  readonly n: number;
  readonly how: readonly string[];
  readonly faults: readonly string[];
  /** The lockfile as it was audited. */
  readonly text: string;
};
export type LockfileCount = {
  readonly cases: number;
  readonly good: number;
  readonly refused: number;
  readonly installed: number;
  /** `made`: forged lockfiles. `work`: how many of them install unsigned code under a claimed name when the audit is not run. */
  readonly attacks: { readonly made: number; readonly work: number };
};
export type LockfileReport = {
  /** Format → how its cases ended. */
  readonly counts: ReadonlyMap<Format, LockfileCount>;
  readonly failures: readonly LockfileFailure[];
};
export type LockfileOptions = {
  readonly seed: number;
  /** A format. */
  readonly cases: number;
  readonly formats?: readonly Format[] | undefined;
  /** Only this one. */
  readonly only?: number | undefined;
  readonly progress?: (line: string) => void;
};

type Template = {
  readonly format: Format;
  readonly folder: string;
  readonly lockfile: string;
  readonly text: string;
  /** Locks that the client made of requests that lead elsewhere, which were then put back: attacks that may work. */
  readonly attacks: readonly { readonly spec: string; readonly text: string }[];
};

/** Clients at once. */
const AT_ONCE = 2;

export async function fuzzLockfiles(options: LockfileOptions): Promise<LockfileReport> {
  const scene = await openScene();
  try {
    const counts: Map<Format, { -readonly [K in keyof LockfileCount]: LockfileCount[K] }> = new Map();
    const failures: LockfileFailure[] = [];
    for (const format of options.formats ?? FORMATS) {
      const template = await templateOf(scene, format);
      const count = { cases: 0, good: 0, refused: 0, installed: 0, attacks: await attacksThatWork(scene, template) };
      counts.set(format, count);
      const numbers = options.only === undefined ? Array.from({ length: options.cases }, (_, n) => n) : [options.only];
      const queue = numbers.values();
      const work = async (): Promise<void> => {
        for (const n of queue) {
          const ended = await oneCase(scene, template, options.seed, n, options.only !== undefined ? options.progress : undefined);
          count.cases++;
          if (ended === "refused") count.refused++;
          else {
            count.good++;
            if (ended.installed) count.installed++;
            if (ended.failure !== null) failures.push(ended.failure);
          }
          if (count.cases % 50 === 0)
            options.progress?.(
              `${format}: ${count.cases} cases, ${count.good} good, ${count.refused} refused, ${count.installed} installed`,
            );
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
    }
    return { counts, failures };
  } finally {
    await scene.close();
  }
}

/** A project whose lock its client made itself. */
async function templateOf(scene: Scene, format: Format): Promise<Template> {
  const { folder, text } = await lockOf(scene, format, `template-${format}`, RANGE);
  if (text === null) throw new Error(`${format} made no lock`);
  const attacks: { readonly spec: string; readonly text: string }[] = [];
  for (const [i, spec] of evilSpecs(scene).entries()) {
    const made = await lockOf(scene, format, `attack-${format}-${i}`, spec);
    rmSync(made.folder, { recursive: true, force: true });
    if (made.text === null) continue; // not every client has every kind of request
    // deno.lock maps a request to a version, not to a package, so an alias of the project cannot be forged there.
    if (format !== "deno") attacks.push({ spec, text: putBack(format, made.text, spec) });
    else if (spec.startsWith("npm:"))
      for (const [owner, place] of DENO_PLACES) {
        const under = `evil as ${place} of ${owner}`;
        attacks.push({ spec: under, text: denoAlias(text, made.text, owner, place) });
      }
  }
  attacks.push({ spec: "another address and its hash", text: swapped(scene, format, text) });
  return { format, folder, lockfile: clientFor(format).lockfile, text, attacks };
}

/** Installs each forged lockfile without the audit. If none of them worked, the cases would prove nothing about the audit. */
async function attacksThatWork(scene: Scene, template: Template): Promise<LockfileCount["attacks"]> {
  let work = 0;
  for (const [i, { text }] of template.attacks.entries()) {
    const folder = path.join(scene.world.folder, "attacks", `${template.format}-${String(i)}`);
    mkdirSync(path.dirname(folder), { recursive: true });
    cpSync(template.folder, folder, { recursive: true });
    putEvil(folder, scene);
    writeFileSync(path.join(folder, template.lockfile), text);
    await runClient(scene, template.format, folder, "frozen");
    if (unsignedIn(scene, folder).length > 0) work++;
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
  return { made: template.attacks.length, work };
}

/** A lock that was made for another request, as the answer to the honest one. */
function putBack(format: Format, text: string, spec: string): string {
  if (format === "yarn4")
    // Keys of a yarn 4 lockfile end with the locator of the dependent. Resolutions must keep the forged target.
    return text
      .replaceAll(/^"@alice\/a@.*":$/gm, `"@alice/a@npm:${RANGE}":`)
      .replaceAll(/^( +)"@alice\/a": .*$/gm, `$1"@alice/a": "npm:${RANGE}"`);
  const back = [spec, encodeURIComponent(spec)].reduce((all, one) => all.replaceAll(`@alice/a@${one}`, `@alice/a@${RANGE}`), text);
  return back.replaceAll(`"${spec}"`, `"${RANGE}"`).replaceAll(`specifier: ${spec}`, `specifier: ${RANGE}`);
}

type DenoLock = { readonly npm: Record<string, { dependencies?: readonly string[]; integrity?: string; tarball?: string }> };

/** Whose dependency, under which claimed name. */
const DENO_PLACES = [
  ["@alice/a", "claimed"],
  ["@alice/a", "@alice/b"],
  ["pub-a", "@alice/b"],
] as const;

/** A lock in which `owner` also depends on what `evil` asked for, under a name that is not its own. */
function denoAlias(text: string, evil: string, owner: string, place: string): string {
  const [lock, other] = [JSON.parse(text) as DenoLock, JSON.parse(evil) as DenoLock];
  const [key = "", entry = {}] = Object.entries(other.npm).find(([one]) => one.startsWith("evil@")) ?? [];
  lock.npm[key] = entry;
  for (const [one, owned] of Object.entries(lock.npm))
    if (one.startsWith(`${owner}@`)) owned.dependencies = [`${place}@npm:${key}`, ...(owned.dependencies ?? [])].toSorted();
  return `${JSON.stringify(lock, null, 2)}\n`;
}

/** The chosen release's entry with the hash and the address of an unsigned tarball. */
function swapped({ chosenIntegrity, evilIntegrity, registry, trap }: Scene, format: Format, text: string): string {
  const address = `${trap}@alice/a/-/a-1.1.0.tgz`;
  if (format === "deno") {
    const lock = JSON.parse(text) as DenoLock;
    for (const [key, entry] of Object.entries(lock.npm))
      if (key.startsWith("@alice/a@")) [entry.integrity, entry.tarball] = [evilIntegrity, address];
    return `${JSON.stringify(lock, null, 2)}\n`;
  }
  const moved = text.replaceAll(`${registry}@alice/a/-/a-1.1.0.tgz`, address);
  if (format === "pnpm") return moved.replaceAll(chosenIntegrity, `${evilIntegrity}, tarball: ${address}`);
  return moved.replaceAll(chosenIntegrity, evilIntegrity);
}

/** What `@alice/a` is asked for as, and what an attacker would ask for. */
const RANGE = DEPENDENCIES["@alice/a"];

function evilSpecs({ trap }: Scene): readonly string[] {
  return ["npm:evil@1.0.0", "file:./evil", "file:./evil.tgz", "link:./evil", "portal:./evil", `${trap}evil.tgz`];
}

async function lockOf(
  scene: Scene,
  format: Format,
  name: string,
  spec: string,
): Promise<{ readonly folder: string; readonly text: string | null }> {
  const client = clientFor(format);
  const folder = await scene.projectFolder(name);
  putEvil(folder, scene);
  const manifest = { name: "shop", version: "1.0.0", private: true, dependencies: { ...DEPENDENCIES, "@alice/a": spec } };
  for (const [file, content] of Object.entries({ ...client.files, "package.json": manifest }))
    writeFileSync(path.join(folder, file), typeof content === "string" ? content : `${JSON.stringify(content, null, 2)}\n`);
  const { code } = await runClient(scene, format, folder, "install");
  for (const at of ["node_modules", ".home", ".yarn"]) rmSync(path.join(folder, at), { recursive: true, force: true });
  return { folder, text: code === 0 ? readFileSync(path.join(folder, client.lockfile), "utf8") : null };
}

type Ended = "refused" | { readonly installed: boolean; readonly failure: LockfileFailure | null };

async function oneCase(
  scene: Scene,
  template: Template,
  seed: number,
  n: number,
  tell: ((line: string) => void) | undefined,
): Promise<Ended> {
  const { format, lockfile } = template;
  const folder = path.join(scene.world.folder, "cases", `${format}-${String(n)}`);
  mkdirSync(path.dirname(folder), { recursive: true });
  cpSync(template.folder, folder, { recursive: true });
  try {
    const random = randomOf(seedOfCase(seed, n));
    putEvil(folder, scene);
    // The first is as its client made it: where that does not install, the others say nothing.
    const { text, how } = n === 0 ? { text: template.text, how: ["unchanged"] } : changed(template, folder, random, scene);
    writeFileSync(path.join(folder, lockfile), text);
    const verdict = await verdictOn(scene, folder);
    tell?.(`${how.join("; ")}\n${verdict ?? "good"}\n${text}`);
    if (verdict !== null) return "refused";
    const { code, said } = await runClient(scene, format, folder, "frozen");
    tell?.(`the client ended with ${code}\n${said}`);
    const faults = unsignedIn(scene, folder);
    return { installed: code === 0, failure: faults.length === 0 ? null : { format, n, how, faults, text } };
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** One change to three, each on the outcome of the one before. */
function changed(
  template: Template,
  folder: string,
  random: Random,
  scene: Scene,
): { readonly text: string; readonly how: readonly string[] } {
  const { format, lockfile, attacks } = template;
  let { text } = template;
  const how: string[] = [];
  if (attacks.length > 0 && random.once(2)) {
    const attack = random.pick(attacks);
    text = attack.text;
    how.push(`#asked for ${attack.spec}`);
    // As it is; or hidden by what follows.
    if (random.once(4)) return { text, how };
  }
  for (let left = 1 + random.int(3); left > 0; left--) {
    if (random.once(6)) how.push(changeBeside(folder, lockfile, random, scene));
    else if ((format === "npm" || format === "bun" || format === "deno") && how.every((one) => one.startsWith("#")) && !random.once(4)) {
      const [next, what] = changeJson({ format, text }, random, scene);
      text = next;
      how.push(`#${what}`);
    } else {
      const [next, what] = changeText(format, text, random, scene);
      text = next;
      how.push(what);
    }
  }
  return { text, how };
}

/** Null: the audit calls it good. */
async function verdictOn(scene: Scene, folder: string): Promise<string | null> {
  try {
    const result = await audit({ frozen: false, strict: false, lockfile: undefined }, scene.auditor(folder));
    const refused = result.packages.find(({ status }) => status === "refused");
    return refused === undefined ? null : `${refused.path}: ${refused.reason ?? ""}`;
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return error.message;
  }
}
