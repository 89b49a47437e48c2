"""What a format is to the others: how its files are told apart, what reads them, what writes a message in it.

Owns these shapes, and that a file is scanned as JSON at most once. The table of formats is `registry`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from exchange.errors import Refused
from exchange.formats.objects import Loaded, Loss
from exchange.formats.stix.spans import Document, Limits, holds_long_integer, parse, scan
from exchange.message import Message

_LEVELS_AROUND = 8  # of a fact within our extension, of an object, of a bundle
# What makes a file no JSON at all. Any other refusal of the scan is of JSON that is over a limit.
_NOT_JSON = ("json.bad-syntax", "json.not-utf8")


@dataclass(frozen=True)
class Source:
    """A file as it came: its name, which may tell a format but is trusted for nothing else, and its bytes.

    `at` is when it is read, in ms, for formats whose files may tell no times; 0 is unknown. `columns` says which column
    of a table is what, where its header doesn't: `{"value": "2"}`, counted from 1, or by its name.
    """

    name: str
    data: bytes = field(repr=False)
    limits: Limits = field(default_factory=Limits)
    at: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def document(self) -> Document | None:
        """The file as JSON, None when it is none. Raises: Refused `json.*` where it is JSON beyond the limits."""
        found = self._scanned
        return None if isinstance(found, Refused) and found.code in _NOT_JSON else self.scanned()

    def scanned(self) -> Document:
        """The file as JSON, for a reader of JSON. Raises: Refused `json.*` where it is none within the limits."""
        if isinstance(self._scanned, Refused):
            raise self._scanned
        return self._scanned

    def value(self, limits: Limits) -> object:
        """The whole file as one JSON value, for a reader that keeps parts of it in objects of its own making.

        Raises: Refused `json.*` as `scanned`, and where it is too deep to stand in such an object; `format.bad-file`
        where two readers of JSON could understand it differently.
        """
        document = self.scanned()
        value = parse(document.bytes_of(document.root))
        if value is None or holds_long_integer(self.data):
            raise Refused("format.bad-file", "it has a text or number that JSON readers can't agree on")
        if document.root.repeated is not None:
            raise Refused("format.bad-file", "a member stands twice in it, so it can be read in two ways")
        if document.depth + _LEVELS_AROUND > limits.max_depth:
            raise Refused(
                "json.too-deep", f"more than {limits.max_depth - _LEVELS_AROUND} levels in the file"
            )
        return value

    @cached_property
    def _scanned(self) -> Document | Refused:
        try:
            return scan(self.data, self.limits)
        except Refused as refusal:
            return refusal


@dataclass(frozen=True, slots=True)
class Written:
    """A message in another format, and what of it that format has no place for."""

    data: bytes
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its name on the command line, and what it is called among people (not translated).

    `recognise` looks at a file as briefly as it can, `read` takes a recognised file and raises Refused for one that it
    can't read as a whole; both are None for a format that is only written.
    `write` raises Refused for a message that has no form in it; None is a format that is only read.
    """

    name: str
    title: str
    recognise: Callable[[Source], bool] | None = None
    read: Callable[[Source, Limits], Loaded] | None = None
    write: Callable[[Message], Written] | None = None
