"""`exchange hub applications | members`: who waits for whom, and how everybody stands, read beside a serving hub.

Owns these verbs, and opening the hub's database for them. Nothing here needs the hub's keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from exchange.cli.call import Call, now_ms
from exchange.cli.output import table, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.directory.members import Member
    from exchange.directory.state import Directory
    from exchange.hub.store.store import HubStore

# who must act on a member that stands so, and how; nobody on the others
_NEXT = {
    "provisional": "its sponsors, when its checklist is done: exchange node sponsor {handle}",
    "restricted": "the officers, when the ground is gone: exchange officer reinstate {handle}",
    "suspended": "the officers, when the ground is gone: exchange officer reinstate {handle}",
    "offboarding": "nobody: it is removed when its notice ends",
}


def applications(call: Call) -> None:
    """List who has applied and which statements wait: since when, what they lack, and who must act."""
    from exchange.cli.waiting import lacks, pending_value, reminder
    from exchange.directory.bodies import parse_body
    from exchange.directory.waiting import Pending, is_late, lack_of

    with hub_store(call) as store:
        applicants = [one for one in store.applications_sync() if not one.ended]
        statements = store.pending_sync()
        directory = directory_of(store)
    now = now_ms()
    rows: list[dict[str, Any]] = [
        {
            "member": one.member,
            "since": one.since,
            "until": one.until,
            "signed_by": list(one.statement.signers),
            "lacks": lacks(lack_of(directory, one.statement, now)),
            "late": is_late(one.since, now),
        }
        for one in applicants
    ]
    waiting = []
    for one in statements:
        pending = Pending(one.statement, parse_body(one.statement.body, directory.net), one.since, one.until)
        value = pending_value(pending, lack_of(directory, one.statement, now), directory.net)
        waiting.append({**value, "late": is_late(one.since, now)})
    lines = [
        *_table(("member", "since", "lacks", "signed by"), rows),
        *_table(("id", "what", "about", "since", "lacks", "signed by"), waiting),
        *(f"{row['member']}: {reminder(row['since'], now)}" for row in rows if row["late"]),
        *(f"{row['id']}: {reminder(row['since'], now)}" for row in waiting if row["late"]),
    ]
    next_step = "officers: exchange officer applications; members: exchange node status" if lines else ""
    call.out.result(
        {"applications": rows, "pending": waiting}, lines or ["nobody is waiting"], next_step=next_step
    )


def _table(head: tuple[str, ...], rows: list[dict[str, Any]]) -> list[str]:
    """These members of each row; times as people read them."""
    cells = [[_cell(row[name.replace(" ", "_")]) for name in head] for row in rows]
    return table(head, cells) if rows else []


def _cell(value: object) -> str:
    if isinstance(value, int):
        return utc(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def members(call: Call) -> None:
    """List the members of the network, how they stand, and who must act next."""
    with hub_store(call) as store:
        directory = directory_of(store)
    found = [one for _, one in sorted(directory.members.items())]
    rows = [
        {
            "member": one.handle,
            "country": one.country,
            "class": one.member_class,
            "status": one.status.value,
            "since": one.since,
            "until": one.suspension.until if one.suspension else one.until,
            "confirm_by": one.suspension.confirm_by if one.suspension else 0,
            "recovery_at": one.recovery.due if one.recovery else 0,
            "units": sorted(unit.address for unit in directory.units.values() if unit.member == one.handle),
            "next": "; ".join(_next(one)),
        }
        for one in found
    ]
    cells = [(one.handle, one.country or "-", one.member_class, one.status.value) for one in found]
    lines = table(("member", "country", "class", "status"), cells) if rows else ["no members yet"]
    lines += [f"{row['member']}: {row['next']}" for row in rows if row["next"]]
    call.out.result({"members": rows, "size": directory.size, "term": directory.term}, lines)


def _next(member: Member) -> Iterator[str]:
    """What is to come of it, and who must act."""
    handle, suspension = member.handle, member.suspension
    if suspension is not None and suspension.confirm_by:
        until = utc(suspension.confirm_by)
        yield f"another officer, before {until}, or its suspension is void: exchange officer confirm {handle}"
    elif member.status.value in _NEXT:
        yield _NEXT[member.status.value].format(handle=handle)
    if suspension is not None:
        yield f"suspended until {utc(suspension.until)}"
    elif member.until:
        yield f"leaves at {utc(member.until)}"
    if member.recovery is not None:
        yield f"new keys at {utc(member.recovery.due)}, unless it says no: exchange node veto"


def directory_of(store: HubStore) -> Directory:
    """What the hub's log says. Raises Refused hub.genesis-incomplete."""
    from exchange.hub.log import read_back

    rows = store.load_log_sync()
    if not rows:
        raise Refused("hub.genesis-incomplete")
    return read_back(rows)[0]


@contextmanager
def hub_store(call: Call) -> Iterator[HubStore]:
    """The hub's database, beside whoever serves it. Raises Refused home.missing, hub.genesis-incomplete."""
    from exchange.hub.store.store import FILE, HubStore

    if not call.home.exists():
        raise Refused("home.missing", path=str(call.home))
    if not (call.home / FILE).exists():
        raise Refused("hub.genesis-incomplete")
    store = HubStore.open(call.home, owner=False)
    try:
        yield store
    finally:
        store.close_sync()
