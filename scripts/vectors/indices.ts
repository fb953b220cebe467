/** Area `index`: whole small indices as `{path: text}`, read from a pinned id: reading 2 to 7. */
import type { JsonObject, JsonValue } from "../../src/format/json.ts";
import { formatPretty } from "../../src/format/json.ts";
import {
  CHECKPOINT,
  data,
  digest,
  edit,
  type Edit,
  edited,
  file,
  HASH,
  INDEX_ID_OTHER,
  nextRoot,
  publishers,
  RECORD,
  RELEASE,
  ROOT_1,
  sha256,
  text,
  TIME_MS,
  type Vector,
  vector,
} from "./kit.ts";

type Files = Readonly<Record<string, string>>;
type Package = {
  readonly name: string;
  /** Version → file. */
  readonly releases: Readonly<Record<string, string>>;
  readonly edits?: readonly Edit[];
  readonly signers?: readonly string[];
  /** A record file to use as it is. */
  readonly record?: string;
};

const HELLO = "@alice/hello";
const ID = digest(ROOT_1);

const folderOf = (name: string): string =>
  `packages/${sha256(name).slice(0, 2)}/${name.startsWith("@") ? name.replace("/", "+") : `+${name}`}`;

function release(version: string, edits: readonly Edit[] = [], ...signers: readonly string[]): string {
  return file("release", edit(RELEASE, ["version", version], ...edits), ...(signers.length > 0 ? signers : ["publisher"]));
}

/** The files of an index: what an honest writer would make of these packages. */
function index(
  packages: readonly Package[],
  options: {
    roots?: readonly JsonObject[];
    rootSigners?: readonly (readonly string[])[];
    checkpoint?: readonly Edit[];
    checkpointSigners?: readonly string[];
  } = {},
): Files {
  const { roots = [ROOT_1], rootSigners = [], checkpoint = [], checkpointSigners = ["checkpoint"] } = options;
  const files: Record<string, string> = {};
  const shards = new Map<string, Record<string, string>>();
  for (const [i, root] of roots.entries()) files[`trust/${i + 1}.json`] = file("root", root, ...(rootSigners[i] ?? ["root"]));
  for (const { name, releases, edits = [], signers = ["publisher"], record } of packages) {
    const hashes = Object.fromEntries(Object.entries(releases).map(([version, source]) => [version, sha256(source)]));
    const latest = Object.keys(releases).at(-1);
    const signed = edit(
      RECORD,
      ["index", digest(roots[0] as JsonObject)],
      ["name", name],
      ["releases", data(hashes)],
      ["tags", data(latest === undefined ? {} : { latest })],
      ...edits,
    );
    const source = record ?? file("package", signed, ...signers);
    for (const [version, content] of Object.entries(releases)) files[`${folderOf(name)}/${version}.json`] = content;
    files[`${folderOf(name)}/record.json`] = source;
    const shard = sha256(name).slice(0, 2);
    shards.set(shard, { ...shards.get(shard), [name]: sha256(source) });
  }
  const hashes: Record<string, string> = {};
  for (const [shard, names] of shards) {
    const source = text(formatPretty(data(names)));
    files[`packages/${shard}/shard.json`] = source;
    hashes[shard] = sha256(source);
  }
  const newest = roots.at(-1) as JsonObject;
  const signed = edit(
    CHECKPOINT,
    ["index", digest(roots[0] as JsonObject)],
    ["root", data({ version: roots.length, digest: digest(newest) })],
    ["shards", data(hashes)],
    ...checkpoint,
  );
  files["checkpoint.json"] = file("checkpoint", signed, ...checkpointSigners);
  return files;
}

type Expect =
  | { readonly verdicts: Readonly<Record<string, string>> }
  | { readonly absent: true }
  | { readonly error: string; readonly step: string; readonly file?: string };

