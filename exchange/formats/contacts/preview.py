"""What reading a list of contact points in would change: added, changed, unchanged, dropped.

Owns how a row that `contacts/table` has read is laid over what the book holds. Signing the change is
the command's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from exchange.directory.addressing import folded
from exchange.directory.book import Book, ContactEntry
from exchange.directory.record_rules import write
from exchange.directory.records import ContactRecord, Form, HoldersRecord, Person, to_json
from exchange.directory.vocabulary import FUNCTIONS, PERSON_ROLES
from exchange.formats.contacts.table import Row


@dataclass(frozen=True)
class Change:
    """A contact point as it would be, whole; `fields` says what differs from the book, all of it for a new one."""

    address: str
    function: str
    community: str
    topics: tuple[str, ...]
    instruments: tuple[str, ...]
    record: ContactRecord
    holders: HoldersRecord
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """What an import would do: nothing at all the second time. `dropped` are in the book and not in the file."""

    added: tuple[Change, ...]
    changed: tuple[Change, ...]
    unchanged: tuple[str, ...]
    dropped: tuple[str, ...]


def preview(book: Book, rows: Iterable[Row], new_handle: Callable[[], str]) -> Preview:
    """What importing `rows` would change; `new_handle` gives a person who isn't in the book yet a handle (`p-...`).

    A row is laid over what the book holds: a column that the file lacks, or an empty cell, changes nothing. Dropped
    are the other contacts of the members that the file speaks of. Raises Refused record.bad-field.
    """
    added, changed, unchanged = [], [], []
    listed = tuple(rows)
    for row in listed:
        entry = book.contacts.get(row.address)
        standing = None if entry is None or entry.ended else entry
        change = _laid_over(row, standing, new_handle)
        if standing is None:
            added.append(change)
        elif change.fields:
            changed.append(change)
        else:
            unchanged.append(row.address)
    members, addresses = {row.address.partition("/")[0] for row in listed}, {row.address for row in listed}
    dropped = sorted(
        entry.address
        for entry in book.living()
        if entry.home.handle in members and entry.address not in addresses
    )
    return Preview(tuple(added), tuple(changed), tuple(unchanged), tuple(dropped))


_FACTS: Final = ("function", "community", "topics", "instruments")


def _laid_over(row: Row, entry: ContactEntry | None, new_handle: Callable[[], str]) -> Change:
    held: dict[str, Any] = {name: getattr(entry.contact, name) if entry else () for name in _FACTS}
    stated: dict[str, Any] = {name: getattr(row, name) or held[name] for name in _FACTS}
    stated["community"] = stated["community"] or FUNCTIONS[row.function]
    record, holders = _json(entry.record if entry else None), _json(entry.holders if entry else None)
    record_now, holders_now = {**record, **row.record}, {**holders, **row.holders}
    if row.persons:
        record_now["persons"] = _persons(row.persons, record.get("persons", []), new_handle)
    differing = [name for name in _FACTS if stated[name] != held[name]]
    differing += [name for name in sorted(record_now) if record.get(name) != record_now[name]]
    differing += [name for name in sorted(holders_now) if holders.get(name) != holders_now[name]]
    return Change(
        address=row.address,
        **stated,
        record=write(ContactRecord, record_now),
        holders=write(HoldersRecord, holders_now),
        fields=tuple(differing),
    )


def _persons(
    names: Sequence[str], held: list[dict[str, Any]], new_handle: Callable[[], str]
) -> list[dict[str, Any]]:
    """The persons of the file, those of the book found by name; of new ones the first is primary, the second deputy."""
    known = {folded(each["name"]): each for each in held}
    found = []
    for number, name in enumerate(names):
        role = PERSON_ROLES[min(number, len(PERSON_ROLES) - 1)]
        new = {"handle": new_handle(), "name": name, "role": role} if folded(name) not in known else None
        found.append(to_json(write(Person, new)) if new else known[folded(name)])
    return found


def _json(form: Form | None) -> dict[str, Any]:
    return {} if form is None else to_json(form)
