"""`exchange doctor`: names each fault of a node's home and what mends it; exit 1 while there is one.

Owns which checks there are and their words. Reads only; what it can't open it says, and goes on with the rest.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import typer

from exchange.cli.command import Call, command, now_ms
from exchange.cli.errors import FAILED, hint_of
from exchange.cli.output import utc
from exchange.errors import CODES, ExchangeError

if TYPE_CHECKING:
    from exchange.cli.node_home import Opened
    from exchange.node.home import Home

LEAST_FREE: Final = 1024**3  # bytes on the home's disk
MOST_OFFSET_MS: Final = 30_000
PATIENCE: Final = 20.0  # seconds for the hub


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: `fix` is what to do, empty when nothing is wrong."""

    name: str
    found: str
    fix: str = ""


def register(app: typer.Typer) -> None:
    """Add the command to the tree."""
    command(app, "doctor", role="node", unlocks=True)(doctor)


def doctor(call: Call) -> None:
    """Look at this home, its keys, its disk, its hub and its directory, and say what is wrong and how to mend it."""
    checks = _checks(call)
    faults = [one for one in checks if one.fix]
    value = {"healthy": not faults, "checks": [asdict(one) for one in checks]}
    lines = []
    for one in checks:
        lines.append(f"{'FAULT' if one.fix else 'ok':5}  {one.name}: {one.found}")
        if one.fix:
            lines.append(f"       -> {one.fix}")
    call.out.result(value, lines)
    if faults:
        raise typer.Exit(FAILED)


def _checks(call: Call) -> list[Check]:
    from exchange.cli.node_home import opened
    from exchange.node.home import open_home

    found: list[Check] = []
    try:
        found.append(_modes(call))
        home = open_home(call.home, call.unlock())
        found.append(Check("keys", "the keystore opens"))
        found.append(_disk(call))
        with opened(call) as inside:
            found += _inside(inside)
        if home.settings.net:
            found.append(asyncio.run(_hub(home)))
    except ExchangeError as error:
        found.append(_fault("home", error))
    return found


def _modes(call: Call) -> Check:
    from exchange.storage.files import check_home_modes

    open_ones = check_home_modes(call.home)
    if not open_ones:
        return Check("modes", "only this user reads the home")
    names = ", ".join(str(one) for one in open_ones[:3])
    return Check("modes", f"{len(open_ones)} entries others may read: {names}", f"chmod -R go= {call.home}")


def _disk(call: Call) -> Check:
    free = shutil.disk_usage(call.home).free
    text = f"{free // 1024**2} MiB free"
    return Check("disk", text, "free space: a full disk stops mail" if free < LEAST_FREE else "")


def _inside(home: Opened) -> list[Check]:
    from exchange.cli.node_home import server_status
    from exchange.cli.node_status import alarms_that_hold

    found = [Check("database", "opens, and is of this version")]
    if not home.home.settings.net:
        return [*found, Check("network", "not joined", "exchange node join INVITATION")]
    serving = server_status(home.home) is not None
    fix = "" if serving else "exchange node serve, as a service of the machine"
    found.append(Check("server", "runs" if serving else "doesn't run: mail waits", fix))
    confirmed = home.anchor_confirmed()
    fix = "" if confirmed else "hear the network's digits, then: exchange node confirm-anchor DIGITS"
    found.append(Check("anchor", "confirmed by voice" if confirmed else "unconfirmed", fix))
    found.append(_directory(home))
    alarms = alarms_that_hold(home)
    counted = Counter(one.code for one in alarms)
    with_evidence = sum(bool(one.evidence) for one in alarms)
    text = ", ".join(f"{count} {code}" for code, count in sorted(counted.items())) or "none"
    fix = "; ".join(f"{code}: {CODES.get(code, '')}" for code in sorted(counted))
    found.append(Check("alarms", f"{text}; {with_evidence} with evidence kept", fix))
    aside = Counter(one.what for one in home.set_aside())
    text = ", ".join(f"{count} {what}" for what, count in sorted(aside.items())) or "nothing"
    found.append(Check("set aside", text, "exchange node quarantine" if aside else ""))
    return found


def _directory(home: Opened) -> Check:
    from exchange.limits import STALE_CHECKPOINT_MS

    replica = home.loaded
    if replica.seen_at is None:
        return Check("directory", "empty", "exchange node serve, with the hub in reach")
    text = f"{replica.directory.size} entries as of {utc(replica.seen_at)}"
    if replica.directory.limited:
        return Check("directory", text, CODES["directory.limited"])
    stale = now_ms() - replica.seen_at > STALE_CHECKPOINT_MS
    fix = "no news for 24 h: look at the hub check below; until then no new keys are taken" if stale else ""
    return Check("directory", text, fix)


async def _hub(home: Home) -> Check:
    from exchange.node.app import real_sources, route
    from exchange.node.hub_client import HubClient

    try:
        async with asyncio.timeout(PATIENCE), HubClient(route(home), home.identity(), real_sources()) as hub:
            await hub.state()
            offset = hub.clock_offset
    except TimeoutError:
        return Check("hub", f"{home.settings.hub} doesn't answer", "look at the line, proxy and firewall")
    except ExchangeError as error:
        return _fault("hub", error)
    if abs(offset) > MOST_OFFSET_MS:
        return Check(
            "hub", f"answers; this clock is {offset // 1000:+d} s off", "set the clock, e.g. with NTP"
        )
    return Check("hub", f"{home.settings.hub} answers, its certificate and this node's key hold")


def _fault(name: str, error: ExchangeError) -> Check:
    return Check(name, f"{error.code}: {error.detail}", hint_of(error) or CODES.get(error.code, "see above"))
