"""Runs something that may be refused, for properties in which either is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from exchange.errors import ExchangeError

T = TypeVar("T")


def attempt(make: Callable[[], T]) -> tuple[T | None, ExchangeError | None]:
    """What `make` gives, or the error of ours that it raises; anything else it raises goes on."""
    try:
        return make(), None
    except ExchangeError as fault:
        return None, fault
