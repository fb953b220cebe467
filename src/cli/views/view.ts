/** What `imprint view` says to people. */
import { shortKey, isPublicKey } from "../../format/keys.ts";
import type { ViewedVersion, ViewResult } from "../commands/view.ts";
import { clean } from "../../format/text.ts";

const MAX_VERSIONS = 10;

export function viewLines({ name, source, tags, versions, shown }: ViewResult): readonly string[] {
  const from = (label: string): string => (label === "upstream" ? "the public registry" : label);
  const license = shown?.license ?? null;
  const head = `${name}${shown === null ? "" : `@${shown.version}`} from ${from(source)}${license === null ? "" : ` · ${license}`}`;
  const facts =
    shown === null
      ? ["nothing of it can be installed"]
      : [
          ...(shown.description === null || shown.description === "" ? [] : [shown.description]),
          ...(shown.integrity === null ? [] : [`integrity  ${shown.integrity}`]),
          ...(shown.signers.length === 0
            ? []
            : [`signed by  ${shown.signers.map((key) => (isPublicKey(key) ? shortKey(key) : key)).join(", ")}`]),
          ...sizeLine(shown.size, shown.unpackedSize),
          ...(shown.hasInstallScript ? ["runs a script when it is installed"] : []),
        ];
  const tagged = Object.entries(tags).map(([tag, version]) => `${tag} → ${version}`);
  const asked = versions.filter(({ version }) => version === shown?.version);
  const listed = [...new Set([...versions.slice(0, MAX_VERSIONS), ...asked])];
  const left = versions.length - listed.length;
  const dependencies = (shown?.dependencies ?? []).map(({ kind, name: of, range, source: where }) => {
    const label = where === "none" ? "denied" : where === "elsewhere" ? "not from a registry" : from(where);
    return `  ${of} ${range}  ${label}${kind === "dependencies" ? "" : ` (${kind === "peerDependencies" ? "peer" : "optional"})`}`;
  });
  return [
    head,
    ...facts,
    ...(tagged.length === 0 ? [] : [`tags  ${tagged.join(", ")}`]),
    "versions",
    ...listed.map((one) => `  ${versionLine(one)}`),
    ...(left > 0 ? [`  and ${left} more; --json shows all`] : []),
    ...(dependencies.length === 0 ? [] : ["dependencies", ...dependencies]),
  ].map(clean);
}

function versionLine({ version, time, state, reason, deprecated }: ViewedVersion): string {
  const what = state === "ok" ? "" : `  ${state === "held" ? "held back" : state}${reason === null || reason === "" ? "" : `: ${reason}`}`;
  return `${version}  ${time ?? "-"}${what}${deprecated === null ? "" : `  deprecated${deprecated === "" ? "" : `: ${deprecated}`}`}`;
}

function sizeLine(size: number | null, unpacked: number | null): readonly string[] {
  const parts = [...(size === null ? [] : [`${size} bytes packed`]), ...(unpacked === null ? [] : [`${unpacked} unpacked`])];
  return parts.length === 0 ? [] : [`size  ${parts.join(", ")}`];
}
