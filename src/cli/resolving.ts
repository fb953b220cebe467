/** What `serve` and `run` hand to a resolver: how projects are opened, and how what happens is said at this terminal. */
import { chooseGit } from "../git/choice.ts";
import type { ResolverPorts } from "../serve/resolver.ts";
import type { Rules, ServeEvent } from "../serve/policies.ts";
import { networkOf } from "../storage/proxy.ts";
import { clean } from "../format/text.ts";
import { type Consumer, openConsumer, warnTo } from "./consumer.ts";
import type { Deps } from "./deps.ts";

export function rulesOf({ strict, offline, allowFile }: Deps, syncAfterMs: number): Rules {
  return { strict: strict === true, offline, allowFile, syncAfterMs };
}

/** @param first the project that the command opened already, for the first question about its folder */
export function resolverPorts(deps: Deps, first: Consumer): ResolverPorts {
  let opened: Consumer | null = first;
  return {
    ...deps,
    async openProject(folder, rules, warn) {
      const given = opened;
      if (given !== null && given.files.folder === folder) {
        opened = null;
        return { project: given.files.project, indices: given.indices, close: () => given.close() };
      }
      const git = rules.offline === deps.offline ? deps.git : chooseGit(deps.env, rules.offline, networkOf(deps.env).fetch);
      const consumer = await openConsumer({ ...deps, ...rules, git, cwd: folder, global: false }, warnTo(warn));
      return { project: consumer.files.project, indices: consumer.indices, close: () => consumer.close() };
    },
  };
}

const MAX_SAID = 1000;

/** @param served counts packuments and tarballs by source */
export function sayOn(
  { terminal }: Pick<Deps, "terminal">,
  { verbose }: { readonly verbose: boolean },
  served: Map<string, number> = new Map(),
): (event: ServeEvent) => void {
  // A host that stays slow is found slow every minute; people need to read it once.
  const said = new Set<string>();
  return (event) => {
    switch (event.kind) {
      case "answered":
        served.set(event.source, (served.get(event.source) ?? 0) + 1);
        if (verbose)
          terminal.talk(
            `${terminal.style("dim", "·")} ${clean(`${sourceText(event.source)}  ${event.name} ${event.what} ${event.detail}`.trimEnd())}`,
          );
        return;
      case "refused":
        if (verbose) terminal.talk(`${terminal.style("red", "✗")} ${clean(`${event.name}: ${event.message} (${event.code})`)}`);
        return;
      case "warned":
        if (said.has(event.line)) return;
        if (said.size < MAX_SAID) said.add(event.line);
        terminal.warn(clean(event.line));
        return;
      case "said":
        terminal.ok(clean(event.line));
    }
  };
}

export function sourceText(source: string): string {
  return source === "upstream" ? "public registry" : source;
}