function make(
  name: string,
  description: string,
  files: Files,
  expected: Expect,
  more: { readonly id?: string; readonly package?: string; readonly before?: Files; readonly lock?: JsonValue } = {},
): Vector {
  const { id = ID, package: wanted = HELLO, ...rest } = more;
  const { error, ...others } = { error: undefined, ...expected };
  return vector(
    "index",
    name,
    description,
    { ...(error === undefined ? {} : { error }), schemaValid: null },
    { id, package: wanted, files: data(files), ...rest, ...others },
  );
}

function without(files: Files, path: string): Files {
  return Object.fromEntries(Object.entries(files).filter(([name]) => name !== path));
}

const hello = (edits: readonly Edit[] = [], ...signers: readonly string[]): Package => ({
  name: HELLO,
  releases: { "1.0.0": release("1.0.0") },
  edits,
  ...(signers.length > 0 ? { signers } : {}),
});

export function indexVectors(): readonly Vector[] {
  return [...treeVectors(), ...releaseVectors(), ...publisherVectors(), ...stateVectors()];
}

function treeVectors(): readonly Vector[] {
  const ok = index([hello()]);
  const folder = folderOf(HELLO);
  const shard = `packages/${sha256(HELLO).slice(0, 2)}/shard.json`;
  const fails = (name: string, description: string, files: Files, error: string, at: string, step = "reading 6"): Vector =>
    make(name, description, files, { error, step, file: at });
  const older = index([{ ...hello([["revision", 1]]) }], { checkpoint: [["seq", 41]] });
  return [
    make("ok", "One package with one release", ok, { verdicts: { "1.0.0": "ok" } }),
    make("ok-yanked", "A yanked release", index([hello([[["yanked", "1.0.0"], "broken"]])]), { verdicts: { "1.0.0": "yanked" } }),
    make("ok-empty", "An empty index", index([]), { absent: true }),
    make("ok-absent-shard", "No such shard: verified absent", ok, { absent: true }, { package: "@alice/nothing" }),
    make(
      "ok-absent-name",
      "The shard is there, the name is not: verified absent",
      ok,
      { absent: true },
      {
        package: Array.from({ length: 10_000 }, (_, i) => `@alice/p${i}`).find(
          (name) => sha256(name).slice(0, 2) === sha256(HELLO).slice(0, 2),
        ) as string,
      },
    ),
    make("ok-withdrawn", "A withdrawn release has no verdict: it is not served", index([hello([[["withdrawn", "0.9.0"], "secrets"]])]), {
      verdicts: { "1.0.0": "ok" },
    }),
    make(
      "ok-other-files",
      "Whatever else lies about is never looked at",
      {
        ...ok,
        "README.md": "# hello\n",
        [`${folder}/9.9.9.json`]: "not listed",
        "trust/2.json": "not named by the checkpoint",
        "proposals/@alice+hello/2.0.0/release.json": "{}",
      },
      { verdicts: { "1.0.0": "ok" } },
    ),
    fails(
      "release-byte-flipped",
      "One byte of a release changed",
      { ...ok, [`${folder}/1.0.0.json`]: release("1.0.0").replace("Says hello", "Says jello") },
      "HASH_MISMATCH",
      `${folder}/1.0.0.json`,
    ),
    fails(
      "release-signature-added",
      "A signature added to a release that is listed",
      { ...ok, [`${folder}/1.0.0.json`]: release("1.0.0", [], "publisher", "stranger") },
      "HASH_MISMATCH",
      `${folder}/1.0.0.json`,
    ),
    fails(
      "record-byte-flipped",
      "Another record than the shard names",
      { ...ok, [`${folder}/record.json`]: file("package", edit(RECORD, ["revision", 1]), "publisher") },
      "HASH_MISMATCH",
      `${folder}/record.json`,
    ),
    fails(
      "shard-byte-flipped",
      "Another shard than the checkpoint names",
      { ...ok, [shard]: text(formatPretty(data({ [HELLO]: HASH }))) },
      "HASH_MISMATCH",
      shard,
    ),
    fails(
      "release-missing",
      "A listed release withheld: fails the package, never hides the release",
      without(ok, `${folder}/1.0.0.json`),
      "MISSING_FILE",
      `${folder}/1.0.0.json`,
    ),
    fails("record-missing", "A record withheld", without(ok, `${folder}/record.json`), "MISSING_FILE", `${folder}/record.json`),
    fails("shard-missing", "A shard withheld", without(ok, shard), "MISSING_FILE", shard),
    fails(
      "package-of-older-state",
      "Package and shard of an older checkpoint under the newest",
      { ...older, "checkpoint.json": ok["checkpoint.json"] as string },
      "HASH_MISMATCH",
      shard,
    ),
    fails("root-missing", "The first root withheld", without(ok, "trust/1.json"), "MISSING_FILE", "trust/1.json", "reading 2"),
    fails("checkpoint-missing", "No checkpoint: no index", without(ok, "checkpoint.json"), "NOT_AN_INDEX", "checkpoint.json", "reading 2"),
    fails(
      "checkpoint-not-canonical",
      "A checkpoint without white space",
      { ...ok, "checkpoint.json": `${JSON.stringify(JSON.parse(ok["checkpoint.json"] as string))}\n` },
      "INVALID_DOCUMENT",
      "checkpoint.json",
      "reading 2",
    ),
    fails(
      "checkpoint-names-missing-root",
      "A checkpoint that names a root which is not there",
      index([], { checkpoint: [["root/version", 2]] }),
      "MISSING_FILE",
      "trust/2.json",
      "reading 2",
    ),
    fails(
      "checkpoint-names-other-root",
      "A checkpoint that names another root of the same version",
      index([], { checkpoint: [["root/digest", HASH]] }),
      "WRONG_INDEX",
      "checkpoint.json",
      "reading 3",
    ),
    fails(
      "checkpoint-of-other-index",
      "A checkpoint of another index, signed by the same key",
      index([], { checkpoint: [["index", INDEX_ID_OTHER]] }),
      "WRONG_INDEX",
      "checkpoint.json",
      "reading 3",
    ),
    fails(
      "checkpoint-by-publisher",
      "A checkpoint signed by a publisher",
      index([hello()], { checkpointSigners: ["publisher"] }),
      "BAD_SIGNATURE",
      "checkpoint.json",
      "reading 3",
    ),
    fails(
      "checkpoint-unsigned",
      "A checkpoint without a signature",
      edit(
        data(ok),
        ["checkpoint.json", undefined],
        ["checkpoint.json", edited(ok["checkpoint.json"] as string, ["signatures", []])],
      ) as Files,
      "BAD_SIGNATURE",
      "checkpoint.json",
      "reading 3",
    ),
    make("wrong-id", "Another id is pinned", ok, { error: "WRONG_ID", step: "reading 2", file: "trust/1.json" }, { id: INDEX_ID_OTHER }),
    fails("shard-lists-foreign-name", "A signed tree whose shard holds a name of another shard", foreignShard(), "INVALID_DOCUMENT", shard),
  ];
}

