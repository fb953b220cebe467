/** What a resolver does for other processes of its user: says what it saw, and serves a further folder while they stay. */
import { isJsonObject, type JsonObject, type JsonValue } from "../format/json.ts";
import { isPolicy } from "../format/policy.ts";
import { openAsk, sealAnswer } from "./control.ts";
import type { Policies, Rules, ServeEvent } from "./policies.ts";

/** @returns the answer to `POST /-/imprint/control`, for http */
export function controlOf(secret: Uint8Array, policies: Pick<Policies, "tell" | "reportOf">): (body: JsonValue) => Response {
  const refused = (): Response => Response.json({ error: "not for you" }, { status: 403 });
  return (body) => {
    const opened = openAsk(secret, body);
    if (opened === null) return refused();
    const { nonce, ask } = opened;
    const answer = (value: JsonObject): string => sealAnswer(secret, nonce, value);
    const send = (value: JsonObject): Response => new Response(answer(value), { headers: { "content-type": "application/json" } });
    const kind = typeof ask["kind"] === "string" ? ask["kind"] : "";
    switch (kind) {
      case "hello":
        return send({});
      case "seen": {
        const { policy, after } = ask;
        const report = typeof policy === "string" && isPolicy(policy) ? policies.reportOf(policy) : null;
        return send({ seen: report === null || typeof after !== "number" ? null : (report.after(after) as unknown as JsonObject) });
      }
      case "join": {
        const { folder, rules } = ask;
        const read = rulesOf(rules);
        if (typeof folder !== "string" || read === null) return refused();
        return new Response(joining(policies, folder, read, answer({ joined: true })), {
          headers: { "content-type": "application/x-ndjson" },
        });
      }
      default:
        return refused();
    }
  };
}

/** A line that proves, then one an event; told of the folder until whoever reads it is gone. */
function joining(policies: Pick<Policies, "tell">, folder: string, rules: Rules, first: string): ReadableStream<Uint8Array> {
  let leave = (): void => {};
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const write = (line: string): void => controller.enqueue(Buffer.from(`${line}\n`));
      write(first);
      leave = policies.tell({ folder, rules, say: (event: ServeEvent) => write(JSON.stringify(event)) });
    },
    cancel: () => leave(),
  });
}

function rulesOf(value: JsonValue | undefined): Rules | null {
  if (!isJsonObject(value)) return null;
  const { strict, offline, allowFile, syncAfterMs } = value;
  return typeof strict === "boolean" && typeof offline === "boolean" && typeof allowFile === "boolean" && typeof syncAfterMs === "number"
    ? { strict, offline, allowFile, syncAfterMs }
    : null;
}
