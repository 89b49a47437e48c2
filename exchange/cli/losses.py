"""How a command says what a format could not carry, and what is in doubt: each kind once to people, all in JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from exchange.cli.call import Call
from exchange.cli.output import safe

if TYPE_CHECKING:
    from exchange.formats.objects import Loss


def tell(call: Call, losses: Sequence[Loss], *, file: str = "") -> None:
    """Note each kind of loss with its first place and how many more there are."""
    for line in _kinds(losses, file):
        call.out.note(f"not carried: {line}")
    if losses and call.out.quiet:
        of = f" of {safe(file)}" if file else ""
        call.out.warn(f"not carried{of}: {len(losses)} (each kind is named without --quiet)")


def tell_doubts(call: Call, doubts: Sequence[Loss], *, file: str) -> None:
    """Warn of what goes, and may match what is harmless or says a label: each kind of doubt with its first place."""
    for line in _kinds(doubts, file):
        call.out.warn(f"doubtful: {line}")


def _kinds(losses: Sequence[Loss], file: str) -> Iterator[str]:
    alike: dict[tuple[str, str], list[str]] = {}
    for one in losses:
        alike.setdefault((one.what, one.why), []).append(one.place)
    for (what, why), places in alike.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        where = f"{file} {places[0]}".strip() + more
        yield f"{safe(where)}: {safe(what)}: {safe(why)}"


def as_json(losses: Sequence[Loss], *, file: str | None = None) -> list[dict[str, str]]:
    """The losses as a command's JSON has them: [`file` where one is named, `place`, `what`, `why`]."""
    named = {} if file is None else {"file": file}
    return [{**named, "place": one.place, "what": one.what, "why": one.why} for one in losses]
