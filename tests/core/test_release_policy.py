"""The doors' policy against its table in docs/policy.md: every label, reader and door, and what closes all of them."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from exchange.errors import CODES, Refused
from exchange.pap import Pap
from exchange.release import ADMINISTRATOR, TEAM, Content, Decision, Door, Reader, Who, decide
from exchange.tlp import Tlp

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
ANA = "pe-csirt/ana"
ASSETS = frozenset({"203.0.113.0/24"})
NAMED = "a person it names"
# each reader of the table, as policy may meet it
READERS = {
    "own member": (
        Reader(who=Who.OWN, name="siem"),
        Reader(who=Who.PERSON, name="pe-csirt/luz", own=True),
        Reader(who=Who.OWN, name=ANA),  # an address that is named, but not its person's keys
    ),
    "another member": (
        Reader(who=Who.MEMBER, name="co-csirt", assets=ASSETS),
        Reader(who=Who.PERSON, name="co-csirt/eva", assets=ASSETS),
    ),
    "a constituent": (Reader(who=Who.CONSTITUENT, name="water", assets=ASSETS),),
    NAMED: (Reader(who=Who.PERSON, name=ANA, own=True), Reader(who=Who.PERSON, name="bb-csirt/joe")),
}
MEANINGLESS = {("own member", Door.EXTRACT), (NAMED, Door.EXTRACT), ("a constituent", Door.FORWARD)}


def content(tlp: Tlp, pap: Pap | None = None, **facts: object) -> Content:
    return Content(
        tlp=tlp,
        pap=pap,
        sender="co-csirt",
        named=frozenset({ANA, "bb-csirt/joe"}),
        **facts,  # type: ignore[arg-type]  # of a Content
    )


def rows(section: str) -> list[list[str]]:
    body = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if "|" in line
    ]
    return cells[2:]


def doors(cell: str) -> frozenset[Door]:
    return frozenset() if cell == "none" else frozenset(Door(word) for word in cell.split(", "))


BY_TLP = {(label, who): (doors(cell), code.strip("`")) for label, who, cell, code in rows("TLP")}
CLOSED = {(label, who): doors(cell) for label, who, cell in rows("PAP")}
LABELS = [(tlp, pap) for tlp in Tlp for pap in (None, *Pap)]


def test_the_page_has_a_row_for_every_label_and_reader() -> None:
    with_names = {tlp.label for tlp in Tlp if tlp.names_persons}
    everybody = {
        (tlp.label, who) for tlp in Tlp for who in READERS if who != NAMED or tlp.label in with_names
    }
    assert BY_TLP.keys() == everybody
    circles = ("own member, acting", "own member, only looking", "another member", "a constituent")
    assert CLOSED.keys() == {(label, who) for label in ("PAP:AMBER", "PAP:RED") for who in circles}


@pytest.mark.parametrize(("tlp", "pap"), LABELS)
@pytest.mark.parametrize("circle", READERS)
def test_every_label_reader_and_door(tlp: Tlp, pap: Pap | None, circle: str) -> None:
    for each, passive, door in product(READERS[circle], (False, True), Door):
        reader = replace(each, passive=passive)
        decision = decide(door, content(tlp, pap), reader)
        assert (decision.allowed, decision.code) == expected(tlp, pap, circle, reader, door), (reader, door)
        said(decision)


def expected(tlp: Tlp, pap: Pap | None, circle: str, reader: Reader, door: Door) -> tuple[bool, str]:
    """As the page has it."""
    if circle == NAMED and not tlp.names_persons:
        circle = "own member" if reader.own else "another member"
    if (circle, door) in MEANINGLESS:
        return False, "release.wrong-door"
    if door is Door.EXTRACT and not reader.assets:
        return False, "release.no-assets"
    open_, code = BY_TLP[tlp.label, circle]
    if door not in open_:
        return False, code
    who = "own member" if circle == NAMED and reader.own else circle.replace(NAMED, "another member")
    if who == "own member":
        who += ", only looking" if reader.passive else ", acting"
    closed = door in CLOSED.get((pap.label, who), ()) if pap else False
    return (False, "release.pap") if closed else (True, "")


def said(decision: Decision) -> None:
    """A refusal says why and whom to ask."""
    if decision.allowed:
        decision.check()
        assert decision.reason.startswith("TLP:")
        return
    assert decision.code in CODES
    assert decision.ask in ("co-csirt", ADMINISTRATOR, TEAM)
    with pytest.raises(Refused, match=re.escape(decision.code)) as refusal:
        decision.check()
    assert refusal.value.detail == f"{decision.reason}; ask {decision.ask}"


@pytest.mark.parametrize("door", Door)
@pytest.mark.parametrize("circle", READERS)
def test_exercises_and_what_is_real_keep_apart(circle: str, door: Door) -> None:
    for reader in READERS[circle]:
        marked = Reader(who=reader.who, name=reader.name, own=reader.own, assets=reader.assets, exercise=True)
        real, exercise = content(Tlp.CLEAR), content(Tlp.CLEAR, exercise_id="ejercicio-26")
        assert decide(door, exercise, reader).code == "release.exercise"
        assert decide(door, real, marked).code == "release.not-an-exercise"
        assert decide(door, exercise, marked) == decide(door, real, reader)


@pytest.mark.parametrize("door", Door)
def test_what_came_from_outside_goes_on_only_when_somebody_decided_so(door: Door) -> None:
    outside = content(Tlp.GREEN, outside=True)
    for circle, readers in READERS.items():
        for reader in readers:
            undecided, fits = decide(door, outside, reader), decide(door, content(Tlp.GREEN), reader).allowed
            assert undecided.allowed == (fits and reader.inside), circle
            assert (undecided.code == "release.outside") == (fits and not reader.inside)
            decided = decide(door, content(Tlp.GREEN, outside=True, decided=True), reader)
            assert decided.allowed == fits


@pytest.mark.parametrize("door", Door)
def test_nothing_goes_back_through_its_own_door(door: Door) -> None:
    """Whoever has the name that a feed reads under, or is a unit of the member that it is, gets none of it."""
    assert "`release.own-door`" in PAGE
    for circle, readers in READERS.items():
        for reader in readers:
            back = content(Tlp.CLEAR, outside=True, decided=True, doors=frozenset({reader.name, "other"}))
            forth = content(Tlp.CLEAR, outside=True, decided=True, doors=frozenset({"other"}))
            fits = decide(door, content(Tlp.CLEAR), reader).allowed
            assert decide(door, forth, reader).allowed == fits, circle
            assert (decide(door, back, reader).code == "release.own-door") == fits
    unit = Reader(who=Who.MEMBER, name="co-csirt/soc")
    member = content(Tlp.CLEAR, outside=True, decided=True, doors=frozenset({"co-csirt"}))
    assert decide(Door.EXPORT, member, unit).code == "release.own-door"


def test_a_label_of_nobody_known_is_asked_of_its_source() -> None:
    decision = decide(Door.EXPORT, Content(tlp=Tlp.AMBER), Reader(who=Who.MEMBER, name="co-csirt"))
    assert (decision.code, decision.ask) == ("release.other-organisation", "whoever it came from")
