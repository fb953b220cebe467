"""A stranger's verifier of Imprint indices, written from SPEC.md alone: from a pinned id to one release.
    python3 verify.py <folder or URL> <index id> <package> <version>
Prints the integrity of the release's tarball and exits 0, or says in one line which file is refused and why, and exits 1. It
judges all that its answer depends on (reading 1 to 3, 6, 7). Having no memory and no imprint.lock, it cannot see that a host
serves an old state (reading 4, 8). Needs Python 3.9, and OpenSSL 3 on the PATH."""
import base64, faulthandler, hashlib, http.client, itertools, json, os, pathlib, re, shutil, subprocess, sys, tempfile, urllib.parse, urllib.request
def need(condition, file, what):
    if not condition: sys.exit(f"{file}: {what}")
def sha256(data): return hashlib.sha256(data).hexdigest()
def read(source, path, cap, *listed):  # capped, then hashed
    remote, file = re.match("https?://", source), os.path.join(os.path.realpath(source), *path.split("/"))
    need(remote or os.path.isfile(file) and os.path.realpath(file) == file, path, "missing, or no regular file")
    url = f"{source.rstrip('/')}/{urllib.parse.quote(path)}"
    try:
        with urllib.request.urlopen(url, timeout=30) if remote else open(file, "rb") as stream: data = stream.read(cap + 1)
    except (OSError, http.client.HTTPException) as error: sys.exit(f"{path}: missing, or not to be had ({type(error).__name__})")
    need(len(data) <= cap and all(sha256(data) == hash for hash in listed), path, "too large, or not the bytes that were signed")
    return data
def ordered(value):  # RFC 8785: members by UTF-16 code units
    if isinstance(value, list): return [ordered(item) for item in value]
    return {k: ordered(value[k]) for k in sorted(value, key=lambda k: k.encode("utf-16-be"))} if isinstance(value, dict) else value
