"""What the secretariat's node does by itself: reminders in people's languages, and introductions that keep a secret."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exchange.directory.bodies_network import build_policy
from exchange.directory.book import Book
from exchange.directory.contacts import Part
from exchange.errors import Refused
from exchange.formats.stix.cover import carried_objects, read_message
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.message import Kind, Message, Outcome, Urgency
from exchange.node.directory import contact_tests, counterparts
from exchange.node.directory.membership import CONFIRMED
from exchange.node.mail.writing import Writer
from exchange.node.store import parts as store_parts
from exchange.node.store.store import set_fact
from exchange.phrases.letters import Letter
from tests.contact_points import BOTH, NPC, TRACING, Country
from tests.simulator import Simulation, Site
from tests.worlds import MEMBERS, make_world

SECRETARIAT, REQUESTER = "co-csirt", "bb-csirt"
RECORD = (
    b'{"email_role":"armas@policia.example","languages":[{"lang":"es-PE"}],'
    b'"persons":[{"handle":"p-aaaaaaaaaa","name":"Ana Quispe"}]}'
)
PART = Part(TRACING, "members", bytes(16), RECORD)
PURPOSE = "Whose is the pistol of case BB-77"


def a_country() -> Country:
    """Peru, with a contact for firearms whose mail its node answers; Colombia's CSIRT is the secretariat."""
    country = Country(make_world())
    country.npc()
    parts = {"members": PART.hash(country.world.net)}
    country.log(country.contact_body(TRACING, parts=parts), NPC, "pe-csirt")
    policy = build_policy(
        net=country.world.net,
        officers=2,
        sponsors=2,
        secretariat=SECRETARIAT,
        agreement=b"",
        after=country.after("network", "policy"),
        not_after=country.world.now + DAY_MS,
    )
    country.log(policy, *BOTH, *MEMBERS)
    return country


@asynccontextmanager
async def running(country: Country, folder: Path) -> AsyncIterator[Simulation]:
    sim = Simulation(country.world, folder)
    await sim.start_hub()
    try:
        for member in MEMBERS:
            await sim.site(member).start()
        await sim.rounds(2)
        secretariat = sim.sites[SECRETARIAT].up
        await secretariat.store.db.write(
            lambda c: store_parts.add(
                c,
                secretariat.store.cipher,
                PART.hash(country.world.net),
                PART,
                own=False,
                now=country.world.now,
            )
        )
        await secretariat.store.db.write(lambda c: set_fact(c, CONFIRMED, country.world.now))
        yield sim
    finally:
        await sim.close()


def messages(site: Site, kind: Kind) -> list[Message]:
    """What came of that kind, oldest first."""
    return [read_message(one.payload) for one in site.inbox() if one.summary.get("kind") == kind]


# -- reminders ----------------------------------------------------------------------------------------------------


async def test_contact_is_reminded_in_its_language_until_it_confirms(tmp_path: Path) -> None:
    country = a_country()
    country.world.advance(304 * DAY_MS)
    async with running(country, tmp_path) as sim:
        pe = sim.sites["pe-csirt"]
        assert not messages(pe, Kind.CONTACT_VERIFICATION)
        country.world.advance(DAY_MS)
        await sim.rounds(3)
        (first,) = messages(pe, Kind.CONTACT_VERIFICATION)
        assert first.contacts == (NPC, TRACING)
        assert first.validate_by == country.contact().validate_by
        assert "¿No ha cambiado nada?" in first.text
        assert f"{TRACING}: contacto operativo de rastreo; confirmar antes del 2027-09-21" in first.text
        await sim.sites[SECRETARIAT].restart()
        country.world.advance(2 * DAY_MS)
        await sim.rounds(3)
        assert len(messages(pe, Kind.CONTACT_VERIFICATION)) == 1
        await pe.up.registration.confirm(pe.hub, TRACING)
        country.world.advance(53 * DAY_MS)
        await sim.rounds(5)
        assert len(messages(pe, Kind.CONTACT_VERIFICATION)) == 1
        assert queued(sim.sites[SECRETARIAT], Kind.CONTACT_VERIFICATION)[0].contacts == (NPC,)


async def test_only_the_secretariat_reminds(tmp_path: Path) -> None:
    country = a_country()
    country.world.advance(310 * DAY_MS)
    async with running(country, tmp_path) as sim:
        await sim.rounds(3)
        for member in MEMBERS:
            assert bool(queued(sim.sites[member], Kind.CONTACT_VERIFICATION)) == (member == SECRETARIAT)


# -- introductions --------------------------------------------------------------------------------------------------


def queued(site: Site, kind: Kind) -> list[Message]:
    """What it has queued of that kind."""
    found = [read_message(site.desk.sent(one.message.id).message.payload) for one in site.desk.outbox()]
    return [message for message in found if message.kind == kind]


