"""Finds where each object of a JSON file begins and ends, so that its exact bytes can be handed on.

Parsing and writing again changes a third of published bundles; signatures and archives need the bytes as
they came. This file owns the strict reading of untrusted JSON (RFC 8259): syntax, UTF-8, sizes, depth, repeated
keys. What the objects mean is `stix`'s business.

A parser and a count of keys find an ordinary file clean; another parser then goes from item to item. Whatever isn't
clean goes through a scanner of our own, token by token, which alone says what is the matter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from exchange.errors import Refused
from exchange.limits import MAX_OBJECTS, MAX_STIX, MAX_STIX_DEPTH


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a file is read. Every step takes time linear in the bytes and memory within `max_values`."""

    max_bytes: int = MAX_STIX
    max_objects: int = MAX_OBJECTS
    max_depth: int = MAX_STIX_DEPTH  # containers within each other; the outermost counts as 1
    # One value can take a hundred times its bytes once it is parsed, so bytes alone don't bound memory.
    max_values: int = 1_000_000


class Span(NamedTuple):
    """One value in the file: data[start:end]; `repeated` names a key that stands twice somewhere within it."""

    start: int
    end: int
    repeated: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file whose syntax holds: the members of its outermost object, and the spans of its items.

    `items` are the elements of the outermost list, or of the list under the key `objects` of the outermost object.
    `repeated` names a key that stands twice outside all items. `depth` is the deepest nesting found.
    """

    data: bytes
    root: Span
    members: dict[str, Span]
    items: tuple[Span, ...]
    repeated: str | None
    depth: int
    known: list[Any] | None = field(default=None, compare=False, repr=False)

    def values(self) -> Iterable[object]:
        """What `parse` gives of each item."""
        return (parse(self.bytes_of(span)) for span in self.items) if self.known is None else self.known

    def bytes_of(self, span: Span) -> bytes:
        """The exact bytes of one span."""
        return self.data[span.start : span.end]

    @property
    def is_object(self) -> bool:
        """Whether the outermost value is an object."""
        return self.data[self.root.start] == _OPEN_OBJECT

    @property
    def is_list(self) -> bool:
        """Whether the outermost value is a list."""
        return self.data[self.root.start] == _OPEN_LIST


_OPEN_OBJECT = ord("{")
_OPEN_LIST = ord("[")
_CLOSE_OBJECT = ord("}")
_CLOSE_LIST = ord("]")
_CONTAINERS: frozenset[type] = frozenset({dict, list})
_BOM = b"\xef\xbb\xbf"

# Possessive quantifiers (*+, ++): no backtracking, so every match takes linear time.
_WS = rb"[ \t\n\r]*+"
_STRING = rb'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
_VALUE = re.compile(
    _WS + rb"(?:(?P<open>[{\[])|(?P<scalar>" + _STRING + rb"|" + _NUMBER + rb"|true|false|null))" + _WS
)
_KEY = re.compile(_WS + rb"(?P<key>" + _STRING + rb")" + _WS + rb":")
_CLOSE = re.compile(_WS + rb"[}\]]" + _WS)
_KEY_ENDS = re.compile(rb'"' + _WS + rb":")
_LONGEST = len("-9223372036854775808")
# Looked for among digits made one: a pattern begins anew at each digit of a UUID or a date, and takes 16 times as long.
_DIGITS = bytes(ord("0") if chr(byte).isascii() and chr(byte).isdigit() else ord(" ") for byte in range(256))
_LONG_NUMBER = b"0" * 19
# Each text whole, so that no number within one is found, or an integer and nothing that makes a double of it.
_NUMBERS = re.compile(_STRING + rb"|(?<![.0-9])(?P<number>-?[0-9]{19,}+)(?![.eE])")
_GAP = re.compile(_WS + rb"[,:]?+" + _WS)  # what may stand between two tokens
_WALKER = json.JSONDecoder(parse_int=str, parse_float=str)  # only where a value ends is of interest


def scan(data: bytes, limits: Limits) -> Document:
    """Read the whole of `data` as one JSON value and note where its items are.

    A UTF-8 byte order mark before the value is skipped (RFC 8259 §8.1 lets a reader do so).

    Raises: Refused `json.too-large`, `json.not-utf8`, `json.bad-syntax` (with the byte offset), `json.too-deep`,
    `json.too-many-values`, `json.too-many-objects`.
    """
    if len(data) > limits.max_bytes:
        raise Refused("json.too-large", f"more than {limits.max_bytes} bytes")
    clean = _clean(data, limits)
    return scan_thoroughly(data, limits) if clean is None else _walk(data, clean)


def scan_thoroughly(data: bytes, limits: Limits) -> Document:
    """As `scan`, without its short way for clean files; it doesn't look at `max_bytes`."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("json.not-utf8", f"not UTF-8 text at byte {error.start}") from None
    return _Scanner(data, limits).run()


