"""What a member sent, or our own tools post, meets what came by feeds: at the doors, and at the rule for posts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from exchange.errors import Refused
from exchange.formats.stix.cover import read_message
from exchange.formats.text import banner
from exchange.node.doors.doors import Passed, own_reader
from exchange.node.taxii import drafts
from exchange.pap import Pap
from exchange.release import Door, Reader, Who
from exchange.tlp import Tlp
from tests.doors import CO, PE, QUIET, Place, place
from tests.feeds.places import add_feed
from tests.feeds.servers import TLP_AMBER, TLP_CLEAR, TLP_GREEN, Server, indicator, page

BB = Reader(who=Who.MEMBER, name="bb-csirt")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("rule"), replace(QUIET, posts_to=(CO,), posts_tlp="green")) as running:
        yield running


def bring(door: Place, server: Server, name: str, *objects: dict[str, object], **settings: object) -> None:
    server.answer = lambda _: page(list(objects))
    add_feed(door, name, server.url, **settings)
    assert door.run(door.pe.up.feeds.poll(name))[0].code == ""


def let_out(door: Place, message: str, reader: Reader) -> str:
    """The code of the refusal to forward it, or ""."""

    def subject(passed: Passed) -> str:
        return passed.message.subject

    try:
        door.pe.up.doors("analyst").let_out(Door.FORWARD, message, [reader], subject)
    except Refused as refusal:
        return refusal.code
    return ""


def test_a_members_message_goes_on_by_the_strictest_label_that_anything_of_it_said(
    door: Place, server: Server
) -> None:
    plain, green, amber = indicator("1"), indicator("2", TLP_GREEN), indicator("3", TLP_CLEAR)
    messages = [door.mail(one, tlp=Tlp.GREEN) for one in (plain, green, amber)]
    assert [let_out(door, one, BB) for one in messages] == ["", "", ""]
    # unlabelled at a feed, the same there, stricter there: a floor says nothing of what a member sent
    bring(
        door,
        server,
        "cert",
        plain,
        green,
        {**amber, "object_marking_refs": [TLP_AMBER]},
        readers=("uy-csirt",),
    )
    assert [let_out(door, one, BB) for one in messages] == ["", "", "release.other-organisation"]
    back = Reader(who=Who.MEMBER, name="uy-csirt")
    assert [let_out(door, one, back) for one in messages] == ["release.own-door"] * 3


def test_what_leaves_carries_the_label_by_which_it_was_decided(door: Place, server: Server) -> None:
    one = indicator("said elsewhere")
    id_ = door.mail(one, tlp=Tlp.GREEN)
    bring(door, server, "strict", {**one, "object_marking_refs": [TLP_AMBER], "labels": ["PAP:GREEN"]})
    own = own_reader(PE)
    passed = door.pe.up.doors("analyst").let_out(Door.PRINT, id_, [own], lambda passed: passed)
    assert (passed.message.tlp, passed.message.pap) == (Tlp.AMBER, Pap.GREEN)
    assert banner(passed.message) == "TLP:AMBER  PAP:GREEN"
    assert passed.relabelled  # its signed bytes say GREEN
    assert read_message(passed.message.bundle).tlp is Tlp.GREEN
    plain = door.mail(indicator("said here alone"), tlp=Tlp.GREEN)
    assert not door.pe.up.doors("analyst").let_out(Door.PRINT, plain, [own], lambda passed: passed.relabelled)


def test_a_post_that_carries_what_came_from_outside_waits_for_a_person(door: Place, server: Server) -> None:
    one = indicator("from outside", TLP_GREEN)
    bring(door, server, "misp", one)
    door.client("tool").post(one)
    [draft] = drafts.listed(door.pe.up.store)
    assert draft.by == "tool"
    assert "release.outside" in door.pe.alarm_codes()
