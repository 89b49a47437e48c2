"""How an application is shown to those who sign it, and how the digits they heard are compared with it."""

from __future__ import annotations

from exchange.errors import Refused


def same_digits(heard: str | None, computed: str) -> bool:
    """Whether the digits that a person typed are these; spaces don't matter, and none typed is no."""
    return heard is not None and "".join(heard.split()) == "".join(computed.split())


def check_digits(heard: str | None, computed: str) -> None:
    """Digits that were typed must be these. Raises Refused cli.digits-differ."""
    if heard is not None and not same_digits(heard, computed):
        raise Refused("cli.digits-differ")
