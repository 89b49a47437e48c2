"""What `node status` says about becoming a member, and about others who wait for this one.

Asks the hub, briefly: what it can't be asked now is left out, and everything else of `status` works offline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from exchange.canonical import Json
from exchange.cli.call import now_ms
from exchange.cli.node.home import Opened, asking
from exchange.cli.output import one_line, utc
from exchange.cli.waiting import age, lacks, reminder, statement_id, what
from exchange.directory.contacts import NPC
from exchange.directory.members import Member
from exchange.directory.onboarding import is_provisional
from exchange.errors import ExchangeError, Refused
from exchange.node.directory.checklist import FLASH, OFFLINE, ROTATION, Item
from exchange.node.home import INVITATION

PATIENCE: Final = 5.0  # seconds for the hub's answers
_ITEMS: Final = {
    FLASH: ("flash message acknowledged within 15 minutes", "send one: exchange node send --urgency flash"),
    OFFLINE: ("a message taken in after 24 h offline", "let it stop its node for a day while you send"),
    ROTATION: ("keys rotated", "let it run: exchange node rotate"),
}


def progress(home: Opened, server: Json | None) -> dict[str, Any]:
    """Everything `onboarding` of `node status --json` has (docs/cli.md); times in ms."""
    me = home.home.identity().address
    member = _member(home, me)
    value: dict[str, Any] = {
        "state": "member" if member else "unknown",
        "status": member.status.value if member else "",
        "provisional": member is not None and is_provisional(member),
        "sponsors": list(member.sponsors) if member else [],
        "rotated": bool(member and member.rotations),
        "ground": member.suspension.ground if member and member.suspension else "",
        "until": _until(member) if member else 0,
        "waiting": {},
        "wanted": [],
    }
    invited = INVITATION in home.home.keystore.names()
    try:
        if member is None and invited:
            value |= asyncio.run(_own(home))
        elif member is not None and server is not None and server["connected"]:
            value["wanted"] = asyncio.run(_wanted(home))
        elif member is None and _is_authority(home, me):  # seldom served: it looks in when somebody calls
            value["wanted"] = asyncio.run(_to_nominate(home, me))
    except (ExchangeError, TimeoutError):
        value["state"] = "member" if member else "unknown"
    return value


def progress_lines(value: dict[str, Any]) -> list[str]:
    """The same for people."""
    now, lines, row = now_ms(), [], value["waiting"]
    if value["state"] == "waiting":
        lines.append(f"application: waits since {utc(row['since'])}, signed by {', '.join(row['signed_by'])}")
        lines.append(f"still missing: {row['lacks']}")
    elif value["state"] in ("rejected", "withdrawn"):
        lines.append(f"application: {value['state']}: {one_line(row['reason'], 200) or 'no reason given'}")
    if value["provisional"]:
        lines += [
            f"standing: provisional; you may write to {', '.join(value['sponsors'])} and the secretariat",
            "checklist, which your sponsors' nodes keep:",
            f"  [{'x' if value['rotated'] else ' '}] rotate your keys: exchange node rotate",
            "  [?] acknowledge a sponsor's flash message within 15 minutes: exchange node ack ID",
            "  [?] stop your node for 24 h while a sponsor sends, then serve again",
        ]
    elif value["status"]:
        lines.append(f"standing: {value['status']}{_why(value)}")
    lines += [
        f"{one['about']} waits for your signature ({one['what']}) for {age(one['since'], now)}: {one['command']}"
        + (f"; {late}" if (late := reminder(one["since"], now)) else "")
        for one in value["wanted"]
    ]
    return lines


def _until(member: Member) -> int:
    """When a suspension or a notice ends, UTC ms; 0 where there is none."""
    return member.suspension.until if member.suspension else member.until


def _why(value: dict[str, Any]) -> str:
    """Until when it stands so, why, and what that means for this node."""
    until = f" until {utc(value['until'])}" if value["until"] else ""
    if not value["ground"]:
        return until
    return (
        f"{until}, ground: {one_line(value['ground'])}; nothing goes out and only TLP:CLEAR is sent here; "
        "what has come stays readable; ask an officer"
    )


def next_of(value: dict[str, Any], me: str) -> str:
    """Who must act next, while this node is on its way in; else empty."""
    if value["state"] == "waiting":
        return (
            f"sponsors of other countries: exchange node sponsor {me}; officers: exchange officer verify {me}"
        )
    if value["state"] in ("rejected", "withdrawn"):
        return "ask the hub's administrator for a new invitation, then: exchange node join FILE"
    if value["wanted"]:
        return str(value["wanted"][0]["command"])
    return ""


def checklist_lines(items: Sequence[Item], member: str) -> list[str]:
    """A newcomer's checklist as its sponsor sees it."""
    lines = [f"checklist of {member}:"]
    for item in items:
        text, how = _ITEMS[item.word]
        seen = f" ({utc(item.began)} to {utc(item.ended)})" if item.ended else ""
        lines.append(f"  [{'x' if item.done else ' '}] {text}{seen}" + ("" if item.done else f": {how}"))
    return lines


def _member(home: Opened, me: str) -> Member | None:
    try:
        return home.directory.members.get(me)
    except Refused:
        return None


async def _own(home: Opened) -> dict[str, Any]:
    """How this node's application stands."""
    async with asyncio.timeout(PATIENCE), asking(home.home, as_invitee=True) as (service, hub):
        one = await service.own_application(hub)
        if one is None:
            return {"state": "unknown"}
        await service.look_ahead(hub)
        row = {
            "since": one.since,
            "signed_by": list(one.statement.signers),
            "lacks": "" if one.ended else lacks(service.lack(one.statement)),
            "reason": one.reason,
        }
        return {"state": one.ended or "waiting", "waiting": row}


def _is_authority(home: Opened, me: str) -> bool:
    """Whether this unit nominates contact points of its country."""
    try:
        contact = home.directory.contacts.get(me)
    except Refused:
        return False
    return contact is not None and contact.function == NPC and not contact.ended


async def _to_nominate(home: Opened, me: str) -> list[dict[str, Any]]:
    """Contact points that wait for this unit, a nominating authority."""
    net, handle = home.home.identity().net, me.partition("/")[2]
    async with asyncio.timeout(PATIENCE), asking(home.home) as (service, hub):
        return [
            {
                "what": what(one),
                "about": one.about,
                "since": one.since,
                "command": f"exchange directory nominate {statement_id(one.statement.hash(net))} --as {handle}",
            }
            for one in await service.pending(hub)
            if service.nominates(one)
        ]


async def _wanted(home: Opened) -> list[dict[str, Any]]:
    """Applications and statements that want this member's signature."""
    net = home.home.identity().net
    async with asyncio.timeout(PATIENCE), asking(home.home) as (service, hub):
        rows = [
            {
                "what": "sponsor",
                "about": one.member.handle,
                "since": one.since,
                "command": f"exchange node sponsor {one.member.handle}",
            }
            for one in await service.applications(hub)
            if service.may_sponsor(one)
        ]
        for one in await service.pending(hub):
            if service.wants_me(one):
                word, number = what(one), statement_id(one.statement.hash(net))
                then = f"sponsor {one.about}" if word == "activate" else f"vote {number}"
                rows.append(
                    {
                        "what": word,
                        "about": one.about,
                        "since": one.since,
                        "command": f"exchange node {then}",
                    }
                )
        return rows