/** The owner's own tool put a name into the wrong shard. */
function foreignShard(): Files {
  const ok = index([hello()]);
  const shard = sha256(HELLO).slice(0, 2);
  const source = text(formatPretty(data({ [HELLO]: HASH, "left-pad": HASH })));
  return {
    ...ok,
    [`packages/${shard}/shard.json`]: source,
    "checkpoint.json": file("checkpoint", edit(CHECKPOINT, [["shards", shard], sha256(source)]), "checkpoint"),
  };
}

function releaseVectors(): readonly Vector[] {
  const verdicts = (
    name: string,
    description: string,
    releases: Readonly<Record<string, string>>,
    expected: Readonly<Record<string, string>>,
  ): Vector => make(name, description, index([{ name: HELLO, releases }]), { verdicts: expected });
  const good = release("1.0.0");
  return [
    verdicts(
      "release-unsigned",
      "A listed release without a signature hides alone",
      { "1.0.0": good, "1.0.1": edited(release("1.0.1"), ["signatures", []]) },
      { "1.0.0": "ok", "1.0.1": "unsigned" },
    ),
    verdicts(
      "release-untrusted",
      "A listed release signed by a key that no root names",
      { "1.0.0": good, "1.0.1": release("1.0.1", [], "stranger") },
      { "1.0.0": "ok", "1.0.1": "untrusted" },
    ),
    verdicts(
      "release-by-checkpoint-key",
      "A listed release signed by a key of another role",
      { "1.0.0": good, "1.0.1": release("1.0.1", [], "checkpoint") },
      { "1.0.0": "ok", "1.0.1": "untrusted" },
    ),
    verdicts(
      "release-bad-signature",
      "A listed release with the signature of another release",
      { "1.0.0": good, "1.0.1": edited(release("1.0.1"), ["signatures", (JSON.parse(good) as JsonObject)["signatures"] as JsonValue]) },
      { "1.0.0": "ok", "1.0.1": "untrusted" },
    ),
    verdicts(
      "release-signed-as-record",
      "A listed release whose signature was made over the type of records",
      {
        "1.0.0": good,
        "1.0.1": edited(release("1.0.1"), [
          "signatures",
          (JSON.parse(file("package", edit(RELEASE, ["version", "1.0.1"]), "publisher")) as JsonObject)["signatures"] as JsonValue,
        ]),
      },
      { "1.0.0": "ok", "1.0.1": "untrusted" },
    ),
    verdicts(
      "release-beside-bad-signature",
      "A good signature, and a stranger's beside it",
      { "1.0.0": release("1.0.0", [], "publisher", "stranger") },
      { "1.0.0": "ok" },
    ),
    verdicts(
      "release-format-2",
      "A listed release of a higher format: that entry only",
      { "1.0.0": good, "1.0.1": release("1.0.1", [["format", 2]]) },
      { "1.0.0": "ok", "1.0.1": "unsupported" },
    ),
    verdicts(
      "release-type-unknown",
      "A listed release of an unknown type",
      { "1.0.0": good, "1.0.1": release("1.0.1", [["type", "imprint.release2"]]) },
      { "1.0.0": "ok", "1.0.1": "unsupported" },
    ),
    verdicts(
      "release-format-0",
      "A listed release of a lower format",
      { "1.0.0": good, "1.0.1": release("1.0.1", [["format", 0]]) },
      { "1.0.0": "ok", "1.0.1": "invalid" },
    ),
    verdicts(
      "release-not-json",
      "A listed file that is no JSON",
      { "1.0.0": good, "1.0.1": "hello\n" },
      { "1.0.0": "ok", "1.0.1": "invalid" },
    ),
    verdicts(
      "release-of-other-index",
      "A release of another index, signed by the same key",
      { "1.0.0": good, "1.0.1": release("1.0.1", [["index", INDEX_ID_OTHER]]) },
      { "1.0.0": "ok", "1.0.1": "invalid" },
    ),
    verdicts(
      "release-of-other-name",
      "A release of another package",
      { "1.0.0": good, "1.0.1": release("1.0.1", [["name", "@alice/other"]]) },
      { "1.0.0": "ok", "1.0.1": "invalid" },
    ),
    verdicts(
      "releases-swapped",
      "The files of two versions swapped, by who signs the record",
      { "1.0.0": release("1.0.1"), "1.0.1": good },
      { "1.0.0": "invalid", "1.0.1": "invalid" },
    ),
    verdicts(
      "root-as-release",
      "The bytes of a root at the path of a release",
      { "1.0.0": good, "1.0.1": file("root", ROOT_1, "root") },
      { "1.0.0": "ok", "1.0.1": "invalid" },
    ),
    make(
      "release-yanked-and-untrusted",
      "A yank does not lend a signature",
      index([{ name: HELLO, releases: { "1.0.0": release("1.0.0", [], "stranger") }, edits: [[["yanked", "1.0.0"], "broken"]] }]),
      { verdicts: { "1.0.0": "untrusted" } },
    ),
  ];
}

