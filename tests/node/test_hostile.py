"""A member that signs validly and sends nonsense: rejected, told so, quarantined; never a fault in the loop."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from exchange import envelope
from exchange.canonical import b64, dumps
from exchange.content import CheckpointNote, Meta, pack_content
from exchange.directory.checkpoint import Checkpoint, SignedCheckpoint
from exchange.envelope import Recipient, Sealed
from exchange.errors import Refused
from exchange.limits import DAY_MS
from exchange.link import Link
from exchange.message import Message, Urgency
from exchange.node.doors.doors import own_reader
from exchange.node.mail import opening
from exchange.node.store.inbox import held
from exchange.node.store.outbox import Outgoing
from exchange.protocol import ITEM_CHECKPOINT, ITEM_RECEIPTS, Item
from exchange.release import Door
from exchange.tlp import Tlp
from tests.simulator import Simulation, Site, uuid_of
from tests.worlds import keys


async def forge(
    pe: Site, content: bytes, *, lane: str = "routine", seq: int = 1, life: int = DAY_MS
) -> Sealed:
    """An envelope from pe to co with any content, signed by pe's own keys, with any link."""
    node, world = pe.up, pe.simulation.world
    ready, _ = await node.outbox.peers.ready(pe.hub, ["co-csirt"])
    one = ready["co-csirt"]
    sealed = envelope.seal(
        net=world.net,
        sender="pe-csirt",
        keys=keys("pe-csirt"),
        content=content,
        lane=lane,
        compress=False,
        recipients=[Recipient("co-csirt", one.kid, one.prekey, Link(bytes(16), seq, bytes(32)))],
        dir_ref=node.replica.dir_ref(),
        iat=world.now,
        exp=world.now + life,
        random=node.sources.random,
    )
    posted = await pe.hub.put_envelope(sealed.env, sealed.upload.to_bytes())
    assert [result.code for result in posted.results] == [""]
    return sealed


def content(type_: str, payload: bytes, *, message_id: str | None = None, lane: str = "routine") -> bytes:
    meta = Meta(type_, message_id or uuid_of(bytes(16)), lane, 1, 2)
    return pack_content(meta, payload)


NONSENSE: dict[str, tuple[bytes, str]] = {
    "no frame": (b"", "content.bad-frame"),
    "a frame longer than the content": (struct.pack(">I", 2**32 - 1) + b"{}", "content.bad-frame"),
    "meta that isn't JSON": (struct.pack(">I", 2) + b"\xff\xff", "json.not-canonical"),
    "meta without members": (struct.pack(">I", 2) + b"{}", "json.bad-schema"),
    "another lane": (content("stix", b"{}", lane="flash"), "content.lane-mismatch"),
    "stix that isn't JSON": (content("stix", b"\xff\x00"), "message.bad-bundle"),
    "stix that is nothing": (content("stix", b""), "message.bad-bundle"),
    "stix without a cover": (
        content(
            "stix", b'{"type":"bundle","id":"bundle--' + uuid_of(bytes(16)).encode() + b'","objects":[]}'
        ),
        "message.",
    ),
    "stix nested too deeply": (content("stix", b"[" * 100_000), "message.bad-bundle"),
    "a status of nothing": (content("status", b"{}"), "content.bad-payload"),
    "a status with a level nobody knows": (
        content(
            "status",
            dumps(
                {
                    "at": 1,
                    "code": "",
                    "level": "eaten",
                    "note": "",
                    "of": uuid_of(bytes(16)),
                    "person": "",
                    "v": 1,
                }
            ),
        ),
        "content.bad-payload",
    ),
    "missing without gaps": (
        content("missing", dumps({"gaps": [], "lane": "flash", "v": 1})),
        "content.bad-payload",
    ),
    "missing with 2^53": (
        content("missing", b'{"gaps":[["AAAAAAAAAAAAAAAAAAAAAA",1,9007199254740992]],"lane":"flash","v":1}'),
        "content.bad-payload",
    ),
    "a void that isn't": (content("void", b"[]"), "content.bad-payload"),
    "restored to lanes that aren't": (
        content("restored", dumps({"positions": [["slow", b64(bytes(16)), 1, b64(bytes(32))]], "v": 1})),
        "content.bad-payload",
    ),
    "a checkpoint that isn't": (content("checkpoint", b'"x"'), "content.bad-payload"),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_nonsense_is_rejected_and_told(sim: Simulation, pe: Site, co: Site, name: str) -> None:
    data, code = NONSENSE[name]
    sealed = await forge(pe, data)
    await sim.rounds()
    (bad,) = co.desk.quarantined()
    assert bad.env == sealed.env
    assert bad.code.startswith(code)
    assert co.received() == []
    good = pe.send("co-csirt")
    await sim.rounds()
    assert co.received() == [good]
    waiting = await sim.running_hub.mailboxes.page("co-csirt", "", wait_seconds=0, most=1_000_000)
    assert [item for item in waiting.items if item.type == 1] == []  # receipted, gone from the hub


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    payload=st.binary(max_size=300), type_=st.sampled_from(["stix", "status", "missing", "void", "restored"])
)
async def test_no_payload_stops_the_loop(
    sim: Simulation, pe: Site, co: Site, payload: bytes, type_: str
) -> None:
    before = len(co.desk.quarantined())
    await forge(pe, content(type_, payload))
    await co.once()
    assert len(co.desk.quarantined()) == before + 1