def send(site: Site, to: str, kind: Kind, subject: str, **fields: object) -> str:
    """Write as a person there would; the message's id."""
    writer = Writer(site.up.replica.directory, site.up.identity, site.up.sources)
    message = writer.message(kind, Letter("en", subject, ""), urgency=Urgency.PRIORITY, **fields)
    site.desk.submit(message, [to])
    return message.id


def look_for(site: Site, *, reply_by: int) -> str:
    return send(
        site,
        SECRETARIAT,
        Kind.COUNTERPART_REQUEST,
        "A pistol",
        case="BB-2026-0077",
        country="PE",
        topic="firearms",
        question=PURPOSE,
        reply_by=reply_by,
    )


def standings(sim: Simulation) -> list[counterparts.Standing]:
    store = sim.sites[SECRETARIAT].up.store
    return store.db.read_sync(lambda c: counterparts.standings(c, store, now=sim.world.now))


async def ask(sim: Simulation, contact: str) -> str:
    """The secretariat asks `contact` about the one request; the question's id."""
    node = sim.sites[SECRETARIAT].up
    writer = Writer(node.replica.directory, node.identity, node.sources)
    parts = await node.store.db.read(lambda c: store_parts.all_parts(c, node.store.cipher))
    book = Book.build(node.replica.directory, parts, sim.world.now)
    made = counterparts.question(writer, book, standings(sim)[0].request, contact)
    await node.store.db.write(lambda c: counterparts.ask(c, node.store, [made]))
    await sim.rounds(2)
    return made[1].id


def answer(sim: Simulation, member: str, question: str, outcome: Outcome, reason: str = "") -> None:
    fields = {"in_reply_to": question, "outcome": outcome.value, "reason": reason}
    send(sim.sites[member], SECRETARIAT, Kind.RESPONSE, "An answer", **fields)


async def test_both_sides_get_the_others_card_and_only_after_the_third_accepts(tmp_path: Path) -> None:
    async with running(a_country(), tmp_path) as sim:
        pe, bb = sim.sites["pe-csirt"], sim.sites[REQUESTER]
        request_id = look_for(bb, reply_by=sim.world.now + DAY_MS)
        await sim.rounds(2)
        (standing,) = standings(sim)
        assert (standing.state, standing.overdue, standing.request.requester) == ("open", False, REQUESTER)
        asked = await ask(sim, TRACING)
        (question,) = messages(pe, Kind.COUNTERPART_REQUEST)
        assert (question.country, question.topic, question.reply_by) == (
            "PE",
            "firearms",
            standing.request.reply_by,
        )
        assert f"exchange directory accept {asked[:8]}" in question.question
        assert question.audience_function == "operational_tracing"
        for secret in (b"bb-csirt", b"BB-csirt", b"BB-2026-0077", b"BB-77", b"pistol", request_id.encode()):
            assert all(secret not in one.payload for one in pe.inbox())
        answer(sim, "pe-csirt", asked, Outcome.FULL)
        await sim.rounds(3)
        assert standings(sim)[0].state == "introduced"
        (to_requester,) = messages(bb, Kind.INTRODUCTION)
        (to_third,) = messages(pe, Kind.INTRODUCTION)
        assert to_requester.contacts == to_third.contacts == (REQUESTER, TRACING)
        assert (to_requester.in_reply_to, to_requester.case_id) == (request_id, "BB-2026-0077")
        assert to_third.case_id == question.case_id
        assert "e-mail: armas@policia.example" in to_requester.text
        assert "persons: Ana Quispe" in to_requester.text
        assert "miembro: bb-csirt" in to_third.text
        assert PURPOSE in to_third.text
        (card,) = carried_objects(to_requester)
        assert b'"name":"pe-csirt/tracing"' in card
        await sim.sites[SECRETARIAT].restart()
        await sim.rounds(3)
        assert len(messages(bb, Kind.INTRODUCTION)) == len(messages(pe, Kind.INTRODUCTION)) == 1


async def test_nobody_can_answer_for_the_third_side(tmp_path: Path) -> None:
    async with running(a_country(), tmp_path) as sim:
        look_for(sim.sites[REQUESTER], reply_by=sim.world.now + DAY_MS)
        await sim.rounds(2)
        asked = await ask(sim, TRACING)
        answer(sim, REQUESTER, asked, Outcome.FULL)
        await sim.rounds(3)
        assert standings(sim)[0].state == "asked"
        assert not messages(sim.sites[REQUESTER], Kind.INTRODUCTION)


