/** What this room is told of the machine: where the user stands, the environment, and files to read. */
import path from "node:path";
import type { Files } from "../storage/files.ts";

export type Surroundings = {
  readonly files: Files;
  /** Absolute. */ readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
};

/** The folder and all above it, the nearest first. */
export function foldersUpward(from: string): readonly string[] {
  const folders: string[] = [];
  for (let folder = path.resolve(from); ; folder = path.dirname(folder)) {
    folders.push(folder);
    if (folder === path.dirname(folder)) return folders;
  }
}