async def test_unknown_type_is_kept_and_shown_as_newer(sim: Simulation, pe: Site, co: Site) -> None:
    await forge(pe, content("poll", b"whatever a later version means"))
    await sim.rounds()
    (got,) = co.inbox()
    assert (got.type, got.marks, got.payload) == (
        "poll",
        frozenset({"newer"}),
        b"whatever a later version means",
    )
    co.desk.open(got.message_id)
    await sim.rounds()
    assert pe.alarm_codes() == co.alarm_codes() == []


async def test_second_content_under_one_id_is_a_conflict(sim: Simulation, pe: Site, co: Site) -> None:
    await forge(pe, content("poll", b"one"))
    await forge(pe, content("poll", b"two"), seq=2)
    await forge(pe, content("poll", b"one"), seq=3)
    await sim.rounds()
    assert [(one.payload, one.conflict) for one in co.inbox()] == [(b"one", False), (b"two", True)]
    assert "message.conflict" in co.alarm_codes()


async def test_contradicting_chain_is_a_fork_with_evidence(sim: Simulation, pe: Site, co: Site) -> None:
    await forge(pe, content("poll", b"one"))
    await forge(pe, content("poll", b"two", message_id=uuid_of(b"2" * 16)))
    await sim.rounds()
    assert [sorted(one.marks) for one in co.inbox()] == [["newer"], ["fork", "newer"]]
    (alarm,) = [one for one in co.desk.alarms() if one.code == "chain.fork"]
    assert alarm.evidence.count(b'"suite":"EX1"') == 2


async def test_rejection_reaches_the_sender_with_its_fine_code(sim: Simulation, pe: Site, co: Site) -> None:
    """pe's own outbox sends a message of the right form with content co can't accept."""
    message_id = pe.up.sources.new_id()
    bundle = b'{"type":"bundle","id":"bundle--' + uuid_of(bytes(16)).encode() + b'","objects":[]}'
    message = Outgoing(message_id, "stix", "priority", 1, sim.world.now + DAY_MS, bundle)
    pe.desk.submit(message, ["co-csirt"])
    await sim.rounds(4)
    copy = pe.copy(message_id, "co-csirt")
    assert (copy.state, copy.code) == ("rejected", co.desk.quarantined()[0].code)


