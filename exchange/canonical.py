"""One spelling for everything that is signed or hashed: b64, signed JSON, H and frames (docs/protocol.md §2).

Owns how bytes become values and back, and refuses every second spelling. Does not know what any value means.
"""

from __future__ import annotations

import hashlib
import re
import string
import struct
import unicodedata
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import orjson

from exchange.errors import Refused, Rejected

Json: TypeAlias = Any

MAX_INT: Final = 2**53 - 1
MAX_DEPTH: Final = 8
ZERO32: Final = bytes(32)
_SHORT: Final = 4_096

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
# what base64url doesn't have becomes what base64 doesn't have
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
_FILL: Final = (b"", b"", b"==", b"=")  # after 4n, 4n+1... characters
_ASCII = re.compile(r"[ -~]*\Z")
_DIGITS64: Final = string.ascii_letters + string.digits + "-_"
_LAST: Final = (_DIGITS64, "", "AQgw", "AEIMQUYcgkosw048")  # which may end a text of 4n, 4n+1... characters
HANDLE = re.compile(r"[a-z0-9-]{2,32}\Z")
ADDRESS = re.compile(r"[a-z0-9-]{2,32}(/[a-z0-9-]{2,32})?\Z")
COUNTRY = re.compile(r"([A-Z]{2})?\Z")  # ISO 3166-1 alpha-2, empty for an international organisation
ORIGIN = re.compile(r"https://([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[1-9][0-9]{0,4})?\Z")
RESERVED: Final = frozenset({"hub", "officer", "network", "recovery"})


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return b2a_base64(data, newline=False).translate(_TO_URL, b"=").decode("ascii")


def unb64(text: object, *, size: int | None = None, field: str = "value") -> bytes:
    """Inverse of `b64`, of exactly `size` bytes where given. Raises Rejected json.bad-schema for any other spelling."""
    # The last character must have no bits beyond the last byte: there is one spelling.
    if isinstance(text, str) and text[-1:] in _LAST[len(text) % 4]:
        try:
            digits = text.encode("ascii").translate(_FROM_URL)
            data = a2b_base64(digits + _FILL[len(text) % 4], strict_mode=True)
        except ValueError:  # another character than the 64
            data = None
        if data is not None and (size is None or len(data) == size):
            return data
    raise Rejected("json.bad-schema", f"{field}: not base64url of {size or 'some'} bytes in its one spelling")


def unb64_checked(text: bytes) -> bytes:
    """Inverse of `b64` where the spelling was checked. Raises ValueError for a length that no b64 has."""
    return a2b_base64(text.translate(_FROM_URL) + b"=" * (-len(text) % 4))


def text_b64(text: str) -> str:
    """Human text as it stands in signed JSON: b64 of its NFC UTF-8 bytes."""
    return b64(unicodedata.normalize("NFC", text).encode("utf-8"))


def b64_text(value: object, *, most: int, field: str) -> str:
    """Inverse of `text_b64`, at most `most` bytes. Raises Rejected json.bad-schema."""
    data = unb64(value, field=field)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Rejected("json.bad-schema", f"{field}: not UTF-8") from None
    if len(data) > most or unicodedata.normalize("NFC", text) != text:
        raise Rejected("json.bad-schema", f"{field}: longer than {most} bytes, or not NFC")
    return text


def dumps(value: Json) -> bytes:
    """Signed JSON of `value`. Raises Refused json.not-canonical for what has no form there."""
    _check(value, 1, Refused)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def loads(data: bytes, *, most: int, field: str = "document") -> Json:
    """Inverse of `dumps`, of at most `most` bytes. Raises Rejected json.not-canonical for any other spelling."""
    if len(data) > most:
        raise Rejected("json.not-canonical", f"{field}: {len(data)} bytes, at most {most}")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Rejected("json.not-canonical", f"{field}: not JSON") from None
    # A text without escapes is what stands there: all of them are seen through at once.
    printable = b"\\" not in data and data.isascii() and data.decode("ascii").isprintable()
    if not printable or not _is_plain(value, 1):
        _check(value, 1, Rejected)
    # catches duplicate members, white space, unsorted members, escapes, 1.0, 1e3, -0 and the rest at once
    if orjson.dumps(value, option=orjson.OPT_SORT_KEYS) != data:
        raise Rejected("json.not-canonical", f"{field}: doesn't re-serialise to itself")
    return value


def _is_plain(value: Json, depth: int) -> bool:
    """`_check` where every text is known to be printable ASCII, at a third of the time."""
    kind = type(value)
    if kind is int:
        return bool(0 <= value <= MAX_INT)
    if depth > MAX_DEPTH or kind not in (list, dict):
        return kind is str
    for item in value.values() if kind is dict else value:
        if type(item) is not str and not _is_plain(item, depth + 1):
            return False
    return True


def _check(value: Json, depth: int, error: type[Refused] | type[Rejected]) -> None:
    kind = type(value)
    if kind is str:
        if _ASCII.match(value):
            return
    elif kind is int:
        if 0 <= value <= MAX_INT:
            return
    elif depth > MAX_DEPTH:
        pass
    elif kind is list:
        for item in value:
            _check(item, depth + 1, error)
        return
    elif kind is dict:
        for name, item in value.items():
            _check(name, depth, error)
            _check(item, depth + 1, error)
        return
    raise error(
        "json.not-canonical", "only objects, arrays, printable ASCII and integers 0..2^53-1, 8 levels deep"
    )


