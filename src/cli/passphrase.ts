/** Where passphrases come from: environment, a file, or one prompt. Never an argument: other users see those. */
import { ImprintError, isImprintError } from "../errors.ts";
import { textOf } from "../format/bytes.ts";
import type { Files } from "../storage/files.ts";
import type { Terminal } from "./terminal.ts";

export type Sources = { readonly env: NodeJS.ProcessEnv; readonly terminal: Terminal; readonly files: Files };

const MAX_BYTES = 65_536;

/** A passphrase that was set up beforehand, or null. A file's final newline is not part of it. */
async function presetPassphrase({ env, files }: Sources): Promise<string | null> {
  const direct = env["IMPRINT_PASSPHRASE"];
  if (direct !== undefined) return direct;
  const file = env["IMPRINT_PASSPHRASE_FILE"];
  if (file === undefined) return null;
  const unreadable = (state: string, cause?: unknown): ImprintError =>
    new ImprintError("FILE_UNREADABLE", `Cannot read IMPRINT_PASSPHRASE_FILE ${file}: ${state}`, { cause });
  const bytes = await files.read(file, MAX_BYTES, { secret: true }).catch((error: unknown) => {
    throw isImprintError(error, "STORAGE_FAILED") ? unreadable(error.message, error) : error;
  });
  const text = bytes === null ? null : textOf(bytes);
  if (text === null) throw unreadable(bytes === null ? "there is no such file" : "it is not UTF-8");
  return text.replace(/\r?\n$/, "");
}

/** Whether a key file can be opened without anybody being asked. */
export function isPreset(env: NodeJS.ProcessEnv): boolean {
  return env["IMPRINT_PASSPHRASE"] !== undefined || env["IMPRINT_PASSPHRASE_FILE"] !== undefined;
}

/** What was typed already: one command asks once for one file, however often it opens it. */
const typed = new WeakMap<Terminal, Map<string, string>>();

/** @throws ImprintError PASSPHRASE_NEEDED where nobody can answer */
export async function passphraseFor(what: string, sources: Sources): Promise<string> {
  const { terminal } = sources;
  const preset = await presetPassphrase(sources);
  if (preset !== null) return preset;
  const known = typed.get(terminal)?.get(what);
  if (known !== undefined) return known;
  if (!terminal.interactive)
    throw new ImprintError("PASSPHRASE_NEEDED", `Cannot open ${what}: it has a passphrase and nobody is here to type it`);
  const answer = await terminal.askSecret(`Passphrase for ${what}`);
  typed.set(terminal, (typed.get(terminal) ?? new Map<string, string>()).set(what, answer));
  return answer;
}

/** A passphrase for new keys; empty is allowed. */
export async function newPassphrase(name: string, sources: Sources): Promise<string> {
  const { terminal } = sources;
  const preset = await presetPassphrase(sources);
  if (preset !== null) return preset;
  if (!terminal.interactive)
    throw new ImprintError(
      "PASSPHRASE_NEEDED",
      `Cannot make keys for ${name}: set a passphrase (an empty one is allowed: IMPRINT_PASSPHRASE=)`,
    );
  return terminal.askSecret(`Passphrase for ${name}'s keys (empty: none, whoever copies the file can publish)`);
}