function publisherVectors(): readonly Vector[] {
  const folder = folderOf(HELLO);
  const record = `${folder}/record.json`;
  const fails = (name: string, description: string, files: Files, error: string, id: string = ID): Vector =>
    make(name, description, files, { error, step: "reading 6", file: record }, { id });
  const rotated = nextRoot(ROOT_1, ID, ["publishers", [publishers(["@alice/*"], 1, "publisher new")]]);
  const two = edit(ROOT_1, ["publishers", [publishers(["@alice/*"], 2, "publisher", "publisher b")]]);
  const closer = edit(ROOT_1, [
    "publishers",
    [publishers(["*"], 1, "publisher all"), publishers(["@alice/*"], 1, "publisher"), publishers([HELLO], 1, "publisher exact")],
  ]);
  const nobody = edit(ROOT_1, ["publishers", [publishers(["@bob/*"], 1, "publisher")]]);
  const indexEdit = (root: JsonObject): readonly Edit[] => [["index", digest(root)]];
  const helloOf = (root: JsonObject, recordSigners: readonly string[], ...releaseSigners: readonly string[]): Package => ({
    name: HELLO,
    releases: { "1.0.0": release("1.0.0", indexEdit(root), ...releaseSigners) },
    signers: recordSigners,
  });
  return [
    fails(
      "record-unsigned",
      "A record without a signature",
      index([
        {
          ...hello(),
          record: edited(file("package", edit(RECORD, [["releases", "1.0.0"], sha256(release("1.0.0"))])), ["signatures", []]),
        },
      ]),
      "BAD_SIGNATURE",
    ),
    fails("record-by-checkpoint-key", "A stolen checkpoint key signs a record", index([hello([], "checkpoint")]), "BAD_SIGNATURE"),
    fails(
      "record-of-other-index",
      "A record of another index, signed by the same key",
      index([hello([["index", INDEX_ID_OTHER]])]),
      "WRONG_INDEX",
    ),
    fails(
      "record-of-other-name",
      "A record of another package in this one's place",
      index([hello([["name", "@alice/other"]])]),
      "WRONG_INDEX",
    ),
    fails("record-format-2", "A record of a higher format fails its package", index([hello([["format", 2]])]), "UNSUPPORTED_FORMAT"),
    fails("record-is-release", "A release at the path of a record", index([{ ...hello(), record: release("1.0.0") }]), "INVALID_DOCUMENT"),
    fails(
      "record-threshold-short",
      "One of the two signatures that the root asks for",
      index([helloOf(two, ["publisher"])], { roots: [two] }),
      "BAD_SIGNATURE",
      digest(two),
    ),
    make(
      "ok-record-threshold",
      "Both signatures on the record; one is enough on the release",
      index([helloOf(two, ["publisher", "publisher b"], "publisher b")], { roots: [two] }),
      { verdicts: { "1.0.0": "ok" } },
      { id: digest(two) },
    ),
    make(
      "ok-exact-entry",
      "The entry for the exact name decides",
      index([helloOf(closer, ["publisher exact"], "publisher exact")], { roots: [closer] }),
      { verdicts: { "1.0.0": "ok" } },
      { id: digest(closer) },
    ),
    fails(
      "record-by-scope-key",
      "Keys of a broader entry do not count",
      index([helloOf(closer, ["publisher", "publisher all"], "publisher exact")], { roots: [closer] }),
      "BAD_SIGNATURE",
      digest(closer),
    ),
    make(
      "release-by-scope-key",
      "Nor do they for a release",
      index([helloOf(closer, ["publisher exact"], "publisher")], { roots: [closer] }),
      { verdicts: { "1.0.0": "untrusted" } },
      { id: digest(closer) },
    ),
    fails(
      "name-granted-to-nobody",
      "A name that the root grants to nobody",
      index([helloOf(nobody, ["publisher"])], { roots: [nobody] }),
      "BAD_SIGNATURE",
      digest(nobody),
    ),
    make(
      "ok-rotated",
      "A rotated key: the record is signed anew, the release as it was",
      index([hello([], "publisher new")], { roots: [ROOT_1, rotated] }),
      { verdicts: { "1.0.0": "ok" } },
    ),
    fails(
      "record-by-rotated-key",
      "A record that only the replaced key signed",
      index([hello()], { roots: [ROOT_1, rotated] }),
      "BAD_SIGNATURE",
    ),
    make(
      "ok-record-by-both-keys",
      "A record signed by both keys before the rotation is good after it",
      index([hello([], "publisher", "publisher new")], { roots: [ROOT_1, rotated] }),
      { verdicts: { "1.0.0": "ok" } },
    ),
  ];
}

