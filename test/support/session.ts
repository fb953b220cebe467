/**
 * Sessions at terminals, written down as such and run for real: who types what, what they see, which files they have.
 *
 * ```
 * # words for the reader
 * @ana hello                 from here on ana types, in ~/hello
 * + package.json             a file with the indented lines below it
 *   {"name": "@ana/hello"}
 * $ imprint publish          a command, by a shell; it must end well
 * | @ana/hello@1.0.0         stdout has this line next, among others
 * ! read back                stderr has this text next; $ID in it, as above, is what the variable holds
 * $? 6 imprint publish       a command that must end with exit code 6
 * > ID                       stdout of the last command becomes the variable $ID, of everybody
 * ```
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { BIN, type Outcome, type People } from "./people.ts";

type Line = { readonly number: number; readonly text: string };

/** @throws Error naming line, command and what was seen, at the first difference */
export async function playSession(world: People, script: string, variables: Readonly<Record<string, string>>): Promise<number> {
  const bin = path.join(world.folder, "bin");
  mkdirSync(bin, { recursive: true });
  writeFileSync(path.join(bin, "imprint"), `#!/bin/sh\nexec '${process.execPath}' '${BIN}' "$@"\n`, { mode: 0o755 });
  const env: Record<string, string> = { ...variables, PATH: `${bin}:${process.env["PATH"] ?? ""}` };
  const lines = script.split("\n").map((text, i): Line => ({ number: i + 1, text }));
  let who = world.person("nobody");
  let cwd = who.home;
  let last: (Outcome & { readonly command: string; read: { stdout: string; stderr: string } }) | null = null;
  let commands = 0;
  for (let at = 0; at < lines.length; at++) {
    const { number, text } = lines[at] as Line;
    const fail = (what: string): never => {
      throw new Error(`line ${number}: ${text}\n  ${what}\n  $ ${last?.command ?? ""}\n${last?.stdout ?? ""}${last?.stderr ?? ""}`);
    };
    const [, mark = "", written = ""] = /^(\S+) ?(.*)$/.exec(text) ?? [];
    const isSeen = mark === "|" || mark === "!";
    const rest = isSeen ? written.replace(/\$([A-Z]+)/g, (word, name: string) => env[name] ?? word) : written;
    if (mark === "" || mark.startsWith("#")) continue;
    else if (mark.startsWith("@")) {
      who = world.person(mark.slice(1));
      cwd = path.join(who.home, rest);
      mkdirSync(cwd, { recursive: true });
    } else if (mark === "+") {
      const content: string[] = [];
      while (lines[at + 1]?.text.startsWith("  ") === true) content.push((lines[++at] as Line).text.slice(2));
      mkdirSync(path.dirname(path.join(cwd, rest)), { recursive: true });
      writeFileSync(path.join(cwd, rest), `${content.join("\n")}\n`);
    } else if (mark === "$" || mark === "$?") {
      const [, code = "0", command = ""] = mark === "$" ? ["", "0", rest] : (/^(\d+) (.*)$/.exec(rest) ?? fail("no exit code"));
      const outcome = await world.sh(who, cwd, "sh", ["-c", command], env);
      last = { ...outcome, command, read: { stdout: outcome.stdout, stderr: outcome.stderr } };
      commands++;
      if (outcome.code !== Number(code)) fail(`ended with ${outcome.code}, not ${code}`);
    } else if (isSeen) {
      const stream = mark === "|" ? "stdout" : "stderr";
      const seen = last?.read[stream] ?? fail("nothing was typed yet");
      const found = mark === "|" ? `\n${seen}`.indexOf(`\n${rest}\n`) : seen.indexOf(rest);
      if (found < 0) fail(`not seen on ${stream}`);
      if (last !== null) last.read[stream] = seen.slice(found + rest.length);
    } else if (mark === ">") env[rest] = last?.stdout.trim() ?? fail("nothing was typed yet");
    else fail("not understood");
  }
  return commands;
}
