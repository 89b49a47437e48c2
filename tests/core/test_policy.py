"""Who may send, receive, call: each refusal by its own code, and by nothing that only looks like it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest

from exchange import policy
from exchange.directory.bodies_members import OWN, build_revoke, build_rotate
from exchange.directory.members import Member, Status, Unit
from exchange.directory.prekeys import PrekeyRef
from exchange.directory.statements import Statement
from exchange.errors import Refused, Rejected
from exchange.header import Header, Pre
from exchange.limits import DAY_MS, HOUR_MS
from exchange.tlp import Tlp
from tests.worlds import MEMBERS, NOW, World, keys, make_world

PE, CO, BB = MEMBERS


@cache
def world() -> World:
    return make_world()


class Standing:
    """The world's directory with one member's standing changed; how it comes about is test_directory_life's."""

    def __init__(
        self, handle: str, status: Status, sponsors: tuple[str, ...] = (), secretariat: str = ""
    ) -> None:
        self._real = world().directory
        self.members: dict[str, Member] = dict(self._real.members)
        self.members[handle] = replace(self.members[handle], status=status, sponsors=sponsors)
        self.units = {
            f"{owner}/{name}": Unit(f"{owner}/{name}", kind, self.members[owner].keys, NOW)
            for owner in (PE, CO)
            for name, kind in (("duty", "unit"), ("p-abcdefghij", "person"))
        }
        self.policy = replace(self._real.policy, secretariat=secretariat)
        self.net = self._real.net
        self.key_standing = self._real.key_standing
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
        ({}, {"issuer": f"{PE}/duty"}, "envelope.not-sender"),
        ({"sender": f"{CO}/duty"}, {}, "envelope.not-sender"),
        ({"sender": f"{PE}/duty"}, {}, "envelope.unknown-sender"),
        ({"to": ((f"{CO}/duty", bytes(32)),)}, {}, "envelope.unknown-recipient"),
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


# status -> the member's calls, reading calls, mail from it in (routine, immediate), mail to it by TLP
TABLE: dict[Status, tuple[bool, bool, tuple[str, str], dict[Tlp, str]]] = {
    Status.PROVISIONAL: (
        True,
        True,
        ("policy.provisional", "policy.provisional"),
        {Tlp.GREEN: "", Tlp.AMBER: "policy.provisional-tlp"},
    ),
    Status.ACTIVE: (True, True, ("", ""), {Tlp.AMBER_STRICT: ""}),
    Status.RESTRICTED: (True, True, ("policy.restricted", ""), {Tlp.AMBER_STRICT: ""}),
    Status.OFFBOARDING: (True, True, ("policy.restricted", ""), {Tlp.AMBER_STRICT: ""}),
    Status.SUSPENDED: (
        False,
        True,
        ("policy.sender-status", "policy.sender-status"),
        {Tlp.CLEAR: "", Tlp.GREEN: "policy.suspended-clear-only"},
    ),
    Status.REMOVED: (
        False,
        False,
        ("policy.sender-status", "policy.sender-status"),
        {Tlp.CLEAR: "policy.recipient-status"},
    ),
}


def fault(act: Callable[[], None]) -> str:
    """The code of the refusal, "" for none."""
    try:
        act()
    except (Refused, Rejected) as refused:
        return refused.code
    return ""


@pytest.mark.parametrize("status", Status)
def test_what_a_status_permits(status: Status) -> None:
    calls, reads, sends, receives = TABLE[status]
    sender, recipient = Standing(PE, status), Standing(CO, status)
    assert fault(lambda: policy.check_member_call(sender, PE)) == ("" if calls else "auth.forbidden")
    reading = fault(lambda: policy.check_member_call(sender, PE, reading=True))
    assert reading == ("" if reads else "auth.forbidden")
    for lane, code in zip(("routine", "immediate"), sends, strict=True):
        assert fault(partial(accept, header(lane=lane), directory=sender)) == code
        assert fault(partial(send, lane=lane, directory=sender)) == code
    for tlp, code in receives.items():
        assert fault(partial(send, tlp=tlp, directory=recipient)) == code
    removed = "policy.recipient-status" if status is Status.REMOVED else ""
    assert fault(lambda: accept(header(), directory=recipient)) == removed  # the hub sees no TLP


