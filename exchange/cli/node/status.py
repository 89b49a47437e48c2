"""What `node status` says: gathered from the home, and from the server where one runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from exchange.canonical import Json
from exchange.cli.call import now_ms
from exchange.cli.node.home import Opened
from exchange.cli.output import pairs, utc
from exchange.directory.members import Member, Unit
from exchange.directory.state import Directory
from exchange.errors import CODES, Refused
from exchange.keys import digits, member_digits
from exchange.limits import STALE_CHECKPOINT_MS
from exchange.node.directory.exposure import report
from exchange.node.store import attachments as store_attachments, figures as store_figures
from exchange.node.store.store import Alarm
from exchange.node.units import homes
from exchange.storage import calls


def condition(home: Opened, server: Json | None) -> dict[str, Any]:
    """Everything `node status --json` has (docs/cli.md); times in ms."""
    identity = home.home.identity()
    directory = _directory(home)
    admitted = _admitted(directory, identity.address) if directory else None
    to_send, to_fetch = home.store.db.read_sync(store_attachments.waiting)
    figures = home.store.db.read_sync(lambda c: store_figures.figures(c, now=now_ms()))
    return {
        "member": identity.address,
        "network": directory.name if directory else "",
        "hub": home.home.settings.hub,
        "digits": member_digits(identity.net, identity.address, identity.keys.public),
        "network_digits": digits(identity.net),
        "anchor_confirmed": home.anchor_confirmed(),
        "member_since": admitted.since if admitted else None,
        "directory_size": directory.size if directory else 0,
        "directory_seen_at": home.loaded.seen_at,
        "exposed": sum(one.messages for one in report(home.store, limit=0)),
        "serving": server is not None,
        "connected": bool(server and server["connected"]),
        "transport": server["transport"] if server else "",
        "heard_at": server["heard_at"] if server and server["heard_at"] else None,
        "http": server.get("http", "") if server else "",
        "problem": server["problem"] if server else "",
        "directory_problem": server["directory_problem"] if server else "",
        "clock_offset_ms": server["clock_offset_ms"] if server else 0,
        "unopened": home.desk.unopened(),
        "undelivered": home.desk.count_under_way(),
        "overdue": home.desk.count_overdue()[0],
        "missing": dict(figures.missing),
        "attachments": {"to_send": to_send, "to_fetch": to_fetch},
        "set_aside": dict(Counter(one.what for one in home.set_aside())),
        "calls_failing": [
            {"way": one.way, "kind": one.kind, "state": one.state, "tries": one.tries, "code": one.code}
            for one in home.store.db.read_sync(calls.trouble)
        ],
        "units": _units(home, directory),
        "alarms": [
            {"at": one.at, "code": one.code, "subject": one.subject} for one in alarms_that_hold(home)
        ],
    }


def alarms_that_hold(home: Opened) -> list[Alarm]:
    """The alarms, newest first, without those of suspensions that were lifted since."""
    directory = _directory(home)
    suspended = {one.handle for one in directory.members.values() if one.suspension} if directory else set()
    return [
        one
        for one in home.desk.alarms()
        if directory is None or one.code != "node.member-suspended" or one.subject in suspended
    ]


def _as_of(value: dict[str, Any]) -> str:
    """The replica's time, and what its age means: an old one is read all the same."""
    if value["directory_seen_at"] is None:
        return ""
    stale = now_ms() - value["directory_seen_at"] > STALE_CHECKPOINT_MS
    return utc(value["directory_seen_at"]) + (" STALE: read as it is, no new keys are taken" if stale else "")


def condition_lines(value: dict[str, Any]) -> list[str]:
    """The same for people."""
    server = "not running"
    if value["serving"]:
        server = "connected" if value["connected"] else f"not connected ({value['problem'] or 'yet'})"
    lines = pairs(
        [
            ("member", value["member"]),
            ("network", value["network"] or "not seen yet"),
            ("since", utc(value["member_since"]) if value["member_since"] else "not admitted yet"),
            (
                "anchor",
                "confirmed" if value["anchor_confirmed"] else "UNCONFIRMED: nothing above TLP:GREEN goes out",
            ),
            ("your digits", value["digits"]),
            ("server", server),
            ("hub heard", utc(value["heard_at"]) if value["heard_at"] else ""),
            ("http door", value["http"]),
            (
                "clock",
                f"{value['clock_offset_ms'] // 1000:+d} s to the hub's" if value["clock_offset_ms"] else "",
            ),
            ("directory", f"{value['directory_size']} entries {value['directory_problem']}".rstrip()),
            ("as of", _as_of(value)),
            ("inbox", f"{value['unopened']} unopened"),
            ("outbox", f"{value['undelivered']} not delivered yet, {value['overdue']} overdue"),
            (
                "missing",
                ", ".join(f"{count} of {sender}" for sender, count in sorted(value["missing"].items())),
            ),
            ("attachments", _under_way(**value["attachments"])),
            (
                "exposed",
                f"{value['exposed']} messages to revoked keys: exchange node exposure"
                if value["exposed"]
                else "",
            ),
            ("set aside", ", ".join(f"{count} {what}" for what, count in value["set_aside"].items())),
        ]
    )
    lines += (
        f"! the alarm hook did not call by {one['way']} ({one['kind']}): {one['code'] or one['state']}: "
        "exchange node alarm test"
        for one in value["calls_failing"]
    )
    lines += (f"unit: {_unit_line(one)}" for one in value["units"])
    lines += (
        f"! {utc(one['at'])} {one['code']} ({one['subject']}): {CODES.get(one['code'], '')}"
        for one in value["alarms"]
    )
    return lines


def _under_way(*, to_send: int, to_fetch: int) -> str:
    parts = ((to_send, "on their way to the hub"), (to_fetch, "being fetched"))
    return ", ".join(f"{count} {what}" for count, what in parts if count)


def _admitted(directory: Directory, address: str) -> Member | Unit | None:
    return directory.members.get(address) or directory.units.get(address)


def _units(home: Opened, directory: Directory | None) -> list[dict[str, Any]]:
    """The units and persons of this member: in the log, with homes here, or both. No key of theirs is needed."""
    me = home.home.identity().address
    listed = {one.address: one for one in directory.units.values() if one.member == me} if directory else {}
    here = {f"{me}/{one.handle}": one for one in homes(home.home.paths.root)}
    return [
        {
            "address": address,
            "kind": listed[address].kind if address in listed else "",
            "since": listed[address].since if address in listed else None,
            "home_here": address in here,
            "served_at": here[address].served_at if address in here else None,
        }
        for address in sorted({*listed, *here})
    ]


def _unit_line(one: dict[str, Any]) -> str:
    handle = one["address"].partition("/")[2]
    if one["since"] is None:
        return f"{one['address']}: not published yet: exchange node unit-publish {handle}"
    if not one["home_here"]:
        return f"{one['address']} ({one['kind']}), its home is elsewhere"
    return f"{one['address']} ({one['kind']}), last at work {utc(one['served_at'])}"


def _directory(home: Opened) -> Directory | None:
    try:
        return home.directory
    except Refused:
        return None
