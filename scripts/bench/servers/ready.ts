/**
 * Baselines of `npm run bench serve`: one process that sends ready bytes, by Hono or by bare node:http. The least that a
 * server of these documents can do.
 *
 * `ready.ts <hono|node> <folder>` serves `<name>.json` and `<name>.json.gz` of the folder as `/<name>`; prints its address.
 */
import { readFileSync, readdirSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";

const [kind = "", folder = ""] = process.argv.slice(2);
const documents = new Map(
  readdirSync(folder)
    .filter((file) => file.endsWith(".json.gz"))
    .map((file) => [`/${file.slice(0, -".json.gz".length)}`, new Uint8Array(readFileSync(path.join(folder, file)))]),
);
const headersOf = (body: Uint8Array): Record<string, string> => ({
  "content-type": "application/json",
  "content-encoding": "gzip",
  "content-length": String(body.byteLength),
});

function honoServer(): Server {
  const app = new Hono();
  for (const [at, body] of documents) app.get(at, (c) => c.body(body, 200, headersOf(body)));
  return createAdaptorServer({ fetch: app.fetch }) as Server;
}

const listener: RequestListener = (request, response) => {
  const body = documents.get(request.url ?? "");
  if (body === undefined) return void response.writeHead(404).end();
  return void response.writeHead(200, headersOf(body)).end(body);
};

const server = kind === "hono" ? honoServer() : createServer(listener);
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}`));
process.once("SIGTERM", () => process.exit(0));
