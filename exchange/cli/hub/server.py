"""`exchange hub serve`: the verb, and reading its arguments without the libraries that read all others.

A server keeps for months what it was started with: typer, and pydantic with it, are a tenth of an idle hub's memory.
Whatever isn't plain - help, a mistake, `--home=PATH` - is left to them (app.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exchange.cli.call import Call, default_home
from exchange.cli.errors import INTERRUPTED, OK
from exchange.cli.output import Output, reader_left
from exchange.errors import ExchangeError

if TYPE_CHECKING:
    from exchange.hub.app import Listening

WORDS: Final = ("hub", "serve")
SWITCHES: Final = ("--json", "--quiet", "--yes")
PATHS: Final = ("--home", "--key-file", "--passphrase-file")


def serve(call: Call) -> None:
    """Serve until SIGTERM or Ctrl-C. Prints `ready` and the address once it listens."""
    from exchange import logs
    from exchange.hub import app, home

    logs.configure()
    settings = home.load_settings(call.home)
    keystore = home.open_keystore(call.home, call.unlock())

    def ready(where: Listening) -> None:
        value = {"host": where.host, "port": where.port, "origin": settings.origins[0]}
        call.out.ready(
            value, f"ready: hub at {settings.origins[0]}, listening on {where.host} port {where.port}"
        )

    app.run(call.home, settings, keystore, ready=ready)


def run_plain(arguments: Sequence[str]) -> int | None:
    """Serve if that is what `arguments` say plainly; the exit code (docs/cli.md), None if typer must read them."""
    call = plain_call(arguments)
    if call is None:
        return None
    try:
        serve(call)
    except ExchangeError as error:
        return call.out.error(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return reader_left()
    return OK


def plain_call(arguments: Sequence[str]) -> Call | None:
    """The call that `arguments` are, as typer would read them; None if that is for typer to say."""
    if tuple(arguments[: len(WORDS)]) != WORDS:
        return None
    rest, switches, paths = list(arguments[len(WORDS) :]), set[str](), dict[str, Path]()
    while rest:
        option = rest.pop(0)
        if option in SWITCHES:
            switches.add(option)
        elif option in PATHS and option not in paths and rest and rest[0] and not rest[0].startswith("-"):
            paths[option] = Path(rest.pop(0))
        else:
            return None
    home = paths.get("--home")
    if home is None:
        named = os.environ.get("EXCHANGE_HOME")
        home = Path(named) if named else default_home("hub")
    return Call(
        home,
        Output(json="--json" in switches, quiet="--quiet" in switches),
        "--yes" in switches,
        passphrase_file=paths.get("--passphrase-file"),
        key_file=paths.get("--key-file"),
    )
