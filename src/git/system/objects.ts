/**
 * Objects of one repository, read through two long-lived `git cat-file` processes: one tells type and size, the other
 * hands over bytes, so that nothing is read whose size was not looked at first. Many at once come from packs, without git.
 *
 * They are started on first use, never hold the program open while idle, end with it (their input closes), and are
 * started again if they die. Ids are all that is ever written to them: no path, no revision syntax from a document.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { Socket } from "node:net";
import { ImprintError } from "../../errors.ts";
import type { ObjectId } from "../port.ts";
import { readerOf } from "../store/objects.ts";
import type { ObjectInfo, ObjectReader } from "../store/objects.ts";
import { openPacks } from "../store/packs.ts";
import { reasonOf } from "./run.ts";
import type { Git } from "./run.ts";

type Pending = { readonly resolve: (reply: Reply) => void; readonly reject: (error: unknown) => void };
type Reply = { readonly info: ObjectInfo | null; readonly body: Buffer | null };

function setRef(child: ChildProcess, hold: boolean): void {
  if (hold) child.ref();
  else child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) {
    if (!(stream instanceof Socket)) continue;
    if (hold) stream.ref();
    else stream.unref();
  }
}

/** Splits cat-file's output into replies: a line, and after it, if `bodies`, as many bytes as the line says and LF. */
function replyParser(bodies: boolean, onReply: (reply: Reply) => void): (chunk: Buffer) => void {
  let line = "";
  let info: ObjectInfo | null = null;
  let body: Buffer | null = null;
  let filled = 0;
  return (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      if (body !== null) {
        const taken = chunk.copy(body, filled, at);
        filled += taken;
        at += taken;
        if (filled < body.length) return;
        onReply({ info, body: body.subarray(0, -1) });
        body = null;
        continue;
      }
      const end = chunk.indexOf(0x0a, at);
      line += chunk.toString("latin1", at, end < 0 ? chunk.length : end);
      if (end < 0) return;
      at = end + 1;
      const [id = "", type = "", size] = line.split(" ");
      line = "";
      info = size === undefined ? null : { id: id as ObjectId, type, size: Number(size) };
      if (!bodies || info === null) onReply({ info, body: null });
      else {
        body = Buffer.allocUnsafe(info.size + 1);
        filled = 0;
      }
    }
  };
}

/** One cat-file process and the queue of those who wait for its replies. */
function batch(git: Git, gitDir: string, mode: "--batch" | "--batch-check"): { ask(name: string): Promise<Reply>; close(): Promise<void> } {
  let running: Promise<{ child: ChildProcess; queue: Pending[] }> | null = null;

  const start = async (): Promise<{ child: ChildProcess; queue: Pending[] }> => {
    const child = await git.start({ args: [`--git-dir=${gitDir}`, "cat-file", mode] });
    const queue: Pending[] = [];
    let stderr = "";
    const parse = replyParser(mode === "--batch", (reply) => {
      queue.shift()?.resolve(reply);
      if (queue.length === 0) setRef(child, false);
    });
    child.stdout?.on("data", parse);
    child.stderr?.on("data", (chunk: Buffer) => (stderr = (stderr + chunk.toString("utf8")).slice(-4096)));
    child.stdin?.on("error", () => undefined);
    const end = (): void => {
      running = null;
      const error = new ImprintError("INVALID_DOCUMENT", `Cannot read git objects: ${reasonOf(stderr)}`);
      for (const pending of queue.splice(0)) pending.reject(error);
    };
    child.once("error", end);
    child.once("close", end);
    setRef(child, false);
    return { child, queue };
  };

  return {
    async ask(name) {
      running ??= start();
      const { child, queue } = await running.catch((error: unknown) => {
        running = null;
        throw error;
      });
      return new Promise((resolve, reject) => {
        if (queue.length === 0) setRef(child, true);
        queue.push({ resolve, reject });
        child.stdin?.write(`${name}\n`);
      });
    },
    async close() {
      const held = await running?.catch(() => null);
      if (held === null || held === undefined || held.child.exitCode !== null || held.child.signalCode !== null) return;
      setRef(held.child, true);
      const closed = once(held.child, "close");
      held.child.stdin?.end();
      await closed;
    },
  };
}

/** Reads the objects of the repository in `gitDir`. */
export function openObjects(git: Git, gitDir: string): ObjectReader {
  const check = batch(git, gitDir, "--batch-check");
  const content = batch(git, gitDir, "--batch");
  const packs = openPacks(gitDir);
  return readerOf({
    info: async (name) => (await check.ask(name)).info,
    bytes: async (id) => (await content.ask(id)).body,
    // Of thousands of objects most of the time would go into pipes. What packs do not have (loose, borrowed), git is asked for.
    many: (ids, maxBytes) => packs.many(ids, maxBytes),
    async close() {
      await Promise.all([check.close(), content.close(), packs.close()]);
    },
  });
}
