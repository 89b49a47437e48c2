"""Who opened, exported or handed on a message: asked by its sender, answered by each recipient's node itself."""

from __future__ import annotations

from exchange.canonical import loads
from exchange.disclosure import DisclosureInquiry, DisclosureRecord
from exchange.limits import DAY_MS
from exchange.node.doors.disclosures import RECORDS_A_DAY, Inquirer
from exchange.node.doors.doors import own_reader
from exchange.node.retention import Records, Retention
from exchange.node.store import outbox as store_outbox, sent as store_sent
from exchange.node.store.outbox import Outgoing
from exchange.node.store.store import Transaction, sql
from exchange.release import Door
from exchange.retention import DEFAULTS, RetentionPolicy
from tests.simulator import Simulation, Site


def inquirer(site: Site) -> Inquirer:
    return Inquirer(site.up.store, site.up.sources, address=site.member, who="analyst")


def done(site: Site, message_id: str) -> list[list[str]]:
    """What the answers say, in the order of the questions."""
    return [
        [f"{row.who} {row.action}" for row in one.inquiry.record.rows] if one.inquiry.record else []
        for one in inquirer(site).answers(message_id)
    ]


async def test_each_recipient_answers_with_what_its_people_did(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    sent, other = pe.send("co-csirt", "bb-csirt"), pe.send("co-csirt")
    await sim.rounds()
    co.desk.open(other)
    co.desk.open(sent)
    co.up.doors("luz").let_out(Door.EXPORT, sent, [own_reader("co-csirt")], lambda passed: passed)
    assert inquirer(pe).ask(sent) == ["bb-csirt", "co-csirt"]
    assert done(pe, sent) == [[], []]
    await sim.rounds()
    answers = inquirer(pe).answers(sent)
    assert [(one.inquiry.recipient, one.fault, one.gone) for one in answers] == [
        ("bb-csirt", "", 0),
        ("co-csirt", "", 0),
    ]
    assert done(pe, sent) == [[], ["analyst open", "luz export"]]
    assert [one.inquiry.record.state for one in answers if one.inquiry.record] == ["here", "here"]
    assert pe.alarm_codes() == co.alarm_codes() == []
    assert [row.action for row in pe.desk.access_log()] == ["disclosure-inquiry"] * 2


async def test_asked_once_unless_again(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt")
    assert inquirer(pe).ask(sent) == []  # nobody has it yet
    await sim.rounds()
    assert inquirer(pe).ask(sent) == ["co-csirt"]
    assert inquirer(pe).ask(sent, again=True) == []  # the question is on its way
    await sim.rounds()
    assert inquirer(pe).ask(sent) == []
    co.desk.open(sent)
    assert inquirer(pe).ask(sent, again=True) == ["co-csirt"]
    await sim.rounds()
    assert done(pe, sent) == [[], ["analyst open"]]
    assert [one.gone for one in inquirer(pe).answers(sent)] == [0, 0]


async def test_a_log_changed_since_the_last_answer_alarms(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    co.desk.open(sent)
    inquirer(pe).ask(sent)
    await sim.rounds()
    await co.up.store.db.write(lambda c: c.exec_driver_sql("DELETE FROM access_log"))
    co.desk.note_access("look", ["something else"])
    inquirer(pe).ask(sent, again=True)
    await sim.rounds()
    assert [one.gone for one in inquirer(pe).answers(sent)] == [0, 1]
    assert pe.alarm_codes() == ["disclosure.changed"]


async def test_a_row_that_says_something_else_than_its_hash_alarms(
    sim: Simulation, pe: Site, co: Site
) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    co.desk.open(sent)
    await co.up.store.db.write(lambda c: c.exec_driver_sql("UPDATE access_log SET who = 'nobody'"))
    inquirer(pe).ask(sent)
    await sim.rounds()
    (answer,) = inquirer(pe).answers(sent)
    assert "hash" in answer.fault
    assert pe.alarm_codes() == ["disclosure.broken"]


async def test_nobody_learns_of_others_messages(sim: Simulation, pe: Site, co: Site, bb: Site) -> None:
    """bb asks about a message that pe sent: co's log has nothing of bb's under that id."""
    sent = pe.send("co-csirt")
    await sim.rounds()
    co.desk.open(sent)
    question, now = DisclosureInquiry(sent), sim.world.now
    inquiry = bb.up.sources.new_id()
    bb.desk.submit(
        Outgoing(inquiry, question.type, "routine", now, now + DAY_MS, question.to_payload()), ["co-csirt"]
    )
    await sim.rounds()
    payloads = await co.up.store.db.read(lambda c: record_sent(co, c))
    assert [(one.inquiry, one.state, one.total, one.rows) for one in payloads] == [
        (inquiry, "unknown", 0, ())
    ]
    # and what bb never asked for by its own commands isn't kept
    assert inquirer(bb).answers(sent) == []


def record_sent(site: Site, connection: Transaction) -> list[DisclosureRecord]:
    """The records that this node sent, newest first."""
    cipher = site.up.store.cipher
    found = store_sent.listed(connection, cipher, type_=DisclosureRecord.type, before=None, limit=100)
    sent = (store_outbox.get(connection, cipher, n) for n, _ in found)
    return [DisclosureRecord.read(loads(message.payload, most=262_144)) for message in sent]


async def test_a_peer_that_asks_without_end_is_answered_a_bounded_number_of_times(
    sim: Simulation, pe: Site, co: Site
) -> None:
    sent, now = pe.send("co-csirt"), sim.world.now
    await sim.rounds()
    payload = DisclosureInquiry(sent).to_payload()
    for _ in range(RECORDS_A_DAY + 3):
        question = Outgoing(
            pe.up.sources.new_id(), DisclosureInquiry.type, "routine", now, now + DAY_MS, payload
        )
        pe.desk.submit(question, ["co-csirt"])
    await sim.rounds(6)
    answered = await co.up.store.db.read(lambda c: record_sent(co, c))
    assert len(answered) == RECORDS_A_DAY


async def test_of_an_erased_message_the_record_stays(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    co.desk.open(sent)
    assert await Records(co.up.store, DEFAULTS, co.up.sources, who="ana").erase(sent) == 1
    inquirer(pe).ask(sent)
    await sim.rounds()
    assert done(pe, sent) == [["analyst open"]]
    (answer,) = inquirer(pe).answers(sent)
    assert answer.inquiry.record is not None
    assert answer.inquiry.record.state == "erased"


async def test_answers_and_their_evidence_go_when_the_access_logs_time_is_over(
    sim: Simulation, pe: Site, co: Site
) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    inquirer(pe).ask(sent)
    await sim.rounds()
    week = RetentionPolicy(control=3, access_log=7, sent_at_least=1)
    kept = []
    for days in (0, 4, 8):
        await sim.wait(days * DAY_MS)
        await Retention(pe.up.store, week, pe.up.sources).run()
        kept.append((len(inquirer(pe).answers(sent)), await pe.up.store.db.read(evidence)))
    assert kept == [(1, 1), (1, 1), (0, 0)]


def evidence(connection: Transaction) -> int:
    """How many records can still be proved."""
    rows = sql(
        connection,
        "SELECT count(*) AS n FROM links_in JOIN disclosures d USING (env) WHERE length(signatures) > 0",
    )
    return int(rows.one().n)
