"""`--data`: real files go through the network, each as one message, and every object is compared at every recipient.

Owns the walk over the files and the comparison. Which objects are valid is the formats' business, as for any message.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from exchange.cli.call import now_ms
from exchange.cli.compose import Flags, ReadFiles, read_files
from exchange.cli.node.home import Opened
from exchange.cli.node.send import compose_for, submit
from exchange.demo.network import BB, CO, PE, DemoNetwork
from exchange.demo.processes import until
from exchange.errors import Refused
from exchange.formats.stix.cover import carried_objects, read_message
from exchange.node.store.outbox import ENDED

RECIPIENTS: Final = (CO, BB)
LEFT_OUT: Final = ("INDEX.json",)  # and *.md: they describe the collection
AT_ONCE: Final = 16
SECONDS: Final = 300.0


@dataclass
class _Count:
    """What the JSON says (docs/cli.md)."""

    files: int = 0
    sent: int = 0
    objects_sent: int = 0
    identical: int = 0


def send_files(network: DemoNetwork, path: Path) -> dict[str, Any]:
    """Send every file of `path` from pe to the others; the `data` member of the demo's JSON.

    Raises Refused cli.bad-file; Unavailable cli.timeout.
    """
    count, aside = _Count(), []
    queued: list[tuple[str, list[bytes]]] = []
    pe = network.nodes[PE]
    root = path if path.is_dir() else path.parent
    with pe.opened() as home:
        for file in files_of(path):
            count.files += 1
            name = str(file.relative_to(root))
            read = read_files([file], at=now_ms())
            message_id, objects, reasons = _send(home, file.name, read)
            aside += [{"file": name, "object": each, "reason": reason} for each, reason in reasons]
            if message_id:
                queued.append((message_id, objects))
            if len(queued) % AT_ONCE == 0:
                pe.poke()  # it seals and uploads while the next files are read
        pe.poke()
        for message_id, _ in queued:
            until("every file has arrived", partial(_is_done, home, message_id), seconds=SECONDS)
    for at_all in _compare(network, queued):
        count.objects_sent += len(at_all)
        count.identical += sum(at_all)
        count.sent += any(at_all)
    return {
        "files": count.files,
        "sent": count.sent,
        "set_aside": aside,
        "objects_sent": count.objects_sent,
        "objects_verified_byte_identical": count.identical,
    }


def files_of(path: Path) -> Iterator[Path]:
    """The file, or every file of the folder in order, without what describes it. Raises Refused cli.bad-file."""
    if not path.exists():
        raise Refused("cli.bad-file", f"there is no {path}")
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and file.name not in LEFT_OUT and file.suffix != ".md":
            yield file


def _send(home: Opened, name: str, read: ReadFiles) -> tuple[str, list[bytes], list[tuple[str, str]]]:
    """Queue one file: the message's id (empty if nothing went), its objects' bytes, and what was set aside, why."""
    reasons = [(one.object, f"{one.code}: {one.reason}") for one in read.set_aside]
    try:
        flags = Flags(kind="alert", urgency="routine", subject=name)
        composed = compose_for(home, flags, read, RECIPIENTS, now=now_ms())
    except Refused as refusal:
        reasons += [(each.id, f"{refusal.code}: {refusal.detail}") for each in read.objects]
        return "", [], reasons
    submit(home, composed, RECIPIENTS, separate=False)
    return composed.message.id, [each.data for each in read.objects], reasons


def _is_done(home: Opened, message_id: str) -> bool:
    return all(copy.state in ENDED for copy in home.desk.sent(message_id).addressees)


def _compare(network: DemoNetwork, queued: list[tuple[str, list[bytes]]]) -> Iterator[list[bool]]:
    """For each message: for each object, whether every recipient holds these very bytes in its place."""
    held: list[dict[str, list[bytes]]] = []
    for member in RECIPIENTS:
        with network.nodes[member].opened() as home:
            ids = {message_id for message_id, _ in queued}
            held.append({one: _carried(home, one) for one in ids})
    for message_id, objects in queued:
        copies = [copy[message_id] for copy in held]
        yield [
            all(len(copy) == len(objects) and copy[place] == data for copy in copies)
            for place, data in enumerate(objects)
        ]


def _carried(home: Opened, message_id: str) -> list[bytes]:
    try:
        return carried_objects(read_message(home.desk.find(message_id)[-1].payload))
    except Refused:
        return []  # it never came
