"""Lists of contact points as CSV: read from what other directories kept, written at a reader's level.

Owns the columns, how a row becomes a record and a record a row, and the guard against formulas. What reading a list in
would change is `contacts/preview`'s.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from exchange.canonical import HANDLE
from exchange.directory.addressing import folded
from exchange.directory.book import READERS, ContactEntry
from exchange.directory.record_rules import write
from exchange.directory.records import ContactRecord, HoldersRecord, Person, to_json
from exchange.directory.vocabulary import COMMUNITIES, FUNCTIONS, WEEKDAYS
from exchange.errors import Refused
from exchange.formats.spreadsheet import guarded, unguarded

MAX_BYTES: Final = 4_194_304
MAX_ROWS: Final = 10_000
MAX_COLUMNS: Final = 64
MAX_CELL: Final = 4_096  # characters

COLUMNS: Final = (
    "member",
    "handle",
    "function",
    "community",
    "topics",
    "instruments",
    "role_name",
    "org_unit",
    "email_role",
    "phone_office",
    "zone",
    "hours",
    "languages",
    "persons",
    "phone_247",
)
# what lists in use call them, folded; a caller's own map goes first
_ALIASES: Final[Mapping[str, str]] = {
    alias: column
    for column, aliases in {
        "member": "team organisation organization organizacion organizacao organisation_membre csirt",
        "handle": "id contact contacto contato",
        "function": "funcion funcao fonction",
        "community": "comunidad comunidade communaute",
        "topics": "topic tema temas sujet sujets",
        "instruments": "instrument instrumento instrumentos treaty",
        "role_name": "role rol cargo papel",
        "org_unit": "unit unidad unidade unite office institution institucion",
        "email_role": "email e-mail mail correo courriel",
        "phone_office": "phone telephone telefono telefone tel",
        "zone": "timezone tz zona_horaria fuso fuseau",
        "hours": "office_hours horario horaires",
        "languages": "language idioma idiomas langue langues",
        "persons": "person name names nombre nome nom persona",
        "phone_247": "phone_24x7 emergency emergencia urgence",
    }.items()
    for alias in aliases.split()
}
_WORDS: Final = ("topics", "instruments")
_TEXTS: Final = ("role_name", "org_unit")
_PLAIN: Final = ("email_role", "phone_office")
_SHIFT: Final = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? (?P<start>[0-9:]{5})-(?P<end>[0-9:]{5})\Z"
)


@dataclass(frozen=True)
class Row:
    """A contact point as a line of the file states it; empty: the line says nothing of it."""

    line: int
    address: str
    function: str
    community: str
    topics: tuple[str, ...]
    instruments: tuple[str, ...]
    record: Mapping[str, Any]  # members of a ContactRecord but `persons`
    persons: tuple[str, ...]  # their names
    holders: Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """Why a line was set aside."""

    line: int
    why: str


@dataclass(frozen=True)
class Table:
    """What a file holds, what of it can't be used, and the columns nobody knows."""

    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]
    ignored: tuple[str, ...]


@dataclass
class _Reader:
    """The header, understood."""

    columns: dict[int, tuple[str, str]] = field(default_factory=dict)  # number -> column, language
    ignored: list[str] = field(default_factory=list)


