"""`exchange doctor`: names each fault of a home, of a node, a hub or an officer, and what mends it; exit 1 on a fault.

Owns the command and how findings are shown. Reads only; what it can't open it says, and goes on with the rest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.errors import FAILED, hint_of
from exchange.errors import CODES, ExchangeError, Refused

if TYPE_CHECKING:
    from exchange.cli.doctor.checks import Check, Finding
    from exchange.storage.unlock import Unlock

NODE: Final = "node"
HUB: Final = "hub"
OFFICER: Final = "officer"


def register(app: typer.Typer) -> None:
    """Add the command to the tree."""
    command(app, "doctor", role="node", unlocks=True)(doctor)


def doctor(
    call: Call,
    lang: Annotated[str | None, typer.Option(help="en, es, pt or fr; else that of your terminal.")] = None,
) -> None:
    """Look at a home of a node, a hub or an officer and all it needs; say what is wrong and how to mend it."""
    from exchange.cli.doctor.checks import FAIL, run
    from exchange.cli.output import safe
    from exchange.phrases.languages import language_of

    environment = [os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG")]
    language, role = language_of(lang or "", *environment), _role(call)
    findings = [_told(one, role, language) for one in run(_checks(call, role))]
    healthy = not any(one["state"] == FAIL for one in findings)
    lines = []
    for one in findings:
        mark = "FAULT" if one["state"] == FAIL else one["state"]
        lines.append(f"{mark:5}  {one['name']}: {safe(one['found'])}")
        if one["fix"]:
            lines.append(f"       -> {safe(one['fix'])}")
    call.out.result({"role": role, "healthy": healthy, "checks": findings}, lines)
    if not healthy:
        raise typer.Exit(FAILED)


def _role(call: Call) -> str:
    """What kind of home this is. Raises Refused home.missing."""
    from exchange.cli.officer.home import CARD
    from exchange.hub.home import GENESIS
    from exchange.hub.store.store import FILE

    if not call.home.is_dir():
        raise Refused("home.missing", path=str(call.home))
    if (call.home / CARD).exists():
        return OFFICER
    return HUB if (call.home / FILE).exists() or (call.home / GENESIS).exists() else NODE


def _checks(call: Call, role: str) -> list[Check]:
    from exchange.cli.doctor import hub as doctor_hub, node as doctor_node

    unlock = _unlock(call)
    if role == OFFICER:
        return doctor_hub.officer_checks(call, unlock)
    return doctor_hub.hub_checks(call, unlock) if role == HUB else doctor_node.checks(call, unlock)


def _unlock(call: Call) -> Unlock | ExchangeError:
    """What opens the keystore, asked for before anything runs; or why there is nothing."""
    try:
        return call.unlock()
    except ExchangeError as error:
        return error


def _told(one: Finding, role: str, language: str) -> dict[str, Any]:
    """A finding as people read it. `fix` is empty where nothing is to be done."""
    from exchange.cli.doctor.checks import OK
    from exchange.phrases.doctor import FIXES, FOUND
    from exchange.phrases.languages import say

    facts = {"role": role, **one.facts}
    fix = "" if one.state == OK or one.error else say(FIXES, one.code, language, **facts)
    if one.error is not None:
        fix = hint_of(one.error) or CODES.get(one.error.code, "")
    return {
        "name": one.name,
        "state": one.state,
        "code": one.error.code if one.error else one.code,
        "found": say(FOUND, one.code, language, **facts),
        "fix": fix,
    }
