"""A page's envelopes are placed together as they would be one by one: marks, links, heads and gaps are the same."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings, strategies as st

from exchange.canonical import ZERO32
from exchange.header import LANES, DirRef, Header, Pre
from exchange.link import Link
from exchange.node.store.links import Chains, Evidence, close_number
from exchange.node.store.store import driver, open_store

NET = bytes(32)
CHAINS = (b"a" * 16, b"b" * 16)


def envelope(n: int, lane: str, link: Link) -> Evidence:
    """The nth one, with the link as it is given."""
    pre = Pre(NET, "pe-csirt", bytes(32), 1, 2, lane, (("co-csirt", bytes(32)),), DirRef(1, ZERO32, ZERO32))
    header = Header(pre, ZERO32, (ZERO32,), ZERO32, 0, b'{"n":%d}' % n)
    return Evidence(header, b"", link, bytes(16), ZERO32, ZERO32, ZERO32)


@st.composite
def sequences(draw: st.DrawFn) -> list[Evidence]:
    """Mail of two lanes and two chains: mostly the next one, else any number after any envelope there was."""
    made: list[Evidence] = []
    newest: dict[str, tuple[int, bytes]] = {}
    for n in range(draw(st.integers(1, 14))):
        lane = draw(st.sampled_from(LANES[:2]))
        seq, env = newest.get(lane, (0, ZERO32))
        link = Link(CHAINS[0], seq + 1, env)
        if draw(st.integers(0, 2)) == 0:
            before = draw(st.sampled_from([ZERO32, *(one.header.env for one in made)]))
            link = Link(draw(st.sampled_from(CHAINS)), draw(st.integers(1, 6)), before)
        one = envelope(n, lane, link)
        newest[lane] = (link.seq, one.header.env)
        made.append(one)
    return made


def is_voided(one: Evidence) -> bool:
    """Some of them: their senders gave them up."""
    return one.header.env[0] % 4 == 0


def placed(pages: Sequence[Sequence[Evidence]]) -> list[Any]:
    """What becomes of them, each page in a transaction of its own."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "node.db", bytes(32), owner=True)
        marks = []

        def write(page: Sequence[Evidence]) -> list[Any]:
            def step(connection: Any) -> list[Any]:
                chains = Chains(connection)
                found = [chains.record(one, voided=is_voided(one), now=1) for one in page]
                chains.write()
                return found

            return store.db.write_sync(step)

        try:
            for page in pages:
                marks += write(page)
            tables = ("links_in", "heads_in", "gaps_in")
            queries = [f"SELECT * FROM {name}" for name in tables]  # noqa: S608 - our own tables
            return marks + [
                store.db.read_sync(lambda c, query=query: driver(c).execute(query).fetchall())
                for query in queries
            ]
        finally:
            store.db.close_sync()


@settings(max_examples=40, deadline=None)
@given(sequences(), st.integers(1, 14))
def test_together_as_one_by_one(made: list[Evidence], size: int) -> None:
    """Pages of any size give what pages of one do."""
    pages = [made[start : start + size] for start in range(0, len(made), size)]
    assert placed(pages) == placed([[one] for one in made])


def test_straggler_that_its_sender_gave_up_does_not_turn_the_chain_back(tmp_path: Path) -> None:
    """Number 1 of a run that nothing else came of; its `void` came first, and what the next run sent after it."""
    first = envelope(1, "routine", Link(CHAINS[0], 1))
    second = envelope(2, "routine", Link(CHAINS[1], 2, first.header.env))
    third = envelope(3, "routine", Link(CHAINS[1], 3, second.header.env))
    store = open_store(tmp_path / "node.db", bytes(32), owner=True)

    def write(connection: Any) -> list[str]:
        chains, marks = Chains(connection), list[str]()
        for one, voided in ((third, False), (first, True), (second, False)):
            marks.append(chains.record(one, voided=voided, now=1).mark)
            chains.write()
            close_number(connection, "pe-csirt", "routine", 1)  # as its `void` does
        return marks

    try:
        assert store.db.write_sync(write) == ["", "late", "late"]
    finally:
        store.db.close_sync()
