/** The app behind its hot path, for a socket. */
import type { RequestListener } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { type AppDeps, createApp } from "./app.ts";
import { BROWSER_HEADERS } from "./browsers.ts";
import { createWarmAnswers } from "./warm.ts";

/** @returns a function for node's `createServer` */
export function createListener(deps: AppDeps): RequestListener {
  const warm = createWarmAnswers({ "x-imprint": deps.version, ...BROWSER_HEADERS });
  const long = getRequestListener(createApp(deps, warm).fetch);
  return (incoming, outgoing) => {
    // Whoever was let in a minute ago may have lost the token since.
    const isIn = deps.authorize?.(incoming.headers.authorization) !== false;
    const found = isIn ? warm.answer(incoming) : null;
    if (found === null) return void long(incoming, outgoing);
    found.observe(incoming.headers["user-agent"] ?? "");
    const { status, headers, body } = found.answer;
    return void outgoing.writeHead(status, headers).end(body);
  };
}
