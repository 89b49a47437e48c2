"""How a vector with a delivery is made: sealed with a flaw, or a good one changed afterwards. Knows no single flaw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exchange.canonical import b64, unb64
from tests.vectors.makers.case import Case, Made, committed
from tests.vectors.makers.network import NOW, SIZE
from tests.vectors.makers.sealing import join, seal, split

TRANSPORT, HOLD, REJECTED = "transport", "hold", "rejected"


def sealed(
    name: str,
    why: str,
    expect: str = "ok",
    outcome: str = "",
    *,
    me: str = "co",
    index: int = 0,
    now: int = NOW,
    size: int = SIZE,
    marks: tuple[str, ...] = (),
    area: str = "envelope_open",
    magic: bytes = b"EXD1",
    **how: Any,
) -> Case:
    """Sealed for this vector, with a flaw under the signature or none at all."""

    def make() -> Made:
        one = seal(name, **how)
        given = {"delivery": b64(one.delivery(index, magic)), "me": me, "now": now, "directory_size": size}
        facts = dict(one.facts)
        facts["nonce"] = facts.pop("nonces")[me] if expect == "ok" else ""
        return given, {**facts, "marks": list(marks)} if expect == "ok" else None

    return Case(area, name, why, make, expect, outcome, fixed=False)


def mutated(
    name: str,
    why: str,
    expect: str,
    change: Callable[[list[bytes]], list[bytes] | bytes],
    *,
    of: str = "three_recipients",
    area: str = "envelope_open",
) -> Case:
    """A good vector with something done to its pieces: magic, header, signatures, slot, body."""

    def make() -> Made:
        given = committed(area, of)["input"]
        parts = change(split(unb64(given["delivery"])))
        data = (
            parts if isinstance(parts, bytes) else join(parts[0], parts[1], parts[2], parts[3:-1], parts[-1])
        )
        return {**given, "delivery": b64(data)}, None

    return Case(area, name, why, make, expect, TRANSPORT)


def flip(part: int, at: int, bit: int = 1) -> Callable[[list[bytes]], list[bytes]]:
    def change(parts: list[bytes]) -> list[bytes]:
        data = bytearray(parts[part])
        data[at] ^= bit
        return [*parts[:part], bytes(data), *parts[part + 1 :]]

    return change
