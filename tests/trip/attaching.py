"""What a person at a node does with attachments, without a process of a command for each: attach, ask, take out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from exchange.limits import DAY_MS
from exchange.node.app import real_sources
from exchange.node.attachments.desk import AttachmentDesk
from exchange.node.doors.doors import Doors
from exchange.node.mail.desk import Desk
from exchange.node.store.outbox import Outgoing
from tests.trip.network import NodeSide


@contextmanager
def sitting(node: NodeSide) -> Iterator[tuple[Desk, AttachmentDesk]]:
    """The desks of its user, beside whatever process owns the home."""
    home, sources = node.home, real_sources()
    store = home.open_store(owner=False)
    try:
        desk = Desk(store, sources, who="analyst")
        doors = Doors(store, sources, address=node.handle, who="analyst")
        yield desk, AttachmentDesk(store, home.identity(), sources, desk=desk, doors=doors)
    finally:
        store.db.close_sync()


def send_with(
    node: NodeSide,
    to: Sequence[str],
    files: Sequence[Path],
    *,
    malware: bool = False,
    urgency: str = "routine",
) -> str:
    """Queue an alert with these files, as `send --attach` does; the message's id."""
    message = node.alert(node.identity, "Files", urgency=urgency, size=0)
    outgoing = Outgoing(
        message.id, "stix", urgency, message.created, message.created + DAY_MS, message.bundle
    )
    with sitting(node) as (desk, attachments):
        attached = [attachments.attach(file, malware=malware) for file in files]
        assert desk.submit(outgoing, to, attached)
    node.poke()
    return message.id


def want(node: NodeSide, message: str) -> None:
    """Ask for all that came with a message."""
    with sitting(node) as (_, attachments):
        attachments.want(message, None)
    node.poke()


def states(node: NodeSide, message: str) -> list[str]:
    """How what came with a message stands."""
    with sitting(node) as (_, attachments):
        return [one.state for one in attachments.come(message)]