async def test_message_in_anothers_name_is_rejected(sim: Simulation, pe: Site, co: Site, bb: Site) -> None:
    stolen = bb.send("pe-csirt")
    await sim.rounds()
    bundle = pe.inbox()[0].payload
    message = Outgoing(stolen, "stix", "routine", 1, sim.world.now + DAY_MS, bundle)
    pe.desk.submit(message, ["co-csirt"])
    await sim.rounds()
    assert [one.code for one in co.desk.quarantined()] == ["message.author-mismatch"]
    assert co.received() == []


async def test_urgency_other_than_the_lane_is_rejected(sim: Simulation, pe: Site, co: Site, bb: Site) -> None:
    first = pe.send("bb-csirt", urgency=Urgency.ROUTINE)
    payload = pe.desk.sent(first).message.payload
    other = Outgoing(pe.up.sources.new_id(), "stix", "flash", 1, sim.world.now + DAY_MS, payload)
    pe.desk.submit(other, ["co-csirt"])
    await sim.rounds()
    assert [one.code for one in co.desk.quarantined()] == ["message.urgency-mismatch"]
    assert bb.received() == [first]


async def test_two_nodes_do_not_reject_each_others_rejections_for_ever(
    sim: Simulation, pe: Site, co: Site
) -> None:
    for seq in range(20):
        await forge(pe, content("status", b"nonsense", message_id=uuid_of(bytes([seq]) * 16)), seq=seq + 1)
    await sim.rounds()
    assert len(co.desk.quarantined()) == 20
    told = await co.up.store.db.read(
        lambda c: c.exec_driver_sql("SELECT count(*) FROM messages WHERE type = 'status'").scalar_one()
    )
    assert told == 0  # a status earns no status


BAD_ITEMS: dict[str, Item] = {
    "receipts that aren't JSON": Item(ITEM_RECEIPTS, "", b"\xff"),
    "receipts of nothing": Item(ITEM_RECEIPTS, "", b"{}"),
    "receipts nested deeply": Item(ITEM_RECEIPTS, "", b"[" * 5_000),
    "a checkpoint that is noise": Item(ITEM_CHECKPOINT, "", b"\x00"),
    "an item of a later version": Item(77, "", b"news"),
    "a delivery of nothing": Item(1, "", b""),
    "an expired delivery of noise": Item(4, "", b"EXX1" + bytes(100)),
}


@pytest.mark.parametrize("name", BAD_ITEMS)
async def test_lying_hub_stops_nothing(sim: Simulation, pe: Site, co: Site, name: str) -> None:
    await co.up.inbox.take([BAD_ITEMS[name]], cursor=None)
    sent = pe.send("co-csirt")
    await sim.rounds()
    assert co.received() == [sent]


async def test_forged_receipt_moves_nothing(sim: Simulation, pe: Site, co: Site) -> None:
    """bb signs `stored` for co's copy; and a true receipt with one byte changed."""
    await co.stop()
    sent = pe.send("co-csirt")
    await sim.rounds()
    env = pe.copy(sent, "co-csirt").env or b""
    proof: Any = {"body": b64(b"{}"), "signatures": b64(bytes(3373)), "leaves": [[0, b64(env), []]]}
    await pe.up.inbox.take([Item(ITEM_RECEIPTS, "", dumps(proof))], cursor=None)
    assert pe.state(sent, "co-csirt") == "accepted"
    assert pe.alarm_codes() == ["json.bad-schema"]


async def test_split_view_alarms_with_both_checkpoints(sim: Simulation, pe: Site, co: Site) -> None:
    """A peer shows another root of the same size under the hub's own signature."""
    directory = co.up.replica.directory
    other = Checkpoint(sim.world.net, 0, directory.size, bytes(32), sim.world.now)
    signed = SignedCheckpoint.sign(other, sim.world.hub_keys)
    note = CheckpointNote(signed.body, signed.signature)
    await pe.up.store.db.write(
        lambda c: pe.up.outbox.send(c, note.to_payload(), note.type, "priority", ["co-csirt"])
    )
    await sim.rounds()
    (alarm,) = co.desk.alarms()
    assert (alarm.code, alarm.subject) == ("directory.split", "pe-csirt")
    assert b64(signed.body).encode() in alarm.evidence


