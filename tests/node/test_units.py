"""Units and persons that share a member's node: homes of their own, read by nobody else, reached like members."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from exchange.canonical import ZERO32
from exchange.directory.bodies_contacts import PERSON, UNIT, build_unit
from exchange.directory.statements import Statement
from exchange.envelope import HeldPrekey, open_
from exchange.errors import Refused, Rejected
from exchange.keys import PREKEY_SECRET_BYTES, PrekeySecret
from exchange.limits import DAY_MS
from exchange.message import Urgency
from exchange.node import units
from exchange.node.home import Paths, open_home
from exchange.storage.files import HomeLock
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock
from tests.node.unit_homes import UnitSite, key_of, made, published
from tests.simulated_hub import SimulatedHub
from tests.simulator import Simulation, Site
from tests.worlds import keys

CANARY = "Kanarienvogel-7731"


async def test_unit_is_written_to_and_answers_like_a_member(sim: Simulation, host: Site, co: Site) -> None:
    tracing = await published(sim, host, "tracing")
    sent = co.send("pe-csirt/tracing", urgency=Urgency.FLASH)
    await sim.rounds()
    assert (co.state(sent, "pe-csirt/tracing"), tracing.received(), host.received()) == ("stored", [sent], [])
    tracing.desk.open(sent)
    tracing.desk.answer(sent, "acknowledged", person="Ana Quispe")
    back = tracing.send("co-csirt")
    await sim.rounds()
    assert co.copy(sent, "pe-csirt/tracing").person == "Ana Quispe"
    (got,) = co.inbox()
    assert (got.message_id, got.sender, got.marks) == (back, "pe-csirt/tracing", frozenset())
    assert host.alarm_codes() == tracing.alarm_codes() == co.alarm_codes() == []


async def test_no_other_key_of_the_home_opens_what_was_sealed_to_the_unit(
    sim: Simulation, host: Site, co: Site
) -> None:
    tracing = await published(sim, host, "tracing")
    liaison = await published(sim, host, "liaison")
    co.send("pe-csirt/tracing", text=CANARY)
    await sim.rounds()
    (delivery,) = tracing.caught
    others = [Unlock.key_file(host.home / "key"), Unlock.key_file(liaison.key)]
    assert _opens(host, delivery, [Unlock.key_file(tracing.key)])
    assert not _opens(host, delivery, others)


async def test_what_a_unit_read_lies_in_no_file_of_the_home(sim: Simulation, host: Site, co: Site) -> None:
    tracing = await published(sim, host, "tracing")
    sent = co.send("pe-csirt/tracing", text=CANARY)
    await sim.rounds()
    (got,) = tracing.desk.open(sent)
    assert CANARY.encode() in got.payload
    files = [path for path in host.home.rglob("*") if path.is_file()]
    assert tracing.home / "node.db" in files
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


def _opens(host: Site, delivery: bytes, unlocks: list[Unlock]) -> bool:
    """Whether any secret of any keystore in the host's home that one of `unlocks` opens is the delivery's."""
    tried = 0
    for secret in _secrets(host.home, unlocks):
        tried += 1
        held = HeldPrekey(secret, host.simulation.world.now + 365 * DAY_MS)
        try:
            open_(
                delivery,
                net=host.simulation.world.net,
                me="pe-csirt/tracing",
                directory=host.up.replica.directory,
                prekeys=lambda _kid, held=held: held,
                now=host.simulation.world.now,
            )
        except Rejected as fault:
            if fault.code != "envelope.unwrap-failed":
                raise
        else:
            return True
    assert tried > 1, "no key was tried"
    return False


def _secrets(home: Path, unlocks: list[Unlock]) -> Iterator[PrekeySecret]:
    for path in sorted([*home.rglob("keystore"), *home.rglob("prekeys")]):
        for unlock in unlocks:
            try:
                keystore = Keystore.open(path, unlock)
            except Refused as refusal:
                if refusal.code != "keystore.wrong-key":
                    raise
                continue
            found = [keystore.get(name) for name in keystore.names()]
            yield from (
                PrekeySecret(one.ljust(PREKEY_SECRET_BYTES, b"\0")[:PREKEY_SECRET_BYTES]) for one in found
            )


async def test_home_of_a_unit_opens_with_its_own_key_alone(sim: Simulation, host: Site) -> None:
    tracing = await published(sim, host, "tracing")
    with pytest.raises(Refused, match=r"keystore\.wrong-key"):
        open_home(tracing.home, Unlock.key_file(host.home / "key"))


async def test_two_units_and_their_host_work_in_parallel(
    sim: Simulation, host: Site, co: Site, bb: Site
) -> None:
    tracing, liaison = await published(sim, host, "tracing"), await published(sim, host, "liaison")
    to_all = co.send("pe-csirt", "pe-csirt/tracing", "pe-csirt/liaison")
    only = bb.send("pe-csirt/liaison")
    within = tracing.send("pe-csirt/liaison", "pe-csirt")
    with HomeLock(tracing.home / "lock"), HomeLock(liaison.home / "lock"), HomeLock(host.home / "lock"):
        await sim.rounds()
    assert set(liaison.received()) == {to_all, only, within}
    assert set(host.received()) == {to_all, within}
    assert tracing.received() == [to_all]
    assert {co.state(to_all, one) for one in ("pe-csirt", "pe-csirt/tracing", "pe-csirt/liaison")} == {
        "stored"
    }


async def test_mail_waits_for_a_unit_that_is_off(sim: Simulation, host: Site, co: Site) -> None:
    tracing = await published(sim, host, "tracing")
    await tracing.stop()
    sent = [co.send("pe-csirt/tracing", subject=f"number {n}") for n in range(3)]
    await sim.rounds()
    assert [co.state(one, "pe-csirt/tracing") for one in sent] == ["accepted"] * 3
    sim.world.now += DAY_MS
    await tracing.start()
    await sim.rounds()
    assert tracing.received() == sent
    assert [co.state(one, "pe-csirt/tracing") for one in sent] == ["stored"] * 3


async def test_draft_made_again_is_the_same(host: Site) -> None:
    first = made(host, "tracing")
    assert made(host, "tracing") == first
    assert [one.handle for one in units.homes(host.home)] == ["tracing"]


async def test_person_has_a_random_handle(host: Site) -> None:
    handle = units.person_handle(host.up.sources)
    assert made(host, handle, PERSON).address == f"pe-csirt/{handle}"
    for wrong, kind in (("ana-quispe", PERSON), (units.person_handle(host.up.sources), UNIT), ("../x", UNIT)):
        with pytest.raises(Refused, match=r"settings\.invalid"):
            made(host, wrong, kind)


async def test_unit_has_no_units(host: Site) -> None:
    made(host, "tracing")
    with pytest.raises(Refused, match=r"cli\.other-home"):
        units.make(
            host.home / "units" / "tracing",
            "deeper",
            UNIT,
            Unlock.key_file(key_of(host, "deeper")),
            host.up.sources,
        )


@pytest.mark.parametrize(
    "flaw", ["signed by the member", "of another member", "not JSON", "signature", "missing"]
)
async def test_draft_that_no_unit_of_ours_signed_is_refused(sim: Simulation, host: Site, flaw: str) -> None:
    net, member = sim.world.net, "co-csirt" if flaw == "of another member" else "pe-csirt"
    body = build_unit(
        net=net,
        address=f"{member}/tracing",
        kind=UNIT,
        keys=keys("unit").public,
        after=ZERO32,
        not_after=sim.world.now + DAY_MS,
    )
    signer, key = (member, member) if flaw == "signed by the member" else (f"{member}/tracing", "unit")
    statement = Statement(body).with_signature(signer, keys("other" if flaw == "signature" else key))
    path = host.home / "draft.json"
    if flaw != "missing":
        path.write_bytes(b"{" if flaw == "not JSON" else orjson.dumps(statement.to_json()))
    with pytest.raises(Refused, match=r"cli\.bad-file"):
        units.read_draft(path, net, "pe-csirt")


async def test_other_keys_for_a_published_unit_are_refused(sim: Simulation, host: Site) -> None:
    tracing = await published(sim, host, "tracing")
    await tracing.stop()
    tracing.home.rename(host.home / "elsewhere")
    draft = made(host, "tracing")
    with pytest.raises(Refused, match=r"directory\.handle-taken"):
        await units.publish(
            host.up.identity, host.up.store, host.up.replica, host.hub, draft, now=sim.world.now
        )


async def test_unit_nobody_has_published_gets_nothing(sim: Simulation, host: Site) -> None:
    draft = made(host, "tracing")
    site = UnitSite(
        sim,
        draft.address,
        Paths(host.home).unit("tracing").root,
        SimulatedHub(sim, draft.address),
        key=key_of(host, "tracing"),
    )
    await site.start()
    try:
        with pytest.raises(Refused, match=r"auth\.forbidden"):
            await site.once()
        assert not site.up.replica.is_member()
    finally:
        await site.stop()


async def test_units_keys_changed_without_their_member_alarm_it(sim: Simulation, host: Site) -> None:
    tracing = await published(sim, host, "tracing")
    body = build_unit(
        net=sim.world.net,
        address=tracing.member,
        kind=UNIT,
        keys=keys("new unit").public,
        after=host.up.replica.directory.last_hash(tracing.member, "unit"),
        not_after=sim.world.now + DAY_MS,
    )
    statement = Statement(body).with_signature(tracing.member, keys("new unit"))
    for officer in ("alba", "bruno"):
        statement = statement.with_signature(f"officer/{officer}", keys(f"officer/{officer}"))
    await sim.running_hub.registrar.submit(statement, [])
    await host.once()
    assert host.alarm_codes() == ["directory.own-name"]


async def test_homes_tell_when_they_last_worked(host: Site) -> None:
    made(host, "tracing")
    assert [(one.handle, one.served_at) for one in units.homes(host.home)] == [("tracing", None)]
    lock = Paths(host.home).unit("tracing").lock
    with HomeLock(lock):
        pass
    os.utime(lock, (1_790_000_000, 1_790_000_000))
    assert units.homes(host.home)[0].served_at == 1_790_000_000_000
