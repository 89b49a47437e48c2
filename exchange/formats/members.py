"""Reads a JSON object member by member and remembers what was taken: whatever is left at the end is a loss.

So no format can drop silently what its author didn't think of. What a member means is each format's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import fields
from typing import Any, Final

from exchange.errors import Refused
from exchange.formats.objects import Loss
from exchange.message import Message

MAX_LOSSES: Final = 1_000  # of one file; what is more is counted
# Of a message: what everything that is written of it tells, and what is no fact of it.
_NOT_SAID: Final = ("id", "tlp", "bundle", "object_count")


class Losses:
    """What a file says and the objects made of it don't, the first thousand by name."""

    def __init__(self) -> None:
        """Nothing lost yet."""
        self._named: list[Loss] = []
        self._members = Counter[tuple[str, str, str]]()
        self._more = 0

    def members(self, object_type: str, names: Iterable[str], why: str) -> None:
        """Count members that objects of a type have and nothing says, each a loss of its own at the end."""
        for name in names:
            kind = (object_type[:64], name[:64], why)
            if kind in self._members or len(self._members) < MAX_LOSSES:
                self._members[kind] += 1
            else:
                self._more += 1

    def message(self, message: Message, said: Collection[str], why: str) -> None:
        """The facts of a message's cover that nothing says, in one loss."""
        plain = {each.name: each.default for each in fields(message) if each.name not in (*_NOT_SAID, *said)}
        told = [name for name, default in plain.items() if getattr(message, name) not in (None, default)]
        if told:
            self.add("message", ", ".join(told), why)

    def add(self, place: str, what: str, why: str) -> None:
        """Note one; `what` is a field's name or a count, never a value that may be confidential."""
        if len(self._named) < MAX_LOSSES:
            self._named.append(Loss(place, what, why))
        else:
            self._more += 1

    def all(self) -> tuple[Loss, ...]:
        """Every loss, in the order in which they were noted."""
        counted = (
            Loss(f"objects of type {object_type}", f"{name} of {count}", why)
            for (object_type, name, why), count in sorted(self._members.items())
        )
        found = (*self._named, *counted)
        if not self._more:
            return found
        return (*found, Loss("elsewhere", f"{self._more} more losses", "too many to name each"))


class Members:
    """One object of a file. Each member is handed out as the type that it should have, or is a loss."""

    def __init__(self, value: object, place: str, losses: Losses) -> None:
        """`value` counts as an object without members if it is none; `place` is a JSON pointer."""
        self._values: dict[str, Any] = value if isinstance(value, dict) else {}
        self._left = dict.fromkeys(self._values)
        self.place = place
        self._losses = losses

    def __bool__(self) -> bool:
        """Whether it has any member."""
        return bool(self._values)

    def names(self) -> tuple[str, ...]:
        """The names of its members, in the file's order."""
        return tuple(self._values)

    def raw(self, name: str) -> Any:  # noqa: ANN401 - a value of JSON may be of any type
        """The member as it is; None when it isn't there."""
        self._left.pop(name, None)
        return self._values.get(name)

    def text(self, name: str) -> str:
        """A text; empty when it isn't there."""
        value = self.raw(name)
        if isinstance(value, str):
            return value
        if value is not None:
            self._mistyped(name, "a text")
        return ""

    def needed(self, name: str) -> str:
        """A text that must be there. Raises Refused `format.bad-file`."""
        value = self.text(name)
        if not value.strip():
            raise Refused("format.bad-file", f"{self.place}/{name} is missing")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts; those that are none are losses."""
        return [each for _, each in self._items(name, str, "a text")]

    def object(self, name: str) -> Members:
        """An object; without members when it isn't there."""
        value = self.raw(name)
        if value is not None and not isinstance(value, dict):
            self._mistyped(name, "an object")
        return Members(value, f"{self.place}/{name}", self._losses)

    def objects(self, name: str) -> Iterator[Members]:
        """A list of objects, one by one; what is none is a loss."""
        for number, each in self._items(name, dict, "an object"):
            yield Members(each, f"{self.place}/{name}/{number}", self._losses)

    def _items(self, name: str, kind: type, wanted: str) -> Iterator[tuple[int, Any]]:
        value = self.raw(name)
        if value is not None and not isinstance(value, list):
            self._mistyped(name, "a list")
            return
        for number, each in enumerate(value or ()):
            if isinstance(each, kind):
                yield number, each
            else:
                self._mistyped(f"{name}/{number}", wanted)

    def lost(self, name: str, why: str) -> None:
        """Give a member up, saying why. It need not be there."""
        if name in self._values:
            self._left.pop(name, None)
            self._losses.add(f"{self.place}/{name}", name, why)

    def end(self) -> None:
        """Everything that nobody took is lost: say so."""
        for name in self._left:
            self._losses.add(f"{self.place}/{name}"[:200], name[:64], "no place for it is known")
        self._left.clear()

    def _mistyped(self, name: str, wanted: str) -> None:
        self._losses.add(f"{self.place}/{name}", name, f"it should be {wanted}")
