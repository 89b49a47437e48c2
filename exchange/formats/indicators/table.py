"""Reads lists of indicators as CSV, whatever their columns are called. Writing one is `indicators/sheet`'s.

Columns are known by their headers in four languages, or are said; a list without a header is known by its values. A
line that can't be read is set aside with its number and the reason, and the rest goes on. A label that stands beside
the rows, in a comment, a header or a line that is no row, is held to by all of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import orjson

from exchange.directory.addressing import folded
from exchange.errors import Refused
from exchange.formats.indicators.columns import COMMENT, MAX_BLANK, Begun, Columns, begun, cell_of, columns_of
from exchange.formats.indicators.defang import defang
from exchange.formats.indicators.indicator import Indicator, Kind, kind_named, recognised, stix_object
from exchange.formats.indicators.refang import refang
from exchange.formats.making import Room, reference, tagged
from exchange.formats.members import Losses
from exchange.formats.objects import Loaded, Loss, RawObject, SetAside
from exchange.formats.said import APART, Said
from exchange.formats.source import Source
from exchange.formats.spreadsheet import STRANGE, decoded, delimiter_of, is_quoted, rows
from exchange.formats.stix.permissions import pap_of
from exchange.formats.stix.spans import Limits
from exchange.formats.stix.time import from_iso, to_stix
from exchange.pap import pap_of_tag, pap_of_word
from exchange.tlp import DEFAULT, Tlp, is_tag, read_label

FORMAT: Final = "csv"
MAX_LABELS: Final = 32
MAX_NAME: Final = 250  # characters
_ENDINGS: Final = (".csv", ".tsv")
MAX_REASONS: Final = 1_000  # lines set aside that are named; what is more is counted
_SAMPLE: Final = 20  # rows by which a list without a header is known
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
        table = begun(decoded(source.data), source.columns)
        columns_of(_sample(table), source.columns, by_comment=table.by_comment)
    except Refused:
        return False
    return True


def read(source: Source, limits: Limits) -> Loaded:
    """Read a list. `source.columns` says which column is what (`{"value": "2"}`, from 1, or by header).

    The time of a line without one is the time of reading. The same value twice in a file is one object.

    Raises: Refused `format.bad-file` when no column of indicators is found, or for no table; `json.too-many-objects`,
    `json.too-large`.
    """
    whole = decoded(source.data)
    table = begun(whole, source.columns)
    text, quoted = table.text, is_quoted(table.text)
    columns = columns_of(_sample(table), source.columns, quoted=quoted, by_comment=table.by_comment)
    reading = _Reading(columns, hashlib.sha256(source.data).hexdigest(), source.at, limits)
    if STRANGE in whole:
        many = f"{whole.count(STRANGE)} characters"
        reading.losses.add("everywhere", many, "their bytes are none of its encoding")
    for line, comment in table.comments:
        reading.comment(line, comment)
    delimiter = delimiter_of(text)
    header_left = columns.has_header
    for line, cells in rows(text, limits.max_objects + 1 + len(table.comments)):
        if cells[0].startswith(COMMENT):
            reading.comment(line, " ".join(cells))
        elif header_left:
            header_left = False
            reading.header(line, cells)
        else:
            reading.line(line, cells, delimiter)
    columns.name_left(reading.losses)
    return Loaded(
        source.name,
        FORMAT,
        accepted=reading.objects(),
        set_aside=reading.aside.all(),
        losses=(*reading.losses.all(), *reading.comments.all()),
        doubts=(*reading.said.doubts(), *reading.doubts.all()),
        pap=reading.said.pap_or_none,
    )


class _Reading:
    """One list being read: what was made of its lines, and what wasn't. `said`: the labels that stand beside them."""

    def __init__(self, columns: Columns, digest: str, now: int, limits: Limits) -> None:
        self.losses, self.comments, self.doubts = Losses(), Losses(), Losses()
        self.aside, self.said = _Aside(), Said()
        self._accepted: list[RawObject] = []
        self._columns, self._digest, self._now = columns, digest, now
        self._left = self._most = limits.max_objects  # values that may still be tried
        self._room = Room(limits.max_bytes)
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}  # the line of a value, and which object it is

    def objects(self) -> tuple[RawObject, ...]:
        """What was made, with the labels that were said of all of it. Raises Refused `stix.*`."""
        return tuple(_held_to(each, self.said)[0] for each in self._accepted)

    def comment(self, line: int, text: str) -> None:
        """Name a line that is none of the table, and hear what it says."""
        self.comments.add(f"line {line}", "comment", "no object is made of it")
        self.said.hear(text, f"line {line}")

    def header(self, line: int, cells: Sequence[str]) -> None:
        """Hear what the header says beside the names of its columns."""
        self.said.hear(APART.join(cells), f"line {line}")

    def line(self, line: int, cells: Sequence[str], delimiter: str) -> None:
        """Read every value of a line. Raises Refused `json.too-many-objects`, `json.too-large`, `stix.*`."""
        before = len(self._accepted)
        its_own, words = list[int](), list[str]()
        try:
            self._columns.check(cells, delimiter)
            its_own, words = self._values(line, cells)
        except ValueError as fault:
            self.aside.add(line, str(fault))
        if its_own:
            self._label(its_own, line, cells, words)
        else:  # a line of which nothing goes may speak of all the others
            self.said.hear(" ".join(self._columns.without(cells, "tlp", "pap")), f"line {line}")
        self._room.take(sum(len(each.data) for each in self._accepted[before:]))

    def _values(self, line: int, cells: Sequence[str]) -> tuple[list[int], list[str]]:
        """Which objects are of a line, also of one before, and which values are none.

        Raises ValueError, Refused `json.too-many-objects`.
        """
        found = [(raw, kind) for number, kind in self._columns.values if (raw := cell_of(cells, number))]
        if not found:
            raise ValueError("no value in the column of indicators")
        self._left -= len(found)
        if self._left < 0:
            raise Refused("json.too-many-objects", f"more than {self._most} indicators")
        its_own, words = [], []
        for raw, kind in found:
            try:
                its_own.append(self._value(line, cells, raw, kind))
            except ValueError as fault:
                self.aside.add(line, str(fault))
                words.append(raw)
            except Refused as refusal:
                self.aside.add(line, refusal.detail or refusal.code)
                words.append(raw)
        return its_own, words

    def _value(self, line: int, cells: Sequence[str], raw: str, kind: Kind | None) -> int:
        """Which object a value is, a new one or that of the same value. Raises ValueError, Refused `stix.*`."""
        columns = self._columns
        indicator = _indicator(raw, kind or _kind_of(columns.cell(cells, "type"), raw))
        key = (indicator.kind, indicator.value)
        if key in self._seen:
            first, number = self._seen[key]
            self.aside.add(line, f"the same value stands on line {first}")
            return number
        self._accepted.append(_object(indicator, columns, cells, self._digest, self._now))
        self._seen[key] = line, len(self._accepted) - 1
        if len(columns.cell(cells, "name")) > MAX_NAME:
            self.losses.add(f"line {line}", "name", f"it is cut after {MAX_NAME} characters")
        if indicator.doubt:
            self.doubts.add(f"line {line}", indicator.kind, indicator.doubt)
        return len(self._accepted) - 1

    def _label(self, its_own: Sequence[int], line: int, cells: Sequence[str], words: Sequence[str]) -> None:
        """Hold the objects of a line to what it says anywhere; one that stands on two lines to the stricter of them."""
        said, columns = Said(), self._columns
        said.hear(APART.join([*columns.beside(cells), *words]), f"line {line}")
        if tlp := columns.cell(cells, "tlp"):
            said.note(read_label(tlp, tlp1=True) or DEFAULT, None, f"line {line}")
        if pap := columns.cell(cells, "pap"):
            said.note(None, pap_of_tag(pap) or pap_of_word(pap), f"line {line}")
        told: dict[Loss, None] = {}
        for number in its_own:
            self._accepted[number], doubts = _held_to(self._accepted[number], said)
            told |= dict.fromkeys(doubts)
        for one in told:
            self.doubts.add(one.place, one.what, one.why)


def _held_to(raw: RawObject, said: Said) -> tuple[RawObject, tuple[Loss, ...]]:
    """The object with the labels as tags that are stricter than its own, and what a person is told of that."""
    pap = pap_of(orjson.loads(raw.data), {}) if said.pap_or_none else None
    tags = said.tags(over=raw.tlp, over_pap=pap)
    return (tagged(raw, tags), said.doubts(over=raw.tlp, over_pap=pap)) if tags else (raw, ())


def _indicator(raw: str, kind: Kind | None) -> Indicator:
    """What a cell says. Raises ValueError saying what it isn't."""
    if STRANGE in raw:
        raise ValueError("it has bytes that are none of the file's encoding")
    if is_tag(raw) and (
        ":" in raw or "." not in raw
    ):  # it could be the name of a file, and is meant otherwise
        raise ValueError("a label, which is no indicator")
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


def _sample(table: Begun) -> list[list[str]]:
    """The first rows."""
    found: list[list[str]] = []
    for _, cells in rows(table.text, MAX_BLANK + len(table.comments)):
        found += [] if cells[0].startswith(COMMENT) else [cells]
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