async def test_a_refusal_names_its_reason_and_the_deadline_is_watched(tmp_path: Path) -> None:
    async with running(a_country(), tmp_path) as sim:
        look_for(sim.sites[REQUESTER], reply_by=sim.world.now + HOUR_MS)
        await sim.rounds(2)
        asked = await ask(sim, "pe-csirt")
        answer(sim, "pe-csirt", asked, Outcome.DECLINED, "a court must ask")
        await sim.rounds(3)
        (standing,) = standings(sim)
        assert (standing.state, standing.asks[0].reason) == ("declined", "a court must ask")
        answer(sim, "pe-csirt", asked, Outcome.FULL)  # the first answer counts
        sim.world.advance(2 * HOUR_MS)
        await sim.rounds(3)
        (standing,) = standings(sim)
        assert (standing.state, standing.overdue) == ("declined", True)
        assert not messages(sim.sites[REQUESTER], Kind.INTRODUCTION)
        with pytest.raises(Refused, match=r"counterpart\.overdue"):
            await ask(sim, TRACING)


@pytest.mark.parametrize(
    ("contact", "code"),
    [("pe-csirt/nobody", "contact.unknown"), (REQUESTER, "counterpart.same-side")],
)
async def test_only_another_side_that_exists_is_asked(tmp_path: Path, contact: str, code: str) -> None:
    async with running(a_country(), tmp_path) as sim:
        look_for(sim.sites[REQUESTER], reply_by=sim.world.now + HOUR_MS)
        await sim.rounds(2)
        with pytest.raises(Refused) as refused:
            await ask(sim, contact)
        assert refused.value.code == code


async def test_names_and_purposes_are_sealed_in_the_database(tmp_path: Path) -> None:
    async with running(a_country(), tmp_path) as sim:
        look_for(sim.sites[REQUESTER], reply_by=sim.world.now + HOUR_MS)
        await sim.rounds(2)
        await ask(sim, TRACING)
        home = sim.sites[SECRETARIAT].home
        assert standings(sim)[0].request.purpose == PURPOSE
        for file in home.glob("node.db*"):
            assert PURPOSE.encode() not in file.read_bytes()


# -- tests of contact points ----------------------------------------------------------------------------------------


async def ping(sim: Simulation) -> str:
    """The secretariat pings the tracing contact; the message's id."""
    node = sim.sites[SECRETARIAT].up
    writer = Writer(node.replica.directory, node.identity, node.sources)
    parts = await node.store.db.read(lambda c: store_parts.all_parts(c, node.store.cipher))
    book = Book.build(node.replica.directory, parts, sim.world.now)
    message, recipient = contact_tests.ping(writer, book, TRACING, Urgency.IMMEDIATE)
    assert recipient == "pe-csirt"
    sim.sites[SECRETARIAT].desk.submit(message, [recipient])
    await sim.rounds(2)
    return message.id


def measured(sim: Simulation) -> contact_tests.Measured:
    return contact_tests.measured(sim.sites[SECRETARIAT].desk, TRACING, sim.world.now)


async def log(sim: Simulation) -> None:
    node, found = sim.sites[SECRETARIAT].up, measured(sim)
    contact_tests.check_unlogged(node.replica, TRACING, found)
    await contact_tests.log_test(
        node.store,
        node.identity,
        node.replica,
        node.hub,
        contact=TRACING,
        kind="ping",
        minutes=found.minutes,
        result=found.result,
        now=sim.world.now,
    )
    await sim.rounds(2)


@pytest.mark.parametrize(
    ("after_ms", "minutes", "result"), [(6 * MINUTE_MS + 1, 7, "ok"), (2 * HOUR_MS, 120, "late")]
)
async def test_a_ping_measures_how_soon_a_person_acknowledged(
    tmp_path: Path, after_ms: int, minutes: int, result: str
) -> None:
    async with running(a_country(), tmp_path) as sim:
        pe = sim.sites["pe-csirt"]
        message_id = await ping(sim)
        (shown,) = messages(pe, Kind.CONTACT_VERIFICATION)
        assert shown.subject == f"PRUEBA del punto de contacto {TRACING}"
        with pytest.raises(Refused, match=r"secretariat\.ping-open"):
            measured(sim)
        sim.world.advance(after_ms)
        pe.desk.answer(message_id, "acknowledged", person="Ana")
        await sim.rounds(3)
        await log(sim)
        (logged,) = pe.up.replica.directory.contacts[TRACING].tests
        assert (logged.kind, logged.minutes, logged.result) == ("ping", minutes, result)
        with pytest.raises(Refused, match=r"secretariat\.ping-logged"):
            await log(sim)


async def test_two_pings_without_an_answer_make_a_contact_suspect(tmp_path: Path) -> None:
    async with running(a_country(), tmp_path) as sim:
        with pytest.raises(Refused, match=r"secretariat\.no-ping"):
            measured(sim)
        for _ in range(2):
            await ping(sim)
            sim.world.advance(DAY_MS + 1)
            await sim.rounds(2)
            assert measured(sim).result == "none"
            await log(sim)
        assert sim.sites[REQUESTER].up.replica.directory.contacts[TRACING].suspect
