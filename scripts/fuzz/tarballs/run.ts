/**
 * Tarballs, changed; what the inspection takes is read by every client. Files, modes and manifest must then be the signed
 * ones, or the inspection let something through that clients read in two ways.
 *
 * npm 10 and 11 and pnpm 10 read by their own code in this process, which costs milliseconds. All others install: hundreds
 * of tarballs as dependencies of one project.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { isImprintError } from "../../../src/errors.ts";
import type { Attack } from "./attacks.ts";
import { caseOf, type TarballCase } from "./generate.ts";
import { npmReader, pnpmReader, type Reader } from "./in-process.ts";
import { type Installer, installers, openRegistry } from "./installs.ts";
import { differences, type Habits, oddReaders, type Reading, type Signed, signedReading } from "./reading.ts";

export type TarballFailure = { readonly client: string; readonly n: number; readonly how: string; readonly faults: readonly string[] };
export type KindCount = { taken: number; refused: number };
export type TarballReport = {
  readonly kinds: ReadonlyMap<string, KindCount>;
  /** Client → tarballs that it read. */
  readonly clients: ReadonlyMap<string, number>;
  readonly failures: readonly TarballFailure[];
};
export type AttackReport = {
  readonly made: number;
  /** Those that the inspection takes: none, or it has a hole. */
  readonly taken: readonly string[];
  /** How → clients that read it in another way than most do. */
  readonly work: ReadonlyMap<string, readonly string[]>;
};
export type Readers = {
  readonly inProcess: readonly Reader[];
  readonly installing: readonly Installer[];
  /** Clients that are not installed. */
  readonly missing: readonly string[];
  close(): Promise<void>;
};

/** Tarballs in one project. */
const AT_ONCE = 250;

/** @param ids only these; all unless given */
export async function openReaders(ids?: readonly string[]): Promise<Readers> {
  const folder = mkdtempSync(path.join(tmpdir(), "imprint-fuzz-tarballs-"));
  const own = (name: string): string => {
    mkdirSync(path.join(folder, name));
    return path.join(folder, name);
  };
  const registry = await openRegistry();
  const all = [npmReader("npm 10", own("npm-10-read")), npmReader("npm 11", own("npm-11-read")), await pnpmReader(own("pnpm-10-read"))];
  const { there, missing } = installers(folder, registry);
  const isWanted = ({ id }: { readonly id: string }): boolean => ids === undefined || ids.includes(id);
  return {
    inProcess: all.filter(isWanted),
    installing: there.filter(isWanted),
    missing: ids === undefined ? missing : missing.filter((id) => ids.includes(id)),
    async close() {
      for (const reader of all) await reader.close();
      await registry.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function fuzzTarballs(
  readers: Readers,
  options: {
    readonly seed: number;
    readonly cases: number;
    readonly only?: number | undefined;
    readonly progress?: (line: string) => void;
  },
): Promise<TarballReport> {
  const kinds = new Map<string, KindCount>();
  const clients = new Map<string, number>();
  const failures: TarballFailure[] = [];
  const judge = (one: TarballCase, signed: Signed, client: string, reading: Reading, habits: Habits): void => {
    clients.set(client, (clients.get(client) ?? 0) + 1);
    const faults = differences(signed, reading, habits);
    if (faults.length > 0) failures.push({ client, n: one.n, how: `${one.kind}: ${one.how.join("; ")}`, faults });
  };
  let waiting: { readonly one: TarballCase; readonly signed: Signed }[] = [];
  const installAll = async (): Promise<void> => {
    const offered = waiting.map(({ one, signed }) => ({ name: one.name, bytes: one.bytes, manifest: signed.facts.manifest }));
    for (const installer of readers.installing) {
      const read = await installer.install(offered);
      for (const { one, signed } of waiting)
        judge(one, signed, installer.id, read.get(one.name) ?? { failed: "nothing was read" }, installer.habits);
    }
    waiting = [];
  };
  const numbers = options.only === undefined ? Array.from({ length: options.cases }, (_none, n) => n) : [options.only];
  for (const [done, n] of numbers.entries()) {
    const one = caseOf(options.seed, n);
    const count = kinds.get(one.kind) ?? { taken: 0, refused: 0 };
    kinds.set(one.kind, count);
    const signed = await inspected(one.bytes);
    if (signed === null) count.refused++;
    else {
      count.taken++;
      for (const reader of readers.inProcess) judge(one, signed, reader.id, await reader.read(one.bytes), reader.habits);
      waiting.push({ one, signed });
    }
    if (waiting.length >= AT_ONCE) await installAll();
    if ((done + 1) % 500 === 0) options.progress?.(`${String(done + 1)} cases, ${String(failures.length)} failures`);
  }
  await installAll();
  return { kinds, clients, failures };
}

async function inspected(bytes: Uint8Array): Promise<Signed | null> {
  try {
    return await signedReading(bytes);
  } catch (error) {
    if (isImprintError(error, "TARBALL_REFUSED")) return null;
    throw error;
  }
}

/** Whether the readers can tell: hostile tarballs, read without the inspection. */
export async function tryAttacks(readers: Readers, list: readonly Attack[]): Promise<AttackReport> {
  const taken: string[] = [];
  const work = new Map<string, readonly string[]>();
  const read = new Map<string, (readonly [string, Reading, Habits])[]>(list.map(({ how }) => [how, []]));
  for (const { how, bytes } of list) {
    if ((await inspected(bytes)) !== null) taken.push(how);
    for (const { id, habits, ...reader } of readers.inProcess) read.get(how)?.push([id, await reader.read(bytes), habits]);
  }
  // Alone, since most of them fail with some client.
  const installing = readers.installing.map(async (installer) => {
    for (const attack of list) {
      const found = await installer.install([attack]);
      read.get(attack.how)?.push([installer.id, found.get(attack.name) ?? { failed: "nothing was read" }, installer.habits]);
    }
  });
  await Promise.all(installing);
  for (const { how, manifest } of list) {
    const odd = oddReaders(read.get(how) ?? [], Object.hasOwn(manifest, "bin"));
    if (odd.length > 0) work.set(how, odd);
  }
  return { made: list.length, taken, work };
}