class _Frame:
    """One open container: where it began, the keys it had, and what its elements are to the document."""

    __slots__ = ("closer", "holds_items", "key", "keys", "start")

    def __init__(self, start: int, closer: int, *, holds_items: bool) -> None:
        self.start = start
        self.closer = closer
        self.holds_items = holds_items
        self.keys: set[bytes] = set()
        self.key = b""


class _Scanner:
    """The state of one scan. The nesting is kept in a list, so depth never touches Python's own stack."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.data = data
        self.limits = limits
        self.at = len(_BOM) if data.startswith(_BOM) else 0
        self.stack: list[_Frame] = []
        self.members: dict[str, Span] = {}
        self.items: list[Span] = []
        self.repeated: str | None = None
        self.item_repeated: str | None = None
        self.item_level = 0  # how many frames are open around an item; 0 while no list of items is open
        self.depth = 0
        self.values = 0

    def run(self) -> Document:
        root: Span | None = None
        while root is None:
            start, end = self._value()
            if end is None:  # a container was opened: go on inside, unless it is empty
                if not self._closes():
                    self._key()
                    continue
                start, end = self._close()
            root = self._finish(start, end)
        if self.at != len(self.data):
            raise self._bad_syntax()
        return Document(self.data, root, self.members, tuple(self.items), self.repeated, self.depth)

    def _value(self) -> tuple[int, int | None]:
        match = _VALUE.match(self.data, self.at)
        if match is None:
            raise self._bad_syntax()
        self.values += 1
        if self.values > self.limits.max_values:
            raise Refused("json.too-many-values", f"more than {self.limits.max_values} values")
        self.at = match.end()
        start = match.start("scalar")
        if start >= 0:
            return start, match.end("scalar")
        self._open(match.start("open"))
        return match.start("open"), None

    def _open(self, start: int) -> None:
        is_object = self.data[start] == _OPEN_OBJECT
        parent = self.stack[-1] if self.stack else None
        # The items are those of the outermost list, or of the list under `objects` of the outermost object.
        holds_items = not is_object and (
            parent is None or (len(self.stack) == 1 and parent.key == b"objects")
        )
        if holds_items:
            self.item_level = len(self.stack) + 1
        self.stack.append(_Frame(start, ord("}") if is_object else ord("]"), holds_items=holds_items))
        self.depth = max(self.depth, len(self.stack))
        if self.depth > self.limits.max_depth:
            raise Refused("json.too-deep", f"more than {self.limits.max_depth} levels")

    def _closes(self) -> bool:
        return self.at < len(self.data) and self.data[self.at] == self.stack[-1].closer

    def _close(self) -> tuple[int, int]:
        """Close the innermost container, whose closing bracket is next; its span."""
        frame = self.stack.pop()
        end = self.at + 1
        match = _CLOSE.match(self.data, self.at)
        if match is None:
            raise self._bad_syntax()
        self.at = match.end()
        if frame.holds_items:
            self.item_level = 0
        return frame.start, end

    def _finish(self, start: int, end: int) -> Span | None:
        """Note a finished value, close what ends with it, and step to the next; the root's span at the end."""
        while self.stack:
            self._note(start, end)
            if self._closes():
                start, end = self._close()
                continue
            if self.at >= len(self.data) or self.data[self.at] != ord(","):
                raise self._bad_syntax()
            self.at += 1
            self._key()
            return None
        within = (item.repeated for item in self.items)
        return Span(start, end, self.repeated or next((key for key in within if key is not None), None))

    def _note(self, start: int, end: int) -> None:
        frame = self.stack[-1]
        if len(self.stack) == 1 and frame.key:
            self.members[frame.key.decode("utf-8", "replace")] = Span(start, end)
        elif frame.holds_items:
            if len(self.items) >= self.limits.max_objects:
                raise Refused("json.too-many-objects", f"more than {self.limits.max_objects} objects")
            self.items.append(Span(start, end, self.item_repeated))
            self.item_repeated = None

    def _key(self) -> None:
        """Read the key of the next member, when the innermost container is an object."""
        frame = self.stack[-1]
        if frame.closer != ord("}"):
            return
        match = _KEY.match(self.data, self.at)
        if match is None:
            raise self._bad_syntax()
        self.at = match.end()
        key = _decode_key(match["key"])
        frame.key = key
        if key not in frame.keys:
            frame.keys.add(key)
        elif self.item_level and len(self.stack) > self.item_level:
            self.item_repeated = key.decode("utf-8", "replace")
        else:
            self.repeated = key.decode("utf-8", "replace")

    def _bad_syntax(self) -> Refused:
        return Refused("json.bad-syntax", f"not JSON at byte {self.at}", offset=self.at)


