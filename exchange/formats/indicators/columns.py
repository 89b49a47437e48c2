"""Which column of a list is what: by its header in four languages, by what somebody says, else by its values.

Also where the header of a list is that begins with comments, what no column is read for, and lines that can be read in
two ways. What the cells become is `indicators/table`'s.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from exchange.directory.addressing import folded
from exchange.errors import Refused
from exchange.formats.indicators.indicator import Indicator, Kind, kind_named, recognised
from exchange.formats.indicators.refang import refang
from exchange.formats.members import Losses
from exchange.formats.spreadsheet import rows, unguarded, without_comments

_ALIASES: Final[Mapping[str, str]] = {
    alias: column
    for column, aliases in {
        "value": "indicator indicador indicateur ioc valor valeur observable observavel dato artifact indicator_value",
        "type": "tipo kind ioc_type indicator_type value_type",
        "first_seen": "date fecha data timestamp seen valid_from created time fecha_hora data_hora date_heure "
        "first_seen_utc firstseen dateadded "
        "primera_vez primeira_vez premiere_vue visto vu",
        "valid_until": "expires expiration expira caduca vence valido_hasta valido_ate valable_jusqu_au",
        "tlp": "marking marcado tlp_level tlp_label tlp_color tlp_marking nivel_tlp etiqueta_tlp color_tlp cor_tlp "
        "niveau_tlp",
        "pap": "",
        "exercise": "ejercicio exercicio exercice",
        "description": "comment comments comentario comentarios descripcion descricao commentaire notes nota notas "
        "context contexto observaciones observacoes remarque",
        "name": "title titulo titre nombre nome nom",
        "labels": "label tags tag etiquetas etiqueta etiquettes malware family familia famille",
        "confidence": "confianza confianca confiance",
        "reference": "references referencia referencias source fuente fonte report informe relatorio rapport",
    }.items()
    for alias in (column, *aliases.split())
}
_OF_A_MESSAGE: Final = "whether it is an exercise is said of a whole message"
_BY_HEADER: Final = "the headers of the values say what they are"
_UNKNOWN: Final = "no column of that name is known; say so with --columns"
_NEVER_IN_URLS: Final = "\t|"  # what parts cells and stands in no URL
COMMENT: Final = "#"  # what a line begins with that is none of the table
MAX_BLANK: Final = 1_000  # lines within which the first row stands, empty ones and comments included


@dataclass(frozen=True, slots=True)
class Begun:
    """A list without its comments, and these with their lines; `by_comment` if the header was the last one above it."""

    text: str
    comments: Sequence[tuple[int, str]]
    by_comment: bool


class Columns:
    """The columns of one list.

    `values` are (column from 0, its kind or None); `header` is the first row, empty where the list has none.
    """

    def __init__(self, header: Sequence[str], *, said: bool, quoted: bool) -> None:
        """Of a list with that header, nothing known yet. `said`: somebody says which column is what.

        `quoted`: whoever wrote it puts quotes where cells need them.
        """
        self.values: list[tuple[int, Kind | None]] = []
        self.named: dict[str, int] = {}
        self.header = header
        self._said = said
        self._quoted = quoted
        self._left: set[int] = set()

    @property
    def has_header(self) -> bool:
        """Whether the first row names the columns."""
        return bool(self.header)

    def cell(self, cells: Sequence[str], column: str) -> str:
        """What stands in a row's column of that name; empty without one."""
        number = self.named.get(column)
        return cell_of(cells, number) if number is not None else ""

    def without(self, cells: Sequence[str], *named: str) -> list[str]:
        """The cells of a row that are in none of the columns of those names."""
        numbers = {self.named[name] for name in named if name in self.named}
        return [cell for number, cell in enumerate(cells) if number not in numbers]

    def beside(self, cells: Sequence[str]) -> list[str]:
        """The cells of a row that are neither its values nor its labels."""
        values = {number for number, _ in self.values}
        return self.without(
            [("" if number in values else cell) for number, cell in enumerate(cells)], "tlp", "pap"
        )

    def check(self, cells: Sequence[str], delimiter: str) -> None:
        """Note the columns of a row that aren't read. Raises ValueError for a row that can be read in two ways."""
        if not self._said and self.has_header and any(cells[len(self.header) :]):
            raise ValueError(
                f"more cells than the header has: what has a {delimiter!r} in it must stand in quotes"
            )
        if not (self._said or self.has_header or self._quoted or delimiter in _NEVER_IN_URLS):
            begin = self.values[0][0]
            together = cells[begin : begin + 2]
            if any(together[1:]) and ":" in together[0] and _is_url(delimiter.join(together)):
                raise ValueError(
                    f"a URL with a {delimiter!r} in it, or cells behind it: quote it, or say --columns"
                    f" value={begin + 1}"
                )
        taken = ({number for number, _ in self.values} | {*self.named.values()}) - self._unread().keys()
        self._left |= {number for number, cell in enumerate(cells) if cell and number not in taken}

    def name_left(self, losses: Losses) -> None:
        """Name each column that wasn't read and had something in it."""
        unread = self._unread()
        for number in sorted(self._left):
            name = self.header[number] if number < len(self.header) else ""
            why = unread.get(number, _UNKNOWN)
            losses.add("header" if name else "every line", name[:64] or f"column {number + 1}", why)

    def _unread(self) -> dict[int, str]:
        """The columns that are known by name and say nothing here, and why."""
        reasons = {"exercise": _OF_A_MESSAGE}
        if all(kind for _, kind in self.values):
            reasons["type"] = _BY_HEADER
        return {self.named[name]: why for name, why in reasons.items() if name in self.named}


