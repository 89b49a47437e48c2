"""A second reader of the vectors, written from docs/protocol.md alone: it shares no line with the product.

    python tests/vectors/cross_check.py

Opens and verifies every good vector, recomputes hashes.json, prints how many it checked; exit 1 when one disagrees.
Needs the standard library and `cryptography` only. Does not judge the bad vectors: which refusal they get is the
product's test.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ed25519
from second_reader.base import (
    FOLDER,
    NET,
    NETWORK,
    PARTIES,
    PREKEYS,
    ZERO,
    Disagrees,
    b64,
    check_network,
    derived,
    digits,
    h,
    jcs,
    merkle,
    need,
    pae,
    public_of,
    signed_json,
    skid_of,
    table,
    u,
    unb64,
)
from second_reader.envelopes import (
    bucket,
    check_upload,
    open_blob,
    open_envelope,
    open_expired,
    read_content,
    read_header,
    unpadded,
)
from second_reader.ledger import (
    check_checkpoint,
    check_log,
    check_pair,
    check_proof,
    check_receipts,
    check_snapshot,
    check_submission,
    check_term,
    replay,
)

CLAIMS = "aud exp h iat iss jti m net p"
INVITATION = "ca checkpoint class country expires hub member net token v"


def check_json(given: Any) -> Any:
    return {"value": signed_json(unb64(given["bytes"]))}


def check_base64(given: Any) -> Any:
    return {"hex": unb64(given["text"]).hex()}


def check_header(given: Any) -> Any:
    raw = unb64(given["header"])
    read_header(raw, None)
    return {"env": b64(h(NET, "env", raw))}


def check_body(given: Any) -> Any:
    salt, content = unpadded(unb64(given["plain"]))
    return {"salt": b64(salt), "content": b64(content)}


def check_content(given: Any) -> Any:
    meta, payload = read_content(unb64(given["content"]))
    found = {"meta": meta, "payload": b64(payload)}
    known = ("status", "missing", "void", "restored", "checkpoint", "part", "notice")
    known += ("disclosure-inquiry", "disclosure-record")
    if meta["type"] not in known:
        return found
    control = signed_json(payload)
    for at, who, action, what, prev, digest in control.get("rows", []):
        words = json.dumps({"action": action, "at": at, "what": what, "who": who}, separators=(",", ":"))
        need(b64(hashlib.sha256(unb64(prev) + words.encode()).digest()) == digest, "row")
    return {**found, "control": control}


def check_frames(given: Any) -> Any:
    data, frames = unb64(given["data"]), []
    while data:
        size = int.from_bytes(data[:4], "big")
        frames.append(b64(data[4 : 4 + size]))
        data = data[4 + size :]
    return {"frames": frames}


def check_items(given: Any) -> Any:
    found = []
    for frame in check_frames({"data": given["page"]})["frames"]:
        item = unb64(frame)
        cursor, payload = item[2 : 2 + item[1]], item[2 + item[1] :]
        found.append([item[0], cursor.decode("ascii"), b64(payload)])
    return {"items": found}


def check_token(given: Any) -> Any:
    head, claims, signature = given["token"].split(".")
    need(signed_json(unb64(head)) == {"alg": "EdDSA", "typ": "exchange+jwt"}, "header")
    said = signed_json(unb64(claims), CLAIMS)
    key = ed25519.Ed25519PublicKey.from_public_bytes(unb64(PARTIES[said["iss"]]["transport"]))
    key.verify(unb64(signature), f"{head}.{claims}".encode())
    need((said["net"], said["aud"]) == (b64(NET), NETWORK["origin"]), "net, aud")
    need((said["m"], said["p"]) == (given["method"], given["target"]), "method, target")
    digest = b64(hashlib.sha256(bytes.fromhex(given["body"])).digest())
    need(said["h"] == digest and 0 < said["exp"] - said["iat"] <= 300, "h, life")
    need(said["iat"] - 60 <= given["now"] // 1_000 < said["exp"], "clock")
    return {"issuer": said["iss"], "h": said["h"]}


def check_invitation(given: Any) -> Any:
    name, _, rest = given["line"].strip().partition(".")
    need(name == "exchange-invitation-1", "prefix")
    value = signed_json(unb64(rest), INVITATION)
    need(value["v"] == 1 and value["expires"] > given["now"], "v, expires")
    return value


def check_record(given: Any) -> None:
    record = signed_json(unb64(given["record"]), "address destroy from mlkem768 net until v x25519")
    row = [b64(h(NET, "prekey", unb64(given["record"]))), record["from"], record["until"], record["destroy"]]
    need(row == given["row"] and record["address"] == given["address"], "row")


def check_statement(given: Any) -> Any:
    return {"hash": b64(h(NET, "statement", unb64(given["statement"]["body"])))}


def check_whole(given: Any) -> Any:
    leaves = given["snapshot"]["leaves"]
    return check_snapshot(given, replay([*table("log/good.json")["input"]["leaves"], *leaves]))


def check_checkpoint_term(given: Any) -> Any:
    return check_term(given, replay([*table("log/good.json")["input"]["leaves"], *given["more"]]))


def check_leaf(given: Any) -> Any:
    log = replay([*table("log/good.json")["input"]["leaves"], *given["more"], given["leaf"]])
    need(log.at <= given["now"] + 600_000, "leaf ahead")
    return {"effective": True, "alarm": False}


def check_genesis(given: Any) -> Any:
    return {"net": b64(replay([given["leaf"]]).net)}


def check_link(given: Any) -> Any:
    """§6.2, rule by rule."""
    view, new, env = given["view"], given["link"], given["env"]
    head = view["head"] or {"seq": 0, "env": b64(ZERO)}  # 2
    s, verdict = (
        new["seq"],
        {"mark": "", "becomes_head": False, "opened": None, "filled": False, "fork_with": None},
    )
    by_number = [(one["seq"] - s, one) for one in view["near"]]
    gap = next((one for one in view["gaps"] if one["first"] <= s <= one["last"]), None)
    fits = any((d, one["env"]) == (-1, new["prev"]) or (d, one["prev"]) == (1, env) for d, one in by_number)
    fits = fits or (s, new["prev"]) == (1, b64(ZERO))
    if s == head["seq"] + 1 and new["prev"] == head["env"]:  # 3
        verdict["becomes_head"] = True
    elif gap and (new["chain"] == gap["chain"] or view["chain_known"] or fits):  # 4
        verdict.update(mark="late", filled=True)
    elif s > head["seq"]:  # 5
        verdict["becomes_head"] = True
        verdict["mark"] = "restarted" if s == head["seq"] + 1 else ""
        if s > head["seq"] + 1:
            verdict["opened"] = {"first": head["seq"] + 1, "last": s - 1, "chain": new["chain"]}
    elif view["chain_known"]:  # 6
        verdict["mark"] = "late"
    else:  # 7
        verdict.update(mark="restarted", becomes_head=True)
    for distance, one in by_number:  # 1
        broken = {0: one["env"] != env, -1: one["env"] != new["prev"], 1: one["prev"] != env}
        if one["chain"] == new["chain"] and broken[distance]:
            return {**verdict, "mark": "fork", "fork_with": one["env"]}
    return verdict


def check_hashes() -> None:
    """hashes.json, value by value."""
    want = table("hashes.json")
    need(want["net"] == {"net": b64(NET), "digits": digits(NET)}, "net")
    need(want["h"]["hash"] == b64(h(NET, want["h"]["label"], *map(unb64, want["h"]["parts"]))), "H")
    need(want["pae"] == {kind: b64(pae(kind, b"{}")) for kind in want["pae"]}, "PAE")
    for row in want["keys"]:
        keys, seed = PARTIES[row["name"]], unb64(NETWORK["parties"][row["name"]]["seed"])
        need(row["skid"] == b64(skid_of(NET, keys)), "skid")
        need(row["digits"] == digits(h(NET, "digits", row["name"].encode(), jcs(keys))), "digits")
        ed = ed25519.Ed25519PrivateKey.from_private_bytes(derived(seed, "ed25519"))
        need(row["ed25519_of_pae"] == b64(ed.sign(pae("envelope", b"{}"))), "Ed25519 over PAE")
    for row in want["next"]:
        keys = public_of(unb64(row["seed"]))
        parts = (unb64(keys[name]) for name in ("ed25519", "mldsa65", "transport"))
        need(row["next"] == b64(h(NET, "next", *parts)), "next")
    for row in want["revoke"]:
        need(row["skid"] == b64(skid_of(NET, public_of(unb64(row["seed"])))), "skid of a revoke-only key")
    bodies = (unb64(json.loads(leaf)["body"]) for leaf in table("log/good.json")["input"]["leaves"])
    need(want["statements"] == [b64(h(NET, "statement", body)) for body in bodies], "statements")
    leaves = [bytes([number]) * number for number in range(70)]
    need(want["merkle"] == [b64(merkle(leaves[:size])) for size in range(71)], "Merkle tree hashes")
    need(all(bucket(49 + max(0, n - 49)) == size for n, size in want["buckets"]), "buckets")
    token, claims = want["token"]["token"], want["token"]["claims"]
    request = {"token": token, "method": "GET", "target": claims["p"], "body": "", "now": NETWORK["now"]}
    need(check_token(request)["issuer"] == claims["iss"], "token")
    check_commitments(want["commitments"])
    said = want["socket"]
    message = h(NET, "ws", said["origin"].encode(), unb64(said["nonce"]))
    need(said["message"] == b64(message), "socket")


def check_commitments(row: Any) -> None:
    core, kid = unb64(row["core_hash"]), unb64(row["kid"])
    pre = h(NET, "pre", unb64(row["pre"]))
    need(row["pc"] == b64(h(NET, "pc", pre, unb64(row["salt"]), unb64(row["content"]))), "pc")
    need(row["body_context"] == b64(h(NET, "body", core)), "context of a body")
    need(row["wrap_info"] == b64(h(NET, "wrap", core, row["address"].encode(), kid)), "info of a wrap")
    parts = (unb64(row["nonce"]), unb64(row["chain"]), u(8, row["link_seq"]), unb64(row["link_prev"]))
    need(row["lc"] == b64(h(NET, "link", *parts)) and kid in PREKEYS, "lc")


AREAS: dict[str, Callable[[Any], Any]] = {
    "base64": check_base64,
    "body": check_body,
    "checkpoint": check_checkpoint,
    "checkpoint_term": check_checkpoint_term,
    "checkpoints": check_pair,
    "content": check_content,
    "blob": open_blob,
    "envelope_expired": open_expired,
    "envelope_hub": check_upload,
    "envelope_open": open_envelope,
    "frames": check_frames,
    "genesis": check_genesis,
    "header": check_header,
    "invitation": check_invitation,
    "items": check_items,
    "json": check_json,
    "leaf": check_leaf,
    "link": check_link,
    "log": check_log,
    "prekey_record": check_record,
    "receipt_proof": check_proof,
    "receipt_upload": check_receipts,
    "statement": check_statement,
    "snapshot": check_whole,
    "submission": check_submission,
    "token": check_token,
}


def main() -> int:
    checked, wrong = 0, []
    for name, check in (("network.json", check_network), ("hashes.json", check_hashes)):
        try:
            check()
            checked += 1
        except (Disagrees, InvalidSignature) as fault:
            wrong.append(f"{name}: {fault!r}")
    for path in sorted(FOLDER.glob("*/*.json")):
        vector = json.loads(path.read_text())
        if vector["expect"] != "ok":
            continue
        try:
            output = AREAS[path.parent.name](vector["input"])
            wanted = vector.get("output") or {}
            for name, value in (output or {}).items():
                need(wanted[name] == value, f"{name} is {value}")
            checked += 1
        except (Disagrees, InvalidSignature, InvalidTag, KeyError, ValueError) as fault:
            wrong.append(f"{path.parent.name}/{path.name}: {fault!r}")
    sys.stderr.write("".join(f"{line}\n" for line in wrong))
    sys.stdout.write(f"{checked} checked\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
