/** Stands before the public registry and counts what is asked of it: documents and tarballs, which it gives on as they are. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";

export type CountingMirror = {
  /** With a final slash. */
  readonly url: string;
  /** Since the last call: answers with a body, answers that nothing changed, tarballs. */
  taken(): { readonly documents: number; readonly unchanged: number; readonly tarballs: number };
  close(): Promise<void>;
};

/** Tarballs that documents name are asked for here, too. */
export async function startCountingMirror(registry: string): Promise<CountingMirror> {
  let counts = { documents: 0, unchanged: 0, tarballs: 0 };
  const server = createServer((incoming, outgoing) => {
    void (async () => {
      const { host: _host, connection: _connection, "accept-encoding": _encoding, ...headers } = incoming.headers;
      const answer = await fetch(new URL((incoming.url ?? "/").slice(1), registry), { headers: headers as Record<string, string> });
      const isTarball = (incoming.url ?? "").endsWith(".tgz");
      if (isTarball) counts.tarballs++;
      else if (answer.status === 304) counts.unchanged++;
      else counts.documents++;
      const kept = ["content-type", "etag", "cache-control", "age"].flatMap((name): [string, string][] => {
        const value = answer.headers.get(name);
        return value === null ? [] : [[name, value]];
      });
      outgoing.writeHead(answer.status, Object.fromEntries(kept));
      if (answer.body === null) outgoing.end();
      else if (isTarball) Readable.fromWeb(answer.body as Parameters<typeof Readable.fromWeb>[0]).pipe(outgoing);
      else outgoing.end((await answer.text()).replaceAll(registry, url));
    })().catch(() => outgoing.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`;
  return {
    url,
    taken() {
      const taken = counts;
      counts = { documents: 0, unchanged: 0, tarballs: 0 };
      return taken;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