def read_table(
    data: bytes, *, columns: Mapping[str, str] | None = None, member: str = "", language: str = "es"
) -> Table:
    """Read a list. `columns` maps its headers to `COLUMNS`; `member` is whose contacts they are if no column says so.

    `role_name` and `org_unit` are in `language` unless the header is `role_name:pt`. UTF-8, else Windows-1252; fields
    apart by comma, semicolon or tab. Raises Refused cli.bad-file when it is no such file or over a limit.
    """
    if len(data) > MAX_BYTES:
        raise Refused("cli.bad-file", f"a list of more than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        lines = list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise Refused("cli.bad-file", f"not CSV: {error}") from None
    if not lines or len(lines) > MAX_ROWS + 1 or max(map(len, lines)) > MAX_COLUMNS:
        raise Refused(
            "cli.bad-file", f"1 to {MAX_ROWS} rows below a header, of at most {MAX_COLUMNS} columns"
        )
    header = _header(lines[0], columns or {}, language)
    rows, faults, seen = [], [], set[str]()
    for number, cells in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        try:
            row = _row(number, cells, header, member)
            if row.address in seen:
                raise Refused("record.bad-field", f"handle: {row.address} stands in the file before")
        except Refused as fault:
            faults.append(Fault(number, fault.detail))
        else:
            seen.add(row.address)
            rows.append(row)
    return Table(tuple(rows), tuple(faults), tuple(header.ignored))


def _header(cells: Sequence[str], columns: Mapping[str, str], language: str) -> _Reader:
    own = {folded(name).replace(" ", "_"): column for name, column in columns.items()}
    reader = _Reader()
    for number, cell in enumerate(cells):
        name, _, lang = folded(cell).replace(" ", "_").partition(":")
        column = own.get(name) or _ALIASES.get(name) or (name if name in COLUMNS else "")
        if column:
            reader.columns[number] = (column, lang or language)
        else:
            reader.ignored.append(cell)
    if "function" not in {column for column, _ in reader.columns.values()}:
        raise Refused("cli.bad-file", f"no column `function`; map the headers to {', '.join(COLUMNS)}")
    return reader


def _row(line: int, cells: Sequence[str], header: _Reader, member: str) -> Row:
    """A line's contact. Raises Refused record.bad-field."""
    values: dict[str, str] = {}
    texts: dict[str, dict[str, str]] = {}
    for number, (column, language) in header.columns.items():
        cell = unguarded(cells[number].strip()) if number < len(cells) else ""
        if len(cell) > MAX_CELL:
            raise Refused("record.bad-field", f"{column}: more than {MAX_CELL} characters")
        if cell and column in _TEXTS:
            texts.setdefault(column, {})[language] = cell
        elif cell:
            values[column] = cell
    function = folded(values.get("function", "")).replace(" ", "_")
    if function not in FUNCTIONS:
        raise Refused("record.bad-field", f"function: {function[:64]!r} isn't one of {', '.join(FUNCTIONS)}")
    community = folded(values.get("community", ""))
    if community and community not in COMMUNITIES:
        raise Refused(
            "record.bad-field", f"community: {community[:64]!r} isn't one of {', '.join(COMMUNITIES)}"
        )
    topics, instruments = (_words(values.get(column, "")) for column in _WORDS)
    record: dict[str, Any] = {column: values[column] for column in _PLAIN if column in values}
    record |= texts
    if "languages" in values:
        record["languages"] = [_spoken(each) for each in _split(values["languages"])]
    if "hours" in values:
        record["hours"] = read_hours(values["hours"], values.get("zone", ""))
    holders = {"phone_247": values["phone_247"]} if "phone_247" in values else {}
    return Row(
        line=line,
        address=_address(values, member, function),
        function=function,
        community=community,
        topics=topics,
        instruments=instruments,
        record=to_json(write(ContactRecord, record)),
        persons=tuple(
            write(Person, {"handle": "p-", "name": each}).name for each in _split(values.get("persons", ""))
        ),
        holders=to_json(write(HoldersRecord, holders)),
    )


def _address(values: Mapping[str, str], member: str, function: str) -> str:
    owner = values.get("member", member).lower()
    handle = values.get("handle", function.replace("_", "-")).lower().rpartition("/")[2]
    for name, part in (("member", owner), ("handle", handle)):
        if not HANDLE.match(part):
            raise Refused("record.bad-field", f"{name}: a handle is 2 to 32 of a-z, 0-9 and -")
    return f"{owner}/{handle}"


def _split(cell: str) -> list[str]:
    return [part for each in re.split(r"[;\n|]", cell) if (part := each.strip())]


def _words(cell: str) -> tuple[str, ...]:
    return tuple(
        sorted({folded(each).replace(" ", "_") for each in re.split(r"[;,\n|]", cell) if each.strip()})
    )


def _spoken(cell: str) -> dict[str, str]:
    lang, _, level = cell.partition(" ")
    return {"lang": lang, "level": "reads" if level.strip("() ") == "reads" else "works"}


def read_hours(cell: str, zone: str) -> dict[str, Any]:
    """`24x7`, or `mon-fri 08:00-17:00; sat 09:00-12:00`, in an IANA zone. Raises Refused record.bad-field."""
    if cell.strip().lower() in ("24x7", "24/7"):
        return {"zone": zone, "always": True}
    weekly = []
    for each in _split(cell):
        shift = _SHIFT.match(each.lower())
        if not shift or not {shift["first"], shift["last"] or shift["first"]} <= set(WEEKDAYS):
            raise Refused("record.bad-field", "hours: write 24x7, or mon-fri 08:00-17:00; sat 09:00-12:00")
        first, last = (WEEKDAYS.index(day) for day in (shift["first"], shift["last"] or shift["first"]))
        days = [WEEKDAYS[(first + number) % 7] for number in range((last - first) % 7 + 1)]
        weekly.append({"days": days, "from": shift["start"], "to": shift["end"]})
    return {"zone": zone, "weekly": weekly}


# -- export -----------------------------------------------------------------------------------------------------------


def write_table(entries: Iterable[ContactEntry], level: str) -> bytes:
    """A list of contacts as a reader of that level (`book.READERS`) may have it: UTF-8 with a mark, commas, CRLF.

    A cell that a spreadsheet would run as a formula gets an apostrophe before it, which `read_table` takes away again.
    """
    listed = sorted(entries, key=lambda entry: (entry.country, entry.address))
    place = READERS.index(level)
    lines = [_cells(entry, place) for entry in listed]
    languages = sorted({name for line in lines for name in line if ":" in name})
    head = (
        [*(name for name in lines[0] if ":" not in name), *languages] if lines else ["country", *COLUMNS[:5]]
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([[guarded(line.get(name, "")) for name in head] for line in lines])
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8")


def _cells(entry: ContactEntry, place: int) -> dict[str, str]:
    contact = entry.contact
    cells = {
        "country": entry.country,
        "member": contact.member,
        "handle": contact.address.rpartition("/")[2],
        "function": contact.function,
        "topics": "; ".join(contact.topics),
        "instruments": "; ".join(contact.instruments),
    }
    if place >= READERS.index("members"):
        record = entry.record or ContactRecord()
        cells |= {
            "community": contact.community,
            "email_role": record.email_role or "",
            "phone_office": record.phone_office or "",
            "zone": record.hours.zone if record.hours else "",
            "hours": hours_text(record),
            "languages": "; ".join(
                each.lang if each.level == "works" else f"{each.lang} (reads)" for each in record.languages
            ),
            "persons": "; ".join(person.name for person in record.persons),
            "standing": entry.standing,
        }
        cells |= {f"{name}:{lang}": text for name in _TEXTS for lang, text in getattr(record, name).items()}
    if place >= READERS.index("holders"):
        cells["phone_247"] = (entry.holders.phone_247 or "") if entry.holders else ""
    return cells


def hours_text(record: ContactRecord) -> str:
    """Inverse of `read_hours`; days that aren't in a row stand one by one."""
    if record.hours is None:
        return ""
    if record.hours.always:
        return "24x7"
    parts = []
    for shift in record.hours.weekly:
        order = [WEEKDAYS.index(day) for day in shift.days]
        in_a_row = len(order) > 1 and all((after - day) % 7 == 1 for day, after in pairwise(order))
        days = [f"{shift.days[0]}-{shift.days[-1]}"] if in_a_row else list(shift.days)
        parts += [f"{day} {shift.start}-{shift.end}" for day in days]
    return "; ".join(parts)
