"""Every vector of tests/vectors through the product: one test a file, one reader an area.

Owns how an area's input is handed to the code. What each vector should say is in its file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from exchange import body, content, envelope, link, policy, receipt, token
from exchange.blob import BlobOpener
from exchange.canonical import b64, dumps, loads, sha256, unb64, unframed
from exchange.directory.state import Directory
from exchange.errors import Damaged, ExchangeError, Hold, Rejected
from exchange.header import parse_header
from exchange.invitation import Invitation
from exchange.keys import PrekeySecret, PublicKey
from exchange.protocol import items
from tests.vector_directory import (
    FOLDER,
    Given,
    NoEffect,
    checkpoints,
    comparisons,
    directory,
    genesis,
    leaves,
    log,
    network,
    prekey_records,
    snapshots,
    statements,
    submissions,
    terms,
    whole_log,
)

FILES = sorted(FOLDER.glob("*/*.json"))
OUTCOMES = {"transport": (Damaged,), "hold": (Hold,)}


@cache
def prekeys() -> dict[bytes, envelope.HeldPrekey]:
    held = {}
    for row in network()["prekeys"]:
        destroy = json.loads(unb64(row["record"]))["destroy"]
        held[unb64(row["kid"])] = envelope.HeldPrekey(PrekeySecret(unb64(row["secret"])), destroy)
    return held


class Sized:
    """The directory of log/good as it would be with `size` leaves: only the number is another."""

    def __init__(self, size: int) -> None:
        self.size = size

    def signing_key(self, address: str, skid: bytes) -> PublicKey:
        return directory().signing_key(address, skid)


# -- what needs no key ----------------------------------------------------------------------------------------------


def signed_json(given: Given) -> Given:
    data = unb64(given["bytes"])
    value = loads(data, most=262_144)
    assert dumps(value) == data
    return {"value": value}


def base64url(given: Given) -> Given:
    data = unb64(given["text"], size=given["size"])
    assert b64(data) == given["text"]
    return {"hex": data.hex()}


def header(given: Given) -> Given:
    parsed = parse_header(unb64(given["header"]))
    return {"env": b64(parsed.env)}


def plaintext(given: Given) -> Given:
    salt, inner = body.unpack(unb64(given["plain"]))
    return {"salt": b64(salt), "content": b64(inner)}


def contents(given: Given) -> Given:
    meta, payload = content.unpack_content(unb64(given["content"]))
    assert content.pack_content(meta, payload) == unb64(given["content"])
    output = {"meta": json.loads(meta.to_bytes()), "payload": b64(payload)}
    if meta.type in content.CONTROL_TYPES:
        control = content.parse_control(meta.type, payload)
        assert control.to_payload() == payload
        output["control"] = json.loads(control.to_payload())
    return output


def blobs(given: Given) -> Given:
    opener = BlobOpener(unb64(given["key"]), directory().net, given["size"], unb64(given["digest"]))
    plain = opener.update(unb64(given["blob"]))
    return {"plain": b64(plain + opener.finish())}


def mailbox_items(given: Given) -> Given:
    found = list(items(unb64(given["page"])))
    assert b"".join(item.to_bytes() for item in found) == unb64(given["page"])
    return {"items": [[item.type, item.cursor, b64(item.payload)] for item in found]}


def frames(given: Given) -> Given:
    found = unframed(unb64(given["data"]), most_items=given["most_items"], most_bytes=given["most_bytes"])
    return {"frames": [b64(frame) for frame in found]}


def placement(given: Given) -> Given:
    def stored(row: Given) -> link.StoredLink:
        return link.StoredLink(unb64(row["chain"]), row["seq"], unb64(row["env"]), unb64(row["prev"]))

    view, new = given["view"], given["link"]
    verdict = link.place(
        link.LaneView(
            head=stored(view["head"]) if view["head"] else None,
            near=[stored(row) for row in view["near"]],
            gaps=[link.Gap(gap["first"], gap["last"], unb64(gap["chain"])) for gap in view["gaps"]],
            chain_known=view["chain_known"],
        ),
        link.Link(unb64(new["chain"]), new["seq"], unb64(new["prev"])),
        unb64(given["env"]),
    )
    opened = verdict.opened
    return {
        "mark": verdict.mark,
        "becomes_head": verdict.becomes_head,
        "opened": opened and {"first": opened.first, "last": opened.last, "chain": b64(opened.chain)},
        "filled": verdict.filled,
        "fork_with": verdict.fork_with and b64(verdict.fork_with),
    }


# -- tokens and invitations -----------------------------------------------------------------------------------------


def tokens(given: Given) -> Given:
    verified = token.check_token(
        given["token"],
        net=directory().net,
        origins=[network()["origin"]],
        method=given["method"],
        target=given["target"],
        now=given["now"],
        keys_of=directory().identity,
    )
    verified.check_body(sha256(bytes.fromhex(given["body"])))
    return {"issuer": verified.issuer, "h": b64(verified.body_hash)}


def invitations(given: Given) -> Given:
    invitation = Invitation.from_line(given["line"])
    invitation.check_time(given["now"])
    line = invitation.to_line()
    assert line == given["line"].strip()
    return json.loads(unb64(line.partition(".")[2]))


# -- receipts -------------------------------------------------------------------------------------------------------


def receipt_key(signer: str, skid: bytes) -> PublicKey:
    if signer == receipt.HUB and directory().hub.keys.signing.skid(directory().net) == skid:
        return directory().hub.keys.signing
    try:
        return directory().signing_key(signer, skid)
    except Hold as fault:
        raise Rejected("receipt.unknown-signer") from fault


def receipt_uploads(given: Given) -> Given:
    verified = receipt.verify_upload(directory().net, given["upload"], receipt_key)
    assert verified.batch.upload() == given["upload"]
    return receipts(verified)


def receipt_proofs(given: Given) -> Given:
    return receipts(receipt.verify_proof(directory().net, given["proof"], receipt_key))


def receipts(verified: receipt.VerifiedBatch) -> Given:
    shown = [json.loads(leaf.to_bytes()) for leaf in verified.leaves]
    return {"signer": verified.signer, "batch": verified.number, "at": verified.at, "leaves": shown}


# -- envelopes ------------------------------------------------------------------------------------------------------


def deliveries(given: Given) -> Given:
    opened = envelope.open_(
        unb64(given["delivery"]),
        net=directory().net,
        me=given["me"],
        directory=Sized(given["directory_size"]),
        prekeys=prekeys().get,
        now=given["now"],
    )
    return {
        **place_of(opened.header, opened.link),
        "pc": b64(opened.header.pc),
        "salt": b64(opened.salt),
        "nonce": b64(opened.nonce),
        "content": b64(content.pack_content(opened.meta, opened.payload)),
        "marks": sorted(opened.marks),
    }


def expired(given: Given) -> Given:
    found = envelope.open_expired(
        unb64(given["delivery"]),
        net=directory().net,
        me=given["me"],
        directory=Sized(given["directory_size"]),
        prekeys=prekeys().get,
    )
    return place_of(found.header, found.link)


def place_of(header: envelope.Header, at: link.Link) -> Given:
    place = {"chain": b64(at.chain), "link_seq": at.seq, "link_prev": b64(at.prev)}
    return {"env": b64(header.env), **place}


def uploads(given: Given) -> Given:
    data = unb64(given["upload"])
    upload, header = envelope.read_upload(data + bytes(max(0, given.get("fill_to", 0) - len(data))))
    assert upload.to_bytes() == data
    if b64(header.env) != given["path"]:  # 1: the path is HTTP's, so the comparison is not in the core
        raise Rejected("envelope.wrong-id")
    more = [leaf.encode("ascii") for leaf in given.get("more", ())]
    known = Directory.replay([*log(), *more], now=None) if more else directory()
    policy.check_accept(header, issuer=given["issuer"], directory=known, now=given["now"])
    key = known.signing_key(header.sender, header.skid)
    envelope.check_upload(upload, header, key)
    return {"env": b64(header.env), "to": list(header.recipients)}


AREAS: dict[str, Callable[[Given], Given | None]] = {
    "base64": base64url,
    "blob": blobs,
    "body": plaintext,
    "checkpoint": checkpoints,
    "checkpoint_term": terms,
    "checkpoints": comparisons,
    "content": contents,
    "envelope_expired": expired,
    "envelope_hub": uploads,
    "envelope_open": deliveries,
    "frames": frames,
    "genesis": genesis,
    "header": header,
    "invitation": invitations,
    "items": mailbox_items,
    "json": signed_json,
    "leaf": leaves,
    "link": placement,
    "log": whole_log,
    "prekey_record": prekey_records,
    "snapshot": snapshots,
    "receipt_proof": receipt_proofs,
    "receipt_upload": receipt_uploads,
    "statement": statements,
    "submission": submissions,
    "token": tokens,
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_vector(path: Path) -> None:
    vector = json.loads(path.read_text(encoding="ascii"))
    reader = AREAS[path.parent.name]
    if vector["expect"] == "ok":
        output = reader(vector["input"])
        wanted = vector.get("output")
        # sealing makes more known than every reader shows
        assert output == (wanted if output is None or wanted is None else {k: wanted[k] for k in output})
        return
    with pytest.raises(ExchangeError) as caught:
        reader(vector["input"])
    assert caught.value.code == vector["expect"]
    check_outcome(caught.value, vector)


def check_outcome(fault: ExchangeError, vector: Given) -> None:
    """Who must act (docs/protocol.md §4.5) is told by the error's class."""
    outcome = vector["outcome"]
    if outcome == "no-effect":
        assert isinstance(fault, NoEffect)
        assert fault.facts["alarm"] == vector["output"]["alarm"]
    elif outcome in OUTCOMES:
        assert isinstance(fault, OUTCOMES[outcome])
    else:
        assert not isinstance(fault, Damaged | Hold)
