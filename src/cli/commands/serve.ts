/** `imprint serve`: this project's registry, until it is stopped. */
import { openConsumer, warnStale } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import { warnIntroduced } from "../introductions.ts";
import { type RunningResolver, startResolver, type ResolverSettings } from "../resolver.ts";

/** @returns when `stop` is called */
export async function serve(settings: ResolverSettings, deps: Deps, stop: Promise<void>): Promise<void> {
  const consumer = await openConsumer(deps);
  const start = async (): Promise<RunningResolver> => {
    if (deps.strict === true) {
      await warnStale(consumer, deps);
      await warnIntroduced(consumer, deps);
    }
    return startResolver(deps, settings, consumer);
  };
  const resolver = await start().catch(async (error: unknown) => {
    await consumer.close();
    throw error;
  });
  deps.terminal.result(deps.json ? JSON.stringify({ registry: `${resolver.base}/` }) : `${resolver.base}/`);
  deps.terminal.ok(`serving; npm uses it where .npmrc has registry=${resolver.base}/ or behind imprint run`);
  await stop;
  await resolver.close();
}
