/** A forward proxy, as companies have them: absolute addresses for http, CONNECT for https. It alone knows names in `.invalid`. */
import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";

export type ForwardProxy = {
  /** `http://127.0.0.1:port/` */
  readonly url: string;
  /** `GET <address>` and `CONNECT <host>:<port>`, in order. */
  readonly seen: string[];
  close(): Promise<void>;
};

/** @param refuse status with which it refuses every CONNECT */
export async function startForwardProxy({ refuse }: { readonly refuse?: number } = {}): Promise<ForwardProxy> {
  const seen: string[] = [];
  const open = new Set<Socket>();
  const server = createServer((request, response) => {
    seen.push(`${request.method ?? ""} ${request.url ?? ""}`);
    const { url = "", method, headers } = request;
    const onward = httpRequest(url, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.on("connect", (request: IncomingMessage, socket: Socket) => {
    seen.push(`CONNECT ${request.url ?? ""}`);
    open.add(socket);
    if (refuse !== undefined) return void socket.end(`HTTP/1.1 ${String(refuse)} No\r\nContent-Length: 0\r\n\r\n`);
    const [host = "", port] = (request.url ?? "").split(":");
    const onward = connect(Number(port), host.endsWith(".invalid") ? "127.0.0.1" : host, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      onward.pipe(socket).pipe(onward);
    });
    for (const end of [socket, onward]) end.on("error", () => void [socket.destroy(), onward.destroy()]);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`,
    seen,
    async close() {
      server.closeAllConnections();
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