def begun(text: str, said: Mapping[str, str]) -> Begun:
    """Where the table of a list begins; the last comment above it may be its header.

    Raises Refused `format.bad-file` for no table.
    """
    table, comments = without_comments(text)
    most = MAX_BLANK + len(comments)
    ends, first = next(rows(table, most), (0, [])) if comments else (0, [])
    above = [number for number, (line, _) in enumerate(comments) if not ends or line < ends]
    names_values = not any(map(_is_one, first)) and bool(_named_by(first).values)
    if not above or names_values:
        return Begun(table, comments, by_comment=False)
    line, comment = comments[above[-1]]
    lines = list(io.StringIO(table, newline=""))
    # Without its sign; no name of a column has quotes within.
    lines[line - 1] = comment.replace('"', "").strip(" \t").lstrip(COMMENT).lstrip(" ") + lines[line - 1]
    instead = "".join(lines)
    if not _is_header(instead, line, most, said):
        return Begun(table, comments, by_comment=False)
    return Begun(instead, [each for each in comments if each[0] != line], by_comment=True)


def columns_of(
    sample: Sequence[Sequence[str]],
    said: Mapping[str, str],
    *,
    quoted: bool = False,
    by_comment: bool = False,
) -> Columns:
    """The columns of a list that begins so; `quoted` if any cell of it stands in quotes.

    Raises Refused `format.bad-file` when none holds indicators.
    """
    spelt = _spelt(sample[0])
    columns = Columns([] if any(map(_is_one, sample[0])) else sample[0], said=bool(said), quoted=quoted)
    if said:
        _as_said(columns, spelt, said)
    elif columns.has_header:
        _by_header(columns, spelt)
        if by_comment and not columns.values:
            _by_values(columns, sample[1:])
    else:
        _by_values(columns, sample)
    if not columns.values:
        raise Refused("format.bad-file", "no column of indicators is known; say which with --columns value=1")
    return columns


def cell_of(cells: Sequence[str], number: int) -> str:
    """The cell of a row as its writer meant it; empty where the row is shorter."""
    return unguarded(cells[number]) if number < len(cells) else ""


def _is_header(text: str, line: int, most: int, said: Mapping[str, str]) -> bool:
    """Whether the words on that line, which the table of a list would begin with, are its header."""
    numbered = rows(text, most)
    try:
        at, cells = next(numbered, (0, []))
        _, first = next(numbered, (0, []))
    except Refused:
        return False
    if at != line or any(map(_is_one, cells)):
        return False
    if any(_folded(where) in _spelt(cells) for where in said.values()):
        return True
    columns = _named_by(cells)
    # Words with a comma among them are no header where the rows have more cells than that.
    if columns.values:
        return len(cells) >= len(first)
    return bool(columns.named) and len(cells) == len(first) > 1 and any(map(_is_one, first))


def _named_by(header: Sequence[str]) -> Columns:
    """The columns that a row names."""
    columns = Columns(header, said=False, quoted=False)
    _by_header(columns, _spelt(header))
    return columns


def _by_values(columns: Columns, sample: Sequence[Sequence[str]]) -> None:
    """Take the column of which most cells are indicators, if any is one."""
    width = max(map(len, sample), default=0)
    hits = [sum(_is_one(row[number]) for row in sample if number < len(row)) for number in range(width)]
    if any(hits):
        columns.values.append((hits.index(max(hits)), None))


def _spelt(header: Sequence[str]) -> list[str]:
    return [_folded(cell).strip("_#\"'") for cell in header]


def _as_said(columns: Columns, header: list[str], said: Mapping[str, str]) -> None:
    for column, where in said.items():
        name = _folded(where)
        number = int(where) - 1 if where.isdecimal() and len(where) < 4 else -1
        if number < 0 and name in header:
            number = header.index(name)
        if column not in _ALIASES or number < 0:
            known = ", ".join(sorted(set(_ALIASES.values())))
            raise Refused("format.bad-file", f"--columns takes COLUMN=NUMBER or COLUMN=HEADER for {known}")
        if _ALIASES[column] == "value":
            columns.values.append((number, None))
        else:
            columns.named[_ALIASES[column]] = number


def _by_header(columns: Columns, header: list[str]) -> None:
    kinds: list[tuple[int, Kind | None]] = []
    for number, name in enumerate(header):
        if _ALIASES.get(name) == "value":
            columns.values.append((number, None))
        elif name in _ALIASES and _ALIASES[name] not in columns.named:
            columns.named[_ALIASES[name]] = number
        elif name:
            with suppress(ValueError):
                kinds.append((number, kind_named(name)))
    # With a column of values, one called `ip` or `domain` says more about them than that they are to be looked for.
    columns.values = columns.values or kinds


def _folded(cell: str) -> str:
    return folded(cell).replace(" ", "_").replace("-", "_")


def _is_one(cell: str) -> bool:
    return _recognised(unguarded(cell)) is not None


def _is_url(text: str) -> bool:
    found = _recognised(text)
    return found is not None and found.kind is Kind.URL


def _recognised(text: str) -> Indicator | None:
    try:
        return recognised(refang(text))
    except ValueError:
        return None
