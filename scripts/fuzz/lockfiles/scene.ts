/**
 * The scene of all cases: an author with signed packages, a public registry that has harmless packages and look-alikes of
 * the signed ones, a trap server with more of those, and one real resolver between them and the clients.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { childEnvironment } from "../../../src/clients/environment.ts";
import { openConsumer } from "../../../src/cli/consumer.ts";
import { resolverPorts, rulesOf } from "../../../src/cli/resolving.ts";
import { startResolver } from "../../../src/serve/resolver.ts";
import type { Deps } from "../../../src/cli/deps.ts";
import { readTarballContents } from "../../../src/pack/contents.ts";
import { freePort } from "../../../test/support/free-port.ts";
import { makePackage } from "../../../test/support/tarball.ts";
import { startUpstream } from "../../../test/support/upstream.ts";
import { type World, world } from "../../../test/support/world.ts";

export type Scene = {
  readonly world: World;
  /** Of the resolver, with a final slash. */
  readonly registry: string;
  readonly trap: string;
  /** What every case's client gets, beside its own. */
  readonly env: NodeJS.ProcessEnv;
  readonly evilTarball: Uint8Array;
  readonly evilIntegrity: string;
  /** Of the release of `@alice/a` that clients choose. */
  readonly chosenIntegrity: string;
  /** Addresses of unsigned tarballs. */
  readonly evilAddresses: readonly string[];
  /** `name@version` of the index → path → digest. */
  readonly signed: ReadonlyMap<string, ReadonlyMap<string, string>>;
  projectFolder(name: string): Promise<string>;
  /** Of an auditor who asks no host. */
  auditor(cwd: string): Deps;
  close(): Promise<void>;
};

/** Names that the index is claimed for. */
export function isClaimed(name: string): boolean {
  return name.startsWith("@alice/") || name === "claimed";
}

const OWN: readonly (readonly [string, string, Readonly<Record<string, string>>])[] = [
  ["@alice/b", "1.0.0", {}],
  ["@alice/a", "1.0.0", { "pub-a": "^1.0.0" }],
  ["@alice/a", "1.1.0", { "pub-a": "^1.0.0", "@alice/b": "^1.0.0" }],
  ["claimed", "1.0.0", {}],
];

export async function openScene(): Promise<Scene> {
  const w = await world();
  const trap = await startUpstream();
  const alice = await w.index("alice", { packages: ["@alice/*", "claimed"] });
  const signed = new Map<string, ReadonlyMap<string, string>>();
  for (const [name, version, dependencies] of OWN) {
    const files = { "index.js": `module.exports = "signed ${name}@${version}";\n` };
    const tarball = await alice.publish(name, version, { packageJson: { dependencies }, files });
    signed.set(`${name}@${version}`, (await readTarballContents(tarball)).files);
  }
  for (const version of ["1.0.0", "1.1.0"])
    await w.upstream.publish("pub-a", version, { packageJson: { dependencies: { "pub-b": "^1.0.0" } } });
  await w.upstream.publish("pub-b", "1.0.0");
  const evil = { files: { "index.js": 'module.exports = "EVIL";\n' } };
  for (const name of ["evil", "@alice/a", "@alice/b", "claimed"])
    for (const version of ["1.0.0", "1.1.0", "9.9.9"]) {
      await w.upstream.publish(name, version, evil);
      await trap.publish(name, version, evil);
    }
  const evilTarball = await makePackage({ name: "@alice/a", version: "1.1.0" }, evil.files);
  trap.tarballs.set("/evil.tgz", evilTarball);
  const indices = { alice: { index: alice, packages: ["@alice/*", "claimed"] } };
  const folder = await w.projectFolder("resolver", { indices });
  const deps = w.deps({ home: `${w.folder}/home`, cwd: folder });
  const opened = await openConsumer(deps);
  const resolver = await startResolver(resolverPorts(deps, opened), {
    folder: opened.files.folder,
    rules: rulesOf(deps, 600_000),
    say: () => undefined,
    port: await freePort(),
    anyPort: true,
    version: "0.0.0-fuzz",
  });
  const { project } = await openConsumer(deps).then(async (consumer) => {
    await consumer.indices.get("alice" as never)?.reader.sync();
    await consumer.close();
    return consumer.files;
  });
  return {
    world: w,
    registry: `${resolver.base}/`,
    trap: trap.url,
    env: await childEnvironment(
      { env: deps.env, cwd: folder, files: deps.files },
      { program: "any", base: resolver.base, project, caches: path.join(w.folder, "client-caches") },
    ),
    evilTarball,
    chosenIntegrity: (await alice.release("@alice/a", "1.1.0")).doc.dist.integrity,
    evilIntegrity: `sha512-${createHash("sha512").update(evilTarball).digest("base64")}`,
    evilAddresses: [
      `${trap.url}evil.tgz`,
      `${trap.url}@alice/a/-/a-1.1.0.tgz`,
      `${w.upstream.url}@alice/a/-/a-1.1.0.tgz`,
      `${resolver.base}/evil/-/evil-1.0.0.tgz`,
      `${resolver.base}/@alice/a/-/../../evil/-/evil-1.0.0.tgz`,
      "file:evil.tgz",
      "file:evil",
      trap.url,
    ],
    signed,
    async projectFolder(name) {
      const at = await w.projectFolder(name, { indices });
      writeFileSync(path.join(at, ".npmrc"), `registry=${resolver.base}/\n`);
      return at;
    },
    auditor: (cwd) => w.deps({ home: `${w.folder}/home`, cwd, env: { IMPRINT_OFFLINE: "1" } }),
    async close() {
      await resolver.close();
      await trap.close();
      await w.close();
    },
  };
}
