/** The thread of `verifyOnAllCores`: jobs in, reports out, until it is stopped. */
import { parentPort, workerData } from "node:worker_threads";
import type { IndexId } from "../format/digest.ts";
import { type TrustedState, verifyCheckpoint, verifyFirstRoot, verifyNextRoot } from "../index/trust.ts";
import { snapshotOf } from "./verify-files.ts";
import type { Job, WorkerData } from "./verify-pool.ts";
import { verifyPackages } from "./verify-packages.ts";

function stateOf({ id, roots: [first = new Uint8Array(), ...others], checkpoint }: WorkerData): TrustedState {
  const roots: [ReturnType<typeof verifyFirstRoot>, ...ReturnType<typeof verifyFirstRoot>[]] = [verifyFirstRoot(first, id as IndexId)];
  for (const bytes of others) roots.push(verifyNextRoot(roots, bytes));
  return { id: id as IndexId, roots, checkpoint: verifyCheckpoint(checkpoint, roots) };
}

if (parentPort !== null) {
  const port = parentPort;
  const state = stateOf(workerData as WorkerData);
  let turn: Promise<void> = Promise.resolve();
  port.on("message", ({ records, files }: Job) => {
    turn = turn.then(async () => port.postMessage(await verifyPackages(snapshotOf(files), state, records, false)));
    // Not a fault of the index: the thread ends, and whoever waits hears of it.
    turn.catch((error: unknown) => {
      queueMicrotask(() => {
        throw error;
      });
    });
  });
}
