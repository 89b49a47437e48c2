"""Objects that were made of something else, on their way to a message: as a file for `node send`, or sent at once.

Owns how both are done. What the objects are, and whether somebody agreed, is each command's own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exchange.errors import Refused
from exchange.formats.making import as_bundle
from exchange.formats.objects import RawObject
from exchange.storage.files import write_private

if TYPE_CHECKING:
    from exchange.cli.compose import Composed, Flags
    from exchange.cli.node.home import Opened


@dataclass(frozen=True)
class Draft:
    """Objects under a name, which a message without a subject gets as its subject."""

    name: str
    objects: tuple[RawObject, ...]


def write_draft(path: Path, draft: Draft) -> None:
    """Write it as a STIX bundle that only this user may read. Raises Refused cli.bad-file where a file is already."""
    if path.exists():
        raise Refused("cli.bad-file", f"{path} is there already")
    write_private(path, as_bundle(draft.objects))


def composed_draft(
    home: Opened,
    draft: Draft,
    flags: Flags,
    recipients: Sequence[str],
    *,
    new_uuid: Callable[[], uuid.UUID] = uuid.uuid4,
) -> Composed:
    """The message that `node send` would make of it as a file. Raises Refused as that does."""
    from exchange.cli.call import now_ms
    from exchange.cli.compose import ReadFiles
    from exchange.cli.node.send import compose_for

    read = ReadFiles(files=(Path(draft.name),), objects=draft.objects)
    return compose_for(home, flags, read, recipients, now=now_ms(), new_uuid=new_uuid)
