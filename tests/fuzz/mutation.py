"""Spoils good examples: bytes flipped, cut, doubled and swapped; JSON turned inside out, also where it lies in base64.

Everything is drawn from the `Random` that is handed in: the same one gives the same bytes. Owns how, not what.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, Final

from exchange.canonical import b64, unb64
from exchange.errors import Rejected

MOST: Final = 4  # faults at once
DEEP: Final = (9, 65, 1_100)  # levels: over that of signed JSON, of STIX, of the JSON reader
NUMBERS: Final = (-1, 0, 1, 255, 256, 2**31, 2**32 - 1, 2**53 - 1, 2**53, 2**63, 2**64 - 1, 2**64, 10**30)
VALUES: Final[tuple[Any, ...]] = (
    *NUMBERS,
    None,
    True,
    0.5,
    1e308,
    "",
    "a",
    "hub",
    "é",
    "\x00",
    "\u202e",
    "A" * 300,
    [],
    {},
    [[]],
    [{}],
    {"": ""},
)
BAD_BYTES: Final = (
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\x00",
    b"\xf4\x90\x80\x80",
    b"\\ud800",
    b"\xef\xbb\xbf",
)
LENGTHS: Final = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01")


def spoilt(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """One of the good examples with one fault or several."""
    data = chance.choice(seeds)
    for _ in range(chance.randint(1, MOST)):
        data = fault(data, seeds, chance)
    return data


def fault(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """One more fault: in the structure where there is one, else in the bytes."""
    if chance.random() < 0.6:
        changed = _in_json(data, chance)
        if changed is not None:
            return changed
    return _in_bytes(data, seeds, chance)


def _in_bytes(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    first, second = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    before, piece, after = data[:first], data[first : min(second, first + 64)], data[first:]
    other = chance.choice(seeds)
    bit = bytes([after[0] ^ (1 << chance.randrange(8))]) if after else b""
    return chance.choice(
        (
            before + bit + after[1:],
            before,
            before + after[len(piece) :],
            before + piece + after,
            before + chance.choice(BAD_BYTES) + after,
            before + chance.choice(LENGTHS) + after[4:],
            before + other[chance.randint(0, len(other)) :],
            before + chance.randbytes(chance.randint(1, 16)) + data[second:],
        )
    )


def _in_json(data: bytes, chance: random.Random) -> bytes | None:
    """`data` with a fault in its JSON, spelt as signed JSON is; None where it is no JSON of ours."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if chance.random() < 0.05:  # the same member twice, which no tree can hold
        return data.replace(b"{", b'{"v":1,', 1)
    try:
        return _spelt(_changed(value, chance))
    except (ValueError, RecursionError):  # a lone surrogate, or deep already
        return None


def _spelt(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode("utf-8")


def _changed(value: Any, chance: random.Random) -> Any:
    """`value` with one place in it changed: walks down at random, and into JSON that lies in base64."""
    inside: list[Any] = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    if inside and chance.random() < 0.75:
        where = chance.choice(inside)
        below = _changed(value[where], chance)
        if isinstance(value, dict):
            return {**value, where: below}
        return [*value[:where], below, *value[where + 1 :]]
    if isinstance(value, str) and (hidden := _hidden(value)) is not None and chance.random() < 0.8:
        changed = _in_json(hidden, chance)
        return b64(changed if changed is not None else _in_bytes(hidden, (hidden,), chance))
    return _other(value, chance)


def _hidden(text: str) -> bytes | None:
    """The bytes that `text` is the base64 of, if it may be."""
    if len(text) < 8:
        return None
    try:
        return unb64(text)
    except Rejected:
        return None


def _other(value: Any, chance: random.Random) -> Any:
    """Another value in the place of this one: often one much like it."""
    alike: list[Any] = []
    if isinstance(value, dict):
        gone = chance.choice([*value, ""])
        alike += [
            {name: each for name, each in value.items() if name != gone},
            {**value, chance.choice(("x", "v", "é", "type")): chance.choice(VALUES)},
        ]
    if isinstance(value, list):
        alike += [[*value, *value], value[::-1]]
    if isinstance(value, str):
        at = chance.randint(0, len(value))
        alike += [value[:at] + chance.choice(("", "A", "é", "\x7f", '"', "\n")) + value[at + 1 :]]
    if isinstance(value, int):
        alike += [value + 1, value - 1, -value, chance.choice(NUMBERS)]
    if chance.random() < 0.1:
        deep: Any = value
        for _ in range(chance.choice(DEEP)):
            deep = [deep]
        alike = [deep]
    return chance.choice([*alike, chance.choice(VALUES)])
