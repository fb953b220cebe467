/** .yarnrc of yarn 1: lines of `key value`, both of them quoted or not. */
const LINE = /^\s*(?:"([^"]+)"|([^\s"#:]+)):?\s+(?:"(.*)"|(\S.*?))\s*$/;

type Entry = { readonly key: string; readonly value: string };

function entryOf(line: string): Entry | null {
  const [, quotedKey, key = quotedKey, quotedValue, value = quotedValue] = LINE.exec(line) ?? [];
  return key === undefined || value === undefined ? null : { key, value };
}

/** The registry that it names; null: none. */
export function yarnrcRegistry(text: string): string | null {
  return (
    text
      .split(/\r?\n/)
      .map(entryOf)
      .findLast((entry) => entry?.key === "registry")?.value ?? null
  );
}

/** The file with these keys set; undefined takes one away. */
export function withYarnrc(before: string, values: Readonly<Record<string, string | undefined>>): string {
  const kept = before.split(/\r?\n/).filter((line) => {
    const key = entryOf(line)?.key;
    return key === undefined || !Object.hasOwn(values, key);
  });
  const added = Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [`${key} ${JSON.stringify(value)}`]));
  const text = [...kept.filter((line, i) => line !== "" || i < kept.length - 1), ...added].join("\n");
  return text.trim() === "" ? "" : `${text}\n`;
}
