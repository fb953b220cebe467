/** A proxy that nobody should ask: what a client sends towards the public registry ends here, and is written down. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export type Trap = {
  /** Addresses that were asked for. */
  readonly asked: readonly string[];
  /** Makes a client go through it for everything but this machine. */
  readonly env: NodeJS.ProcessEnv;
  close(): Promise<void>;
};

export async function openTrap(): Promise<Trap> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.writeHead(502).end();
  }).on("connect", (request, socket) => {
    asked.push(request.url ?? "");
    socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const local = "127.0.0.1,localhost";
  return {
    asked,
    env: {
      HTTP_PROXY: proxy,
      HTTPS_PROXY: proxy,
      NO_PROXY: local,
      http_proxy: proxy,
      https_proxy: proxy,
      no_proxy: local,
      npm_config_proxy: proxy,
      npm_config_https_proxy: proxy,
      npm_config_noproxy: local,
      pnpm_config_proxy: proxy,
      pnpm_config_https_proxy: proxy,
      pnpm_config_no_proxy: local,
      YARN_HTTP_PROXY: proxy,
      YARN_HTTPS_PROXY: proxy,
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
