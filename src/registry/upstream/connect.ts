/**
 * How npm's agents connect, where no proxy stands between: theirs leave a connection that came too late where it is, with
 * nobody to hear its errors, and a host that resets it afterwards would end this process.
 */
import { once } from "node:events";
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectSecure } from "node:tls";
import type { ConnectOptions, NpmAgent } from "@npmcli/agent";

const KEEP_ALIVE_MS = 1000;
const guarded = new WeakSet<NpmAgent>();

/** The same agent; its connections stand after `connectMs`, TLS included, or are closed, with code ECONNECTIONTIMEOUT. */
export function guardConnections(agent: NpmAgent, connectMs: number): NpmAgent {
  if (agent.proxy.url !== undefined || guarded.has(agent)) return agent;
  guarded.add(agent);
  agent.connect = (_, options) => connectWithin(options, connectMs);
  return agent;
}

async function connectWithin(options: ConnectOptions, connectMs: number): Promise<Socket> {
  const socket = options.secureEndpoint ? connectSecure(options) : connectPlain(options);
  const late = (): void => void socket.destroy(Object.assign(new Error("no connection in time"), { code: "ECONNECTIONTIMEOUT" }));
  const timer = setTimeout(late, connectMs);
  socket.setKeepAlive(true, KEEP_ALIVE_MS).setNoDelay(true);
  try {
    await once(socket, options.secureEndpoint ? "secureConnect" : "connect");
    return socket;
  } catch (error) {
    socket.on("error", () => undefined); // whatever comes of it now, it was given up
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
