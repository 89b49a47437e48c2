"""Shadowserver's daily reports: CSV in which each row is one thing seen at one address, of many owners in one file.

Headers differ from report to report; what all have in common is read, and every other column is kept by its name. A
report goes to the owners of its addresses, each to its own: it is grouped here, and never sent as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

import orjson

from exchange.directory.addressing import folded
from exchange.directory.assets import read_domain
from exchange.directory.owners import Owners
from exchange.errors import Refused
from exchange.formats.making import made, made_id, made_publisher, observable_id, source_extension, tagged
from exchange.formats.objects import Loaded, RawObject, SetAside
from exchange.formats.said import Said
from exchange.formats.source import Source
from exchange.formats.spreadsheet import decoded, rows, unguarded, without_comments
from exchange.formats.stix.spans import Limits
from exchange.formats.stix.time import from_iso, to_stix
from exchange.pap import Pap
from exchange.tlp import Tlp

FORMAT: Final = "shadowserver"
MAX_BYTES: Final = 67_108_864  # of one report
MAX_ROWS: Final = 200_000
PART_BYTES: Final = 6_291_456  # of the objects of one message
PART_OBJECTS: Final = 15_000
_PUBLISHER: Final = "The Shadowserver Foundation"
_COMMON: Final = "asn geo region city hostname naics sector tag severity infection"
_MARKS: Final = frozenset(_COMMON.split())
_NAME: Final = re.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}-)?([a-z0-9_]{2,64})")
_NUMBER: Final = re.compile(r"[0-9]{1,10}\Z")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: when, where, and every cell that holds something, by its column.

    `side` is what the columns of the reported address begin with: `src_`, or nothing. No AS number is 0.
    """

    line: int
    at: int
    address: str
    asn: int
    country: str
    side: str
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """A report: which one (as its file is called, `scan_rdp`), its rows, and the lines that can't be read.

    `said`: the labels in the comments that somebody wrote into it, which bind all its rows.
    """

    kind: str
    rows: tuple[Row, ...]
    set_aside: tuple[SetAside, ...]
    said: Said


@dataclass
class Groups:
    """The rows of reports by owner. `unowned`: nobody claims the address; `disputed`: by those who claim it alike."""

    owned: dict[str, list[Row]] = field(default_factory=dict)
    unowned: list[Row] = field(default_factory=list)
    disputed: dict[tuple[str, ...], list[Row]] = field(default_factory=dict)


def recognise(source: Source) -> bool:
    """Whether its header is one of Shadowserver's: a time, an address, and some of what all reports have."""
    if source.document is not None:
        return False
    try:
        table, _ = without_comments(decoded(source.data))  # above it somebody may have written some
        _, header = next(rows(table, MAX_ROWS), (0, []))
    except Refused:
        return False
    return _side(header) is not None


def read(_source: Source, _limits: Limits) -> Loaded:
    """Refuse it: as one message it would tell each owner of the others. Raises Refused `format.by-owner`."""
    raise Refused(
        "format.by-owner", "use `exchange node shadowserver FILE`: it gives each owner its own rows"
    )


def read_report(name: str, data: bytes) -> Report:
    """Read a report; `name` is its file's, and says which report it is.

    Raises: Refused `format.bad-file` for what is none, or is over a limit.
    """
    if len(data) > MAX_BYTES:
        raise Refused("format.bad-file", f"a report of more than {MAX_BYTES} bytes")
    table, comments = without_comments(decoded(data))
    said = Said()
    for line, comment in comments:
        said.hear(comment, f"line {line}")
    numbered = rows(table, MAX_ROWS + 1)
    _, header = next(numbered, (0, []))
    side = _side(header)
    if side is None:
        raise Refused("format.bad-file", "its header is none of Shadowserver's: timestamp, ip, asn, geo ...")
    columns = [folded(cell) for cell in header]
    found, aside = [], []
    once: dict[
        str, str
    ] = {}  # most cells of a report say the same: kept once, it takes a third of the memory
    for line, cells in numbered:
        try:
            found.append(
                _row(line, columns, [once.setdefault(cell, cell) for cell in map(unguarded, cells)], side)
            )
        except ValueError as fault:
            aside.append(SetAside(f"line {line}", "format.bad-line", str(fault)))
    kind = _NAME.match(folded(name))
    return Report(kind[1] if kind else FORMAT, tuple(found), tuple(aside), said)


def grouped(reported: Iterable[Row], owners: Owners) -> Groups:
    """The rows by the member that owns their address most closely; where nobody does, by their AS number."""
    groups = Groups()
    for row in reported:
        holders = owners.owner(row.address).nearest
        if not holders and row.asn:
            holders = owners.owner(f"AS{row.asn}").nearest
        if not holders:
            groups.unowned.append(row)
        elif len(holders) > 1:
            groups.disputed.setdefault(tuple(sorted(holders)), []).append(row)
        else:
            groups.owned.setdefault(holders[0], []).append(row)
    return groups


