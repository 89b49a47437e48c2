"""Reads lists of indicators as CSV, whatever their columns are called. Writing one is `indicators/sheet`'s.

Columns are known by their headers in four languages, or are said; a list without a header is known by its values. A
line that can't be read is set aside with its number and the reason, and the rest goes on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from exchange.directory.addressing import folded
from exchange.errors import Refused
from exchange.formats.indicators.columns import Columns, cell_of, columns_of
from exchange.formats.indicators.defang import defang
from exchange.formats.indicators.indicator import Indicator, Kind, kind_named, recognised, stix_object
from exchange.formats.indicators.refang import refang
from exchange.formats.making import Room, reference
from exchange.formats.members import Losses
from exchange.formats.objects import Loaded, RawObject, SetAside
from exchange.formats.source import Source
from exchange.formats.spreadsheet import STRANGE, decoded, delimiter_of, is_quoted, rows
from exchange.formats.stix.spans import Limits
from exchange.formats.stix.time import from_iso, to_stix
from exchange.pap import pap_of_tag, pap_of_word
from exchange.tlp import Tlp, read_label

FORMAT: Final = "csv"
MAX_LABELS: Final = 32
MAX_NAME: Final = 250  # characters
_ENDINGS: Final = (".csv", ".tsv")
MAX_REASONS: Final = 1_000  # lines set aside that are named; what is more is counted
_SAMPLE: Final = 20  # rows by which a list without a header is known
MAX_BLANK: Final = 1_000  # rows, empty ones included, within which they stand
_CONFIDENCE: Final = {
    word: number
    for number, words in {
        15: "low baja baixa faible",
        50: "medium media moyenne",
        85: "high alta elevee",
    }.items()
    for word in words.split()
}
_URL: Final = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&()*+,;=%-]{1,500}\Z")


def recognise(source: Source) -> bool:
    """Whether it is no JSON, and is called a list, or its first row is a header of ours or holds an indicator."""
    if source.document is not None:
        return False
    if source.columns or source.name.lower().endswith(_ENDINGS):
        return True
    try:
        columns_of(_sample(decoded(source.data)), source.columns)
    except Refused:
        return False
    return True


def read(source: Source, limits: Limits) -> Loaded:
    """Read a list. `source.columns` says which column is what (`{"value": "2"}`, from 1, or by header).

    The time of a line without one is the time of reading. The same value twice in a file is one object.

    Raises: Refused `format.bad-file` when no column of indicators is found, or for no table; `json.too-many-objects`,
    `json.too-large`.
    """
    text = decoded(source.data)
    columns = columns_of(_sample(text), source.columns, quoted=is_quoted(text))
    reading = _Reading(columns, hashlib.sha256(source.data).hexdigest(), source.at, limits)
    if STRANGE in text:
        many = f"{text.count(STRANGE)} characters"
        reading.losses.add("everywhere", many, "their bytes are none of its encoding")
    delimiter = delimiter_of(text)
    numbered = rows(text, limits.max_objects + 1)
    if columns.has_header:
        next(numbered)
    for line, cells in numbered:
        try:
            columns.check(cells, delimiter)
        except ValueError as fault:
            reading.aside.add(line, str(fault))
        else:
            reading.line(line, cells)
    columns.name_left(reading.losses)
    return Loaded(
        source.name,
        FORMAT,
        accepted=tuple(reading.accepted),
        set_aside=reading.aside.all(),
        losses=reading.losses.all(),
        doubts=reading.doubts.all(),
    )


class _Reading:
    """One list being read: what was made of its lines, and what wasn't."""

    def __init__(self, columns: Columns, digest: str, now: int, limits: Limits) -> None:
        self.losses, self.doubts, self.aside = Losses(), Losses(), _Aside()
        self.accepted: list[RawObject] = []
        self._columns, self._digest, self._now = columns, digest, now
        self._left = self._most = limits.max_objects  # values that may still be tried
        self._room = Room(limits.max_bytes)
        self._seen: dict[tuple[str, str], int] = {}

    def line(self, line: int, cells: Sequence[str]) -> None:
        """Read every value of a line. Raises Refused `json.too-many-objects`, `json.too-large`."""
        found = [(raw, kind) for number, kind in self._columns.values if (raw := cell_of(cells, number))]
        if not found:
            self.aside.add(line, "no value in the column of indicators")
        self._left -= len(found)
        if self._left < 0:
            raise Refused("json.too-many-objects", f"more than {self._most} indicators")
        before = len(self.accepted)
        for raw, kind in found:
            try:
                self._value(line, cells, raw, kind)
            except ValueError as fault:
                self.aside.add(line, str(fault))
            except Refused as refusal:
                self.aside.add(line, refusal.detail or refusal.code)
        self._room.take(sum(len(each.data) for each in self.accepted[before:]))

    def _value(self, line: int, cells: Sequence[str], raw: str, kind: Kind | None) -> None:
        """Raises ValueError, Refused `stix.*`."""
        columns = self._columns
        indicator = _indicator(raw, kind or _kind_of(columns.cell(cells, "type"), raw))
        key = (indicator.kind, indicator.value)
        if key in self._seen:
            raise ValueError(f"the same value stands on line {self._seen[key]}")
        self.accepted.append(_object(indicator, columns, cells, self._digest, self._now))
        self._seen[key] = line
        if len(columns.cell(cells, "name")) > MAX_NAME:
            self.losses.add(f"line {line}", "name", f"it is cut after {MAX_NAME} characters")
        if indicator.doubt:
            self.doubts.add(f"line {line}", indicator.kind, indicator.doubt)


