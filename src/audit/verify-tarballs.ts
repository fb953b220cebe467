/** Compares releases with their tarballs: digest, size, safe paths, and the manifest ("manifest confusion"). */
import { isImprintError } from "../errors.ts";
import { releasePath } from "../format/paths.ts";
import type { Release } from "../format/release.ts";
import type { TarballStore } from "../index/tarballs.ts";
import { inspectTarball } from "../pack/inspect.ts";
import { differingFields } from "../pack/manifest.ts";
import type { Fault } from "./verify-packages.ts";

const STEP = "tarballs";

export async function verifyTarballs(
  releases: readonly Release[],
  tarballs: TarballStore,
  onProgress: (done: number, total: number) => void,
): Promise<readonly Fault[]> {
  const faults: Fault[] = [];
  for (const [i, release] of releases.entries()) {
    faults.push(...(await verifyOne(release, tarballs)));
    onProgress(i + 1, releases.length);
  }
  return faults;
}

async function verifyOne(release: Release, tarballs: TarballStore): Promise<readonly Fault[]> {
  const { name, version, dist, manifest } = release;
  const file = releasePath(name, version);
  const fault = (code: string, message: string): Fault => ({ file, step: STEP, code, message });
  try {
    const { stream } = await tarballs.open(release);
    const facts = await inspectTarball(new Uint8Array(await new Response(stream).arrayBuffer()), { anyTopFolder: true });
    const faults: Fault[] = [];
    if (facts.packageJson["name"] !== name || facts.packageJson["version"] !== version)
      faults.push(
        fault(
          "TARBALL_MISMATCH",
          `the tarball says it is ${JSON.stringify(facts.packageJson["name"] ?? null)} ${JSON.stringify(facts.packageJson["version"] ?? null)}`,
        ),
      );
    const fields = differingFields(manifest, facts.manifest);
    if (fields.length > 0)
      faults.push(fault("TARBALL_MISMATCH", `the tarball's package.json differs from the signed manifest in ${fields.join(", ")}`));
    const wrong = (["shasum", "size", "unpackedSize", "fileCount"] as const).filter((field) => facts[field] !== dist[field]);
    if (wrong.length > 0) faults.push(fault("TARBALL_MISMATCH", `the tarball differs from the signed ${wrong.join(", ")}`));
    return faults;
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return [fault(error.code, error.message)];
  }
}
