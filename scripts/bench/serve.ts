/**
 * Warm packuments, small and large, by `imprint serve` beside servers that do nothing but send ready bytes, and beside
 * Verdaccio: the same bytes, the same load, in turn.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import autocannon from "autocannon";
import { world } from "../../test/support/world.ts";
import { alternate, budget, line, median } from "./measure.ts";
import { type Running, startImprint, startNginx, startReady, startVerdaccio } from "./servers/start.ts";

const ROUNDS = 4;
const SECONDS = 4;
const CONNECTIONS = 32;
/** Bytes of the large packument, as express's abbreviated one. */
const LARGE_BYTES = 430_000;
const GZIP = { "accept-encoding": "gzip" };

/** Where each kind of document is on a server. */
type Paths = Readonly<Record<"own small" | "own large" | "public large", string>>;

export async function benchServe(): Promise<void> {
  const w = await world();
  const servers: Running[] = [];
  try {
    console.log(`serve: ${CONNECTIONS} connections, ${SECONDS} s a run, gzip accepted; requests a second`);
    const alice = await w.index("alice");
    await alice.publish("@alice/small", "1.0.0");
    const versions = await publishLarge(w, alice);
    const project = await w.projectFolder("shop", { indices: { alice: { index: alice } } });
    const imprint = await startImprint(project, path.join(w.folder, "home"));
    servers.push(imprint);
    const paths: Paths = { "own small": "/@alice%2fsmall", "own large": "/@alice%2flarge", "public large": "/large" };
    const documents = path.join(w.folder, "documents");
    mkdirSync(documents);
    for (const [kind, at] of Object.entries(paths)) {
      const name = kind.replace(" ", "-");
      const plain = await bytesOf(`${imprint.base}${at}`);
      console.log(`  ${kind}: ${plain.byteLength} bytes`);
      writeFileSync(path.join(documents, `${name}.json`), plain);
      const { gzipSync } = await import("node:zlib");
      writeFileSync(path.join(documents, `${name}.json.gz`), gzipSync(plain, { level: 6 }));
    }
    const [hono, node] = [await startReady("hono", documents), await startReady("node", documents)];
    const nginx = await startNginx(path.join(w.folder, "nginx"), documents);
    const verdaccio = await startVerdaccio(path.join(w.folder, "verdaccio"), w.upstream.url);
    servers.push(hono, node, verdaccio, ...(nginx === null ? [] : [nginx]));
    if (nginx === null) console.log("  nginx is not installed: left out");
    console.log(`  ${versions} versions in the large ones`);

    for (const [kind, at] of Object.entries(paths)) {
      const ready = `/${kind.replace(" ", "-")}`;
      // Own packages are not on Verdaccio: what is public stands for them, at the same size.
      const theirs = kind === "own small" ? "/small" : "/large";
      const samples = await alternate(ROUNDS, {
        [`imprint, ${kind}`]: () => rateOf(imprint.base + at),
        [`hono, ready bytes, ${kind}`]: () => rateOf(hono.base + ready),
        [`node:http, ready bytes, ${kind}`]: () => rateOf(node.base + ready),
        ...(nginx === null ? {} : { [`nginx, gzip_static, ${kind}`]: () => rateOf(nginx.base + ready) }),
        [`verdaccio, ${kind}`]: () => rateOf(verdaccio.base + theirs),
      });
      for (const [label, values] of samples) line(label, values, "/s");
      const of = (name: string): number => median([...samples].find(([label]) => label.startsWith(name))?.[1] ?? []);
      budget(`imprint ÷ hono with ready bytes, ${kind}`, of("imprint") / of("hono"), 0.8, "×", "at least");
      console.log(`  imprint ÷ verdaccio, ${kind}: ${(of("imprint") / of("verdaccio")).toFixed(1)} ×`);
    }
  } finally {
    for (const server of servers) await server.stop();
    await w.close();
  }
}

/** @returns how many versions it took */
async function publishLarge(w: Awaited<ReturnType<typeof world>>, alice: Awaited<ReturnType<typeof w.index>>): Promise<number> {
  await w.upstream.publish("small", "1.0.0");
  const packageJson = {
    description: "a package of many versions",
    dependencies: Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`dependency-number-${i}`, `~1.${i}.0`])),
  };
  let versions = 0;
  for (let bytes = 0; bytes < LARGE_BYTES; versions++) {
    const version = `1.${versions}.0`;
    await w.upstream.publish("large", version, { packageJson });
    await alice.publish("@alice/large", version, { packageJson });
    bytes = JSON.stringify(w.upstream.packuments.get("large")).length;
  }
  return versions;
}

async function bytesOf(url: string): Promise<Uint8Array> {
  const answer = await fetch(url, { headers: { "accept-encoding": "identity" } });
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Requests a second. @throws where not every answer is a 200 */
async function rateOf(url: string): Promise<number> {
  const result = await autocannon({ url, connections: CONNECTIONS, duration: SECONDS, headers: GZIP });
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${url}: ${result.non2xx} other answers, ${result.errors} errors`);
  return result.requests.average;
}
