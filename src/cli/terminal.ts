/**
 * The terminal as commands see it: results on stdout, talk on stderr, questions only where somebody can answer.
 *
 * Nothing that comes from an index, a host or a package is printed without `clean`: escape sequences in a name could
 * repaint what the user has just been shown to be trusted.
 */
import { styleText } from "node:util";
import { ImprintError } from "../errors.ts";
import { clean } from "../format/text.ts";

export type Terminal = {
  /** One line of result. */
  readonly result: (line: string) => void;
  /** One line of talk. */
  readonly talk: (line: string) => void;
  readonly ok: (line: string) => void;
  readonly warn: (line: string) => void;
  readonly progress: (line: string) => void;
  readonly style: (style: Style, text: string) => string;
  /** Whether a person can be asked. */
  readonly interactive: boolean;
  readonly askYes: (question: string) => Promise<boolean>;
  readonly askSecret: (question: string) => Promise<string>;
};

export type Style = "bold" | "dim" | "green" | "red" | "yellow" | "cyan";

export type TerminalStreams = {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
};

export function openTerminal({ stdin, stdout, stderr }: TerminalStreams, env: NodeJS.ProcessEnv): Terminal {
  const colour = env["NO_COLOR"] === undefined && (env["FORCE_COLOR"] !== undefined || stderr.isTTY === true);
  const style = (name: Style, text: string): string => (colour ? styleText(name, text, { validateStream: false }) : text);
  const interactive = stdin.isTTY === true && stderr.isTTY === true && env["CI"] === undefined;
  let progressShown = false;
  const line = (text: string): void => {
    if (progressShown) stderr.write("\r\u001B[K");
    progressShown = false;
    stderr.write(`${text}\n`);
  };
  return {
    result: (text) => {
      stdout.write(`${text}\n`);
    },
    talk: line,
    ok: (text) => line(`${style("green", "✓")} ${text}`),
    warn: (text) => line(`${style("yellow", "!")} ${text}`),
    progress: (text) => {
      if (!interactive) return; // logs of CI would hold every step of it
      stderr.write(`\r\u001B[K${style("dim", `· ${text}`)}`);
      progressShown = true;
    },
    style,
    interactive,
    askYes: async (question) => {
      const { confirm, isCancel } = await import("@clack/prompts");
      const answer = await confirm({ message: question, initialValue: false, output: stderr, input: stdin });
      return !isCancel(answer) && answer;
    },
    askSecret: async (question) => {
      const { password, isCancel } = await import("@clack/prompts");
      const answer = await password({ message: question, output: stderr, input: stdin });
      // Given up is not the same as empty: an empty passphrase would leave keys open.
      if (isCancel(answer)) throw new ImprintError("PASSPHRASE_NEEDED", "Cannot go on: no passphrase was given");
      return answer ?? "";
    },
  };
}

/** What a child process printed, as talk: stdout is for results. */
export function talkOf(terminal: Terminal, text: string): void {
  for (const line of text.split("\n")) if (line.trim() !== "") terminal.talk(terminal.style("dim", `  ${clean(line)}`));
}
