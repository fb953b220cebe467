import { describe, expect, it } from "vitest";
import type { PublicName } from "../../src/format/names.ts";
import { isRegistryTarball } from "../../src/format/tarball-address.ts";

describe("addresses of a registry's tarballs", () => {
  const of = (address: unknown, name = "@alice/a"): boolean => isRegistryTarball(address, name as PublicName);

  it("are the package's path, /-/ and a file, in the one spelling", () => {
    expect(of("https://h/@alice/a/-/a-1.0.0.tgz")).toBe(true);
    expect(of("http://127.0.0.1:4870/below/@alice%2fa/-/a-1.0.0.tgz")).toBe(true);
    expect(of("https://h/a/-/a-1.0.0.tgz", "a")).toBe(true);
  });

  it.each([
    [1],
    ["git+ssh://h/@alice/a/-/a.tgz"],
    ["https://h/x.tgz"],
    ["https://h/@alice/b/-/b-1.0.0.tgz"],
    ["https://h/@alice/a/-/a.tgz?x"],
    ["https://h/@alice/a/-/a.tgz#x"],
    ["https://u:p@h/@alice/a/-/a.tgz"],
    ["https://h/@alice/a/-/a/b.tgz"],
    ["https://h//@alice/a/-/a.tgz"],
    ["https://h/%zz/@alice/a/-/a.tgz"],
    ["https://[/@alice/a/-/a.tgz"],
  ])("are not %j", (address) => {
    expect(of(address)).toBe(false);
  });
});
