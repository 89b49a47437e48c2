"""What a node forgets, and when; what a hold stops; what is still known of what was erased."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchange.content import Missing, Restored, Status
from exchange.errors import Refused, Unavailable
from exchange.limits import DAY_MS, MINUTE_MS
from exchange.message import Urgency
from exchange.node.retention import Records, Retention
from exchange.node.store import access as store_access, links as store_links, retention as rows
from exchange.node.store.restore import erasures, replay_erasures
from exchange.node.store.store import sql
from exchange.retention import RetentionPolicy
from exchange.tlp import Tlp
from tests.simulator import Simulation, Site

WEEK = RetentionPolicy(amber=7, red=2, control=7, sent_at_least=3, quarantine=7, alarms=7)


async def forget(site: Site, policy: RetentionPolicy = WEEK) -> None:
    """A node with that policy does all that is due."""
    await Retention(site.up.store, policy, site.up.sources).erase_due()


def records(site: Site, policy: RetentionPolicy = WEEK) -> Records:
    return Records(site.up.store, policy, site.up.sources, who="ana")


def at_rest(site: Site, table: str, column: str, where: str = "1") -> list[bytes]:
    """The values of a column as they lie in the file."""
    found = site.up.store.db.read_sync(
        lambda c: sql(c, f"SELECT {column} AS value FROM {table} WHERE {where}").all()  # noqa: S608 - the test's own words
    )
    return [bytes(row.value) for row in found]


def sealed(site: Site, message_id: str) -> list[bytes]:
    """The envelopes that a message was sealed in."""
    statement = "SELECT env FROM sealings JOIN messages m ON m.n = message_n WHERE m.id = :id"
    return [
        bytes(row.env) for row in site.up.store.db.read_sync(lambda c: sql(c, statement, id=message_id).all())
    ]


async def test_both_ends_erase_in_time_and_keep_their_chain(sim: Simulation, pe: Site, co: Site) -> None:
    red, amber = pe.send("co-csirt", tlp=Tlp.RED), pe.send("co-csirt")
    await sim.rounds()
    secrets = [
        at_rest(co, "inbox", "payload")[0][-48:],
        at_rest(co, "links_in", "signatures", f"sender = 'pe-csirt' AND env = x'{co.inbox()[0].env.hex()}'")[
            0
        ][:48],
        at_rest(pe, "messages", "payload", f"id = '{red}'")[0][-48:],
        at_rest(pe, "sealings", "signatures", f"env = x'{(pe.copy(red, 'co-csirt').env or b'').hex()}'")[0][
            :48
        ],
    ]
    for site in (pe, co):
        await forget(site)
    assert co.received() == [red, amber]
    await sim.wait(2 * DAY_MS)
    for site in (pe, co):
        await forget(site)
    assert co.received() == [amber]
    assert [one.message.id for one in pe.desk.outbox()] == [amber, red]  # for a peer's restore, three days
    await sim.wait(DAY_MS)
    for site in (pe, co):
        await forget(site)
    assert [one.message.id for one in pe.desk.outbox()] == [amber]
    assert pe.state(red, "co-csirt") == "stored"
    for site, kept in ((co, secrets[:2]), (pe, secrets[2:])):
        files = b"".join(path.read_bytes() for path in site.home.glob("node.db*"))
        assert not [one for one in kept if one in files]
    after = pe.send("co-csirt")
    await sim.rounds()
    assert co.received() == [amber, after]
    assert await co.up.store.db.read(store_links.open_gaps) == []
    assert pe.alarm_codes() == co.alarm_codes() == []


async def test_erased_message_that_comes_again_is_not_new(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    assert await records(co).erase(sent) == 1
    question = Restored(())
    await co.up.store.db.write(
        lambda c: co.up.outbox.send(c, question.to_payload(), Restored.type, "routine", ["pe-csirt"])
    )
    await sim.rounds(4)  # sealed again, under the same id
    assert len(sealed(pe, sent)) == 2
    assert pe.state(sent, "co-csirt") == "stored"
    assert co.received() == []


async def test_other_content_under_an_erased_id_is_a_conflict(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    await records(co).erase(sent)
    await pe.up.store.db.write(lambda c: sql(c, "UPDATE messages SET id = 'gone' WHERE id = :id", id=sent))
    pe.send("co-csirt", message_id=sent, subject="Another")
    await sim.rounds()
    (received,) = co.inbox()
    assert received.conflict
    assert co.alarm_codes() == ["message.conflict"]


async def test_what_was_erased_while_another_sealing_of_it_waited_stands_in_no_way(
    sim: Simulation, pe: Site, co: Site
) -> None:
    sent = pe.send("co-csirt", life_ms=300 * DAY_MS)
    for site in (pe, co):
        await site.once()  # stored there; its receipt waits at the hub
    await sim.wait(25 * DAY_MS)
    await pe.up.replica.refresh(pe.hub)
    await pe.up.outbox.sweep()  # its time is over before the receipt has come: sealed again
    await co.once()
    await pe.up.replica.refresh(pe.hub)
    await pe.up.outbox.dispatch(pe.hub, ("routine",))

    def full(name: str, _value: Any) -> None:
        if name == "put_envelope":
            raise Unavailable("storage.full")

    pe.hub.wire.before = full
    with pytest.raises(Unavailable, match=r"storage\.full"):
        await pe.once()
    assert (pe.state(sent, "co-csirt"), len(sealed(pe, sent))) == ("stored", 2)
    assert await records(pe).erase(sent) == 1
    pe.hub.wire.before = lambda _name, _value: None
    after = pe.send("co-csirt")
    await sim.rounds()
    assert (pe.state(after, "co-csirt"), co.received()) == ("stored", [sent, after])
    sim.world.now += 6 * MINUTE_MS
    await sim.rounds(4)  # what became of the number between is asked for, and nothing was lost with it
    assert await co.up.store.db.read(store_links.open_gaps) == []
    assert pe.alarm_codes() == co.alarm_codes() == []


async def test_peer_that_asks_for_what_was_erased_is_told_so(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    assert await records(pe).erase(sent) == 1
    (link,) = at_rest(pe, "links_out", "chain", "recipient = 'co-csirt' AND lane = 3 AND seq = 1")
    asked = Missing("routine", ((link, 1, 1),))
    restored = Restored(())
    for note in (restored, asked):
        await co.up.store.db.write(
            lambda c, note=note: co.up.outbox.send(c, note.to_payload(), note.type, "routine", ["pe-csirt"])
        )
    await sim.rounds(4)
    voids = co.up.store.db.read_sync(lambda c: sql(c, "SELECT why FROM voids_in").all())
    assert [row.why for row in voids] == ["erased"]
    assert len(sealed(pe, sent)) == 1


async def test_hold_on_message_or_case_stops_erasure_until_released(
    sim: Simulation, pe: Site, co: Site
) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    await forget(co)
    assert records(co).hold("case", "case-1", "court order 17") == 1
    assert records(co).hold("case", "case-1", "again") is None
    assert records(pe).hold("message", sent, "court order 17") == 1
    with pytest.raises(Refused) as caught:
        await records(co).erase(sent)
    assert caught.value.code == "retention.held"
    await sim.wait(30 * DAY_MS)
    for site in (pe, co):
        await forget(site)
    assert co.received() == [sent]
    assert [one.message.id for one in pe.desk.outbox()] == [sent]
    records(co).release("case", "case-1")
    with pytest.raises(Refused) as caught:
        records(co).release("case", "case-1")
    assert caught.value.code == "retention.no-hold"
    await forget(co)
    assert co.received() == []
    (hold,) = records(co).holds()
    assert (hold.subject, hold.reason, hold.who, hold.released_by) == (
        "case-1",
        "court order 17",
        "ana",
        "ana",
    )
    told = [(one.action, one.what) for one in reversed(co.desk.access_log())]
    assert told == [("hold", "hold 1"), ("release-hold", "hold 1")]
    assert not [path for path in co.home.glob("node.db*") if b"court order" in path.read_bytes()]


async def test_clock_that_is_years_ahead_erases_nothing(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    policy = RetentionPolicy(amber=31)
    await sim.wait(10 * 365 * DAY_MS)  # for this node, which hears nothing of the kind from the hub
    await forget(co, policy)
    assert co.received() == [sent]
    await sim.rounds()
    await forget(co, policy)
    assert co.received() == []


async def test_clock_that_stood_ahead_keeps_nothing_longer(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    ahead = sim.world.now + 365 * DAY_MS
    forgetting = Retention(co.up.store, WEEK, co.up.sources)
    for statement in ("UPDATE inbox SET received_at = :at", "UPDATE links_in SET at = :at WHERE seq = 1"):
        await co.up.store.db.write(lambda c, statement=statement: sql(c, statement, at=ahead))
    co.offset = 365 * DAY_MS
    await forgetting.run()
    co.offset = 0
    other = replace(WEEK, red=3)  # another policy: all is judged anew
    await forget(co, other)
    assert co.received() == [sent]
    await sim.wait(8 * DAY_MS)
    await forget(co, other)
    assert co.received() == []
    again = pe.send("co-csirt")
    await sim.rounds()
    assert co.received() == [again]
    await sim.wait(8 * DAY_MS)
    await forgetting.run()
    assert co.received() == []
    assert at_rest(co, "links_in", "signatures", "at > 0 AND signatures <> x''") == []


async def test_hold_elsewhere_leaves_an_unacknowledged_flash_the_days_it_was_promised(
    sim: Simulation, pe: Site, co: Site
) -> None:
    unread = pe.send("co-csirt", urgency=Urgency.FLASH)
    await sim.rounds()
    await sim.wait(7 * DAY_MS)
    await forget(co)
    assert co.alarm_codes() == ["retention.unacknowledged"]
    await sim.wait(DAY_MS)
    records(co).hold("case", "another", "letter 17")  # everything is judged anew
    await forget(co)
    await forget(co, replace(WEEK, amber=6))
    assert co.received() == [unread]
    await sim.wait(29 * DAY_MS)
    await sim.rounds()
    await forget(co)
    assert co.received() == []


async def test_hold_on_a_case_knows_what_was_sent_a_moment_ago(sim: Simulation, pe: Site, co: Site) -> None:
    await forget(pe)
    records(pe).hold("case", "case-1", "court order 17")
    sent = pe.send("co-csirt")
    await sim.rounds()
    with pytest.raises(Refused) as caught:
        await records(pe).erase(sent)
    assert caught.value.code == "retention.held"


async def test_what_is_under_way_stays(sim: Simulation, pe: Site, co: Site) -> None:
    await co.stop()
    sent = pe.send("co-csirt")
    await sim.rounds()
    await sim.wait(8 * DAY_MS)
    await forget(pe)
    assert pe.state(sent, "co-csirt") == "accepted"
    with pytest.raises(Refused) as caught:
        await records(pe).erase(sent)
    assert caught.value.code == "retention.under-way"
    await co.start()
    await sim.rounds()
    assert co.received() == [sent]


async def test_new_policy_counts_for_what_is_there_before_anything_goes(
    sim: Simulation, pe: Site, co: Site
) -> None:
    sent = [pe.send("co-csirt") for _ in range(3)]
    await sim.rounds()
    await forget(co)
    await sim.wait(8 * DAY_MS)
    await forget(co, RetentionPolicy(amber=9))
    assert co.received() == sent
    (rule,) = {one.rule for one in await records(co, RetentionPolicy(amber=9)).due(days=2, limit=10)}
    assert rule == "amber"
    await forget(co, RetentionPolicy(kinds={"alert": 8}))
    assert co.received() == []


async def test_evidence_alarms_and_old_rows_of_the_access_log_go_too(
    sim: Simulation, pe: Site, co: Site
) -> None:
    status = Status("00000000-0000-0000-0000-000000000000", "opened", "", "", "", 0)
    await pe.up.store.db.write(
        lambda c: pe.up.outbox.send(c, status.to_payload(), Status.type, "routine", ["co-csirt"])
    )
    co.desk.note_access("look", ["one", "two"])
    await sim.rounds()
    whole = len(at_rest(co, "links_in", "signatures", "signatures <> x''"))
    assert whole > 0
    await sim.wait(8 * DAY_MS)
    co.desk.note_access("look", ["three"])
    await forget(co, replace(WEEK, access_log=7))
    assert (
        at_rest(co, "links_in", "signatures", f"signatures <> x'' AND at < {sim.world.now - 7 * DAY_MS}")
        == []
    )
    assert [one.what for one in co.desk.access_log()] == ["three"]
    assert co.desk.verify_access_log() == 1
    co.desk.note_access("look", ["four"])
    assert co.desk.verify_access_log() == 2
    last = await co.up.store.db.write(lambda c: store_access.drop_old(c, before=sim.world.now, limit=10))
    assert (last, co.desk.verify_access_log()) == (2, 0)


async def test_restored_copy_forgets_again_what_people_had_erased(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    kept, gone = pe.send("co-csirt"), pe.send("co-csirt")
    await sim.rounds()
    await co.copy_home(tmp_path / "copy")
    await records(co).erase(gone)
    newer = await co.up.store.db.read(lambda c: erasures(c, co.up.store.cipher))
    await co.restore(tmp_path / "copy")
    assert co.received() == [kept, gone]
    again = await co.up.store.db.write(
        lambda c: replay_erasures(c, co.up.store.cipher, newer, now=sim.world.now)
    )
    assert (again, co.received()) == (1, [kept])


async def test_restored_copy_keeps_what_another_sent_under_the_id_of_what_was_erased(
    sim: Simulation, pe: Site, co: Site, bb: Site, tmp_path: Path
) -> None:
    theirs = pe.send("co-csirt")
    bb.send(
        "co-csirt", message_id=theirs, tlp=Tlp.RED
    )  # in time to have it erased, by a rule, wherever it comes
    await sim.rounds()
    await co.copy_home(tmp_path / "copy")
    await sim.wait(2 * DAY_MS)
    await forget(co)
    assert [one.sender for one in co.inbox()] == ["pe-csirt"]
    newer = await co.up.store.db.read(lambda c: erasures(c, co.up.store.cipher))
    await co.restore(tmp_path / "copy")
    again = await co.up.store.db.write(
        lambda c: replay_erasures(c, co.up.store.cipher, newer, now=sim.world.now)
    )
    assert (again, [one.sender for one in co.inbox()]) == (1, ["pe-csirt"])


async def test_loop_forgets_by_itself_and_counts(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt", tlp=Tlp.RED)
    await sim.rounds()
    await sim.wait(DAY_MS)
    await sim.rounds()
    now = sim.world.now
    figures = await co.up.store.db.read(lambda c: rows.counts(c, until=now + 90 * DAY_MS))
    assert (figures.due, figures.erased, figures.holds, figures.unjudged) == (1, 0, 0, 0)
    await sim.wait(90 * DAY_MS)
    await sim.rounds()
    assert not await co.up.retention.run()
    assert sent not in co.received()
    figures = await co.up.store.db.read(lambda c: rows.counts(c, until=sim.world.now))
    assert (figures.due, figures.erased) == (0, 1)