def test_provisional_member_writes_to_those_who_brought_it_in() -> None:
    near = Standing(PE, Status.PROVISIONAL, sponsors=(CO,), secretariat=BB)
    accept(header(), directory=near)
    send(directory=near)
    send(directory=near, recipients=[f"{CO}/duty", f"{PE}/duty"])
    with pytest.raises(Refused, match=r"policy\.provisional"):
        send(directory=Standing(PE, Status.PROVISIONAL, sponsors=(CO,)))


def test_own_units_are_no_strangers_to_a_member() -> None:
    send(directory=Standing(PE, Status.PROVISIONAL), recipients=[f"{PE}/duty"])


def test_units_have_their_own_keys_or_get_nothing() -> None:
    directory = Standing(PE, Status.ACTIVE)
    send(directory=directory, recipients=[f"{CO}/duty"])
    with pytest.raises(Refused, match=r"unit\.unknown"):
        send(directory=directory, recipients=[f"{CO}/nobody"])


def test_red_goes_to_persons_only() -> None:
    directory = Standing(PE, Status.ACTIVE)
    send(directory=directory, tlp=Tlp.RED, recipients=[f"{CO}/p-abcdefghij"])
    for others in ([f"{CO}/duty"], [CO], [f"{CO}/p-abcdefghij", CO]):
        with pytest.raises(Refused, match=r"tlp\.red-needs-persons"):
            send(directory=directory, tlp=Tlp.RED, recipients=others)


def test_units_call_as_their_member_may() -> None:
    directory = Standing(PE, Status.SUSPENDED)
    policy.check_member_call(directory, f"{PE}/duty", reading=True)
    for unit in (f"{PE}/duty", f"{CO}/nobody"):
        with pytest.raises(Rejected, match=r"auth\.forbidden"):
            policy.check_member_call(directory, unit)


def test_nodes_of_restricted_members_answer_in_an_urgent_lane() -> None:
    restricted = Standing(PE, Status.RESTRICTED)
    assert policy.control_lane(restricted, PE, "routine") == "immediate"
    assert policy.control_lane(restricted, f"{PE}/duty", "flash") == "flash"
    assert policy.control_lane(restricted, CO, "routine") == "routine"


def test_rotated_key_is_taken_for_fourteen_days_and_a_revoked_one_never() -> None:
    own = make_world()
    old, new = keys(PE).public.signing.skid(own.net), keys(f"next/{PE}")
    changed = build_rotate(
        net=own.net,
        handle=PE,
        keys=new.public,
        next_keys=bytes(32),
        after=own.directory.last_hash(PE, "identity"),
        not_after=NOW + DAY_MS,
    )
    assert own.append(Statement(changed).with_signature(PE, new)).effective
    to = ((CO, own.directory.prekeys(CO)[1].kid),)
    one = header(net=own.net, skid=old, to=to, dir=own.dir, exp=NOW + 15 * DAY_MS)
    accept(one, directory=own.directory, now=NOW + 14 * DAY_MS)
    with pytest.raises(Rejected, match=r"envelope\.retired-key"):
        accept(one, directory=own.directory, now=NOW + 14 * DAY_MS + 1)
    gone = build_revoke(
        net=own.net, address=PE, by=OWN, ground="key-theft", skid=old, since=NOW, not_after=NOW + DAY_MS
    )
    assert own.append(Statement(gone).with_signature(PE, new)).effective
    for iat in (NOW, NOW - 30 * DAY_MS):  # whoever holds the key can write any date
        dated = header(net=own.net, skid=old, to=to, dir=own.dir, iat=iat)
        with pytest.raises(Rejected, match=r"envelope\.revoked-key"):
            accept(dated, directory=own.directory)


def test_calls_are_for_members() -> None:
    policy.check_member_call(world().directory, PE)
    for stranger in ("nobody", "officer/alba", "hub", f"{PE}/duty"):
        with pytest.raises(Rejected, match=r"auth\.forbidden"):
            policy.check_member_call(world().directory, stranger)


def send(**changed: Any) -> None:
    values: dict[str, Any] = {
        "tlp": Tlp.AMBER,
        "lane": "routine",
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
