/**
 * The resolver of this user that holds a port already, as another process of the same user sees it: found by its state file,
 * proven before anything is told to it, and joined, so that one port answers the projects of several terminals.
 */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { isJsonObject, type JsonObject, type JsonValue } from "../format/json.ts";
import { LIMITS } from "../format/limits.ts";
import type { Policy } from "../format/policy.ts";
import { ownUsers } from "../storage/owner.ts";
import { openAnswer, sealAsk } from "./control.ts";
import { listenersOf } from "./peers.ts";
import type { Rules, ServeEvent } from "./policies.ts";
import type { Seen } from "./report.ts";
import { readResolver, type Stores } from "./resolver-state.ts";

export type Holder = {
  readonly port: number;
  /** What was seen under a policy after that number; null: it stopped, or serves the policy no more. */
  seen(policy: Policy, after: number): Promise<Seen | null>;
  /**
   * Has it serve a folder by these rules for as long as this process stays.
   *
   * @returns null where it cannot be proven, or would not
   */
  join(folder: string, rules: Rules, say: (event: ServeEvent) => void): Promise<Joined | null>;
};

export type Joined = {
  /** When the resolver is gone, for whatever reason. */
  readonly ended: Promise<void>;
  leave(): void;
};

const ANSWER_MS = 2000;
const MAX_LINE_CHARS = 65_536;
const MAX_ANSWER_BYTES = LIMITS.requestBodyBytes;

/** The proven holder of a port; null where nobody listens, or a stranger does. */
export async function findHolder(stores: Stores & { readonly env: NodeJS.ProcessEnv }, port: number): Promise<Holder | null> {
  const state = await readResolver(stores, port);
  if (state === null) return null;
  // The secret of a state file that came with a restored folder is known to whoever prepared that.
  const own = ownUsers({ env: stores.env, uid: process.geteuid?.() });
  if (own !== null && (await listenersOf(port)).some((uid) => !own.has(uid))) return null;
  const secret = Buffer.from(state.secret, "hex");
  const ask = async (words: JsonObject): Promise<JsonObject | null> => {
    const { nonce, body } = sealAsk(secret, words);
    const answer = await send(port, body);
    if (answer === null) return null;
    const text = await wholeOf(answer);
    answer.destroy();
    return text === null ? null : openAnswer(secret, nonce, text);
  };
  if ((await ask({ kind: "hello" })) === null) return null;
  return {
    port,
    async seen(policy, after) {
      const answer = await ask({ kind: "seen", policy, after });
      const seen = answer?.["seen"];
      // Proven to come from a process of this user: its form is ours.
      return isJsonObject(seen) ? (seen as unknown as Seen) : null;
    },
    async join(folder, rules, say) {
      const { nonce, body } = sealAsk(secret, { kind: "join", folder, rules });
      const answer = await send(port, body);
      if (answer === null) return null;
      const ended = new Promise<void>((resolve) => void answer.once("close", () => resolve()));
      let take: (line: string) => void = () => undefined;
      eachLine(answer, (line) => take(line));
      const first = await new Promise<string | null>((resolve) => {
        take = resolve;
        void ended.then(() => resolve(null));
      });
      if (first === null || openAnswer(secret, nonce, first)?.["joined"] !== true) {
        answer.destroy();
        return null;
      }
      take = (line) => {
        const event = eventOf(line);
        if (event !== null) say(event);
      };
      return { ended, leave: () => void answer.destroy() };
    },
  };
}

/** Whole lines as they come; more than one could be, without an end, ends it all. */
function eachLine(answer: IncomingMessage, take: (line: string) => void): void {
  let rest = "";
  answer.setEncoding("utf8").on("data", (text: string) => {
    const lines = `${rest}${text}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
    if (rest.length > MAX_LINE_CHARS) answer.destroy();
  });
}

function eventOf(line: string): ServeEvent | null {
  try {
    const value = JSON.parse(line) as JsonValue;
    return isJsonObject(value) && typeof value["kind"] === "string" ? (value as unknown as ServeEvent) : null;
  } catch {
    return null; // cut short by its end
  }
}

/** Headers within a moment, or nobody is there. */
function send(port: number, body: JsonObject): Promise<IncomingMessage | null> {
  const bytes = Buffer.from(JSON.stringify(body));
  return new Promise((resolve) => {
    const asked = httpRequest({
      host: "127.0.0.1",
      port,
      method: "POST",
      path: "/-/imprint/control",
      agent: false,
      headers: { "content-type": "application/json", "content-length": bytes.byteLength },
    });
    const timer = setTimeout(() => asked.destroy(new Error("no answer in time")), ANSWER_MS);
    asked.once("error", () => {
      clearTimeout(timer);
      resolve(null);
    });
    asked.once("response", (response) => {
      clearTimeout(timer);
      response.on("error", () => undefined); // told by `close`
      if (response.statusCode === 200) return resolve(response);
      response.destroy();
      return resolve(null);
    });
    asked.end(bytes);
  });
}

/** All of it; of a stranger's no more than a few megabytes. */
async function wholeOf(answer: IncomingMessage): Promise<string | null> {
  const timer = setTimeout(() => answer.destroy(), ANSWER_MS);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      size += chunk.byteLength;
      if (size > MAX_ANSWER_BYTES) return null;
      chunks.push(chunk);
    }
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks).toString("utf8");
}
