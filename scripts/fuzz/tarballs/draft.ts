/** A tarball on its way: honest at first, in parts that a change can reach into. */
import { gzipSync } from "node:zlib";
import { paxEntry, type RawEntry, rawEntry } from "../../../test/support/tarball.ts";
import type { Random } from "../random.ts";

export type Draft = {
  readonly name: string;
  /** All but package.json, which `finish` puts at `manifestAt`. */
  readonly entries: RawEntry[];
  packageJson: Record<string, unknown>;
  /** Bytes instead of `packageJson`. */
  packageJsonBytes: Uint8Array | null;
  manifestAt: number;
  /** What stands behind the last entry. */
  end: Uint8Array;
  /** Changes to the finished archive, in order. */
  readonly onTar: ((tar: Buffer) => void)[];
  wrap: (tar: Uint8Array) => Uint8Array;
};

/** A package of a few files, as honest packers write them. */
export function honestDraft(name: string, random: Random): Draft {
  const entries: RawEntry[] = [
    { path: "package/index.js", content: `module.exports = ${JSON.stringify(name)};\n` },
    // Its own content: pnpm stores equal files once, and makes a program executable in all packages that have it.
    { path: "package/bin/run.js", content: `#!/usr/bin/env node\nconsole.log('${name}');\n`, patch: modeOf(0o755) },
    { path: "package/lib/a.js", content: "x".repeat(random.pick([0, 1, 511, 512, 513, 1024])) },
  ];
  if (random.once(4)) entries.unshift({ path: "package/", type: "5", patch: modeOf(0o755) });
  if (random.once(6)) {
    const path = `package/${"deep/".repeat(22)}file.js`;
    entries.push(paxEntry({ path }), { path: path.slice(0, 100), content: "deep\n" });
  }
  return {
    name,
    entries,
    packageJson: { name, version: "1.0.0", main: "index.js", ...(random.once(3) ? { bin: { [name]: "bin/run.js" } } : {}) },
    packageJsonBytes: null,
    manifestAt: random.int(2),
    end: Buffer.alloc(1024),
    onTar: [],
    wrap: (tar) => new Uint8Array(gzipSync(tar, { level: random.pick([0, 1, 6, 9]) })),
  };
}

export function finish(draft: Draft): Uint8Array {
  const content = draft.packageJsonBytes ?? Buffer.from(`${JSON.stringify(draft.packageJson, null, 2)}\n`);
  const entries = [...draft.entries];
  // An extended header stays before its entry.
  let at = Math.min(draft.manifestAt, entries.length);
  while (at > 0 && /^[xgLK]$/u.test(entries[at - 1]?.type ?? "0")) at--;
  entries.splice(at, 0, { path: "package/package.json", content });
  const tar = Buffer.concat([...entries.map(rawEntry), draft.end]);
  for (const change of draft.onTar) change(tar);
  return draft.wrap(tar);
}

export function octal(value: number, digits: number): string {
  return `${value.toString(8).padStart(digits, "0")}\0`;
}

export function modeOf(mode: number): (block: Buffer) => void {
  return (block) => void block.write(octal(mode, 7), 100, 8, "latin1");
}

/** Writes `text` into a header's field, zeros behind it. */
export function field(offset: number, length: number, text: string): (block: Buffer) => void {
  return (block) => {
    block.fill(0, offset, offset + length);
    block.write(text, offset, length, "latin1");
  };
}

/** Makes the checksums of all headers right again. */
export function mend(tar: Buffer): void {
  for (let at = 0; at + 512 <= tar.length;) {
    const block = tar.subarray(at, at + 512);
    if (block.every((byte) => byte === 0)) break;
    const size = Number.parseInt(block.toString("latin1", 124, 135), 8);
    block.fill(0x20, 148, 156);
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, 8, "latin1");
    at += 512 + (Number.isSafeInteger(size) && size > 0 ? Math.ceil(size / 512) * 512 : 0);
  }
}
