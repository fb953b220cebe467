/** Changes to single headers: names, prefixes, numbers, checksums, types. */
import type { RawEntry } from "../../../test/support/tarball.ts";
import type { Random } from "../random.ts";
import { type Draft, field, mend, modeOf, octal } from "./draft.ts";

/** Returns what it did. */
export type Change = (draft: Draft, random: Random) => string;

const TYPES = "\u00001234567ADGIKLMNSVXgxz9 ".split("");
const MODES = [
  0, 0o1, 0o10, 0o11, 0o100, 0o200, 0o400, 0o444, 0o500, 0o555, 0o600, 0o644, 0o664, 0o666, 0o700, 0o711, 0o744, 0o755, 0o777, 0o1644,
  0o1777, 0o2755, 0o4755, 0o6777, 0o40755, 0o100644, 0o100755, 0o120777,
];
const HIGH = "\x80\0\0\0\0\0\0";

/** A file of the draft, changed in place, or a new one. */
export function someFile(draft: Draft, random: Random, change: (entry: RawEntry) => RawEntry): void {
  const files = draft.entries.flatMap(({ type = "0" }, at) => (type === "0" ? [at] : []));
  if (files.length === 0 || random.once(2)) draft.entries.push(change({ path: `package/new-${random.int(9)}.js`, content: "new\n" }));
  else {
    const at = random.pick(files);
    draft.entries[at] = change(draft.entries[at] ?? { path: "package/x" });
  }
}

function patched(entry: RawEntry, patch: (block: Buffer) => void): RawEntry {
  const before = entry.patch;
  return {
    ...entry,
    patch: (block) => {
      before?.(block);
      patch(block);
    },
  };
}

const emptyName: Change = (draft, random) => {
  const type = random.pick(["0", "5", "x", "g", "L", "\0"]);
  const prefix = random.pick(["package/x", "package", "", "package/x.js"]);
  const content =
    type === "x" || type === "g" ? "13 comment=x\n" : type === "L" ? `package/${"l".repeat(120)}\0` : type === "5" ? "" : "evil\n";
  const entry: RawEntry = { path: random.once(2) ? "" : "\0hidden", type, prefix, content };
  draft.entries.splice(random.int(draft.entries.length + 1), 0, entry);
  return `a name that begins with NUL, type ${JSON.stringify(type)}, prefix ${JSON.stringify(prefix)}`;
};

const nameField: Change = (draft, random) => {
  const path = random.pick([
    `package/${"n".repeat(92)}`,
    `package/${"n".repeat(91)}`,
    "package/a\0b",
    "package/a\0",
    "package/a ",
    " package/a",
    "package/ a",
    "package/\u00e9.js",
    "package/e\u0301.js",
    "package/\u{1f600}.js",
    "package/\u202ea.js",
    "package/\ufeffa.js",
    "package/a\u0001",
    "package/a\nb",
    "package/a\tb",
    Buffer.from([...Buffer.from("package/"), 0xff, 0xfe]),
    Buffer.from([...Buffer.from("package/"), 0xc0, 0xae]),
  ]);
  draft.entries.push({ path, content: "name\n" });
  return `a name ${JSON.stringify(String(path))}`;
};

const prefix: Change = (draft, random) => {
  const text = random.pick([
    "package",
    "package/deep",
    "package/",
    "/package",
    "package//deep",
    "pack",
    "package/..",
    "package/.",
    "p".repeat(155),
    "package\0junk",
  ]);
  const name = random.pick(["a.js", "deep/a.js", "/a.js", "age/a.js", "../a.js", "b.js/", "n".repeat(100)]);
  const magic = random.pick([
    "ustar\x0000",
    "ustar\x0000",
    "ustar\x0000",
    "ustar  \0",
    "ustar\0\0\0",
    "ustar\x0001",
    "\0\0\0\0\0\0\0\0",
    "USTAR\x0000",
  ]);
  draft.entries.push(patched({ path: name, magic, content: "prefix\n" }, (block) => void block.write(text, 345, 155, "latin1")));
  return `prefix ${JSON.stringify(text)}, name ${JSON.stringify(name)}, magic ${JSON.stringify(magic)}`;
};

const magic: Change = (draft, random) => {
  const text = random.pick([
    "ustar\x0000",
    "ustar  \0",
    "\0\0\0\0\0\0\0\0",
    "ustar\0\0\0",
    "ustar\x0001",
    "ustar 00",
    "USTAR\x0000",
    "garbage!",
  ]);
  someFile(draft, random, (entry) => ({ ...entry, magic: text }));
  return `magic ${JSON.stringify(text)}`;
};

/** Ways to write a number into `length` bytes: true to it, or not. */
function numberForms(value: number, length: number): readonly string[] {
  const digits = value.toString(8);
  return [
    octal(value, length - 1),
    `${digits.padStart(length - 1, "0")} `,
    `${digits.padStart(length - 2, "0")} \0`,
    `${digits.padStart(length - 2, "0")}\0 `,
    `${digits.padStart(length - 1, " ")}\0`,
    ` ${digits}\0`,
    `${digits}\0`,
    `${digits} `,
    digits.padStart(length, "0"),
    digits.padEnd(length, " "),
    `0o${digits}`,
    `0x${value.toString(16)}`,
    `+${digits}\0`,
    `-${digits}\0`,
    `\t${digits}\0`,
    `${digits}\x0001`,
    `${digits} 1`,
    `${digits}8\0`,
    `${digits}.5\0`,
    `\x00${digits}`,
    "",
    " ".repeat(length),
    `${HIGH.padEnd(length - 2, "\0").slice(0, length - 2)}${String.fromCharCode((value >> 8) & 255, value & 255)}`,
    "\xff".repeat(length),
    "7".repeat(length),
  ];
}

