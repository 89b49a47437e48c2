"""How attachments look on a terminal and as JSON: in lists, under a message, and while they come or go."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from exchange.cli.call import Call
from exchange.cli.output import one_line, safe, table

if TYPE_CHECKING:
    from exchange.node.attachments.desk import Shown

_SECONDS: Final = 2.0  # between two words on how far it is
_STATES: Final = {
    "offered": "at the hub",
    "wanted": "being fetched",
    "here": "here, sealed",
    "gone": "gone",
    "bad": "REFUSED",
    "waiting": "on its way to the hub",
    "there": "at the hub",
    "dropped": "sent",
}


def attachment_json(one: Shown) -> dict[str, Any]:
    """As commands give it in JSON (docs/cli.md)."""
    return {
        "n": one.n,
        "name": one.name,
        "bytes": one.attachment.size,
        "media_type": one.attachment.media_type,
        "malware": one.attachment.malware,
        "sha256": one.attachment.digest.hex(),
        "state": one.state,
        "done": one.have,
        "of": one.of,
        "code": one.code,
    }


def attachment_table(found: Sequence[Shown]) -> list[str]:
    """One line each."""
    head = ("n", "name", "bytes", "type", "state")
    cells = [(str(one.n), one.name, str(one.attachment.size), _type(one), _state(one)) for one in found]
    return table(head, cells)


def attachment_lines(found: Sequence[Shown]) -> list[str]:
    """Under a message: what came with it. Nothing where nothing did."""
    if not found:
        return []
    count = len(found)
    return ["", f"{count} attachment{'s' if count > 1 else ''}:", *attachment_table(found)]


def tell_progress(call: Call) -> Callable[[Sequence[Shown]], None]:
    """Says on stderr, every other second, how far what is under way has come, or why it doesn't."""
    said, before = time.monotonic(), list[str]()

    def tell(found: Sequence[Shown]) -> None:
        nonlocal said, before
        going = [f"{one_line(one.name)}: {_because(one, _share(one))}" for one in found if not one.is_settled]
        if going == before or time.monotonic() - said < _SECONDS:
            return
        said, before = time.monotonic(), going
        for line in going:
            call.out.note(line)

    return tell


def _type(one: Shown) -> str:
    return f"MALWARE {one.attachment.media_type}" if one.attachment.malware else one.attachment.media_type


def _state(one: Shown) -> str:
    state = _STATES.get(one.state, one.state)
    if not one.is_settled or (one.state == "offered" and one.have):
        state += f", {_share(one)}"
    return _because(one, state)


def _because(one: Shown, what: str) -> str:
    return f"{what} ({safe(one.code)})" if one.code else what


def _share(one: Shown) -> str:
    return f"{one.have} of {one.of} bytes"