def _indicator(raw: str, kind: Kind | None) -> Indicator:
    """What a cell says. Raises ValueError saying what it isn't."""
    if STRANGE in raw:
        raise ValueError("it has bytes that are none of the file's encoding")
    whole = refang(raw)
    # The name of a file may have brackets of its own; what this program made harmless it can tell.
    return recognised(raw if kind is Kind.FILE and defang(whole) != raw else whole, kind)


class _Aside:
    """Lines set aside, the first thousand by name."""

    def __init__(self) -> None:
        self._named: list[SetAside] = []
        self._more = 0

    def add(self, line: int, why: str) -> None:
        if len(self._named) < MAX_REASONS:
            self._named.append(SetAside(f"line {line}", "format.bad-line", why))
        else:
            self._more += 1

    def all(self) -> tuple[SetAside, ...]:
        more = SetAside("other lines", "format.bad-line", f"{self._more} more")
        return (*self._named, more) if self._more else tuple(self._named)


def _sample(text: str) -> list[list[str]]:
    """The first rows."""
    found: list[list[str]] = []
    for _, cells in rows(text, MAX_BLANK):
        found.append(cells)
        if len(found) == _SAMPLE:
            break
    if not found:
        raise Refused("format.bad-file", "there is nothing in it")
    return found


def _kind_of(said: str, raw: str) -> Kind | None:
    """The kind that the column of types says; of an address that is a network, or the reverse, its own."""
    if not said:
        return None
    kind = kind_named(folded(said))
    if kind in (Kind.IP, Kind.NETWORK):
        return Kind.NETWORK if "/" in raw else Kind.IP
    return kind


def _object(indicator: Indicator, columns: Columns, cells: Sequence[str], digest: str, now: int) -> RawObject:
    """The object of one line. Raises ValueError for a cell that can't be read, Refused `stix.*`."""
    first, until = (_time(columns.cell(cells, name)) for name in ("first_seen", "valid_until"))
    if first is None and not now:
        raise ValueError("the line tells no time")
    at = to_stix(first if first is not None else now)
    if until is not None and until <= (first if first is not None else now):
        raise ValueError("valid_until lies before it begins")
    labels = [each.strip() for each in re.split(r"[;|,]", columns.cell(cells, "labels")) if each.strip()]
    pap = columns.cell(cells, "pap")
    labels = list(dict.fromkeys([*([(pap_of_tag(pap) or pap_of_word(pap)).label] if pap else []), *labels]))
    if len(labels) > MAX_LABELS:  # the one that is cut might be what nobody may know
        raise ValueError(f"more than {MAX_LABELS} labels")
    return stix_object(
        indicator,
        source=digest,
        at=at,
        tlp=_label(columns.cell(cells, "tlp")),
        valid_until=to_stix(until) if until is not None else None,
        name=columns.cell(cells, "name")[:MAX_NAME],
        description=columns.cell(cells, "description"),
        labels=labels,
        confidence=_confidence(columns.cell(cells, "confidence")),
        external_references=_references(columns.cell(cells, "reference")),
    )


def _time(cell: str) -> int | None:
    if not cell:
        return None
    try:
        return from_iso(cell)
    except ValueError:
        raise ValueError("a time is written 2026-11-20 or 2026-11-20T08:30:00Z") from None


def _label(cell: str) -> Tlp | None:
    """The label of a line. What names none may be stricter than any, so its line waits for somebody who knows."""
    if not cell:
        return None
    label = read_label(cell, tlp1=True)
    if label is None:
        raise ValueError("tlp is CLEAR, GREEN, AMBER, AMBER+STRICT or RED")
    return label


def _confidence(cell: str) -> int | None:
    if not cell:
        return None
    word = folded(cell).removesuffix("%").strip()
    number = _CONFIDENCE.get(word, int(word) if word.isdecimal() and len(word) < 4 else -1)
    if not 0 <= number <= 100:
        raise ValueError("confidence is 0 to 100, or low, medium, high")
    return number


def _references(cell: str) -> list[dict[str, str]]:
    if not cell:
        return []
    url = refang(cell)
    return [reference("list", url=url) if _URL.match(url) else reference("list", description=cell)]
