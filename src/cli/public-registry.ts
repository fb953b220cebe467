/** The public registry for one command: the same settings, cache and rules as the resolver's own. */
import { randomBytes } from "node:crypto";
import type { Project } from "../format/project.ts";
import type { Upstream } from "../registry/port.ts";
import { openUpstreamClient, type UpstreamClient } from "../registry/upstream/client.ts";
import { loadUpstreamSettings } from "../registry/upstream/settings.ts";
import { createUpstream } from "../registry/upstream/upstream.ts";
import type { Deps } from "./deps.ts";
import { isOwnRegistry } from "../project/own-registries.ts";

/** Nothing is asked before the first question. */
export function openPublicRegistry(
  deps: Deps,
  project: Project,
): { readonly upstream: Upstream; readonly client: UpstreamClient; close(): void } {
  const client = openUpstreamClient({
    settings: () => loadUpstreamSettings({ configured: project.upstream.registry, env: deps.env, isOurs: isOwnRegistry(deps.env) }),
    instance: randomBytes(8).toString("hex"),
    offline: deps.offline,
  });
  const upstream = createUpstream({ client, files: deps.files, sealed: deps.sealed, folder: deps.layout.upstream, nowMs: deps.nowMs });
  return { upstream, client, close: () => client.close() };
}
