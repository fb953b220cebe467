/** The thread of `verifyOnAllCores`: jobs in, reports out, until there are none left. */
import { parentPort, workerData } from "node:worker_threads";
import type { IndexId } from "../format/digest.ts";
import { openSystemGit } from "../git/system/repository.ts";
import { parseObjectId } from "../git/url.ts";
import { commitSource, directorySource, type IndexSource } from "../index/source.ts";
import { type TrustedState, verifyCheckpoint, verifyFirstRoot, verifyNextRoot } from "../index/trust.ts";
import type { Answer, Job, Place, WorkerData } from "./verify-pool.ts";
import { verifyPackages } from "./verify-packages.ts";

/** Files are at hand: nothing is transferred. */
const NO_TRANSFER = { maxBytes: 0, maxObjects: 0, deadlineMs: 1 };

function stateOf({ id, roots: [first = new Uint8Array(), ...others], checkpoint }: WorkerData): TrustedState {
  const roots: [ReturnType<typeof verifyFirstRoot>, ...ReturnType<typeof verifyFirstRoot>[]] = [verifyFirstRoot(first, id as IndexId)];
  for (const bytes of others) roots.push(verifyNextRoot(roots, bytes));
  return { id: id as IndexId, roots, checkpoint: verifyCheckpoint(checkpoint, roots) };
}

async function work(port: NonNullable<typeof parentPort>, data: WorkerData): Promise<void> {
  const state = stateOf(data);
  const { source, close } = open(data.place);
  const snapshot = await source.open();
  let turn: Promise<void> = Promise.resolve();
  port.on("message", (job: Job | null) => {
    turn = turn.then(async () => {
      if (job === null) {
        await close();
        port.close();
        return;
      }
      const answer: Answer = { number: job.number, report: await verifyPackages(snapshot, state, job.records, false) };
      port.postMessage(answer);
    });
    // Not a fault of the index: the thread ends, and whoever waits hears of it.
    turn.catch((error: unknown) => {
      queueMicrotask(() => {
        throw error;
      });
    });
  });
}

function open(place: Place): { readonly source: IndexSource; close(): Promise<void> } {
  if (place.kind === "folder") return { source: directorySource(place.folder), close: async () => {} };
  const repository = openSystemGit({ gitDir: place.gitDir });
  return { source: commitSource(repository, parseObjectId(place.commit), NO_TRANSFER), close: () => repository.close() };
}

if (parentPort !== null) await work(parentPort, workerData as WorkerData);
