"""How a verb becomes a command of its group: --home, --json, --quiet, --yes, and what opens its keystore.

Owns the `command` decorator and these options; the `Call` that a verb gets is call.py's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.call import Call, default_home
from exchange.cli.output import Output

HomeOption = Annotated[
    Path | None, typer.Option(help="Folder of this home.", envvar="EXCHANGE_HOME", show_default="per user")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout (docs/cli.md).")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Results and errors only.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Answer yes to every question.")]
PassphraseOption = Annotated[
    Path | None,
    typer.Option(help="File whose first line is the passphrase; else EXCHANGE_PASSPHRASE_FILE."),
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(help="File of random bytes that opens the keystore; else EXCHANGE_KEY_FILE."),
]
AsOption = Annotated[
    str | None,
    typer.Option(
        "--as", help="Work as this unit or person of the member, in its own home.", envvar="EXCHANGE_AS"
    ),
]
_ALL = {"home": HomeOption, "json": JsonOption, "quiet": QuietOption, "yes": YesOption}
_UNLOCKING = {"passphrase_file": PassphraseOption, "key_file": KeyFileOption}


def command(
    group: typer.Typer, name: str, *, role: str, unlocks: bool = False, for_units: bool = True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register `function(call, ...)` as a command of `group` that also takes the options all commands have.

    `role` names the default home (node, hub, officer); `unlocks` adds the options that open a keystore. A node's
    commands take --as, but for those that only the member's own home has a use for (`for_units` false).
    """
    common = {**_ALL, **(_UNLOCKING if unlocks else {})}
    if role == "node" and unlocks and for_units:
        common["unit"] = AsOption

    def register(function: Callable[..., None]) -> Callable[..., None]:
        def run(**values: Any) -> None:
            given = {option: values.pop(option) for option in common}
            out = Output(json=given["json"], quiet=given["quiet"])
            secrets = {option: given[option] for option in _UNLOCKING if option in given}
            unit = given.get("unit")
            home = _unit_home(given["home"] or default_home(role), unit)
            function(Call(home, out, given["yes"], **secrets, unit=unit), **values)

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        taken = inspect.Parameter.KEYWORD_ONLY
        added = [
            inspect.Parameter(
                option, taken, annotation=kind, default=False if option in ("json", "quiet", "yes") else None
            )
            for option, kind in common.items()
        ]
        parameters = [*(each.replace(kind=taken) for each in own), *added]
        # typer reads the signature: it must be the one the user sees, not **values
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions may have one
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        run.__doc__ = function.__doc__
        group.command(name)(run)
        return function

    return register


def _unit_home(home: Path, unit: str | None) -> Path:
    """Where the home of --as lies in `home`; `home` itself without one. Raises Refused settings.invalid."""
    if unit is None:
        return home
    from exchange.node.home import Paths

    return Paths(home).unit(unit).root