class Fields:
    """A closed object read field by field; each reader raises Rejected json.bad-schema naming the field."""

    def __init__(self, value: Json, names: Sequence[str], *, what: str) -> None:
        if type(value) is not dict or set(value) != set(names):
            wanted = ", ".join(sorted(names))
            raise Rejected("json.bad-schema", f"{what}: must have exactly the members {wanted}")
        self._value: Mapping[str, Json] = value
        self._what = what

    def _bad(self, name: str, rule: str) -> Rejected:
        return Rejected("json.bad-schema", f"{self._what}.{name}: {rule}")

    def raw(self, name: str) -> Json:
        return self._value[name]

    def integer(self, name: str, *, least: int = 0, most: int = MAX_INT) -> int:
        value = self._value[name]
        if type(value) is not int or not least <= value <= most:
            raise self._bad(name, f"not an integer {least}..{most}")
        return value

    def exactly(self, name: str, wanted: Json) -> None:
        value = self._value[name]
        if type(value) is not type(wanted) or value != wanted:
            raise self._bad(name, f"must be {wanted!r}")

    def text(self, name: str, *, most: int = 256) -> str:
        value = self._value[name]
        if type(value) is not str or len(value) > most:
            raise self._bad(name, f"not a text of at most {most} characters")
        return value

    def one_of(self, name: str, allowed: Sequence[str] | frozenset[str]) -> str:
        value = self._value[name]
        if type(value) is not str or value not in allowed:
            raise self._bad(name, "not one of the allowed words")
        return value

    def matching(self, name: str, pattern: re.Pattern[str]) -> str:
        value = self._value[name]
        if type(value) is not str or not pattern.match(value):
            raise self._bad(name, "has the wrong form")
        return value

    def address(self, name: str) -> str:
        return self.matching(name, ADDRESS)

    def binary(self, name: str, size: int | None = None) -> bytes:
        return unb64(self._value[name], size=size, field=f"{self._what}.{name}")

    def hash_or_none(self, name: str) -> bytes:
        """32 bytes, or none at all for `""`."""
        return b"" if self._value[name] == "" else self.binary(name, 32)

    def human(self, name: str, *, most: int) -> str:
        return b64_text(self._value[name], most=most, field=f"{self._what}.{name}")

    def rows(self, name: str, width: int, *, most: int, least: int = 0) -> list[list[Json]]:
        """A list of `least`..`most` lists of `width` values each."""
        value = self._value[name]
        if type(value) is not list or not least <= len(value) <= most:
            raise self._bad(name, f"not a list of {least}..{most} rows")
        for row in value:
            if type(row) is not list or len(row) != width:
                raise self._bad(name, f"each row must have {width} values")
        return value

    def items(self, name: str, *, most: int, least: int = 0) -> list[Json]:
        value = self._value[name]
        if type(value) is not list or not least <= len(value) <= most:
            raise self._bad(name, f"not a list of {least}..{most} items")
        return value


def h(net: bytes, label: str, *parts: bytes) -> bytes:
    """H of docs/protocol.md §2: 32 bytes, bound to the network and the label."""
    digest = hashlib.sha256(b"exchange/v1/" + net + label.encode("ascii") + b"\0")
    for part in parts:
        length = struct.pack(">Q", len(part))
        if len(part) <= _SHORT:  # one call for what is copied in no time
            digest.update(length + part)
        else:
            digest.update(length)
            digest.update(part)
    return digest.digest()


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def u32(number: int) -> bytes:
    return struct.pack(">I", number)


def u64(number: int) -> bytes:
    return struct.pack(">Q", number)


def framed(parts: Sequence[bytes]) -> bytes:
    """u32 length || bytes for each part; the form of every binary page (docs/protocol.md §11)."""
    return b"".join(piece for part in parts for piece in (u32(len(part)), part))


def unframed(data: bytes, *, most_items: int, most_bytes: int) -> Iterator[bytes]:
    """Inverse of `framed`. Raises Rejected request.bad on a length that doesn't fit or too many items."""
    position, count = 0, 0
    while position < len(data):
        count += 1
        if count > most_items or position + 4 > len(data):
            raise Rejected("request.bad", f"more than {most_items} frames, or a frame cut short")
        (size,) = struct.unpack_from(">I", data, position)
        position += 4
        if size > most_bytes or position + size > len(data):
            raise Rejected("request.bad", "a frame's length doesn't fit")
        yield data[position : position + size]
        position += size


def is_member_handle(text: str) -> bool:
    """A handle that a member may have (docs/protocol.md §1)."""
    return HANDLE.match(text) is not None and text not in RESERVED


def is_node_address(text: str) -> bool:
    """An address that may have a home and keys: a member's handle, or `member/unit` (docs/protocol.md §1)."""
    return ADDRESS.match(text) is not None and is_member_handle(text.partition("/")[0])