async def test_checkpoint_the_hub_never_signed_proves_nothing(sim: Simulation, pe: Site, co: Site) -> None:
    size = co.up.replica.directory.size
    signed = SignedCheckpoint.sign(
        Checkpoint(sim.world.net, 0, size, bytes(32), sim.world.now), keys("pe-csirt")
    )
    note = CheckpointNote(signed.body, signed.signature)
    await pe.up.store.db.write(
        lambda c: pe.up.outbox.send(c, note.to_payload(), note.type, "priority", ["co-csirt"])
    )
    await sim.rounds()
    assert co.alarm_codes() == []


@pytest.mark.parametrize("lane", ["flash", "routine"])
async def test_fine_code_reaches_the_sender_before_or_after_the_receipt(
    sim: Simulation, pe: Site, co: Site, lane: str
) -> None:
    """In the flash lane the sealed word overtakes the receipt; it counts all the same."""
    message_id = pe.up.sources.new_id()
    message = Outgoing(message_id, "stix", lane, 1, sim.world.now + DAY_MS, b"[]")
    pe.desk.submit(message, ["co-csirt"])
    await sim.rounds(4)
    copy = pe.copy(message_id, "co-csirt")
    assert (copy.state, copy.coarse, copy.code) == (
        "rejected",
        "invalid",
        co.desk.quarantined()[0].code,
    )


async def test_rejected_envelope_is_named_where_no_id_could_be_read(
    sim: Simulation, pe: Site, co: Site
) -> None:
    co.up.prekeys._keystore.update({}, remove=co.up.prekeys._keystore.names())
    await co.up.prekeys.load()
    co.up.sync._services.prekeys._is_due = lambda: False  # type: ignore[method-assign]  # it has no others to publish
    sent = pe.send("co-csirt")
    await sim.rounds(4)
    copy = pe.copy(sent, "co-csirt")
    assert (copy.state, copy.coarse, copy.code) == ("rejected", "unreadable", "envelope.unknown-prekey")


async def test_red_sealed_to_a_node_is_read_there_and_leaves_in_no_copy(
    sim: Simulation, pe: Site, co: Site
) -> None:
    """Only a peer of another make sends RED to nodes: our own policy refuses it, so this goes past the policy."""
    message_id = pe.send("co-csirt", tlp=Tlp.RED)
    await sim.rounds()
    (got,) = co.desk.open(message_id)
    assert got.summary["tlp"] == Tlp.RED.label
    with pytest.raises(Refused, match=r"tlp\.red-needs-persons"):
        co.up.doors("analyst").let_out(
            Door.EXPORT, message_id, [own_reader("co-csirt")], lambda passed: passed
        )
    assert [row.action for row in co.desk.access_log()] == ["export refused", "open"]
    assert co.desk.unopened() == 0


async def test_content_that_our_program_fails_on_waits_and_holds_up_no_other(
    sim: Simulation, pe: Site, co: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What read_message does wrong costs that message time, until a version that does it right; and is no refusal."""
    odd = pe.send("co-csirt", text="odd")
    await pe.once()
    real = opening.read_message

    def fail(payload: bytes) -> Message:
        if b"odd" in payload:
            raise KeyError("a fault of ours")
        return real(payload)

    with monkeypatch.context() as patch:
        patch.setattr(opening, "read_message", fail)
        after = pe.send("co-csirt", text="plain")
        await sim.rounds(2)
        assert (co.received(), pe.state(odd, "co-csirt")) == ([after], "accepted")
        assert [one.code for one in await co.up.store.db.read(lambda c: held(c, after=0, limit=9))] == [
            "internal.error"
        ]
    await co.restart()
    await sim.rounds(2)
    assert (sorted(co.received()), pe.state(odd, "co-csirt")) == (sorted([odd, after]), "stored")
    assert co.alarm_codes() == []
