/** A company's own certificate authority, and a server that only those trust who know it. */
import sshpk from "sshpk";

export type TestAuthority = { readonly ca: string; readonly cert: string; readonly key: string };

/** For `localhost` and `static.invalid`, which has no address; PEM. */
export function testAuthority(): TestAuthority {
  const caKey = sshpk.generatePrivateKey("ecdsa");
  const subject = sshpk.identityFromDN("CN=Corp CA");
  const options = { lifetime: 86_400, serial: Buffer.from([1]) };
  const ca = sshpk.createSelfSignedCertificate([subject], caKey, { ...options, purposes: ["ca", "crl", "serverAuth"] });
  const key = sshpk.generatePrivateKey("ecdsa");
  const hosts = ["localhost", "static.invalid"].map((name) => sshpk.identityForHost(name));
  const cert = sshpk.createCertificate(hosts, key.toPublic(), subject, caKey, {
    ...options,
    serial: Buffer.from([2]),
    purposes: ["serverAuth", "signature"],
  });
  return { ca: ca.toString("pem"), cert: cert.toString("pem"), key: key.toString("pkcs8") };
}
