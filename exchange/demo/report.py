"""The demo's JSON object, every value read from the side that received (docs/cli.md, demo).

Owns what is read where: a message from its recipients' homes, a receipt from its sender's. What was meant to be sent is
only compared with, never reported.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any, Final

from exchange.access import Scope
from exchange.demo.network import MEMBERS, DemoNetwork, DemoNode
from exchange.demo.story import Sending, Told
from exchange.errors import Refused, Rejected
from exchange.formats.stix.cover import read_message
from exchange.header import parse_header
from exchange.node.app import real_sources
from exchange.node.control import channel as control
from exchange.node.doors.doorkeeper import Grant, give
from exchange.node.store import links as store_links, taxii as store_taxii
from exchange.node.store.inbox import Received
from exchange.node.taxii.collections import DRAFTS, RECEIVED, id_of
from exchange.tls import CA_FILE
from exchange.wire import SLOT_BYTES

_RUNGS: Final = ("accepted", "stored", "rejected", "opened", "acknowledged", "working", "declined")


def report(network: DemoNetwork, told: Told) -> dict[str, Any]:
    """The object without `data`. `ok`: everything verified and receipted, and the hub saw nothing."""
    messages = [_message(network, sending) for sending in told.sendings]
    return {
        "ok": all(message["verified"] for message in messages) and not told.seen,
        "hub": {"home": str(network.hub_path), "origin": network.origin},
        "nodes": [
            {"member": member, "country": MEMBERS[member], "home": str(node.path), **_door(node)}
            for member, node in network.nodes.items()
        ],
        "messages": messages,
        "hub_saw_plaintext": bool(told.seen),
        "hub_searched_for": len(told.words),
        "hub_seen": [{"word": seen.word, "place": seen.place} for seen in told.seen],
    }


def _door(node: DemoNode) -> dict[str, Any]:
    """What a TAXII client needs: where the node's door is, a right of entry made for it, the collections' ids."""
    url = control.ask(node.path / "control.sock", "status")["http"]
    with node.opened() as home:
        cipher = home.store.cipher
        secret = home.store.db.read_sync(lambda c: store_taxii.secret(c, cipher))
        grant = Grant(name="demo", scopes=frozenset({Scope.TAXII_READ, Scope.TAXII_WRITE}))
        _, token = give(home.store, real_sources(), grant, who="demo")
    keys = store_taxii.Keys(secret or b"")
    return {
        "taxii": f"{url}taxii2/",
        "token": token,
        "ca": str(node.path / CA_FILE),
        "collections": {"readonly": id_of(keys, RECEIVED), "writable": id_of(keys, DRAFTS)},
    }


def _message(network: DemoNetwork, sending: Sending) -> dict[str, Any]:
    """What the recipients hold of one message; facts they don't hold are null, and then it isn't verified."""
    held = {member: _held(network, member, sending) for member in sending.to}
    code = next((code for _, code in held.values() if code), None)
    received = next((one for one, _ in held.values() if one is not None), None)
    facts = received.summary if received else {}
    came = {member: one for member, (one, _) in held.items() if one is not None}
    return {
        "id": sending.message.id,
        "from": received.sender if received else sending.sender,
        "to": list(sending.to),
        "kind": facts.get("kind", sending.message.kind),
        "tlp": facts.get("tlp", sending.message.tlp.label),
        "urgency": received.lane if received else sending.message.urgency.value,
        "case": facts.get("case"),
        "sealed_bytes": _sealed_bytes(network, came),
        "verified": code is None and len(came) == len(sending.to),
        "code": code,
        "down_at_send": list(sending.down),
        "latency_ms": {member: one.received_at - one.created for member, one in came.items()},
        "receipts": _receipts(network, sending),
    }


def _held(network: DemoNetwork, member: str, sending: Sending) -> tuple[Received | None, str]:
    """A recipient's row of the message, or the code of what it holds in its place."""
    with network.nodes[member].opened() as home:
        with suppress(Refused):
            newest = home.desk.find(sending.message.id)[-1]
            return newest, _fault(newest, sending)
        codes = [one.code for one in home.set_aside()]
    return None, codes[0] if codes else "cli.timeout"


def _fault(received: Received, sending: Sending) -> str:
    """What is wrong with a message that was stored; empty when it is whole, unmarked and the sender's."""
    try:
        read_message(received.payload)
    except Rejected as fault:
        return fault.code
    if received.conflict or received.payload != sending.message.bundle or received.sender != sending.sender:
        return "content.bad-payload"
    return ""


def _sealed_bytes(network: DemoNetwork, came: dict[str, Received]) -> int | None:
    """Length of the delivery as the first recipient keeps its evidence: header, signatures, slot, body."""
    for member, one in came.items():
        with network.nodes[member].opened() as home:
            found = home.store.db.read_sync(partial(store_links.header_of, env=one.env))
        if found is not None:
            header, signatures = found
            return len(header) + len(signatures) + SLOT_BYTES + parse_header(header).bl
    return None


def _receipts(network: DemoNetwork, sending: Sending) -> list[dict[str, Any]]:
    """Every verified receipt and status that the sender holds, in order of time."""
    with network.nodes[sending.sender].opened() as home:
        copies = home.desk.sent(sending.message.id).addressees
    rows = [
        {"member": copy.recipient, "status": rung, "at": at}
        for copy in copies
        for rung in _RUNGS
        if (at := getattr(copy, f"{rung}_at")) is not None
    ]
    return sorted(rows, key=lambda row: (row["at"], row["member"], _RUNGS.index(row["status"])))
