/** Requests come through many hands: what nobody signs may have been changed on the way, and is refused. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isImprintError } from "../../src/errors.ts";
import type { PackageName } from "../../src/format/names.ts";
import { recordPath, releasePath } from "../../src/format/paths.ts";
import type { Version } from "../../src/format/versions.ts";
import { formatPretty, type JsonValue } from "../../src/format/json.ts";
import {
  completePending,
  NO_KEYS,
  type Pending,
  pendingRecords,
  pendingRoot,
  rebase,
  shortfallsOf,
  signPending,
} from "../../src/index/root/pending.ts";
import { formatRequest, parseRequest } from "../../src/index/root/request.ts";
import { commitSource } from "../../src/index/source.ts";
import { LIMITS_OF_TESTS, publicKeyOf, strangerKey, type TestIndex, type World, world } from "../support/world.ts";

const A = "@kit/a" as PackageName;
let w: World;
let kit: TestIndex;
const next = strangerKey();

beforeAll(async () => {
  w = await world();
  kit = await w.index("kit");
  for (const name of ["@kit/a", "@kit/b"]) await kit.publish(name, "1.0.0");
});
afterAll(() => w.close());

async function base() {
  return { state: await kit.state(), snapshot: await commitSource(kit.repository, kit.head(), LIMITS_OF_TESTS).open() };
}

/** The publisher's key rotated: two records signed again. */
async function rotation(): Promise<Pending> {
  const at = await base();
  const { doc } = at.state.roots[0];
  const publishers = doc.publishers.map((entry) => ({ ...entry, keys: [publicKeyOf(next)] }));
  return pendingRoot(at, { ...doc, publishers }, { message: "rotate" });
}

const withdrawal = async (): Promise<Pending> => {
  const { state } = await base();
  const before = await kit.record(A);
  const after = { ...before.doc, releases: new Map(), tags: new Map(), withdrawn: new Map([["1.0.0" as Version, "gone"]]) };
  return pendingRecords(state, [{ before, after }], { message: "withdraw", nowMs: w.nowMs() });
};

const signed = (pending: Pending): Pending =>
  signPending(pending, { root: [kit.keys.root], publishers: [kit.keys.publisher, next], checkpoint: [] });

type Json = Record<string, JsonValue> & {
  records: { before: JsonValue; after: JsonValue }[];
  files: JsonValue[];
  root: { signed: Record<string, JsonValue> };
};
const tampered = (pending: Pending, edit: (json: Json) => void): Uint8Array => {
  const json = JSON.parse(Buffer.from(formatRequest(pending)).toString()) as Json;
  edit(json);
  return formatPretty(json);
};
const refusal = async (work: () => unknown): Promise<string> => {
  try {
    await work();
    return "accepted";
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return `${error.code}: ${error.message}`;
  }
};

describe("a request", () => {
  it("is read as it was written, signed in pieces, and applied in one commit", async () => {
    const pending = await rotation();
    expect(shortfallsOf(pending).map(({ what }) => what)).toEqual([
      "root 2, by the root keys of root 1",
      "root 2, by its own root keys",
      expect.stringMatching(/^the record of @kit\/[ab] and 1 more of the same keys$/),
    ]);
    const once = parseRequest(formatRequest(signPending(pending, { ...NO_KEYS, root: [kit.keys.root] })));
    const twice = parseRequest(formatRequest(signPending(once, { ...NO_KEYS, publishers: [next] })));
    expect(shortfallsOf(twice)).toEqual([]);
    expect(Buffer.from(formatRequest(parseRequest(formatRequest(twice)))).equals(formatRequest(twice))).toBe(true);
    const { snapshot, state } = await base();
    const moved = await rebase(twice, { snapshot, state });
    const { files } = await completePending(moved, snapshot, { checkpoint: [kit.keys.checkpoint] }, w.nowMs());
    expect(files?.map(({ path }) => path).toSorted()).toEqual(
      expect.arrayContaining(["checkpoint.json", "trust/2.json", recordPath(A), recordPath("@kit/b" as PackageName)]),
    );
    // Without a checkpoint key it waits for one.
    expect((await completePending(moved, snapshot, { checkpoint: [strangerKey()] }, w.nowMs())).files).toBeNull();
  });

  it.each<[string, () => Promise<Pending>, (json: Json) => void, RegExp]>([
    [
      "a release file removed beside what was signed",
      rotation,
      (json) => void (json.files = [{ path: releasePath(A, "1.0.0" as Version), content: null }]),
      /no record of it says what it does to/,
    ],
    [
      "a release file replaced",
      rotation,
      (json) => void (json.files = [{ path: releasePath(A, "1.0.0" as Version), content: "{}\n" }]),
      /no record of it says/,
    ],
    [
      "a file of another package",
      rotation,
      (json) => void (json.files = [{ path: "packages/aa/+x/1.0.0.json", content: "{}\n" }]),
      /no record of it says/,
    ],
    [
      "a path that is none of an index",
      rotation,
      (json) => void (json.files = [{ path: "../../etc/x/y.json", content: "" }]),
      /a release or a proposal/,
    ],
    [
      "a record as a plain file",
      rotation,
      (json) => void (json.files = [{ path: recordPath(A), content: "{}\n" }]),
      /a release or a proposal/,
    ],
    [
      "a root with members that nobody knows",
      rotation,
      (json) => void (json.root.signed["delegations"] = []),
      /members that this imprint does not know/,
    ],
    ["a root for another version", rotation, (json) => void (json.root.signed["version"] = 3), /does not follow root 1/],
    ["a root that locks everybody out", rotation, (json) => void (json.root.signed["publishers"] = []), /grants to nobody/],
    [
      "a record before that no publisher signed",
      withdrawal,
      (json) => void ((json.records[0] as unknown as { before: { signatures: JsonValue[] } }).before.signatures = []),
      /lacks the signatures/,
    ],
    ["no record at all", withdrawal, (json) => void (json.records = []), /no record of it says what it does to/],
    [
      "a checkpoint for another root",
      rotation,
      (json) => void (json["checkpoint"] = json["base"] as JsonValue),
      /its checkpoint is for another root/,
    ],
    ["a number of another format", rotation, (json) => void (json["format"] = 2), /format/],
  ])("%s: refused", async (_, make, edit, words) => {
    const bytes = tampered(signed(await make()), edit);
    const answer = await refusal(async () => {
      const pending = parseRequest(bytes);
      const short = shortfallsOf(pending);
      if (short.length > 0) throw Object.assign(new Error(short.map(({ what }) => what).join("; ")), { name: "short" });
    }).catch((error: unknown) => (error as Error).message);
    expect(answer).toMatch(words);
  });

  it("what it says was before must be so, whoever hides it", async () => {
    const at = await base();
    const hidden = parseRequest(
      tampered(signed(await withdrawal()), (json) => void ((json.records[0] as { before: JsonValue }).before = null)),
    );
    expect(await refusal(() => rebase(hidden, at))).toMatch(/REQUEST_REFUSED: .*the record of @kit\/a was changed since/);
    // An older state of the same package, from before a release.
    const old = signed(await withdrawal());
    await kit.publish("@kit/a", "1.1.0");
    expect(await refusal(async () => rebase(parseRequest(formatRequest(old)), await base()))).toMatch(/the record of @kit\/a was changed/);
  });

  it("a package that came meanwhile must not be left without its signature", async () => {
    const made = parseRequest(formatRequest(signed(await rotation())));
    await kit.publish("@kit/late", "1.0.0");
    expect(await refusal(async () => rebase(made, await base()))).toMatch(/@kit\/late was published, and must be signed again/);
  });
});