def parse(path, data):  # the value of a file, which is the only file of its value
    brackets = re.findall(rb"[][{}]", re.sub(rb'(?s)"(?:[^"\\]|\\.)*"', b"", data))
    need(max(itertools.accumulate(1 if b in b"[{" else -1 for b in brackets), default=0) <= 32, path, "nested too deeply")
    def number(text): return int(text) if len(text) < 17 and text.isdigit() and int(text) < 2**53 else sys.exit(f"{path}: a number not allowed")
    try:
        value = ordered(json.loads(data.decode(), parse_int=number, parse_float=number, parse_constant=number))
        need((json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode() == data, path, "not the one spelling of what it says")
    except ValueError: sys.exit(f"{path}: no JSON, or no Unicode")
    return value
P, L, SPKI = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493, bytes.fromhex("302a300506032b6570032100")  # of Ed25519
def add(p, q):
    t = -121665 * pow(121666, -1, P) * p[0] * p[1] * q[0] * q[1]
    return (p[0] * q[1] + p[1] * q[0]) * pow(1 + t, -1, P) % P, (p[1] * q[1] + p[0] * q[0]) * pow(1 - t, -1, P) % P
def acceptable(key):  # canonical, on the curve, and of order L (in which the sign of x plays no part)
    y, product = int.from_bytes(raw(key), "little") % 2**255, (0, 1)
    square = 121666 * (y * y - 1) * pow(121666 - 121665 * y * y, -1, P) % P
    roots = [x for k in (1, pow(2, (P - 1) // 4, P)) for x in [pow(square, (P + 3) // 8, P) * k % P] if x * x % P == square]
    if y >= P or y == 1 or not roots: return False
    for bit in f"{L:b}": product = add(add(product, product), (roots[0], y) if bit == "1" else (0, 1))
    return product == (0, 1)
def raw(text): return base64.urlsafe_b64decode(text.rpartition(":")[2] + "==")
def coded(prefix, length, text):  # the one spelling of its bytes
    return re.fullmatch(f"{prefix}[A-Za-z0-9_-]{{{length}}}", text) and text[len(prefix):] == base64.urlsafe_b64encode(raw(text)).decode().rstrip("=")
def good(key, message, signature):  # OpenSSL does not multiply by the cofactor, and compares R as bytes
    with tempfile.TemporaryDirectory() as folder:
        for name, data in ("key", SPKI + key), ("message", message), ("signature", signature): pathlib.Path(folder, name).write_bytes(data)
        command = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in message -sigfile signature".split()
        return int.from_bytes(signature[32:], "little") < L and subprocess.run(command, cwd=folder, capture_output=True).returncode == 0
def document(path, kind, data):  # what is signed, its digest, and a function: how many of these keys have a good signature on it
    value, media = parse(path, data), f"application/vnd.imprint.{kind}+json;v=1".encode()
    signed, pairs = value["signed"], [(entry["key"], entry["signature"]) for entry in value["signatures"]]
    need(all(len(entry) == 2 for entry in [value, *value["signatures"]]), path, "members that do not belong to a signed document")
    need(all(coded("ed25519:", 43, key) and coded("", 86, signature) for key, signature in pairs), path, "a malformed signature")
    need([key for key, _ in pairs] == sorted({key for key, _ in pairs}) and len(pairs) <= 16, path, "signatures unsorted, repeated or too many")
    agree([signed["format"], signed["type"]], [1, f"imprint.{kind}"], "another format or type")
    body = json.dumps(signed, ensure_ascii=False, separators=(",", ":")).encode()
    message = b"DSSEv1 %d %s %d %s" % (len(media), media, len(body), body)
    return signed, sha256(body), lambda keys: sum(key in keys and good(raw(key), message, raw(signature)) for key, signature in pairs)
def entry_of(root, name):  # the one with the closest pattern
    entries = {pattern: entry for entry in root["publishers"] for pattern in entry["packages"]}
    return entries.get(name) or entries.get(f"{name.split('/')[0]}/*") or entries.get("*") or {"keys": [], "threshold": 1}
def agree(found, expected, what): need(json.dumps(found) == json.dumps(expected), path, what)
def verify(source, pinned, name, version, chain=(), before=None):
    global path
    checkpoint, _, signed_by = document(path := "checkpoint.json", "checkpoint", read(source, path, 65_536))
    for number in range(1, min(checkpoint["root"]["version"], 1024) + 1):
        root, digest, root_signed_by = document(path := f"trust/{number}.json", "root", read(source, path, 262_144))
        need(before or digest == pinned, path, "not the root that was pinned")
        agree([root["version"], root["index"], root["previous"]], [number, before and pinned, before], "not the root that follows")
        roles = [root["roles"]["root"], root["roles"]["checkpoint"], *root["publishers"]]
        for r in roles: need(type(r["threshold"]) is int and 1 <= r["threshold"] <= len(set(r["keys"])) == len(r["keys"]) <= 8, path, "a threshold or its keys")
        keys = roles[0]["keys"] + roles[1]["keys"] + sorted({*sum((entry["keys"] for entry in root["publishers"]), [])})
        need(all(coded("ed25519:", 43, key) and acceptable(key) for key in keys), path, "a key that is no safe Ed25519 key")
        once = keys + sum((entry["packages"] for entry in root["publishers"]), [])
        need(len(set(once)) == len(once), path, "a key in two roles, or a pattern twice")
        for by in [root, *chain[-1:]]: need(root_signed_by(by["roles"]["root"]["keys"]) >= by["roles"]["root"]["threshold"], path, "signatures are missing")
        chain, before = [*chain, root], digest
    need(signed_by(roles[1]["keys"]) >= roles[1]["threshold"], path := "checkpoint.json", "signatures are missing")
    agree([checkpoint["index"], checkpoint["root"]], [pinned, {"digest": before, "version": number}], "of another index or root")
    shard, folder = sha256(name.encode())[:2], re.sub("[A-Z]", lambda c: "!" + c[0].lower(), name.replace("/", "+") if "/" in name else f"+{name}")
    need(shard in checkpoint["shards"], path, "no such package")
    names = parse(path := f"packages/{shard}/shard.json", read(source, path, 8_388_608, checkpoint["shards"][shard]))
    need(name in names and all(sha256(other.encode()).startswith(shard) for other in names), path, "no such package, or one that belongs elsewhere")
    record, _, signed_by = document(path := f"packages/{shard}/{folder}/record.json", "package", read(source, path, 8_388_608, names[name]))
    agree([record["index"], record["name"]], [pinned, name], "of another index or package")
    need(signed_by(entry_of(root, name)["keys"]) >= entry_of(root, name)["threshold"], path, "signatures are missing")
    need(all(re.fullmatch(r"\d+\.\d+\.\d+(-[\w.-]+)?", v, re.A) for v in record["releases"]), path, "a version that is none")
    files = {v: read(source, f"packages/{shard}/{folder}/{v}.json", 1_048_576, listed) for v, listed in record["releases"].items()}
    need(version in files and version not in {**record["withdrawn"], **record["yanked"]}, path, "no such version, or yanked")
    release, _, signed_by = document(path := f"packages/{shard}/{folder}/{version}.json", "release", files[version])
    agree([release["index"], release["name"], release["version"]], [pinned, name, version], "of another index, package or version")
    need(any(signed_by(entry_of(root, name)["keys"]) for root in chain), path, "not signed by a publisher of the package")
    need(re.fullmatch("sha512-[A-Za-z0-9+/]{85}[AQgw]==", release["dist"]["integrity"]), path, "not one sha512 of 64 bytes")
    return release["dist"]["integrity"]
need(len(sys.argv) == 5 and shutil.which("openssl"), "verify.py", "needs <folder or URL> <id> <package> <version>, and openssl on the PATH")
faulthandler.dump_traceback_later(300, exit=True)  # however slow a host is
try: print(verify(*sys.argv[1:]))
except (AttributeError, KeyError, NameError, TypeError): sys.exit(f"{path}: a member is missing or has another type")