def parse(data: bytes) -> object:
    """The value of one span, or None where readers of JSON disagree: a lone surrogate, a number beyond a double."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def holds_long_integer(data: bytes) -> bool:
    """Whether JSON that `scan` took has an integer beyond 64 bits, which `parse` makes another number of."""
    if _LONG_NUMBER not in data.translate(_DIGITS):
        return False
    tokens = (match["number"] for match in _NUMBERS.finditer(data))
    return any(each and (len(each) > _LONGEST or not -(2**63) <= int(each) < 2**64) for each in tokens)


class _Clean(NamedTuple):
    """The value of a file that is an object and has nothing in it that `scan` would complain of or note."""

    value: dict[str, Any]
    depth: int


def load(data: bytes, limits: Limits) -> dict[str, Any] | None:
    """The value of a whole file that is an object and has nothing in it that `scan` would complain of or note.

    None for every other one, and for some that are long: `scan` says what is the matter. Where only values are wanted
    this takes half of the time.
    """
    if _LONG_NUMBER in data.translate(_DIGITS):
        return None  # orjson makes a float of an integer beyond 64 bits
    clean = _clean(data, limits)
    return None if clean is None else clean.value


def _clean(data: bytes, limits: Limits) -> _Clean | None:
    if len(data) > limits.max_bytes:
        return None
    if (
        len(data) > limits.max_values
    ):  # every value is the first one, follows a comma, or is the first in a container
        values = 1 + data.count(b",") + data.count(b"{") + data.count(b"[")
        if values > limits.max_values:
            return None
    value = parse(data)
    if not isinstance(value, dict):
        return None
    items = value.get("objects")
    if isinstance(items, list) and len(items) > limits.max_objects:
        return None
    keys, depth = _count_keys(value, limits.max_depth)
    # Without escaped quotation marks each one left begins or ends a text. A text that begins with a colon looks like
    # one key more: then there are too many of them here, never too few.
    bare = data.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in data else data
    return _Clean(value, depth) if keys == len(_KEY_ENDS.findall(bare)) else None


def _count_keys(root: dict[str, Any], max_depth: int) -> tuple[int, int]:
    """How many keys all objects have together, a key that stood twice counted once, and how deep they lie.

    -1 keys: deeper than `max_depth`.
    """
    keys, level = 0, [root]
    for depth in range(1, max_depth + 1):
        inner: list[Any] = []
        for container in level:
            if type(container) is dict:
                keys += len(container)
                inner += [each for each in container.values() if type(each) in _CONTAINERS]
            else:
                inner += [each for each in container if type(each) in _CONTAINERS]
        if not inner:
            return keys, depth
        level = inner
    return -1, max_depth


def _walk(data: bytes, clean: _Clean) -> Document:
    """The spans of a clean file. Read as Latin-1 it has its structure at the same places, one character a byte."""
    text = data.decode("latin-1")

    def after(at: int) -> int:
        return _GAP.match(data, at).end()  # type: ignore[union-attr]  # it matches nothing, too

    members: dict[str, Span] = {}
    items: list[Span] = []
    start = after(0)
    at = after(start + 1)
    while data[at] != _CLOSE_OBJECT:
        _, end = _WALKER.raw_decode(text, at)
        key = _decode_key(data[at:end])
        value = after(end)
        if key == b"objects" and data[value] == _OPEN_LIST:
            at = after(value + 1)
            while data[at] != _CLOSE_LIST:
                _, end = _WALKER.raw_decode(text, at)
                items.append(Span(at, end))
                at = after(end)
            end = at + 1
        else:
            _, end = _WALKER.raw_decode(text, value)
        if key:
            members[key.decode()] = Span(value, end)
        at = after(end)
    known = clean.value["objects"] if items else []
    return Document(data, Span(start, at + 1), members, tuple(items), None, clean.depth, known)


def _decode_key(token: bytes) -> bytes:
    """The key a string token stands for: `"a"` and `"\\u0061"` are the same key."""
    if b"\\" not in token:
        return token[1:-1]
    try:
        text: str = orjson.loads(token)
    except orjson.JSONDecodeError:  # a lone surrogate: whoever parses the object will refuse it
        return token[1:-1]
    return text.encode()
