"""`exchange node alarm test` and `exchange hub alarm test`: whether the alarm hook reaches people.

Owns these verbs. Needs no key and no server: it goes by config.toml alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.output import safe
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.alarm import AlarmSettings


def add_to(group: typer.Typer, role: str) -> None:
    """Add the verb to the group of `role`, under `alarm`."""
    verbs = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The hook that calls people.")
    command(verbs, "test", role=role)(test_hub if role == "hub" else test_node)
    group.add_typer(verbs, name="alarm")


def test_node(call: Call) -> None:
    """Send a notice, marked as a test, over each way that config.toml names."""
    from exchange.node.home import read_settings

    settings = read_settings(call.home)
    _test(call, settings.alarm, settings.member)


def test_hub(call: Call) -> None:
    """Send a notice, marked as a test, over each way that config.toml names."""
    from exchange.hub.alarm_hook import WHO
    from exchange.hub.home import load_settings

    _test(call, load_settings(call.home).alarm, WHO)


def _test(call: Call, settings: AlarmSettings, who: str) -> None:
    from exchange.alarm_hook import try_ways
    from exchange.cli.errors import FAILED, hint_of
    from exchange.notify import ways

    if not settings.ways:
        raise Refused("alarm.none")
    results = asyncio.run(try_ways(ways(settings, call.home), who=who))
    lines, value = [], []
    for way, error in results.items():
        value.append({"way": way, "ok": error is None, "code": error.code if error else ""})
        lines.append(f"{way}: " + (f"{safe(error.detail)} [{error.code}]" if error else "sent"))
        if error and (hint := hint_of(error)):
            lines.append(f"  -> {hint}")
    call.out.result({"who": who, "ways": value}, lines)
    if any(results.values()):
        raise typer.Exit(FAILED)
