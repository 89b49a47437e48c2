"""Who may send, receive, call: each refusal by its own code, and by nothing that only looks like it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from exchange import policy
from exchange.directory.members import Member, Status
from exchange.directory.prekeys import PrekeyRef
from exchange.errors import Refused, Rejected
from exchange.header import Header, Pre
from exchange.limits import DAY_MS, HOUR_MS
from exchange.tlp import Tlp
from tests.worlds import MEMBERS, NOW, World, make_world

PE, CO, BB = MEMBERS


@cache
def world() -> World:
    return make_world()


class Standing:
    """The world's directory with one member's status changed; the statements for that come with a later version."""

    def __init__(self, handle: str, status: Status) -> None:
        self._real = world().directory
        self.members: dict[str, Member] = dict(self._real.members)
        self.members[handle] = replace(self.members[handle], status=status)
        self.net = self._real.net
        self.signing_key = self._real.signing_key
        self.find_prekey = self._real.find_prekey

    def member(self, handle: str) -> Member:
        return self.members[handle]


def newest(address: str) -> PrekeyRef:
    return world().directory.prekeys(address)[0]


def header(to: tuple[tuple[str, bytes], ...] | None = None, **changed: Any) -> Header:
    values: dict[str, Any] = {
        "net": world().net,
        "sender": PE,
        "skid": world().directory.members[PE].keys.signing.skid(world().net),
        "iat": NOW,
        "exp": NOW + DAY_MS,
        "lane": "routine",
        "to": ((CO, newest(CO).kid),) if to is None else to,
        "dir": world().dir,
    }
    pre = Pre(**{**values, **changed})
    return Header.build(pre, pc=bytes(32), wh=[bytes(32)] * len(pre.to), bh=bytes(32), bl=0)


def accept(one: Header, *, issuer: str = PE, now: int = NOW, directory: Any = None) -> None:
    policy.check_accept(one, issuer=issuer, directory=directory or world().directory, now=now)


def test_the_hub_takes_what_holds() -> None:
    accept(header())
    accept(header(to=((BB, newest(BB).kid), (CO, newest(CO).kid))))
    accept(header(), now=NOW - DAY_MS)
    accept(header(), now=NOW + DAY_MS - 1)
    accept(header(exp=newest(CO).destroy - DAY_MS))
    accept(header(to=((CO, world().directory.prekeys(CO)[1].kid),)))


@pytest.mark.parametrize(
    ("change", "how", "code"),
    [
        ({"net": bytes(32)}, {}, "envelope.other-network"),
        ({}, {"issuer": CO}, "envelope.not-sender"),
        ({"sender": f"{PE}/duty"}, {}, "envelope.not-sender"),
        ({"sender": "nobody"}, {"issuer": "nobody"}, "envelope.unknown-sender"),
        ({"skid": bytes(32)}, {}, "envelope.unknown-key"),
        ({"to": (("nobody", bytes(32)),)}, {}, "envelope.unknown-recipient"),
        ({"to": ((CO, bytes(32)),)}, {}, "envelope.unknown-prekey"),
        ({}, {"now": NOW - DAY_MS - 1}, "envelope.future"),
        ({}, {"now": NOW + DAY_MS}, "envelope.expired"),
    ],
)
def test_the_hub_refuses_the_rest(change: dict[str, Any], how: dict[str, Any], code: str) -> None:
    with pytest.raises(Rejected, match=code):
        accept(header(**change), **how)


def test_one_wrong_recipient_is_enough() -> None:
    with pytest.raises(Rejected, match=r"envelope\.unknown-recipient") as caught:
        accept(header(to=((CO, newest(CO).kid), ("zz", bytes(32)))))
    assert caught.value.facts["address"] == "zz"


def test_a_kid_is_good_for_its_owner_only() -> None:
    with pytest.raises(Rejected, match=r"envelope\.unknown-prekey"):
        accept(header(to=((CO, newest(BB).kid),)))


def test_mail_does_not_outlive_its_prekey() -> None:
    with pytest.raises(Rejected, match=r"envelope\.outlives-prekey"):
        accept(header(exp=newest(CO).destroy - DAY_MS + 1))


def test_a_prekey_left_out_of_the_newest_statement_is_unknown() -> None:
    own = make_world()
    old, kept = own.directory.prekeys(CO)
    to = ((CO, old.kid),)
    one = header(net=own.net, skid=own.directory.members[PE].keys.signing.skid(own.net), to=to, dir=own.dir)
    accept(one, directory=own.directory)
    own.advance(HOUR_MS)
    assert own.append(own.prekeys_statement(CO, [kept])).effective
    with pytest.raises(Rejected, match=r"envelope\.unknown-prekey"):
        accept(one, directory=own.directory)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.ACTIVE])
def test_only_the_active_send_receive_and_call(status: Status) -> None:
    with pytest.raises(Rejected, match=r"policy\.sender-status"):
        accept(header(), directory=Standing(PE, status))
    with pytest.raises(Rejected, match=r"policy\.recipient-status"):
        accept(header(), directory=Standing(CO, status))
    with pytest.raises(Refused, match=r"policy\.sender-status"):
        send(directory=Standing(PE, status))
    with pytest.raises(Refused, match=r"policy\.recipient-status"):
        send(directory=Standing(CO, status))
    with pytest.raises(Rejected, match=r"auth\.forbidden"):
        policy.check_member_call(Standing(PE, status), PE)


def test_calls_are_for_members() -> None:
    policy.check_member_call(world().directory, PE)
    for stranger in ("nobody", "officer/alba", "hub", f"{PE}/duty"):
        with pytest.raises(Rejected, match=r"auth\.forbidden"):
            policy.check_member_call(world().directory, stranger)


def send(**changed: Any) -> None:
    values: dict[str, Any] = {
        "tlp": Tlp.AMBER,
        "sender": PE,
        "recipients": [CO, BB],
        "anchor_confirmed": True,
        "directory": world().directory,
    }
    policy.check_send(**{**values, **changed})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"recipients": []}, "policy.no-recipient"),
        ({"recipients": [PE]}, "policy.self-only"),
        ({"recipients": [PE, PE]}, "policy.self-only"),
        ({"recipients": [CO, "nobody"]}, "directory.unknown-member"),
        ({"tlp": Tlp.RED}, "tlp.red-needs-persons"),
        ({"tlp": Tlp.RED, "anchor_confirmed": False}, "tlp.red-needs-persons"),
        ({"anchor_confirmed": False}, "policy.anchor-unconfirmed"),
    ],
)
def test_sending_is_refused_with_what_to_change(change: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused, match=code):
        send(**change)


@pytest.mark.parametrize("tlp", [Tlp.CLEAR, Tlp.GREEN])
def test_an_unconfirmed_anchor_holds_back_only_what_is_above_green(tlp: Tlp) -> None:
    send(tlp=tlp, anchor_confirmed=False)


@pytest.mark.parametrize("tlp", [tlp for tlp in Tlp if tlp is not Tlp.RED])
def test_all_but_red_may_go_to_nodes(tlp: Tlp) -> None:
    send(tlp=tlp, recipients=[PE, CO])


def test_the_urgency_told_is_the_lane_it_came_in() -> None:
    policy.check_open(urgency="flash", lane="flash")
    with pytest.raises(Rejected, match=r"message\.urgency-mismatch"):
        policy.check_open(urgency="flash", lane="routine")


def test_red_may_be_read_where_it_came_and_leaves_in_no_copy() -> None:
    for tlp in Tlp:
        policy.check_release(tlp=tlp, export=False)
        if tlp is not Tlp.RED:
            policy.check_release(tlp=tlp, export=True)
    with pytest.raises(Refused, match=r"tlp\.red-needs-persons"):
        policy.check_release(tlp=Tlp.RED, export=True)