function stateVectors(): readonly Vector[] {
  const at = (seq: number, more: readonly Edit[] = []): Files => index([hello()], { checkpoint: [["seq", seq], ...more] });
  const before = at(42);
  const second = nextRoot(ROOT_1, ID, ["refreshDays", 7]);
  const underSecond = (seq: number): Files => index([hello()], { roots: [ROOT_1, second], checkpoint: [["seq", seq]] });
  const ok: Expect = { verdicts: { "1.0.0": "ok" } };
  const step4 = (error: string, where = "checkpoint.json"): Expect => ({ error, step: "reading 4", file: where });
  const digestOf = (files: Files): string => digest((JSON.parse(files["checkpoint.json"] as string) as JsonObject)["signed"] as JsonValue);
  const lock = (files: Files, seq: number, root: JsonObject = ROOT_1, version = 1): JsonObject =>
    data({ id: ID, root: data({ version, digest: digest(root) }), seq, checkpoint: digestOf(files) });
  const fork = at(42, [["time", "2026-01-02T00:00:00.000Z"]]);
  return [
    make("ok-same-state", "The state that is trusted already", before, ok, { before }),
    make("ok-newer-state", "A higher seq", at(43), ok, { before }),
    make("ok-new-root-lower-seq", "Under a new root seq may start anywhere: a stolen key's jump is undone", underSecond(1), ok, {
      before: at(Number.MAX_SAFE_INTEGER),
    }),
    make("rollback", "A lower seq", at(41), step4("ROLLBACK"), { before }),
    make(
      "rollback-root",
      "A lower root version",
      at(TIME_MS),
      { error: "ROLLBACK", step: "reading 2", file: "checkpoint.json" },
      { before: underSecond(1) },
    ),
    make("equivocation", "The same seq, another checkpoint", fork, step4("EQUIVOCATION"), { before }),
    make("ok-higher-after-equivocation", "A later, higher checkpoint is accepted", at(43, [["time", "2026-01-02T00:00:00.000Z"]]), ok, {
      before,
    }),
    make("ok-lock-same", "Exactly what imprint.lock has seen", before, ok, { lock: lock(before, 42) }),
    make("ok-lock-higher", "A floor, not a pin", at(50), ok, { lock: lock(before, 42) }),
    make("ok-lock-new-root", "A newer root than imprint.lock has seen, whose chain holds the one it has", underSecond(1), ok, {
      lock: lock(before, 42),
    }),
    make("lock-rollback", "Below imprint.lock", at(41), step4("ROLLBACK"), { lock: lock(before, 42) }),
    make("lock-equivocation", "Another checkpoint than imprint.lock has seen, of the same number", fork, step4("EQUIVOCATION"), {
      lock: lock(before, 42),
    }),
    make("lock-other-root", "imprint.lock has seen another root of the same version", at(50), step4("LOCK_MISMATCH", "trust/1.json"), {
      lock: edit(lock(before, 42), ["root/digest", HASH]),
    }),
    make("lock-other-index", "imprint.lock is for another index", before, step4("WRONG_ID"), {
      lock: edit(lock(before, 42), ["id", INDEX_ID_OTHER]),
    }),
  ];
}
