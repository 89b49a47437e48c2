"""Reads lists of indicators as CSV, whatever their columns are called. Writing one is `indicators/sheet`'s.

Columns are known by their headers in four languages, or are said; a list without a header is known by its values. A
line that can't be read is set aside with its number and the reason, and the rest goes on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from exchange.directory.addressing import folded
from exchange.errors import Refused
from exchange.formats.indicators.indicator import Indicator, Kind, kind_named, recognised, stix_object
from exchange.formats.indicators.refang import refang
from exchange.formats.making import reference
from exchange.formats.members import Losses
from exchange.formats.objects import Loaded, Loss, RawObject, SetAside
from exchange.formats.source import Source
from exchange.formats.spreadsheet import decoded, rows, unguarded
from exchange.formats.stix.spans import Limits
from exchange.formats.stix.time import from_iso, to_stix
from exchange.tlp import Tlp, read_label

FORMAT: Final = "csv"
MAX_LABELS: Final = 32
_ENDINGS: Final = (".csv", ".tsv")
MAX_REASONS: Final = 1_000  # lines set aside that are named; what is more is counted
_SAMPLE: Final = 20  # rows by which a list without a header is known
MAX_BLANK: Final = 1_000  # rows, empty ones included, within which they stand
_ALIASES: Final[Mapping[str, str]] = {
    alias: column
    for column, aliases in {
        "value": "indicator indicador indicateur ioc valor valeur observable observavel dato artifact indicator_value",
        "type": "tipo kind ioc_type indicator_type value_type",
        "first_seen": "date fecha data timestamp seen valid_from created time fecha_hora data_hora date_heure "
        "primera_vez primeira_vez premiere_vue visto vu",
        "valid_until": "expires expiration expira caduca vence valido_hasta valido_ate valable_jusqu_au",
        "tlp": "marking marcado",
        "description": "comment comments comentario comentarios descripcion descricao commentaire notes nota notas "
        "context contexto observaciones observacoes remarque",
        "name": "title titulo titre nombre nome nom",
        "labels": "label tags tag etiquetas etiqueta etiquettes malware family familia famille",
        "confidence": "confianza confianca confiance",
        "reference": "references referencia referencias source fuente fonte report informe relatorio rapport",
    }.items()
    for alias in (column, *aliases.split())
}
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


@dataclass
class _Layout:
    """Which column is what: `values` are (column, its kind or None), `begins` is the first line with values."""

    values: list[tuple[int, Kind | None]] = field(default_factory=list)
    columns: dict[str, int] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    has_header: bool = True

    def cell(self, cells: Sequence[str], column: str) -> str:
        number = self.columns.get(column)
        return unguarded(cells[number]) if number is not None and number < len(cells) else ""


def recognise(source: Source) -> bool:
    """Whether it is no JSON, and is called a list, or its first row is a header of ours or holds an indicator."""
    if source.document is not None:
        return False
    if source.columns or source.name.lower().endswith(_ENDINGS):
        return True
    try:
        _layout(_sample(decoded(source.data)), source.columns)
    except Refused:
        return False
    return True


def read(source: Source, limits: Limits) -> Loaded:
    """Read a list. `source.columns` says which column is what (`{"value": "2"}`, from 1, or by header).

    The time of a line without one is the time of reading. The same value twice in a file is one object.

    Raises: Refused `format.bad-file` when no column of indicators is found, or for no table; `json.too-many-objects`.
    """
    text = decoded(source.data)
    layout = _layout(_sample(text), source.columns)
    digest = hashlib.sha256(source.data).hexdigest()
    losses, aside, accepted = Losses(), _Aside(), list[RawObject]()
    seen: dict[tuple[str, str], int] = {}
    taken: list[tuple[int, Indicator]] = []
    tried = 0
    numbered = rows(text, limits.max_objects + 1)
    if layout.has_header:
        next(numbered)
    for column in layout.unknown:
        losses.add("header", column[:64], "no column of that name is known; say so with --columns")
    for line, cells in numbered:
        found = 0
        for number, kind in layout.values:
            raw = unguarded(cells[number]) if number < len(cells) else ""
            if not raw:
                continue
            found += 1
            tried += 1
            if tried > limits.max_objects:
                raise Refused("json.too-many-objects", f"more than {limits.max_objects} indicators")
            try:
                indicator = recognised(refang(raw), kind or _kind_of(layout.cell(cells, "type"), raw))
                key = (indicator.kind, indicator.value)
                if key in seen:
                    raise ValueError(f"the same value stands on line {seen[key]}")
                made = _object(indicator, layout, cells, digest, source.at)
            except (ValueError, Refused) as fault:
                aside.add(line, str(fault) if isinstance(fault, ValueError) else fault.detail or fault.code)
                continue
            seen[key] = line
            taken.append((line, indicator))
            accepted.append(made)
        if not found:
            aside.add(line, "no value in the column of indicators")
    return Loaded(
        source.name,
        FORMAT,
        accepted=tuple(accepted),
        set_aside=aside.all(),
        losses=losses.all(),
        doubts=_doubts(taken),
    )


def _doubts(taken: Iterable[tuple[int, Indicator]]) -> tuple[Loss, ...]:
    """What may match what is harmless, by line."""
    doubts = Losses()
    for line, indicator in taken:
        if indicator.doubt:
            doubts.add(f"line {line}", indicator.kind, indicator.doubt)
    return doubts.all()


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


def _layout(sample: list[list[str]], said: Mapping[str, str]) -> _Layout:
    """Which column is what. Raises Refused `format.bad-file` when none holds indicators."""
    header = [folded(cell).replace(" ", "_").replace("-", "_").strip("_#\"'") for cell in sample[0]]
    layout = _Layout(has_header=not any(_is_one(cell) for cell in sample[0]))
    if said:
        _as_said(layout, header, said)
    elif layout.has_header:
        _by_header(layout, header, sample[0])
    else:
        width = max(map(len, sample))
        hits = [sum(_is_one(row[number]) for row in sample if number < len(row)) for number in range(width)]
        layout.values.append((hits.index(max(hits)), None))
    if not layout.values:
        raise Refused("format.bad-file", "no column of indicators is known; say which with --columns value=1")
    return layout


def _as_said(layout: _Layout, header: list[str], said: Mapping[str, str]) -> None:
    for column, where in said.items():
        name = folded(where).replace(" ", "_").replace("-", "_")
        number = int(where) - 1 if where.isdecimal() and len(where) < 4 else -1
        if number < 0 and name in header:
            number = header.index(name)
        if column not in _ALIASES or number < 0:
            known = ", ".join(sorted(set(_ALIASES.values())))
            raise Refused("format.bad-file", f"--columns takes COLUMN=NUMBER or COLUMN=HEADER for {known}")
        if _ALIASES[column] == "value":
            layout.values.append((number, None))
        else:
            layout.columns[_ALIASES[column]] = number


def _by_header(layout: _Layout, header: list[str], cells: list[str]) -> None:
    kinds: list[tuple[int, Kind | None]] = []
    for number, name in enumerate(header):
        if name == "value" or _ALIASES.get(name) == "value":
            layout.values.append((number, None))
        elif name in _ALIASES and _ALIASES[name] not in layout.columns:
            layout.columns[_ALIASES[name]] = number
        elif name:
            try:
                kinds.append((number, kind_named(name)))
            except ValueError:
                layout.unknown.append(cells[number])
    # With a column of values, one called `ip` or `domain` says more about them than that they are to be looked for.
    if layout.values:
        layout.unknown += [cells[number] for number, _ in kinds]
    else:
        layout.values = kinds


def _kind_of(said: str, raw: str) -> Kind | None:
    """The kind that the column of types says; of an address that is a network, or the reverse, its own."""
    if not said:
        return None
    kind = kind_named(folded(said))
    if kind in (Kind.IP, Kind.NETWORK):
        return Kind.NETWORK if "/" in raw else Kind.IP
    return kind


def _is_one(cell: str) -> bool:
    try:
        recognised(refang(unguarded(cell)))
    except ValueError:
        return False
    return True


def _object(indicator: Indicator, layout: _Layout, cells: Sequence[str], digest: str, now: int) -> RawObject:
    """The object of one line. Raises ValueError for a cell that can't be read, Refused `stix.*`."""
    first, until = (_time(layout.cell(cells, name)) for name in ("first_seen", "valid_until"))
    if first is None and not now:
        raise ValueError("the line tells no time")
    at = to_stix(first if first is not None else now)
    if until is not None and until <= (first if first is not None else now):
        raise ValueError("valid_until lies before it begins")
    labels = [each.strip() for each in re.split(r"[;|,]", layout.cell(cells, "labels")) if each.strip()]
    return stix_object(
        indicator,
        source=digest,
        at=at,
        tlp=_label(layout.cell(cells, "tlp")),
        valid_until=to_stix(until) if until is not None else None,
        name=layout.cell(cells, "name")[:250],
        description=layout.cell(cells, "description"),
        labels=list(dict.fromkeys(labels))[:MAX_LABELS],
        confidence=_confidence(layout.cell(cells, "confidence")),
        external_references=_references(layout.cell(cells, "reference")),
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
