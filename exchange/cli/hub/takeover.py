"""`exchange hub init --replace SNAPSHOT | --change FILE`: a hub that takes the place of one that is lost.

Owns what these options ask and say; the work is hub/takeover's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exchange.cli.call import Call, now_ms
from exchange.cli.output import pairs, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.hub.takeover import Takeover
    from exchange.settings import HubSettings

_MAX_SEED = 256  # characters
STDIN = Path("-")


def replace(
    call: Call,
    snapshot: Path,
    settings: HubSettings,
    *,
    public_certificate: bool,
    recovery_seed: Path | None,
) -> None:
    """Make the home, and the change of hub for the officers to sign; or signed by the network's printed seed."""
    from exchange.cli.seeds import from_paper
    from exchange.cli.snapshots import read_snapshot
    from exchange.hub import home as hub_home, takeover
    from exchange.keys import PrivateKeys

    found = read_snapshot(snapshot)
    recovery = PrivateKeys(from_paper(_typed(recovery_seed))) if recovery_seed else None
    drafted = takeover.draft(
        call.home,
        found,
        settings,
        unlock=call.unlock(new=not (call.home / hub_home.KEYSTORE).exists()),
        now=now_ms(),
        random=os.urandom,
        public_certificate=public_certificate,
        recovery=recovery,
    )
    call.remember()
    if recovery is not None:
        bring_back(call, [call.home / takeover.CHANGE])
        return
    _tell(call, drafted)


def bring_back(call: Call, files: Sequence[Path]) -> None:
    """Take the officers' signatures from copies that went round; with enough of them the hub can serve."""
    from exchange.cli.officer.network import read_statement_file
    from exchange.hub import takeover

    state = [takeover.complete(call.home, read_statement_file(file), now=now_ms()) for file in files][-1]
    _tell(call, state)


def _tell(call: Call, state: Takeover) -> None:
    from exchange.hub.takeover import CHANGE

    path = call.home / CHANGE
    signed, needed = state.officers
    value: dict[str, Any] = {
        "home": str(call.home),
        "change": str(path),
        "network_digits": state.network_digits,
        "hub_digits": state.hub_digits,
        "size": state.size,
        "at": state.at,
        "officers": [signed, needed],
        "begun": state.begun,
    }
    facts = [
        ("home", str(call.home)),
        ("network digits", state.network_digits),
        ("this hub's digits", state.hub_digits),
        ("goes on after", f"{state.size} statements, the last known at {utc(state.at)}"),
        ("officers", f"{signed} of {needed} signed"),
    ]
    next_step = (
        f"hand {path} and the snapshot to {needed - signed} officers: exchange officer hub-change FILE"
    )
    if state.begun:
        next_step = f"exchange hub serve; and hand {path} to every member: exchange directory import FILE"
    call.out.result(value, pairs(facts), next_step=next_step)


def _typed(source: Path) -> str:
    """The seed as it was typed, from a file or standard input. Raises Refused cli.bad-file."""
    if source == STDIN:
        return sys.stdin.readline(_MAX_SEED)
    try:
        with source.open(encoding="ascii") as file:
            return file.read(_MAX_SEED)
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("cli.bad-file", f"can't read the seed from {source}") from error
