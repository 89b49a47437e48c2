"""How a command says what a format could not carry: once for each kind of loss to people, every one in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from exchange.cli.call import Call
from exchange.cli.output import safe

if TYPE_CHECKING:
    from exchange.formats.objects import Loss


def tell(call: Call, losses: Sequence[Loss], *, file: str = "") -> None:
    """Note each kind of loss with its first place and how many more there are."""
    alike: dict[tuple[str, str], list[str]] = {}
    for one in losses:
        alike.setdefault((one.what, one.why), []).append(one.place)
    for (what, why), places in alike.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        where = f"{file} {places[0]}".strip() + more
        call.out.note(f"not carried: {safe(where)}: {safe(what)}: {safe(why)}")
    if losses and call.out.quiet:
        of = f" of {safe(file)}" if file else ""
        call.out.warn(f"not carried{of}: {len(losses)} (each kind is named without --quiet)")


def as_json(losses: Sequence[Loss], *, file: str | None = None) -> list[dict[str, str]]:
    """The losses as a command's JSON has them: [`file` where one is named, `place`, `what`, `why`]."""
    named = {} if file is None else {"file": file}
    return [{**named, "place": one.place, "what": one.what, "why": one.why} for one in losses]