const sizeForm: Change = (draft, random) => {
  let form = "";
  someFile(draft, random, (entry) => {
    const length = entry.content?.length ?? 0;
    const lie = random.once(5) ? random.pick([0, 1, 512, 100_000]) : length;
    form = random.pick(numberForms(lie, 12));
    return patched(entry, field(124, 12, form));
  });
  return `size ${JSON.stringify(form)}`;
};

const modeForm: Change = (draft, random) => {
  const mode = random.pick(MODES);
  const form = random.once(2) ? octal(mode, 7) : random.pick(numberForms(mode, 8));
  if (random.once(5)) draft.entries.push(patched({ path: "package/folder/", type: "5" }, field(100, 8, form)));
  else someFile(draft, random, (entry) => patched(entry, field(100, 8, form)));
  return `mode ${JSON.stringify(form)}`;
};

const otherNumbers: Change = (draft, random) => {
  const [what, offset, length] = random.pick([
    ["uid", 108, 8],
    ["gid", 116, 8],
    ["mtime", 136, 12],
    ["mtime", 136, 12],
    ["devmajor", 329, 8],
    ["devminor", 337, 8],
  ] as const);
  const form = random.pick(numberForms(random.pick([0, 501, 2_097_151, 1_600_000_000]), length));
  someFile(draft, random, (entry) => patched(entry, field(offset, length, form)));
  return `${what} ${JSON.stringify(form)}`;
};

const names: Change = (draft, random) => {
  const text = random.pick(["root", "\u00e9", "\xff\xfe", "a".repeat(32), "a\0b", "a\nb"]);
  const at = random.pick([265, 297]);
  someFile(draft, random, (entry) => patched(entry, field(at, 32, text)));
  return `${at === 265 ? "user" : "group"} ${JSON.stringify(text)}`;
};

const lastBytes: Change = (draft, random) => {
  const [at, text] = random.pick([
    [500, "junk in the end"],
    [475, "\x0012345678901 12345678901 "],
    [476, "12345678901 12345678901 "],
    [482, "\x01"],
    [508, "tar\0"],
    [345, "12345678901 12345678901 "],
  ] as const);
  someFile(draft, random, (entry) => patched(entry, (block) => void block.write(text, at, "latin1")));
  return `bytes at ${String(at)} of a header`;
};

const checksum: Change = (draft, random) => {
  const how = random.pick(["signed", "form", "wrong", "empty"] as const);
  someFile(draft, random, (entry) => {
    const high: RawEntry = how === "signed" ? { ...entry, path: "package/\u00e9\u00e8.js" } : entry;
    // Of the same header with an ordinary checksum.
    let sum = 0;
    const measured = patched(high, (block) => {
      block.fill(0x20, 148, 156);
      sum = block.reduce((total, byte) => total + (how === "signed" && byte > 127 ? byte - 256 : byte), 0);
    });
    return {
      ...measured,
      get checksum() {
        const text =
          how === "wrong" ? octal(sum + 1, 6) : how === "empty" ? "" : how === "signed" ? octal(sum, 6) : random.pick(numberForms(sum, 8));
        return text.padEnd(8, how === "form" ? "\0" : " ");
      },
    };
  });
  return `checksum ${how}`;
};

const type: Change = (draft, random) => {
  const flag = random.pick(TYPES);
  const linkname = random.once(3) ? random.pick(["index.js", "package/index.js", "/etc/passwd", "../x"]) : "";
  const content = random.once(3) ? "" : "typed\n";
  draft.entries.splice(random.int(draft.entries.length + 1), 0, {
    path: random.pick(["package/typed", "package/typed/"]),
    type: flag,
    linkname,
    content,
  });
  return `type ${JSON.stringify(flag)}${linkname === "" ? "" : `, link to ${linkname}`}`;
};

const bits: Change = (draft, random) => {
  const count = 1 + random.int(3);
  const places = Array.from({ length: count }, () => [random.int(12), random.int(512), random.int(256)] as const);
  draft.onTar.push((tar) => {
    const headers: number[] = [];
    for (let at = 0; at + 512 <= tar.length; at += 512) if (tar.toString("latin1", at + 257, at + 262) === "ustar") headers.push(at);
    for (const [header, at, value] of places) if (headers.length > 0) tar[(headers[header % headers.length] ?? 0) + at] = value;
    mend(tar);
  });
  return `bytes ${places.map(([header, at, value]) => `${String(header)}:${String(at)}=${String(value)}`).join(" ")} of headers`;
};

const honestModes: Change = (draft, random) => {
  const mode = random.pick([0o600, 0o640, 0o644, 0o664, 0o666, 0o700, 0o744, 0o750, 0o755, 0o775, 0o777, 0o711]);
  someFile(draft, random, (entry) => patched(entry, modeOf(mode)));
  return `an ordinary mode ${mode.toString(8)}`;
};

export const HEADER_CHANGES: Readonly<Record<string, Change>> = {
  "empty name": emptyName,
  name: nameField,
  prefix,
  magic,
  size: sizeForm,
  mode: modeForm,
  "ordinary mode": honestModes,
  numbers: otherNumbers,
  owners: names,
  "last bytes": lastBytes,
  checksum,
  type,
  bits,
};
