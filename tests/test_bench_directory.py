"""The directory's benchmark: a small network, so that what it prints is known to be there; no time is asserted."""

from __future__ import annotations

import pytest

from bench._directory_network import SeededNetwork, Size
from bench.directory import GOALS, lines, measure
from exchange.directory.book import Book
from exchange.directory.owners import NOBODY, Owners


@pytest.fixture(scope="module")
def network() -> SeededNetwork:
    return SeededNetwork.make(Size(members=3, contacts=6, claims=60, statements=30))


def test_the_network_is_what_was_ordered(network: SeededNetwork) -> None:
    again = SeededNetwork.make(Size(members=3, contacts=6, claims=60, statements=30))
    assert network.directory.size == len(network.leaves) == 30
    assert [part.body for part in network.parts] == [part.body for part in again.parts]
    book = Book.build(network.directory, network.parts, network.now)
    assert book.set_aside == ()
    assert sum(entry.claims.count for entry in book.members.values() if entry.claims) == 60
    assert len(book.contacts) == 6
    groups = Owners.build(book).group(network.addresses(200))
    assert len(groups[NOBODY]) < 40
    assert set(groups) - {NOBODY} == set(network.members)


def test_every_number_of_the_contract_is_there(network: SeededNetwork) -> None:
    result = measure(network, rounds=3, finds=4, addresses=50)
    assert set(result["ratios"]) == set(GOALS)
    assert all(value > 0 for value in result["ratios"].values())
    assert result["ours"]["replay_5k_s"]["rounds"] == 3
    assert any("verify" in row for row in result["ours"]["profile"]["replay_5k"])
    assert lines(result)[0].startswith("find_ms: ")
