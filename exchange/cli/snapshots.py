"""What the commands share about snapshots: reading the file, and what people are told of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from exchange.cli.output import utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.directory.checkpoint import Checkpoint
    from exchange.directory.snapshot import Snapshot
    from exchange.directory.state import Directory


def read_snapshot(path: Path) -> Snapshot:
    """A snapshot's file, not verified yet. Raises Refused cli.bad-file; Rejected snapshot.bad-format."""
    from exchange.directory.snapshot import MAX_SNAPSHOT, Snapshot

    try:
        with path.open("rb") as file:
            data = file.read(MAX_SNAPSHOT + 1)
    except OSError as error:
        raise Refused("cli.bad-file", f"can't read {path}") from error
    return Snapshot.from_bytes(data)


def snapshot_facts(
    snapshot: Snapshot, directory: Directory, checkpoint: Checkpoint
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What a verified snapshot is, as a value and for people."""
    from exchange.keys import digits

    value: dict[str, Any] = {
        "network": directory.name,
        "digits": digits(directory.net),
        "size": directory.size,
        "root": directory.root().hex(),
        "at": checkpoint.at,
        "term": checkpoint.term,
        "hub": directory.hub.address,
        "level": snapshot.level,
        "members": len(directory.members),
        "parts": len(snapshot.parts),
    }
    facts = [
        ("network", directory.name),
        ("digits", value["digits"]),
        ("statements", str(directory.size)),
        ("signed by the hub at", utc(checkpoint.at)),
        ("hub", directory.hub.address),
        ("level", snapshot.level),
        ("members", str(len(directory.members))),
        ("parts", str(len(snapshot.parts))),
    ]
    return value, facts
