/**
 * Which user of this machine a connection comes from (THREATS M1). Every user of a machine reaches its loopback addresses, and
 * plain clients send no token to them, so without this check another user could read private packages from a resolver.
 *
 * Linux lists each end of each TCP connection with its owner in `/proc/net/tcp`; the client's end of a loopback connection is
 * in that list. Other systems have no such list: there everybody on the machine is answered, and the README says so.
 */
import { readFile } from "node:fs/promises";
import type { RequestListener, ServerResponse } from "node:http";
import { isIPv4, type Socket } from "node:net";

/** Both ends of a connection as the resolver sees it. */
export type Ends = Pick<Socket, "remoteAddress" | "remotePort" | "localAddress" | "localPort">;

/** A listing changes while it is read, and may then leave out a line. */
const MAX_LOOKS = 3;
const TABLES = ["/proc/net/tcp", "/proc/net/tcp6"];

/** The user who has the other end; "unknown" where the list does not have it; null where this system has no list. */
export async function peerOf(ends: Ends): Promise<number | "unknown" | null> {
  for (let look = 0; look < MAX_LOOKS; look++) {
    const table = await freshTable();
    if (table === null) return null;
    const uid = ownerIn(table, ends);
    if (uid !== null) return uid;
  }
  return "unknown";
}

/** The users whose processes listen on a port of this machine; none where this system has no list. */
export async function listenersOf(port: number): Promise<readonly number[]> {
  return listenersIn((await readTable()) ?? "", port);
}

let running: Promise<unknown> = Promise.resolve();
let queued: Promise<string | null> | null = null;

/** A list that was read after this call. Many who ask at once, as a crowd of connections does, share one reading. */
function freshTable(): Promise<string | null> {
  queued ??= running.then(() => {
    queued = null;
    const table = readTable();
    running = table;
    return table;
  });
  return queued;
}

async function readTable(): Promise<string | null> {
  const tables = await Promise.all(TABLES.map((file) => readFile(file, "latin1").catch(() => null)));
  const there = tables.filter((table) => table !== null);
  return there.length === 0 ? null : there.join("\n");
}

/** @param table text of `/proc/net/tcp` and `/proc/net/tcp6` */
export function listenersIn(table: string, port: number): readonly number[] {
  return [...linesOf(table)].flatMap(({ local, state, uid }) => (state === LISTENING && local.endsWith(`:${hex(port)}`) ? [uid] : []));
}

/** @param table text of `/proc/net/tcp` and `/proc/net/tcp6` @returns null where no socket of a process has that end */
export function ownerIn(table: string, { remoteAddress, remotePort, localAddress, localPort }: Ends): number | null {
  if (remotePort === undefined || localPort === undefined) return null;
  for (const words of [v4Words, v6Words, mappedWords]) {
    const [remote, local] = [words(remoteAddress), words(localAddress)];
    if (remote === null || local === null) continue;
    // Found as text: a busy machine has tens of thousands of lines.
    const ends = ` ${remote}:${hex(remotePort)} ${local}:${hex(localPort)} `;
    for (let at = table.indexOf(ends); at !== -1; at = table.indexOf(ends, at + 1)) {
      const [start, end] = [table.lastIndexOf("\n", at) + 1, table.indexOf("\n", at)];
      for (const { uid } of linesOf(table.slice(start, end === -1 ? undefined : end))) return uid;
    }
  }
  return null;
}

const LISTENING = "0A";

/** The sockets that a process has; a closed connection stays in the list as root's, without an inode. */
function* linesOf(
  table: string,
): Generator<{ readonly local: string; readonly remote: string; readonly state: string; readonly uid: number }> {
  for (const line of table.split("\n")) {
    // sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode
    const [, local = "", remote = "", state = "", , , , uid = "", , inode = "0"] = line.trim().split(/\s+/);
    if (inode !== "0" && /^[0-9]{1,10}$/.test(uid)) yield { local, remote, state, uid: Number(uid) };
  }
}

function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, "0");
}

/** The kernel prints an address in words of 32 bits in the machine's byte order. */
function v4Words(address: string | undefined): string | null {
  const plain = address?.replace(/^::ffff:/i, "") ?? "";
  if (!isIPv4(plain)) return null;
  const bytes = plain.split(".").map(Number);
  return wordOf(bytes);
}

/** An IPv4 address as a socket of IPv6 has it. */
function mappedWords(address: string | undefined): string | null {
  const v4 = v4Words(address);
  return v4 === null ? null : `${wordOf([0, 0, 0, 0])}${wordOf([0, 0, 0, 0])}${wordOf([0, 0, 0xff, 0xff])}${v4}`;
}

function v6Words(address: string | undefined): string | null {
  const zero = wordOf([0, 0, 0, 0]);
  return address === "::1" ? `${zero}${zero}${zero}${wordOf([0, 0, 0, 1])}` : null;
}

const IS_LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

function wordOf(bytes: readonly number[]): string {
  return (IS_LITTLE_ENDIAN ? bytes.toReversed() : bytes).map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join("");
}

/**
 * Lets requests of own users through; those of others end in 403. A connection is looked up once.
 *
 * @param own users whose clients are answered
 */
export function ownUsersOnly(own: ReadonlySet<number>, listener: RequestListener, look: typeof peerOf = peerOf): RequestListener {
  const verdicts = new WeakMap<Socket, boolean | Promise<boolean>>();
  const judge = async (socket: Socket): Promise<boolean> => {
    const peer = await look(socket);
    const isOwn = peer === null || (peer !== "unknown" && own.has(peer));
    verdicts.set(socket, isOwn);
    return isOwn;
  };
  return (incoming, outgoing) => {
    const { socket } = incoming;
    const known = verdicts.get(socket);
    if (known === true) return listener(incoming, outgoing);
    if (known === false) return refuse(outgoing);
    const asked = known ?? judge(socket);
    verdicts.set(socket, asked);
    return void asked.then((isOwn) => (isOwn ? listener(incoming, outgoing) : refuse(outgoing)));
  };
}

const REFUSAL = JSON.stringify({
  error: "this resolver belongs to another user of this machine: start your own (imprint serve), or ask for imprint serve --other-users",
});

function refuse(outgoing: ServerResponse): void {
  outgoing.writeHead(403, { "content-type": "application/json", "cache-control": "no-store", connection: "close" }).end(REFUSAL);
}
