"""Trust that is taken away: by the log, by a peer's notice, by a file; what then happens to mail in both directions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exchange.canonical import ZERO32, sha256
from exchange.content import Notice
from exchange.directory.bodies_members import OWN, build_revoke, build_status, build_suspend
from exchange.directory.members import Move
from exchange.directory.statements import Statement
from exchange.errors import Refused, Rejected
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.node.directory.exposure import report
from exchange.node.store import notices as store_notices
from exchange.node.store.figures import NOTICES_DROPPED
from exchange.node.store.store import number
from exchange.tlp import Tlp
from tests.simulator import Simulation, Site
from tests.worlds import OFFICERS, keys, seed, signed

OFFICER_NAMES = tuple(f"officer/{name}" for name in OFFICERS)


def a_revoke(sim: Simulation, handle: str, *, since: int) -> Statement:
    """The member revokes its current key."""
    world = sim.world
    member = world.directory.members[handle]
    body = build_revoke(
        net=world.net,
        address=handle,
        by=OWN,
        ground="stolen",
        skid=member.keys.signing.skid(world.net),
        since=since,
        not_after=world.now + DAY_MS,
    )
    return signed(body, handle)


def a_suspend(sim: Simulation, handle: str, *signers: str, days: int = 30) -> Statement:
    """The member is suspended, in an emergency where one officer signs."""
    body = build_suspend(
        net=sim.world.net,
        handle=handle,
        ground="compromised",
        document=sha256(b"report"),
        until=sim.world.now + days * DAY_MS,
        not_after=sim.world.now + DAY_MS,
    )
    return signed(body, *signers)


async def log(sim: Simulation, statement: Statement) -> None:
    """The hub logs it."""
    await sim.running_hub.registrar.submit(statement, ())


async def tell(by: Site, statement: Statement, to: str) -> None:
    """A peer hands the statement on, sealed."""
    note = Notice(statement.body, statement.signatures)
    outbox = by.up.outbox
    await by.up.store.db.write(lambda c: outbox.send(c, note.to_payload(), note.type, "flash", [to]))


def freeze(site: Site) -> None:
    """From now on the hub shows this node the log as it is now."""
    held = site.up.replica.newest.to_json()

    async def checkpoint() -> object:
        return held

    site.hub.checkpoint = checkpoint  # type: ignore[method-assign, assignment]  # one call of a lying hub


def marks(site: Site) -> list[frozenset[str]]:
    """Of what was received, oldest first."""
    return [one.marks for one in site.inbox()]


async def exposed(site: Site) -> list[list[str]]:
    """The ids of the messages that each revoked key exposed."""

    def read(connection: store_notices.Transaction) -> list[list[str]]:
        return [
            [row.id for row in store_notices.exposed(connection, one.skid, limit=100)]
            for one in store_notices.exposures(connection)
        ]

    return await site.up.store.db.read(read)


async def test_revocation_marks_what_came_lists_what_was_sent_and_stops_the_rest(
    sim: Simulation, pe: Site, co: Site
) -> None:
    early, received_early = pe.send("co-csirt"), co.send("pe-csirt")
    await sim.rounds()
    sim.world.now += HOUR_MS
    since = sim.world.now
    sim.world.now += MINUTE_MS
    late, received_late = pe.send("co-csirt", "bb-csirt"), co.send("pe-csirt")
    await sim.rounds()
    await pe.stop()
    under_way = co.send("pe-csirt")
    await co.once()
    await log(sim, a_revoke(sim, "co-csirt", since=since))
    await pe.start()
    stopped = pe.send("co-csirt")
    await pe.once()
    assert pe.received() == [received_early, received_late, under_way]
    assert marks(pe) == [frozenset(), frozenset({"unverified"}), frozenset({"unverified"})]
    (one,) = report(pe.up.store, limit=10)
    assert (one.address, one.since, one.messages) == ("co-csirt", since, 1)
    (shown,) = one.shown
    assert (shown.id, shown.subject, shown.tlp) == (late, "A subject", "TLP:AMBER")
    assert (shown.sealed_at > since, shown.recipients) == (True, ("bb-csirt", "co-csirt"))
    assert early != late
    assert (pe.state(stopped, "co-csirt"), pe.copy(stopped, "co-csirt").code) == (
        "queued",
        "directory.no-prekey",
    )
    assert pe.alarm_codes() == ["node.key-revoked"]
    await pe.restart()
    await pe.once()
    assert pe.alarm_codes() == ["node.key-revoked"]


async def test_backdated_mail_under_a_revoked_key_is_marked(sim: Simulation, pe: Site, co: Site) -> None:
    """Signed before the theft, so it says; whoever has the key can write any date."""
    await pe.stop()
    dated_before = co.send("pe-csirt")
    await co.once()
    await sim.wait(2 * HOUR_MS)
    await log(sim, a_revoke(sim, "co-csirt", since=sim.world.now - HOUR_MS))
    await pe.start()
    await pe.once()
    assert (pe.received(), marks(pe)) == ([dated_before], [frozenset({"unverified"})])


async def test_notice_acts_while_the_hub_hides_the_log(sim: Simulation, pe: Site, co: Site, bb: Site) -> None:
    sent, received = pe.send("co-csirt"), co.send("pe-csirt")
    await sim.rounds()
    freeze(pe)
    revoke = a_revoke(sim, "co-csirt", since=sim.world.now - HOUR_MS)
    await tell(bb, revoke, "pe-csirt")
    await bb.once()
    queued = pe.send("co-csirt")
    under_way = co.send("pe-csirt")
    await co.once()
    await pe.once()
    assert set(pe.received()) == {received, under_way}
    assert marks(pe) == [frozenset({"unverified"})] * 2
    assert await exposed(pe) == [[sent]]
    assert pe.copy(queued, "co-csirt").code == "node.key-revoked"
    await pe.restart()  # what lies over the log is stored
    await pe.once()
    assert pe.copy(queued, "co-csirt").code == "node.key-revoked"
    assert sim.running_hub.registrar.directory.took_effect(
        revoke.hash(sim.world.net)
    )  # pe gave it to the hub
    del pe.hub.checkpoint
    await pe.once()
    assert await pe.up.store.db.read(store_notices.kept) == []
    assert pe.up.replica.overlay.lost == frozenset()
    assert pe.alarm_codes() == ["node.key-revoked"]


async def test_notice_that_does_not_verify_is_counted_and_does_nothing(
    sim: Simulation, pe: Site, bb: Site
) -> None:
    forged = a_revoke(sim, "co-csirt", since=sim.world.now)
    forged = Statement(forged.body).with_signature("co-csirt", sim.world.member_keys["bb-csirt"])
    await tell(bb, forged, "pe-csirt")
    await tell(bb, a_suspend(sim, "co-csirt", "bb-csirt"), "pe-csirt")
    await sim.rounds()
    assert await pe.up.store.db.read(lambda c: number(c, NOTICES_DROPPED)) == 2
    sent = pe.send("co-csirt")
    await sim.rounds()
    assert (pe.state(sent, "co-csirt"), pe.alarm_codes()) == ("stored", [])


async def test_suspended_member_is_sent_clear_and_the_rest_when_it_is_back(
    sim: Simulation, pe: Site, co: Site
) -> None:
    amber = pe.send("co-csirt", "bb-csirt")
    await pe.up.outbox.dispatch(pe.hub, ("routine",))  # sealed, and not yet at the hub
    suspend = a_suspend(sim, "co-csirt", *OFFICER_NAMES)
    await log(sim, suspend)
    clear = pe.send("co-csirt", tlp=Tlp.CLEAR)
    await sim.rounds()
    assert (pe.state(amber, "bb-csirt"), pe.state(amber, "co-csirt")) == ("stored", "queued")
    assert pe.copy(amber, "co-csirt").code == "policy.suspended-clear-only"
    assert co.received() == [clear]
    body = build_status(
        net=sim.world.net,
        handle="co-csirt",
        move=Move.REINSTATE,
        ground="cleared",
        document=ZERO32,
        names=suspend.hash(sim.world.net),
        after=suspend.hash(sim.world.net),
        not_after=sim.world.now + DAY_MS,
    )
    await log(sim, signed(body, *OFFICER_NAMES))
    await sim.rounds()
    assert co.received() == [clear, amber]
    assert pe.state(amber, "co-csirt") == "stored"


async def test_what_is_barred_until_its_end_is_reported_lost(sim: Simulation, pe: Site) -> None:
    await log(sim, a_suspend(sim, "co-csirt", *OFFICER_NAMES))
    sent = pe.send("co-csirt", life_ms=HOUR_MS)
    await sim.rounds()
    sim.world.now += 2 * HOUR_MS
    await sim.rounds()
    assert pe.state(sent, "co-csirt") == "lost"
    assert "outbox.lost" in pe.alarm_codes()


async def test_emergency_of_one_officer_by_a_notice_ends_by_itself(
    sim: Simulation, pe: Site, bb: Site
) -> None:
    freeze(pe)
    await tell(bb, a_suspend(sim, "co-csirt", "officer/alba"), "pe-csirt")
    await bb.once()
    sent = pe.send("co-csirt")
    await pe.once()
    assert pe.copy(sent, "co-csirt").code == "policy.suspended-clear-only"
    sim.world.now += DAY_MS + 1
    await pe.up.notices.load()
    assert not pe.up.replica.suspends("co-csirt")


async def test_one_officer_suspends_one_member_by_notices_that_come_together(
    sim: Simulation, pe: Site, bb: Site
) -> None:
    freeze(pe)
    for handle in ("co-csirt", "bb-csirt"):
        await tell(bb, a_suspend(sim, handle, "officer/alba"), "pe-csirt")
    await bb.once()
    await pe.once()
    suspended = [one for one in ("bb-csirt", "co-csirt") if pe.up.replica.suspends(one)]
    assert len(suspended) == 1
    await pe.restart()
    assert [one for one in ("bb-csirt", "co-csirt") if pe.up.replica.suspends(one)] == suspended
    assert await pe.up.store.db.read(lambda c: number(c, NOTICES_DROPPED)) == 1


async def test_receipt_under_a_key_that_a_notice_takes_away_is_not_believed(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    """The hub hides the log, and hands out the receipt of whoever has co's key together with bb's notice."""
    sent = pe.send("co-csirt")
    await pe.once()
    await co.once()
    assert co.received() == [sent]
    await tell(bb, a_revoke(sim, "co-csirt", since=sim.world.now), "pe-csirt")
    await bb.once()
    freeze(pe)
    await pe.once()
    assert pe.state(sent, "co-csirt") == "accepted"
    await pe.restart()
    await pe.once()
    assert pe.state(sent, "co-csirt") == "accepted"


async def test_word_under_a_key_that_a_notice_of_the_same_page_takes_away_changes_nothing(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    await pe.stop()
    co.desk.answer(sent, "acknowledged", person="a thief")
    await co.once()
    await tell(bb, a_revoke(sim, "co-csirt", since=sim.world.now), "pe-csirt")
    await bb.once()
    await pe.start()
    freeze(pe)
    await pe.once()
    assert pe.alarm_codes() == ["node.key-revoked"]
    assert (pe.copy(sent, "co-csirt").acknowledged_at, pe.copy(sent, "co-csirt").person) == (None, "")


async def test_mail_that_a_thief_has_receipted_is_sent_again_under_new_keys(
    sim: Simulation, pe: Site, co: Site, bb: Site, tmp_path: Path
) -> None:
    """Whoever has the keys reads the mailbox, and the hub forgets what it receipts: the owner never had it."""
    early = pe.send("co-csirt")
    await sim.rounds()
    await co.copy_home(tmp_path / "owner")
    sim.world.now += HOUR_MS
    since = sim.world.now
    swallowed, elsewhere = pe.send("co-csirt", "bb-csirt"), pe.send("bb-csirt")
    await sim.rounds()  # co is the thief's by now
    assert pe.state(swallowed, "co-csirt") == "stored"
    await log(sim, a_revoke(sim, "co-csirt", since=since))
    await pe.once()
    assert [pe.state(one, "co-csirt") for one in (early, swallowed)] == ["stored", "queued"]
    assert [pe.state(one, "bb-csirt") for one in (swallowed, elsewhere)] == ["stored", "stored"]
    assert pe.copy(swallowed, "co-csirt").code == "directory.no-prekey"  # until it has new keys
    await pe.restart()
    await pe.once()
    assert pe.state(swallowed, "co-csirt") == "queued"
    await co.restore(tmp_path / "owner")
    assert co.received() == [early]
    co.hub.wire.before = as_the_token_says(sim, co)
    await co.up.own_keys.rotate(co.hub, seed("next/co-csirt"), keys("next/next/co-csirt").public)
    await sim.rounds(4)
    assert sorted(co.received()) == sorted([early, swallowed])
    assert pe.state(swallowed, "co-csirt") == "stored"
    sim.world.now += HOUR_MS
    await sim.rounds(2)
    assert len(co.received()) == 2


def as_the_token_says(sim: Simulation, site: Site) -> Callable[[str, object], None]:
    """What the hub does with the token of a key that doesn't count: the simulation has no tokens."""

    def check(name: str, _value: object) -> None:
        if name == "post_notice":
            return
        try:
            held = sim.running_hub.registrar.directory.identity(site.member)
        except Rejected as fault:
            raise Refused(fault.code) from None
        if held != site.up.identity.keys.public:
            raise Refused("auth.bad-signature")

    return check


async def test_status_under_a_revoked_key_is_not_believed(sim: Simulation, pe: Site, co: Site) -> None:
    """Whoever holds the key could say that a person has acknowledged."""
    sent = pe.send("co-csirt")
    await sim.rounds()
    sim.world.now += MINUTE_MS
    await pe.stop()
    co.desk.answer(sent, "acknowledged", person="a thief")
    await co.once()
    await log(sim, a_revoke(sim, "co-csirt", since=sim.world.now))
    await pe.start()
    await pe.once()
    copy = pe.copy(sent, "co-csirt")
    assert (copy.state, copy.acknowledged_at, copy.person) == ("stored", None, "")
