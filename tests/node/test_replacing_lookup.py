"""Which message replaced another, looked up: by a column where this version kept it, else by the messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.canonical import sha256
from exchange.formats.stix.cover import compose
from exchange.message import Author, Draft, Kind, Urgency
from exchange.node.store import inbox as store_inbox, outbox as store_outbox, replacing
from exchange.node.store.outbox import Outgoing
from exchange.node.store.replacing import Claim, received
from exchange.node.store.store import Store, Transaction, open_store
from exchange.storage.local_cipher import LocalCipher
from exchange.tlp import Tlp
from tests.doors import CO, PE
from tests.worlds import NOW

FIRST, SECOND, THIRD, OTHER = (str(UUID(int=number, version=4)) for number in range(4))
CLAIMS = [Claim(SECOND, CO, FIRST, NOW + 1), Claim(THIRD, CO, FIRST, NOW + 2)]


def came(id_: str, created: int, supersedes: str | None = None, sender: str = CO) -> store_inbox.Received:
    return store_inbox.Received(
        n=0,
        sender=sender,
        message_id=id_,
        type="stix",
        lane="routine",
        created=created,
        expires=created + 1,
        received_at=created,
        marks=frozenset(),
        conflict=False,
        env=sha256(f"{sender} {id_}".encode()),
        payload=b"{}",
        summary={"supersedes": supersedes},
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "node.db", bytes(32), owner=True)
    messages = [
        came(FIRST, NOW),
        came(SECOND, NOW + 1, FIRST),
        came(THIRD, NOW + 2, FIRST),
        came(OTHER, NOW + 3, FIRST, sender=PE),
        replace(came(SECOND, NOW + 4, FIRST, sender="ar-csirt"), marks=frozenset({"voided"})),
    ]
    add = partial(store_inbox.add, cipher=opened.cipher, messages=[(one, one.env) for one in messages])
    opened.db.write_sync(add)
    yield opened
    opened.db.close_sync()


class Sealed(LocalCipher):
    """Opens nothing."""

    def __init__(self) -> None:
        super().__init__(bytes(32))

    def open(self, *_: Any) -> bytes:
        raise AssertionError("a message was read")


def claims(store: Store, *wanted: Sequence[Any], cipher: LocalCipher | None = None) -> list[Claim]:
    def look(connection: Transaction) -> list[Claim]:
        return received(connection, cipher or store.cipher, [(who, id_, at) for who, id_, at in wanted])

    return store.db.read_sync(look)


def forget_column(store: Store) -> None:
    """As if an older version had kept all of it."""
    store.db.write_sync(lambda c: c.exec_driver_sql("UPDATE inbox SET supersedes = NULL"))


def test_what_this_version_kept_is_found_without_reading_a_message(store: Store) -> None:
    assert claims(store, (CO, FIRST, NOW), cipher=Sealed()) == CLAIMS
    assert claims(store, (CO, THIRD, NOW + 2), cipher=Sealed()) == CLAIMS[1:]  # its own
    assert claims(store, (CO, OTHER, NOW), (PE, FIRST, NOW), cipher=Sealed()) == [
        Claim(OTHER, PE, FIRST, NOW + 3)
    ]
    assert claims(store, cipher=Sealed()) == []


def test_what_an_older_version_kept_is_found_too(store: Store) -> None:
    forget_column(store)
    assert claims(store, (CO, FIRST, NOW)) == CLAIMS
    with pytest.raises(AssertionError, match="a message was read"):
        claims(store, (CO, FIRST, NOW), cipher=Sealed())


@pytest.mark.parametrize("old", [False, True])
def test_what_came_in_doubt_replaces_nothing(store: Store, old: bool) -> None:
    if old:
        forget_column(store)
    assert claims(store, ("ar-csirt", FIRST, NOW)) == []


def test_it_is_looked_up_by_an_index(store: Store) -> None:
    asked = f"EXPLAIN QUERY PLAN {replacing._NAMING.format(keys='(VALUES (1, 2))')}"
    plan = store.db.read_sync(lambda c: " ".join(row[3] for row in c.exec_driver_sql(asked)))
    assert "inbox_supersedes (supersedes=? AND sender=?)" in plan


def test_what_this_node_sent_is_found_by_a_column_or_by_itself(store: Store) -> None:
    author = Author(id=f"identity--{THIRD}", name=PE, created=NOW)
    for id_, supersedes in ((FIRST, None), (SECOND, FIRST), (OTHER, SECOND)):
        draft = Draft(
            id=id_,
            kind=Kind.ALERT,
            case_id="case-1",
            urgency=Urgency.ROUTINE,
            tlp=Tlp.GREEN,
            subject="supersedes",
            created=NOW,
            supersedes=supersedes,
        )
        message = Outgoing(id_, "stix", "routine", NOW, NOW + 1, compose(draft, author, []).bundle)
        add = partial(store_outbox.add, cipher=store.cipher, message=message, recipients=[CO], now=NOW)
        store.db.write_sync(add)
    expected = [
        Claim(SECOND, PE, FIRST, NOW, frozenset({CO})),
        Claim(OTHER, PE, SECOND, NOW, frozenset({CO})),
    ]

    def found(cipher: LocalCipher) -> list[Claim]:
        return store.db.read_sync(lambda c: replacing.sent(c, cipher, own=PE, since=NOW))

    assert found(Sealed()) == expected
    store.db.write_sync(lambda c: c.exec_driver_sql("UPDATE messages SET supersedes = NULL"))
    assert found(store.cipher) == expected
    with pytest.raises(AssertionError, match="a message was read"):
        found(Sealed())
