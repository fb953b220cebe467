/** `imprint serve`: this project's registry, until it is stopped. */
import { openConsumer } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import { startResolver, type ResolverSettings } from "../resolver.ts";

/** @returns when `stop` is called */
export async function serve(settings: ResolverSettings, deps: Deps, stop: Promise<void>): Promise<void> {
  const consumer = await openConsumer(deps);
  const resolver = await startResolver(deps, settings, consumer).catch(async (error: unknown) => {
    await consumer.close();
    throw error;
  });
  deps.terminal.result(deps.json ? JSON.stringify({ registry: `${resolver.base}/` }) : `${resolver.base}/`);
  deps.terminal.ok(`serving; npm uses it where .npmrc has registry=${resolver.base}/ or behind imprint run`);
  await stop;
  await resolver.close();
}
