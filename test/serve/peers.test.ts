/** Which user a connection comes from: the kernel's list, and what a listener makes of it. */
import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { type Ends, listenersIn, ownerIn, ownUsersOnly, peerOf } from "../../src/serve/peers.ts";

const HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const line = (local: string, remote: string, uid: number, inode: number, state = "01"): string =>
  `   0: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 ${String(inode)} 1 0000000000000000 20 4 30 10 -1\n`;
const ends = (remotePort: number, address = "127.0.0.1"): Ends => ({
  remoteAddress: address,
  remotePort,
  localAddress: address,
  localPort: 4870,
});

it("M1 the other end's owner is read from the kernel's list, by both ends", () => {
  const table =
    HEADER +
    line("00000000:1306", "00000000:0000", 7, 1, "0A") +
    line("0100007F:C001", "0100007F:1307", 8, 2) +
    line("0100007F:1306", "0100007F:C001", 9, 3) +
    line("0100007F:C001", "0100007F:1306", 1001, 4);
  expect(ownerIn(table, ends(0xc001))).toBe(1001);
  expect(ownerIn(table, ends(0xc002))).toBe(null);
  expect(ownerIn(table, ends(0xc001, "127.0.0.2"))).toBe(null);
});

it("M1 a closed connection, which the kernel lists as root's, has no owner", () => {
  expect(ownerIn(HEADER + line("0100007F:C001", "0100007F:1306", 0, 0, "06"), ends(0xc001))).toBe(null);
});

it("M1 who listens on a port, whatever address of this machine", () => {
  const table =
    HEADER +
    line("0100007F:1306", "00000000:0000", 1001, 5, "0A") +
    line("00000000000000000000000000000000:1306", "00000000000000000000000000000000:0000", 0, 6, "0A");
  expect(listenersIn(table + line("0100007F:1306", "0100007F:C001", 9, 3), 4870)).toEqual([1001, 0]);
  expect(listenersIn(table, 4871)).toEqual([]);
});

it("M1 ::1, and an IPv4 address in a socket of IPv6", () => {
  const six = "00000000000000000000000001000000";
  expect(ownerIn(HEADER + line(`${six}:C001`, `${six}:1306`, 1001, 4), ends(0xc001, "::1"))).toBe(1001);
  const mapped = "0000000000000000FFFF00000100007F";
  expect(ownerIn(HEADER + line(`${mapped}:C001`, `${mapped}:1306`, 1001, 4), ends(0xc001, "::ffff:127.0.0.1"))).toBe(1001);
  expect(ownerIn(HEADER + line(`${mapped}:C001`, `${mapped}:1306`, 1001, 4), ends(0xc001))).toBe(1001);
});

it.runIf(process.platform === "linux")("M1 the kernel's list of this machine has both of our own ends", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const [[socket], client] = await Promise.all([
    once(server, "connection") as Promise<[Ends]>,
    Promise.resolve(connect((server.address() as AddressInfo).port, "127.0.0.1")),
  ]);
  expect(await peerOf(socket)).toBe(process.getuid?.());
  client.destroy();
  server.close();
});

it("M1 one connection is looked up once, and others than own users get 403 and no more", async () => {
  const looks: number[] = [];
  let peer: number | "unknown" | null = 1001;
  const listener = ownUsersOnly(
    new Set([0, 1000]),
    (_, outgoing) => void outgoing.end("private"),
    async ({ remotePort }) => {
      looks.push(remotePort ?? 0);
      return peer;
    },
  );
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  /** Two requests on one connection of its own. */
  const ask = async (): Promise<readonly (readonly [number, string])[]> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const answers = [];
    for (let i = 0; i < 2; i++) {
      const asked = request({ port, host: "127.0.0.1", path: "/@alice%2fsecret", agent }).end();
      const [answer] = (await once(asked, "response")) as [IncomingMessage];
      answers.push([answer.statusCode ?? 0, await text(answer)] as const);
    }
    agent.destroy();
    return answers;
  };
  const refused = [403, expect.stringMatching(/belongs to another user of this machine/)];
  expect(await ask()).toEqual([refused, refused]);
  peer = "unknown";
  expect(await ask()).toEqual([refused, refused]);
  looks.length = 0;
  const answered = [200, "private"];
  peer = 1000;
  expect(await ask()).toEqual([answered, answered]);
  expect(looks).toHaveLength(1);
  // Where the system has no list, everybody is answered, as the README says.
  peer = null;
  expect(await ask()).toEqual([answered, answered]);
  server.close();
});
