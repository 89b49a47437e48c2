"""`exchange demo`: a hub, two officers and three nodes on this machine, an incident, and proof that the hub can't read.

Owns the run as a whole: options, the folder, ending everything in every case, the exit code. Light to import, like
every command: the parts are imported when it runs.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from exchange.cli.errors import FAILED, NOT_GENUINE, OK
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.demo.processes import Servers

PRIVATE: Final = 0o700
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def register(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command("demo")(demo)


def demo(
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object last on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not tell the story.")] = False,
    sabotage: Annotated[
        int | None, typer.Option(metavar="OFFSET", min=0, help="Flip this byte of one envelope at the hub.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Send these real files too: a file or a folder.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave all up until SIGTERM or Ctrl-C.")] = False,
    homes: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Put the homes here, and keep them.")
    ] = None,
) -> None:
    """Watch three national nodes exchange an incident through a hub that can't read it."""
    with _ending_on_signals(), _folder(homes) as root:
        from exchange.demo.processes import Servers

        logs = root / "logs"
        logs.mkdir(mode=PRIVATE)
        with Servers(logs) as servers:  # first, so that it imports beside us
            value = _run(root, servers, json=json, quiet=quiet, sabotage=sabotage, data=data)
            # whoever reads the object may send the signal at once
            with contextlib.suppress(SystemExit) if keep else contextlib.nullcontext():
                if json:
                    sys.stdout.write(orjson.dumps(value).decode() + "\n")
                    sys.stdout.flush()
                while keep:
                    signal.pause()
    raise typer.Exit(_exit_code(value))


def _run(
    root: Path, servers: Servers, *, json: bool, quiet: bool, sabotage: int | None, data: Path | None
) -> dict[str, Any]:
    from exchange.demo.files import files_of, send_files
    from exchange.demo.network import DemoNetwork
    from exchange.demo.report import report
    from exchange.demo.story import Story
    from exchange.demo.text import Teller

    if data is not None:
        next(files_of(data), None)  # a wrong path is told before anything starts
    teller = Teller(to_stderr=json, quiet=quiet)
    network = DemoNetwork(root, servers)
    teller.say("Two officers sign the genesis; three members apply, are sponsored and approved ...")
    network.set_up()
    teller.say(f"The hub and three nodes are up, under {root}.")
    told = Story(network, teller, sabotage=sabotage).tell()
    value = report(network, told)
    if data is not None:
        value["data"] = send_files(network, data)
        value["ok"] &= value["data"]["objects_verified_byte_identical"] == value["data"]["objects_sent"]
    teller.end(value)
    return value


def _exit_code(value: dict[str, Any]) -> int:
    if value["ok"]:
        return OK
    unverified = not all(message["verified"] for message in value["messages"])
    return NOT_GENUINE if unverified else FAILED


@contextlib.contextmanager
def _folder(homes: Path | None) -> Iterator[Path]:
    """A private folder: the one named, which stays, or a temporary one, which goes. Raises Refused cli.usage."""
    if homes is not None:
        if homes.exists() and any(homes.iterdir()):
            raise Refused("cli.usage", f"{homes} is not empty")
        homes.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        homes.chmod(PRIVATE)
        yield homes.resolve()
        return
    root = Path(tempfile.mkdtemp(prefix="exchange-demo-"))
    try:
        yield root
    finally:
        shutil.rmtree(root)


@contextlib.contextmanager
def _ending_on_signals() -> Iterator[None]:
    """SIGTERM and SIGINT unwind the run, so that every child is ended on the way out."""

    def unwind(number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)  # a second one must not interrupt the ending of children
        raise SystemExit(128 + number)  # of its kind only, an event loop passes it on

    before = {number: signal.signal(number, unwind) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