def parts(
    kind: str, reported: Iterable[Row], tlp: Tlp, pap: Pap | None = None
) -> Iterator[tuple[RawObject, ...]]:
    """The objects of the rows, in parts that each fit into one message. The same rows give the same objects.

    Raises: Refused `stix.*`.
    """
    publisher = made_publisher(_PUBLISHER, FORMAT)
    part: dict[str, RawObject] = {publisher.id: publisher}
    size = 0
    for row in reported:
        made_ones = _objects(kind, row, publisher.id, tlp)
        if pap is not None:
            made_ones = [tagged(each, [pap.label]) for each in made_ones]
        new = [each for each in made_ones if each.id not in part]
        length = sum(len(each.data) for each in new)
        if len(part) > 1 and (size + length > PART_BYTES or len(part) + len(new) > PART_OBJECTS):
            yield tuple(part.values())
            part, size = {publisher.id: publisher}, 0
            new = made_ones
        part |= {each.id: each for each in new}
        size += length
    if len(part) > 1:
        yield tuple(part.values())


def _side(header: list[str]) -> str | None:
    """The prefix of the columns of the address that is reported: none, or `src_`; None for another table."""
    columns = {folded(cell) for cell in header}
    if "timestamp" not in columns:
        return None
    for side in ("", "src_"):
        named = {column.removeprefix(side) for column in columns}
        if f"{side}ip" in columns and len(named & _MARKS) > 1:
            return side
    return None


def _row(line: int, columns: list[str], cells: list[str], side: str) -> Row:
    """Raises ValueError saying what can't be read."""
    if len(cells) > len(columns):
        raise ValueError("it has more cells than the header has columns")
    held = {column: cell for column, cell in zip(columns, cells, strict=False) if column and cell}
    try:
        at = from_iso(held.get("timestamp", ""))
    except ValueError:
        raise ValueError("the timestamp is no date and time") from None
    try:
        address = str(ip_address(held.get(f"{side}ip", "")))
    except ValueError:
        raise ValueError("the address is no IP address") from None
    asn = held.get(f"{side}asn", "")
    number = int(asn) if _NUMBER.match(asn) else 0
    country = held.get(f"{side}geo", "").upper()
    return Row(line, at, address, number if number < 2**32 else 0, country, side, held)


def _objects(kind: str, row: Row, publisher: str, tlp: Tlp) -> list[RawObject]:
    """The address, its system and name, the connection, and the observation of them."""
    address = _address(row, tlp)
    made_ones = [*([_system(row.asn, tlp)] if row.asn else []), address]
    made_ones += [
        each for each in (_name(row, address.id, tlp), _traffic(row, address.id, tlp)) if each is not None
    ]
    at = to_stix(row.at)
    labels = [kind, *(row.cells[name] for name in ("tag", "infection") if name in row.cells)]
    labels += [f"severity:{row.cells['severity']}"] if "severity" in row.cells else []
    said = orjson.dumps(dict(row.cells), option=orjson.OPT_SORT_KEYS).decode()
    observed = made(
        "observed-data",
        made_id("observed-data", FORMAT, kind, said),
        tlp,
        created_by_ref=publisher,
        created=at,
        modified=at,
        first_observed=at,
        last_observed=at,
        number_observed=1,
        labels=list(dict.fromkeys(labels)),
        object_refs=[each.id for each in made_ones],
        extensions=source_extension(FORMAT, {"report": kind, "row": dict(row.cells)}),
    )
    return [*made_ones, observed]


def _system(asn: int, tlp: Tlp) -> RawObject:
    return made("autonomous-system", observable_id("autonomous-system", number=asn), tlp, number=asn)


def _address(row: Row, tlp: Tlp) -> RawObject:
    kind = "ipv6-addr" if ":" in row.address else "ipv4-addr"
    systems = [observable_id("autonomous-system", number=row.asn)] if row.asn else []
    return made(kind, observable_id(kind, value=row.address), tlp, value=row.address, belongs_to_refs=systems)


def _name(row: Row, address: str, tlp: Tlp) -> RawObject | None:
    """The name of the address; none where it has none, or one that DNS can't have."""
    try:
        name = read_domain(row.cells.get(f"{row.side}hostname", "")).text
    except ValueError:
        return None
    return made(
        "domain-name", made_id("domain-name", name, row.address), tlp, value=name, resolves_to_refs=[address]
    )


def _traffic(row: Row, address: str, tlp: Tlp) -> RawObject | None:
    """The connection, where the report tells protocol and port."""
    protocol, port = row.cells.get("protocol", "").lower(), row.cells.get(f"{row.side}port", "")
    if not protocol or not _NUMBER.match(port) or int(port) > 65_535:
        return None
    end = row.side.rstrip("_") or "dst"
    members: dict[str, Any] = {f"{end}_ref": address, f"{end}_port": int(port)}
    return made(
        "network-traffic",
        made_id("network-traffic", protocol, end, row.address, port),
        tlp,
        protocols=[protocol],
        **members,
    )
