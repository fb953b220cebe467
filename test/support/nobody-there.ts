/** A resolver's default address is one for the whole machine, and another test may have it: a place where nobody listens instead. */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { freePort } from "./free-port.ts";

const DEFAULT = "127.0.0.1:4870";

/** Changes the clients' own settings in a project. @returns `127.0.0.1:<port>` */
export async function pointNowhere(folder: string): Promise<string> {
  const nowhere = `127.0.0.1:${String(await freePort())}`;
  for (const file of readdirSync(folder).map((name) => path.join(folder, name))) {
    if (!statSync(file).isFile()) continue;
    const text = readFileSync(file, "utf8");
    if (text.includes(DEFAULT)) writeFileSync(file, text.replaceAll(DEFAULT, nowhere));
  }
  return nowhere;
}
